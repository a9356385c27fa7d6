//! What is going to happen, in order.

use super::*;

pub(super) enum Happening {
    Dial {
        attempt: Attempt,
        endpoint: Endpoint,
    },
    DialAnswer {
        attempt: Attempt,
        result: Result<ConnectionId, Failure>,
    },
    ToPlane {
        connection: ConnectionId,
        incoming: Incoming,
    },
    PlaneSees {
        connection: ConnectionId,
    },
    ToAgent {
        connection: ConnectionId,
        frame: Frame,
    },
    Sent {
        connection: ConnectionId,
        beat: Option<Beat>,
    },
    Upstream(Upstream),
    Piece(Key),
    /// A backend of an upgraded connection has something for a reader, takes what was fed, or ends after the agent did.
    PeerPiece(Key),
    PeerTake(Key),
    PeerPart(Key),
    /// The plane says something on an upgraded connection.
    Talk(ExchangeId),
    Facts,
}

/// What arrives at the agent.
pub(super) enum Frame {
    Text(String),
    Binary(Vec<u8>),
    Ping,
    Pong,
    Close(u16),
    Gone,
}

pub(super) struct Scheduled {
    pub(super) at: u64,
    pub(super) order: u64,
    pub(super) happening: Happening,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
