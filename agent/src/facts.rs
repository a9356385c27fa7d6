//! What is known of the cluster and the machine. What cannot be found out is left out.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use log::{debug, info, warn};
use miniserde::json::{Number, Value};
use pipeops_agent_core::message::{Facts, ServiceToken};
use tokio::sync::mpsc;

use crate::cluster::{OwnClient, Told};
use crate::config::{Disk, TokenSource, read_token};
use crate::quiet::Quiet;
use crate::{identity, messages};

/// How often facts are looked up again when all are known, and when something is missing.
const REFRESH: Duration = Duration::from_secs(300);
const RETRY: Duration = Duration::from_secs(20);
/// How often the file of a token is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// What the region is said to be when nobody knows it.
const UNKNOWN_REGION: &str = "agent-managed";
/// What the provider is said to be when nobody knows it.
const UNKNOWN_PROVIDER: &str = "bare-metal";

/// The facts that need nobody's help.
pub(crate) fn of_this_machine(in_cluster: bool, token: Option<String>) -> Facts {
    Facts {
        hostname: identity::hostname(),
        region: Some(UNKNOWN_REGION.into()),
        cloud_provider: Some(UNKNOWN_PROVIDER.into()),
        cpu_cores: cpu_cores(),
        memory_gb: memory_gb(),
        // Inside a container this file speaks of the image and not of the machine.
        operating_system: if in_cluster { None } else { operating_system() },
        service_token: token.map(ServiceToken),
        ..Facts::default()
    }
}

fn cpu_cores() -> Option<u64> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let count = text.lines().filter(|line| line.starts_with("processor")).count();
    u64::try_from(count).ok().filter(|count| *count > 0)
}

fn memory_gb() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1024 / 1024).filter(|gigabytes| *gigabytes > 0)
}

fn operating_system() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(line.trim_matches('"').to_owned()).filter(|name| !name.is_empty())
}

/// Looks facts of the cluster up for as long as somebody listens, and sends them whenever there is something new.
///
/// The token for the plane is looked up again each time: the one that the operator gives may stand in a file, and kubelet renews the
/// agent's own. Where it cannot be read the last one stays.
pub(crate) async fn watch(client: OwnClient, mut facts: Facts, given: Option<TokenSource>, sender: mpsc::Sender<Facts>) {
    let mut reach = Reach { quiet: Quiet::new(4), missed: false, warned: false };
    loop {
        let token = match &given {
            Some(source) => source.read(&Disk).ok(),
            None => client.token(),
        };
        if let Some(token) = token {
            facts.service_token = Some(ServiceToken(token.expose().to_owned()));
        }
        let version = version(&client).await;
        let answers = version.is_some();
        reach.tell(answers);
        if answers {
            facts.kubernetes_version = version;
        } else {
            (facts.nodes, facts.pods) = (None, None);
        }
        // The version goes out first: a registration may be waiting for it, and counting can take longer.
        if sender.send(facts.clone()).await.is_err() {
            return;
        }
        if answers {
            facts.nodes = count(&client, "/api/v1/nodes").await;
            facts.pods = count(&client, "/api/v1/pods").await;
            if sender.send(facts.clone()).await.is_err() {
                return;
            }
        }
        client.prune();
        let wait = if answers { REFRESH } else { RETRY };
        // A file is looked at in between: whoever replaces a token does so because the old one is about to end.
        match &given {
            Some(TokenSource::File(path)) => wait_or_change(wait, path, facts.service_token.as_ref()).await,
            Some(TokenSource::Value(_)) | None => tokio::time::sleep(wait).await,
        }
    }
}

/// Waits, but no longer than until the file holds another token.
async fn wait_or_change(wait: Duration, path: &Path, known: Option<&ServiceToken>) {
    let end = Instant::now() + wait;
    while Instant::now() < end {
        tokio::time::sleep(LOOK).await;
        let changed = read_token(&Disk, path).is_ok_and(|token| known.is_none_or(|known| known.0 != token.expose()));
        if changed {
            return;
        }
    }
}

/// Whether the API server answers, as far as the log has been told.
struct Reach {
    quiet: Quiet,
    missed: bool,
    warned: bool,
}

impl Reach {
    fn tell(&mut self, answers: bool) {
        if answers {
            self.missed = false;
            if std::mem::take(&mut self.warned) {
                info!("{}", messages::KUBERNETES_BACK);
            }
        } else if !std::mem::replace(&mut self.missed, true) {
            // Once is a restart of the API server.
            debug!("The Kubernetes API gave no answer that can be used");
        } else if !self.warned && self.quiet.speak(Instant::now()).is_some() {
            self.warned = true;
            let hint = "requests of the control plane fail until then; logging.level debug shows why";
            warn!(hint = hint; "{}", messages::KUBERNETES_AWAY);
        }
    }
}

async fn version(client: &OwnClient) -> Option<String> {
    let Told::Object(answer) = client.ask("/version").await else { return None };
    match answer.get("gitVersion") {
        Some(Value::String(version)) if !version.is_empty() => Some(version.clone()),
        _ => None,
    }
}

/// How many objects there are, from a list of one: the API server counts the rest by itself.
async fn count(client: &OwnClient, path: &str) -> Option<u64> {
    let Told::Object(answer) = client.ask(&format!("{path}?limit=1")).await else { return None };
    let listed = match answer.get("items")? {
        Value::Array(items) => u64::try_from(items.len()).ok()?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => return None,
    };
    let Some(Value::Object(metadata)) = answer.get("metadata") else { return Some(listed) };
    match metadata.get("remainingItemCount") {
        Some(Value::Number(Number::U64(rest))) => Some(listed.saturating_add(*rest)),
        // More is there, and how much the server does not say.
        _ if matches!(metadata.get("continue"), Some(Value::String(token)) if !token.is_empty()) => None,
        _ => Some(listed),
    }
}
