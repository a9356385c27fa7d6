//! Why there is no access to a cluster.

use core::fmt;
use std::io;
use std::path::PathBuf;

/// What is wrong with a kubeconfig or a service account. Lines and columns count from 1; no variant holds a secret.
#[derive(Debug)]
pub(crate) enum KubeconfigError {
    /// A file that must be there cannot be read.
    Unreadable { path: PathBuf, error: io::Error },
    /// None of the files that were named exists.
    NoFile(Vec<PathBuf>),
    /// No file has a `current-context`.
    NoCurrentContext(Vec<PathBuf>),
    /// A name that is referred to is not defined.
    Unknown { path: PathBuf, kind: &'static str, name: String },
    /// Not YAML, or a value that cannot be.
    Invalid { path: PathBuf, line: u32, column: u32, message: String },
    /// A part of kubeconfig that this agent does not follow.
    Unsupported { path: PathBuf, line: u32, column: u32, field: &'static str, reason: &'static str },
    /// The variables that Kubernetes sets in every pod are missing or wrong.
    NotInCluster(&'static str),
}

impl fmt::Display for KubeconfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |paths: &[PathBuf]| {
            let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
            shown.join(", ")
        };
        match self {
            Self::Unreadable { path, .. } => write!(formatter, "cannot read {}", path.display()),
            Self::NoFile(paths) => write!(formatter, "no such kubeconfig file: {}", list(paths)),
            Self::NoCurrentContext(paths) => {
                write!(formatter, "no current-context in {}", list(paths))
            }
            Self::Unknown { path, kind, name } => {
                write!(formatter, "{}: there is no {kind} named \"{}\"", path.display(), name.escape_debug())
            }
            Self::Invalid { path, line, column, message } => {
                write!(formatter, "{}:{line}:{column}: {message}", path.display())
            }
            Self::Unsupported { path, line, column, field, reason } => {
                write!(formatter, "{}:{line}:{column}: {field} is not supported: {reason}", path.display())
            }
            Self::NotInCluster(variable) => {
                write!(formatter, "not in a cluster: the environment variable {variable} is missing or wrong")
            }
        }
    }
}

impl core::error::Error for KubeconfigError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Unreadable { error, .. } => Some(error),
            Self::NoFile(_)
            | Self::NoCurrentContext(_)
            | Self::Unknown { .. }
            | Self::Invalid { .. }
            | Self::Unsupported { .. }
            | Self::NotInCluster(_) => None,
        }
    }
}
