//! How a request begins: its target, what the policy says, and the answers that the agent gives itself.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::counters::Outcome;
use super::exchange::{Ending, Exchange, cost};
use super::upgrade::{self, Protocol};
use super::{Event, Key, Output, Streams, Target, UpstreamError};
use crate::budget::Way;
use crate::message::{Entry, Header, ProxyRequest, ServiceFields};
use crate::policy::{self, Authorized, KubernetesCall, Refusal};

/// What a request is answered whose head is larger than any server takes.
pub(super) const HEAD_TOO_LARGE: UpstreamError =
    UpstreamError::BadRequest("the request has more than 256 headers, or more than 64 KiB of path, query and headers");

/// How a request is to be dealt with.
pub(super) enum Decision {
    Open(Box<Plan>),
    /// Answer with this status, without asking anybody.
    Answer(Answered),
    Refuse(UpstreamError),
}

/// An answer of the agent's own.
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) rule: Option<&'static str>,
    /// The same for those who count.
    pub(super) error: UpstreamError,
}

/// What goes to the backend.
pub(super) struct Plan {
    pub(super) target: Target,
    pub(super) method: String,
    pub(super) uri: String,
    pub(super) headers: Vec<Header>,
    pub(super) protocol: Option<Protocol>,
}

impl From<Refusal> for Decision {
    fn from(refusal: Refusal) -> Self {
        Self::Answer(Answered {
            status: 403,
            reason: "Forbidden",
            message: alloc::format!("the agent's policy does not allow this: {refusal} (rule {})", refusal.rule()),
            rule: Some(refusal.rule()),
            error: UpstreamError::Denied(refusal),
        })
    }
}

impl Streams {
    pub(super) fn on_request(&mut self, request: ProxyRequest) {
        let id: Arc<str> = request.id.as_str().into();
        if let Err(error) = self.may_begin(&id) {
            if let Some(error) = error {
                self.refuse(id, request.streamed_answer, &error);
            }
            return;
        }
        match self.decide(&request).unwrap_or_else(Decision::from) {
            Decision::Refuse(error) => self.refuse(id, request.streamed_answer, &error),
            Decision::Answer(answer) => self.answer(&request, id, answer),
            Decision::Open(plan) => self.admit(request, id, *plan),
        }
    }

    /// Whether there is room for one more. `Err(None)` for an id in use, which must not be answered: the answer would be taken for
    /// the first one's.
    pub(super) fn may_begin(&mut self, id: &Arc<str>) -> Result<(), Option<UpstreamError>> {
        if self.ids.contains_key(id) {
            self.outputs.push_back(Output::Event(Event::Duplicate { id: id.clone() }));
            return Err(None);
        }
        if self.draining {
            return Err(Some(UpstreamError::ShuttingDown));
        }
        if self.exchanges.len() >= self.limits.exchanges {
            return Err(Some(UpstreamError::Overloaded("too many exchanges at once")));
        }
        Ok(())
    }

    fn decide(&mut self, request: &ProxyRequest) -> Result<Decision, Refusal> {
        if !policy::is_of_usual_size(&request.path, &request.query, &request.headers) {
            return Ok(Decision::Refuse(HEAD_TOO_LARGE));
        }
        let ServiceFields { namespace, name, port } = &request.service;
        let protocol = upgrade::wanted(&request.headers, request.upgrade);
        let method = match &protocol {
            Some(Protocol::WebSocket) => "GET".into(),
            Some(Protocol::Other(_)) | None => policy::method(&request.method)?,
        };
        if !name.is_empty() && !namespace.is_empty() && *port != 0 {
            return self.decide_service(request, method, protocol);
        }
        // A target that is named by halves is one that got lost on the way. It must not become another one.
        if !name.is_empty() || !namespace.is_empty() || *port != 0 {
            return Ok(Decision::Refuse(UpstreamError::BadRequest(
                "a service is named by namespace, service_name and service_port together",
            )));
        }
        if request.path.is_empty() {
            return Err(Refusal::EmptyPath);
        }
        // Without a target that is named, nothing but the Kubernetes API can be meant.
        if !policy::is_kubernetes_path(&request.path) {
            return Err(Refusal::PathRoot);
        }
        let call = KubernetesCall { method: &method, path: &request.path, query: &request.query, upgrade: protocol.is_some() };
        let uri = self.kubernetes_uri(&call)?;
        let mut headers = match self.policy.kubernetes_headers(&request.headers)? {
            Authorized::Headers(headers) => headers,
            Authorized::Unauthorized => return Ok(Decision::Answer(unauthorized())),
        };
        if let Some(protocol) = &protocol {
            let offered = upgrade::offered(&request.headers, &request.protocol)?;
            upgrade::ask(protocol, &offered, &request.headers, &mut self.random, self.base64, &mut headers);
        }
        Ok(Decision::Open(Box::new(Plan { target: Target::KubernetesApi, method, uri, headers, protocol })))
    }

