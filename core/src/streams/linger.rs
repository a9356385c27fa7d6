//! Connections whose exchange is over and that still have something to send: the last bytes, a close frame.
//!
//! Owns what they hold of the budget and when they are given up. The plane knows nothing of them.

use alloc::collections::{BTreeMap, BTreeSet};

use super::exchange::cost;
use super::{Key, Output, Streams};
use crate::budget::Way;
use crate::time::Instant;

/// The most at once; the one that is nearest its end makes room.
const MOST: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Lingering {
    /// What each holds of the budget, and until when.
    held: BTreeMap<Key, (usize, Instant)>,
    deadlines: BTreeSet<(Instant, Key)>,
}

impl Lingering {
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    fn remove(&mut self, key: Key) -> Option<usize> {
        let (held, until) = self.held.remove(&key)?;
        self.deadlines.remove(&(until, key));
        Some(held)
    }
}

impl Streams {
    /// Takes an exchange out of the table whose connection goes on to its end.
    pub(super) fn linger(&mut self, key: Key) {
        let Some(exchange) = self.remove(key) else { return };
        let until = self.now + self.limits.closing;
        self.lingering.held.insert(key, (exchange.uploading, until));
        self.lingering.deadlines.insert((until, key));
        if self.lingering.held.len() > MOST
            && let Some(&(_, first)) = self.lingering.deadlines.first()
        {
            self.abort_one(first);
        }
    }

    /// Whether it was such a connection that has ended.
    pub(super) fn lingering_ended(&mut self, key: Key) -> bool {
        let held = self.lingering.remove(key);
        self.budget.give(Way::Request, held.unwrap_or(0));
        held.is_some()
    }

    pub(super) fn lingering_consumed(&mut self, key: Key, bytes: usize) {
        if let Some((held, _)) = self.lingering.held.get_mut(&key) {
            let given = cost(bytes).min(*held);
            *held -= given;
            self.budget.give(Way::Request, given);
        }
    }

    pub(super) fn end_lingering(&mut self) {
        while let Some(&(until, key)) = self.lingering.deadlines.first() {
            if until > self.now {
                return;
            }
            self.abort_one(key);
        }
    }

    pub(super) fn abort_lingering(&mut self) {
        while let Some(&(_, key)) = self.lingering.deadlines.first() {
            self.abort_one(key);
        }
    }

    fn abort_one(&mut self, key: Key) {
        if self.lingering_ended(key) {
            self.outputs.push_back(Output::Abort { key });
        }
    }
}
