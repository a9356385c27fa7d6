//! The world outside, as far as the configuration needs it, behind two small traits so that tests bring their own.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Reads environment variables.
pub(crate) trait Environment {
    /// The value of a variable, `None` if it is not set.
    fn get(&self, name: &str) -> Option<OsString>;

    /// The names of the variables that are set and begin so, in no order.
    fn names(&self, prefix: &str) -> Vec<String>;

    /// The value of a variable that is set, not empty and UTF-8.
    fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.into_string().ok().filter(|text| !text.is_empty())
    }
}

/// Reads files.
pub(crate) trait Files {
    /// The whole content of a file of at most [`MAXIMUM_FILE_BYTES`].
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The permission bits of a file, symbolic links followed.
    fn mode(&self, path: &Path) -> io::Result<u32>;
}

/// Larger files are refused, so that a wrong path cannot fill the memory.
pub(crate) const MAXIMUM_FILE_BYTES: u64 = 2 * 1024 * 1024;

/// The environment of this process.
pub(crate) struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn get(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn names(&self, prefix: &str) -> Vec<String> {
        let mut names: Vec<String> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
        names.retain(|name| name.starts_with(prefix));
        names
    }
}

/// The file system.
pub(crate) struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        File::open(path)?.take(MAXIMUM_FILE_BYTES + 1).read_to_end(&mut content)?;
        if content.len() as u64 > MAXIMUM_FILE_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file is larger than 2 MiB"));
        }
        Ok(content)
    }

    fn mode(&self, path: &Path) -> io::Result<u32> {
        Ok(std::fs::metadata(path)?.permissions().mode() & 0o7777)
    }
}

#[cfg(test)]
pub(crate) mod fake {
    //! An environment and files in memory.

    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;

    #[derive(Default)]
    pub(crate) struct World {
        pub(crate) variables: BTreeMap<String, OsString>,
        pub(crate) files: BTreeMap<PathBuf, (Vec<u8>, u32)>,
        /// Paths that exist but may not be read.
        pub(crate) denied: Vec<PathBuf>,
    }

    impl World {
        pub(crate) fn set(mut self, name: &str, value: &str) -> World {
            self.variables.insert(name.to_owned(), value.into());
            self
        }

        pub(crate) fn file(self, path: &str, content: &str) -> World {
            self.file_with_mode(path, content, 0o600)
        }

        pub(crate) fn file_with_mode(mut self, path: &str, content: &str, mode: u32) -> World {
            self.files.insert(path.into(), (content.as_bytes().to_vec(), mode));
            self
        }
    }

    impl Environment for World {
        fn get(&self, name: &str) -> Option<OsString> {
            self.variables.get(name).cloned()
        }

        fn names(&self, prefix: &str) -> Vec<String> {
            self.variables.keys().filter(|name| name.starts_with(prefix)).cloned().collect()
        }
    }

    impl Files for World {
        fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
            if self.denied.iter().any(|denied| denied == path) {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            self.files.get(path).map(|(content, _)| content.clone()).ok_or(io::ErrorKind::NotFound.into())
        }

        fn mode(&self, path: &Path) -> io::Result<u32> {
            self.files.get(path).map(|(_, mode)| *mode).ok_or(io::ErrorKind::NotFound.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_refuses_large_files_and_folders() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        std::fs::write(&path, vec![b'x'; MAXIMUM_FILE_BYTES as usize]).unwrap();
        assert_eq!(Disk.read(&path).unwrap().len() as u64, MAXIMUM_FILE_BYTES);
        std::fs::write(&path, vec![b'x'; MAXIMUM_FILE_BYTES as usize + 1]).unwrap();
        assert_eq!(Disk.read(&path).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert!(Disk.read(folder.path()).is_err());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(Disk.mode(&path).unwrap(), 0o640);
    }
}
