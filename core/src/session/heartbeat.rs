//! The pulse of one connection: when to beat, whether a beat arrived, and the ladder of retries when it did not.

use alloc::string::String;
use core::time::Duration;

use super::io::Beat;
use crate::time::Instant;

/// The pauses before the retries. After the last one the connection is given up.
const RETRIES: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(10), Duration::from_secs(30)];
/// A beat that has not left by then has failed.
const WRITE_LIMIT: Duration = Duration::from_secs(5);
/// With a plane that acknowledges beats, silence for so long after one is a failure.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// The last beat is settled; the next is due.
    Resting { next: Instant },
    /// A beat was handed over and has not left yet.
    Writing { deadline: Instant },
    /// A beat has left and something must be heard.
    Listening { deadline: Instant, next: Instant },
    /// A beat failed; the next try is due.
    Failed { next: Instant },
}

/// What follows from an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    Beat,
    Succeeded,
    Retry { error: String, retry: u32, after: Duration },
    GiveUp { error: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pulse {
    stage: Stage,
    beat: Beat,
    started: Instant,
    /// Retries used for the beat at hand.
    retries: usize,
    /// Until when an error of the plane is taken as the answer to the last beat.
    answerable_until: Option<Instant>,
}

impl Pulse {
    pub(super) fn new(now: Instant) -> Self {
        Self { stage: Stage::Resting { next: now }, beat: Beat(0), started: now, retries: 0, answerable_until: None }
    }

    /// When the last beat was handed over.
    pub(super) const fn started(&self) -> Instant {
        self.started
    }

    pub(super) fn deadline(&self) -> Instant {
        match self.stage {
            Stage::Resting { next } | Stage::Failed { next } => next,
            Stage::Writing { deadline } | Stage::Listening { deadline, .. } => deadline,
        }
    }

    pub(super) fn start(&mut self, now: Instant) -> Beat {
        // A regular beat begins a new ladder. A retry that was written does not end one: the plane may still refuse it.
        if matches!(self.stage, Stage::Resting { .. }) {
            self.retries = 0;
        }
        self.beat = Beat(self.beat.0.saturating_add(1));
        self.started = now;
        self.stage = Stage::Writing { deadline: now + WRITE_LIMIT };
        self.answerable_until = Some(now + ANSWER_LIMIT);
        self.beat
    }

    pub(super) fn on_written(&mut self, now: Instant, beat: Beat, acknowledges: bool, interval: Duration) -> Step {
        if beat != self.beat || !matches!(self.stage, Stage::Writing { .. }) {
            return Step::Nothing;
        }
        let next = (self.started + interval).max(now);
        if acknowledges {
            self.stage = Stage::Listening { deadline: now + ANSWER_LIMIT, next };
            Step::Nothing
        } else {
            self.settle(next)
        }
    }

    pub(super) fn on_heard(&mut self) -> Step {
        match self.stage {
            Stage::Listening { next, .. } => self.settle(next),
            Stage::Resting { .. } | Stage::Writing { .. } | Stage::Failed { .. } => Step::Nothing,
        }
    }

    pub(super) fn on_acknowledged(&mut self) -> Step {
        self.answerable_until = None;
        self.on_heard()
    }

    /// The plane sent an error that is about nothing else.
    pub(super) fn on_refused(&mut self, now: Instant, error: String) -> Step {
        let about_the_beat = self.answerable_until.is_some_and(|until| now < until);
        if !about_the_beat || matches!(self.stage, Stage::Failed { .. }) {
            return Step::Nothing;
        }
        self.fail(now, error)
    }

    pub(super) fn on_timeout(&mut self, now: Instant) -> Step {
        if now < self.deadline() {
            return Step::Nothing;
        }
        match self.stage {
            Stage::Resting { .. } | Stage::Failed { .. } => Step::Beat,
            Stage::Writing { .. } => self.fail(now, "failed to send heartbeat: not written within 5s".into()),
            Stage::Listening { .. } => self.fail(now, "failed to send heartbeat: nothing heard for 10s after it".into()),
        }
    }

    fn settle(&mut self, next: Instant) -> Step {
        self.stage = Stage::Resting { next };
        Step::Succeeded
    }

    fn fail(&mut self, now: Instant, error: String) -> Step {
        self.answerable_until = None;
        match RETRIES.get(self.retries) {
            Some(&after) => {
                self.retries += 1;
                self.stage = Stage::Failed { next: now + after };
                Step::Retry { error, retry: u32::try_from(self.retries).unwrap_or(u32::MAX), after }
            }
            None => Step::GiveUp { error },
        }
    }
}
