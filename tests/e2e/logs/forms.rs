//! The two forms of a record, in files and in systemd's journal.

use serde_json::{Value, json};

use crate::CONNECT_FAILED;
use crate::harness::{Bed, Setup};
use crate::raw::Raw;

/// What a run writes whose plane is away.
fn written(arguments: &[&str], environment: impl FnOnce(u64, u64) -> Vec<(&'static str, String)>) -> String {
    let bed = Bed::new(Setup { listening: false, kube: false, ..Setup::default() });
    let config = json!({
        "pipeops": {"api_url": bed.plane.api_url(), "token": bed.plane.token(), "tls": {"ca_file": bed.plane.ca_file()}},
        "agent": {"cluster_name": "e2e", "state_dir": bed.state_dir(), "port": 0},
    });
    let mut raw = Raw::start(&bed, &config, arguments, environment);
    raw.until(CONNECT_FAILED);
    raw.stop();
    raw.errors()
}

/// `2026-01-02T03:04:05.678Z` and nothing else.
fn is_time(text: &str) -> bool {
    text.len() == 24
        && text.chars().zip("0000-00-00T00:00:00.000Z".chars()).all(|(one, form)| match form {
            '0' => one.is_ascii_digit(),
            form => one == form,
        })
}

#[track_caller]
fn assert_json(log: &str) {
    assert!(log.ends_with('\n'));
    for line in log.lines() {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let start = format!("{{\"level\":{},\"msg\":{},\"time\":{}", record["level"], record["msg"], record["time"]);
        assert!(line.starts_with(&start), "{line}");
        assert!(["error", "warning", "info", "debug", "trace"].contains(&record["level"].as_str().unwrap()), "{line}");
        assert!(is_time(record["time"].as_str().unwrap()), "{line}");
        assert!(record.as_object().unwrap().values().all(|value| !value.is_null() && !value.is_object()), "{line}");
    }
}

#[test]
fn f36_records_are_json_lines_by_default_in_the_journal_too() {
    assert_json(&written(&[], |_, _| vec![]));
    assert_json(&written(&["--log-level", "debug"], |device, inode| vec![("JOURNAL_STREAM", format!("{device}:{inode}"))]));
}

#[test]
fn records_as_text_have_a_time_and_no_colours() {
    let elsewhere = |device: u64, inode: u64| vec![("JOURNAL_STREAM", format!("{device}:{}", inode + 1))];
    let nonsense = |device: u64, inode: u64| vec![("JOURNAL_STREAM", format!(" {device}:{inode}"))];
    for log in [
        written(&["--log-format", "text"], |_, _| vec![]),
        // Standard error was redirected away from the journal.
        written(&["--log-format", "text"], elsewhere),
        written(&["--log-format", "text"], nonsense),
    ] {
        assert!(!log.contains('\u{1b}'), "{log}");
        for line in log.lines() {
            let (time, rest) = line.split_once(' ').unwrap();
            assert!(is_time(time), "{line}");
            assert!(["ERROR", "WARN ", "INFO "].iter().any(|level| rest.starts_with(level)), "{line}");
        }
        assert!(log.contains("error=\"failed to connect via WebSocket: "), "{log}");
    }
}

#[test]
fn records_as_text_in_the_journal_have_a_priority_instead_of_a_time() {
    let log = written(&["--log-format", "text"], |device, inode| vec![("JOURNAL_STREAM", format!("{device}:{inode}"))]);
    assert!(!log.contains('\u{1b}'), "{log}");
    for line in log.lines() {
        assert!(line.starts_with("<6>INFO ") || line.starts_with("<4>WARN "), "{line}");
    }
    let failed = log.lines().find(|line| line.contains(CONNECT_FAILED)).unwrap();
    assert!(failed.starts_with("<4>"), "{failed}");
}