    /// The request line's path and query for a call that the policy allows.
    pub(super) fn kubernetes_uri(&self, call: &KubernetesCall<'_>) -> Result<String, Refusal> {
        let path = policy::kubernetes_path(call.path)?;
        let query = policy::query(call.query)?;
        self.policy.kubernetes(call)?;
        Ok(uri(path, &query))
    }

    fn decide_service(
        &mut self,
        request: &ProxyRequest,
        method: String,
        protocol: Option<Protocol>,
    ) -> Result<Decision, Refusal> {
        let ServiceFields { namespace, name, port } = &request.service;
        self.policy.service(namespace, name, *port, &method, protocol.is_some())?;
        let uri = uri(policy::service_path(&request.path)?, &policy::query(&request.query)?);
        let mut headers = policy::service_headers(&request.headers, request.client_secure)?;
        if let Some(protocol) = &protocol {
            let offered = upgrade::offered(&request.headers, &request.protocol)?;
            upgrade::ask(protocol, &offered, &request.headers, &mut self.random, self.base64, &mut headers);
        }
        let target = Target::Service { namespace: namespace.clone(), name: name.clone(), port: *port };
        Ok(Decision::Open(Box::new(Plan { target, method, uri, headers, protocol })))
    }

    /// A rule that could only be asked on the way, refuses an exchange: its plane gets the same answer as from one that was asked
    /// before.
    pub(super) fn deny(&mut self, key: Key, refusal: Refusal) {
        let waits =
            |exchange: &&mut Exchange| !exchange.head_seen && exchange.ending.is_none() && exchange.entry == Entry::Request;
        let Decision::Answer(Answered { status, reason, message, rule, error }) = Decision::from(refusal) else { return };
        let body = status_object(status, reason, &message);
        let Some(exchange) = self.exchanges.get_mut(&key).filter(waits) else {
            return self.fail(key, UpstreamError::Denied(refusal));
        };
        let taken = if exchange.is_streamed() { cost(body.len()) } else { body.len() };
        if !self.budget.take(Way::Answer, taken) {
            return self.fail(key, UpstreamError::Denied(refusal));
        }
        exchange.held += taken;
        exchange.upgrading = None;
        exchange.put_own_answer(status, body);
        exchange.outcome = Some(Outcome::Refused);
        self.counters.fail(&error);
        let id = exchange.id.clone();
        self.outputs.push_back(Output::Event(Event::Answered { id, status, message, rule }));
        self.settle(key, Ending::Complete);
    }

    /// An answer that comes from the agent itself.
    fn answer(&mut self, request: &ProxyRequest, id: Arc<str>, answer: Answered) {
        let Answered { status, reason, message, rule, error } = answer;
        let body = status_object(status, reason, &message);
        let taken = if request.streamed_answer { cost(body.len()) } else { body.len() };
        if !self.budget.take(Way::Answer, taken) {
            return self.refuse(id, request.streamed_answer, &UpstreamError::Overloaded("the agent's buffers are full"));
        }
        self.counters.refuse(&error);
        self.outputs.push_back(Output::Event(Event::Answered { id: id.clone(), status, message, rule }));
        let key = self.key();
        let mut exchange = self.exchange(id, Entry::Request, request.streamed_answer, (self.now, false));
        exchange.held = taken;
        exchange.put_own_answer(status, body);
        exchange.ending = Some(Ending::Complete);
        self.schedule.ready(key, exchange.class());
        self.enter(key, exchange);
    }
}

pub(super) fn unauthorized() -> Answered {
    Answered {
        status: 401,
        reason: "Unauthorized",
        message: "the request carries no single Authorization, and the agent never lends its own".into(),
        rule: None,
        error: UpstreamError::Unauthorized,
    }
}

fn uri(mut path: String, query: &str) -> String {
    if !query.is_empty() {
        path.push('?');
        path.push_str(query);
    }
    path
}

/// A Kubernetes `Status` object, as the API server itself would answer.
fn status_object(status: u16, reason: &str, message: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(200);
    out.extend_from_slice(b"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":");
    crate::wire::push_json_string(message, &mut out);
    out.extend_from_slice(b",\"reason\":");
    crate::wire::push_json_string(reason, &mut out);
    out.extend_from_slice(alloc::format!(",\"code\":{status}}}\n").as_bytes());
    out
}
