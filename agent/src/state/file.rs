//! The state as a file, for agents outside a cluster.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use miniserde::json::{self, Object, Value};

use super::{Saved, StateError};
use crate::secret::Secret;

/// No file means no state yet.
pub(super) fn read(path: &Path) -> Result<Saved, StateError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Saved::default()),
        Err(error) => return Err(StateError::File(error)),
    };
    let mut object: Object = json::from_str(&text).map_err(|_| StateError::Content)?;
    let mut take = |key: &str| match object.remove(key) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    };
    Ok(Saved {
        agent_id: take("agent_id"),
        cluster_id: take("cluster_id"),
        gateway_url: take("gateway_ws_url"),
        cluster_token: take("cluster_token").map(Secret::new),
        ca_data: take("cluster_cert_data"),
    })
}

/// Written beside the old one and put in its place, so that a power cut leaves one of the two.
pub(super) fn write(path: &Path, saved: &Saved) -> Result<(), StateError> {
    let mut object = Object::new();
    let mut put = |key: &str, value: Option<&str>| {
        if let Some(value) = value {
            object.insert(key.into(), Value::String(value.into()));
        }
    };
    put("agent_id", saved.agent_id.as_deref());
    put("cluster_id", saved.cluster_id.as_deref());
    put("gateway_ws_url", saved.gateway_url.as_deref());
    put("cluster_token", saved.cluster_token.as_ref().map(Secret::expose));
    let text = json::to_string(&object);
    replace(path, text.as_bytes()).map_err(StateError::File)
}

/// Reads the state, and writes and removes another file as large as a state ever gets, with whatever folders that takes.
pub(super) fn rehearse(path: &Path) -> Result<(), StateError> {
    const SIZE: usize = 64 * 1024;
    read(path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let fresh: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    let probe = folder.join("doctor.probe");
    let written = replace(&probe, &vec![0; SIZE]).and_then(|()| fs::remove_file(&probe));
    if written.is_err() {
        // Half of it may be there. Where even that cannot be removed, the error says enough.
        let _ = fs::remove_file(probe.with_extension("new"));
    }
    for folder in fresh {
        // Only where nobody put something into it in the meantime.
        let _ = fs::remove_dir(folder);
    }
    written.map_err(StateError::File)
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let fresh = path.with_extension("new");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_is_written_is_read_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/state.json");
        assert_eq!(read(&path).unwrap(), Saved::default());
        let saved = Saved {
            agent_id: Some("agent-1".into()),
            cluster_id: Some("c".into()),
            gateway_url: Some("wss://g".into()),
            cluster_token: Some(Secret::new("t")),
            ca_data: None,
        };
        write(&path, &saved).unwrap();
        assert_eq!(read(&path).unwrap(), saved);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!path.with_extension("new").exists());
    }

    #[test]
    fn a_rehearsal_leaves_nothing_behind() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("deep/deeper/state.json");
        rehearse(&path).unwrap();
        assert_eq!(fs::read_dir(top.path()).unwrap().count(), 0, "folders stay only where they were");
        write(&path, &Saved::default()).unwrap();
        rehearse(&path).unwrap();
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "the state and nothing else");
        fs::write(&path, "{").unwrap();
        assert!(matches!(rehearse(&path), Err(StateError::Content)));
        assert!(matches!(rehearse(&path.join("below/state.json")), Err(StateError::File(_))), "a file is no folder");
    }

    #[test]
    fn a_broken_file_is_said_to_be_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        fs::write(&path, "{").unwrap();
        assert!(matches!(read(&path), Err(StateError::Content)));
    }
}
