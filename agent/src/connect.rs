//! From a host name to a byte stream: DNS, TCP, TLS. Each step says in its own words what went wrong.

use core::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::link::ahead::ReadAhead;
use crate::link::socket::Socket;

/// The most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;
/// How long one address may take while there are others.
const ADDRESS_LIMIT: Duration = Duration::from_secs(5);
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
            Self::Tls(source) => write!(formatter, "TLS handshake failed: {source}"),
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
        let stream = self.tcp().await?;
        let Some((config, name)) = &self.tls else { return Ok(Socket::Plain(stream)) };
        let name = name.as_ref().unwrap_or(&self.host);
        let server = ServerName::try_from(name.clone()).map_err(|_| ConnectError::Name(name.clone()))?;
        let stream =
            TlsConnector::from(config.clone()).connect(server, ReadAhead::new(stream)).await.map_err(ConnectError::Tls)?;
        Ok(Socket::Tls(Box::new(stream)))
    }

    async fn tcp(&self) -> Result<TcpStream, ConnectError> {
        let resolve = |source| ConnectError::Resolve { host: self.host.clone(), source };
        let addresses: Vec<SocketAddr> = match self.host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, self.port)],
            Err(_) => {
                let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await.map_err(resolve)?;
                found.take(MAX_ADDRESSES).collect()
            }
        };
        let mut last = resolve(io::Error::other("the name has no address"));
        let several = addresses.len() > 1;
        for address in addresses {
            let connecting = TcpStream::connect(address);
            let result = if several {
                tokio::time::timeout(ADDRESS_LIMIT, connecting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            } else {
                connecting.await
            };
            match result {
                Ok(stream) => {
                    set_options(&stream);
                    return Ok(stream);
                }
                Err(source) => last = ConnectError::Tcp { address, source },
            }
        }
        Err(last)
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
