//! From a valid configuration to a running driver.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use log::{info, warn};
use pipeops_agent_core::backoff;
use pipeops_agent_core::message::Identity;
use pipeops_agent_core::session;
use pipeops_agent_core::streams::Limits;
use pipeops_agent_core::tunnel::{self, Tunnel};
use pipeops_agent_core::wire::Base64;
use tokio::sync::{mpsc, watch};

use crate::arguments::Arguments;
use crate::clock::{Clock, since_1970};
use crate::cluster::Cluster;
use crate::config::{Config, Disk, ProcessEnvironment};
use crate::dial::Dialler;
use crate::driver::{Driver, Parts};
use crate::kubeconfig::{self, ClusterAccess, SERVICE_ACCOUNT_FOLDER, Selection, Source};
use crate::listener::{self, Front};
use crate::reload::Reloader;
use crate::route::Routes;
use crate::services::Services;
use crate::signal::Signals;
use crate::state::{Objects, Saved, Store};
use crate::status::{About, Questions};
use crate::upstream::{Pool, Upstreams};
use crate::version::VERSION;
use crate::{facts, identity, messages, token};

/// The namespace of the state where nothing else names one.
const DEFAULT_NAMESPACE: &str = "pipeops-system";

/// For the last write of the state.
const STATE_LIMIT: Duration = Duration::from_secs(1);
/// What the end needs besides the drain: the closing handshake and the last write of the state, with something to spare.
const CLOSING: Duration = Duration::from_millis(2500);

/// Why the agent cannot start. Everything that may pass is not here: that is for the backoff.
#[derive(Debug)]
pub(crate) enum StartError {
    Kubeconfig(kubeconfig::KubeconfigError),
    ClusterTls(crate::tls::TlsError),
    PlaneTls(crate::tls::TlsError),
    Signals(std::io::Error),
}

impl core::fmt::Display for StartError {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Kubeconfig(error) => write!(formatter, "the Kubernetes API cannot be reached as configured: {error}"),
            Self::ClusterTls(error) => write!(formatter, "TLS to the Kubernetes API cannot be set up: {error}"),
            Self::PlaneTls(error) => write!(formatter, "TLS to the control plane cannot be set up: {error}"),
            Self::Signals(error) => write!(formatter, "signals cannot be received: {error}"),
        }
    }
}

impl core::error::Error for StartError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            // Its text names the place, the cause stands behind it.
            Self::Kubeconfig(error) => error.source(),
            Self::ClusterTls(_) | Self::PlaneTls(_) | Self::Signals(_) => None,
        }
    }
}

impl StartError {
    /// Whether the operator has to change something.
    pub(crate) const fn is_configuration(&self) -> bool {
        !matches!(self, Self::Signals(_))
    }

    /// The error with all its causes.
    pub(crate) fn text(&self) -> String {
        let mut text = self.to_string();
        let mut source = core::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        text
    }
}

/// What of a start can be tried without a network: whether certificates, keys and the kubeconfig can be used.
pub(crate) fn rehearse(config: &Config) -> Vec<StartError> {
    let plane = plane_files(config);
    let cluster = find_cluster(config).and_then(|access| match access {
        Some(access) => Cluster::new(&access, config.services_insecure_skip_verify).map(drop).map_err(StartError::ClusterTls),
        None => Ok(()),
    });
    [plane, cluster].into_iter().filter_map(Result::err).collect()
}

/// Whether the files of TLS to the control plane, and to a proxy before it, can be used.
fn plane_files(config: &Config) -> Result<(), StartError> {
    if !config.pipeops.api_url.secure {
        // The route reads them only where they are needed; files that were named must be right all the same.
        crate::tls::for_plane(&config.pipeops.tls).map_err(StartError::PlaneTls)?;
    }
    Routes::new(config).to(&config.pipeops.api_url).map(drop).map_err(StartError::PlaneTls)
}

