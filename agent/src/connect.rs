//! From a host name to a byte stream: DNS, TCP, TLS. Each step says in its own words what went wrong.

mod race;
mod resolve;
mod tunnel;

use core::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub(crate) use resolve::Memory;
pub(crate) use tunnel::{TunnelError, open_tunnel};

use crate::link::ahead::ReadAhead;
use crate::link::socket::Socket;
use crate::tls::TlsFailure;

/// How long bytes may be on their way without an acknowledgement before the kernel gives the connection up. It counts the time too in
/// which a living peer does not read, so it must be more than a backend's pause.
const UNACKNOWLEDGED: Duration = Duration::from_secs(300);

/// The most bytes that the kernel takes without sending them. What waits there cannot be overtaken by what is more urgent; on a slow
/// line its own limit is seconds long.
const UNSENT: u32 = 128 * 1024;

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum ConnectError {
    Resolve { host: String, source: io::Error },
    Tcp { address: SocketAddr, source: io::Error },
    Name(String),
    Tls(io::Error),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve { host, source } => write!(formatter, "cannot resolve {host}: {source}"),
            Self::Tcp { address, source } => write!(formatter, "cannot connect to {address}: {source}"),
            Self::Name(host) => write!(formatter, "{host} is not a name that a certificate could be for"),
            Self::Tls(source) => write!(formatter, "TLS handshake failed: {}", TlsFailure::of(source)),
        }
    }
}

impl core::error::Error for ConnectError {}

/// Where to connect to.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// With TLS: the configuration, and the name that the certificate must be for, where it is not the host.
    pub(crate) tls: Option<(Arc<ClientConfig>, Option<String>)>,
}

/// A host with brackets around IPv6, and the port unless it is the usual one: what a `Host` header holds.
pub(crate) fn authority(host: &str, port: u16, secure: bool) -> String {
    let usual = if secure { 443 } else { 80 };
    // No name holds a colon.
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    if port == usual { host } else { format!("{host}:{port}") }
}

impl Remote {
    /// The value of a `Host` header.
    pub(crate) fn authority(&self) -> String {
        authority(&self.host, self.port, self.tls.is_some())
    }

    /// Connects. The caller bounds the time.
    pub(crate) async fn connect(&self) -> Result<Socket, ConnectError> {
        let addresses = self.addresses(None).await?;
        self.secure(Socket::Plain(self.open(&addresses, None).await?)).await
    }

    /// The first step: where the host is, in the order in which the addresses are to be tried, never empty. With a memory, what a
    /// connection last worked with stands in for a name server that does not answer.
    pub(crate) async fn addresses(&self, memory: Option<&Memory>) -> Result<Vec<SocketAddr>, ConnectError> {
        let look_up = async { Ok(tokio::net::lookup_host((self.host.as_str(), self.port)).await?.collect()) };
        resolve::addresses(&self.host, self.port, look_up, memory).await
    }

    /// The second step: TCP to whichever of the addresses answers first.
    pub(crate) async fn open(&self, addresses: &[SocketAddr], memory: Option<&Memory>) -> Result<TcpStream, ConnectError> {
        let no_address =
            || ConnectError::Resolve { host: self.host.clone(), source: io::Error::other("the name has no address") };
        let (address, stream) = race::first(addresses, TcpStream::connect)
            .await
            .map_err(|failed| failed.map_or_else(no_address, |(address, source)| ConnectError::Tcp { address, source }))?;
        if let Some(memory) = memory {
            memory.learn(&self.host, address.ip());
        }
        set_options(&stream);
        Ok(stream)
    }

    /// The last step: TLS over a stream that leads to this server, if it is spoken to over TLS.
    pub(crate) async fn secure(&self, stream: Socket) -> Result<Socket, ConnectError> {
        let Some((config, name)) = &self.tls else { return Ok(stream) };
        let name = name.as_ref().unwrap_or(&self.host);
        // A dot at the end is DNS's own; no certificate has it.
        let name = name.strip_suffix('.').unwrap_or(name);
        let server = ServerName::try_from(name.to_owned()).map_err(|_| ConnectError::Name(name.to_owned()))?;
        let stream =
            TlsConnector::from(config.clone()).connect(server, ReadAhead::new(stream)).await.map_err(ConnectError::Tls)?;
        Ok(Socket::Tls(Box::new(stream)))
    }
}

/// Small messages at once, and dead peers noticed. A kernel that does not know an option is not worth failing for.
fn set_options(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_nodelay(true);
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(10));
    let _ = socket.set_tcp_keepalive(&keepalive);
    let _ = socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    let _ = socket.set_tcp_notsent_lowat(UNSENT);
}
