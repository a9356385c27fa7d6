//! The help texts, made from the table of settings.

use core::fmt::Write as _;

use crate::arguments::commands::{self, CommandRow};
use crate::config::{KEYS, Key, Kind};

/// Flags that are no settings, with their help.
const OTHER_FLAGS: [(&str, &str); 3] = [
    ("--config PATH", "configuration file; without it the usual places are searched"),
    ("-h, --help", "print help"),
    ("--version", "print the version"),
];

/// The help text about the command of these words, or about the group that they begin, with a line feed at the end.
pub(crate) fn help(words: &str) -> String {
    match commands::row(words) {
        Some(row) => about_command(row),
        None => about_group(words),
    }
}

fn about_command(row: &CommandRow) -> String {
    let mut text = String::from(row.description);
    let _ = write!(text, "\nUsage: pipeops-agent {}", row.words);
    for operand in row.operands {
        let _ = write!(text, " {operand}");
    }
    text.push_str(" [FLAGS]\n\nFlags:\n");
    let mut rows: Vec<(String, String)> =
        row.switches.iter().map(|switch| (switch.name.to_owned(), switch.meaning.to_owned())).collect();
    match row.settings {
        Some(_) => rows.extend(flag_rows()),
        None => rows.push(("-h, --help".to_owned(), "print help".to_owned())),
    }
    push_rows(&mut text, &rows);
    if let Some(prefix) = row.settings {
        let heading = if row.settings == commands::FLAGS_ONLY {
            "Every setting, with its variable: pipeops-agent run --help"
        } else {
            "Settings of the configuration file; a variable beats the file, a flag beats both:"
        };
        let _ = writeln!(text, "\n{heading}");
        for key in KEYS.iter().filter(|key| key.path.starts_with(prefix)) {
            push_setting(&mut text, key);
        }
    }
    let _ = writeln!(text, "\nExit codes: {}.", row.exit_codes);
    text
}

fn about_group(words: &str) -> String {
    let mut text = String::new();
    if words.is_empty() {
        text.push_str("Joins a private Kubernetes cluster to the PipeOps control plane.\n\n");
        text.push_str("Usage: pipeops-agent [COMMAND] [FLAGS]\n");
    } else {
        let _ = writeln!(text, "Usage: pipeops-agent {words} COMMAND [FLAGS]");
    }
    text.push_str("\nCommands:\n");
    let rows: Vec<(String, String)> = commands::below(words)
        .map(|row| {
            (row.operands.iter().fold(row.words.to_owned(), |name, operand| format!("{name} {operand}")), row.meaning.to_owned())
        })
        .collect();
    push_rows(&mut text, &rows);
    if words.is_empty() {
        text.push_str("\nFlags:\n");
        push_rows(&mut text, &flag_rows());
        text.push_str("\nEvery setting, with its variable: pipeops-agent run --help\n");
    }
    text.push_str("\nA command's flags and exit codes: pipeops-agent COMMAND --help\n");
    text
}

pub(super) fn flag_rows() -> Vec<(String, String)> {
    let mut rows: Vec<(String, String)> = OTHER_FLAGS.map(|(flag, meaning)| (flag.to_owned(), meaning.to_owned())).into();
    for key in KEYS {
        let Some(flag) = key.flag else { continue };
        let name = match key.kind {
            Kind::Boolean => format!("{flag}[=BOOL]"),
            Kind::Path => format!("{flag} PATH"),
            Kind::Url | Kind::Proxy => format!("{flag} URL"),
            Kind::Choice(words) => format!("{flag} {}", words.join("|")),
            Kind::Text
            | Kind::Secret
            | Kind::Address
            | Kind::Integer { .. }
            | Kind::Duration { .. }
            | Kind::Seconds { .. }
            | Kind::Bytes { .. }
            | Kind::Pem
            | Kind::List(_)
            | Kind::Labels => format!("{flag} TEXT"),
        };
        rows.push((name, key.meaning.to_owned()));
    }
    rows
}

fn push_rows(text: &mut String, rows: &[(String, String)]) {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0).min(30);
    for (name, meaning) in rows {
        if name.len() > width {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {name}\n  {:width$}  {meaning}", "");
        } else {
            let _ = writeln!(text, "  {name:width$}  {meaning}");
        }
    }
}

fn push_setting(text: &mut String, key: &Key) {
    let _ = writeln!(text, "  {}\n      {}\n      {}", key.path, key.meaning, details(key));
}

/// What a value looks like, the default, and the variables.
pub(super) fn details(key: &Key) -> String {
    let mut text = key.kind.to_string();
    if let Some(default) = key.default {
        let _ = write!(text, "; default {default}");
    }
    if key.required_as.is_some() {
        text.push_str("; required");
    }
    if !key.environment.is_empty() {
        let _ = write!(text, "; {}", key.environment.join(", "));
    }
    text
}
