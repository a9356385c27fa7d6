//! How an exchange begins: admission, target, body, and the chunks that follow.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;

use super::exchange::{Answer, Ending, Exchange, Upload};
use super::{Body, Event, Key, Open, Output, Streams, Target, UpstreamError, status_object};
use crate::message::{Header, ProxyRequest, RequestBody, TimeLimit};
use crate::policy::{self, Authorized, Refusal};
use crate::time::Instant;
use crate::wire::split_binary_body;

/// How a request is to be dealt with.
enum Decision {
    Open {
        method: String,
        uri: String,
        headers: Vec<Header>,
    },
    /// Answer with this status, without asking anybody.
    Answer {
        status: u16,
        reason: &'static str,
        message: String,
    },
    Refuse(UpstreamError),
}

impl Streams {
    pub(super) fn on_request(&mut self, request: ProxyRequest) {
        let id: Arc<str> = request.id.as_str().into();
        if self.ids.contains_key(&id) {
            self.outputs.push_back(Output::Event(Event::Duplicate { id }));
            return;
        }
        if self.draining {
            return self.refuse(id, request.streamed_answer, &UpstreamError::ShuttingDown);
        }
        if self.exchanges.len() >= self.limits.exchanges {
            return self.refuse(id, request.streamed_answer, &UpstreamError::Overloaded("too many exchanges at once"));
        }
        match self.decide(&request) {
            Decision::Refuse(error) => self.refuse(id, request.streamed_answer, &error),
            Decision::Answer { status, reason, message } => self.answer(&request, id, status, reason, &message),
            Decision::Open { method, uri, headers } => self.admit(request, id, method, uri, headers),
        }
    }

    fn decide(&self, request: &ProxyRequest) -> Decision {
        let service = &request.service;
        let names_service = !service.name.is_empty() || !service.namespace.is_empty() || service.port != 0;
        let denied = |refusal: Refusal| Decision::Answer {
            status: 403,
            reason: "Forbidden",
            message: alloc::format!("the agent's policy does not allow this: {refusal} (rule {})", refusal.rule()),
        };
        let upgrade = request.upgrade || policy::asks_for_upgrade(&request.headers);
        if upgrade {
            return Decision::Refuse(UpstreamError::Unsupported("this version of the agent does not carry upgraded connections"));
        }
        if names_service {
            return Decision::Refuse(UpstreamError::Unsupported("this version of the agent does not carry requests to services"));
        }
        if request.path.is_empty() {
            return denied(Refusal::EmptyPath);
        }
        if !policy::is_kubernetes_path(&request.path) {
            // Without a target that is named, nothing but the Kubernetes API can be meant.
            return denied(Refusal::PathRoot);
        }
        let method = match policy::method(&request.method) {
            Ok(method) => method,
            Err(refusal) => return denied(refusal),
        };
        let mut uri = match policy::kubernetes_path(&request.path) {
            Ok(path) => path,
            Err(refusal) => return denied(refusal),
        };
        match policy::query(&request.query) {
            Ok(query) if query.is_empty() => {}
            Ok(query) => {
                uri.push('?');
                uri.push_str(&query);
            }
            Err(refusal) => return denied(refusal),
        }
        match self.policy.kubernetes_headers(&request.headers) {
            Ok(Authorized::Headers(headers)) => Decision::Open { method, uri, headers },
            Ok(Authorized::Unauthorized) => Decision::Answer {
                status: 401,
                reason: "Unauthorized",
                message: "the request carries no single Authorization, and the agent never lends its own".into(),
            },
            Err(refusal) => denied(refusal),
        }
    }

    /// An answer that comes from the agent itself.
    fn answer(&mut self, request: &ProxyRequest, id: Arc<str>, status: u16, reason: &str, message: &str) {
        let body = status_object(status, reason, message);
        if !self.budget.take(body.len()) {
            return self.refuse(id, request.streamed_answer, &UpstreamError::Overloaded("the agent's buffers are full"));
        }
        self.outputs.push_back(Output::Event(Event::Answered { id: id.clone(), status, message: message.into() }));
        let key = self.key();
        let headers = Vec::from([Header { name: "Content-Type".into(), value: "application/json".into() }]);
        let mut exchange = self.exchange(id, request.streamed_answer, (self.now, false));
        exchange.head_seen = true;
        exchange.held = body.len();
        match &mut exchange.answer {
            Answer::Streamed { head, chunks, queued, .. } => {
                *head = Some((status, headers));
                *queued = body.len();
                chunks.push_back(body.into());
            }
            Answer::Buffered { head, blocks } => {
                *head = Some((status, headers));
                blocks.push_back(body);
            }
        }
        exchange.ending = Some(Ending::Complete);
        self.schedule.ready(key, exchange.class());
        self.ids.insert(exchange.id.clone(), key);
        self.exchanges.insert(key, exchange);
    }

