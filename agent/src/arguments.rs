//! The command line.

mod commands;
mod completions;
mod help;
mod manual;
#[cfg(test)]
mod tests;

use core::fmt;
use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser};

pub(crate) use commands::Command;
pub(crate) use completions::completions;
pub(crate) use help::help;
pub(crate) use manual::manual;

use crate::config::nearest::nearest;
use crate::config::{KEYS, Kind, Setting, ignored};
use commands::CommandRow;

/// What the command line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) command: Command,
    /// The configuration file that was named with `--config`.
    pub(crate) config: Option<PathBuf>,
    /// In the order given; of a repeated flag the last value counts.
    pub(crate) settings: Vec<FlagValue>,
    /// Flags of the previous agent that mean nothing here.
    pub(crate) ignored: Vec<&'static str>,
    /// The words behind the command, as many as it has operands.
    pub(crate) operands: Vec<String>,
    /// The flags of the command itself that were given.
    switches: Vec<&'static str>,
}

/// A setting that was given by a flag.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct FlagValue {
    pub(crate) setting: Setting,
    /// With its dashes.
    pub(crate) flag: &'static str,
    pub(crate) text: String,
}

/// Without the text, which may be a token.
impl fmt::Debug for FlagValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FlagValue").field("setting", &self.setting).field("flag", &self.flag).finish_non_exhaustive()
    }
}

/// Why a command line cannot be understood. Values are not repeated: one may be a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UsageError {
    UnknownFlag {
        flag: String,
        suggestion: Option<&'static str>,
    },
    UnknownCommand {
        command: String,
        suggestion: Option<&'static str>,
    },
    /// A second command or a stray word.
    UnexpectedArgument,
    /// A word that a command needs.
    MissingArgument(String),
    MissingValue(String),
    UnexpectedValue(String),
    NotUnicode(String),
    /// Completions are wanted for a shell that is not known.
    UnknownShell,
}

impl UsageError {
    /// `EX_USAGE` of `sysexits.h`.
    pub(crate) const EXIT_CODE: u8 = 64;
}

impl fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFlag { flag, suggestion } => {
                write!(formatter, "unknown flag {}", flag.escape_debug())?;
                write_suggestion(formatter, *suggestion)?;
            }
            Self::UnknownCommand { command, suggestion } => {
                write!(formatter, "unknown command \"{}\"", command.escape_debug())?;
                write_suggestion(formatter, *suggestion)?;
            }
            Self::UnexpectedArgument => formatter.write_str("an argument too many: values belong behind their flag")?,
            Self::MissingArgument(what) => write!(formatter, "{what} is missing")?,
            Self::MissingValue(flag) => write!(formatter, "{flag} needs a value")?,
            Self::UnexpectedValue(flag) => write!(formatter, "{flag} takes no value")?,
            Self::NotUnicode(flag) => write!(formatter, "the value of {flag} is not UTF-8")?,
            Self::UnknownShell => write!(formatter, "there are completions for {} only", completions::SHELLS.join(", "))?,
        }
        formatter.write_str("; see pipeops-agent --help")
    }
}

fn write_suggestion(formatter: &mut fmt::Formatter<'_>, suggestion: Option<&str>) -> fmt::Result {
    match suggestion {
        Some(word) => write!(formatter, ": did you mean {word}?"),
        None => Ok(()),
    }
}

impl core::error::Error for UsageError {}

