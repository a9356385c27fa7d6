//! What can be done to agents from outside: messages of any kind, and ends of connections.

use serde_json::{Value, json};

use super::outbox::Later;
use super::{CLOSE_GRACE, ConnectionId, Output, Plane, envelope, rfc3339};

impl Plane {
    /// Sends any text, well-formed or not.
    pub fn send_raw(&mut self, connection: ConnectionId, text: impl Into<String>) {
        self.post(connection, Output::Send { connection, text: text.into() });
    }

    /// Sends any bytes in a binary message.
    pub fn send_raw_binary(&mut self, connection: ConnectionId, bytes: Vec<u8>) {
        self.post(connection, Output::SendBinary { connection, bytes });
    }

    /// Sends a message in an envelope.
    pub fn send(&mut self, connection: ConnectionId, kind: &str, request_id: Option<&str>, payload: Value) {
        let timestamp = rfc3339(self.config.epoch.saturating_add(self.now));
        let text = envelope::write(kind, request_id, payload, &timestamp);
        let output = if self.config.binary_envelopes && self.connections.get(&connection).is_some_and(|it| !it.mux) {
            Output::SendBinary { connection, bytes: text.into_bytes() }
        } else {
            Output::Send { connection, text }
        };
        self.post(connection, output);
    }

    /// Sends a JSON ping.
    pub fn send_json_ping(&mut self, connection: ConnectionId) {
        self.serial += 1;
        let id = format!("ping-{}", self.serial);
        if let Some(state) = self.connections.get_mut(&connection) {
            state.pings.insert(id.clone());
        }
        self.send(connection, "ping", Some(&id), json!({}));
    }

    /// Sends a message of a type no agent knows.
    pub fn send_unknown(&mut self, connection: ConnectionId) {
        let kind = self.faults.unknown_type.clone().unwrap_or_else(|| "future_message_v2".to_owned());
        self.serial += 1;
        let id = format!("unknown-{}", self.serial);
        if let Some(state) = self.connections.get_mut(&connection) {
            state.unknown.entry(kind.clone()).or_insert(false);
        }
        self.send(connection, &kind, Some(&id), json!({"anything": [1, null, {"x": "y"}]}));
    }

    /// Ends a connection abruptly.
    pub fn drop_connection(&mut self, connection: ConnectionId) {
        let Some(state) = self.connections.get_mut(&connection) else {
            return;
        };
        state.closed_by_plane = true;
        self.closed(self.now, connection);
        self.outbox.push(Output::Drop { connection });
    }

    /// Ends every connection abruptly.
    pub fn drop_agents(&mut self) {
        self.for_each_agent(Self::drop_connection);
    }

    /// Closes a connection with a close frame.
    pub fn close_connection(&mut self, connection: ConnectionId, code: u16, reason: &str) {
        let Some(state) = self.connections.get_mut(&connection).filter(|state| !state.closed_by_plane) else {
            return;
        };
        state.closed_by_plane = true;
        self.post(connection, Output::Close { connection, code, reason: reason.to_owned() });
        let until = self.now.saturating_add(self.faults.delay).saturating_add(CLOSE_GRACE);
        self.outbox.push_at(until, Later::Drop(connection));
    }

    /// Closes every connection with a close frame.
    pub fn close_agents(&mut self, code: u16, reason: &str) {
        self.for_each_agent(|plane, connection| plane.close_connection(connection, code, reason));
    }
}
