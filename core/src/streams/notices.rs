//! Words to the plane that belong to no place in an exchange: answers to what never began, and what is said beside the bytes.

use alloc::collections::VecDeque;

use crate::message::Outbound;

/// The most that wait, and their most bytes: a flood of bad requests costs no more memory than this.
const MOST: usize = 1024;
const MOST_BYTES: usize = 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Notices {
    queue: VecDeque<(Outbound, usize)>,
    bytes: usize,
}

impl Notices {
    /// Puts a word in line, or drops it where there are too many.
    pub(super) fn push(&mut self, notice: Outbound) {
        let size = size(&notice);
        if self.queue.len() < MOST && self.bytes + size <= MOST_BYTES {
            self.bytes += size;
            self.queue.push_back((notice, size));
        }
    }

    /// Puts a word in front of all others, and always: it belongs to the message that goes out now.
    pub(super) fn push_next(&mut self, notice: Outbound) {
        let size = size(&notice);
        self.bytes += size;
        self.queue.push_front((notice, size));
    }

    pub(super) fn pop(&mut self) -> Option<Outbound> {
        let (notice, size) = self.queue.pop_front()?;
        self.bytes -= size;
        Some(notice)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }
}

/// What can be long in a notice: ids are the plane's, up to 64 KiB.
fn size(notice: &Outbound) -> usize {
    match notice {
        Outbound::ResponseAbort { id, error } | Outbound::Error { id, error } | Outbound::StartError { id, error } => {
            id.len() + error.len()
        }
        Outbound::SocketData { id, data, .. } => id.len() + data.len(),
        Outbound::SocketClose { id, reason, .. } => id.len() + reason.len(),
        Outbound::Backpressure { id } | Outbound::ResponseEnd { id } => id.len(),
        Outbound::Register(_)
        | Outbound::Heartbeat(_)
        | Outbound::Pong { .. }
        | Outbound::ProtocolFallback { .. }
        | Outbound::Response { .. }
        | Outbound::ResponseHead { .. }
        | Outbound::ResponseChunk { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_many_nor_long_ones_grow_without_bound() {
        let mut notices = Notices::default();
        for _ in 0..2000 {
            notices.push(Outbound::Backpressure { id: "r".into() });
        }
        assert_eq!(notices.queue.len(), MOST);
        notices.clear();
        let long = "x".repeat(60_000);
        for _ in 0..100 {
            notices.push(Outbound::Error { id: long.as_str().into(), error: "no".into() });
        }
        assert!(notices.bytes <= MOST_BYTES && notices.queue.len() < 20);
        while notices.pop().is_some() {}
        assert_eq!(notices.bytes, 0);
    }
}
