//! The front door: an HTTP request of a real client becomes a proxied request, and the answer streams back.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::sync::{Notify, oneshot};

use super::answer::AnswerStream;
use super::door::{Hall, Visitor};
use super::orders::Order;
use super::pressure::Taker;
use super::reply::{self, ReplyBody, Streamed, Upload, add_header};
use super::speaker::{Speaker, Valve};
use super::text::canonical;
use super::upgrades::{Asked, Means};
use crate::plane::{Body, Part, Plane, ProxyRequest, percent_decode};

/// Bodies up to this size travel inside the request, larger ones in chunks.
const SMALL_BODY: u64 = 64 * 1024;
/// Largest piece of a body in one message.
const CHUNK: usize = 32 * 1024;
/// Headers that concern the connection to the client only. The first two stay if the client asks for an upgrade.
const OF_THE_CONNECTION: [&str; 4] = ["connection", "upgrade", "content-length", "transfer-encoding"];
const OF_AN_UPGRADE: [&str; 2] = ["connection", "upgrade"];
/// The same, of an answer.
const OF_THE_AGENT: [&str; 5] = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// How a request goes on.
pub(super) struct Way {
    pub(super) target: ProxyRequest,
    /// Pass the `Host` header.
    pub(super) keep_host: bool,
    pub(super) visitor: Visitor,
}

/// Sends the request on and answers with what comes back.
pub(super) async fn forward(hall: &Hall, mut request: Request<Incoming>, way: Way) -> Response<ReplyBody> {
    let Way { target, keep_host, visitor } = way;
    let Visitor { hangup, early } = visitor;
    let asked = match Asked::read(&mut request) {
        Ok(asked) => asked,
        Err(wrong) => return wrong.answer(),
    };
    let (parts, body) = request.into_parts();
    let (body, rest) = match take_body(body).await {
        Ok(taken) => taken,
        Err(error) => return reply::failure(400, "BadRequest", &format!("request body: {error}")),
    };
    // A WebSocket's first bytes are frames, which the door itself reads.
    let head_data = match (&asked, &body) {
        (Some(asked), Body::None) if !asked.is_websocket() => early.take(parts.method.as_str()),
        _ => Vec::new(),
    };
    let skip = head_data.len();
    let request = ProxyRequest {
        method: parts.method.as_str().to_owned(),
        path: percent_decode(parts.uri.path()),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: headers(&parts.headers, keep_host, asked.is_some()),
        body,
        streaming_answer: true,
        is_websocket: asked.as_ref().is_some_and(Asked::is_websocket),
        head_data,
        ..target
    };
    let Some(mut answer) = open(hall, request, Arc::clone(&hangup)).await else {
        let mut response = reply::failure(503, "ServiceUnavailable", "no agent is online for this cluster");
        add_header(&mut response, "Retry-After", "1");
        return response;
    };
    let speaker = Speaker { exchange: answer.exchange(), events: hall.events.clone() };
    let valve = hall.valve.clone();
    let upload = rest.map(|rest| tokio::spawn(upload(rest, speaker.clone(), valve.clone())).abort_handle());
    let upload = Upload(upload);
    match tokio::time::timeout(hall.answer_limit, first(&mut answer)).await {
        Ok(Some(Part::Head { status, headers })) => match asked {
            Some(asked) if status == 101 => asked.accept(&headers, Means { answer, speaker, upload, valve, hangup, skip }),
            Some(_) | None => {
                let length = body_length(&parts.method, status, &headers);
                head(status, headers, Streamed::new(answer, upload, length))
            }
        },
        Ok(Some(Part::Abort(text) | Part::Error(text))) => reply::failure(502, "BadGateway", &text),
        Ok(Some(Part::Chunk(_) | Part::End | Part::Frame { .. } | Part::Backpressure(_) | Part::Closed { .. }) | None) => {
            reply::failure(502, "BadGateway", "the agent's answer has no head")
        }
        Err(_) => reply::failure(504, "Timeout", "the agent did not answer in time"),
    }
}

async fn open(hall: &Hall, request: ProxyRequest, hangup: Arc<Notify>) -> Option<AnswerStream> {
    let (reply, opened) = oneshot::channel();
    let open = Box::new(move |plane: &mut Plane, now| plane.open(now, request));
    hall.control.order(Order::Open { open, taker: Taker::Client(hangup), reply });
    opened.await.ok()?.ok()
}

/// What an answer begins with.
async fn first(answer: &mut AnswerStream) -> Option<Part> {
    loop {
        match answer.next().await {
            Some(Part::Backpressure(_)) => {}
            part => return part,
        }
    }
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
async fn upload(mut body: Incoming, speaker: Speaker, mut valve: Valve) {
    loop {
        valve.open().await;
        let Some(frame) = body.frame().await else { break };
        // A body that breaks off is a client that went away; that cancels the exchange.
        let Ok(frame) = frame else { return };
        let Ok(mut data) = frame.into_data() else {
            continue;
        };
        while !data.is_empty() {
            let piece: Bytes = data.split_to(data.len().min(CHUNK));
            if speaker.body_chunk(piece.into()).await.is_err() {
                return;
            }
        }
    }
    let _ = speaker.body_end().await;
}

fn headers(headers: &HeaderMap, keep_host: bool, upgrade: bool) -> Vec<(String, Vec<String>)> {
    let mut list = Vec::with_capacity(headers.keys_len());
    for name in headers.keys() {
        let kept = upgrade && OF_AN_UPGRADE.contains(&name.as_str());
        let unwanted = OF_THE_CONNECTION.contains(&name.as_str()) || (name == hyper::header::HOST && !keep_host);
        if unwanted && !kept {
            continue;
        }
        let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        list.push((canonical(name.as_str()), headers.get_all(name).iter().map(text).collect()));
    }
    list
}
