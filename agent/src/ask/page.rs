//! The page of `status` for a person: short lines, plain words, and what to do next when something is wrong.

use core::fmt::Write as _;
use std::time::Duration;

use miniserde::json::{Number, Object, Value};

use crate::go_duration;

/// One line: a name, and what is to be said about it.
fn line(page: &mut String, name: &str, text: &str) {
    // The answer may be another program's: nothing in it may move the cursor.
    let text: String = text.chars().filter(|character| !character.is_control()).collect();
    // Writing to a String cannot fail.
    let _ = writeln!(page, "{name:<12}{text}");
}

struct Answer<'a>(&'a Object);

impl Answer<'_> {
    /// A text, empty where there is none.
    fn text(&self, key: &str) -> &str {
        match self.0.get(key) {
            Some(Value::String(text)) => text,
            _ => "",
        }
    }

    fn is(&self, key: &str) -> bool {
        matches!(self.0.get(key), Some(Value::Bool(true)))
    }

    fn known(&self, key: &str) -> Option<u64> {
        match self.0.get(key) {
            Some(Value::Number(Number::U64(number))) => Some(*number),
            _ => None,
        }
    }

    fn number(&self, key: &str) -> u64 {
        self.known(key).unwrap_or(0)
    }

    /// A number of seconds in words.
    fn time(&self, key: &str) -> Option<String> {
        self.known(key).map(|seconds| go_duration::format(Duration::from_secs(seconds)))
    }

    fn size(&self, key: &str) -> String {
        size(self.number(key))
    }
}

/// The page about the agent that gave this answer.
pub(super) fn page(object: &Object) -> String {
    let answer = Answer(object);
    let mut page = String::new();
    let uptime = answer.time("uptime_seconds").unwrap_or_default();
    line(&mut page, "Agent", &format!("{}, version {}, up {uptime}", answer.text("agent_id"), answer.text("version")));
    let cluster = match answer.text("cluster_id") {
        "" => format!("{} (not registered yet)", answer.text("cluster_name")),
        id => format!("{} (id {id})", answer.text("cluster_name")),
    };
    line(&mut page, "Cluster", &cluster);
    line(&mut page, "Plane", &format!("{} ({})", answer.text("plane"), answer.text("endpoint")));
    let mut connection = format!("{} for {}", answer.text("state"), answer.time("state_seconds").unwrap_or_default());
    if answer.number("attempt") > 0 {
        let _ = write!(connection, ", {} failed in a row", attempts(answer.number("attempt")));
    }
    if let Some(next) = answer.time("next_attempt_seconds") {
        let _ = write!(connection, ", next in {next}");
    }
    line(&mut page, "Connection", &connection);
    let ready = answer.is("ready");
    line(&mut page, "Ready", &if ready { "yes".to_owned() } else { format!("no: {}", brief(answer.text("reason"))) });
    let ago = |key: &str| answer.time(key).map_or_else(|| "never".to_owned(), |time| format!("{time} ago"));
    line(&mut page, "Heartbeat", &format!("{}; control plane heard {}", ago("heartbeat_seconds"), ago("heard_seconds")));
    line(
        &mut page,
        "Exchanges",
        &format!("{} now, {} in all", answer.number("exchanges_open"), answer.number("exchanges_total")),
    );
    let (to, from) = (answer.size("bytes_to_plane"), answer.size("bytes_from_plane"));
    line(&mut page, "Traffic", &format!("{to} to the control plane, {from} from it"));
    let (used, ceiling) = (answer.size("budget_used_bytes"), answer.size("budget_ceiling_bytes"));
    line(&mut page, "Memory", &format!("{}; data in transit {used} of {ceiling}", answer.size("memory_bytes")));
    let file = answer.text("config_file");
    line(&mut page, "Config", if file.is_empty() { "no file: flags and environment only" } else { file });
    if answer.known("last_error_seconds").is_some() {
        line(&mut page, "Last error", &format!("{}, {}", ago("last_error_seconds"), answer.text("last_error")));
    }
    if !ready {
        page.push_str("\nWhat to do:\n");
        let hint = answer.text("hint");
        if !hint.is_empty() {
            line(&mut page, "", hint);
        }
        line(&mut page, "", "pipeops-agent doctor finds out why");
    }
    page
}

/// What is said when no agent answers.
pub(super) fn nobody(tried: &[String], doubts: &[String]) -> String {
    let mut page = String::from("No agent answers here.\n\nAsked:\n");
    for place in tried {
        line(&mut page, "", place);
    }
    if !doubts.is_empty() {
        page.push_str("\nThe configuration may name another place, but:\n");
        for doubt in doubts {
            line(&mut page, "", doubt);
        }
    }
    page.push_str("\nWhat to do:\n");
    line(&mut page, "", "see whether it runs: systemctl status pipeops-agent, or kubectl get pods");
    line(&mut page, "", "ask as the user it runs as, with its --config or its environment");
    page
}

/// The reason without the error that has a line of its own.
fn brief(reason: &str) -> &str {
    reason.split_once("; last error: ").map_or(reason, |(reason, _)| reason)
}

fn attempts(count: u64) -> String {
    if count == 1 { "1 attempt".to_owned() } else { format!("{count} attempts") }
}

/// Bytes with a unit, one digit behind the point.
fn size(bytes: u64) -> String {
    let mut unit = 1;
    for name in ["B", "KiB", "MiB", "GiB"] {
        if bytes < unit * 1024 || name == "GiB" {
            let tenths = bytes % unit * 10 / unit;
            return if tenths == 0 { format!("{} {name}", bytes / unit) } else { format!("{}.{tenths} {name}", bytes / unit) };
        }
        unit *= 1024;
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use miniserde::json;

    #[test]
    fn sizes() {
        let cases = [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (8 << 20, "8 MiB"), (3 << 40, "3072 GiB")];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
        assert!(size(u64::MAX).ends_with(" GiB"));
    }

    #[test]
    fn a_page_about_an_agent_that_cannot_connect() {
        let answer = "{\"agent_id\":\"a\\u001b[2J\",\"version\":\"1\",\"uptime_seconds\":62,\"cluster_name\":\"shop\",\
                      \"plane\":\"p\",\"endpoint\":\"controller\",\"state\":\"connecting\",\"state_seconds\":62,\
                      \"attempt\":4,\"next_attempt_seconds\":3,\"ready\":false,\"reason\":\"not connected; last error: x\",\
                      \"last_error\":\"x\",\"last_error_seconds\":1,\"hint\":\"check the token\"}";
        let page = page(&json::from_str(answer).unwrap());
        for part in [
            "Agent       a[2J, version 1, up 1m2s\n",
            "Cluster     shop (not registered yet)\n",
            "Connection  connecting for 1m2s, 4 attempts failed in a row, next in 3s\n",
            "Ready       no: not connected\n",
            "Heartbeat   never; control plane heard never\n",
            "Last error  1s ago, x\n",
            "\nWhat to do:\n            check the token\n            pipeops-agent doctor finds out why\n",
        ] {
            assert!(page.contains(part), "{part:?} in\n{page}");
        }
        assert!(page.lines().all(|line| line.chars().count() <= 100), "{page}");
    }
}
