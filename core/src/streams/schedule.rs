//! Whose turn it is on the one socket: answers before bulk, round robin within a class.

use alloc::collections::{BTreeSet, VecDeque};

use super::Key;

/// How urgent an exchange's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// An answer of the API that is still short.
    Answer,
    /// An exchange that has sent so much that nobody is waiting for its next byte in particular.
    Bulk,
}

#[derive(Debug, Default)]
pub(super) struct Schedule {
    answers: VecDeque<Key>,
    bulk: VecDeque<Key>,
    queued: BTreeSet<Key>,
}

impl Schedule {
    /// Puts an exchange at the end of its class, unless it is in line already.
    pub(super) fn ready(&mut self, key: Key, class: Class) {
        if self.queued.insert(key) {
            match class {
                Class::Answer => self.answers.push_back(key),
                Class::Bulk => self.bulk.push_back(key),
            }
        }
    }

    /// Takes the next exchange out of the line.
    pub(super) fn next(&mut self) -> Option<Key> {
        let key = self.answers.pop_front().or_else(|| self.bulk.pop_front())?;
        self.queued.remove(&key);
        Some(key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queued.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.answers.clear();
        self.bulk.clear();
        self.queued.clear();
    }
}
