//! The command line.

mod help;
#[cfg(test)]
mod tests;

use core::fmt;
use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser};

pub(crate) use help::help;

use crate::config::nearest::nearest;
use crate::config::{KEYS, Kind, Setting, ignored};

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
    /// What `policy explain` is asked about.
    pub(crate) question: Question,
}

/// A request that the control plane might send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) method: String,
    /// A path of the Kubernetes API or a `service://` address, with or without a query.
    pub(crate) target: String,
    /// Whether it asks for another protocol.
    pub(crate) upgrade: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Run,
    Version,
    /// Say what the policy makes of [`Arguments::question`].
    ExplainPolicy,
    Help(Topic),
}

/// What help is wanted about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    General,
    Run,
    Version,
    Policy,
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
    MissingArgument(&'static str),
    MissingValue(String),
    UnexpectedValue(String),
    NotUnicode(String),
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

/// The commands with their help.
const COMMANDS: [(&str, Command, Topic, &str); 4] = [
    ("run", Command::Run, Topic::Run, "join the cluster to the control plane; this is the default"),
    ("policy", Command::ExplainPolicy, Topic::Policy, "say what the control plane may do: policy explain METHOD PATH"),
    ("version", Command::Version, Topic::Version, "print the version"),
    ("help", Command::Help(Topic::General), Topic::General, "print this help, or that of a command"),
];

/// The words behind `policy`.
const EXPLAIN: [&str; 3] = ["explain", "METHOD", "PATH"];

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
            question: Question::default(),
        };
        let mut topic: Option<Topic> = None;
        let mut words: Vec<String> = Vec::new();
        while let Some(argument) = parser.next().map_err(|error| from_lexopt(&error))? {
            match argument {
                Arg::Long(name) => {
                    let flag = format!("--{name}");
                    if let Some(command) = arguments.take_flag(&flag, topic, &mut parser)? {
                        arguments.command = command;
                        return Ok(arguments);
                    }
                }
                Arg::Short('h') => {
                    arguments.command = Command::Help(topic.unwrap_or(Topic::General));
                    return Ok(arguments);
                }
                Arg::Short(letter) => {
                    return Err(UsageError::UnknownFlag { flag: format!("-{letter}"), suggestion: None });
                }
                Arg::Value(word) if arguments.command == Command::ExplainPolicy && words.len() < EXPLAIN.len() => {
                    words.push(word.into_string().map_err(|_| UsageError::UnexpectedArgument)?);
                    if words.len() == 1 && words.iter().any(|word| word != "explain") {
                        let word = words.swap_remove(0);
                        let suggestion = nearest(&word, ["explain"]);
                        return Err(UsageError::UnknownCommand { command: word.chars().take(64).collect(), suggestion });
                    }
                }
                Arg::Value(word) => topic = Some(arguments.take_word(&word.to_string_lossy(), topic)?),
            }
        }
        if arguments.command == Command::ExplainPolicy {
            if let Some(missing) = EXPLAIN.get(words.len()) {
                return Err(UsageError::MissingArgument(missing));
            }
            let mut words = words.into_iter().skip(1);
            arguments.question.method = words.next().unwrap_or_default();
            arguments.question.target = words.next().unwrap_or_default();
        }
        Ok(arguments)
    }

    /// Takes a long flag and its value; gives a command if the flag stands for one.
    fn take_flag(&mut self, flag: &str, topic: Option<Topic>, parser: &mut Parser) -> Result<Option<Command>, UsageError> {
        match flag {
            "--help" => {
                return without_value(parser, flag, Command::Help(topic.unwrap_or(Topic::General))).map(Some);
            }
            "--version" => return without_value(parser, flag, Command::Version).map(Some),
            "--config" => {
                self.config = Some(PathBuf::from(value(parser, flag)?));
                return Ok(None);
            }
            "--upgrade" if self.command == Command::ExplainPolicy => {
                self.question.upgrade = true;
                return without_value(parser, flag, None);
            }
            _ => {}
        }
        if let Some((key, name)) = KEYS.iter().find_map(|key| key.flag.filter(|name| *name == flag).map(|name| (key, name))) {
            // As in Go, a truth value can only be attached with "=": "--in-cluster false" would be ambiguous.
            let text = match key.kind {
                Kind::Boolean => parser.optional_value().unwrap_or_else(|| "true".into()),
                Kind::Text
                | Kind::Secret
                | Kind::Url
                | Kind::Path
                | Kind::Integer { .. }
                | Kind::Duration { .. }
                | Kind::Seconds { .. }
                | Kind::Bytes { .. }
                | Kind::Choice(_)
                | Kind::Pem
                | Kind::List(_)
                | Kind::Labels => value(parser, flag)?,
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
        Err(UsageError::UnknownFlag { flag: flag.to_owned(), suggestion: nearest(flag, known) })
    }

    /// Takes a word that is no flag: the command, or after `help` the command to explain.
    fn take_word(&mut self, word: &str, topic: Option<Topic>) -> Result<Topic, UsageError> {
        let explaining = matches!(self.command, Command::Help(_));
        if topic.is_some_and(|topic| topic != Topic::General || !explaining) {
            return Err(UsageError::UnexpectedArgument);
        }
        let Some((_, command, topic, _)) = COMMANDS.iter().find(|(name, ..)| *name == word) else {
            let suggestion = nearest(word, COMMANDS.iter().map(|(name, ..)| *name));
            return Err(UsageError::UnknownCommand { command: word.chars().take(64).collect(), suggestion });
        };
        self.command = if explaining { Command::Help(*topic) } else { *command };
        Ok(*topic)
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
