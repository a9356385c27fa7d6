//! How much of the answers nobody has taken yet, and when agents are therefore read no further.
//!
//! Callers of the handle share one allowance. A client of a front door has its own: a client that is slow holds the
//! agents up only while its queue is full, and is given up if that lasts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Bytes that may wait for all callers together.
const CALLERS_LIMIT: usize = 4 << 20;
/// Bytes that may wait for one client.
const CLIENT_LIMIT: usize = 4 << 20;
/// How long callers that take nothing may keep agents from being read.
const CALLERS_PATIENCE: Duration = Duration::from_secs(10);

/// Who takes an answer.
pub(super) enum Taker {
    /// A caller of the handle.
    Caller,
    /// A client of a front door. Its connection ends when this is notified.
    Client(Arc<Notify>),
}

/// Whose queues hold agents up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    Callers,
    Clients,
}

impl Taker {
    pub(super) fn group(&self) -> Group {
        match self {
            Self::Caller => Group::Callers,
            Self::Client(_) => Group::Clients,
        }
    }
}

/// What waits in one queue.
#[derive(Debug, Default)]
pub(super) struct Load(usize);

impl Load {
    pub(super) fn bytes(&self) -> usize {
        self.0
    }

    /// More than one client may leave waiting.
    pub(super) fn is_too_much(bytes: usize) -> bool {
        bytes > CLIENT_LIMIT
    }
}

/// What waits in all queues.
pub(super) struct Pressures {
    /// Bytes that wait for callers.
    callers: AtomicUsize,
    /// Clients whose queue is full.
    full_clients: AtomicUsize,
    relieved: Notify,
    client_patience: Duration,
}

impl Pressures {
    pub(super) fn new(client_patience: Duration) -> Self {
        Self { callers: AtomicUsize::new(0), full_clients: AtomicUsize::new(0), relieved: Notify::new(), client_patience }
    }

    pub(super) fn patience(&self, group: Group) -> Duration {
        match group {
            Group::Callers => CALLERS_PATIENCE,
            Group::Clients => self.client_patience,
        }
    }

    /// Returns once the queues of the group are short enough.
    pub(super) async fn wait(&self, group: Group) {
        loop {
            let mut relieved = std::pin::pin!(self.relieved.notified());
            relieved.as_mut().enable();
            if !self.is_high(group) {
                return;
            }
            relieved.await;
        }
    }

    pub(super) fn grow(&self, taker: &Taker, load: &mut Load, bytes: usize) {
        self.change(taker, load, load.0.saturating_add(bytes));
    }

    pub(super) fn shrink(&self, taker: &Taker, load: &mut Load, bytes: usize) {
        self.change(taker, load, load.0.saturating_sub(bytes));
    }

    pub(super) fn clear(&self, taker: &Taker, load: &mut Load) {
        self.change(taker, load, 0);
    }

    fn is_high(&self, group: Group) -> bool {
        match group {
            Group::Callers => self.callers.load(Ordering::Relaxed) > CALLERS_LIMIT,
            Group::Clients => self.full_clients.load(Ordering::Relaxed) > 0,
        }
    }

    fn change(&self, taker: &Taker, load: &mut Load, bytes: usize) {
        let before = std::mem::replace(&mut load.0, bytes);
        match taker.group() {
            Group::Callers if bytes >= before => {
                self.callers.fetch_add(bytes - before, Ordering::Relaxed);
            }
            Group::Callers => {
                self.callers.fetch_sub(before - bytes, Ordering::Relaxed);
            }
            Group::Clients => match (Load::is_too_much(before), Load::is_too_much(bytes)) {
                (false, true) => {
                    self.full_clients.fetch_add(1, Ordering::Relaxed);
                }
                (true, false) => {
                    self.full_clients.fetch_sub(1, Ordering::Relaxed);
                }
                (true, true) | (false, false) => {}
            },
        }
        if bytes < before && !self.is_high(taker.group()) {
            self.relieved.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_full_client_is_enough_and_callers_share() {
        let pressures = Pressures::new(Duration::ZERO);
        let client = || Taker::Client(Arc::default());
        let (mut first, mut second) = (Load::default(), Load::default());
        pressures.grow(&client(), &mut first, CLIENT_LIMIT);
        pressures.grow(&client(), &mut second, CLIENT_LIMIT);
        assert!(!pressures.is_high(Group::Clients));
        pressures.grow(&client(), &mut first, 1);
        assert!(pressures.is_high(Group::Clients) && !pressures.is_high(Group::Callers));
        pressures.clear(&client(), &mut first);
        assert!(!pressures.is_high(Group::Clients));
        let (mut first, mut second) = (Load::default(), Load::default());
        pressures.grow(&Taker::Caller, &mut first, CALLERS_LIMIT);
        pressures.grow(&Taker::Caller, &mut second, 1);
        assert!(pressures.is_high(Group::Callers));
        pressures.shrink(&Taker::Caller, &mut second, 1);
        assert!(!pressures.is_high(Group::Callers));
    }
}
