//! Writes log records to standard error: JSON lines for machines, text for people.
//!
//! The level in force is that of [`log::max_level`]. Records of other crates are dropped at every level: they are written for the
//! authors of those crates, and some of them hold whole messages with the bodies in them. What goes over the wires is told by
//! [`traffic`] instead. Every message and every text among the fields goes through [`mask`], since any of them may repeat what came
//! from outside, and is cut to a length.
//!
//! A record is one write to standard error, and the write waits for the reader. A reader that stops altogether stops the agent
//! once the pipe is full (64 KiB, which is hours at INFO): the alternative is to lose the lines that would tell why.

mod journal;
mod json;
mod known;
mod mask;
mod text;
pub(crate) mod traffic;

use std::borrow::Cow;
use std::io::Write as _;
use std::time::SystemTime;

use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};

pub(crate) use json::push_text as push_json_text;
pub(crate) use known::remember;
pub(crate) use mask::mask;

/// The longest text of one field.
const LONGEST: usize = 2 * 1024;
/// The same at TRACE, where messages are shown.
const LONGEST_TRACE: usize = 16 * 1024;
/// More of a text is not even searched for secrets.
const LONGEST_SEARCH: usize = 64 * 1024;

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Text,
}

/// Installs the logger for the life of the process. Fails if there is one already.
pub(crate) fn init(level: LevelFilter, format: Format) -> Result<(), SetLoggerError> {
    let logger: Box<dyn Log> = match format {
        Format::Json => Box::new(JsonLogger),
        Format::Text => Box::new(text::TextLogger::new(journal::reads_standard_error())),
    };
    log::set_boxed_logger(logger)?;
    set_level(level);
    Ok(())
}

/// Changes the level from now on.
pub(crate) fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}

/// One JSON object per line on standard error.
struct JsonLogger;

impl Log for JsonLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_wanted(metadata.target(), metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if is_wanted(origin(record), record.metadata()) {
            let line = json::line(record, SystemTime::now());
            // One call, so that lines of several threads do not mix. When nobody reads any more there is nothing to do.
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
        }
    }

    fn flush(&self) {}
}

/// The line of a record as it is written by default.
#[cfg(test)]
pub(crate) fn json_line(record: &Record<'_>) -> String {
    json::line(record, SystemTime::now())
}

/// The module a record comes from, else its target.
fn origin<'record>(record: &Record<'record>) -> &'record str {
    record.module_path().unwrap_or_else(|| record.target())
}

fn is_wanted(module: &str, metadata: &Metadata<'_>) -> bool {
    metadata.level() <= log::max_level() && is_ours(module)
}

/// What may be written of a text from outside: without secrets, and not too much of it.
fn presentable(text: &str) -> Cow<'_, str> {
    let longest = if log::max_level() == LevelFilter::Trace { LONGEST_TRACE } else { LONGEST };
    let masked = mask(beginning(text, LONGEST_SEARCH));
    if masked.len() <= longest {
        return masked;
    }
    Cow::Owned(format!("{}\u{2026} <{} bytes in all>", beginning(&masked, longest), text.len()))
}

fn beginning(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let end = (0..=most).rev().find(|index| text.is_char_boundary(*index)).unwrap_or_default();
    text.get(..end).unwrap_or_default()
}

/// True for modules of this crate and of crates whose names begin with its name.
fn is_ours(module: &str) -> bool {
    let own = module_path!().split("::").next().unwrap_or_default();
    module.starts_with(own)
}

#[cfg(test)]
mod tests {
    use log::Level;

    use super::*;

    #[test]
    fn records_of_other_crates_are_dropped() {
        assert!(is_ours(module_path!()));
        for module in ["rustls::client", "tungstenite::protocol", "hyper", ""] {
            assert!(!is_ours(module), "{module}");
        }
    }

    #[test]
    fn a_record_that_is_not_wanted_costs_nothing() {
        let mut made = 0;
        let mut field = || {
            made += 1;
            "x".repeat(made)
        };
        // No test of this program raises the level to TRACE.
        assert!(!log::log_enabled!(Level::Trace));
        log::trace!(text = field(); "message");
        assert_eq!(made, 0, "the fields of a record that is dropped are not even made");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = "\u{e9}".repeat(5000);
        let shown = presentable(&text);
        assert!(shown.len() < LONGEST + 40 && shown.ends_with("\u{2026} <10000 bytes in all>"), "{shown}");
        assert!(matches!(presentable("short"), Cow::Borrowed("short")));
    }
}
