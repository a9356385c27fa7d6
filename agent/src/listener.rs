//! The local listener: probes, metrics and status over HTTP/1.1, on a port and on a Unix socket.
//!
//! Owns these sockets and the few answers there are. It can neither block nor slow the tunnel: it asks the driver, and waits a
//! moment for its answer. It proxies nothing, reads no body, takes no command and knows no secret.

mod answer;
mod connection;
mod head;
mod socket_file;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use log::{debug, info, warn};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::AbortHandle;

pub(crate) use self::socket_file::{NAME, SocketFile};
use crate::messages;
use crate::status::{About, Questions};

/// Connections at once. One more ends the oldest: whoever opens many and says nothing must not shut kubelet out.
const MOST_CONNECTIONS: usize = 16;
/// Between tries to open a port that is taken.
const PORT_PAUSE: Duration = Duration::from_secs(30);
/// After a connection could not be taken, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// What answers are made of.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) about: Arc<About>,
    pub(crate) questions: Questions,
}

/// A connection, whatever it came by.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Socket {
    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Tcp(listener) => Box::new(listener.accept().await?.0),
            Self::Unix(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

/// Serves on a port for as long as the agent runs. A port that is taken is tried again: the tunnel does not depend on it.
pub(crate) async fn serve_port(front: Front, address: SocketAddr) {
    let mut warned = false;
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(error) if !warned => {
                warned = true;
                warn!(
                    address = address.to_string(),
                    error = error.to_string(),
                    hint = "set agent.port to a free port, or to 0 for none; agent.listen_address must be an address of this machine";
                    "{}", messages::LISTENER_FAILED
                );
            }
            Err(error) => debug!(address = address.to_string(), error = error.to_string(); "{}", messages::LISTENER_FAILED),
        }
        tokio::time::sleep(PORT_PAUSE).await;
    };
    let bound = listener.local_addr().unwrap_or(address);
    info!(address = bound.to_string(); "{}", messages::LISTENER_STARTED);
    accept(Socket::Tcp(listener), front, bound.ip().is_loopback()).await;
}

/// Opens the Unix socket in the folder of the state and serves on it. The file goes away with what this gives.
pub(crate) async fn serve_socket(front: Front, folder: &Path) -> Option<SocketFile> {
    match socket_file::open(folder).await {
        Ok((listener, file)) => {
            debug!(socket = file.path().display().to_string(); "Status socket opened");
            tokio::spawn(accept(Socket::Unix(listener), front, false));
            Some(file)
        }
        Err(problem) if problem.is_of_interest() => {
            warn!(error = problem.to_string(); "{}", messages::STATUS_SOCKET_FAILED);
            None
        }
        Err(problem) => {
            debug!(error = problem.to_string(); "Status socket cannot be opened, going on without it");
            None
        }
    }
}

/// `guarded`: a browser on this machine might be led here by a name that is not ours.
async fn accept(socket: Socket, front: Front, guarded: bool) {
    let mut running: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        match socket.accept().await {
            Ok(stream) => {
                running.retain(|task| !task.is_finished());
                if running.len() >= MOST_CONNECTIONS
                    && let Some(oldest) = running.pop_front()
                {
                    oldest.abort();
                }
                running.push_back(tokio::spawn(connection::serve(stream, front.clone(), guarded)).abort_handle());
            }
            Err(error) => {
                debug!(error = error.to_string(); "A connection to the local listener could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
