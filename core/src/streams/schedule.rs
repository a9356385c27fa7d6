//! Whose turn it is on the one socket: what somebody waits for with a finger on a key, then answers, then bulk; round robin within a
//! class, and no class waits for ever.

use alloc::collections::{BTreeSet, VecDeque};

use super::Key;

/// How urgent an exchange's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// An upgraded connection that sends little at a time.
    Interactive,
    /// An answer that is still short.
    Answer,
    /// An exchange that has sent so much that nobody is waiting for its next byte in particular.
    Bulk,
}

/// So many turns of more urgent classes may pass a class by before it gets one itself.
const PATIENCE: u32 = 16;

#[derive(Debug, Default)]
pub(super) struct Schedule {
    lines: [VecDeque<Key>; 3],
    /// Turns that passed each line by while somebody stood in it.
    passed: [u32; 3],
    queued: BTreeSet<Key>,
}

impl Schedule {
    /// Puts an exchange at the end of its class, unless it is in line already.
    pub(super) fn ready(&mut self, key: Key, class: Class) {
        if self.queued.insert(key) {
            let [interactive, answers, bulk] = &mut self.lines;
            match class {
                Class::Interactive => interactive.push_back(key),
                Class::Answer => answers.push_back(key),
                Class::Bulk => bulk.push_back(key),
            }
        }
    }

    /// Takes the next exchange out of the line.
    pub(super) fn next(&mut self) -> Option<Key> {
        let waiting = |lines: &[VecDeque<Key>; 3], index: usize| lines.get(index).is_some_and(|line| !line.is_empty());
        let impatient =
            (0..3).rev().find(|&index| waiting(&self.lines, index) && self.passed.get(index).is_some_and(|n| *n >= PATIENCE));
        let turn = impatient.or_else(|| (0..3).find(|&index| waiting(&self.lines, index)))?;
        for (index, (line, passed)) in self.lines.iter().zip(&mut self.passed).enumerate() {
            *passed = if index == turn || line.is_empty() { 0 } else { passed.saturating_add(1) };
        }
        let key = self.lines.get_mut(turn)?.pop_front()?;
        self.queued.remove(&key);
        Some(key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queued.is_empty()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn urgent_first_round_robin_within_a_class_and_nobody_starves() {
        let mut schedule = Schedule::default();
        let (keystroke, other, bulk) = (Key(1), Key(2), Key(3));
        schedule.ready(bulk, Class::Bulk);
        schedule.ready(keystroke, Class::Interactive);
        schedule.ready(other, Class::Interactive);
        let mut turns = Vec::new();
        for _ in 0..40 {
            let Some(key) = schedule.next() else { break };
            turns.push(key);
            schedule.ready(key, if key == bulk { Class::Bulk } else { Class::Interactive });
        }
        assert_eq!(turns[..4], [keystroke, other, keystroke, other]);
        assert_eq!(turns.iter().filter(|key| **key == bulk).count(), 2, "one turn in seventeen: {turns:?}");
        schedule.clear();
        assert!(schedule.is_empty() && schedule.next().is_none());
    }
}
