//! The picture in JSON: `/status` with all of it, and the three paths of the Go agent in their old shape.
//!
//! Keys of `/status`: `version`, `commit`, `agent_id`, `cluster_name`, `cluster_id`, `cluster_uuid`, `state` (disconnected,
//! connecting, connected, reconnecting), `state_seconds`, `registered`, `ready`, `reason` (why it is not ready), `plane` (host and
//! port), `endpoint` (controller or gateway), `last_error`, `last_error_seconds` (how long ago), `hint`, `attempt` (failures in a
//! row), `next_attempt_seconds`, `heartbeat_seconds` and `heard_seconds` (how long ago), `exchanges_open`, `exchanges_total`,
//! `bytes_to_plane`, `bytes_from_plane`, `budget_used_bytes`, `budget_ceiling_bytes`, `uptime_seconds`, `memory_bytes`,
//! `config_file`. What is not known is `null`.

use std::time::{Duration, SystemTime};

use miniserde::json::{self, Number, Object, Value};

use pipeops_agent_core::session::Stage;

use super::{About, Snapshot, process};
use crate::go_duration;
use crate::version;

/// Text of `/status`.
pub(crate) fn status(snapshot: &Snapshot, about: &About) -> String {
    let journal = &snapshot.journal;
    let trouble = journal.trouble.as_ref();
    let (plane, endpoint) = snapshot.endpoint(about);
    let next = match snapshot.stage {
        Stage::BackingOff { until } => Some(until.since(snapshot.now)),
        Stage::Dialling { .. } | Stage::Registering | Stage::Online | Stage::Ending => None,
    };
    let (total, open) = snapshot.counters.totals();
    let mut object = Object::new();
    let mut put = |key: &str, value: Value| {
        object.insert(key.to_owned(), value);
    };
    put("version", text(version::VERSION));
    put("commit", text(version::COMMIT));
    put("agent_id", text(&about.agent_id));
    put("cluster_name", text(&about.cluster_name));
    put("cluster_id", known(Some(snapshot.cluster_id.as_str()).filter(|id| !id.is_empty())));
    put("cluster_uuid", known(journal.cluster_uuid.as_deref()));
    put("state", text(snapshot.state.as_str()));
    put("state_seconds", seconds(Some(snapshot.since(journal.state_since))));
    put("registered", Value::Bool(snapshot.is_registered()));
    put("ready", Value::Bool(snapshot.ready));
    put("reason", known(snapshot.reason(about).as_deref()));
    put("plane", text(plane));
    put("endpoint", text(endpoint));
    put("last_error", known(trouble.map(|trouble| trouble.text.as_str())));
    put("last_error_seconds", seconds(trouble.map(|trouble| snapshot.since(trouble.at))));
    put("hint", known(trouble.and_then(|trouble| trouble.hint).filter(|_| !snapshot.ready)));
    put("attempt", number(u64::from(journal.failures)));
    put("next_attempt_seconds", seconds(next));
    put("heartbeat_seconds", seconds(journal.beats.last.map(|at| snapshot.since(at))));
    put("heard_seconds", seconds(snapshot.heard.map(|at| snapshot.since(at))));
    put("exchanges_open", number(open));
    put("exchanges_total", number(total));
    put("bytes_to_plane", number(snapshot.flow.to_plane));
    put("bytes_from_plane", number(snapshot.flow.from_plane));
    put("budget_used_bytes", size(snapshot.budget_used));
    put("budget_ceiling_bytes", size(snapshot.budget_ceiling));
    put("uptime_seconds", seconds(Some(snapshot.uptime())));
    put("memory_bytes", process::resident_bytes().map_or(Value::Null, number));
    put("config_file", known(about.config_file.as_ref().map(|file| file.display().to_string()).as_deref()));
    json::to_string(&object)
}

/// Text of the Go agent's `/health`.
pub(crate) fn health(snapshot: &Snapshot) -> String {
    let mut object = old_shape(snapshot);
    object.insert("status".to_owned(), text("healthy"));
    object.insert("version".to_owned(), text(version::VERSION));
    json::to_string(&object)
}

