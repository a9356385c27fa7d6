//! The front door: an HTTP request of a real client becomes a proxied request, and the answer streams back.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::sync::{mpsc, oneshot};

use super::answer::AnswerStream;
use super::door::Hall;
use super::orders::{Event, Order};
use super::reply::{self, ReplyBody, Streamed, Upload, add_header};
use super::text::canonical;
use super::upgrades;
use crate::plane::{Body, ExchangeId, Part, ProxyRequest, percent_decode};

/// Bodies up to this size travel inside the request, larger ones in chunks.
const SMALL_BODY: u64 = 64 * 1024;
/// Largest piece of a body in one message.
const CHUNK: usize = 32 * 1024;
/// Headers that concern the connection to the client only.
const OF_THE_CONNECTION: [&str; 3] = ["connection", "content-length", "transfer-encoding"];
/// The same, of an answer.
const OF_THE_AGENT: [&str; 5] = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// Sends the request on as `target` says; `keep_host` passes the `Host` header.
pub(super) async fn forward(
    hall: &Hall,
    request: Request<Incoming>,
    target: ProxyRequest,
    keep_host: bool,
) -> Response<ReplyBody> {
    if upgrades::is_upgrade(request.headers()) {
        return upgrades::answer();
    }
    let (parts, body) = request.into_parts();
    let (body, rest) = match take_body(body).await {
        Ok(taken) => taken,
        Err(error) => return reply::failure(400, "BadRequest", &format!("request body: {error}")),
    };
    let request = ProxyRequest {
        method: parts.method.as_str().to_owned(),
        path: percent_decode(parts.uri.path()),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: headers(&parts.headers, keep_host),
        body,
        streaming_answer: true,
        ..target
    };
    let Some(mut answer) = open(hall, request).await else {
        let mut response = reply::failure(503, "ServiceUnavailable", "no agent is online for this cluster");
        add_header(&mut response, "Retry-After", "1");
        return response;
    };
    let upload = rest.map(|rest| tokio::spawn(upload(rest, answer.exchange(), hall.events.clone())).abort_handle());
    let upload = Upload(upload);
    match tokio::time::timeout(hall.answer_limit, answer.next()).await {
        Ok(Some(Part::Head { status, headers })) => {
            let length = body_length(&parts.method, status, &headers);
            head(status, headers, Streamed::new(answer, upload, length))
        }
        Ok(Some(Part::Abort(text) | Part::Error(text))) => reply::failure(502, "BadGateway", &text),
        Ok(Some(Part::Chunk(_) | Part::End | Part::Frame { .. } | Part::Closed) | None) => {
            reply::failure(502, "BadGateway", "the agent's answer has no head")
        }
        Err(_) => reply::failure(504, "Timeout", "the agent did not answer in time"),
    }
}

async fn open(hall: &Hall, request: ProxyRequest) -> Option<AnswerStream> {
    let (reply, opened) = oneshot::channel();
    hall.control.order(Order::Open { open: Box::new(move |plane, now| plane.open(now, request)), reply });
    opened.await.ok()?.ok()
}

fn head(status: u16, headers: Vec<(String, Vec<String>)>, rest: Streamed) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::Streamed(rest));
    match StatusCode::from_u16(status) {
        // Nothing was asked to switch or to continue.
        Ok(status) if !status.is_informational() => *response.status_mut() = status,
        Ok(_) | Err(_) => {
            return reply::failure(502, "BadGateway", "the agent's answer has an impossible status");
        }
    }
    for (name, values) in headers {
        if OF_THE_AGENT.iter().any(|unwanted| name.eq_ignore_ascii_case(unwanted)) {
            continue;
        }
        for value in values {
            add_header(&mut response, &name, &value);
        }
    }
    response
}

/// How long the body of an answer is, if that is known before it has come.
fn body_length(method: &Method, status: u16, headers: &[(String, Vec<String>)]) -> Option<u64> {
    if method == Method::HEAD || matches!(status, 204 | 304) {
        return Some(0);
    }
    let (_, values) = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    values.first()?.parse().ok()
}

/// A small body whole, or the announcement of a large one and the body itself.
async fn take_body(body: Incoming) -> Result<(Body, Option<Incoming>), hyper::Error> {
    if body.is_end_stream() {
        return Ok((Body::None, None));
    }
    match body.size_hint().exact() {
        Some(0..=SMALL_BODY) => Ok((Body::Base64(body.collect().await?.to_bytes().into()), None)),
        Some(_) | None => Ok((Body::Chunked, Some(body))),
    }
}

/// Sends a body in chunks, one at a time; each waits until the one before is on the wire.
async fn upload(mut body: Incoming, exchange: ExchangeId, events: mpsc::Sender<Event>) {
    while let Some(frame) = body.frame().await {
        // A body that breaks off is a client that went away; that cancels the exchange.
        let Ok(frame) = frame else { return };
        let Ok(mut data) = frame.into_data() else {
            continue;
        };
        while !data.is_empty() {
            let piece: Bytes = data.split_to(data.len().min(CHUNK));
            let (done, written) = oneshot::channel();
            let event = Event::BodyChunk { exchange, bytes: piece.into(), done };
            if events.send(event).await.is_err() || written.await.is_err() {
                return;
            }
        }
    }
    let _ = events.send(Event::BodyEnd(exchange)).await;
}

fn headers(headers: &HeaderMap, keep_host: bool) -> Vec<(String, Vec<String>)> {
    let mut list = Vec::with_capacity(headers.keys_len());
    for name in headers.keys() {
        if OF_THE_CONNECTION.contains(&name.as_str()) || (name == hyper::header::HOST && !keep_host) {
            continue;
        }
        let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        list.push((canonical(name.as_str()), headers.get_all(name).iter().map(text).collect()));
    }
    list
}
