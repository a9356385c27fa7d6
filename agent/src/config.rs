//! The configuration: one typed [`Config`] from flags, environment and file, in that order of strength.
//!
//! [`Config::load`] touches nothing but its arguments, gathers every mistake instead of stopping at the first, and
//! remembers where each value came from. The table in [`keys`] is the only place that names settings.

mod build;
mod collect;
mod convert;
mod file;
pub(crate) mod ignored;
pub(crate) mod keys;
pub(crate) mod nearest;
mod source;
mod sources;
#[cfg(test)]
mod tests;
mod token;
mod url;

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use log::LevelFilter;
use pipeops_agent_core::policy::Policy;

pub(crate) use build::{LoadedPolicy, LocalAccess};
pub(crate) use convert::base64 as decode_base64;
pub(crate) use keys::{KEYS, Key, Kind, Setting};
pub(crate) use source::{ConfigError, Notes, Source};
#[cfg(test)]
pub(crate) use sources::fake;
pub(crate) use sources::{Disk, Environment, Files, ProcessEnvironment};
pub(crate) use token::{TokenError, TokenSource, parse_token, read_token};
pub(crate) use url::{ApiUrl, UrlError};

use crate::arguments::Arguments;
use crate::logger::Format;
use crate::proxy::Proxies;

/// The parts that this build contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Features {
    pub(crate) ingress_sync: bool,
}

impl Features {
    /// The names of the parts that are there.
    pub(crate) fn names(self) -> Vec<&'static str> {
        [(self.ingress_sync, "ingress-sync")].into_iter().filter(|(there, _)| *there).map(|(_, name)| name).collect()
    }
}

/// A valid configuration.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) pipeops: Pipeops,
    pub(crate) proxy: Proxies,
    pub(crate) agent: Agent,
    pub(crate) kubernetes: Kubernetes,
    pub(crate) logging: Logging,
    pub(crate) timeouts: Timeouts,
    pub(crate) limits: Limits,
    pub(crate) policy: Policy,
    /// Do not verify the certificates of services in the cluster that are spoken to over TLS.
    pub(crate) services_insecure_skip_verify: bool,
    /// How long a WebSocket to a service may be quiet before it is pinged, and before it is given up.
    pub(crate) services_ping: Duration,
    pub(crate) services_silence: Duration,
    pub(crate) state: State,
    /// The file that was read, if there was one.
    pub(crate) file: Option<PathBuf>,
    effective: Vec<Effective>,
}

/// The control plane.
#[derive(Clone, Debug)]
pub(crate) struct Pipeops {
    pub(crate) api_url: ApiUrl,
    pub(crate) token: TokenSource,
    /// Already checked against `api_url`; addresses that the plane hands out later need the same check.
    pub(crate) allow_plaintext: bool,
    pub(crate) tls: Tls,
}

/// How TLS to the control plane is set up. With `enabled` false all others are at their defaults; whether TLS is used
/// at all is for the URL to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) enabled: bool,
    /// To trust besides the public roots.
    pub(crate) ca_file: Option<PathBuf>,
    /// Set exactly if `key_file` is.
    pub(crate) cert_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) insecure_skip_verify: bool,
    /// The name that the certificate must be for, where it is not the URL's host.
    pub(crate) server_name: Option<String>,
    /// Nothing older than TLS 1.3.
    pub(crate) only_tls13: bool,
}

/// The agent itself.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) cluster_name: String,
    pub(crate) id: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    /// For the local listener; 0: none.
    pub(crate) port: u16,
    pub(crate) listen_address: IpAddr,
    pub(crate) enable_ingress_sync: bool,
    pub(crate) auto_install_components: bool,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) state_dir: PathBuf,
}

impl Agent {
    /// The labels as a registration sends them.
    pub(crate) fn label_pairs(&self) -> Vec<(String, String)> {
        self.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

/// The cluster.
#[derive(Clone, Debug)]
pub(crate) struct Kubernetes {
    /// Files to look through in this order; empty: none was named. Empty whenever `in_cluster` is true.
    pub(crate) kubeconfig: Vec<PathBuf>,
    /// Use the pod's service account and nothing else.
    pub(crate) in_cluster: bool,
    pub(crate) namespace: Option<String>,
    pub(crate) service_token: Option<TokenSource>,
    /// Decoded, holds at least one certificate.
    pub(crate) ca_cert_pem: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Logging {
    pub(crate) level: LevelFilter,
    pub(crate) format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    pub(crate) websocket_handshake: Duration,
    /// Shorter than `websocket_read`.
    pub(crate) websocket_ping: Duration,
    /// The liveness bound: silence for longer means that the connection is dead.
    pub(crate) websocket_read: Duration,
    pub(crate) websocket_reconnect: Duration,
    /// Not shorter than `websocket_reconnect`.
    pub(crate) websocket_reconnect_max: Duration,
    pub(crate) registration: Duration,
    pub(crate) shutdown: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Ceiling for all data in transit.
    pub(crate) buffer_bytes: usize,
    pub(crate) max_exchanges: usize,
}

/// Where the agent keeps its state inside a cluster. The namespace is `namespace`, else that of the service account,
/// else `pod_namespace`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) configmap_name: String,
    pub(crate) secret_name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) pod_namespace: Option<String>,
}

/// One setting as it holds in the end.
#[derive(Clone, Debug)]
pub(crate) struct Effective {
    pub(crate) key: &'static Key,
    /// `None`: unset. Secrets are masked.
    pub(crate) text: Option<String>,
    pub(crate) source: Source,
    /// Tells one value from another, secrets too.
    pub(crate) fingerprint: u64,
}

impl Config {
    /// Reads and checks the configuration. On failure the error holds every mistake that could be found.
    pub(crate) fn load(
        arguments: &Arguments,
        environment: &dyn Environment,
        files: &dyn Files,
        features: Features,
    ) -> Result<(Config, Notes), ConfigError> {
        build::build(collect::collect(arguments, environment, files), files, features)
    }

    /// Reads and checks what the configuration says about the policy, and nothing else of it: no token is needed, and no control
    /// plane. A mistake in the file is one all the same.
    pub(crate) fn load_policy(
        arguments: &Arguments,
        environment: &dyn Environment,
        files: &dyn Files,
    ) -> Result<LoadedPolicy, ConfigError> {
        build::build_policy(collect::collect(arguments, environment, files), files)
    }

    /// Reads where an agent with this configuration answers, and nothing else. Mistakes are no reason not to look: the agent may run
    /// with what stood there before, so they are only told.
    pub(crate) fn load_local(arguments: &Arguments, environment: &dyn Environment, files: &dyn Files) -> LocalAccess {
        build::build_local(collect::collect(arguments, environment, files), files)
    }

    /// Every setting with its value and origin, in the order of [`KEYS`].
    pub(crate) fn effective(&self) -> &[Effective] {
        &self.effective
    }

    /// Takes the settings over from `other` that `changes` says can change while the agent runs; the rest stays.
    pub(crate) fn adopt(&mut self, other: Config, changes: impl Fn(Setting) -> bool) {
        self.pipeops.token = other.pipeops.token;
        self.agent.labels = other.agent.labels;
        self.logging.level = other.logging.level;
        self.limits = other.limits;
        self.policy = other.policy;
        for (old, new) in self.effective.iter_mut().zip(other.effective) {
            if changes(new.key.setting) {
                *old = new;
            }
        }
    }

    /// Where the value of a setting came from.
    #[cfg(test)]
    pub(crate) fn source_of(&self, setting: Setting) -> &Source {
        self.effective.get(setting as usize).map_or(&Source::Default, |row| &row.source)
    }
}
