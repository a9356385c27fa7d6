//! Clients of the front doors that ask for another protocol: exec, attach, port-forward, WebSockets, anything.
//!
//! The request travels like any other, and its answer is the client's answer unless it is 101. After that the
//! connection is a WebSocket, which the door speaks itself, or raw bytes.

use std::sync::Arc;

use hyper::header::{CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper::{HeaderMap, Request, Response, StatusCode};
use tokio::sync::Notify;
use tungstenite::handshake::derive_accept_key;

use super::adapter::ForTokio;
use super::answer::AnswerStream;
use super::relay::Stream;
use super::reply::{self, ReplyBody, Upload, add_header};
use super::speaker::{Speaker, Valve};
use super::{raw_relay, websocket_relay};

/// Headers of a 101 that HTTP itself decides.
const OF_THE_FRAMING: [&str; 3] = ["content-length", "transfer-encoding", "keep-alive"];
/// Headers that belong to the agent's own handshake with the backend.
const OF_THE_HANDSHAKE: [&str; 4] = ["connection", "upgrade", "sec-websocket-accept", "sec-websocket-extensions"];

/// What a client wants its connection to become.
pub(super) enum Wish {
    WebSocket {
        /// Proves to the client that its key was read.
        accept: String,
    },
    Raw,
}

/// A client asks for a WebSocket, but not as it should.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoHandshake;

impl NoHandshake {
    pub(super) fn answer(&self) -> Response<ReplyBody> {
        let mut response = reply::failure(400, "BadRequest", "not a WebSocket handshake");
        add_header(&mut response, "Sec-WebSocket-Version", "13");
        response
    }
}

/// A client that asks, and the means to fulfil it.
pub(super) struct Asked {
    pub(super) wish: Wish,
    connection: OnUpgrade,
}

/// What an accepted client's connection is served with.
pub(super) struct Means {
    pub(super) answer: AnswerStream,
    pub(super) speaker: Speaker,
    pub(super) upload: Upload,
    pub(super) valve: Valve,
    pub(super) hangup: Arc<Notify>,
    /// So many of the client's first bytes have gone with its request.
    pub(super) skip: usize,
}

impl Asked {
    /// Looks whether a client wants to leave HTTP: it has to name the protocol, and to say that this concerns the
    /// connection.
    pub(super) fn read<B>(request: &mut Request<B>) -> Result<Option<Self>, NoHandshake> {
        let headers = request.headers();
        if request.version() != hyper::Version::HTTP_11
            || !headers.contains_key(UPGRADE)
            || !tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"))
        {
            return Ok(None);
        }
        let wish = if tokens(headers, &UPGRADE).any(|token| token.eq_ignore_ascii_case("websocket")) {
            let key = headers.get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
            let version = headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
            let (Some(accept), true) = (key, version) else {
                return Err(NoHandshake);
            };
            Wish::WebSocket { accept }
        } else {
            Wish::Raw
        };
        Ok(Some(Self { wish, connection: hyper::upgrade::on(request) }))
    }

    pub(super) fn is_websocket(&self) -> bool {
        matches!(self.wish, Wish::WebSocket { .. })
    }

    /// The 101 for the client. What follows it is relayed by a task of its own.
    pub(super) fn accept(self, headers: &[(String, Vec<String>)], means: Means) -> Response<ReplyBody> {
        let Self { wish, connection } = self;
        let mut response = Response::new(ReplyBody::Whole(None));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let is_websocket = match &wish {
            Wish::WebSocket { accept } => {
                add_header(&mut response, "Upgrade", "websocket");
                add_header(&mut response, "Connection", "Upgrade");
                add_header(&mut response, "Sec-WebSocket-Accept", accept);
                true
            }
            Wish::Raw => false,
        };
        for (name, values) in headers {
            let among = |list: &[&str]| list.iter().any(|unwanted| name.eq_ignore_ascii_case(unwanted));
            if among(&OF_THE_FRAMING) || (is_websocket && among(&OF_THE_HANDSHAKE)) {
                continue;
            }
            for value in values {
                add_header(&mut response, name, value);
            }
        }
        let Means { answer, speaker, upload, valve, hangup, skip } = means;
        let stream = Stream { answer, speaker, valve, hangup };
        tokio::spawn(async move {
            let _upload = upload;
            // An error is a client that went away; dropping the stream tells the agent.
            let Ok(connection) = connection.await else { return };
            if is_websocket {
                websocket_relay::run(ForTokio(connection), stream).await;
            } else {
                raw_relay::run(ForTokio(connection), stream, skip).await;
            }
        });
        response
    }
}

/// The words of a header that lists some.
fn tokens<'a>(headers: &'a HeaderMap, name: &hyper::header::HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish_of(headers: &[(&str, &str)]) -> Result<Option<bool>, NoHandshake> {
        let mut request = Request::new(());
        for (name, value) in headers {
            request.headers_mut().append(hyper::header::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        Ok(Asked::read(&mut request)?.map(|asked| asked.is_websocket()))
    }

    #[test]
    fn who_wants_to_leave_http() {
        assert_eq!(wish_of(&[]), Ok(None));
        assert_eq!(wish_of(&[("upgrade", "SPDY/3.1")]), Ok(None));
        assert_eq!(wish_of(&[("upgrade", "SPDY/3.1"), ("connection", "keep-alive, UPGRADE")]), Ok(Some(false)));
        let asks = [("upgrade", "WebSocket"), ("connection", "close"), ("connection", "upgrade")];
        assert_eq!(wish_of(&asks), Err(NoHandshake));
        let whole = [("sec-websocket-key", "a"), ("sec-websocket-version", "13")];
        assert_eq!(wish_of(&[&asks[..], &whole[..]].concat()), Ok(Some(true)));
    }
}
