//! The reporter played through hours and weeks of virtual time, its lines formatted as they are written, and counted.
//!
//! There is one logger in a process, so these tests share it: each thread has lines of its own.

#![allow(clippy::print_stdout, reason = "the sizes are worth reading")]

use std::cell::RefCell;
use std::sync::Once;

use log::{LevelFilter, Log, Metadata, Record};
use pipeops_agent_core::backoff::{Backoff, Policy};
use pipeops_agent_core::session::Attempt;

use super::*;
use crate::logger;

const HOUR: u64 = 3600;
const WEEK: u64 = 7 * 24 * HOUR;
const ID: &str = "3f2a1c7e-9b4d-4c55-8d0e-5a6b7c8d9e0f";

thread_local! {
    static LINES: RefCell<Option<Vec<(Level, String)>>> = const { RefCell::new(None) };
}

struct Collector;

impl Log for Collector {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        LINES.with_borrow_mut(|lines| {
            if let Some(lines) = lines {
                lines.push((record.level(), logger::json_line(record)));
            }
        });
    }

    fn flush(&self) {}
}

/// Everything up to DEBUG that `play` writes.
fn collect(play: impl FnOnce(&mut Player)) -> Vec<(Level, String)> {
    static LOGGER: Once = Once::new();
    LOGGER.call_once(|| log::set_logger(&Collector).unwrap());
    log::set_max_level(LevelFilter::Debug);
    LINES.set(Some(Vec::new()));
    let origin = Instant::now();
    let mut player = Player {
        reporter: Reporter::new("agent-0123456789abcdef".into()),
        backoff: Backoff::new(Policy::default(), 7),
        origin,
        millis: 0,
        state: State::Connecting,
        marks: Vec::new(),
    };
    play(&mut player);
    LINES.take().unwrap()
}

/// What an operator with the default level has of it.
fn at_info(lines: &[(Level, String)]) -> Vec<&str> {
    lines.iter().filter(|(level, _)| *level <= Level::Info).map(|(_, line)| line.as_str()).collect()
}

fn bytes(lines: &[&str]) -> usize {
    lines.iter().map(|line| line.len()).sum()
}

fn with<'a>(lines: &[&'a str], text: &str) -> Vec<&'a str> {
    lines.iter().copied().filter(|line| line.contains(text)).collect()
}

/// The session's part: the same events in the same order, at the same times.
struct Player {
    reporter: Reporter,
    backoff: Backoff,
    origin: Instant,
    millis: u64,
    state: State,
    /// Lines written at the end of each hour.
    marks: Vec<usize>,
}

impl Player {
    fn now(&self) -> Instant {
        self.origin + Duration::from_millis(self.millis)
    }

    fn event(&mut self, event: session::Event) {
        self.reporter.event(self.now(), &Event::Session(event));
    }

    fn state(&mut self, to: State) {
        if self.state != to {
            let from = std::mem::replace(&mut self.state, to);
            self.event(session::Event::StateChanged { from, to });
        }
    }

    fn back_off(&mut self) {
        let delay = self.backoff.next(pipeops_agent_core::time::Instant::from_millis(self.millis), None);
        self.event(session::Event::BackingOff(delay));
        self.millis += u64::try_from(delay.total.as_millis()).unwrap();
    }

    fn fails(&mut self, failure: Failure) {
        self.event(session::Event::ConnectFailed(failure));
        self.back_off();
        let hour = usize::try_from(self.millis / 1000 / HOUR).unwrap();
        while self.marks.len() < hour {
            self.marks.push(LINES.with_borrow(|lines| lines.as_ref().unwrap().len()));
        }
    }

    fn connects(&mut self) {
        let registration = Registration {
            cluster_id: ID.into(),
            cluster_uuid: Some(ID.into()),
            gateway_url: Some("wss://gateway.example".into()),
            name: Some("edge-1".into()),
            status: Some("registered".into()),
            workspace_id: Some(7),
            token: None,
        };
        self.event(session::Event::Registered { known: true, registration });
        self.state(State::Connected);
        self.event(session::Event::HeartbeatSucceeded { took: Duration::ZERO });
    }

