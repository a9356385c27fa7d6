//! The owner's handle: starting, stopping, looking in, and everything that no client could do.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::behaviour::Behaviour;
use crate::delete;
use crate::options::Options;
use crate::recorder::Seen;
use crate::resources::RESOURCES;
use crate::server;
use crate::shared::{Blob, Shared};
use crate::status::Refusal;
use crate::store::Key;
use crate::write;

/// A running server. It ends when this is dropped.
pub struct DevKube {
    shared: Arc<Shared>,
    address: SocketAddr,
    secure: bool,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl DevKube {
    /// Binds and serves on the current tokio runtime. The seeded objects are there when this returns.
    pub async fn start(options: Options) -> io::Result<DevKube> {
        let tls = server::acceptor(options.tls.as_ref());
        let listener = server::bind(options.bind).await?;
        let address = listener.local_addr()?;
        let secure = tls.is_some();
        let shared = Arc::new(Shared::new(options));
        let task = tokio::spawn(server::run(listener, tls, Arc::clone(&shared)));
        Ok(DevKube { shared, address, secure, task: Mutex::new(Some(task)) })
    }

    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// `http://…` or `https://…`, with the port, without a slash at the end.
    pub fn url(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Closes the port and every connection; both are closed when this returns. What has been seen can still be read.
    pub async fn shutdown(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.abort();
            // It was aborted; that is the only result there is.
            let _ = task.await;
        }
    }

    /// Creates or replaces an object, with its status, and without asking for a version or for the namespace to
    /// exist. `apiVersion`, `kind` and `metadata.name` must be there; the namespace is `default` where none is given.
    pub fn put(&self, object: Value) -> Result<Value, Refusal> {
        write::put(&self.shared, object).map(|object| (*object).clone())
    }

    /// Creates or replaces a service of type `ClusterIP` with exactly this address. A port is a name and a number.
    pub fn put_service(&self, namespace: &str, name: &str, address: IpAddr, ports: &[(&str, u16)]) -> Result<Value, Refusal> {
        let ports: Vec<Value> = ports.iter().map(|(name, port)| json!({"name": name, "port": port, "protocol": "TCP"})).collect();
        self.put(json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"type": "ClusterIP", "clusterIP": address.to_string(), "ports": ports},
        }))
    }

    /// An object by the plural of its resource (`pods`, `deployments` or `deployments.apps`). The namespace is ignored
    /// for what has none.
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let key = find(resource, namespace, name)?;
        let object = self.shared.store().get(&key).cloned()?;
        Some((*object).clone())
    }

    /// Whether there was something to delete.
    pub fn delete(&self, resource: &str, namespace: &str, name: &str) -> bool {
        let Some(key) = find(resource, namespace, name) else {
            return false;
        };
        if self.shared.store().get(&key).is_none() {
            return false;
        }
        delete::remove(&self.shared, &key);
        true
    }

    /// The newest resource version.
    pub fn version(&self) -> u64 {
        self.shared.store().version()
    }

    /// A line in a pod's log; followers get it at once.
    pub fn push_log(&self, namespace: &str, pod: &str, line: &str) {
        self.shared.logs().push(namespace, pod, line, SystemTime::now());
        self.shared.log_changed();
    }

    /// How many requests follow a pod's log just now.
    pub fn log_followers(&self, namespace: &str, pod: &str) -> usize {
        self.shared.logs().followers(namespace, pod)
    }

    /// The last 4096 requests, oldest first, those without an answer yet included.
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.recorder().all()
    }

    pub fn clear_requests(&self) {
        self.shared.recorder().clear();
        self.shared.changed();
    }

    /// Requests being answered now: from the head's arrival until the last byte of the answer is handed over, or the
    /// client is gone.
    pub fn live_requests(&self) -> usize {
        self.shared.live()
    }

    /// Ticks whenever anything changes that this handle can show.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.subscribe()
    }

    /// Waits until the condition holds, looking again at each change. It has no time limit of its own.
    pub async fn wait_for(&self, mut condition: impl FnMut(&DevKube) -> bool) {
        let mut changes = self.changes();
        while !condition(self) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// From now on paths with this prefix misbehave; the longest prefix wins.
    pub fn set_behaviour(&self, path_prefix: &str, behaviour: Behaviour) {
        self.shared.behaviours().set(path_prefix, behaviour);
    }

    pub fn remove_behaviour(&self, path_prefix: &str) {
        self.shared.behaviours().remove(path_prefix);
    }

    pub fn clear_behaviours(&self) {
        self.shared.behaviours().clear();
    }

    /// Forgets the history for all who come: to resume a watch or to continue a list from any version known so far
    /// answers 410. Watches that run are not disturbed.
    pub fn force_gone(&self) {
        self.shared.change(|store| store.forget());
    }

    /// Drops the connection of every running watch in the middle of its answer.
    pub fn cut_watches(&self) {
        self.shared.cuts.send_modify(|cut| *cut = cut.wrapping_add(1));
    }

    /// Serves these bytes at exactly this path, with their length, to everyone with a token. The path must start with
    /// `/api/` or `/apis/`; `false` says that it does not.
    #[must_use]
    pub fn put_blob(&self, path: &str, content_type: &str, bytes: Bytes) -> bool {
        if !path.starts_with("/api/") && !path.starts_with("/apis/") {
            return false;
        }
        self.shared.blobs().insert(path.to_owned(), Blob { content_type: content_type.to_owned(), bytes });
        true
    }
}

impl Drop for DevKube {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

impl std::fmt::Debug for DevKube {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DevKube").field("url", &self.url()).finish_non_exhaustive()
    }
}

fn find(resource: &str, namespace: &str, name: &str) -> Option<Key> {
    let position = RESOURCES.iter().position(|r| r.plural == resource || r.qualified() == resource)?;
    let namespaced = RESOURCES.get(position).is_some_and(|r| r.namespaced);
    let namespace = if namespaced { namespace.to_owned() } else { String::new() };
    Some(Key { resource: position, namespace, name: name.to_owned() })
}
