//! The backends: connections to the API server, and one task for each exchange.
//!
//! Owns sockets and HTTP towards the cluster. Does not decide anything: what to open, read, feed and drop comes from the machines.

mod body;
mod exchange;
mod pool;
mod stream;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use pipeops_agent_core::streams::{self, Body, Key, Open};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;

pub(crate) use self::body::RequestBody as OwnBody;
use self::body::RequestBody;
pub(crate) use self::pool::{Pool, RequestError};

/// Where exchange tasks report. Not bounded by itself, and needs no bound: an exchange reports its head once, a piece for each
/// permission to read, its end once, and each fed piece once, all of which the machines have bounded.
pub(crate) type Reports = mpsc::UnboundedSender<streams::Input>;

/// The exchanges under way.
pub(crate) struct Upstreams {
    pool: Arc<Pool>,
    reports: Reports,
    running: BTreeMap<Key, Running>,
}

struct Running {
    task: AbortHandle,
    permissions: Arc<Semaphore>,
    feed: Option<mpsc::UnboundedSender<Bytes>>,
}

impl Upstreams {
    pub(crate) fn new(pool: Arc<Pool>, reports: Reports) -> Self {
        Self { pool, reports, running: BTreeMap::new() }
    }

    /// Begins an exchange.
    pub(crate) fn open(&mut self, open: Open) {
        let key = open.key;
        let permissions = Arc::new(Semaphore::new(0));
        let (body, feed) = match &open.body {
            Body::None => (RequestBody::empty(), None),
            Body::Whole(bytes) => (RequestBody::whole(key, bytes.clone(), self.reports.clone()), None),
            Body::Fed => {
                let (feed, fed) = mpsc::unbounded_channel();
                (RequestBody::fed(key, fed, self.reports.clone()), Some(feed))
            }
        };
        let task = tokio::spawn(exchange::run(open, body, self.pool.clone(), permissions.clone(), self.reports.clone()));
        self.running.insert(key, Running { task: task.abort_handle(), permissions, feed });
    }

    /// Permits one more read.
    pub(crate) fn read(&mut self, key: Key) {
        if let Some(running) = self.running.get(&key) {
            running.permissions.add_permits(1);
        }
    }

    /// Passes on bytes of the request body.
    pub(crate) fn feed(&mut self, key: Key, data: Bytes) {
        if let Some(feed) = self.running.get(&key).and_then(|running| running.feed.as_ref()) {
            // A task that is over takes nothing more; that it is over is on its way as a report.
            let _ = feed.send(data);
        }
    }

    /// The request body is complete.
    pub(crate) fn feed_end(&mut self, key: Key) {
        if let Some(running) = self.running.get_mut(&key) {
            running.feed = None;
        }
    }

    /// Drops an exchange and its connection at once.
    pub(crate) fn abort(&mut self, key: Key) {
        if let Some(running) = self.running.remove(&key) {
            running.task.abort();
        }
    }

    /// Notes what a report says about the task that sent it.
    pub(crate) fn note(&mut self, report: &streams::Input) {
        if let streams::Input::End { key } | streams::Input::Failed { key, .. } = report {
            self.running.remove(key);
        }
    }
}
