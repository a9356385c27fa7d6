//! Requests for clusters and what their agents answer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::binary::BinaryAnswer;
use super::envelope::Message;
use super::exchange::{Exchange, Form};
use super::request::binary_body;
use super::{AgentState, Body, Breach, ConnectionId, ExchangeId, Output, Part, Plane, ProxyRequest, WebSocketRequest};

/// How many ended exchanges are remembered, and how many cancelled ones may wait for their end.
const MEMORY: usize = 4096;

/// No agent is online for the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAgent;

impl fmt::Display for NoAgent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("no agent is online")
    }
}

impl std::error::Error for NoAgent {}

/// Exchanges, by number and by the id they have on the wire.
#[derive(Clone, Debug, Default)]
pub(super) struct Exchanges {
    open: BTreeMap<ExchangeId, Exchange>,
    by_wire_id: BTreeMap<String, ExchangeId>,
    /// Those the plane has cancelled and the agent has not ended, oldest first.
    cancelled: VecDeque<ExchangeId>,
    /// Ids of ended exchanges; true while a WebSocket close may still follow an error.
    ended: BTreeMap<String, bool>,
    ended_order: VecDeque<String>,
    next: u64,
}

impl Exchanges {
    pub(super) fn has_existed(&self, wire_id: &str) -> bool {
        self.by_wire_id.contains_key(wire_id) || self.ended.contains_key(wire_id)
    }

    pub(super) fn get(&self, id: ExchangeId) -> Option<&Exchange> {
        self.open.get(&id)
    }

    /// The running exchange with this id on the wire.
    pub(super) fn by_wire_id(&self, wire_id: &str) -> Option<ExchangeId> {
        self.by_wire_id.get(wire_id).copied()
    }

    fn insert(&mut self, exchange: Exchange) -> ExchangeId {
        self.next += 1;
        let id = ExchangeId(self.next);
        self.by_wire_id.insert(exchange.wire_id.clone(), id);
        self.open.insert(id, exchange);
        id
    }

    fn end(&mut self, id: ExchangeId, close_may_follow: bool) {
        let Some(exchange) = self.open.remove(&id) else {
            return;
        };
        self.by_wire_id.remove(&exchange.wire_id);
        if exchange.cancelled {
            self.cancelled.retain(|other| *other != id);
        }
        self.ended.insert(exchange.wire_id.clone(), close_may_follow);
        self.ended_order.push_back(exchange.wire_id);
        if self.ended_order.len() > MEMORY
            && let Some(oldest) = self.ended_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }

    /// Marks as cancelled; too old ones are taken as ended.
    pub(super) fn cancel(&mut self, id: ExchangeId) {
        if let Some(exchange) = self.open.get_mut(&id) {
            exchange.cancelled = true;
            self.cancelled.push_back(id);
        }
        if self.cancelled.len() > MEMORY
            && let Some(oldest) = self.cancelled.front().copied()
        {
            self.end(oldest, true);
        }
    }
}

impl Plane {
    /// Sends a request to an agent.
    ///
    /// # Errors
    /// If no agent is online for it.
    pub fn open(&mut self, now: u64, request: ProxyRequest) -> Result<ExchangeId, NoAgent> {
        self.now = now;
        let (connection, cluster_id, uuid) = self.target(request.cluster.as_deref())?;
        let wire_id = request.request_id.clone().unwrap_or_else(|| self.wire_id("req"));
        let payload = request.payload(&cluster_id, &uuid);
        let form = if request.streaming_answer { Form::Streaming } else { Form::Buffered };
        let mut exchange = Exchange::new(wire_id.clone(), connection, form);
        exchange.data_key = request.spelling.data;
        exchange.upgrade = request.asks_for_upgrade();
        let id = self.add(exchange);
        let copies = if self.faults.duplicate_requests { 2 } else { 1 };
        for _ in 0..copies {
            self.send(connection, "proxy_request", Some(&wire_id), payload.clone());
            if let Body::Binary(body) = &request.body {
                self.send_raw_binary(connection, binary_body(&wire_id, body));
            }
        }
        Ok(id)
    }

