//! Registration, heartbeats and the other messages about the connection itself.

use serde_json::{Map, Value, json};

use super::envelope::{self, Message};
use super::outbox::{Later, Progress};
use super::{AgentState, Breach, ConnectionId, HeartbeatReply, Plane, RegisterReply, Role, binary, rfc3339, rules};

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
            "proxy_response" | "proxy_response_header" | "proxy_response_chunk" | "proxy_response_end"
            | "proxy_response_abort" | "proxy_error" | "proxy_websocket_data" | "proxy_websocket_close" => {
                return self.proxied(connection, message);
            }
            "pong" => self.pong(connection, &message, &mut breaches),
            "protocol_fallback" => self.fallback(connection, &message, &mut breaches),
            "gateway_hello_ack" => self.hello_ack(connection, &message, &mut breaches),
            "backpressure" => self.backpressure(&message, &mut breaches),
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
        let Some(state) = self.connections.get_mut(&connection) else { return };
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
        let (Some(request_id), Some(agent_id), Role::Controller) = (request_id, agent_id, role) else { return };
        if self.faults.black_hole {
            return;
        }
        let reply = self.faults.register.clone();
        match &reply {
            RegisterReply::Silent => return,
            RegisterReply::Error(text) => return self.send_error(connection, Some(&request_id), text),
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
        let cluster =
            self.clusters.register(&self.config, &mut self.random, claimed.as_deref(), &agent_id, anew);
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

    fn heartbeat(&mut self, connection: ConnectionId, message: Message) {
        let mut breaches = Vec::new();
        rules::heartbeat(&message.payload, &mut breaches);
        let claimed = text_of(&message.payload, "cluster_id").unwrap_or_default().to_owned();
        let agent_id = text_of(&message.payload, "agent_id").unwrap_or_default().to_owned();
        let Some(state) = self.connections.get(&connection) else { return };
        let (role, bound, known_agent) = (state.role, state.cluster_id.clone(), state.agent_id.clone());
        let gateway = self.config.gateway_url.is_some();
        if role == Role::Controller && gateway && bound.is_some() {
            breaches.push(Breach::WrongSocket { message: message.kind.clone(), role });
        }
        let wrong = |field: &str, value: &str| Breach::FieldValue {
            message: "heartbeat".into(),
            field: field.into(),
            value: value.into(),
        };
        if bound.as_ref().is_some_and(|bound| *bound != claimed) {
            breaches.push(wrong("cluster_id", &claimed));
        }
        if known_agent.is_some_and(|known| known != agent_id) {
            breaches.push(wrong("agent_id", &agent_id));
        }
        if bound.is_none() {
            // On the controller's socket an agent may take up a cluster it has registered before.
            let known = self.clusters.get(&claimed).is_some_and(|it| it.agent_id.as_ref() == Some(&agent_id));
            if known && !gateway && !self.faults.black_hole {
                self.bind(connection, &claimed);
            } else {
                breaches.push(Breach::HeartbeatBeforeRegister);
            }
        }
        if let Some(cluster) = bound.as_deref().and_then(|id| self.clusters.get_mut(id)) {
            cluster.last_heartbeat = Some(self.now);
        }
        self.note_all(connection, breaches);
        self.records.heartbeats.push(message.record(self.now, connection));
        match self.faults.heartbeat.clone() {
            HeartbeatReply::Normal if self.config.acknowledge_heartbeats => {
                let received_at = rfc3339(self.config.epoch.saturating_add(self.now));
                self.send(connection, "heartbeat_ack", None, json!({"received_at": received_at}));
            }
            HeartbeatReply::Normal | HeartbeatReply::Silent => {}
            HeartbeatReply::Error(text) => self.send_error(connection, None, &text),
            HeartbeatReply::NotRegistered => self.send_error(connection, None, "cluster not registered"),
        }
    }

    /// Sends an `error`.
    pub fn send_error(&mut self, connection: ConnectionId, request_id: Option<&str>, text: &str) {
        self.send(connection, "error", request_id, json!({"error": text}));
    }

    fn pong(&mut self, connection: ConnectionId, message: &Message, breaches: &mut Vec<Breach>) {
        rules::pong(&message.payload, breaches);
        let Some(state) = self.connections.get_mut(&connection) else { return };
        if let Some(id) = &message.request_id
            && !state.pings.remove(id)
        {
            breaches.push(Breach::Unasked { message: message.kind.clone() });
        }
    }

    fn fallback(&mut self, connection: ConnectionId, message: &Message, breaches: &mut Vec<Breach>) {
        rules::fallback(&message.payload, breaches);
        let Some(state) = self.connections.get_mut(&connection) else { return };
        let Some(unknown_type) = text_of(&message.payload, "unknown_type") else { return };
        match state.unknown.get_mut(unknown_type) {
            None => breaches.push(Breach::Unasked { message: message.kind.clone() }),
            Some(true) => breaches.push(Breach::FallbackRepeated { unknown_type: unknown_type.to_owned() }),
            Some(answered) => *answered = true,
        }
    }

    fn hello_ack(&mut self, connection: ConnectionId, message: &Message, breaches: &mut Vec<Breach>) {
        rules::hello_ack(&message.payload, breaches);
        let Some(state) = self.connections.get_mut(&connection) else { return };
        if !std::mem::take(&mut state.hello_sent) {
            breaches.push(Breach::Unasked { message: message.kind.clone() });
        } else if message.payload.get("use_yamux") == Some(&Value::Bool(true)) {
            state.mux = true;
        } else {
            let field = "use_yamux".to_owned();
            breaches.push(Breach::FieldValue { message: message.kind.clone(), field, value: "false".into() });
        }
    }

    fn backpressure(&mut self, message: &Message, breaches: &mut Vec<Breach>) {
        rules::backpressure(&message.payload, breaches);
        let (Some(id), Some(inner)) = (&message.request_id, text_of(&message.payload, "request_id")) else { return };
        if id != inner {
            let field = "request_id".to_owned();
            breaches.push(Breach::FieldValue { message: message.kind.clone(), field, value: inner.to_owned() });
        }
        if !self.exchanges.has_existed(id) {
            breaches.push(Breach::ExchangeUnknown { message: message.kind.clone(), id: id.clone() });
        }
    }
}

pub(super) fn text_of<'a>(payload: &'a Map<String, Value>, field: &str) -> Option<&'a str> {
    payload.get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
}
