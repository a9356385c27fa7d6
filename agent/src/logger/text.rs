//! Records as text for people.

use core::fmt::Write as _;
use std::io::Write as _;
use std::time::SystemTime;

use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, Log, Metadata, Record};
use simple_logger::SimpleLogger;

use crate::logger::json::is_empty;
use crate::logger::mask::is_secret_name;
use crate::logger::{is_wanted, origin, presentable};
use crate::secret::MASK;

/// Adds to [`SimpleLogger`] what it lacks: the time, the fields, and peace when standard error is closed.
pub(super) struct TextLogger {
    inner: SimpleLogger,
    /// The journal knows the time, and wants to know the level.
    journal: bool,
}

impl TextLogger {
    pub(super) fn new(journal: bool) -> TextLogger {
        TextLogger { inner: SimpleLogger::new(), journal }
    }
}

impl Log for TextLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_wanted(metadata.target(), metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !is_wanted(origin(record), record.metadata()) {
            return;
        }
        let message = message(record);
        // SimpleLogger panics if it cannot write, so the beginning goes first, by our own hand: when that fails, the record
        // is dropped. The lock is reentrant and keeps both halves of the line together.
        let mut standard_error = std::io::stderr().lock();
        let beginning = if self.journal {
            write!(standard_error, "<{}>", priority(record.level()))
        } else {
            write!(standard_error, "{} ", humantime::format_rfc3339_millis(SystemTime::now()))
        };
        if beginning.is_err() {
            return;
        }
        self.inner.log(
            &Record::builder()
                .metadata(record.metadata().clone())
                .args(format_args!("{message}"))
                .module_path(record.module_path())
                .build(),
        );
    }

    fn flush(&self) {}
}

/// The level as syslog and the journal count them.
const fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// The message with the fields behind it as `name=value`, on one line.
fn message(record: &Record<'_>) -> String {
    let mut text = String::with_capacity(128);
    push_visible(&mut text, &presentable(&record.args().to_string()));
    let _ = record.key_values().visit(&mut Fields { text: &mut text });
    text
}

struct Fields<'text> {
    text: &'text mut String,
}

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        if is_empty(&value) {
            return Ok(());
        }
        let shown = value.to_string();
        let shown = if is_secret_name(key.as_str()) { MASK.into() } else { presentable(&shown) };
        // Writing to a String cannot fail.
        let _ = write!(self.text, " {key}=");
        if shown.is_empty() || shown.contains(|character: char| character.is_whitespace() || character == '"') {
            let _ = write!(self.text, "{shown:?}");
        } else {
            push_visible(self.text, &shown);
        }
        Ok(())
    }
}

/// Control characters and line separators as escapes, the rest as it is.
fn push_visible(text: &mut String, addition: &str) {
    for character in addition.chars() {
        if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
            text.extend(character.escape_debug());
        } else {
            text.push(character);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_follow_the_message_on_one_line() {
        let fields: &[(&str, Value<'_>)] = &[
            ("port", Value::from(8080)),
            ("error", Value::from("no \"route\" to host\n")),
            ("token", Value::from("canary")),
            ("empty", Value::from("")),
        ];
        let text = message(&Record::builder().args(format_args!("a\nb \u{1b}[1m token=canary")).key_values(&fields).build());
        assert_eq!(text, "a\\nb \\u{1b}[1m token=*** port=8080 error=\"no \\\"route\\\" to host\\n\" token=*** empty=\"\"");
    }
}
