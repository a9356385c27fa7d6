//! Taking a request into the table: its body, its deadline, and the first word to the shell.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use bytes::Bytes;
use core::time::Duration;

use super::counters::{Place, Shape, Traffic};
use super::exchange::{Answer, Exchange, Upload, cost};
use super::request::Plan;
use super::socket::Upgrading;
use super::{Body, Key, Open, Output, Streams, Target, UpstreamError, upgrade};
use crate::budget::Way;
use crate::message::{Entry, ProxyRequest, RequestBody, TimeLimit};
use crate::time::Instant;
use crate::wire::split_binary_body;

/// What a request is answered whose body finds no room.
const BODY_TOO_LARGE: UpstreamError = UpstreamError::Overloaded("the request body does not fit into the agent's buffers");

impl Streams {
    pub(super) fn admit(&mut self, mut request: ProxyRequest, id: Arc<str>, plan: Plan) {
        let streamed = request.streamed_answer;
        let Plan { target, method, uri, headers, protocol } = plan;
        // A request that asks for an upgrade has no body; what a plane sends as one belongs to nobody.
        if protocol.is_some() && request.body != RequestBody::NextBinary {
            request.body = RequestBody::None;
        }
        let size = match &request.body {
            RequestBody::Whole(body) => cost(body.len()),
            RequestBody::None | RequestBody::Chunked | RequestBody::NextBinary => 0,
        };
        let head_data = if protocol.is_some() { core::mem::take(&mut request.head_data) } else { Bytes::new() };
        let early = if head_data.is_empty() { 0 } else { cost(head_data.len()) };
        let heading =
            cost(id.len() + uri.len() + headers.iter().map(|header| header.name.len() + header.value.len()).sum::<usize>());
        if !self.budget.spares(Way::Request, size + early) || !self.budget.take(Way::Request, size + early + heading) {
            return self.refuse(id, streamed, &BODY_TOO_LARGE);
        }
        let key = self.key();
        let awaits_binary = request.body == RequestBody::NextBinary;
        let deadline = self.deadline(&request.time_limit, streamed, awaits_binary);
        let mut exchange = self.exchange(id, Entry::Request, streamed, deadline);
        exchange.traffic = Some(Traffic {
            place: if target == Target::KubernetesApi { Place::Kubernetes } else { Place::Service },
            shape: match (&protocol, streamed) {
                (Some(_), _) => Shape::Upgrade,
                (None, true) => Shape::Stream,
                (None, false) => Shape::Request,
            },
        });
        exchange.uploading = size + early;
        exchange.heading = heading;
        let upgrade = protocol.is_some();
        exchange.upgrading = protocol.map(|protocol| {
            Box::new(Upgrading {
                to_service: target != Target::KubernetesApi && protocol == upgrade::Protocol::WebSocket,
                protocol,
                may_translate: false,
                early: VecDeque::new(),
                head_data,
            })
        });
        let open = |body| Box::new(Open { key, target, method, uri, headers, body, upgrade });
        match request.body {
            RequestBody::None => self.outputs.push_back(Output::Open(open(Body::None))),
            RequestBody::Whole(body) => self.outputs.push_back(Output::Open(open(Body::Whole(body)))),
            RequestBody::Chunked => {
                exchange.upload = Upload::Open;
                self.outputs.push_back(Output::Open(open(Body::Fed)));
            }
            RequestBody::NextBinary => {
                exchange.awaiting = Some(open(Body::None));
                exchange.after_binary = self.deadline(&request.time_limit, streamed, false);
                self.awaiting_binary = Some(key);
            }
        }
        // Where there is plenty, the first piece is read together with the head, which saves small answers a turn.
        let limit = self.limits.piece.min(self.read_limit());
        if !awaits_binary
            && !upgrade
            && self.budget.used() + cost(limit) <= self.budget.ceiling() / 2
            && self.budget.take(Way::Answer, cost(limit))
        {
            exchange.reserved = cost(limit);
            self.outputs.push_back(Output::Read { key, limit });
        }
        self.deadlines.insert((exchange.deadline, key));
        self.enter(key, exchange);
    }

    pub(super) fn enter(&mut self, key: Key, exchange: Exchange) {
        if let Some(traffic) = exchange.traffic {
            self.counters.begin(traffic);
        }
        self.ids.insert(exchange.id.clone(), key);
        self.exchanges.insert(key, exchange);
    }

    pub(super) fn exchange(
        &self,
        id: Arc<str>,
        entry: Entry,
        streamed: bool,
        (deadline, deadline_is_default): (Instant, bool),
    ) -> Exchange {
        Exchange {
            id,
            entry,
            answer: if streamed {
                Answer::Streamed { head: None, chunks: VecDeque::new(), sent: 0 }
            } else {
                Answer::Buffered { head: None, blocks: VecDeque::new() }
            },
            head_seen: false,
            upload: Upload::Closed,
            reserved: 0,
            next_read: self.limits.piece,
            starved: false,
            held: 0,
            uploading: 0,
            heading: 0,
            deadline,
            deadline_is_default,
            ending: None,
            traffic: None,
            outcome: None,
            awaiting: None,
            after_binary: (deadline, deadline_is_default),
            upgrading: None,
            finishing: false,
        }
    }

    /// The deadline, and whether it is only for the head.
    pub(super) fn deadline(&self, limit: &TimeLimit, streamed: bool, awaits_binary: bool) -> (Instant, bool) {
        let own = |limit: Duration| self.now + limit;
        if awaits_binary {
            return (own(self.limits.binary_body), true);
        }
        match limit {
            TimeLimit::After(limit) => (own(*limit), false),
            // A date in the past, or one that a wrong clock makes so, still gets the moment that it takes to fail properly.
            TimeLimit::At(at) => (own(Duration::from_millis(at.saturating_sub(self.wall_millis))), false),
            TimeLimit::None if streamed => (own(self.limits.head), true),
            TimeLimit::None => (own(self.limits.buffered), true),
        }
    }

    pub(super) fn on_binary_body(&mut self, message: Bytes) {
        let Some(key) = self.awaiting_binary.take() else {
            return;
        };
        let Some(exchange) = self.exchanges.get_mut(&key) else {
            return;
        };
        let body = match split_binary_body(&message) {
            Some((id, body)) if *id == *exchange.id => message.slice_ref(body),
            _ => return self.fail(key, UpstreamError::BadRequest("the binary body is for another request")),
        };
        if exchange.upgrading.is_none() && !body.is_empty() {
            if !self.budget.spares(Way::Request, body.len()) || !self.budget.take(Way::Request, cost(body.len())) {
                return self.fail(key, BODY_TOO_LARGE);
            }
            exchange.uploading += cost(body.len());
        }
        self.deadlines.remove(&(exchange.deadline, key));
        (exchange.deadline, exchange.deadline_is_default) = exchange.after_binary;
        self.deadlines.insert((exchange.deadline, key));
        if let Some(mut open) = exchange.awaiting.take() {
            if !body.is_empty() && exchange.upgrading.is_none() {
                open.body = Body::Whole(body);
            }
            self.outputs.push_back(Output::Open(open));
        }
    }
}
