//! What each path answers over plain HTTP, and which requests change to another protocol.
//!
//! | Path | Answer |
//! |---|---|
//! | `GET /` | a page whose script tries `/echo` and `/events` and says how it went, also to `POST /report` |
//! | `GET /download?bytes=N` | the pattern; `chunked=1`; `drip=MS` between pieces of `piece=BYTES` (16 KiB) |
//! | `POST /upload`, PUT, PATCH | `{bytes, sha256, content_length, transfer_encoding}` |
//! | `POST /report` | 204; the body is in the record |
//! | `POST /stall` | nothing, ever; the body is not read, so a client that leaves is not noticed |
//! | `POST /early` | 413 before the body is read |
//! | `/slow?ms=N` | 200 after so long |
//! | `GET /events?count=N&interval_ms=M` | server-sent events, each flushed; then the end |
//! | `/headers` | the request's fields as `[[name, value], …]` |
//! | `/status?code=N` | that status, from 200 to 599 |
//! | `/redirect?to=LOCATION` | 302, to `/headers` if it is not said |
//! | `GET /gzip` | `GREETING`, with gzip when it is accepted |

use std::io;
use std::time::Duration;

use ring::digest::{Context, SHA256, digest};
use serde_json::json;

use crate::body::Body;
use crate::gzip::gzip;
use crate::head::Head;
use crate::pattern::pattern;
use crate::raw::Raw;
use crate::recorder::Recorder;
use crate::reply::{Answer, Field, Length};
use crate::web_sockets::WebSocket;
use crate::wire::Wire;

/// What `/gzip` says, without the encoding.
pub const GREETING: &str = "Hello from the application behind the tunnel.\n";

/// How much of a body the record keeps.
const KEPT: usize = 64 * 1024;
const PIECE: u64 = 16 * 1024;
const MAX_PIECE: u64 = 1024 * 1024;
const PAGE: &str = include_str!("page.html");

pub(crate) struct Request<'a> {
    pub(crate) head: Head,
    pub(crate) body: Body,
    pub(crate) id: u64,
    pub(crate) recorder: &'a Recorder,
}

/// What goes on after the request is no HTTP any more.
pub(crate) enum Upgraded {
    WebSocket(WebSocket),
    Raw(Raw),
}

impl Upgraded {
    pub(crate) async fn run(self, request: &Request<'_>, wire: Wire) {
        // How it ended is in the record; a client that went away is not told.
        let _ = match self {
            Upgraded::WebSocket(socket) => socket.run(request, wire).await,
            Upgraded::Raw(raw) => raw.run(request, wire).await,
        };
    }
}

pub(crate) fn upgrade(request: &Request<'_>) -> Option<Upgraded> {
    let token = request.head.upgrade().filter(|_| request.body.is_done())?;
    if token.eq_ignore_ascii_case("websocket") {
        return WebSocket::of(&request.head.path).map(Upgraded::WebSocket);
    }
    Raw::of(token).map(Upgraded::Raw)
}

