//! Streams to the Kubernetes API by the entry that has no answer: `ws_start`.

use alloc::string::String;
use alloc::sync::Arc;

use super::counters::{Place, Shape, Traffic};
use super::request::{HEAD_TOO_LARGE, unauthorized};
use super::socket::Upgrading;
use super::upgrade::{self, Protocol};
use super::{Body, Event, Open, Output, Streams, Target, UpstreamError};
use crate::message::{Entry, Outbound, StartRequest, TimeLimit};
use crate::policy::{self, Authorized, KubernetesCall, Refusal};
use alloc::boxed::Box;

impl Streams {
    pub(super) fn on_start(&mut self, request: StartRequest) {
        let id: Arc<str> = request.id.as_str().into();
        if let Err(error) = self.may_begin(&id) {
            if let Some(error) = error {
                self.refuse_start(id, &error);
            }
            return;
        }
        if !policy::is_of_usual_size(&request.path, &request.query, &request.headers) {
            return self.refuse_start(id, &HEAD_TOO_LARGE);
        }
        match self.plan_start(&request) {
            Err(refusal) => self.refuse_start(id, &UpstreamError::Denied(refusal)),
            Ok(None) => {
                let message: String = unauthorized().message;
                self.outputs.push_back(Output::Event(Event::Answered { id: id.clone(), status: 401, message, rule: None }));
                self.counters.refuse(&UpstreamError::Unauthorized);
                self.tell_start_error(id, &UpstreamError::Unauthorized);
            }
            Ok(Some((uri, headers))) => {
                let key = self.key();
                let mut exchange = self.exchange(id, Entry::Start, false, self.deadline(&TimeLimit::None, true, false));
                exchange.traffic = Some(Traffic { place: Place::Kubernetes, shape: Shape::Upgrade });
                exchange.upgrading = Some(Box::new(Upgrading {
                    protocol: Protocol::WebSocket,
                    may_translate: upgrade::ends_in(&request.path, &["exec", "attach"]),
                    to_service: false,
                    early: alloc::collections::VecDeque::new(),
                    head_data: bytes::Bytes::new(),
                }));
                self.outputs.push_back(Output::Open(Box::new(Open {
                    key,
                    target: Target::KubernetesApi,
                    method: "GET".into(),
                    uri,
                    headers,
                    body: Body::None,
                    upgrade: true,
                })));
                self.deadlines.insert((exchange.deadline, key));
                self.enter(key, exchange);
            }
        }
    }

    /// `Ok(None)` when there is nobody's credential to send it with.
    fn plan_start(
        &mut self,
        request: &StartRequest,
    ) -> Result<Option<(String, alloc::vec::Vec<crate::message::Header>)>, Refusal> {
        let call = KubernetesCall { method: "GET", path: &request.path, query: &request.query, upgrade: true };
        let uri = self.kubernetes_uri(&call)?;
        let Authorized::Headers(mut headers) = self.policy.kubernetes_headers(&request.headers)? else { return Ok(None) };
        let offered = upgrade::offered_for_stream(&request.headers, &request.protocol, &request.path)?;
        upgrade::ask(&Protocol::WebSocket, &offered, &request.headers, &mut self.random, self.base64, &mut headers);
        Ok(Some((uri, headers)))
    }

    fn refuse_start(&mut self, id: Arc<str>, error: &UpstreamError) {
        self.counters.refuse(error);
        self.outputs.push_back(Output::Event(Event::Refused { id: id.clone(), error: error.clone() }));
        self.tell_start_error(id, error);
    }

    /// What a stream that never began is answered: why, and that it is over.
    fn tell_start_error(&mut self, id: Arc<str>, error: &UpstreamError) {
        let text = alloc::format!("{error}");
        self.notices.push(Outbound::StartError { id: id.clone(), error: text.clone() });
        self.notices.push(Outbound::SocketClose { id, entry: Entry::Start, code: error.close_code(), reason: text });
    }
}
