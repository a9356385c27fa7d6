//! How to start a server, and why that can fail.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::AppRoute;
use crate::plane::PlaneConfig;

/// Takes short lines about what happens.
pub type Journal = Arc<dyn Fn(&str) + Send + Sync>;

/// Settings of a server. `Default` listens on free loopback ports, with TLS and a gateway.
#[derive(Clone)]
pub struct Options {
    /// Without a token one is made; `gateway_url` is filled in unless there is no gateway.
    pub plane: PlaneConfig,
    /// Decides ids and the token.
    pub seed: u64,
    /// Of the agents' servers. kubectl's front door always has it.
    pub tls: bool,
    /// Send agents to a gateway with a port of its own.
    pub gateway: bool,
    pub listen: SocketAddr,
    pub gateway_listen: SocketAddr,
    pub kube_listen: SocketAddr,
    pub apps_listen: SocketAddr,
    /// TLS for applications; requests then have the scheme `https`.
    pub apps_tls: bool,
    /// Hosts of applications and where they lead; more can be set later.
    pub apps: Vec<(String, AppRoute)>,
    /// The name in the addresses given out; otherwise the address listened on.
    pub public_host: Option<String>,
    /// Write the authority's certificate here.
    pub ca_file: Option<PathBuf>,
    /// How long an answer's head may take before a client of a front door gets 504.
    pub answer_limit: Duration,
    /// How long a client of a front door that does not read may hold up its agents before it is given up. Up to then
    /// 4 MiB wait for it, and the agents are not read.
    pub client_patience: Duration,
    pub journal: Option<Journal>,
}

impl Default for Options {
    fn default() -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            plane: PlaneConfig::default(),
            seed: 1,
            tls: true,
            gateway: true,
            listen: free,
            gateway_listen: free,
            kube_listen: free,
            apps_listen: free,
            apps_tls: false,
            apps: Vec::new(),
            public_host: None,
            ca_file: None,
            answer_limit: Duration::from_secs(60),
            client_patience: Duration::from_secs(2),
            journal: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Options")
            .field("tls", &self.tls)
            .field("gateway", &self.gateway)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// Why a server could not start.
#[derive(Debug)]
pub enum StartError {
    Bind {
        address: SocketAddr,
        error: io::Error,
    },
    Certificate(String),
    Tls(rustls::Error),
    WriteCa {
        path: PathBuf,
        error: io::Error,
    },
    /// The runtime or its thread.
    Runtime(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { address, error } => {
                write!(formatter, "cannot listen on {address}: {error}")
            }
            Self::Certificate(error) => write!(formatter, "cannot make a certificate: {error}"),
            Self::Tls(error) => write!(formatter, "cannot set up TLS: {error}"),
            Self::WriteCa { path, error } => {
                write!(formatter, "cannot write {}: {error}", path.display())
            }
            Self::Runtime(error) => write!(formatter, "cannot start a runtime: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// The server has stopped, so nothing can be asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the server has stopped")
    }
}

impl std::error::Error for Stopped {}

/// Why a request could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    NoAgent,
    Stopped,
}

impl fmt::Display for RequestError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAgent => crate::plane::NoAgent.fmt(formatter),
            Self::Stopped => Stopped.fmt(formatter),
        }
    }
}

impl std::error::Error for RequestError {}
