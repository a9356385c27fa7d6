//! A time without a connection, and how much of it is told.
//!
//! The first failures are all told, so that the waits can be watched growing to their longest. After that there is one summary in
//! ten minutes, and a line at once when the kind of failure changes. What is told is an allowance over time and not over outages:
//! a connection that comes and goes is told no more often than one that stays away.

use std::time::{Duration, Instant};

use log::Level;
use pipeops_agent_core::session::Failure;

use crate::quiet::Quiet;

/// So many failures are told in full: six until the longest wait is reached, and more than as many again with it.
const IN_FULL: u32 = 16;
/// So many changes of the kind of failure are told beyond that; a server may well alternate between two.
const CHANGES: u32 = 3;
/// So many ends of outages are told at once.
const ENDS: u32 = 8;

/// What is to be said of a failure.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Say {
    /// The failure itself, at this level.
    Failure(Level),
    /// How things stand, because failures before this one were not told.
    Summary(Told),
}

/// How things stand.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Dials since the connection was lost, or since the start.
    pub(super) attempts: u32,
    /// How long ago that was.
    pub(super) lasted: Duration,
    /// Failures that were not told since the last that was, if any.
    pub(super) held_back: Option<u64>,
}

/// What makes two failures the same to an operator.
type Kind = (core::mem::Discriminant<Failure>, u16, Option<&'static str>);

/// The time without a connection that is under way, if one is, and the allowances.
#[derive(Debug)]
pub(super) struct Outage {
    since: Option<Instant>,
    attempts: u32,
    kind: Option<Kind>,
    held_back: u64,
    last_is_told: bool,
    failures: Quiet,
    changes: Quiet,
    ends: Quiet,
}

impl Outage {
    pub(super) fn new() -> Self {
        Self {
            since: None,
            attempts: 0,
            kind: None,
            held_back: 0,
            last_is_told: false,
            failures: Quiet::new(IN_FULL),
            changes: Quiet::new(CHANGES),
            ends: Quiet::new(ENDS),
        }
    }

    /// A connection that was up is lost. Gives the level of the line that says so.
    pub(super) fn lost(&mut self, now: Instant) -> Level {
        self.since = Some(now);
        self.attempts = 0;
        self.kind = None;
        self.last_is_told = self.failures.speak(now).is_some();
        self.level(Level::Warn)
    }

    /// A dial failed.
    pub(super) fn failed(&mut self, now: Instant, failure: &Failure, hint: Option<&'static str>) -> Say {
        let since = *self.since.get_or_insert(now);
        self.attempts = self.attempts.saturating_add(1);
        let status = match failure {
            Failure::Refused { status, .. } => *status,
            Failure::Closed { code, .. } => *code,
            Failure::Transport { .. }
            | Failure::TimedOut(_)
            | Failure::RegistrationRefused(_)
            | Failure::NotRegistered(_)
            | Failure::Silent
            | Failure::HeartbeatsFailed => 0,
        };
        let kind = Some((core::mem::discriminant(failure), status, hint));
        let changed = self.kind.is_some() && self.kind != kind;
        self.kind = kind;
        let regular = self.failures.speak(now).is_some();
        if regular && self.held_back > 0 {
            // The wait that follows is not told: it has been the longest for long.
            self.last_is_told = false;
            let held_back = Some(std::mem::take(&mut self.held_back));
            return Say::Summary(Told { attempts: self.attempts, lasted: now.saturating_duration_since(since), held_back });
        }
        self.last_is_told = regular || (changed && self.changes.speak(now).is_some());
        if !self.last_is_told {
            self.held_back = self.held_back.saturating_add(1);
        }
        Say::Failure(self.level(Level::Warn))
    }

    /// There is a connection. If there was none before, how that was and the level of the line that says so.
    pub(super) fn ended(&mut self, now: Instant) -> Option<(Level, Told)> {
        let lasted = now.saturating_duration_since(self.since.take()?);
        let level = if self.ends.speak(now).is_some() { Level::Info } else { Level::Debug };
        let held_back = Some(std::mem::take(&mut self.held_back)).filter(|count| *count > 0);
        // The one that worked is an attempt too.
        Some((level, Told { attempts: std::mem::take(&mut self.attempts).saturating_add(1), lasted, held_back }))
    }

    /// The level of the line about the wait that follows the last failure.
    pub(super) fn level_of_wait(&self) -> Level {
        self.level(Level::Info)
    }

    fn level(&self, level: Level) -> Level {
        if self.last_is_told { level } else { Level::Debug }
    }
}