/// Runs the agent until it is told to end.
pub(crate) async fn run(config: &Config, arguments: &Arguments) -> Result<(), StartError> {
    let signals = Signals::new().map_err(StartError::Signals)?;
    let hangups = Signals::hangups().map_err(StartError::Signals)?;
    let clock = Clock::start();
    // Files that are wrong now are the operator's to know at once, not at the first dial.
    plane_files(config)?;
    let access = find_cluster(config)?;
    let cluster = access
        .as_ref()
        .map(|access| Cluster::new(access, config.services_insecure_skip_verify))
        .transpose()
        .map_err(StartError::ClusterTls)?;
    let store = store(config, access.as_ref(), cluster.as_ref());
    let mut loaded = store.load().await;
    let before = loaded.clone();
    let agent_id = agent_id(config, &mut loaded);
    if let Store::Objects(_) = &store
        && let Some(pem) = config.kubernetes.ca_cert_pem.as_ref().or(access.as_ref().and_then(|access| access.ca_pem.as_ref()))
    {
        loaded.ca_data = Some(STANDARD.encode(pem));
    }
    let service_token = service_token(config, cluster.as_ref(), &loaded);
    let cluster_id = loaded.cluster_id.clone();
    match &cluster_id {
        Some(cluster_id) => info!(cluster_id = cluster_id.as_str(), state = store.to_string(); "{}", messages::CLUSTER_ID_LOADED),
        None => info!(state = store.to_string(); "{}", messages::NO_CLUSTER_ID),
    }

    let changed = loaded != before;
    let (saved, newest) = watch::channel(before);
    let keeper = tokio::spawn(store.keep(newest));
    if changed {
        saved.send_replace(loaded);
    }
    let in_cluster = access.as_ref().is_some_and(|access| access.source == Source::InCluster);
    let own_facts = facts::of_this_machine(in_cluster, service_token);
    let (send_news, news) = mpsc::channel(4);
    let (offered_tokens, offered) = mpsc::channel(2);
    let (reports, receive_reports) = mpsc::unbounded_channel();
    let expects_news = cluster.is_some();
    let mut services_to_tell = None;
    let upstreams = cluster.map(|cluster| {
        let given = config.kubernetes.service_token.clone();
        tokio::spawn(facts::watch(cluster.own.clone(), own_facts.clone(), given, send_news));
        let services = Services::new(cluster.own.clone(), config.policy.clone(), cluster.services_tls);
        services_to_tell = Some(services.clone());
        tokio::spawn(token::check(cluster.own, offered, saved.clone()));
        tokio::spawn(prune(cluster.anonymous.clone(), services.clone()));
        Upstreams::new(cluster.anonymous, services, reports)
    });
    let (send_changes, changes) = mpsc::channel(1);
    let reloader = Reloader {
        arguments: arguments.clone(),
        running: config.clone(),
        hangups,
        services: services_to_tell,
        changes: send_changes,
    };
    tokio::spawn(reloader.run());
    let (questions, askers) = Questions::channel();
    let front = Front { about: Arc::new(about(config, &agent_id)), questions };
    // Kept until the end, which removes the file.
    let _socket_file = listener::serve_socket(front.clone(), &config.agent.state_dir).await;
    if config.agent.port != 0 {
        tokio::spawn(listener::serve_port(front, (config.agent.listen_address, config.agent.port).into()));
    }
    let tunnel = Tunnel::new(tunnel_config(config, &agent_id, cluster_id), fastrand::u64(..), clock.now());
    let driver = Driver::new(Parts {
        tunnel,
        clock,
        dialler: Dialler::new(config, VERSION),
        dial_limit: config.timeouts.websocket_handshake,
        upstreams,
        reports: receive_reports,
        facts: own_facts,
        news,
        expects_news,
        saved,
        offered_tokens,
        agent_id,
        signals,
        changes,
        askers,
    });
    driver.run().await;
    // What the plane gave a moment ago may still be on its way to the disk; one that hangs does not hold the end back for long.
    let _ = tokio::time::timeout(STATE_LIMIT, keeper).await;
    Ok(())
}

pub(crate) fn find_cluster(config: &Config) -> Result<Option<ClusterAccess>, StartError> {
    let selection = Selection {
        kubeconfig: &config.kubernetes.kubeconfig,
        in_cluster: config.kubernetes.in_cluster,
        service_account_folder: Path::new(SERVICE_ACCOUNT_FOLDER),
    };
    let access = kubeconfig::find(&selection, &ProcessEnvironment, &Disk).map_err(StartError::Kubeconfig)?;
    match &access {
        Some(access) => {
            let source = match &access.source {
                Source::InCluster => "service account".to_owned(),
                Source::Kubeconfig(path) => path.display().to_string(),
            };
            info!(source = source; "{}", messages::KUBERNETES_FOUND);
        }
        None => {
            warn!(hint = "set kubernetes.kubeconfig or KUBECONFIG"; "{}", messages::NO_KUBERNETES)
        }
    }
    Ok(access)
}