    /// Opens an exchange with a hand-made message; any form of answer is right.
    ///
    /// # Errors
    /// If no agent is online.
    pub fn open_raw(&mut self, now: u64, wire_id: &str, text: &str) -> Result<ExchangeId, NoAgent> {
        self.now = now;
        let (connection, ..) = self.target(None)?;
        let id = self.add(Exchange::new(wire_id.to_owned(), connection, Form::Any));
        self.send_raw(connection, text);
        Ok(id)
    }

    /// Starts a WebSocket to a cluster's Kubernetes API with `ws_start`.
    ///
    /// # Errors
    /// If no agent is online for it.
    pub fn open_websocket(&mut self, now: u64, request: &WebSocketRequest) -> Result<ExchangeId, NoAgent> {
        self.now = now;
        let (connection, _, uuid) = self.target(request.cluster.as_deref())?;
        let wire_id = self.wire_id("gw-stream");
        let payload = request.payload(&wire_id, &uuid);
        let mut exchange = Exchange::new(wire_id.clone(), connection, Form::Socket);
        exchange.long_names = request.long_names;
        let id = self.add(exchange);
        let kind = if request.long_names { "proxy_websocket_start" } else { "ws_start" };
        self.send(connection, kind, Some(&wire_id), payload);
        Ok(id)
    }

    /// The next piece of a chunked request body.
    pub fn body_chunk(&mut self, id: ExchangeId, bytes: &[u8]) {
        let Some(exchange) = self.running(id) else {
            return;
        };
        let key = if exchange.data_key { "data" } else { "chunk" };
        let payload = json!({ key: STANDARD.encode(bytes) });
        self.send(exchange.connection, "proxy_request_chunk", Some(&exchange.wire_id), payload);
    }

    /// The end of a chunked request body.
    pub fn body_end(&mut self, id: ExchangeId) {
        let Some(exchange) = self.running(id) else {
            return;
        };
        self.send(exchange.connection, "proxy_request_stream_end", Some(&exchange.wire_id), json!({}));
    }

    /// Cancels an exchange. Nothing more of it is reported.
    pub fn cancel(&mut self, id: ExchangeId) {
        let Some(exchange) = self.running(id) else {
            return;
        };
        self.send(exchange.connection, "proxy_cancel", Some(&exchange.wire_id), json!({}));
        self.exchanges.cancel(id);
    }

    /// Exchanges without an end, cancelled ones not counted.
    #[must_use]
    pub fn exchanges_running(&self) -> usize {
        self.exchanges.open.len() - self.exchanges.cancelled.len()
    }

    /// The id an exchange has on the wire, while it runs.
    #[must_use]
    pub fn wire_id_of(&self, id: ExchangeId) -> Option<&str> {
        self.exchanges.open.get(&id).map(|exchange| exchange.wire_id.as_str())
    }

    /// Neither ended nor cancelled.
    #[must_use]
    pub fn is_running(&self, id: ExchangeId) -> bool {
        self.running(id).is_some()
    }

    /// The connection an exchange runs on.
    #[must_use]
    pub fn connection_of(&self, id: ExchangeId) -> Option<ConnectionId> {
        self.exchanges.open.get(&id).map(|exchange| exchange.connection)
    }

    pub(super) fn proxied(&mut self, connection: ConnectionId, message: Message) {
        if let Some(wire_id) = message.request_id.clone() {
            let close = message.kind == "proxy_websocket_close";
            if let Some(id) = self.find(connection, &message.kind, &wire_id, close)
                && let Some(exchange) = self.exchanges.open.get_mut(&id)
            {
                let mut breaches = Vec::new();
                let parts = exchange.answer(&message.kind, &message.payload, &mut breaches);
                let close_may_follow = message.kind == "proxy_error" && exchange.is_socket();
                self.note_all(connection, breaches);
                if close {
                    self.record_late_close(connection, &message, id);
                }
                self.report(id, parts, close_may_follow);
            }
        }
        if matches!(message.kind.as_str(), "proxy_error" | "proxy_response_abort") {
            self.records.others.push(message.record(self.now, connection));
        }
    }

