//! The ring of requests seen. Bounded in number and in bytes; it decides nothing.

use std::collections::VecDeque;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};

const KEEP: usize = 4096;
const BODY_LIMIT: usize = 64 * 1024;
const ALL_BODIES_LIMIT: usize = 32 * 1024 * 1024;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Counts up from the start; the answer carries it as `audit-id`.
    pub id: u64,
    pub method: String,
    /// As sent, still percent-encoded.
    pub path: String,
    /// Without the question mark; empty when there is none.
    pub query: String,
    pub headers: Vec<(String, String)>,
    /// `None` when no known token came with it.
    pub user: Option<String>,
    /// `None` while there is no answer.
    pub status: Option<u16>,
    /// The sub-protocol of a stream over WebSocket, once it is agreed on.
    pub protocol: Option<String>,
    pub time: SystemTime,
    /// The first 64 KiB of the body, as far as it has been read. The oldest bodies give way when all together pass
    /// 32 MiB.
    pub body: Bytes,
}

impl Seen {
    /// The first value of a header; the name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

#[derive(Debug, Default)]
pub(crate) struct Recorder {
    seen: VecDeque<Seen>,
    next: u64,
    body_bytes: usize,
}

impl Recorder {
    /// The id it will be known by.
    pub(crate) fn arrived(&mut self, mut seen: Seen) -> u64 {
        self.next = self.next.saturating_add(1);
        seen.id = self.next;
        if self.seen.len() >= KEEP
            && let Some(gone) = self.seen.pop_front()
        {
            self.body_bytes = self.body_bytes.saturating_sub(gone.body.len());
        }
        self.seen.push_back(seen);
        self.next
    }

    pub(crate) fn answered(&mut self, id: u64, status: u16) -> Option<Seen> {
        let seen = self.find(id)?;
        seen.status = Some(status);
        Some(seen.clone())
    }

    pub(crate) fn protocol(&mut self, id: u64, protocol: &str) {
        if let Some(seen) = self.find(id) {
            seen.protocol = Some(protocol.to_owned());
        }
    }

    pub(crate) fn body(&mut self, id: u64, more: &[u8]) {
        let Some(seen) = self.find(id) else { return };
        let room = BODY_LIMIT.saturating_sub(seen.body.len()).min(more.len());
        let Some(kept) = more.get(..room).filter(|kept| !kept.is_empty()) else {
            return;
        };
        let mut body = BytesMut::from(core::mem::take(&mut seen.body));
        body.extend_from_slice(kept);
        seen.body = body.freeze();
        self.body_bytes = self.body_bytes.saturating_add(room);
        let mut over = self.body_bytes.saturating_sub(ALL_BODIES_LIMIT);
        for old in &mut self.seen {
            if over == 0 {
                break;
            }
            let freed = core::mem::take(&mut old.body).len();
            self.body_bytes = self.body_bytes.saturating_sub(freed);
            over = over.saturating_sub(freed);
        }
    }

    pub(crate) fn all(&self) -> Vec<Seen> {
        self.seen.iter().cloned().collect()
    }

    pub(crate) fn clear(&mut self) {
        self.seen.clear();
        self.body_bytes = 0;
    }

    // Ids go up by one, so the place follows from the distance to the first.
    fn find(&mut self, id: u64) -> Option<&mut Seen> {
        let first = self.seen.front()?.id;
        let place = usize::try_from(id.checked_sub(first)?).ok()?;
        self.seen.get_mut(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Seen {
        Seen {
            id: 0,
            method: "GET".into(),
            path: "/".into(),
            query: String::new(),
            headers: vec![("Accept".into(), "text/plain".into())],
            user: None,
            status: None,
            protocol: None,
            time: SystemTime::UNIX_EPOCH,
            body: Bytes::new(),
        }
    }

    #[test]
    fn keeps_the_newest_and_forgets_the_oldest() {
        let mut recorder = Recorder::default();
        for _ in 0..KEEP + 3 {
            recorder.arrived(request());
        }
        assert_eq!(recorder.all().len(), KEEP);
        assert!(recorder.answered(3, 200).is_none());
        assert_eq!(recorder.answered(4, 201).and_then(|seen| seen.status), Some(201));
    }

    #[test]
    fn bodies_stop_at_their_limits() {
        let mut recorder = Recorder::default();
        let piece = vec![7_u8; BODY_LIMIT];
        for _ in 0..(ALL_BODIES_LIMIT / BODY_LIMIT) + 1 {
            let id = recorder.arrived(request());
            recorder.body(id, &piece);
            recorder.body(id, &piece);
        }
        assert_eq!(recorder.body_bytes, ALL_BODIES_LIMIT);
        let all = recorder.all();
        assert!(all[0].body.is_empty());
        assert_eq!(all[1].body.len(), BODY_LIMIT);
    }

    #[test]
    fn answers_after_clearing_are_ignored() {
        let mut recorder = Recorder::default();
        let id = recorder.arrived(request());
        recorder.clear();
        assert!(recorder.answered(id, 200).is_none());
        recorder.arrived(request());
        assert!(recorder.answered(id, 200).is_none());
    }
}
