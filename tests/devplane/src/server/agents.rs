//! The agents' servers: WebSocket upgrades for controller and gateway, and the controller's REST endpoints.

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, Response, StatusCode};
use tokio::sync::oneshot;
use tungstenite::handshake::derive_accept_key;

use super::adapter::ForTokio;
use super::connection;
use super::door::Hall;
use super::orders::{Admission, Event};
use super::reply::{self, ReplyBody, add_header};
use crate::plane::{RestRequest, Upgrade};

/// Largest body of a REST request.
const BODY_LIMIT: usize = 4 << 20;

pub(super) async fn enter(hall: &Hall, request: Request<Incoming>) -> Response<ReplyBody> {
    let upgrades = header(request.headers(), "upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    if upgrades { upgrade(hall, request).await } else { rest(hall, request).await }
}

async fn upgrade(hall: &Hall, mut request: Request<Incoming>) -> Response<ReplyBody> {
    let key = header(request.headers(), "sec-websocket-key").map(|key| derive_accept_key(key.as_bytes()));
    let connection = header(request.headers(), "connection").unwrap_or_default().to_ascii_lowercase();
    let version = header(request.headers(), "sec-websocket-version");
    let (Some(key), Some("13"), true) = (key, version, connection.contains("upgrade")) else {
        return reply::failure(400, "BadRequest", "not a WebSocket upgrade");
    };
    let upgrade = Upgrade {
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        headers: pairs(request.headers()),
    };
    let (reply, admission) = oneshot::channel();
    if hall.events.send(Event::Upgrade { upgrade, reply }).await.is_err() {
        return reply::failure(503, "ServiceUnavailable", "stopping");
    }
    match admission.await {
        Ok(Admission::Accept(id, wiring)) => {
            let events = hall.events.clone();
            tokio::spawn(async move {
                match hyper::upgrade::on(&mut request).await {
                    Ok(upgraded) => connection::run(ForTokio(upgraded), id, wiring).await,
                    Err(_) => {
                        let _ = events.send(Event::Closed(id)).await;
                    }
                }
            });
            let mut response = Response::new(ReplyBody::Whole(None));
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            add_header(&mut response, "Upgrade", "websocket");
            add_header(&mut response, "Connection", "Upgrade");
            add_header(&mut response, "Sec-WebSocket-Accept", &key);
            response
        }
        Ok(Admission::Refuse { status, headers }) => reply::json(status, &headers, None),
        Ok(Admission::Hang) => std::future::pending().await,
        Err(_) => reply::failure(503, "ServiceUnavailable", "stopping"),
    }
}

async fn rest(hall: &Hall, request: Request<Incoming>) -> Response<ReplyBody> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
        return reply::failure(413, "RequestEntityTooLarge", "the body is too large or was cut");
    };
    let request = RestRequest {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        headers: pairs(&parts.headers),
        body: body.to_bytes().into(),
    };
    let (reply, answer) = oneshot::channel();
    if hall.events.send(Event::Rest { request, reply }).await.is_err() {
        return reply::failure(503, "ServiceUnavailable", "stopping");
    }
    match answer.await {
        Ok(Some(answer)) => reply::json(answer.status, &answer.headers, Some(&answer.body)),
        Ok(None) => std::future::pending().await,
        Err(_) => reply::failure(503, "ServiceUnavailable", "stopping"),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes()))).collect()
}
