//! The backends: connections to the API server and to services, and one task for each exchange.
//!
//! Owns sockets and HTTP towards the cluster. Does not decide anything: what to open, read, feed and drop comes from the machines.

mod body;
mod exchange;
mod orders;
mod pool;
mod relay;
mod stream;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use pipeops_agent_core::streams::{self, Body, Key, Open};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

pub(crate) use self::body::RequestBody as OwnBody;
use self::body::RequestBody;
use self::exchange::Backends;
use self::orders::Orders;
pub(crate) use self::pool::{Pool, RequestError};
use self::relay::Landing;
use crate::services::Services;

/// Where exchange tasks report. Not bounded by itself, and needs no bound: an exchange reports its head once, a piece for each
/// permission to read, its end once, and each fed piece once, all of which the machines have bounded.
pub(crate) type Reports = mpsc::UnboundedSender<streams::Input>;

/// The exchanges under way.
pub(crate) struct Upstreams {
    backends: Backends,
    reports: Reports,
    landing: Arc<Landing>,
    running: BTreeMap<Key, Running>,
}

struct Running {
    task: AbortHandle,
    orders: Arc<Orders>,
}

impl Upstreams {
    pub(crate) fn new(kubernetes: Arc<Pool>, services: Arc<Services>, reports: Reports) -> Self {
        let backends = Backends { kubernetes, services };
        Self { backends, reports, landing: Arc::default(), running: BTreeMap::new() }
    }

    /// Begins an exchange.
    pub(crate) fn open(&mut self, open: Open) {
        let key = open.key;
        let orders = Arc::new(Orders::default());
        let body = match &open.body {
            Body::None => RequestBody::empty(),
            Body::Whole(bytes) => RequestBody::whole(key, bytes.clone(), self.reports.clone()),
            Body::Fed => RequestBody::fed(key, orders.clone(), self.reports.clone()),
        };
        let task = exchange::run(open, body, self.backends.clone(), orders.clone(), self.landing.clone(), self.reports.clone());
        self.running.insert(key, Running { task: tokio::spawn(task).abort_handle(), orders });
    }

    /// Permits one more read, of at most `limit` bytes.
    pub(crate) fn read(&mut self, key: Key, limit: usize) {
        self.order(key, |orders| orders.permit(limit));
    }

    /// Passes on bytes for the backend. A task that is over takes nothing more; that it is over is on its way as a report.
    pub(crate) fn feed(&mut self, key: Key, data: Bytes) {
        self.order(key, |orders| orders.feed(data));
    }

    /// Nothing more will be fed.
    pub(crate) fn feed_end(&mut self, key: Key) {
        self.order(key, Orders::complete);
    }

    /// Ends a connection in good order, for nobody.
    pub(crate) fn finish(&mut self, key: Key) {
        self.order(key, Orders::finish);
    }

    fn order(&self, key: Key, order: impl FnOnce(&Orders)) {
        if let Some(running) = self.running.get(&key) {
            order(&running.orders);
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
