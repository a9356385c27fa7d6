//! Upgraded connections: what the plane says on them, in every spelling, and how it gives them up.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::envelope::Message;
use super::exchange::{Exchange, Form};
use super::{Breach, ConnectionId, ExchangeId, Output, Part, Plane};

impl Plane {
    /// A frame for an upgraded connection.
    pub fn websocket_data(&mut self, id: ExchangeId, opcode: u8, bytes: &[u8]) {
        let Some(exchange) = self.running(id) else {
            return;
        };
        let kind = if exchange.long_names { "proxy_websocket_data" } else { "ws_data" };
        self.websocket_data_as(id, kind, opcode, bytes, &Map::new());
    }

    /// The same under another name and with other payload fields: what `change` holds replaces the usual fields, and
    /// null takes a field out.
    pub fn websocket_data_as(&mut self, id: ExchangeId, kind: &str, opcode: u8, bytes: &[u8], change: &Map<String, Value>) {
        let Some(exchange) = self.running(id) else {
            return;
        };
        let mut framed = Vec::with_capacity(bytes.len() + 1);
        framed.push(opcode);
        framed.extend_from_slice(bytes);
        let mut payload = ids(&exchange);
        payload.insert("data".into(), STANDARD.encode(framed).into());
        payload.insert("message_type".into(), opcode.into());
        self.send(exchange.connection, kind, Some(&exchange.wire_id), changed(payload, change));
    }

    /// Closes an upgraded connection. Nothing more of it is reported.
    pub fn websocket_close(&mut self, id: ExchangeId) {
        let Some(exchange) = self.running(id) else {
            return;
        };
        let kind = if exchange.long_names { "proxy_websocket_close" } else { "ws_close" };
        self.websocket_close_as(id, kind, &Map::new());
    }

    /// The same under another name and with other payload fields, as for `websocket_data_as`.
    pub fn websocket_close_as(&mut self, id: ExchangeId, kind: &str, change: &Map<String, Value>) {
        let Some(exchange) = self.running(id) else {
            return;
        };
        self.send(exchange.connection, kind, Some(&exchange.wire_id), changed(ids(&exchange), change));
        self.exchanges.cancel(id);
    }

    /// Sends any text on an exchange's connection, well-formed or not.
    pub fn send_raw_for(&mut self, id: ExchangeId, text: impl Into<String>) {
        if let Some(connection) = self.connection_of(id) {
            self.send_raw(connection, text);
        }
    }

    /// Nobody waits for the exchange any more: `ws_close` for an upgraded connection, `proxy_cancel` for any other.
    pub fn abandon(&mut self, id: ExchangeId) {
        match self.running(id) {
            Some(exchange) if exchange.is_socket() => self.websocket_close(id),
            Some(_) => self.cancel(id),
            None => {}
        }
    }

    /// Abandons an exchange whose client does not take what comes for it, and records that.
    pub fn give_up(&mut self, now: u64, id: ExchangeId) {
        self.now = now;
        if let Some(exchange) = self.running(id) {
            self.records.given_up.push((now, exchange.wire_id));
            self.abandon(id);
        }
    }

    /// A `proxy_websocket_close` for a stream that the plane has closed is an echo, or has crossed the plane's message.
    pub(super) fn record_late_close(&mut self, connection: ConnectionId, message: &Message, id: ExchangeId) {
        let late = self.exchanges.get(id).is_some_and(|it| it.cancelled && it.is_socket() && it.form != Form::Socket);
        if late {
            self.records.late_closes.push(message.clone().record(self.now, connection));
        }
    }

    /// Hands `backpressure` on to whoever waits for the exchange.
    pub(super) fn report_backpressure(&mut self, connection: ConnectionId, message: &Message, breaches: &mut Vec<Breach>) {
        let Some(wire_id) = &message.request_id else {
            return;
        };
        let Some(id) = self.exchanges.by_wire_id(wire_id) else {
            return;
        };
        let Some(exchange) = self.exchanges.get(id) else {
            return;
        };
        if exchange.connection != connection {
            breaches.push(Breach::ExchangeElsewhere { message: message.kind.clone(), id: wire_id.clone() });
        } else if !exchange.cancelled {
            let reason = message.payload.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned();
            self.outbox.push(Output::Answer { exchange: id, part: Part::Backpressure(reason) });
        }
    }
}

fn ids(exchange: &Exchange) -> Map<String, Value> {
    let id = || Value::from(exchange.wire_id.as_str());
    Map::from_iter([("stream_id".to_owned(), id()), ("request_id".to_owned(), id())])
}

fn changed(mut payload: Map<String, Value>, change: &Map<String, Value>) -> Value {
    for (key, value) in change {
        payload.insert(key.clone(), value.clone());
    }
    payload.retain(|_, value| !value.is_null());
    json!(payload)
}
