//! Registration, heartbeats and the other messages about the connection itself.

use serde_json::{Map, Value, json};

use super::envelope::{self, Message};
use super::outbox::{Later, Progress};
use super::{AgentState, Breach, ConnectionId, Plane, RegisterReply, Role, binary, rules};

impl Plane {
    /// A text message of an agent.
    pub(super) fn text(&mut self, connection: ConnectionId, text: &str) {
        let mut breaches = Vec::new();
        let message = envelope::read(text, &mut breaches);
        if let Some(message) = message {
            self.check_request_id(&message, &mut breaches);
            self.note_all(connection, breaches);
            self.dispatch(connection, message);
        } else {
            self.note_all(connection, breaches);
        }
    }

    /// A binary message of an agent whose yamux is off.
    pub(super) fn binary(&mut self, connection: ConnectionId, bytes: &[u8]) {
        match binary::read(bytes) {
            Ok(answer) => self.binary_answer(connection, answer),
            Err(problem) => self.note(Some(connection), Breach::BinaryWrong(problem)),
        }
    }

    fn check_request_id(&self, message: &Message, breaches: &mut Vec<Breach>) {
        let message_kind = || message.kind.clone();
        match (message.kind.as_str(), &message.request_id) {
            ("heartbeat" | "protocol_fallback" | "gateway_hello_ack" | "udp_tunnel_data", Some(_)) => {
                breaches.push(Breach::RequestIdUnexpected { message: message_kind() });
            }
            ("heartbeat" | "protocol_fallback" | "gateway_hello_ack" | "udp_tunnel_data", None) | (_, Some(_)) => {}
            (_, None) => breaches.push(Breach::RequestIdMissing { message: message_kind() }),
        }
    }

    fn dispatch(&mut self, connection: ConnectionId, message: Message) {
        let mut breaches = Vec::new();
        match message.kind.as_str() {
            "register" => return self.register(connection, message),
            "heartbeat" => return self.heartbeat(connection, message),
            "proxy_response"
            | "proxy_response_header"
            | "proxy_response_chunk"
            | "proxy_response_end"
            | "proxy_response_abort"
            | "proxy_error"
            | "proxy_websocket_data"
            | "proxy_websocket_close" => {
                return self.proxied(connection, message);
            }
            "pong" => self.pong(connection, &message, &mut breaches),
            "protocol_fallback" => self.fallback(connection, &message, &mut breaches),
            "gateway_hello_ack" => self.hello_ack(connection, &message, &mut breaches),
            "backpressure" => self.backpressure(connection, &message, &mut breaches),
            "tcp_tunnel_data" | "tcp_tunnel_close" | "udp_tunnel_data" => {
                breaches.push(Breach::Unasked { message: message.kind.clone() });
            }
            _ => breaches.push(Breach::TypeUnknown(message.kind.clone())),
        }
        self.note_all(connection, breaches);
        self.records.others.push(message.record(self.now, connection));
    }

    fn register(&mut self, connection: ConnectionId, message: Message) {
        let mut breaches = Vec::new();
        rules::register(&message.payload, &mut breaches);
        let Some(state) = self.connections.get_mut(&connection) else {
            return;
        };
        let role = state.role;
        if role != Role::Controller {
            breaches.push(Breach::WrongSocket { message: message.kind.clone(), role });
        }
        let request_id = message.request_id.clone();
        if let Some(id) = &request_id
            && !state.register_ids.insert(id.clone())
        {
            breaches.push(Breach::RequestIdUsedTwice { id: id.clone() });
        }
        let agent_id = text_of(&message.payload, "agent_id").map(str::to_owned);
        let name = text_of(&message.payload, "name").map(str::to_owned);
        let claimed = text_of(&message.payload, "cluster_id").map(str::to_owned);
        self.note_all(connection, breaches);
        self.records.registers.push(message.record(self.now, connection));
        let (Some(request_id), Some(agent_id), Role::Controller) = (request_id, agent_id, role) else {
            return;
        };
        if self.faults.black_hole {
            return;
        }
        let reply = self.faults.register.clone();
        match &reply {
            RegisterReply::Silent => return,
            RegisterReply::Error(text) => {
                return self.send_error(connection, Some(&request_id), text);
            }
            RegisterReply::NotFoundUnlessFresh if claimed.is_some() => {
                return self.send_error(connection, Some(&request_id), "cluster not found");
            }
            RegisterReply::Success
            | RegisterReply::NotFoundUnlessFresh
            | RegisterReply::InProgress { .. }
            | RegisterReply::WithoutClusterId
            | RegisterReply::Twice
            | RegisterReply::StaleFirst
            | RegisterReply::WrongTypes => {}
        }
        let anew = reply == RegisterReply::NotFoundUnlessFresh;
        let cluster = self.clusters.register(&self.config, &mut self.random, claimed.as_deref(), &agent_id, anew);
        cluster.name = name.unwrap_or_default();
        let cluster_id = cluster.cluster_id.clone();
        if let Some(state) = self.connections.get_mut(&connection) {
            state.agent_id = Some(agent_id);
        }
        self.reply(connection, &request_id, &cluster_id, &reply);
    }