    pub(super) fn binary_answer(&mut self, connection: ConnectionId, answer: BinaryAnswer) {
        let Some(id) = self.find(connection, "binary response", &answer.id, false) else {
            return;
        };
        let Some(exchange) = self.exchanges.open.get_mut(&id) else {
            return;
        };
        let mut breaches = Vec::new();
        let parts = exchange.binary(answer.status, answer.headers, answer.body, &mut breaches);
        self.note_all(connection, breaches);
        self.report(id, parts, false);
    }

    /// Ends the exchanges of a connection that is gone.
    pub(super) fn abandon_exchanges(&mut self, connection: ConnectionId) {
        let of_it = |(id, exchange): (&ExchangeId, &Exchange)| (exchange.connection == connection).then_some(*id);
        let lost: BTreeSet<_> = self.exchanges.open.iter().filter_map(of_it).collect();
        for id in lost {
            self.report(id, vec![Part::Abort("the connection to the agent was lost".into())], false);
        }
    }

    /// The exchange a message is about, or a breach.
    fn find(&mut self, connection: ConnectionId, kind: &str, wire_id: &str, close: bool) -> Option<ExchangeId> {
        let (message, id) = (kind.to_owned(), wire_id.to_owned());
        if let Some(exchange_id) = self.exchanges.by_wire_id.get(wire_id).copied() {
            let elsewhere = self.exchanges.open.get(&exchange_id).is_some_and(|it| it.connection != connection);
            if elsewhere {
                self.note(Some(connection), Breach::ExchangeElsewhere { message, id });
                return None;
            }
            return Some(exchange_id);
        }
        match self.exchanges.ended.get_mut(wire_id) {
            None => self.note(Some(connection), Breach::ExchangeUnknown { message, id }),
            Some(close_may_follow) if close && *close_may_follow => *close_may_follow = false,
            Some(_) => self.note(Some(connection), Breach::AfterEnd { message, id }),
        }
        None
    }

    fn report(&mut self, id: ExchangeId, parts: Vec<Part>, close_may_follow: bool) {
        for part in parts {
            let cancelled = self.exchanges.open.get(&id).is_none_or(|exchange| exchange.cancelled);
            if part.is_last() {
                self.records.exchanges_ended += 1;
                self.exchanges.end(id, close_may_follow);
            }
            if !cancelled {
                self.outbox.push(Output::Answer { exchange: id, part });
            }
        }
    }

    fn add(&mut self, exchange: Exchange) -> ExchangeId {
        self.records.exchanges_opened += 1;
        self.exchanges.insert(exchange)
    }

    pub(super) fn running(&self, id: ExchangeId) -> Option<Exchange> {
        self.exchanges.open.get(&id).filter(|exchange| !exchange.cancelled).cloned()
    }

    fn wire_id(&mut self, prefix: &str) -> String {
        self.serial += 1;
        format!("{prefix}-{:08x}-{}", self.random.u32(..), self.serial)
    }

    /// Connection, `cluster_id` and `cluster_uuid` of the agent for a request.
    fn target(&self, cluster: Option<&str>) -> Result<(ConnectionId, String, String), NoAgent> {
        let mut online = self.clusters.iter().filter(|candidate| candidate.state == AgentState::Online);
        let found = match cluster {
            Some(wanted) => self.clusters.find(wanted).filter(|found| found.state == AgentState::Online),
            None => online.next(),
        };
        let found = found.ok_or(NoAgent)?;
        let connection = found.connection.ok_or(NoAgent)?;
        Ok((connection, found.cluster_id.clone(), found.cluster_uuid.clone()))
    }
}
