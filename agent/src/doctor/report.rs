//! What the doctor says, line by line, and what of it becomes the exit code.

use miniserde::json::{self, Array, Object, Value};

use crate::logger::mask;
use crate::version::VERSION;

/// The column in which what was seen begins.
const NAME_WIDTH: usize = 20;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    /// Nothing that the agent needs, but worth knowing.
    Info,
    /// The agent works, with less than it could have, or not for long.
    Warn,
    Fail,
    /// Not looked at, because of something else.
    Skip,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
            Self::Skip => "SKIP",
        }
    }

    const fn colour(self) -> &'static str {
        match self {
            Self::Pass => "32",
            Self::Info | Self::Skip => "2",
            Self::Warn => "33",
            Self::Fail => "31",
        }
    }
}

/// What a check is called: for programs, and for people.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
}

const fn check(id: &'static str, name: &'static str) -> Check {
    Check { id, name }
}

pub(super) static CONFIGURATION: Check = check("configuration", "configuration");
pub(super) static CLOCK: Check = check("clock", "clock");
pub(super) static DNS: Check = check("dns", "DNS");
pub(super) static PROXY: Check = check("proxy", "proxy");
pub(super) static TCP: Check = check("tcp", "TCP");
pub(super) static TLS: Check = check("tls", "TLS");
pub(super) static UPGRADE: Check = check("upgrade", "WebSocket");
pub(super) static TOKEN: Check = check("token", "token");
pub(super) static TIME_DIFFERENCE: Check = check("time_difference", "time difference");
pub(super) static IDLE: Check = check("idle", "idle connection");
pub(super) static CLUSTER_ACCESS: Check = check("cluster_access", "cluster access");
pub(super) static KUBERNETES: Check = check("kubernetes", "Kubernetes API");
pub(super) static RIGHTS: Check = check("rights", "rights needed");
pub(super) static EXCESS: Check = check("excess_rights", "rights not needed");
pub(super) static EXEC: Check = check("exec", "commands in pods");
pub(super) static STATE: Check = check("state", "state");
pub(super) static GATEWAY: Check = check("gateway", "gateway");
pub(super) static STORAGE_CLASS: Check = check("storage_class", "storage class");
pub(super) static HELM: Check = check("helm", "Helm");
pub(super) static MONITORING_CRDS: Check = check("monitoring_crds", "monitoring CRDs");
pub(super) static MONITORING_NAMESPACE: Check = check("monitoring_namespace", "monitoring namespace");
pub(super) static MEMORY: Check = check("memory", "memory");
pub(super) static OPEN_FILES: Check = check("open_files", "open files");
pub(super) static ENVIRONMENT: Check = check("environment", "environment");

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) seen: String,
    /// The commands and settings that mend it, one a line, the first one first.
    pub(super) cure: Vec<String>,
}

impl Finding {
    pub(super) fn new(verdict: Verdict, seen: impl Into<String>) -> Self {
        Self { verdict, seen: seen.into(), cure: Vec::new() }
    }

    pub(super) fn pass(seen: impl Into<String>) -> Self {
        Self::new(Verdict::Pass, seen)
    }

    pub(super) fn warn(seen: impl Into<String>) -> Self {
        Self::new(Verdict::Warn, seen)
    }

    pub(super) fn fail(seen: impl Into<String>) -> Self {
        Self::new(Verdict::Fail, seen)
    }

    pub(super) fn skip(why: impl Into<String>) -> Self {
        Self::new(Verdict::Skip, why)
    }

    /// Adds a line to the cure.
    pub(super) fn cure(mut self, line: impl Into<String>) -> Self {
        self.cure.push(line.into());
        self
    }

    pub(super) fn has_failed(&self) -> bool {
        self.verdict == Verdict::Fail
    }
}

/// Writes each finding as soon as it is known, or all of them at the end as one JSON object.
pub(super) struct Report<'out> {
    /// Takes whole lines.
    out: &'out mut dyn FnMut(&str),
    json: bool,
    colour: bool,
    /// For JSON.
    checks: Array,
    failed: usize,
    warned: usize,
    /// What to say first about how to mend things, once that is a failure.
    first: Option<(Verdict, String)>,
}

impl<'out> Report<'out> {
    pub(super) fn new(out: &'out mut dyn FnMut(&str), json: bool, colour: bool) -> Self {
        let mut report = Self { out, json, colour, checks: Array::new(), failed: 0, warned: 0, first: None };
        if !json {
            report.write(&format!("pipeops-agent {VERSION} checks this machine, the control plane and the cluster\n\n"));
        }
        report
    }

    /// Whether nothing has failed so far.
    pub(super) fn has_failed(&self) -> bool {
        self.failed > 0
    }

