//! What goes into the plane and what comes out of it: plain values, no sockets.

use super::Violation;

/// The controller's WebSocket path. A base path may stand before it.
pub const CONTROLLER_PATH: &str = "/api/v1/clusters/agent/ws";

/// One WebSocket of an agent, from its acceptance to its end. Numbers are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// One proxied request or WebSocket stream. Numbers are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub u64);

/// Which of the two servers a connection was made to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Controller,
    Gateway,
}

/// A request to become a WebSocket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upgrade {
    pub path: String,
    /// Without the question mark.
    pub query: String,
    pub headers: Vec<(String, String)>,
}

impl Upgrade {
    /// The path decides: the controller's own path is the controller, anything else is the gateway.
    #[must_use]
    pub fn role(&self) -> Role {
        if self.path.ends_with(CONTROLLER_PATH) { Role::Controller } else { Role::Gateway }
    }

    /// All values of a header, its name in any case.
    pub fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// A query parameter, decoded; the last one if it is repeated.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.query
            .split('&')
            .filter_map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                (percent_decode(key) == name).then(|| percent_decode(&value.replace('+', " ")))
            })
            .next_back()
    }
}

/// What becomes of an upgrade request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// 101. Outputs for the connection may be waiting already.
    Accept(ConnectionId),
    /// An HTTP answer instead.
    Refuse { status: u16, headers: Vec<(String, String)> },
    /// No answer at all; the connection stays open.
    Hang,
}

/// What arrives on an agent's WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    Text(String),
    Binary(Vec<u8>),
    /// The transport answers pings while [`answers_pings`](super::Plane::answers_pings) says so.
    Ping,
    Pong,
    Close {
        code: u16,
        reason: String,
    },
}

/// A piece of an answer, in order. `End`, `Abort`, `Error` and `Closed` are last; after a status of 101, `End` is
/// not reported and `Frame`s follow until `Closed`, `Abort` or `Error`. `Backpressure` may come at any time before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Head {
        status: u16,
        headers: Vec<(String, Vec<String>)>,
    },
    Chunk(Vec<u8>),
    End,
    /// The agent gave up, or the connection to it was lost. May come first.
    Abort(String),
    /// `proxy_error`.
    Error(String),
    /// A frame of a proxied WebSocket, or bytes of another upgraded connection.
    Frame {
        opcode: u8,
        data: Vec<u8>,
    },
    /// The agent says that it cannot take what comes; the reason.
    Backpressure(String),
    /// The upgraded connection is over. The code is missing where the agent gave none (`ws_start`).
    Closed {
        code: Option<u16>,
        reason: String,
    },
}

impl Part {
    /// Nothing follows this part.
    #[must_use]
    pub fn is_last(&self) -> bool {
        match self {
            Self::End | Self::Abort(_) | Self::Error(_) | Self::Closed { .. } => true,
            Self::Head { .. } | Self::Chunk(_) | Self::Frame { .. } | Self::Backpressure(_) => false,
        }
    }
}

/// What the owner of the plane has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    Send {
        connection: ConnectionId,
        text: String,
    },
    SendBinary {
        connection: ConnectionId,
        bytes: Vec<u8>,
    },
    /// A WebSocket ping with an empty payload.
    Ping {
        connection: ConnectionId,
    },
    /// A close frame, then the end of the connection. Report the end with `closed`.
    Close {
        connection: ConnectionId,
        code: u16,
        reason: String,
    },
    /// The end of the TCP connection without a close frame. The plane has forgotten the connection already.
    Drop {
        connection: ConnectionId,
    },
    /// Read nothing from this connection for a while (slow reader).
    PauseReading {
        connection: ConnectionId,
        milliseconds: u64,
    },
    /// Bytes of the yamux session, once the agent has acknowledged it.
    Mux {
        connection: ConnectionId,
        bytes: Vec<u8>,
    },
    Answer {
        exchange: ExchangeId,
        part: Part,
    },
    /// The agent broke a rule; also kept in `violations()`.
    Noted(Violation),
}

/// Decodes `%XX`; what is no valid escape stays as it is, what is no UTF-8 is replaced.
#[must_use]
pub fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = (byte == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escape {
            Some(value) => {
                decoded.push(value);
                at += 3;
            }
            None => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_decides_the_role() {
        let at = |path: &str| Upgrade { path: path.into(), ..Upgrade::default() }.role();
        assert_eq!(at("/api/v1/clusters/agent/ws"), Role::Controller);
        assert_eq!(at("/base/api/v1/clusters/agent/ws"), Role::Controller);
        assert_eq!(at("/ws"), Role::Gateway);
    }

    #[test]
    fn parameters_are_decoded() {
        let upgrade = Upgrade { query: "a=1%2F2&b=x+y&a=3".into(), ..Upgrade::default() };
        assert_eq!(upgrade.parameter("a").as_deref(), Some("3"));
        assert_eq!(upgrade.parameter("b").as_deref(), Some("x y"));
        assert_eq!(upgrade.parameter("c"), None);
    }

    #[test]
    fn broken_escapes_stay() {
        assert_eq!(percent_decode("100%"), "100%");
        assert_eq!(percent_decode("%zz%+1%41"), "%zz%+1A");
    }
}
