//! One record as one JSON object.

use core::fmt::Write as _;
use std::time::SystemTime;

use log::kv::{Error, Key, Value, VisitSource, VisitValue};
use log::{Level, Record};

use crate::logger::mask::is_secret_name;
use crate::logger::presentable;
use crate::secret::MASK;

/// The whole line: `level`, `msg`, `time`, then the fields in the order given, then a line feed. Fields without a value are left
/// out.
pub(super) fn line(record: &Record<'_>, time: SystemTime) -> String {
    let mut line = String::with_capacity(256);
    line.push_str("{\"level\":\"");
    line.push_str(level_name(record.level()));
    line.push_str("\",\"msg\":");
    match record.args().as_str() {
        Some(text) => push_text(&mut line, &presentable(text)),
        None => push_text(&mut line, &presentable(&record.args().to_string())),
    }
    // Writing to a String cannot fail.
    let _ = write!(line, ",\"time\":\"{}\"", humantime::format_rfc3339_millis(time));
    let _ = record.key_values().visit(&mut Fields { line: &mut line });
    line.push_str("}\n");
    line
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// True for the value of an `Option` that is `None`.
pub(super) fn is_empty(value: &Value<'_>) -> bool {
    struct Empty(bool);
    impl<'value> VisitValue<'value> for Empty {
        fn visit_any(&mut self, _: Value<'_>) -> Result<(), Error> {
            Ok(())
        }
        fn visit_null(&mut self) -> Result<(), Error> {
            self.0 = true;
            Ok(())
        }
    }
    let mut empty = Empty(false);
    let _ = value.visit(&mut empty);
    empty.0
}

struct Fields<'line> {
    line: &'line mut String,
}

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let name = key.as_str();
        if is_empty(&value) {
            return Ok(());
        }
        self.line.push(',');
        if matches!(name, "level" | "msg" | "time") {
            push_text(self.line, &format!("fields.{name}"));
        } else {
            push_text(self.line, name);
        }
        self.line.push(':');
        value.visit(FieldValue { line: self.line, secret: is_secret_name(name) })
    }
}

/// Writes one value; numbers and truth values stay what they are.
struct FieldValue<'line> {
    line: &'line mut String,
    /// The name of the field says that its text must not be shown.
    secret: bool,
}

impl FieldValue<'_> {
    fn push(&mut self, value: impl core::fmt::Display) -> Result<(), Error> {
        let _ = write!(self.line, "{value}");
        Ok(())
    }
}

impl<'value> VisitValue<'value> for FieldValue<'_> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), Error> {
        self.visit_str(&value.to_string())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), Error> {
        self.push(value)
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), Error> {
        self.push(value)
    }

    fn visit_u128(&mut self, value: u128) -> Result<(), Error> {
        self.push(value)
    }

    fn visit_i128(&mut self, value: i128) -> Result<(), Error> {
        self.push(value)
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), Error> {
        // JSON has no infinity and no NaN.
        if value.is_finite() { self.push(value) } else { self.visit_str(&value.to_string()) }
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), Error> {
        self.push(value)
    }

    fn visit_str(&mut self, value: &str) -> Result<(), Error> {
        if self.secret {
            push_text(self.line, MASK);
        } else {
            push_text(self.line, &presentable(value));
        }
        Ok(())
    }

    fn visit_char(&mut self, value: char) -> Result<(), Error> {
        self.visit_str(value.encode_utf8(&mut [0; 4]))
    }
}

/// A JSON string. Besides what JSON asks for, everything is escaped that a terminal or a line reader could act on:
/// DEL, the C1 controls, and the line separators U+2028 and U+2029.
pub(crate) fn push_text(line: &mut String, text: &str) {
    line.push('"');
    for character in text.chars() {
        match character {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(line, "\\u{:04x}", u32::from(character));
            }
            character => line.push(character),
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn written(message: &str, level: Level, fields: &[(&str, Value<'_>)]) -> String {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_007);
        line(&Record::builder().args(format_args!("{message}")).level(level).key_values(&fields).build(), time)
    }

    #[test]
    fn the_three_keys_come_first_and_fields_keep_order_and_kind() {
        let fields = [
            ("zebra", Value::from(1_i32)),
            ("apple", Value::from(true)),
            ("ratio", Value::from(0.5_f64)),
            ("odd", Value::from(f64::NAN)),
            ("negative", Value::from(-3_i64)),
            ("nothing", Value::null()),
            ("letter", Value::from('x')),
            ("name", Value::from("y")),
            ("shown", Value::from_display(&"1")),
            ("debug", Value::from_debug(&Some("z"))),
        ];
        assert_eq!(
            written("hello", Level::Warn, &fields),
            "{\"level\":\"warning\",\"msg\":\"hello\",\"time\":\"2023-11-14T22:13:20.007Z\",\"zebra\":1,\"apple\":true,\
             \"ratio\":0.5,\"odd\":\"NaN\",\"negative\":-3,\"letter\":\"x\",\"name\":\"y\",\
             \"shown\":\"1\",\"debug\":\"Some(\\\"z\\\")\"}\n"
        );
    }

    #[test]
    fn fields_cannot_take_the_place_of_the_three_keys() {
        let fields = [("level", Value::from("x")), ("msg", Value::from(2)), ("time", Value::from(false))];
        let line = written("m", Level::Error, &fields);
        assert!(line.ends_with(",\"fields.level\":\"x\",\"fields.msg\":2,\"fields.time\":false}\n"), "{line}");
    }

    #[test]
    fn levels_have_their_traditional_names() {
        let names = [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace].map(level_name);
        assert_eq!(names, ["error", "warning", "info", "debug", "trace"]);
    }

    #[test]
    fn nothing_that_acts_on_a_terminal_survives() {
        let line = written("a\"\\\n\r\t\u{0}\u{1b}[2J\u{7f}\u{9b}\u{2028}\u{2029}\u{e9}", Level::Info, &[]);
        assert!(line.contains("\"a\\\"\\\\\\n\\r\\t\\u0000\\u001b[2J\\u007f\\u009b\\u2028\\u2029\u{e9}\""), "{line}");
        assert_eq!(line.chars().filter(|character| character.is_control()).count(), 1);
    }

    #[test]
    fn secrets_are_masked_in_messages_and_fields() {
        let fields = [
            ("url", Value::from("wss://a/ws?token=canary1&x=1")),
            ("token", Value::from("canary2")),
            ("token_source", Value::from("file")),
            ("has_token", Value::from(true)),
            ("header", Value::from_display(&"Authorization: Bearer canary3")),
        ];
        let line = written("sent {\"k8s_service_token\":\"canary4\"}", Level::Trace, &fields);
        assert!(!line.contains("canary"), "{line}");
        for kept in ["wss://a/ws?token=***&x=1", "\"token_source\":\"file\"", "\"has_token\":true"] {
            assert!(line.contains(kept), "{line}");
        }
    }
}
