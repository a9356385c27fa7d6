//! What the plane remembers for tests: bounded lists of what it has seen.

use std::collections::VecDeque;

use serde_json::{Map, Value};

use super::{ConnectionId, RestRecord, Role, Upgrade};

/// The last entries of something, and how many there were in all.
#[derive(Clone, Debug)]
pub struct Log<T> {
    entries: VecDeque<T>,
    limit: usize,
    total: u64,
}

impl<T> Log<T> {
    pub(super) fn with_limit(limit: usize) -> Self {
        Self { entries: VecDeque::new(), limit, total: 0 }
    }

    pub(super) fn push(&mut self, entry: T) {
        if self.entries.len() >= self.limit {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
        self.total += 1;
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.total = 0;
    }

    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.entries.iter()
    }

    #[must_use]
    pub fn last(&self) -> Option<&T> {
        self.entries.back()
    }

    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many there were, with those no longer kept.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }
}

/// An upgrade request and its fate.
#[derive(Clone, Debug)]
pub struct UpgradeRecord {
    pub at: u64,
    pub role: Role,
    pub upgrade: Upgrade,
    /// 101, the status of the refusal, or 0 for one left hanging.
    pub status: u16,
    pub connection: Option<ConnectionId>,
}

/// A message of an agent.
#[derive(Clone, Debug)]
pub struct MessageRecord {
    pub at: u64,
    pub connection: ConnectionId,
    pub kind: String,
    pub request_id: Option<String>,
    pub payload: Map<String, Value>,
}

/// The end of a connection.
#[derive(Clone, Debug)]
pub struct DisconnectRecord {
    pub at: u64,
    pub connection: ConnectionId,
    pub role: Role,
    /// Of the agent's close frame, if it sent one.
    pub code: Option<u16>,
    /// The plane ended it.
    pub by_plane: bool,
}

/// Everything remembered.
#[derive(Clone, Debug)]
pub struct Records {
    pub upgrades: Log<UpgradeRecord>,
    pub registers: Log<MessageRecord>,
    pub heartbeats: Log<MessageRecord>,
    /// `pong`, `protocol_fallback`, `gateway_hello_ack`, `backpressure`, `proxy_error`, `proxy_response_abort`.
    pub others: Log<MessageRecord>,
    pub disconnects: Log<DisconnectRecord>,
    pub rest: Log<RestRecord>,
    /// WebSocket pings of agents: time and connection.
    pub pings: Log<(u64, ConnectionId)>,
    pub pongs: Log<(u64, ConnectionId)>,
    /// A connection of a cluster that still had one.
    pub overlaps: Log<(u64, ConnectionId)>,
    /// `proxy_websocket_close` for an upgraded `proxy_request` that the plane has closed: an echo, which is wrong, or a
    /// message that has crossed the plane's, which is not.
    pub late_closes: Log<MessageRecord>,
    /// Exchanges given up because nobody took what came for them: time and id on the wire.
    pub given_up: Log<(u64, String)>,
    /// Messages of any kind.
    pub messages: u64,
    pub exchanges_opened: u64,
    pub exchanges_ended: u64,
}

impl Records {
    pub(super) fn new() -> Self {
        const LIMIT: usize = 4096;
        Self {
            upgrades: Log::with_limit(LIMIT),
            registers: Log::with_limit(LIMIT),
            heartbeats: Log::with_limit(LIMIT),
            others: Log::with_limit(LIMIT),
            disconnects: Log::with_limit(LIMIT),
            rest: Log::with_limit(LIMIT),
            pings: Log::with_limit(LIMIT),
            pongs: Log::with_limit(LIMIT),
            overlaps: Log::with_limit(LIMIT),
            late_closes: Log::with_limit(LIMIT),
            given_up: Log::with_limit(LIMIT),
            messages: 0,
            exchanges_opened: 0,
            exchanges_ended: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_forgets_the_oldest_and_counts_all() {
        let mut log = Log::with_limit(2);
        for number in 0..5 {
            log.push(number);
        }
        assert_eq!(log.iter().copied().collect::<Vec<_>>(), [3, 4]);
        assert_eq!((log.len(), log.total(), log.last()), (2, 5, Some(&4)));
    }
}
