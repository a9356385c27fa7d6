//! Where a setting came from, and what is wrong or odd about it.

use core::fmt;
use std::path::Path;
use std::sync::Arc;

/// The origin of a setting, from the strongest to the weakest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A command line flag, written with its dashes.
    Flag(&'static str),
    /// The name of an environment variable.
    Environment(&'static str),
    /// A place in the configuration file; line and column count from 1.
    File { path: Arc<Path>, line: u32, column: u32 },
    /// Nobody set it.
    Default,
}

impl Source {
    /// Strength of the origin: a higher one wins.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Self::Flag(_) => 3,
            Self::Environment(_) => 2,
            Self::File { .. } => 1,
            Self::Default => 0,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(formatter, "flag {flag}"),
            Self::Environment(name) => write!(formatter, "environment variable {name}"),
            Self::File { path, line, column } => {
                write!(formatter, "{}:{line}:{column}", path.display())
            }
            Self::Default => formatter.write_str("default"),
        }
    }
}

/// Writes `source: message`, or the message alone where there is no source to name.
fn write_with_source(formatter: &mut fmt::Formatter<'_>, source: &Source, message: &str) -> fmt::Result {
    if *source == Source::Default { formatter.write_str(message) } else { write!(formatter, "{source}: {message}") }
}

/// One mistake in the configuration. The message never holds the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// [`Source::Default`] where nothing was set that could be pointed at.
    pub(crate) source: Source,
    pub(crate) message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_with_source(formatter, &self.source, &self.message)
    }
}

/// Something in the configuration that works but deserves a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warning {
    pub(crate) source: Source,
    pub(crate) message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_with_source(formatter, &self.source, &self.message)
    }
}

/// Every mistake in the configuration, printed one per line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigError {
    /// Never empty.
    pub(crate) problems: Vec<Problem>,
}

impl ConfigError {
    /// `EX_CONFIG` of `sysexits.h`.
    pub(crate) const EXIT_CODE: u8 = 78;
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            problem.fmt(formatter)?;
        }
        Ok(())
    }
}

impl core::error::Error for ConfigError {}
