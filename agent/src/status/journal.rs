//! What the machines said, counted and remembered.

use std::time::Duration;

use pipeops_agent_core::session::{Event, Failure, State};
use pipeops_agent_core::time::Instant;

use crate::config::ApiUrl;
use crate::logger::mask;
use crate::report;

/// The most characters of a text that comes from outside.
const MOST: usize = 512;

/// The upper bounds of the buckets for heartbeats, in milliseconds.
pub(super) const BUCKETS: [u64; 11] = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000];

/// The states in the order of their numbers.
pub(super) const STATES: [State; 4] = [State::Disconnected, State::Connecting, State::Connected, State::Reconnecting];

/// Why a connection or an attempt ended.
pub(super) const REASONS: [&str; 9] = [
    "token_refused",
    "upgrade_refused",
    "unreachable",
    "closed",
    "timed_out",
    "registration_refused",
    "not_registered",
    "silent",
    "heartbeats_failed",
];

/// The last thing that went wrong.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) text: String,
    /// What the operator can do about it.
    pub(super) hint: Option<&'static str>,
    pub(super) at: Instant,
}

/// The memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    pub(super) state_since: Instant,
    pub(super) changes: [u64; STATES.len()],
    pub(super) trouble: Option<Trouble>,
    /// Attempts in a row that failed, and connections that were lost.
    pub(super) failures: u32,
    pub(super) reasons: [u64; REASONS.len()],
    pub(super) beats: Beats,
    pub(super) cluster_uuid: Option<String>,
    /// Host and port of the gateway that the last registration named.
    pub(super) gateway: Option<String>,
}

/// Heartbeats.
#[derive(Clone, Debug, Default)]
pub(super) struct Beats {
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) failed_in_a_row: u64,
    pub(super) last: Option<Instant>,
    /// Those that took at most as long as the bucket of the same place says, and longer than the one before.
    pub(super) buckets: [u64; BUCKETS.len()],
    pub(super) millis: u64,
}

impl Journal {
    /// Notes what the session said.
    pub(crate) fn note(&mut self, now: Instant, event: &Event) {
        match event {
            Event::StateChanged { to, .. } => {
                self.state_since = now;
                if let Some(count) = self.changes.get_mut(number(*to)) {
                    *count += 1;
                }
                if *to == State::Connected {
                    self.failures = 0;
                }
            }
            Event::ConnectFailed(failure) | Event::Lost(failure) => {
                self.failures = self.failures.saturating_add(1);
                if let Some(count) = self.reasons.get_mut(reason(failure)) {
                    *count += 1;
                }
                let text = bounded(&mask(&failure.to_string()));
                self.trouble = Some(Trouble { text, hint: report::hint(failure), at: now });
            }
            Event::Registered { registration, .. } => {
                self.cluster_uuid = registration.cluster_uuid.as_deref().map(bounded);
                let gateway = registration.gateway_url.as_deref();
                self.gateway = gateway.map(|url| ApiUrl::parse(url).map_or_else(|_| "unknown".into(), |url| url.authority()));
            }
            Event::HeartbeatSucceeded { took } => self.beats.succeed(now, *took),
            Event::HeartbeatFailed { .. } | Event::HeartbeatsExhausted { .. } => {
                self.beats.failed += 1;
                self.beats.failed_in_a_row += 1;
            }
            Event::BackingOff(_) | Event::Refused(_) | Event::Stale(_) => {}
        }
    }
}

impl Beats {
    fn succeed(&mut self, now: Instant, took: Duration) {
        self.succeeded += 1;
        self.failed_in_a_row = 0;
        self.last = Some(now);
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.millis = self.millis.saturating_add(millis);
        let bucket = BUCKETS.iter().position(|bound| millis <= *bound);
        if let Some(count) = bucket.and_then(|bucket| self.buckets.get_mut(bucket)) {
            *count += 1;
        }
    }
}

/// The number that stands for a state.
pub(super) const fn number(state: State) -> usize {
    match state {
        State::Disconnected => 0,
        State::Connecting => 1,
        State::Connected => 2,
        State::Reconnecting => 3,
    }
}

const fn reason(failure: &Failure) -> usize {
    match failure {
        Failure::Refused { status: 401 | 403, .. } => 0,
        Failure::Refused { .. } => 1,
        Failure::Transport { .. } => 2,
        Failure::Closed { .. } => 3,
        Failure::TimedOut(_) => 4,
        Failure::RegistrationRefused(_) => 5,
        Failure::NotRegistered(_) => 6,
        Failure::Silent => 7,
        Failure::HeartbeatsFailed => 8,
    }
}

/// A text from outside, cut to a bearable length, without what a terminal would obey.
pub(super) fn bounded(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeops_agent_core::message::Registration;

    #[test]
    fn b41_what_comes_from_outside_is_bounded_and_holds_no_secret() {
        let mut journal = Journal::default();
        let text = format!("wrong: Bearer {}\u{1b}[31m{}", "s3cr3t".repeat(9), "x".repeat(9000));
        journal.note(Instant::from_millis(5), &Event::Lost(Failure::NotRegistered(text)));
        let trouble = journal.trouble.as_ref().unwrap();
        assert!(trouble.text.chars().count() <= MOST && !trouble.text.contains("s3cr3t"), "{}", trouble.text);
        assert!(!trouble.text.contains('\u{1b}'));
        for (url, shown) in [
            ("wss://gw.example:8443/ws?token=s3cr3t", "gw.example:8443"),
            ("wss://user:s3cr3t@gw.example/ws", "unknown"),
            ("nonsense s3cr3t", "unknown"),
        ] {
            let registration = Registration { gateway_url: Some(url.into()), ..Registration::default() };
            journal.note(Instant::ZERO, &Event::Registered { known: false, registration });
            assert_eq!(journal.gateway.as_deref(), Some(shown));
        }
    }

    #[test]
    fn heartbeats_fall_into_buckets() {
        let mut beats = Beats::default();
        for millis in [0, 5, 6, 10_000, 10_001] {
            beats.succeed(Instant::ZERO, Duration::from_millis(millis));
        }
        assert_eq!((beats.buckets[0], beats.buckets[1], beats.buckets[10], beats.succeeded), (2, 1, 1, 5));
        assert_eq!(beats.millis, 20_012);
    }

    #[test]
    fn a_connection_that_is_up_ends_the_row_of_failures() {
        let mut journal = Journal::default();
        for _ in 0..3 {
            journal.note(Instant::ZERO, &Event::ConnectFailed(Failure::Refused { status: 401, retry_after: None }));
        }
        assert_eq!((journal.failures, journal.reasons[0]), (3, 3));
        assert!(journal.trouble.as_ref().unwrap().hint.unwrap().contains("PIPEOPS_TOKEN"));
        journal.note(Instant::from_millis(7), &Event::StateChanged { from: State::Connecting, to: State::Connected });
        assert_eq!((journal.failures, journal.state_since, journal.changes), (0, Instant::from_millis(7), [0, 0, 1, 0]));
    }
}
