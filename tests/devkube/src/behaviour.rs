//! Misbehaviour on order: which paths have one. Owns the table, not the mischief (see `body` and `server`).

use std::time::Duration;

/// What a path does instead of answering properly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Reads the request and never answers.
    Hang,
    /// The head and half of the body, then nothing. Of a stream: half of its first piece.
    HangBody,
    /// The head and half of the body, then the connection is gone. Of a stream: half of its first piece.
    CutBody,
    /// Answers this status and nothing is done.
    Status(u16),
    /// Waits, then answers properly.
    Delay(Duration),
    /// Answers properly, in pieces of `chunk` bytes with pauses between. Streams are left as they are.
    SlowBody { chunk: usize, interval: Duration },
}

#[derive(Debug, Default)]
pub(crate) struct Behaviours(Vec<(String, Behaviour)>);

impl Behaviours {
    pub(crate) fn set(&mut self, prefix: &str, behaviour: Behaviour) {
        self.remove(prefix);
        self.0.push((prefix.to_owned(), behaviour));
    }

    pub(crate) fn remove(&mut self, prefix: &str) {
        self.0.retain(|(known, _)| known != prefix);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The longest prefix wins.
    pub(crate) fn of(&self, path: &str) -> Option<Behaviour> {
        let matching = self.0.iter().filter(|(prefix, _)| path.starts_with(prefix.as_str()));
        matching.max_by_key(|(prefix, _)| prefix.len()).map(|(_, behaviour)| *behaviour)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_wins_and_the_last_word_counts() {
        let mut table = Behaviours::default();
        table.set("/api", Behaviour::Hang);
        table.set("/api/v1/pods", Behaviour::Status(500));
        table.set("/api", Behaviour::Status(503));
        assert_eq!(table.of("/api/v1/pods/x"), Some(Behaviour::Status(500)));
        assert_eq!(table.of("/api/v1/nodes"), Some(Behaviour::Status(503)));
        assert_eq!(table.of("/version"), None);
        table.remove("/api");
        assert_eq!(table.of("/api/v1/nodes"), None);
    }
}
