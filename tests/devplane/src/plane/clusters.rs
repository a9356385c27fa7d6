//! The clusters the plane knows: their ids, their agents, and where each is connected.

use std::collections::BTreeMap;

use super::{ConnectionId, PlaneConfig};

/// How far an agent has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentState {
    /// Known, but not connected where it should be.
    Offline,
    /// Registered on the controller, expected on the gateway.
    Registered,
    /// Registered, and connected to the right server.
    Online,
}

/// A cluster and its agent.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub cluster_id: String,
    /// The same as `cluster_id` unless the settings say otherwise.
    pub cluster_uuid: String,
    pub agent_id: Option<String>,
    pub name: String,
    pub state: AgentState,
    /// Where requests for the cluster go.
    pub connection: Option<ConnectionId>,
    pub registrations: u64,
    /// Of the last heartbeat.
    pub last_heartbeat: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Clusters {
    /// By `cluster_id`.
    known: BTreeMap<String, Cluster>,
    by_uuid: BTreeMap<String, String>,
    by_agent: BTreeMap<String, String>,
}

impl Clusters {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Cluster> {
        self.known.values()
    }

    pub(super) fn get(&self, cluster_id: &str) -> Option<&Cluster> {
        self.known.get(cluster_id)
    }

    pub(super) fn get_mut(&mut self, cluster_id: &str) -> Option<&mut Cluster> {
        self.known.get_mut(cluster_id)
    }

    /// Finds by `cluster_uuid`, then by `cluster_id`: a gateway is addressed with either.
    pub(super) fn find(&self, uuid_or_id: &str) -> Option<&Cluster> {
        let id = self.by_uuid.get(uuid_or_id).map_or(uuid_or_id, String::as_str);
        self.known.get(id)
    }

    /// The cluster for a registration; a known one keeps its id. `anew` forbids reuse.
    pub(super) fn register(
        &mut self,
        config: &PlaneConfig,
        random: &mut fastrand::Rng,
        claimed: Option<&str>,
        agent_id: &str,
        anew: bool,
    ) -> &mut Cluster {
        let known = claimed.filter(|id| self.known.contains_key(*id)).map(str::to_owned);
        let adopted = || claimed.filter(|_| config.adopt_unknown_clusters).map(str::to_owned);
        let of_agent = || self.by_agent.get(agent_id).filter(|_| !anew).cloned();
        let id = known.or_else(adopted).or_else(of_agent).unwrap_or_else(|| {
            let first = config.first_cluster_id.clone().filter(|id| !self.known.contains_key(id));
            first.unwrap_or_else(|| new_id(random))
        });
        self.by_agent.insert(agent_id.to_owned(), id.clone());
        let cluster = self.adopt(config, random, &id);
        cluster.agent_id = Some(agent_id.to_owned());
        cluster
    }

    /// The cluster with this id, made if need be.
    pub(super) fn adopt(&mut self, config: &PlaneConfig, random: &mut fastrand::Rng, id: &str) -> &mut Cluster {
        let Self { known, by_uuid, .. } = self;
        known.entry(id.to_owned()).or_insert_with(|| {
            let uuid = if config.distinct_uuid { new_id(random) } else { id.to_owned() };
            by_uuid.insert(uuid.clone(), id.to_owned());
            Cluster {
                cluster_id: id.to_owned(),
                cluster_uuid: uuid,
                agent_id: None,
                name: String::new(),
                state: AgentState::Offline,
                connection: None,
                registrations: 0,
                last_heartbeat: None,
            }
        })
    }

    /// Forgets every cluster, as a plane that lost its memory.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn new_id(random: &mut fastrand::Rng) -> String {
    let (high, low) = (random.u64(..), random.u64(..));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_cluster_keeps_its_id() {
        let (mut clusters, config, mut random) =
            (Clusters::default(), PlaneConfig { distinct_uuid: true, ..PlaneConfig::default() }, fastrand::Rng::with_seed(1));
        let first = clusters.register(&config, &mut random, None, "a", false).clone();
        assert_ne!(first.cluster_id, first.cluster_uuid);
        assert_eq!(clusters.register(&config, &mut random, None, "a", false).cluster_id, first.cluster_id);
        let id = Some(first.cluster_id.as_str());
        assert_eq!(clusters.register(&config, &mut random, id, "b", false).cluster_id, first.cluster_id);
        assert_ne!(clusters.register(&config, &mut random, None, "a", true).cluster_id, first.cluster_id);
        assert_eq!(clusters.find(&first.cluster_uuid).unwrap().cluster_id, first.cluster_id);
        assert_eq!(clusters.find(&first.cluster_id).unwrap().cluster_id, first.cluster_id);
    }

    #[test]
    fn unknown_claims_follow_the_settings() {
        let (mut clusters, mut random) = (Clusters::default(), fastrand::Rng::with_seed(1));
        let mut config = PlaneConfig::default();
        assert_eq!(clusters.register(&config, &mut random, Some("x"), "a", false).cluster_id, "x");
        config.adopt_unknown_clusters = false;
        assert_ne!(clusters.register(&config, &mut random, Some("y"), "b", false).cluster_id, "y");
        config.first_cluster_id = Some("first".into());
        assert_eq!(clusters.register(&config, &mut random, None, "c", false).cluster_id, "first");
    }
}