/// Text of the Go agent's `/ready`, in the shape that tells the truth.
pub(crate) fn ready(snapshot: &Snapshot) -> String {
    let mut object = old_shape(snapshot);
    let mut put = |key: &str, value: Value| {
        object.insert(key.to_owned(), value);
    };
    let beats = &snapshot.journal.beats;
    let since = beats.last.map(|at| snapshot.since(at));
    put("healthy", Value::Bool(snapshot.ready));
    put("status", text(if snapshot.ready { "ready" } else { "not_ready" }));
    put("time_since_heartbeat", text(&since.map(go_duration::format).unwrap_or_default()));
    if snapshot.ready {
        put("last_heartbeat", text(&since.and_then(|since| SystemTime::now().checked_sub(since)).map(stamp).unwrap_or_default()));
    } else {
        let failures = beats.failed_in_a_row.saturating_add(u64::from(snapshot.journal.failures));
        put("consecutive_failures", number(failures));
        put("reason", text("agent not connected to control plane"));
    }
    json::to_string(&object)
}

/// Text of the Go agent's `/version`.
pub(crate) fn version() -> String {
    let mut object = Object::new();
    let mut put = |key: &str, value: &str| {
        object.insert(key.to_owned(), text(value));
    };
    put("version", version::VERSION);
    put("git_commit", version::COMMIT);
    put("build_date", &version::commit_date());
    put("full_version", &version::full());
    put("timestamp", &stamp(SystemTime::now()));
    json::to_string(&object)
}

fn old_shape(snapshot: &Snapshot) -> Object {
    let mut object = Object::new();
    object.insert("connected".to_owned(), Value::Bool(snapshot.stage == Stage::Online));
    object.insert("registered".to_owned(), Value::Bool(snapshot.is_registered()));
    object.insert("connection_state".to_owned(), text(snapshot.state.as_str()));
    object.insert("timestamp".to_owned(), text(&stamp(SystemTime::now())));
    object
}

fn stamp(time: SystemTime) -> String {
    humantime::format_rfc3339_nanos(time).to_string()
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn known(value: Option<&str>) -> Value {
    value.map_or(Value::Null, text)
}

fn number(number: u64) -> Value {
    Value::Number(Number::U64(number))
}

fn size(bytes: usize) -> Value {
    number(u64::try_from(bytes).unwrap_or(u64::MAX))
}

fn seconds(duration: Option<Duration>) -> Value {
    duration.map_or(Value::Null, |duration| number(duration.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::super::fake;
    use super::*;
    use pipeops_agent_core::session::{Attempt, Failure, Input, Output};
    use pipeops_agent_core::time::Instant;

    fn object(text: &str) -> Object {
        json::from_str(text).unwrap()
    }

    fn string(object: &Object, key: &str) -> String {
        let Value::String(text) = &object[key] else { panic!("{key} is no text") };
        text.clone()
    }

    #[test]
    fn an_agent_that_fails_says_why_and_when_it_tries_again() {
        let snapshot = fake::snapshot(|session, journal| {
            let failure = Failure::Refused { status: 401, retry_after: None };
            let attempt: Attempt = session.attempt();
            session.handle(Instant::from_millis(90_000), Input::Failed(attempt, failure));
            while let Some(output) = session.poll_output() {
                if let Output::Event(event) = output {
                    journal.note(Instant::from_millis(90_000), &event);
                }
            }
        });
        let about = fake::about();
        let status = object(&status(&snapshot, &about));
        assert_eq!(string(&status, "state"), "connecting");
        assert_eq!(string(&status, "last_error"), "the server answered the upgrade with status 401");
        assert!(string(&status, "hint").contains("PIPEOPS_TOKEN"));
        assert!(string(&status, "reason").starts_with("not connected to the control plane; last error: the server"));
        assert!(matches!(status["attempt"], Value::Number(Number::U64(1))));
        assert!(matches!(status["next_attempt_seconds"], Value::Number(Number::U64(0))));
        assert!(matches!(status["heartbeat_seconds"], Value::Null));
        assert!(matches!(status["ready"], Value::Bool(false)));
        let ready = object(&ready(&snapshot));
        assert_eq!(string(&ready, "status"), "not_ready");
        assert!(matches!(ready["consecutive_failures"], Value::Number(Number::U64(1))));
        assert_eq!(string(&object(&health(&snapshot)), "status"), "healthy");
    }

    #[test]
    fn the_old_version_has_its_keys() {
        let version = object(&version());
        for key in ["version", "git_commit", "build_date", "full_version", "timestamp"] {
            assert!(!string(&version, key).is_empty(), "{key}");
        }
    }
}