fn about(config: &Config, agent_id: &str) -> About {
    About {
        agent_id: agent_id.into(),
        cluster_name: config.agent.cluster_name.clone(),
        plane: config.pipeops.api_url.authority(),
        config_file: config.file.clone(),
        started: SystemTime::now(),
        liveness: config.timeouts.websocket_read,
    }
}

/// In a cluster the Go agent's objects, elsewhere a file.
pub(crate) fn store(config: &Config, access: Option<&ClusterAccess>, cluster: Option<&Cluster>) -> Store {
    match (access, cluster) {
        (Some(access), Some(cluster)) if access.source == Source::InCluster => Store::Objects(Objects {
            client: cluster.own.clone(),
            namespace: config
                .state
                .namespace
                .clone()
                .or_else(|| access.namespace.clone())
                .or_else(|| config.state.pod_namespace.clone())
                .or_else(|| config.kubernetes.namespace.clone())
                .unwrap_or_else(|| DEFAULT_NAMESPACE.into()),
            configmap: config.state.configmap_name.clone(),
            secret: config.state.secret_name.clone(),
        }),
        _ => Store::File(config.agent.state_dir.join("state.json")),
    }
}

fn agent_id(config: &Config, saved: &mut Saved) -> String {
    let id = match (&config.agent.id, &saved.agent_id) {
        (Some(id), _) => id.clone(),
        (None, Some(id)) => id.clone(),
        (None, None) => {
            let id = identity::generate();
            info!(agent_id = id.as_str(); "{}", messages::NEW_AGENT_ID);
            id
        }
    };
    saved.agent_id = Some(id.clone());
    id
}

/// What the plane is to use in this cluster: what the operator says, else the agent's own token, else what the plane gave.
fn service_token(config: &Config, cluster: Option<&Cluster>, saved: &Saved) -> Option<String> {
    let own = || cluster.and_then(|cluster| cluster.own.token());
    let given = config.kubernetes.service_token.as_ref().and_then(|source| source.read(&Disk).ok());
    let token = given.or_else(own).or_else(|| saved.cluster_token.clone());
    if token.is_none() {
        warn!(
            hint = "set kubernetes.service_token (PIPEOPS_K8S_SERVICE_TOKEN) or kubernetes.service_token_file, unless the control plane has a credential of its own";
            "{}", messages::NO_SERVICE_TOKEN
        );
    }
    token.map(|token| token.expose().to_owned())
}

fn tunnel_config(config: &Config, agent_id: &str, cluster_id: Option<String>) -> tunnel::Config {
    tunnel::Config {
        session: session::Config {
            dial: config.timeouts.websocket_handshake,
            registration: config.timeouts.registration,
            ping: config.timeouts.websocket_ping,
            liveness: config.timeouts.websocket_read,
            heartbeat: config.agent.heartbeat_interval,
            drain: config.timeouts.shutdown.saturating_sub(CLOSING).clamp(Duration::from_millis(500), Duration::from_secs(30)),
            backoff: backoff::Policy {
                base: config.timeouts.websocket_reconnect,
                cap: config.timeouts.websocket_reconnect_max,
                ..backoff::Policy::default()
            },
            ..session::Config::default()
        },
        limits: Limits {
            ceiling: config.limits.buffer_bytes,
            exchanges: config.limits.max_exchanges,
            ping: config.services_ping,
            silence: config.services_silence,
            ..Limits::default()
        },
        policy: config.policy.clone(),
        identity: Identity {
            agent_id: agent_id.into(),
            cluster_name: config.agent.cluster_name.clone(),
            agent_version: VERSION.into(),
            labels: config.agent.label_pairs(),
            agent_port: config.agent.port,
        },
        cluster_id,
        started_nanos: u64::try_from(since_1970().as_nanos()).unwrap_or(u64::MAX),
        base64: fast_base64(),
    }
}

/// Base64 with the processor's wide registers where it has them.
fn fast_base64() -> Base64 {
    static ENGINE: LazyLock<base64::engine::Simd> =
        LazyLock::new(|| base64::engine::Simd::standard(base64::engine::general_purpose::PAD));
    Base64 {
        encode: |input, output| ENGINE.encode_slice(input, output).unwrap_or(0),
        // Some senders leave the padding out, which the fast engine does not take.
        decode: |input| ENGINE.decode(input).ok().or_else(|| (Base64::PORTABLE.decode)(input)),
    }
}

/// Drops idle connections in time.
async fn prune(pool: Arc<Pool>, services: Arc<Services>) {
    loop {
        tokio::time::sleep(Duration::from_secs(60)).await;
        pool.prune();
        services.prune();
    }
}
