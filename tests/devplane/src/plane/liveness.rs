//! Heartbeats, and what agents say about the connection itself.

use serde_json::{Value, json};

use super::envelope::Message;
use super::session::text_of;
use super::{Breach, ConnectionId, HeartbeatReply, Plane, Role, rfc3339, rules};

impl Plane {
    pub(super) fn heartbeat(&mut self, connection: ConnectionId, message: Message) {
        let mut breaches = Vec::new();
        rules::heartbeat(&message.payload, &mut breaches);
        let claimed = text_of(&message.payload, "cluster_id").unwrap_or_default().to_owned();
        let agent_id = text_of(&message.payload, "agent_id").unwrap_or_default().to_owned();
        let Some(state) = self.connections.get(&connection) else {
            return;
        };
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

    pub(super) fn pong(&mut self, connection: ConnectionId, message: &Message, breaches: &mut Vec<Breach>) {
        rules::pong(&message.payload, breaches);
        let Some(state) = self.connections.get_mut(&connection) else {
            return;
        };
        if let Some(id) = &message.request_id
            && !state.pings.remove(id)
        {
            breaches.push(Breach::Unasked { message: message.kind.clone() });
        }
    }

    pub(super) fn fallback(&mut self, connection: ConnectionId, message: &Message, breaches: &mut Vec<Breach>) {
        rules::fallback(&message.payload, breaches);
        let Some(state) = self.connections.get_mut(&connection) else {
            return;
        };
        let Some(unknown_type) = text_of(&message.payload, "unknown_type") else {
            return;
        };
        match state.unknown.get_mut(unknown_type) {
            None => breaches.push(Breach::Unasked { message: message.kind.clone() }),
            Some(true) => breaches.push(Breach::FallbackRepeated { unknown_type: unknown_type.to_owned() }),
            Some(answered) => *answered = true,
        }
    }

    pub(super) fn hello_ack(&mut self, connection: ConnectionId, message: &Message, breaches: &mut Vec<Breach>) {
        rules::hello_ack(&message.payload, breaches);
        let Some(state) = self.connections.get_mut(&connection) else {
            return;
        };
        if !std::mem::take(&mut state.hello_sent) {
            breaches.push(Breach::Unasked { message: message.kind.clone() });
        } else if message.payload.get("use_yamux") == Some(&Value::Bool(true)) {
            state.mux = true;
        } else {
            let field = "use_yamux".to_owned();
            breaches.push(Breach::FieldValue { message: message.kind.clone(), field, value: "false".into() });
        }
    }

    pub(super) fn backpressure(&mut self, connection: ConnectionId, message: &Message, breaches: &mut Vec<Breach>) {
        rules::backpressure(&message.payload, breaches);
        let (Some(id), Some(inner)) = (&message.request_id, text_of(&message.payload, "request_id")) else {
            return;
        };
        if id != inner {
            let field = "request_id".to_owned();
            breaches.push(Breach::FieldValue { message: message.kind.clone(), field, value: inner.to_owned() });
        }
        if !self.exchanges.has_existed(id) {
            breaches.push(Breach::ExchangeUnknown { message: message.kind.clone(), id: id.clone() });
        }
        self.report_backpressure(connection, message, breaches);
    }
}
