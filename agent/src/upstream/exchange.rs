//! One exchange with a backend, from the request to the last byte of the answer.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT};
use hyper::{Method, Request, Response};
use log::trace;
use pipeops_agent_core::message::Header;
use pipeops_agent_core::streams::{Body, Input, Open, Target, UpstreamError};

use super::Reports;
use super::body::RequestBody;
use super::orders::Orders;
use super::pool::{Lease, Pool, RequestError};
use super::relay::{Landing, Relay};
use crate::connect::ConnectError;
use crate::link::socket::Socket;
use crate::logger::traffic;
use crate::services::Services;

/// Where exchanges find their connections.
#[derive(Clone)]
pub(super) struct Backends {
    pub(super) kubernetes: Arc<Pool>,
    pub(super) services: Arc<Services>,
}

impl Backends {
    async fn pool(&self, target: &Target) -> Result<Arc<Pool>, UpstreamError> {
        match target {
            Target::KubernetesApi => Ok(self.kubernetes.clone()),
            Target::Service { namespace, name, port } => self.services.find(namespace, name, *port).await,
        }
    }

    /// What the plane may know of a failure: the kind, and no address.
    fn failure(&self, target: &Target, error: &RequestError) -> UpstreamError {
        match target {
            Target::KubernetesApi => {
                log::debug!(error = error.to_string(); "Request to the Kubernetes API failed");
                kubernetes_failure(error)
            }
            Target::Service { namespace, name, port } => {
                log::debug!(namespace = namespace, service = name, port = *port, error = error.to_string(); "Request to a service failed");
                self.services.forget(namespace, name, *port, error);
                service_failure(error)
            }
        }
    }
}

/// How an exchange goes on once its answer has begun.
enum Course {
    Complete,
    /// The connection speaks another protocol from here on.
    Upgraded(Socket, Bytes),
}

/// Carries an exchange out and reports how it goes. Being dropped is how it is aborted.
pub(super) async fn run(
    open: Open,
    body: RequestBody,
    backends: Backends,
    orders: Arc<Orders>,
    landing: Arc<Landing>,
    reports: Reports,
) {
    let key = open.key;
    // In a box of its own, which is gone when only a relay is left: that one may stay for days, and there may be many.
    let course = Box::pin(exchange(open, body, backends, orders.clone(), reports.clone())).await;
    let result = match course {
        Ok(Course::Complete) => Ok(()),
        Ok(Course::Upgraded(socket, early)) => Relay::new(key, (socket, early), orders, landing, reports.clone()).run().await,
        Err(error) => Err(error),
    };
    let report = match result {
        Ok(()) => Input::End { key },
        Err(error) => Input::Failed { key, error },
    };
    // Nobody listens any more only when the agent is ending.
    let _ = reports.send(report);
}

async fn exchange(
    open: Open,
    body: RequestBody,
    backends: Backends,
    orders: Arc<Orders>,
    reports: Reports,
) -> Result<Course, UpstreamError> {
    let (key, upgrade) = (open.key, open.upgrade);
    let accept = upgrade.then(|| accept_key(&open.headers)).flatten();
    let pool = backends.pool(&open.target).await?;
    let (mut lease, response) = send(open, body, &pool, &backends).await?;
    let (parts, mut incoming) = response.into_parts();
    let status = parts.status.as_u16();
    let shown = || traffic::headers(parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())));
    trace!(direction = "in", status = status, headers = shown(); "HTTP answer of a backend");
    let headers: Vec<Header> = parts
        .headers
        .iter()
        .map(|(name, value)| Header { name: name.as_str().into(), value: String::from_utf8_lossy(value.as_bytes()).into_owned() })
        .collect();
    if status == 101 {
        let accepted = parts.headers.get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
        if !upgrade || accept.is_some_and(|accept| accepted != Some(accept.as_bytes())) {
            return Err(UpstreamError::Broken("the backend's answer to the upgrade is not one to this request"));
        }
        drop(incoming);
        let (socket, early) = lease.into_socket().await;
        let _ = reports.send(Input::Head { key, status, headers });
        return Ok(Course::Upgraded(socket, early));
    }
    let _ = reports.send(Input::Head { key, status, headers });
    let mut rest = Bytes::new();
    while !incoming.is_end_stream() || !rest.is_empty() {
        // While nobody may read, the connection still goes on: it may be sending the request's body.
        let permitted = core::future::poll_fn(|context| orders.poll_permitted(context));
        let limit = lease.while_driven(permitted).await;
        if rest.is_empty() {
            match lease.while_driven(next_data(&mut incoming)).await {
                Some(Ok(data)) => rest = data,
                Some(Err(_)) => return Err(UpstreamError::Broken("the backend broke off in the middle of its answer")),
                None => break,
            }
        }
        orders.used();
        let data = rest.split_to(limit.min(rest.len()));
        let _ = reports.send(Input::Data { key, data });
    }
    drop(incoming);
    pool.give_back(lease).await;
    Ok(Course::Complete)
}