    pub(super) fn add(&mut self, check: &Check, finding: Finding) {
        let Finding { verdict, seen, cure } = finding;
        match verdict {
            Verdict::Fail => self.failed += 1,
            Verdict::Warn => self.warned += 1,
            Verdict::Pass | Verdict::Info | Verdict::Skip => {}
        }
        let rank = |verdict| match verdict {
            Verdict::Fail => 2,
            Verdict::Warn => 1,
            Verdict::Pass | Verdict::Info | Verdict::Skip => 0,
        };
        if rank(verdict) > self.first.as_ref().map_or(0, |(first, _)| rank(*first)) {
            self.first = Some((verdict, check.name.to_owned()));
        }
        let seen = shown(&mask(&seen));
        // Words of this program about settings, which may look like secrets and are none.
        let cure: Vec<String> = cure.iter().map(|line| shown(line)).collect();
        if self.json {
            let text = |text: &str| Value::String(text.to_owned());
            let mut object = Object::new();
            object.insert("id".into(), text(check.id));
            object.insert("name".into(), text(check.name));
            object.insert("result".into(), text(&verdict.word().to_ascii_lowercase()));
            object.insert("seen".into(), text(&seen));
            object.insert("cure".into(), text(&cure.join("\n")));
            self.checks.push(Value::Object(object));
            return;
        }
        let word = verdict.word();
        let word = if self.colour { format!("\x1b[{}m{word}\x1b[0m", verdict.colour()) } else { word.to_owned() };
        let indent = format!("\n{:1$}", "", NAME_WIDTH + 8);
        let mut lines = format!("{word}  {:NAME_WIDTH$}  {}", check.name, seen.replace('\n', &indent));
        for line in &cure {
            lines.push_str(&indent);
            lines.push_str("-> ");
            lines.push_str(line);
        }
        lines.push('\n');
        self.write(&lines);
    }

    /// Writes the end.
    pub(super) fn finish(mut self) {
        if self.json {
            let result = if self.failed > 0 {
                "fail"
            } else if self.warned > 0 {
                "warn"
            } else {
                "pass"
            };
            let mut object = Object::new();
            object.insert("version".into(), Value::String(VERSION.into()));
            object.insert("result".into(), Value::String(result.into()));
            object.insert("checks".into(), Value::Array(core::mem::take(&mut self.checks)));
            let text = json::to_string(&object);
            self.write(&format!("{text}\n"));
            return;
        }
        let warnings = if self.warned == 1 { "1 warning".to_owned() } else { format!("{} warnings", self.warned) };
        let line = match &self.first {
            None => "All is well.".to_owned(),
            Some((_, name)) if self.failed > 0 => format!("{} failed, {warnings}. The first thing to cure: {name}.", self.failed),
            Some((_, name)) => format!("Nothing failed, {warnings}: look at {name}."),
        };
        self.write(&format!("\n{line}\n"));
    }

    fn write(&mut self, text: &str) {
        (self.out)(text);
    }
}

/// A text from anywhere, fit for a terminal: no control characters, not endless.
fn shown(text: &str) -> String {
    const MOST: usize = 2000;
    let mut shown: String =
        text.chars().take(MOST).map(|sign| if sign.is_control() && sign != '\n' { ' ' } else { sign }).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(json: bool, findings: &[(&Check, Finding)]) -> String {
        written_with(json, false, findings)
    }

    fn written_with(json: bool, colour: bool, findings: &[(&Check, Finding)]) -> String {
        let mut text = String::new();
        let mut out = |lines: &str| text.push_str(lines);
        let mut report = Report::new(&mut out, json, colour);
        for (check, finding) in findings {
            report.add(check, finding.clone());
        }
        report.finish();
        text
    }

    #[test]
    fn a_check_is_a_line_and_its_cure_stands_below() {
        let text = written(
            false,
            &[
                (&CLOCK, Finding::pass("fine")),
                (&DNS, Finding::warn("slow").cure("be patient")),
                (&TCP, Finding::fail("refused\nby 192.0.2.1").cure("open it").cure("or not")),
            ],
        );
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "PASS  clock                 fine",
                "WARN  DNS                   slow",
                "                            -> be patient",
                "FAIL  TCP                   refused",
                "                            by 192.0.2.1",
                "                            -> open it",
                "                            -> or not",
                "",
                "1 failed, 1 warning. The first thing to cure: TCP.",
            ]
        );
    }

    #[test]
    fn the_last_line_and_the_result_say_how_it_went() {
        let end = |findings: &[(&Check, Finding)]| {
            let text = written(false, findings);
            let json = written(true, findings);
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            (text.lines().last().unwrap_or_default().to_owned(), json["result"].as_str().unwrap_or_default().to_owned())
        };
        let (pass, info, warn) = (Finding::pass("a"), Finding::new(Verdict::Info, "b"), Finding::warn("c"));
        assert_eq!(end(&[(&DNS, pass.clone()), (&TCP, info)]), ("All is well.".into(), "pass".into()));
        assert_eq!(end(&[(&DNS, pass), (&TCP, warn)]), ("Nothing failed, 1 warning: look at TCP.".into(), "warn".into()));
        assert_eq!(
            end(&[(&DNS, Finding::fail("d"))]),
            ("1 failed, 0 warnings. The first thing to cure: DNS.".into(), "fail".into())
        );
    }

    #[test]
    fn each_line_is_written_when_its_check_ends() {
        let count = core::cell::Cell::new(0);
        let mut out = |_: &str| count.set(count.get() + 1);
        let mut report = Report::new(&mut out, false, false);
        let before = count.get();
        report.add(&DNS, Finding::pass("a"));
        assert_eq!(count.get(), before + 1);
    }

    #[test]
    fn only_a_terminal_gets_colours() {
        let findings = [(&DNS, Finding::fail("a"))];
        assert!(written_with(false, true, &findings).contains("\x1b[31mFAIL\x1b[0m  DNS"));
        assert!(!written_with(true, true, &findings).contains('\x1b') && !written(false, &findings).contains('\x1b'));
    }

    #[test]
    fn no_secret_and_no_control_character_reaches_the_terminal() {
        let text = written(false, &[(&DNS, Finding::fail("Authorization: Bearer s3cr3t\x1b[2J\r").cure("a\x1b[2J\r"))]);
        assert!(!text.contains("s3cr3t") && !text.contains('\x1b') && !text.contains('\r'), "{text}");
        assert!(written(false, &[(&DNS, Finding::fail("x".repeat(9000)))]).len() < 2500);
    }
}
