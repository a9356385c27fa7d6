//! Services of the cluster: from namespace, name and port to connections.
//!
//! Owns where a service is, for as long as that can be believed, and the rule that nothing outside the cluster is spoken to. The
//! API server is asked first, with the agent's own credentials: it knows the address also where no cluster DNS answers, as on a K3s
//! host, and it tells a service of the cluster from a name for something outside. Where it cannot be asked, the cluster's DNS is.

mod lookup;
mod nodes;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pipeops_agent_core::policy::Policy;
use pipeops_agent_core::streams::UpstreamError;
use rustls::ClientConfig;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use self::lookup::{Found, Place};
use self::nodes::Nodes;
use crate::cluster::OwnClient;
use crate::connect::{ConnectError, Remote, authority};
use crate::upstream::{Pool, RequestError};

/// How long an address is believed.
const BELIEVED: Duration = Duration::from_secs(30);
/// How long it is believed that there is no address.
const DISBELIEVED: Duration = Duration::from_secs(3);
/// Look-ups at once. Name servers may be slow, and whoever asks for what does not exist must not keep others from asking.
const LOOK_UPS: usize = 16;
/// The most services that are remembered.
const MOST: usize = 256;
/// For all that is asked on the way to an address.
const LIMIT: Duration = Duration::from_secs(5);

type Name = (String, String, u16);

/// The services that the plane may reach.
pub(crate) struct Services {
    client: OwnClient,
    policy: Mutex<Arc<Policy>>,
    tls: Arc<ClientConfig>,
    nodes: Nodes,
    turns: Semaphore,
    known: Mutex<BTreeMap<Name, Known>>,
}

struct Known {
    since: Instant,
    place: Result<Arc<Pool>, UpstreamError>,
}

impl Known {
    fn is_believed(&self) -> bool {
        self.since.elapsed() < if self.place.is_ok() { BELIEVED } else { DISBELIEVED }
    }
}

impl Services {
    pub(crate) fn new(client: OwnClient, policy: Policy, tls: Arc<ClientConfig>) -> Arc<Self> {
        Arc::new(Self {
            client,
            policy: Mutex::new(Arc::new(policy)),
            tls,
            nodes: Nodes::default(),
            turns: Semaphore::new(LOOK_UPS),
            known: Mutex::default(),
        })
    }

    /// Judges addresses by another policy. What was found under the one before is looked up again.
    pub(crate) fn set_policy(&self, policy: Policy) {
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The connections to a service whose names are valid and allowed.
    pub(crate) async fn find(&self, namespace: &str, name: &str, port: u16) -> Result<Arc<Pool>, UpstreamError> {
        let key = (namespace.to_owned(), name.to_owned(), port);
        if let Some(place) = self.remembered(&key) {
            return place;
        }
        let policy = self.policy();
        let look_up = async {
            let _turn = self.turns.acquire().await;
            // Somebody else may have asked the same in the meantime.
            match self.remembered(&key) {
                Some(place) => place,
                None => self.look_up(&key, &policy).await,
            }
        };
        let late = Err(UpstreamError::Unreachable("the service's address could not be found out in time"));
        let place = tokio::time::timeout(LIMIT, look_up).await.unwrap_or(late);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&policy, &self.policy()) {
            // Judged by a policy that is over: not to be remembered.
            return place;
        }
        if known.len() >= MOST {
            let oldest = known.iter().min_by_key(|(_, known)| known.since).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| known.remove(&oldest));
        }
        known.insert(key, Known { since: Instant::now(), place: place.clone() });
        place
    }

    /// A connection failed: what is known of the service may be wrong.
    pub(crate) fn forget(&self, namespace: &str, name: &str, port: u16, error: &RequestError) {
        if matches!(error, RequestError::Connect(ConnectError::Tcp { .. } | ConnectError::Tls(_)) | RequestError::ConnectTimeout)
        {
            let key = (namespace.to_owned(), name.to_owned(), port);
            self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        }
    }

    /// Drops what has not been used for a while.
    pub(crate) fn prune(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, known| known.since.elapsed() < 10 * BELIEVED);
        for known in known.values() {
            if let Ok(pool) = &known.place {
                pool.prune();
            }
        }
    }

    fn remembered(&self, key: &Name) -> Option<Result<Arc<Pool>, UpstreamError>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).filter(|known| known.is_believed()).map(|known| known.place.clone())
    }

    fn policy(&self) -> Arc<Policy> {
        self.policy.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn look_up(&self, key: &Name, policy: &Policy) -> Result<Arc<Pool>, UpstreamError> {
        let (namespace, name, port) = key;
        let Found { place, port: target, secure } = lookup::find(&self.client, namespace, name, *port).await?;
        let address = match place {
            // Given out by the API server, from a range of its own.
            Place::Cluster(address) => {
                policy.address(address, false).map_err(UpstreamError::Denied)?;
                address
            }
            Place::Pods(addresses) => self.first_allowed(addresses, |address| policy.address(address.0, address.1)).await?,
            // Nobody but DNS says where this is.
            Place::Resolved(addresses) => {
                let allowed = |(address, is_node)| policy.address(address, is_node).and_then(|()| policy.outside(address));
                self.first_allowed(addresses, allowed).await?
            }
        };
        let host = format!("{name}.{namespace}.svc");
        let tls = secure.then(|| (self.tls.clone(), Some(host.clone())));
        let remote = Remote { host: address.to_string(), port: target, tls };
        Ok(Pool::of_service(remote, authority(&host, *port, secure)))
    }

    async fn first_allowed(
        &self,
        addresses: Vec<IpAddr>,
        allowed: impl Fn((IpAddr, bool)) -> Result<(), pipeops_agent_core::policy::Refusal>,
    ) -> Result<IpAddr, UpstreamError> {
        let nodes = self.nodes.addresses(&self.client).await;
        let mut refusal = UpstreamError::Unreachable("the service has no endpoint");
        for address in addresses {
            match allowed((address, nodes.contains(&address))) {
                Ok(()) => return Ok(address),
                Err(error) => refusal = UpstreamError::Denied(error),
            }
        }
        Err(refusal)
    }
}
