//! The Unix socket in the folder of the state: who has it, and that it goes away with the agent.

use core::fmt;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};

/// The name of the file.
pub(crate) const NAME: &str = "agent.sock";
/// For a socket that is there to take a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// Device, number and when it was made: a number alone is given to the next file again.
type Identity = (u64, u64, i64, i64);

/// The file of a socket that is open. Dropping it removes the file, if it is still the same one.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: Option<Identity>,
}

/// Why there is no socket.
#[derive(Debug)]
pub(crate) enum SocketProblem {
    /// Another agent answers there.
    Taken(PathBuf),
    /// There is something else by this name.
    NoSocket(PathBuf),
    Io(io::Error),
}

impl SocketProblem {
    /// Whether the operator should know. A system that does not let us write is set up so.
    pub(super) const fn is_of_interest(&self) -> bool {
        matches!(self, Self::Taken(_) | Self::NoSocket(_))
    }
}

impl fmt::Display for SocketProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(path) => write!(formatter, "another agent answers at {}", path.display()),
            Self::NoSocket(path) => write!(formatter, "{} is not a socket", path.display()),
            Self::Io(error) => write!(formatter, "{error}"),
        }
    }
}

impl core::error::Error for SocketProblem {}

/// Opens the socket in `folder`. One that a run left behind is replaced, one that somebody answers at is left alone.
pub(super) async fn open(folder: &Path) -> Result<(UnixListener, SocketFile), SocketProblem> {
    let path = folder.join(NAME);
    fs::create_dir_all(folder).map_err(SocketProblem::Io)?;
    match fs::symlink_metadata(&path) {
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(SocketProblem::NoSocket(path)),
        Ok(_) => {
            let left_behind = match tokio::time::timeout(CONNECT_LIMIT, UnixStream::connect(&path)).await {
                Ok(Err(error)) => matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound),
                Ok(Ok(_)) | Err(_) => false,
            };
            if !left_behind {
                return Err(SocketProblem::Taken(path));
            }
            fs::remove_file(&path).map_err(SocketProblem::Io)?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(SocketProblem::Io(error)),
    }
    let listener = UnixListener::bind(&path).map_err(SocketProblem::Io)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(SocketProblem::Io)?;
    let identity = identity(&path);
    Ok((listener, SocketFile { path, identity }))
}

impl SocketFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // Where it cannot be removed the next run replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let metadata = fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn a_socket_is_private_and_goes_away_and_a_live_one_is_left_alone() {
        block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path().join("deep");
            let (listener, file) = open(&folder).await.unwrap();
            let path = file.path().to_owned();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert!(matches!(open(&folder).await, Err(SocketProblem::Taken(_))));
            assert!(path.exists());
            // What a killed run leaves: the file, and nobody behind it.
            drop(listener);
            // Keeps its number from being given to the next one within a tick of the clock.
            fs::hard_link(&path, folder.join("kept")).unwrap();
            let (_listener, second) = open(&folder).await.unwrap();
            drop(file);
            assert!(path.exists(), "the file belongs to the second run");
            drop(second);
            assert!(!path.exists());
        });
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(NAME);
            fs::write(&path, "precious").unwrap();
            assert!(matches!(open(folder.path()).await, Err(SocketProblem::NoSocket(_))));
            assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
            let target = folder.path().join("target");
            fs::write(&target, "precious").unwrap();
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink(&target, &path).unwrap();
            assert!(matches!(open(folder.path()).await, Err(SocketProblem::NoSocket(_))));
        });
    }
}