    fn drops(&mut self) {
        self.event(session::Event::Lost(Failure::Closed { code: 1006, reason: String::new() }));
        self.state(State::Reconnecting);
        self.back_off();
    }

    fn is_before(&self, seconds: u64) -> bool {
        self.millis < seconds * 1000
    }
}

fn refused_port() -> Failure {
    Failure::Transport {
        text: "cannot connect to api.example.com:443 (203.0.113.7:443): Connection refused (os error 111)".into(),
        hint: Some("check PIPEOPS_API_URL and that the firewall lets outbound connections through"),
    }
}

#[test]
fn f20_f30_idle_writes_nothing_at_info() {
    let lines = collect(|player| {
        player.connects();
        for _ in 0..WEEK / 30 {
            player.millis += 30_000;
            player.event(session::Event::HeartbeatSucceeded { took: Duration::ZERO });
        }
    });
    let shown = at_info(&lines);
    assert_eq!(with(&shown, "Heartbeat").len(), 0);
    assert!(bytes(&shown) < 1000, "what the start says is all: {shown:?}");
    assert!(lines.iter().filter(|(level, _)| *level <= Level::Warn).count() == 0);
    assert!(lines.len() > usize::try_from(WEEK / 30).unwrap(), "DEBUG has all of them");
}

#[test]
fn f36_f39_f40_a_week_without_a_plane_is_told_and_wears_nothing_out() {
    let mut marks = Vec::new();
    let mut attempts = 0;
    let lines = collect(|player| {
        while player.is_before(WEEK) {
            player.fails(refused_port());
            attempts += 1;
        }
        marks = std::mem::take(&mut player.marks);
    });
    let shown = at_info(&lines);
    let first = with(&shown, messages::RECONNECTING);
    assert_eq!(with(&shown, messages::CONNECT_FAILED).len(), 16);
    assert_eq!(first.len(), 16);
    let capped = with(&first, "\"base_delay\":\"15s\"");
    assert_eq!(capped.len(), 11, "from the sixth failure on: {first:#?}");
    assert!(first.iter().all(|line| ["jitter", "total_delay", "next_delay"].iter().all(|name| line.contains(name))));
    // From then on one line each ten minutes, which says how things stand.
    let summaries = with(&shown, messages::STILL_AWAY);
    let expected = usize::try_from(WEEK / 600).unwrap();
    assert!((expected - 16..=expected + 1).contains(&summaries.len()), "{}", summaries.len());
    let last = summaries.last().unwrap();
    for part in ["\"attempts\":", "\"after\":\"167h", "\"held_back\":", "cannot connect", "\"hint\":\"check PIPEOPS_API_URL"] {
        assert!(last.contains(part), "{part} in {last}");
    }
    assert_eq!(with(&shown, messages::STATE_CHANGED).len(), 0, "the connection does not change while there is none");
    let hour = |from: usize, to: usize| -> usize {
        lines[from..to].iter().filter(|(level, _)| *level <= Level::Info).map(|(_, line)| line.len()).sum()
    };
    let (first, later) = (hour(0, marks[0]), hour(marks[1], marks[2]));
    println!("plane away: first hour {first} B, each later hour {later} B, week {} B", bytes(&shown));
    assert!(first <= 20_000 && later <= 4_000, "{first} {later}");
    // DEBUG has every attempt.
    assert_eq!(lines.iter().filter(|(_, line)| line.contains(messages::RECONNECTING)).count(), attempts);
}

