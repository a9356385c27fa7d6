//! Listening sockets: accepting, pausing with the port kept, and resuming.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::adapter::{ForHyper, Stream};
use super::door::{Door, Visitor};

const BACKLOG: u32 = 1024;
/// The most bytes that the kernel takes from a peer before they are read.
const RECEIVED: u32 = 128 * 1024;
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
const RESERVE_ATTEMPTS: u32 = 400;
const RESERVE_PAUSE: Duration = Duration::from_millis(5);
/// After a failed accept, so that a lack of file handles does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Opens a socket that may be bound again at once.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    reserve(address)?.listen(BACKLOG)
}

fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    // What waits in here cannot be overtaken: megabytes of a bulk answer, which the kernel takes by itself, are a long time for an echo
    // behind them.
    socket.set_recv_buffer_size(RECEIVED)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Takes a port whose listener has just been closed. A child process that is being started by another thread holds a
/// copy of the closed socket until it runs its program, so the port may be busy for a moment.
async fn reserve_again(address: SocketAddr) -> io::Result<TcpSocket> {
    let mut attempts = 0..RESERVE_ATTEMPTS;
    loop {
        match reserve(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts.next().is_some() => {
                tokio::time::sleep(RESERVE_PAUSE).await;
            }
            result => return result,
        }
    }
}

/// One listening socket and what is behind it.
pub(super) struct Listener {
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    door: Door,
    /// Paused with the others.
    for_agents: bool,
    task: Option<JoinHandle<()>>,
    /// Keeps the port while paused.
    reserved: Option<TcpSocket>,
}

impl Listener {
    pub(super) fn start(listener: TcpListener, tls: Option<TlsAcceptor>, door: Door, for_agents: bool) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let task = Some(tokio::spawn(accept(listener, tls.clone(), door.clone())));
        Ok(Self { address, tls, door, for_agents, task, reserved: None })
    }

    /// Connections that have not become WebSockets end as well.
    async fn pause(&mut self) -> io::Result<()> {
        let Some(task) = self.task.take() else {
            return Ok(());
        };
        task.abort();
        let _ = task.await;
        self.reserved = Some(reserve_again(self.address).await?);
        Ok(())
    }

    fn resume(&mut self) -> io::Result<()> {
        if self.task.is_some() {
            return Ok(());
        }
        let listener = match self.reserved.take() {
            Some(socket) => socket.listen(BACKLOG)?,
            None => bind(self.address)?,
        };
        self.task = Some(tokio::spawn(accept(listener, self.tls.clone(), self.door.clone())));
        Ok(())
    }
}

/// All listening sockets of a server.
pub(super) struct Listeners(pub(super) Vec<Listener>);

impl Listeners {
    /// Stops listening for agents.
    pub(super) async fn pause(&mut self) -> io::Result<()> {
        for listener in self.0.iter_mut().filter(|listener| listener.for_agents) {
            listener.pause().await?;
        }
        Ok(())
    }

    pub(super) fn resume(&mut self) -> io::Result<()> {
        self.0.iter_mut().try_for_each(Listener::resume)
    }

    pub(super) fn abort(&mut self) {
        for listener in &mut self.0 {
            if let Some(task) = listener.task.take() {
                task.abort();
            }
        }
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, door: Door) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, tls.clone(), door.clone()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, door: Door) {
    let _ = stream.set_nodelay(true);
    let stream = match tls {
        None => Stream::Plain(stream),
        Some(acceptor) => match timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Stream::Tls(Box::new(stream)),
            Ok(Err(_)) | Err(_) => return,
        },
    };
    let visitor = Visitor { hangup: Arc::new(Notify::new()), early: door.early() };
    let (hangup, early) = (Arc::clone(&visitor.hangup), visitor.early.clone());
    let service = service_fn(move |request| {
        let (door, visitor) = (door.clone(), visitor.clone());
        async move { Ok::<_, std::convert::Infallible>(door.enter(request, visitor).await) }
    });
    tokio::select! {
        // An error here is a client that went away or an answer that was cut; both are known elsewhere.
        _ = http1::Builder::new().serve_connection(ForHyper::new(stream, early), service).with_upgrades() => {}
        // A client that does not take its answer.
        () = hangup.notified() => {}
    }
}
