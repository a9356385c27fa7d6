//! What all requests and the owner's handle share, and the two signals that say "something changed". Owns the locks:
//! none is held across an await.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::watch;

use crate::behaviour::Behaviours;
use crate::logs::Logs;
use crate::options::Options;
use crate::recorder::{Recorder, Seen};
use crate::seed;
use crate::store::Store;

#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) content_type: String,
    pub(crate) bytes: Bytes,
}

pub(crate) struct Shared {
    pub(crate) options: Options,
    store: Mutex<Store>,
    logs: Mutex<Logs>,
    recorder: Mutex<Recorder>,
    behaviours: Mutex<Behaviours>,
    blobs: Mutex<BTreeMap<String, Blob>>,
    live: AtomicUsize,
    /// Ticks on whatever the owner may wait for.
    changes: watch::Sender<u64>,
    /// The newest version in the store; watches wait for it.
    pub(crate) versions: watch::Sender<u64>,
    /// Ticks when a log grows, or begins or ceases to be followed.
    pub(crate) log_ticks: watch::Sender<u64>,
    /// Ticks when all watches are to lose their connection.
    pub(crate) cuts: watch::Sender<u64>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code under these locks leaves a half-made change, so a panic of one holder (a test's closure) is survivable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(options: Options) -> Shared {
        let now = SystemTime::now();
        let nanos = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let entropy = u64::try_from(nanos & u128::from(u64::MAX)).unwrap_or_default();
        let shared = Shared {
            store: Mutex::new(Store::new(options.history_limit, entropy)),
            logs: Mutex::default(),
            recorder: Mutex::default(),
            behaviours: Mutex::default(),
            blobs: Mutex::default(),
            live: AtomicUsize::new(0),
            changes: watch::Sender::new(0),
            versions: watch::Sender::new(0),
            log_ticks: watch::Sender::new(0),
            cuts: watch::Sender::new(0),
            options,
        };
        seed::fill(&shared, now);
        shared
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    /// Runs a change and wakes the watches when there was one.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let mut store = self.store();
        let before = store.version();
        let result = change(&mut store);
        let after = store.version();
        drop(store);
        if after != before {
            self.versions.send_replace(after);
            self.changed();
        }
        result
    }

    pub(crate) fn logs(&self) -> MutexGuard<'_, Logs> {
        lock(&self.logs)
    }

    pub(crate) fn log_changed(&self) {
        self.log_ticks.send_modify(|tick| *tick = tick.wrapping_add(1));
        self.changed();
    }

    pub(crate) fn behaviours(&self) -> MutexGuard<'_, Behaviours> {
        lock(&self.behaviours)
    }

    pub(crate) fn blobs(&self) -> MutexGuard<'_, BTreeMap<String, Blob>> {
        lock(&self.blobs)
    }

    pub(crate) fn recorder(&self) -> MutexGuard<'_, Recorder> {
        lock(&self.recorder)
    }

    pub(crate) fn arrived(&self, seen: Seen) -> u64 {
        let id = self.recorder().arrived(seen);
        self.changed();
        id
    }

    pub(crate) fn answered(&self, id: u64, status: u16) {
        let seen = self.recorder().answered(id, status);
        if let (Some(audit), Some(seen)) = (&self.options.audit, &seen) {
            audit(seen);
        }
        self.changed();
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn changed(&self) {
        self.changes.send_modify(|tick| *tick = tick.wrapping_add(1));
    }

    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::SeqCst)
    }
}

/// One request being answered; lives in the answer's body, so it ends with the answer or with the connection.
pub(crate) struct Live(Arc<Shared>);

impl Live {
    pub(crate) fn begin(shared: &Arc<Shared>) -> Live {
        shared.live.fetch_add(1, Ordering::SeqCst);
        Live(Arc::clone(shared))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::SeqCst);
        self.0.changed();
    }
}