    fn admit(&mut self, request: ProxyRequest, id: Arc<str>, method: String, uri: String, headers: Vec<Header>) {
        let streamed = request.streamed_answer;
        let size = match &request.body {
            RequestBody::Whole(body) => body.len(),
            RequestBody::None | RequestBody::Chunked | RequestBody::NextBinary => 0,
        };
        if !self.budget.take(size) {
            return self.refuse(
                id,
                streamed,
                &UpstreamError::Overloaded("the request body does not fit into the agent's buffers"),
            );
        }
        let key = self.key();
        let awaits_binary = request.body == RequestBody::NextBinary;
        let deadline = self.deadline(&request.time_limit, streamed, awaits_binary);
        let mut exchange = self.exchange(id, streamed, deadline);
        exchange.uploading = size;
        let open = |body| Box::new(Open { key, target: Target::KubernetesApi, method, uri, headers, body });
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
        if !awaits_binary
            && self.budget.used() + self.limits.piece <= self.budget.ceiling() / 2
            && self.budget.take(self.limits.piece)
        {
            exchange.reading = true;
            self.outputs.push_back(Output::Read { key });
        }
        self.deadlines.insert((exchange.deadline, key));
        self.ids.insert(exchange.id.clone(), key);
        self.exchanges.insert(key, exchange);
    }

    fn exchange(&self, id: Arc<str>, streamed: bool, (deadline, deadline_is_default): (Instant, bool)) -> Exchange {
        Exchange {
            id,
            answer: if streamed {
                Answer::Streamed { head: None, chunks: VecDeque::new(), queued: 0, sent: 0, head_sent: false }
            } else {
                Answer::Buffered { head: None, blocks: VecDeque::new() }
            },
            head_seen: false,
            upload: Upload::Closed,
            reading: false,
            starved: false,
            held: 0,
            uploading: 0,
            deadline,
            deadline_is_default,
            ending: None,
            awaiting: None,
            after_binary: (deadline, deadline_is_default),
        }
    }

    /// The deadline, and whether it is only for the head.
    fn deadline(&self, limit: &TimeLimit, streamed: bool, awaits_binary: bool) -> (Instant, bool) {
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
        if !self.budget.take(body.len()) {
            return self.fail(key, UpstreamError::Overloaded("the request body does not fit into the agent's buffers"));
        }
        exchange.uploading = body.len();
        self.deadlines.remove(&(exchange.deadline, key));
        (exchange.deadline, exchange.deadline_is_default) = exchange.after_binary;
        self.deadlines.insert((exchange.deadline, key));
        if let Some(mut open) = exchange.awaiting.take() {
            if !body.is_empty() {
                open.body = Body::Whole(body);
            }
            self.outputs.push_back(Output::Open(open));
        }
    }

    pub(super) fn on_body_chunk(&mut self, id: &str, data: Bytes) {
        let Some((key, exchange)) = self.ids.get(id).and_then(|key| Some((*key, self.exchanges.get_mut(key)?))) else {
            return;
        };
        if exchange.upload == Upload::Closed || data.is_empty() {
            return;
        }
        // Half of the ceiling stays for everybody else.
        let too_much = exchange.uploading.saturating_add(data.len()) > self.limits.ceiling / 2;
        if too_much || !self.budget.take(data.len()) {
            return self.fail(key, UpstreamError::Backpressure);
        }
        exchange.uploading += data.len();
        self.outputs.push_back(Output::Feed { key, data });
    }

    pub(super) fn on_body_end(&mut self, id: &str) {
        let Some((key, exchange)) = self.ids.get(id).and_then(|key| Some((*key, self.exchanges.get_mut(key)?))) else {
            return;
        };
        if exchange.upload == Upload::Open {
            exchange.upload = Upload::Closed;
            self.outputs.push_back(Output::FeedEnd { key });
        }
    }

    pub(super) fn on_consumed(&mut self, key: Key, bytes: usize) {
        let Some(exchange) = self.exchanges.get_mut(&key) else {
            return;
        };
        let bytes = bytes.min(exchange.uploading);
        exchange.uploading -= bytes;
        self.budget.give(bytes);
    }
}