impl Request<'_> {
    /// Reads what there is, into the record.
    async fn read_body(&mut self, wire: &mut Wire) -> io::Result<(u64, String)> {
        let mut context = Context::new(&SHA256);
        let mut bytes = 0;
        while let Some(piece) = self.body.next(wire).await? {
            context.update(&piece);
            bytes += u64::try_from(piece.len()).unwrap_or_default();
            self.recorder.update(self.id, |seen| {
                seen.body_bytes = bytes;
                let room = KEPT.saturating_sub(seen.body.len()).min(piece.len());
                seen.body.extend_from_slice(piece.get(..room).unwrap_or_default());
            });
        }
        let sha256 = hex(context.finish().as_ref());
        self.recorder.update(self.id, |seen| seen.body_sha256 = Some(sha256.clone()));
        Ok((bytes, sha256))
    }

    pub(crate) fn status(&self, status: u16) {
        self.recorder.update(self.id, |seen| seen.status = Some(status));
    }

    async fn begin(&self, wire: &mut Wire, fields: &[Field<'_>], length: Length) -> io::Result<Answer> {
        self.status(200);
        Answer::begin(wire, &self.head, 200, fields, length).await
    }

    async fn whole(&self, wire: &mut Wire, status: u16, fields: &[Field<'_>], body: &[u8]) -> io::Result<bool> {
        self.status(status);
        Answer::whole(wire, &self.head, status, fields, body).await
    }

    async fn text(&self, wire: &mut Wire, status: u16, text: &str) -> io::Result<bool> {
        self.whole(wire, status, &[("Content-Type", "text/plain; charset=utf-8")], text.as_bytes()).await
    }

    async fn json(&self, wire: &mut Wire, value: &serde_json::Value) -> io::Result<bool> {
        self.whole(wire, 200, &[("Content-Type", "application/json")], value.to_string().as_bytes()).await
    }
}

/// Whether the connection can take another request.
pub(crate) async fn answer(request: &mut Request<'_>, wire: &mut Wire) -> io::Result<bool> {
    let path = request.head.path.clone();
    match (request.head.method.as_str(), path.as_str()) {
        ("POST", "/stall") => return std::future::pending().await,
        ("POST", "/early") => {
            request.text(wire, 413, "too large for me\n").await?;
            // What comes of the body now is not a request.
            return Ok(false);
        }
        _ => {}
    }
    let (bytes, sha256) = request.read_body(wire).await?;
    let query = &request.head.query;
    let method = request.head.method.as_str();
    match (method, path.as_str()) {
        ("GET" | "HEAD", "/") => request.whole(wire, 200, &[("Content-Type", "text/html; charset=utf-8")], PAGE.as_bytes()).await,
        ("GET" | "HEAD", "/download") => download(request, wire).await,
        ("GET" | "HEAD", "/events") => events(request, wire).await,
        ("GET" | "HEAD", "/gzip") => compressed(request, wire).await,
        ("POST" | "PUT" | "PATCH", "/upload") => {
            let value = json!({
                "bytes": bytes,
                "sha256": sha256,
                "content_length": request.head.first("content-length"),
                "transfer_encoding": request.head.first("transfer-encoding"),
            });
            request.json(wire, &value).await
        }
        ("POST", "/report") => request.whole(wire, 204, &[], b"").await,
        (_, "/slow") => {
            let time = query.number("ms", 0);
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(time)) => {}
                () = wire.gone() => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
            request.text(wire, 200, &format!("after {time} ms\n")).await
        }
        (_, "/headers") => request.json(wire, &json!(request.head.fields)).await,
        (_, "/status") => match u16::try_from(query.number("code", 200)) {
            Ok(code @ 200..600) => request.text(wire, code, &format!("status {code}\n")).await,
            Ok(_) | Err(_) => request.text(wire, 400, "code is from 200 to 599\n").await,
        },
        (_, "/redirect") => {
            let to = query.get("to").unwrap_or("/headers");
            if to.bytes().all(|byte| byte.is_ascii_graphic()) {
                request.whole(wire, 302, &[("Location", to)], b"").await
            } else {
                request.text(wire, 400, "not a location\n").await
            }
        }
        (_, path) if WebSocket::of(path).is_some() => {
            let fields = [("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")];
            request.whole(wire, 426, &fields, b"a WebSocket lives here\n").await
        }
        (_, "/" | "/download" | "/events" | "/gzip" | "/upload" | "/report" | "/stall" | "/early") => {
            request.text(wire, 405, "not with this method\n").await
        }
        _ => request.text(wire, 404, "nothing here\n").await,
    }
}

async fn download(request: &Request<'_>, wire: &mut Wire) -> io::Result<bool> {
    let query = &request.head.query;
    let total = query.number("bytes", 1024);
    let drip = query.get("drip").and_then(|text| text.parse().ok()).map(Duration::from_millis);
    let piece = query.number("piece", PIECE).clamp(1, MAX_PIECE);
    let length = if query.flag("chunked") { Length::Unknown } else { Length::Known(total) };
    let fields = [("Content-Type", "application/octet-stream"), ("Cache-Control", "no-store")];
    let answer = request.begin(wire, &fields, length).await?;
    if request.head.method == "HEAD" {
        return answer.end(wire).await;
    }
    let mut buffer = vec![0; usize::try_from(piece).unwrap_or_default()];
    let mut sent = 0;
    while sent < total {
        let count = piece.min(total - sent);
        let bytes = buffer.get_mut(..usize::try_from(count).unwrap_or_default()).unwrap_or_default();
        pattern(sent, bytes);
        answer.send(wire, bytes).await?;
        sent += count;
        if let Some(drip) = drip
            && sent < total
        {
            tokio::select! {
                () = tokio::time::sleep(drip) => {}
                () = wire.gone() => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
    answer.end(wire).await
}

async fn events(request: &Request<'_>, wire: &mut Wire) -> io::Result<bool> {
    let query = &request.head.query;
    let (count, interval) = (query.number("count", 5), query.number("interval_ms", 10));
    let fields = [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")];
    let answer = request.begin(wire, &fields, Length::Unknown).await?;
    if request.head.method == "HEAD" {
        return answer.end(wire).await;
    }
    for number in 1..=count {
        answer.send(wire, format!("id: {number}\ndata: event {number}\n\n").as_bytes()).await?;
        if number < count {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(interval)) => {}
                () = wire.gone() => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
    answer.end(wire).await
}

async fn compressed(request: &Request<'_>, wire: &mut Wire) -> io::Result<bool> {
    let accepted = request.head.members("accept-encoding").any(|member| {
        let (name, weight) = member.split_once(';').unwrap_or((member, ""));
        let refused = matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    });
    let plain = [("Content-Type", "text/plain; charset=utf-8"), ("Vary", "Accept-Encoding")];
    if !accepted {
        return request.whole(wire, 200, &plain, GREETING.as_bytes()).await;
    }
    let fields: Vec<Field<'_>> = plain.into_iter().chain([("Content-Encoding", "gzip")]).collect();
    request.whole(wire, 200, &fields, &gzip(GREETING.as_bytes())).await
}

/// In hexadecimal, as the record and `/upload` have it.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
