//! Who may become a connection.

use std::collections::{BTreeMap, BTreeSet};

use super::outbox::Later;
use super::{AgentState, Breach, Connection, ConnectionId, Faults, Output, Plane, Role, Upgrade, UpgradeRecord, Verdict};

/// What a gateway's address must say about the agent.
const CAPABILITIES: [&str; 5] =
    ["supports_binary", "supports_response_streaming", "supports_streaming", "supports_websocket", "supports_yamux"];

impl Plane {
    /// Decides about a request to become a WebSocket.
    pub fn accept(&mut self, now: u64, upgrade: &Upgrade) -> Verdict {
        self.now = now;
        let role = upgrade.role();
        self.check_upgrade(role, upgrade);
        let verdict = self.judge(role, upgrade);
        let (status, connection) = match &verdict {
            Verdict::Accept(connection) => (101, Some(*connection)),
            Verdict::Refuse { status, .. } => (*status, None),
            Verdict::Hang => (0, None),
        };
        self.records.upgrades.push(UpgradeRecord { at: now, role, upgrade: upgrade.clone(), status, connection });
        if let Some(connection) = connection {
            self.greet(connection, role);
        }
        verdict
    }

    fn judge(&mut self, role: Role, upgrade: &Upgrade) -> Verdict {
        let (refusal, hang) = match role {
            Role::Controller => (&mut self.faults.refuse_controller, self.faults.hang_controller),
            Role::Gateway => (&mut self.faults.refuse_gateway, self.faults.hang_gateway),
        };
        if let Some(refusal) = Faults::take_refusal(refusal) {
            let headers = refusal.retry_after.map(|value| ("Retry-After".to_owned(), value));
            return Verdict::Refuse { status: refusal.status, headers: headers.into_iter().collect() };
        }
        if hang {
            return Verdict::Hang;
        }
        if !self.token_is_good(upgrade) {
            return Verdict::Refuse { status: 401, headers: Vec::new() };
        }
        let cluster_id = match (role, upgrade.parameter("cluster_uuid").filter(|uuid| !uuid.is_empty())) {
            (Role::Controller, _) => None,
            (Role::Gateway, None) => {
                return Verdict::Refuse { status: 400, headers: Vec::new() };
            }
            (Role::Gateway, Some(uuid)) => match self.clusters.find(&uuid) {
                Some(cluster) => Some(cluster.cluster_id.clone()),
                None if self.config.adopt_unknown_clusters => {
                    Some(self.clusters.adopt(&self.config, &mut self.random, &uuid).cluster_id.clone())
                }
                None => {
                    return Verdict::Refuse { status: 403, headers: Vec::new() };
                }
            },
        };
        self.next_connection += 1;
        let connection = ConnectionId(self.next_connection);
        let agent_id = cluster_id.as_deref().and_then(|id| self.clusters.get(id)?.agent_id.clone());
        self.connections.insert(
            connection,
            Connection {
                role,
                cluster_id: None,
                agent_id,
                received: 0,
                register_ids: BTreeSet::new(),
                pings: BTreeSet::new(),
                unknown: BTreeMap::new(),
                hello_sent: false,
                mux: false,
                delayed_until: 0,
                closed_by_agent: None,
                closed_by_plane: false,
            },
        );
        if let Some(cluster_id) = cluster_id {
            self.bind(connection, &cluster_id);
        }
        Verdict::Accept(connection)
    }

    /// Makes a connection the one that carries a cluster's requests. An older one is dropped.
    pub(super) fn bind(&mut self, connection: ConnectionId, cluster_id: &str) {
        if let Some(state) = self.connections.get_mut(&connection) {
            state.cluster_id = Some(cluster_id.to_owned());
        }
        let Some(cluster) = self.clusters.get_mut(cluster_id) else {
            return;
        };
        let former = cluster.connection.replace(connection).filter(|former| *former != connection);
        cluster.state = AgentState::Online;
        if let Some(former) = former {
            self.records.overlaps.push((self.now, connection));
            self.drop_connection(former);
        }
    }

    /// What a new connection gets without asking.
    fn greet(&mut self, connection: ConnectionId, role: Role) {
        if let Some(milliseconds) = self.faults.slow_reader {
            self.post(connection, Output::PauseReading { connection, milliseconds });
        }
        if let Some(after) = self.faults.drop_after_accept {
            self.outbox.push_at(self.now.saturating_add(after), Later::Drop(connection));
        }
        if role == Role::Gateway
            && let Some(hello) = self.config.gateway_hello.clone()
        {
            if let Some(state) = self.connections.get_mut(&connection) {
                state.hello_sent = true;
            }
            self.send(connection, "gateway_hello", None, hello);
        }
        if let Some(code) = self.faults.close_after_accept {
            self.close_connection(connection, code, "closed on purpose");
        }
    }

    fn token_is_good(&self, upgrade: &Upgrade) -> bool {
        let mut values = upgrade.header("authorization");
        let token = values.next().and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        values.next().is_none() && self.knows_token(token)
    }

    pub(super) fn knows_token(&self, token: &str) -> bool {
        let known = self.config.tokens.is_empty() || self.config.tokens.iter().any(|known| known == token);
        !token.is_empty() && known
    }

    fn check_upgrade(&mut self, role: Role, upgrade: &Upgrade) {
        let mut breaches = Vec::new();
        if role == Role::Gateway {
            let mut expect = |name: &'static str, good: fn(&str) -> bool| match upgrade.parameter(name) {
                None => breaches.push(Breach::QueryParameterMissing(name)),
                Some(value) if !good(&value) => breaches.push(Breach::QueryParameterWrong { name, value }),
                Some(_) => {}
            };
            expect("agent_version", |value| !value.is_empty());
            expect("cluster_uuid", |value| !value.is_empty());
            for name in CAPABILITIES {
                expect(name, |value| value == "true");
            }
        }
        let token = upgrade.header("authorization").next().and_then(|value| value.strip_prefix("Bearer "));
        if token.is_some_and(|token| token.len() > 3 && upgrade.query.contains(token)) {
            breaches.push(Breach::TokenInQuery);
        }
        breaches.extend(upgrade.header("sec-websocket-protocol").map(|it| Breach::SubProtocolAsked(it.to_owned())));
        breaches.extend(upgrade.header("sec-websocket-extensions").map(|it| Breach::ExtensionsAsked(it.to_owned())));
        for breach in breaches {
            self.note(None, breach);
        }
    }
}
