//! The answers of `config check` and `config show`.

use core::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use crate::arguments::Arguments;
use crate::config::{Config, ConfigError, Disk, Effective, Features, Notes, ProcessEnvironment};
use crate::logger::push_json_text;
use crate::start;

/// Widest column of values; a longer one pushes its origin to the right.
const VALUE_COLUMN: usize = 40;

/// What a command has to say, and where.
#[derive(Debug, Default)]
pub(crate) struct Report {
    output: String,
    complaints: String,
    valid: bool,
}

impl Report {
    /// Writes both, the complaints last, and gives the exit code.
    pub(crate) fn write(&self) -> ExitCode {
        let written = std::io::stdout().write_all(self.output.as_bytes());
        // Where standard error is gone there is nobody to tell.
        let _ = std::io::stderr().write_all(self.complaints.as_bytes());
        match written {
            _ if !self.valid => ExitCode::from(ConfigError::EXIT_CODE),
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        }
    }
}

/// What the configuration comes to, valid or not.
struct Outcome {
    effective: Vec<Effective>,
    /// One line each.
    problems: Vec<String>,
    warnings: Notes,
    /// How many problems there are, which may be more than those listed.
    count: usize,
    file: String,
}

impl Outcome {
    fn load(arguments: &Arguments, features: Features) -> Outcome {
        match Config::load(arguments, &ProcessEnvironment, &Disk, features) {
            Ok((config, warnings)) => {
                let problems: Vec<String> = start::rehearse(&config).iter().map(start::StartError::text).collect();
                let (count, file) = (problems.len(), file_name(config.file.as_deref()));
                Outcome { effective: config.effective().to_vec(), problems, warnings, count, file }
            }
            Err(error) => Outcome {
                effective: error.effective,
                problems: error.problems.to_string().lines().map(str::to_owned).collect(),
                warnings: error.warnings,
                count: error.problems.len(),
                file: file_name(error.file.as_deref()),
            },
        }
    }

    /// Problems, warnings, and a last line that counts the problems if there are any.
    fn complaints(&self) -> String {
        let mut text = String::new();
        for problem in &self.problems {
            text.push_str(problem);
            text.push('\n');
        }
        for warning in self.warnings.iter() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "warning: {warning}");
        }
        if self.warnings.more() > 0 {
            let _ = writeln!(text, "warning: and {} more", self.warnings.more());
        }
        if self.count > 0 {
            let _ = writeln!(text, "not valid: {} ({})", counted(self.count, "problem"), self.file);
        }
        text
    }
}

/// `config check`.
pub(crate) fn check(arguments: &Arguments, features: Features) -> Report {
    let outcome = Outcome::load(arguments, features);
    let mut report = Report { complaints: outcome.complaints(), valid: outcome.count == 0, ..Report::default() };
    if report.valid {
        let warnings = match outcome.warnings.len() {
            0 => String::new(),
            number => format!(", with {}", counted(number, "warning")),
        };
        report.output = format!("ok: the configuration is valid{warnings} ({})\n", outcome.file);
    }
    report
}

/// `config show`.
pub(crate) fn show(arguments: &Arguments, features: Features) -> Report {
    let outcome = Outcome::load(arguments, features);
    let valid = outcome.count == 0;
    if arguments.has("--json") {
        return Report { output: json(&outcome), complaints: String::new(), valid };
    }
    Report { output: table(&outcome), complaints: outcome.complaints(), valid }
}

fn table(outcome: &Outcome) -> String {
    let names = outcome.effective.iter().map(|row| row.key.path.len()).max().unwrap_or_default();
    let rows: Vec<(&Effective, String)> = outcome.effective.iter().map(|row| (row, shown(row.text.as_deref()))).collect();
    let length = |value: &String| value.chars().count();
    let values = rows.iter().map(|(_, value)| length(value)).filter(|width| *width <= VALUE_COLUMN).max().unwrap_or_default();
    let mut text = format!("# {}\n", outcome.file);
    for (row, value) in &rows {
        let source = if row.text.is_some() { row.source.to_string() } else { String::new() };
        let line = format!("{:names$}  {value:values$}  {source}", row.key.path);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn json(outcome: &Outcome) -> String {
    let mut text = String::from("{\"settings\":[");
    for (index, row) in outcome.effective.iter().enumerate() {
        text.push_str(if index > 0 { ",\n{\"key\":" } else { "\n{\"key\":" });
        push_json_text(&mut text, row.key.path);
        text.push_str(",\"value\":");
        match &row.text {
            Some(value) => push_json_text(&mut text, value),
            None => text.push_str("null"),
        }
        text.push_str(",\"source\":");
        push_json_text(&mut text, &row.source.to_string());
        text.push('}');
    }
    text.push_str("],\n\"problems\":[");
    push_texts(&mut text, outcome.problems.iter().cloned());
    text.push_str("],\n\"warnings\":[");
    push_texts(&mut text, outcome.warnings.iter().map(ToString::to_string));
    text.push_str("],\n\"file\":");
    push_json_text(&mut text, &outcome.file);
    text.push_str("}\n");
    text
}

fn push_texts(text: &mut String, items: impl Iterator<Item = String>) {
    for (index, item) in items.enumerate() {
        if index > 0 {
            text.push(',');
        }
        push_json_text(text, &item);
    }
}

/// A value for a terminal: nothing that it would act on.
fn shown(value: Option<&str>) -> String {
    let Some(value) = value else { return "(unset)".to_owned() };
    let mut text = String::new();
    for character in value.chars() {
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text
}

fn file_name(file: Option<&Path>) -> String {
    match file {
        Some(path) => format!("file: {}", path.display()),
        None => "no configuration file".to_owned(),
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