impl Arguments {
    /// Reads the command line without the name of the program.
    pub(crate) fn parse<I>(words: I) -> Result<Arguments, UsageError>
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        let mut parser = Parser::from_args(words);
        let mut arguments = Arguments {
            command: Command::Run,
            config: None,
            settings: Vec::new(),
            ignored: Vec::new(),
            operands: Vec::new(),
            switches: Vec::new(),
        };
        let mut place = Place::default();
        while let Some(argument) = parser.next().map_err(|error| from_lexopt(&error))? {
            match argument {
                Arg::Long(name) => {
                    let flag = format!("--{name}");
                    if let Some(command) = arguments.take_flag(&flag, &place, &mut parser)? {
                        arguments.command = command;
                        return Ok(arguments);
                    }
                }
                Arg::Short('h') => {
                    arguments.command = Command::Help(place.words);
                    return Ok(arguments);
                }
                Arg::Short(letter) => {
                    return Err(UsageError::UnknownFlag { flag: format!("-{letter}"), suggestion: None });
                }
                Arg::Value(word) => match place.row().filter(|row| arguments.operands.len() < row.operands.len()) {
                    Some(_) => arguments.operands.push(word.into_string().map_err(|_| UsageError::UnexpectedArgument)?),
                    None => place.step(&word.to_string_lossy())?,
                },
            }
        }
        if place.helping {
            arguments.command = Command::Help(place.words);
        } else if let Some(row) = place.row() {
            if let Some(missing) = row.operands.get(arguments.operands.len()) {
                return Err(UsageError::MissingArgument((*missing).to_owned()));
            }
            arguments.command = row.command;
        } else if !place.words.is_empty() {
            return Err(UsageError::MissingArgument(commands::next_words(place.words).join(" or ")));
        }
        Ok(arguments)
    }

    /// Whether a flag of the command itself was given.
    pub(crate) fn has(&self, switch: &str) -> bool {
        self.switches.contains(&switch)
    }

    /// Takes a long flag and its value; gives a command if the flag stands for one.
    fn take_flag(&mut self, flag: &str, place: &Place, parser: &mut Parser) -> Result<Option<Command>, UsageError> {
        match flag {
            "--help" => return without_value(parser, flag, Command::Help(place.words)).map(Some),
            "--version" => return without_value(parser, flag, Command::Version).map(Some),
            "--config" => {
                self.config = Some(PathBuf::from(value(parser, flag)?));
                return Ok(None);
            }
            _ => {}
        }
        if let Some(switch) = place.switches().find(|switch| switch.name == flag) {
            self.switches.push(switch.name);
            return without_value(parser, flag, None);
        }
        if let Some((key, name)) = KEYS.iter().find_map(|key| key.flag.filter(|name| *name == flag).map(|name| (key, name))) {
            // As in Go, a truth value can only be attached with "=": "--in-cluster false" would be ambiguous.
            let text = if key.kind == Kind::Boolean {
                parser.optional_value().unwrap_or_else(|| "true".into())
            } else {
                value(parser, flag)?
            };
            let text = text.into_string().map_err(|_| UsageError::NotUnicode(flag.to_owned()))?;
            self.settings.push(FlagValue { setting: key.setting, flag: name, text });
            return Ok(None);
        }
        if let Some((name, takes_value)) = ignored::FLAGS.iter().find(|(name, _)| *name == flag) {
            if *takes_value {
                value(parser, flag)?;
            } else {
                parser.optional_value();
            }
            self.ignored.push(name);
            return Ok(None);
        }
        let known = KEYS.iter().filter_map(|key| key.flag).chain(["--config", "--help", "--version"]);
        let known = known.chain(place.switches().map(|switch| switch.name));
        Err(UsageError::UnknownFlag { flag: flag.to_owned(), suggestion: nearest(flag, known) })
    }
}

/// How far the words of the command have been read.
#[derive(Default)]
struct Place {
    /// The words of a command, or of the group that they begin.
    words: &'static str,
    /// Behind `help`: the words say what help is wanted about.
    helping: bool,
}

impl Place {
    /// The command, once its words are complete; not behind `help`, where no operand follows.
    fn row(&self) -> Option<&'static CommandRow> {
        commands::row(self.words).filter(|_| !self.helping)
    }

    /// The flags that belong to the command here, or to those of the group.
    fn switches(&self) -> impl Iterator<Item = &'static commands::Switch> {
        let group = commands::below(self.words).filter(|_| !self.words.is_empty());
        self.row().into_iter().chain(group).flat_map(|row| row.switches)
    }

    /// Takes the next word of a command.
    fn step(&mut self, word: &str) -> Result<(), UsageError> {
        if self.words.is_empty() && !self.helping && word == "help" {
            self.helping = true;
            return Ok(());
        }
        let next = commands::next_words(self.words);
        if next.is_empty() {
            return Err(UsageError::UnexpectedArgument);
        }
        let longer = if self.words.is_empty() { word.to_owned() } else { format!("{} {word}", self.words) };
        let known = commands::COMMANDS.iter().find_map(|row| {
            let rest = row.words.strip_prefix(&*longer)?;
            (rest.is_empty() || rest.starts_with(' ')).then(|| row.words.get(..longer.len()))?
        });
        match known {
            Some(words) => self.words = words,
            None => {
                let suggestion = nearest(word, next);
                return Err(UsageError::UnknownCommand { command: word.chars().take(64).collect(), suggestion });
            }
        }
        Ok(())
    }
}

fn from_lexopt(error: &lexopt::Error) -> UsageError {
    if let lexopt::Error::UnexpectedValue { option, .. } = error {
        return UsageError::UnexpectedValue(option.clone());
    }
    UsageError::UnexpectedArgument
}

/// The value behind `=`, else the next word.
fn value(parser: &mut Parser, flag: &str) -> Result<OsString, UsageError> {
    parser.value().map_err(|_| UsageError::MissingValue(flag.to_owned()))
}

fn without_value<T>(parser: &mut Parser, flag: &str, meaning: T) -> Result<T, UsageError> {
    match parser.optional_value() {
        None => Ok(meaning),
        Some(_) => Err(UsageError::UnexpectedValue(flag.to_owned())),
    }
}
