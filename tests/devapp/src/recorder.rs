//! What reached the application: every request with what became of it, and how many connections there are.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// The oldest are forgotten first.
const MAX_REQUESTS: usize = 8192;

/// One request.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Counts from 1 in the order of arrival.
    pub id: u64,
    pub method: String,
    pub path: String,
    /// As it came, without the question mark.
    pub query: String,
    /// In the order and the spelling they came in.
    pub headers: Vec<(String, String)>,
    /// `HTTP/1.0` or `HTTP/1.1`.
    pub version: String,
    pub tls: bool,
    /// What has come of the body: bytes without their framing; after an upgrade, bytes without the head.
    pub body_bytes: u64,
    /// In hexadecimal; there once the body has come to its end.
    pub body_sha256: Option<String>,
    /// The beginning of the body, up to 64 KiB.
    pub body: Vec<u8>,
    /// Of the answer, once it began.
    pub status: Option<u16>,
    /// The answer is complete, or the upgraded connection has ended, or it broke.
    pub ended: bool,
    /// The sub-protocol that was agreed on.
    pub protocol: Option<String>,
    /// Messages of a WebSocket that came, control frames left out.
    pub messages: u64,
    /// Payloads of the pongs that came, the first 1024.
    pub pongs: Vec<Vec<u8>>,
    /// The close frame that came; code 1005 when it had none.
    pub close: Option<(u16, String)>,
}

impl Seen {
    /// The first value of a field, whatever its spelling.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// How many connections there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Connections {
    pub open: usize,
    /// Since the start.
    pub ever: usize,
}

#[derive(Debug, Default)]
struct State {
    requests: VecDeque<Seen>,
    last: u64,
    connections: Connections,
}

#[derive(Debug)]
pub(crate) struct Recorder {
    state: Mutex<State>,
    changed: Condvar,
    changes: watch::Sender<u64>,
}

impl Recorder {
    pub(crate) fn new() -> Recorder {
        Recorder { state: Mutex::default(), changed: Condvar::new(), changes: watch::Sender::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds this, and no change is made by halves.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let result = change(&mut state);
        // Under the lock, so that whoever looks and then blocks misses nothing.
        self.changes.send_modify(|tick| *tick = tick.wrapping_add(1));
        drop(state);
        self.changed.notify_all();
        result
    }

    pub(crate) fn arrived(&self, seen: Seen) -> u64 {
        self.change(|state| {
            state.last += 1;
            if state.requests.len() >= MAX_REQUESTS {
                state.requests.pop_front();
            }
            state.requests.push_back(Seen { id: state.last, ..seen });
            state.last
        })
    }

    /// Does nothing if the request is already forgotten.
    pub(crate) fn update(&self, id: u64, update: impl FnOnce(&mut Seen)) {
        self.change(|state| {
            let place = state.requests.binary_search_by_key(&id, |seen| seen.id);
            if let Some(seen) = place.ok().and_then(|place| state.requests.get_mut(place)) {
                update(seen);
            }
        });
    }

    pub(crate) fn connected(&self) {
        self.change(|state| {
            state.connections.open += 1;
            state.connections.ever += 1;
        });
    }

    pub(crate) fn disconnected(&self) {
        self.change(|state| state.connections.open = state.connections.open.saturating_sub(1));
    }

    pub(crate) fn forget(&self) {
        self.change(|state| state.requests.clear());
    }

    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.state().requests.iter().cloned().collect()
    }

    pub(crate) fn connections(&self) -> Connections {
        self.state().connections
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Blocks until there is another change than `seen`, or until the deadline.
    pub(crate) fn block(&self, seen: u64, deadline: Instant) -> bool {
        let mut state = self.state();
        while *self.changes.borrow() == seen {
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return false;
            }
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
        true
    }
}