#[test]
fn f37_another_kind_of_failure_is_told_at_once_and_an_alternation_is_bounded() {
    let lines = collect(|player| {
        while player.is_before(25 * 60) {
            player.fails(refused_port());
        }
        player.fails(Failure::Refused { status: 401, retry_after: None });
    });
    let shown = at_info(&lines);
    let line = shown[shown.len() - 2];
    assert!(line.contains("status 401") && line.contains("PIPEOPS_TOKEN") && line.contains(messages::CONNECT_FAILED), "{line}");
    assert!(shown[shown.len() - 1].contains(messages::RECONNECTING));
    let lines = collect(|player| {
        while player.is_before(HOUR) {
            player.fails(refused_port());
            player.fails(Failure::Refused { status: 401, retry_after: None });
        }
    });
    let size = bytes(&at_info(&lines));
    println!("plane away, two kinds of failure in turn: first hour {size} B");
    assert!(size <= 20_000, "{size}");
}

#[test]
fn f25_flapping_tells_every_change_and_stays_bounded() {
    // Up at once and dropped at once is the most that the waits allow; the other is a plane that drops everybody each 20 s.
    for (name, online, bound) in [("drops at once", 0, 85_000), ("every 20 s or so", 5_000, 65_000)] {
        let mut flaps = 0;
        let lines = collect(|player| {
            player.connects();
            while player.is_before(HOUR) {
                player.millis += online;
                player.drops();
                player.connects();
                flaps += 1;
            }
        });
        let shown = at_info(&lines);
        assert_eq!(with(&shown, messages::STATE_CHANGED).len(), 2 * flaps + 1);
        assert_eq!(with(&shown, messages::CONNECTION_LOST).len(), with(&shown, messages::RECONNECTING).len());
        assert!(with(&shown, messages::CONNECTION_LOST).len() >= 16);
        assert!(with(&shown, messages::REGISTERED).len() >= 8);
        let size = bytes(&shown);
        println!("flapping, {name}: {flaps} times, {size} B in an hour");
        assert!(size <= bound, "{size}");
    }
}

#[test]
fn f41_the_end_of_an_outage_is_one_line() {
    let lines = collect(|player| {
        player.connects();
        player.millis += 3_600_000;
        player.drops();
        player.connects();
        player.millis += 3_600_000;
        player.drops();
        let begun = player.millis;
        while player.is_before(begun / 1000 + 1200) {
            player.fails(refused_port());
        }
        player.connects();
    });
    let shown = at_info(&lines);
    let ends = with(&shown, messages::RECONNECTED);
    assert_eq!(ends.len(), 2, "{ends:?}");
    assert!(ends[0].contains("\"attempts\":1") && !ends[0].contains("held_back"), "{ends:?}");
    assert!(ends[1].contains("\"after\":\"20m") && ends[1].contains("held_back"), "{ends:?}");
}

#[test]
fn b53_whatever_a_hostile_plane_repeats_is_bounded() {
    let lines = collect(|player| {
        player.connects();
        let id: std::sync::Arc<str> = "request-1".into();
        for _ in 0..HOUR {
            player.millis += 1000;
            let now = player.now();
            player.event(session::Event::Refused("x".repeat(5_000)));
            player.event(session::Event::HeartbeatFailed { error: "no".into(), retry: 1, after: Duration::from_secs(5) });
            player.event(session::Event::HeartbeatsExhausted { error: "no".into() });
            player.event(session::Event::Stale(Attempt::default()));
            let error = streams::UpstreamError::BadRequest("not a request");
            for event in [
                streams::Event::Refused { id: id.clone(), error: error.clone() },
                streams::Event::Failed { id: id.clone(), error },
                streams::Event::Answered { id: id.clone(), status: 403, message: "no".into(), rule: None },
                streams::Event::Answered { id: id.clone(), status: 403, message: "no".into(), rule: Some("policy.verbs") },
                streams::Event::Cancelled { id: id.clone() },
                streams::Event::Duplicate { id: id.clone() },
            ] {
                player.reporter.event(now, &Event::Streams(event));
            }
        }
    });
    let size = bytes(&at_info(&lines));
    println!("a hostile plane that repeats everything each second: {size} B in an hour");
    assert!(size <= 40_000, "{size}");
    assert!(lines.iter().all(|(level, _)| *level >= Level::Warn), "nothing of this is critical");
}
