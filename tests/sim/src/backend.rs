//! Backends in virtual time: what an API server may do, decided by the path.

use std::collections::BTreeMap;

use bytes::Bytes;
use pipeops_agent_core::message::Header;
use pipeops_agent_core::streams::{Body, Input, Key, Open, UpstreamError};

/// What a path stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// So many bytes, then the end.
    Blob(usize),
    /// Bytes for ever.
    Endless,
    /// No answer.
    Hang,
    /// No connection.
    Refused,
    /// So many bytes, then the connection breaks.
    Cut(usize),
    /// Reads the whole body, then answers with its length.
    Count,
    /// Never reads the body.
    Unreading,
}

impl Kind {
    /// The path that asks for it.
    #[must_use]
    pub fn path(self) -> String {
        match self {
            Self::Blob(size) => format!("/api/v1/blob/{size}"),
            Self::Endless => "/api/v1/endless".into(),
            Self::Hang => "/api/v1/hang".into(),
            Self::Refused => "/api/v1/refused".into(),
            Self::Cut(size) => format!("/api/v1/cut/{size}"),
            Self::Count => "/api/v1/count".into(),
            Self::Unreading => "/api/v1/unreading".into(),
        }
    }

    fn of(path: &str) -> Self {
        let number = || path.rsplit('/').next().and_then(|text| text.parse().ok()).unwrap_or(0);
        match path.split('/').nth(3).unwrap_or_default() {
            "blob" => Self::Blob(number()),
            "endless" => Self::Endless,
            "hang" => Self::Hang,
            "refused" => Self::Refused,
            "cut" => Self::Cut(number()),
            "count" => Self::Count,
            _ => Self::Unreading,
        }
    }
}

/// The byte at a position of any answer, so that a gap or a repeat shows.
#[must_use]
pub fn byte_at(position: usize) -> u8 {
    // The period is a prime, so that pieces of a power of two do not look alike.
    (position % 251) as u8
}

struct Running {
    kind: Kind,
    sent: usize,
    permitted: usize,
    body_done: bool,
    received: usize,
}

/// All backends of one agent.
#[derive(Default)]
pub struct Backends {
    running: BTreeMap<Key, Running>,
    /// The most that one read gives.
    piece: usize,
}

impl Backends {
    #[must_use]
    pub fn new(piece: usize) -> Self {
        Self { running: BTreeMap::new(), piece }
    }

    #[must_use]
    pub fn open_count(&self) -> usize {
        self.running.len()
    }

    /// What the backend reports after each call, with the delay in milliseconds.
    pub fn open(&mut self, open: &Open, random: &mut fastrand::Rng) -> Vec<(u64, Input)> {
        let key = open.key;
        let kind = Kind::of(open.uri.split('?').next().unwrap_or_default());
        let mut reports = Vec::new();
        let mut running = Running { kind, sent: 0, permitted: 0, body_done: true, received: 0 };
        match &open.body {
            Body::None => {}
            Body::Whole(bytes) => {
                running.received = bytes.len();
                if kind != Kind::Unreading {
                    reports.push((random.u64(0..20), Input::Consumed { key, bytes: bytes.len() }));
                }
            }
            Body::Fed => running.body_done = false,
        }
        match kind {
            Kind::Refused => {
                reports.push((random.u64(0..10), Input::Failed { key, error: UpstreamError::Unreachable("refused") }));
                return reports;
            }
            Kind::Hang | Kind::Unreading => {}
            Kind::Count if !running.body_done => {}
            Kind::Count | Kind::Blob(_) | Kind::Endless | Kind::Cut(_) => {
                let headers = vec![
                    Header { name: "content-type".into(), value: "application/octet-stream".into() },
                    Header { name: "connection".into(), value: "x-hop".into() },
                    Header { name: "x-hop".into(), value: "1".into() },
                ];
                reports.push((random.u64(0..50), Input::Head { key, status: 200, headers }));
            }
        }
        self.running.insert(key, running);
        reports
    }

    pub fn read(&mut self, key: Key, limit: usize) {
        if let Some(running) = self.running.get_mut(&key) {
            assert_eq!(running.permitted, 0, "one permission at a time");
            running.permitted = limit;
        }
    }

    pub fn feed(&mut self, key: Key, data: &Bytes, random: &mut fastrand::Rng) -> Vec<(u64, Input)> {
        let Some(running) = self.running.get_mut(&key) else {
            return Vec::new();
        };
        running.received += data.len();
        if running.kind == Kind::Unreading {
            return Vec::new();
        }
        vec![(random.u64(0..5), Input::Consumed { key, bytes: data.len() })]
    }

    pub fn feed_end(&mut self, key: Key) -> Vec<(u64, Input)> {
        let Some(running) = self.running.get_mut(&key) else {
            return Vec::new();
        };
        running.body_done = true;
        if running.kind == Kind::Count {
            return vec![(1, Input::Head { key, status: 200, headers: Vec::new() })];
        }
        Vec::new()
    }

    pub fn abort(&mut self, key: Key) {
        self.running.remove(&key);
    }

    /// What the backend does with a permission to read: called once its head is out.
    pub fn next_piece(&mut self, key: Key, random: &mut fastrand::Rng) -> Option<Input> {
        let running = self.running.get_mut(&key)?;
        if running.permitted == 0 {
            return None;
        }
        let left = match running.kind {
            Kind::Blob(size) | Kind::Cut(size) => size - running.sent,
            Kind::Endless => 200,
            Kind::Count => format!("{}", running.received).len().saturating_sub(running.sent),
            Kind::Hang | Kind::Refused | Kind::Unreading => return None,
        };
        let limit = core::mem::take(&mut running.permitted);
        if left == 0 {
            let broken = matches!(running.kind, Kind::Cut(_));
            self.running.remove(&key);
            return Some(if broken { Input::Failed { key, error: UpstreamError::Broken("cut") } } else { Input::End { key } });
        }
        let count = left.min(random.usize(1..=self.piece.min(limit)));
        let start = running.sent;
        running.sent += count;
        let data: Vec<u8> = if running.kind == Kind::Count {
            format!("{}", running.received).into_bytes().drain(start..start + count).collect()
        } else {
            (start..start + count).map(byte_at).collect()
        };
        Some(Input::Data { key, data: data.into() })
    }

    /// Milliseconds until the backend has something for a reader.
    #[must_use]
    pub fn pause(&self, key: Key, random: &mut fastrand::Rng) -> u64 {
        match self.running.get(&key).map(|running| running.kind) {
            Some(Kind::Endless) => random.u64(20..400),
            _ => random.u64(0..10),
        }
    }

    /// Whether a head is out, so that pieces may follow.
    #[must_use]
    pub fn has_permission(&self, key: Key) -> bool {
        self.running.get(&key).is_some_and(|running| running.permitted > 0)
    }
}
