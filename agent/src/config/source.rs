//! Where a setting came from, and what is wrong or odd about it.

use core::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Effective;

/// The origin of a setting, from the strongest to the weakest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A command line flag, written with its dashes.
    Flag(&'static str),
    /// The name of an environment variable.
    Environment(&'static str),
    /// A place in the configuration file; line and column count from 1.
    File { path: Arc<Path>, line: u32, column: u32 },
    /// A credential that systemd hands over, by its name.
    Credential(&'static str),
    /// Nobody set it.
    Default,
}

impl Source {
    /// Strength of the origin: a higher one wins.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Self::Flag(_) => 4,
            Self::Environment(_) => 3,
            Self::File { .. } => 2,
            Self::Credential(_) => 1,
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
            Self::Credential(name) => write!(formatter, "systemd credential {name}"),
            Self::Default => formatter.write_str("default"),
        }
    }
}

/// Something to say about the configuration, a mistake or what is only odd. The message never holds the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// [`Source::Default`] where nothing was set that could be pointed at.
    pub(crate) source: Source,
    pub(crate) message: String,
}

/// A mistake: with it the agent does not start.
pub(crate) type Problem = Note;
/// Something that works but deserves a word.
pub(crate) type Warning = Note;

/// `source: message`, or the message alone where there is no source to name.
impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.source != Source::Default {
            write!(formatter, "{}: ", self.source)?;
        }
        formatter.write_str(&self.message)
    }
}

/// Notes in the order in which they were made. The first [`Notes::LIMIT`] are kept, the others are counted: a file that
/// is something else altogether must not fill a screen or a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    kept: Vec<Note>,
    more: usize,
}

impl Notes {
    pub(crate) const LIMIT: usize = 100;

    pub(crate) fn push(&mut self, note: Note) {
        if self.kept.len() < Self::LIMIT {
            self.kept.push(note);
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn append(&mut self, other: Notes) {
        for note in other.kept {
            self.push(note);
        }
        self.more += other.more;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// True if the next one will only be counted.
    pub(crate) fn is_full(&self) -> bool {
        self.kept.len() >= Self::LIMIT
    }

    /// How many there are, those included that are not kept.
    pub(crate) fn len(&self) -> usize {
        self.kept.len() + self.more
    }

    /// Those that were kept.
    pub(crate) fn iter(&self) -> core::slice::Iter<'_, Note> {
        self.kept.iter()
    }

    /// How many were not kept.
    pub(crate) fn more(&self) -> usize {
        self.more
    }
}

/// One per line, without a line feed at the end.
impl fmt::Display for Notes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, note) in self.kept.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            note.fmt(formatter)?;
        }
        if self.more > 0 {
            write!(formatter, "\nand {} more", self.more)?;
        }
        Ok(())
    }
}

/// A configuration that cannot be used, printed as its mistakes, one per line.
#[derive(Debug)]
pub(crate) struct ConfigError {
    /// Never empty.
    pub(crate) problems: Notes,
    pub(crate) warnings: Notes,
    /// What would hold if the mistakes did not matter.
    pub(crate) effective: Vec<Effective>,
    /// The file that was read, if there was one.
    pub(crate) file: Option<PathBuf>,
}

impl ConfigError {
    /// `EX_CONFIG` of `sysexits.h`.
    pub(crate) const EXIT_CODE: u8 = 78;
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problems.fmt(formatter)
    }
}

impl core::error::Error for ConfigError {}
