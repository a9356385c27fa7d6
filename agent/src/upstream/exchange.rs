//! One exchange with a backend, from the request to the last byte of the answer.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::{Method, Request, Response};
use pipeops_agent_core::message::Header;
use pipeops_agent_core::streams::{Body, Input, Open, UpstreamError};
use tokio::sync::Semaphore;

use super::Reports;
use super::body::RequestBody;
use super::pool::{Lease, Pool, RequestError};

/// Carries an exchange out and reports how it goes. Being dropped is how it is aborted.
pub(super) async fn run(open: Open, body: RequestBody, pool: Arc<Pool>, permissions: Arc<Semaphore>, reports: Reports) {
    let key = open.key;
    let report = match exchange(open, body, &pool, &permissions, &reports).await {
        Ok(()) => Input::End { key },
        Err(error) => Input::Failed { key, error },
    };
    // Nobody listens any more only when the agent is ending.
    let _ = reports.send(report);
}

async fn exchange(
    open: Open,
    body: RequestBody,
    pool: &Arc<Pool>,
    permissions: &Semaphore,
    reports: &Reports,
) -> Result<(), UpstreamError> {
    let key = open.key;
    let (mut lease, response) = send(open, body, pool, reports).await?;
    let (parts, mut incoming) = response.into_parts();
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| Header { name: name.as_str().into(), value: String::from_utf8_lossy(value.as_bytes()).into_owned() })
        .collect();
    let _ = reports.send(Input::Head { key, status: parts.status.as_u16(), headers });
    while !incoming.is_end_stream() {
        // While nobody may read, the connection still goes on: it may be sending the request's body.
        match lease.while_driven(permissions.acquire()).await {
            Ok(permission) => permission.forget(),
            Err(_) => return Err(UpstreamError::ShuttingDown),
        }
        match lease.while_driven(next_data(&mut incoming)).await {
            Some(Ok(data)) => {
                let _ = reports.send(Input::Data { key, data });
            }
            Some(Err(_)) => return Err(UpstreamError::Broken("the backend broke off in the middle of its answer")),
            None => break,
        }
    }
    drop(incoming);
    pool.give_back(lease).await;
    Ok(())
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
    reports: &Reports,
) -> Result<(Lease, Response<Incoming>), UpstreamError> {
    let mut lease = pool.lease().await.map_err(|error| unreachable(&error))?;
    let again = lease.is_reused().then(|| repeatable(&open)).flatten();
    let request = request(&open, body, pool)?;
    match lease.send(request).await {
        Ok(response) => Ok((lease, response)),
        // The server may have closed an idle connection at the moment it was taken. What can be repeated is repeated, once.
        Err(RequestError::Http(_)) if again.is_some() => {
            let body = again
                .unwrap_or_default()
                .map_or_else(RequestBody::empty, |bytes| RequestBody::whole(open.key, bytes, reports.clone()));
            let request = self::request(&open, body, pool)?;
            let mut lease = pool.connect().await.map_err(|error| unreachable(&error))?;
            let response = lease.send(request).await.map_err(|error| unreachable(&error))?;
            Ok((lease, response))
        }
        Err(error) => Err(unreachable(&error)),
    }
}

/// The body of a request that may be sent twice; `None` for one that may not.
fn repeatable(open: &Open) -> Option<Option<Bytes>> {
    let safe = matches!(open.method.as_str(), "GET" | "HEAD" | "OPTIONS");
    match &open.body {
        Body::None if safe => Some(None),
        Body::None | Body::Whole(_) | Body::Fed => None,
    }
}

fn request(open: &Open, body: RequestBody, pool: &Pool) -> Result<Request<RequestBody>, UpstreamError> {
    const INVALID: UpstreamError = UpstreamError::BadRequest("the request cannot be written as HTTP");
    let method = Method::from_bytes(open.method.as_bytes()).map_err(|_| INVALID)?;
    let mut request = Request::builder().method(method).uri(pool.path(&open.uri)).body(body).map_err(|_| INVALID)?;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::try_from(pool.authority()).map_err(|_| INVALID)?);
    for header in &open.headers {
        let name = HeaderName::try_from(header.name.as_str()).map_err(|_| INVALID)?;
        let value = HeaderValue::try_from(header.value.as_str()).map_err(|_| INVALID)?;
        headers.append(name, value);
    }
    Ok(request)
}

/// What the plane may know of a failure: the kind, and no address.
fn unreachable(error: &RequestError) -> UpstreamError {
    use crate::connect::ConnectError;
    log::debug!(error = error.to_string(); "Request to the Kubernetes API failed");
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
