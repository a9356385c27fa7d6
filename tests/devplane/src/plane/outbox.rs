//! What is to be done: now, in order, and later, at a time.

use std::collections::{BTreeMap, VecDeque};

use super::{ConnectionId, Output};

/// Something that happens at a time.
#[derive(Clone, Debug)]
pub(super) enum Later {
    Output(Output),
    /// End the connection if it still exists.
    Drop(ConnectionId),
    /// `register_in_progress`, and success when its time has come.
    Progress(Progress),
}

/// A registration that takes its time.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub(super) connection: ConnectionId,
    pub(super) request_id: String,
    pub(super) cluster_id: String,
    pub(super) every: u64,
    pub(super) success_at: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Outbox {
    ready: VecDeque<Output>,
    later: BTreeMap<(u64, u64), Later>,
    sequence: u64,
}

impl Outbox {
    pub(super) fn push(&mut self, output: Output) {
        self.ready.push_back(output);
    }

    pub(super) fn push_at(&mut self, at: u64, later: Later) {
        self.sequence += 1;
        self.later.insert((at, self.sequence), later);
    }

    pub(super) fn pop(&mut self) -> Option<Output> {
        self.ready.pop_front()
    }

    pub(super) fn pop_due(&mut self, now: u64) -> Option<Later> {
        let entry = self.later.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    pub(super) fn next_due(&self) -> Option<u64> {
        self.later.first_key_value().map(|((at, _), _)| *at)
    }

    /// Forgets everything meant for a connection.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.ready.retain(|output| target(output) != Some(connection));
        self.later.retain(|_, later| match later {
            Later::Output(output) => target(output) != Some(connection),
            Later::Drop(other) => *other != connection,
            Later::Progress(progress) => progress.connection != connection,
        });
    }
}

/// The connection an output writes to.
fn target(output: &Output) -> Option<ConnectionId> {
    match output {
        Output::Send { connection, .. }
        | Output::SendBinary { connection, .. }
        | Output::Ping { connection }
        | Output::Close { connection, .. }
        | Output::PauseReading { connection, .. } => Some(*connection),
        Output::Drop { .. } | Output::Mux { .. } | Output::Answer { .. } | Output::Noted(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_is_in_order_of_time_then_of_arrival() {
        let mut outbox = Outbox::default();
        for (at, number) in [(5, 1), (3, 2), (5, 3)] {
            outbox.push_at(at, Later::Drop(ConnectionId(number)));
        }
        let mut order = Vec::new();
        assert_eq!(outbox.next_due(), Some(3));
        assert!(outbox.pop_due(2).is_none());
        while let Some(Later::Drop(ConnectionId(number))) = outbox.pop_due(5) {
            order.push(number);
        }
        assert_eq!(order, [2, 1, 3]);
    }

    #[test]
    fn a_forgotten_connection_gets_nothing() {
        let mut outbox = Outbox::default();
        outbox.push(Output::Ping { connection: ConnectionId(1) });
        outbox.push(Output::Ping { connection: ConnectionId(2) });
        outbox.push_at(1, Later::Output(Output::Ping { connection: ConnectionId(1) }));
        outbox.forget(ConnectionId(1));
        assert_eq!(outbox.pop(), Some(Output::Ping { connection: ConnectionId(2) }));
        assert_eq!((outbox.pop(), outbox.next_due()), (None, None));
    }
}
