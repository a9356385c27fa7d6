//! The way to the control plane, with or without a proxy.
//!
//! Everything that goes to the plane goes by a [`Route`], whatever is spoken over it. The Kubernetes API and the services of the
//! cluster have no such thing: no proxy, and nothing of `pipeops.tls`, is for them.

use core::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use crate::config::{ApiUrl, Config, Tls};
use crate::connect::{ConnectError, Memory, Remote, TunnelError, open_tunnel};
use crate::link::socket::Socket;
use crate::proxy::{Proxies, ProxyUrl};
use crate::tls::{self, Peer, TlsError, TlsFailure};

/// What routes are made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    tls: Tls,
    proxies: Proxies,
    /// The host of `pipeops.api_url`, which `pipeops.tls.server_name` is about.
    host: String,
    memory: Arc<Memory>,
}

impl Routes {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            tls: config.pipeops.tls.clone(),
            proxies: config.proxy.clone(),
            host: config.pipeops.api_url.host.clone(),
            memory: Arc::default(),
        }
    }

    /// The route to an address of the plane. Files are read anew, so that a renewed certificate is used by the next dial.
    pub(crate) fn to(&self, url: &ApiUrl) -> Result<Route, TlsError> {
        let plane_tls = |name| Ok::<_, TlsError>((tls::for_plane(&self.tls)?, name));
        let name = self.tls.server_name.clone().filter(|_| url.host == self.host);
        let tls = url.secure.then(|| plane_tls(name)).transpose()?;
        let plane = Remote { host: url.host.clone(), port: url.port, tls };
        let proxy = self.proxies.to(url).map(|url| self.proxy(url)).transpose()?;
        Ok(Route { plane, proxy, memory: self.memory.clone() })
    }

    fn proxy(&self, url: &ProxyUrl) -> Result<Proxy, TlsError> {
        let tls = url.secure.then(|| tls::for_proxy(&self.tls, &self.proxies)).transpose()?.map(|config| (config, None));
        Ok(Proxy { remote: Remote { host: url.host.clone(), port: url.port, tls }, url: url.clone() })
    }
}

/// The way to one address of the plane.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) plane: Remote,
    pub(crate) proxy: Option<Proxy>,
    memory: Arc<Memory>,
}

/// The proxy on the way.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) remote: Remote,
    pub(crate) url: ProxyUrl,
}

/// Why there is no connection to the plane.
#[derive(Debug)]
pub(crate) enum RouteError {
    /// The plane, directly or at the other end of a tunnel.
    Plane(ConnectError),
    /// The proxy itself. It is never gone around.
    Proxy { place: String, error: ConnectError },
    /// The proxy is there and gives no tunnel.
    Tunnel { place: String, error: TunnelError },
}

impl fmt::Display for RouteError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plane(error) => error.fmt(formatter),
            Self::Proxy { place, error } => write!(formatter, "the proxy {place} cannot be used: {error}"),
            Self::Tunnel { place, error } => write!(formatter, "the proxy {place} {error}"),
        }
    }
}

impl core::error::Error for RouteError {}

impl RouteError {
    /// What the operator can do about it. `peer` says whose address it was.
    pub(crate) fn hint(&self, peer: Peer) -> &'static str {
        match self {
            Self::Plane(error) => hint(error, peer),
            Self::Proxy { error, .. } => hint(error, Peer::Proxy),
            Self::Tunnel { error, .. } => error.hint(),
        }
    }
}

fn hint(error: &ConnectError, peer: Peer) -> &'static str {
    match (error, peer) {
        (ConnectError::Resolve { .. }, Peer::Plane) => {
            "the host name in PIPEOPS_API_URL is not known to the name server: check both"
        }
        (ConnectError::Resolve { .. }, Peer::Gateway) => {
            "the name server does not know the gateway that the control plane named: check the name server"
        }
        (ConnectError::Resolve { .. }, Peer::Proxy) => {
            "the host name in HTTPS_PROXY (proxy.https_proxy) is not known to the name server: check both"
        }
        (ConnectError::Tcp { .. }, Peer::Plane) => {
            "check PIPEOPS_API_URL and that the firewall lets outbound connections through; where there is a proxy, set HTTPS_PROXY"
        }
        (ConnectError::Tcp { .. }, Peer::Gateway) => {
            "the control plane named this gateway: check that the firewall lets outbound connections to it through"
        }
        (ConnectError::Tcp { .. }, Peer::Proxy) => {
            "check HTTPS_PROXY (proxy.https_proxy) and that the proxy runs; the agent never goes around it"
        }
        (ConnectError::Name(_), Peer::Plane | Peer::Gateway) => "check PIPEOPS_API_URL and pipeops.tls.server_name",
        (ConnectError::Name(_), Peer::Proxy) => "check HTTPS_PROXY (proxy.https_proxy)",
        (ConnectError::Tls(error), peer) => TlsFailure::of(error).hint(peer),
    }
}

