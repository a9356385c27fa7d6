//! Connections to one server, kept for the next request.
//!
//! HTTP/1.1, one exchange on a connection at a time. So an exchange that is not read stops its own connection and nobody else's,
//! and dropping it closes its socket; on a shared HTTP/2 connection both would need bookkeeping that this does not.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper::{Request, Response};
use tokio::time::Instant;

use bytes::Bytes;

use super::body::RequestBody;
use super::stream::HyperStream;
use crate::connect::{ConnectError, Remote};
use crate::link::socket::Socket;

/// For TCP and TLS together.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The most idle connections that are kept.
const MAX_IDLE: usize = 64;
/// The most that are kept for one service.
const MAX_IDLE_OF_SERVICE: usize = 16;
/// How long a connection is kept idle: less than servers wait, which is 90 s at the API server.
const MAX_IDLE_TIME: Duration = Duration::from_secs(60);
/// hyper's buffer for one connection, and with it the largest piece of a body.
const BUFFER: usize = 16 * 1024;
/// The most headers of an answer.
const MAX_HEADERS: usize = 128;

/// The connections to one server.
pub(crate) struct Pool {
    remote: Remote,
    /// The value of a `Host` header where the request brings none.
    authority: String,
    max_idle: usize,
    /// What stands before every path, without a slash at its end; usually empty.
    base_path: String,
    /// Taken and put back without waiting for anything while it is locked.
    idle: Mutex<Vec<(Instant, Lease)>>,
}

/// A connection, for one exchange at a time. The task that holds it also drives it, so that dropping the task closes the socket.
pub(crate) struct Lease {
    sender: SendRequest<RequestBody>,
    connection: Pin<Box<Connection<HyperStream, RequestBody>>>,
    ended: bool,
    reused: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum RequestError {
    Connect(ConnectError),
    ConnectTimeout,
    /// The connection ended before an answer.
    Http(hyper::Error),
}

impl core::fmt::Display for RequestError {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Connect(error) => write!(formatter, "{error}"),
            Self::ConnectTimeout => formatter.write_str("no connection within 10s"),
            Self::Http(source) => write!(formatter, "{source}"),
        }
    }
}

impl core::error::Error for RequestError {}

impl Pool {
    pub(crate) fn new(remote: Remote, base_path: String) -> Arc<Self> {
        let authority = remote.authority();
        Arc::new(Self { remote, authority, max_idle: MAX_IDLE, base_path, idle: Mutex::new(Vec::new()) })
    }

    /// Connections to one of many servers: known by another name than the address, and fewer of them kept.
    pub(crate) fn of_service(remote: Remote, authority: String) -> Arc<Self> {
        let max_idle = MAX_IDLE_OF_SERVICE;
        Arc::new(Self { remote, authority, max_idle, base_path: String::new(), idle: Mutex::new(Vec::new()) })
    }

    /// The value of a `Host` header.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// The request line's path for a path of the server's API.
    pub(crate) fn path(&self, path: &str) -> String {
        if self.base_path.is_empty() { path.into() } else { format!("{}{path}", self.base_path) }
    }

    /// A connection: one that is idle and still good, or a new one.
    pub(crate) async fn lease(&self) -> Result<Lease, RequestError> {
        while let Some(mut lease) = self.take_idle() {
            if lease.is_good().await {
                lease.reused = true;
                return Ok(lease);
            }
        }
        self.connect().await
    }

    /// A new connection, for a request that failed on an old one.
    pub(crate) async fn connect(&self) -> Result<Lease, RequestError> {
        let socket = match tokio::time::timeout(CONNECT_LIMIT, self.remote.connect()).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return Err(RequestError::Connect(error)),
            Err(_) => return Err(RequestError::ConnectTimeout),
        };
        let (sender, connection) = Builder::new()
            .max_buf_size(BUFFER)
            .max_headers(MAX_HEADERS)
            .handshake(HyperStream::new(socket))
            .await
            .map_err(RequestError::Http)?;
        Ok(Lease { sender, connection: Box::pin(connection), ended: false, reused: false })
    }

    /// Keeps a connection whose exchange is complete.
    pub(crate) async fn give_back(&self, mut lease: Lease) {
        if !lease.is_good().await {
            return;
        }
        let now = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(since, _)| now.duration_since(*since) < MAX_IDLE_TIME);
        if idle.len() < self.max_idle {
            idle.push((now, lease));
        }
    }

    /// Drops the connections that have been idle for too long.
    pub(crate) fn prune(&self) {
        let now = Instant::now();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).retain(|(since, _)| now.duration_since(*since) < MAX_IDLE_TIME);
    }

    fn take_idle(&self) -> Option<Lease> {
        let now = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((since, lease)) = idle.pop() {
            if now.duration_since(since) < MAX_IDLE_TIME {
                return Some(lease);
            }
        }
        None
    }
}

impl Lease {
    /// Whether the connection was used before.
    pub(crate) const fn is_reused(&self) -> bool {
        self.reused
    }

    /// Sends a request and gives the head of the answer.
    pub(crate) async fn send(&mut self, request: Request<RequestBody>) -> Result<Response<Incoming>, RequestError> {
        let answer = self.sender.send_request(request);
        drive(&mut self.connection, &mut self.ended, answer).await.map_err(RequestError::Http)
    }

    /// Runs `work` while the connection goes on.
    pub(crate) async fn while_driven<T>(&mut self, work: impl Future<Output = T>) -> T {
        drive(&mut self.connection, &mut self.ended, work).await
    }

    /// The stream of a connection that has changed the protocol, and what was read of the new one.
    pub(super) async fn into_socket(mut self) -> (Socket, Bytes) {
        // The connection has to notice the change before it lets go.
        self.while_driven(core::future::ready(())).await;
        let parts = Pin::into_inner(self.connection).into_parts();
        // Copied, because even an empty slice would keep the whole buffer of the HTTP connection for as long as this one lasts.
        (parts.io.into_socket(), Bytes::copy_from_slice(&parts.read_buf))
    }

    /// Whether the connection can take a request now.
    async fn is_good(&mut self) -> bool {
        let Self { sender, connection, ended, .. } = self;
        // One look at the socket: a server that has closed it in the meantime shows here.
        drive(connection, ended, core::future::ready(())).await;
        core::future::poll_fn(|context| {
            if !*ended && connection.as_mut().poll(context).is_ready() {
                *ended = true;
            }
            Poll::Ready(!*ended && sender.poll_ready(context).is_ready_and_ok())
        })
        .await
    }
}

trait ReadyAndOk {
    fn is_ready_and_ok(&self) -> bool;
}

impl ReadyAndOk for Poll<hyper::Result<()>> {
    fn is_ready_and_ok(&self) -> bool {
        matches!(self, Poll::Ready(Ok(())))
    }
}

/// Polls `work`, and the connection beside it until that ends.
async fn drive<T>(
    connection: &mut Pin<Box<Connection<HyperStream, RequestBody>>>,
    ended: &mut bool,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    core::future::poll_fn(|context| {
        if let Poll::Ready(result) = work.as_mut().poll(context) {
            return Poll::Ready(result);
        }
        if !*ended && connection.as_mut().poll(context).is_ready() {
            *ended = true;
        }
        // The connection has just moved, so what it works for may be ready.
        work.as_mut().poll(context)
    })
    .await
}