    fn reply(&mut self, connection: ConnectionId, request_id: &str, cluster_id: &str, reply: &RegisterReply) {
        match reply {
            RegisterReply::Success | RegisterReply::NotFoundUnlessFresh => {
                self.succeed(connection, request_id, cluster_id);
            }
            RegisterReply::Twice => {
                let payload = self.success(cluster_id);
                self.send(connection, "register_success", Some(request_id), payload);
                self.succeed(connection, request_id, cluster_id);
            }
            RegisterReply::StaleFirst => {
                let mut payload = self.success(cluster_id);
                payload["cluster_id"] = "stale-cluster".into();
                payload["cluster_uuid"] = "stale-cluster".into();
                self.send(connection, "register_success", Some("req_0_stale"), payload);
                self.succeed(connection, request_id, cluster_id);
            }
            RegisterReply::WithoutClusterId => {
                let mut payload = self.success(cluster_id);
                if let Some(fields) = payload.as_object_mut() {
                    fields.remove("cluster_id");
                }
                self.send(connection, "register_success", Some(request_id), payload);
            }
            RegisterReply::WrongTypes => {
                let payload = json!({"cluster_id": 7, "cluster_uuid": [], "gateway_ws_url": {}, "token": 1});
                self.send(connection, "register_success", Some(request_id), payload);
            }
            RegisterReply::InProgress { every, success_after } => {
                self.continue_registration(Progress {
                    connection,
                    request_id: request_id.to_owned(),
                    cluster_id: cluster_id.to_owned(),
                    every: (*every).max(1),
                    success_at: self.now.saturating_add(*success_after),
                });
            }
            RegisterReply::Silent | RegisterReply::Error(_) => {}
        }
    }

    pub(super) fn continue_registration(&mut self, progress: Progress) {
        if self.now >= progress.success_at {
            return self.succeed(progress.connection, &progress.request_id, &progress.cluster_id);
        }
        self.send(progress.connection, "register_in_progress", Some(&progress.request_id), json!({}));
        let next = self.now.saturating_add(progress.every).min(progress.success_at);
        self.outbox.push_at(next, Later::Progress(progress));
    }

    fn succeed(&mut self, connection: ConnectionId, request_id: &str, cluster_id: &str) {
        let payload = self.success(cluster_id);
        self.send(connection, "register_success", Some(request_id), payload);
        let switches = self.config.gateway_url.is_some();
        if let Some(cluster) = self.clusters.get_mut(cluster_id) {
            cluster.registrations += 1;
            if switches && cluster.connection.is_none() {
                cluster.state = AgentState::Registered;
            }
        }
        if switches {
            if let Some(state) = self.connections.get_mut(&connection) {
                state.cluster_id = Some(cluster_id.to_owned());
            }
        } else {
            self.bind(connection, cluster_id);
        }
        if let Some(code) = self.faults.close_after_register {
            self.close_connection(connection, code, "registered");
        }
    }

    fn success(&self, cluster_id: &str) -> Value {
        let (uuid, name) = self
            .clusters
            .get(cluster_id)
            .map_or((cluster_id, ""), |cluster| (cluster.cluster_uuid.as_str(), cluster.name.as_str()));
        let mut payload = Map::new();
        payload.insert("cluster_id".into(), cluster_id.into());
        payload.insert("name".into(), self.config.name.as_deref().unwrap_or(name).into());
        payload.insert("status".into(), "registered".into());
        let options = [
            ("cluster_uuid", (!self.config.omit_uuid).then(|| uuid.into())),
            ("workspace_id", self.config.workspace_id.map(Value::from)),
            ("token", self.config.replacement_token.as_deref().map(Value::from)),
            ("gateway_ws_url", self.config.gateway_url.as_deref().map(Value::from)),
        ];
        for (key, value) in options {
            if let Some(value) = value {
                payload.insert(key.into(), value);
            }
        }
        payload.into()
    }
}

pub(super) fn text_of<'a>(payload: &'a Map<String, Value>, field: &str) -> Option<&'a str> {
    payload.get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
}
