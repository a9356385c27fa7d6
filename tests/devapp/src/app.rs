//! The owner's handle: starting on a thread of its own, stopping, and looking in.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::connection;
use crate::recorder::{Connections, Recorder, Seen};

#[derive(Debug, Clone)]
pub struct Options {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Speaks TLS when there is a configuration; see `tls_from_pem` and `tls_self_signed`.
    pub tls: Option<Arc<ServerConfig>>,
}

impl Default for Options {
    fn default() -> Options {
        Options { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), tls: None }
    }
}

/// A running application. It ends, with all its connections, when this is dropped.
#[derive(Debug)]
pub struct DevApp {
    address: SocketAddr,
    secure: bool,
    recorder: Arc<Recorder>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl DevApp {
    /// Listens, on a thread and a runtime of its own. Connections are accepted from when this returns.
    ///
    /// # Errors
    /// If the address cannot be had, or there are no more threads.
    pub fn spawn(options: Options) -> io::Result<DevApp> {
        let listener = TcpListener::bind(options.listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let recorder = Arc::new(Recorder::new());
        let secure = options.tls.is_some();
        let acceptor = options.tls.map(|config| {
            let mut config = ServerConfig::clone(&config);
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            TlsAcceptor::from(Arc::new(config))
        });
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&recorder);
        let thread = std::thread::Builder::new().name("devapp".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = connection::accept(listener, acceptor, shared) => {}
                    // Told to stop, or the handle is gone.
                    _ = stopped => {}
                }
            });
        })?;
        Ok(DevApp { address, secure, recorder, stop: Some(stop), thread: Some(thread) })
    }

    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// `http://…` or `https://…`, with the port, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http{}://{}", if self.secure { "s" } else { "" }, self.address)
    }

    /// What it has seen, the oldest first; no more than the last 8192.
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        self.recorder.requests()
    }

    /// The last request for this path.
    #[must_use]
    pub fn last(&self, path: &str) -> Option<Seen> {
        self.requests().into_iter().rev().find(|seen| seen.path == path)
    }

    pub fn forget_requests(&self) {
        self.recorder.forget();
    }

    #[must_use]
    pub fn connections(&self) -> Connections {
        self.recorder.connections()
    }

    /// Waits until the condition holds, looking again at each change. It has no time limit of its own, and it works on any
    /// runtime.
    pub async fn wait_for(&self, mut condition: impl FnMut(&DevApp) -> bool) {
        let mut changes = self.recorder.changes();
        loop {
            changes.borrow_and_update();
            if condition(self) || changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Blocks until the condition holds, looking again at each change; `false` if it did not come to that in time.
    pub fn wait_within(&self, patience: Duration, mut condition: impl FnMut(&DevApp) -> bool) -> bool {
        let deadline = Instant::now() + patience;
        let changes = self.recorder.changes();
        loop {
            let seen = *changes.borrow();
            if condition(self) {
                return true;
            }
            if !self.recorder.block(seen, deadline) {
                return condition(self);
            }
        }
    }
}

impl Drop for DevApp {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It does nothing that could panic, and there is nobody to tell.
            let _ = thread.join();
        }
    }
}