impl Route {
    /// Whom this machine speaks to: the proxy if there is one, else the plane.
    pub(crate) fn first(&self) -> &Remote {
        self.proxy.as_ref().map_or(&self.plane, |proxy| &proxy.remote)
    }

    /// All steps: DNS, TCP, TLS to the proxy, tunnel, TLS to the plane. What takes longer than `deadline` failed in the step that it
    /// was at.
    pub(crate) async fn connect(&self, deadline: Instant) -> Result<Socket, RouteError> {
        let addresses = self.addresses(deadline).await?;
        let socket = self.reach(&addresses, deadline).await?;
        secure(&self.plane, socket, deadline).await.map_err(RouteError::Plane)
    }

    /// The first step: where the first machine on the way is, never empty.
    pub(crate) async fn addresses(&self, deadline: Instant) -> Result<Vec<SocketAddr>, RouteError> {
        let first = self.first();
        let late = || ConnectError::Resolve { host: first.host.clone(), source: io::ErrorKind::TimedOut.into() };
        let found = timeout_at(deadline, first.addresses(Some(&self.memory))).await;
        found.unwrap_or_else(|_| Err(late())).map_err(|error| self.at_first(error))
    }

    /// The steps to a stream that leads to the plane: TCP, and with a proxy TLS to it and the tunnel.
    pub(crate) async fn reach(&self, addresses: &[SocketAddr], deadline: Instant) -> Result<Socket, RouteError> {
        let late = || match addresses.first() {
            Some(address) => ConnectError::Tcp { address: *address, source: io::ErrorKind::TimedOut.into() },
            None => ConnectError::Resolve { host: self.first().host.clone(), source: io::ErrorKind::TimedOut.into() },
        };
        let stream = timeout_at(deadline, self.first().open(addresses, Some(&self.memory))).await;
        let stream = stream.unwrap_or_else(|_| Err(late())).map_err(|error| self.at_first(error))?;
        let mut socket = Socket::Plain(stream);
        if let Some(proxy) = &self.proxy {
            socket = secure(&proxy.remote, socket, deadline).await.map_err(|error| self.at_first(error))?;
            self.tunnel(&mut socket, proxy, deadline).await?;
        }
        Ok(socket)
    }

    /// The proxy's step: a tunnel to the plane over a stream to the proxy.
    async fn tunnel(&self, socket: &mut Socket, proxy: &Proxy, deadline: Instant) -> Result<(), RouteError> {
        let asked = open_tunnel(socket, &self.plane.host, self.plane.port, proxy.url.authorization.as_ref());
        let answer = timeout_at(deadline, asked).await;
        let answer = answer.unwrap_or_else(|_| Err(TunnelError::Io(io::ErrorKind::TimedOut.into())));
        answer.map_err(|error| RouteError::Tunnel { place: proxy.url.place(), error })
    }

    /// The error of a step before the tunnel.
    fn at_first(&self, error: ConnectError) -> RouteError {
        match &self.proxy {
            Some(proxy) => RouteError::Proxy { place: proxy.url.place(), error },
            None => RouteError::Plane(error),
        }
    }
}

/// The step of TLS, which is none where the other end is spoken to without.
pub(crate) async fn secure(remote: &Remote, socket: Socket, deadline: Instant) -> Result<Socket, ConnectError> {
    let late = |_| Err(ConnectError::Tls(io::ErrorKind::TimedOut.into()));
    timeout_at(deadline, remote.secure(socket)).await.unwrap_or_else(late)
}