/// What a server must answer to the key of a WebSocket handshake (RFC 6455, section 4.2.2).
fn accept_key(headers: &[Header]) -> Option<String> {
    let key = headers.iter().find(|header| header.name.eq_ignore_ascii_case("sec-websocket-key"))?;
    Some(tungstenite::handshake::derive_accept_key(key.value.as_bytes()))
}

/// The next bytes of the body. Trailers carry nothing that the protocol could pass on.
async fn next_data(incoming: &mut Incoming) -> Option<hyper::Result<Bytes>> {
    loop {
        let frame = core::future::poll_fn(|context| Pin::new(&mut *incoming).poll_frame(context)).await?;
        match frame {
            Ok(frame) => {
                if let Ok(data) = frame.into_data()
                    && !data.is_empty()
                {
                    return Some(Ok(data));
                }
            }
            Err(error) => return Some(Err(error)),
        }
    }
}

async fn send(
    open: Open,
    body: RequestBody,
    pool: &Pool,
    backends: &Backends,
) -> Result<(Lease, Response<Incoming>), UpstreamError> {
    let failed = |error: RequestError| backends.failure(&open.target, &error);
    // A connection that is to become something else is made for it.
    let mut lease = if open.upgrade { pool.connect().await } else { pool.lease().await }.map_err(failed)?;
    let request = request(&open, body, pool)?;
    match lease.send(request).await {
        Ok(response) => Ok((lease, response)),
        // The server may have closed an idle connection at the moment it was taken. What can be repeated is repeated, once.
        Err(RequestError::Http(_)) if lease.is_reused() && is_repeatable(&open) => {
            let request = self::request(&open, RequestBody::empty(), pool)?;
            let mut lease = pool.connect().await.map_err(failed)?;
            let response = lease.send(request).await.map_err(failed)?;
            Ok((lease, response))
        }
        Err(error) => Err(failed(error)),
    }
}

/// Whether a request may be sent twice.
fn is_repeatable(open: &Open) -> bool {
    open.body == Body::None && matches!(open.method.as_str(), "GET" | "HEAD" | "OPTIONS")
}

fn request(open: &Open, body: RequestBody, pool: &Pool) -> Result<Request<RequestBody>, UpstreamError> {
    const INVALID: UpstreamError = UpstreamError::BadRequest("the request cannot be written as HTTP");
    let method = Method::from_bytes(open.method.as_bytes()).map_err(|_| INVALID)?;
    let mut request = Request::builder().method(method).uri(pool.path(&open.uri)).body(body).map_err(|_| INVALID)?;
    let headers = request.headers_mut();
    for header in &open.headers {
        let name = HeaderName::try_from(header.name.as_str()).map_err(|_| INVALID)?;
        let value = HeaderValue::try_from(header.value.as_str()).map_err(|_| INVALID)?;
        headers.try_append(name, value).map_err(|_| INVALID)?;
    }
    // Methods that usually bring a body say when there is none (RFC 9110, section 8.6): some servers insist on it.
    if open.body == Body::None && !open.upgrade && matches!(open.method.as_str(), "POST" | "PUT" | "PATCH") {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    if !headers.contains_key(HOST) {
        headers.insert(HOST, HeaderValue::try_from(pool.authority()).map_err(|_| INVALID)?);
    }
    let shown = || traffic::headers(request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())));
    trace!(
        direction = "out", method = open.method.as_str(), path = traffic::address(&open.uri), headers = shown();
        "HTTP request to a backend"
    );
    Ok(request)
}

fn kubernetes_failure(error: &RequestError) -> UpstreamError {
    match error {
        RequestError::ConnectTimeout => UpstreamError::Unreachable("the Kubernetes API did not answer in time"),
        RequestError::Connect(ConnectError::Resolve { .. }) => {
            UpstreamError::Unreachable("the Kubernetes API's name cannot be resolved")
        }
        RequestError::Connect(ConnectError::Tcp { .. }) => {
            UpstreamError::Unreachable("the Kubernetes API does not accept connections")
        }
        RequestError::Connect(ConnectError::Name(_) | ConnectError::Tls(_)) => {
            UpstreamError::Unreachable("TLS to the Kubernetes API failed")
        }
        RequestError::Http(_) => UpstreamError::Broken("the Kubernetes API ended the connection without an answer"),
    }
}

fn service_failure(error: &RequestError) -> UpstreamError {
    match error {
        RequestError::ConnectTimeout => UpstreamError::Unreachable("the service did not answer in time"),
        RequestError::Connect(ConnectError::Resolve { .. }) => {
            UpstreamError::Unreachable("the service's name cannot be resolved")
        }
        RequestError::Connect(ConnectError::Tcp { .. }) => UpstreamError::Unreachable("the service does not accept connections"),
        RequestError::Connect(ConnectError::Name(_) | ConnectError::Tls(_)) => UpstreamError::Unreachable(
            "TLS to the service failed; services.insecure_skip_verify is for services whose certificates nobody can check",
        ),
        RequestError::Http(_) => UpstreamError::Broken("the service ended the connection without an answer"),
    }
}
