//! How far a client's upgraded connection may run ahead of its backend.
//!
//! The protocol has no credits. So pings of the plane's own travel with the data, and their pongs say how far the
//! backend has read. A backend that does not answer pings is sent one window and no more. A client that goes away while
//! it is not read is noticed only when it is read or written to again.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Payload between two pings.
const PING_EVERY: u64 = 256 << 10;
/// Payload that may be under way without a pong.
const WINDOW: u64 = 1 << 20;
/// What the pings hold, before their number.
const PREFIX: &str = "devplane-pace-";

#[derive(Default)]
struct State {
    sent: u64,
    /// What had been sent when the last answered ping was.
    covered: u64,
    /// What had been sent when the last ping was.
    pinged: u64,
    pings: u64,
    /// Pings without a pong: number, and what had been sent. At most one for each `PING_EVERY` of the window, as
    /// nothing is read beyond.
    waiting: VecDeque<(u64, u64)>,
}

#[derive(Default)]
pub(super) struct Pace {
    state: Mutex<State>,
    moved: Notify,
}

impl Pace {
    /// Counts a message that has been sent. The payload of the ping that is to follow, if one is due.
    pub(super) fn sent(&self, bytes: usize) -> Option<Vec<u8>> {
        let mut state = self.lock();
        state.sent = state.sent.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if state.sent - state.pinged < PING_EVERY {
            return None;
        }
        state.pinged = state.sent;
        state.pings += 1;
        let ping = (state.pings, state.sent);
        state.waiting.push_back(ping);
        Some(format!("{PREFIX}{}", state.pings).into_bytes())
    }

    /// Whether a pong answers one of these pings, and is nothing to the client.
    pub(super) fn pong(&self, payload: &[u8]) -> bool {
        let number = std::str::from_utf8(payload).ok().and_then(|text| text.strip_prefix(PREFIX)?.parse::<u64>().ok());
        let Some(number) = number else {
            return false;
        };
        let mut state = self.lock();
        let Some(position) = state.waiting.iter().position(|(waiting, _)| *waiting == number) else {
            return false;
        };
        // A pong may stand for several pings.
        let answered = state.waiting.drain(..=position).next_back();
        state.covered = answered.map_or(state.covered, |(_, sent)| sent);
        drop(state);
        self.moved.notify_one();
        true
    }

    /// Returns once the client may be read.
    pub(super) async fn open(&self) {
        while !self.is_open() {
            self.moved.notified().await;
        }
    }

    fn is_open(&self) -> bool {
        let state = self.lock();
        state.sent - state.covered <= WINDOW
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_come_with_the_bytes_and_pongs_open_the_window() {
        let pace = Pace::default();
        let piece = 64 << 10;
        let mut pings = Vec::new();
        while pace.is_open() {
            pings.extend(pace.sent(piece));
        }
        assert_eq!(pings.len(), 4);
        assert!(!pace.pong(b"other") && !pace.pong(b"devplane-pace-9"));
        // The second stands for the first.
        assert!(pace.pong(&pings[1]) && pace.is_open());
        assert!(!pace.pong(&pings[0]));
    }

    #[test]
    fn one_large_message_has_its_own_ping() {
        let pace = Pace::default();
        let ping = pace.sent(8 << 20).unwrap();
        assert!(!pace.is_open());
        assert!(pace.pong(&ping) && pace.is_open());
    }
}
