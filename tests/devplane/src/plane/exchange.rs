//! One exchange: what may still be said about it, and the parts its messages amount to.

use serde_json::{Map, Value};

use super::fields::{Field, Kind, check, optional, required};
use super::inflate::gunzip;
use super::{Breach, ConnectionId, Part};

/// Largest decoded body that is accepted.
const BODY_LIMIT: usize = 64 << 20;
/// Largest chunk an agent may send.
const CHUNK_LIMIT: usize = 32_768;

const RESPONSE: &[Field] = &[
    required("status", Kind::Count),
    required("headers", Kind::Headers),
    optional("body", Kind::Filled),
    optional("encoding", Kind::OneOf(&["base64", "gzip"])),
];
const HEAD: &[Field] = &[required("status", Kind::Count), required("headers", Kind::Headers)];
const CHUNK: &[Field] =
    &[required("data", Kind::Text), required("encoding", Kind::OneOf(&["base64"])), required("size", Kind::Count)];
const ABORT: &[Field] = &[required("error", Kind::Filled)];
const ERROR: &[Field] = &[required("error", Kind::Filled), optional("request_id", Kind::Filled)];
/// The form an answer has to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Streaming,
    Buffered,
    /// A `ws_start` stream.
    Socket,
    /// A hand-made request: any form will do.
    Any,
}

/// How far an answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    BeforeHead,
    Body,
    /// Status 101 was seen; `ended` once `proxy_response_end` was, too.
    Upgraded {
        ended: bool,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) wire_id: String,
    pub(super) connection: ConnectionId,
    /// `data` instead of `chunk`.
    pub(super) data_key: bool,
    /// The long names of the WebSocket messages.
    pub(super) long_names: bool,
    /// The plane has cancelled it: answers under way are let pass, but nobody waits for them.
    pub(super) cancelled: bool,
    pub(super) form: Form,
    /// The request asked to leave HTTP.
    pub(super) upgrade: bool,
    pub(super) phase: Phase,
}

impl Exchange {
    pub(super) fn new(wire_id: String, connection: ConnectionId, form: Form) -> Self {
        Self {
            wire_id,
            connection,
            data_key: false,
            long_names: false,
            cancelled: false,
            form,
            upgrade: false,
            phase: Phase::BeforeHead,
        }
    }

    pub(super) fn is_socket(&self) -> bool {
        self.form == Form::Socket || matches!(self.phase, Phase::Upgraded { .. })
    }

    /// Takes an answer message; whether it was the last of the exchange shows in the parts.
    pub(super) fn answer(&mut self, kind: &str, payload: &Map<String, Value>, breaches: &mut Vec<Breach>) -> Vec<Part> {
        match kind {
            "proxy_response" => self.response(kind, payload, breaches),
            "proxy_response_header" => self.head(kind, payload, breaches),
            "proxy_response_chunk" => self.chunk(kind, payload, breaches),
            "proxy_response_end" => self.end(kind, payload, breaches),
            "proxy_response_abort" => self.abort(kind, payload, breaches),
            "proxy_error" => self.error(kind, payload, breaches),
            "proxy_websocket_data" => self.socket_data(kind, payload, breaches),
            "proxy_websocket_close" => self.socket_close(kind, payload, breaches),
            _ => Vec::new(),
        }
    }

    /// Takes a binary answer.
    pub(super) fn binary(
        &mut self,
        status: u16,
        headers: Vec<(String, Vec<String>)>,
        body: Vec<u8>,
        breaches: &mut Vec<Breach>,
    ) -> Vec<Part> {
        let message = "binary response";
        self.expect(Form::Buffered, message, breaches);
        if self.phase != Phase::BeforeHead {
            breaches.push(Breach::HeadTwice { id: self.wire_id.clone() });
        }
        let status = self.status(i64::from(status), breaches);
        whole(status, headers, body)
    }

    fn response(&mut self, kind: &str, payload: &Map<String, Value>, breaches: &mut Vec<Breach>) -> Vec<Part> {
        check(kind, payload, RESPONSE, breaches);
        self.expect(Form::Buffered, kind, breaches);
        if self.phase != Phase::BeforeHead {
            breaches.push(Breach::HeadTwice { id: self.wire_id.clone() });
            return Vec::new();
        }
        let status = self.status(payload.get("status").and_then(Value::as_i64).unwrap_or(0), breaches);
        let headers = read_headers(payload.get("headers"));
        let text = payload.get("body").and_then(Value::as_str);
        let encoding = payload.get("encoding").and_then(Value::as_str);
        let body = match (text, encoding) {
            (None, None) => Some(Vec::new()),
            (Some(text), Some("base64")) => self.decode(kind, text, breaches),
            (Some(text), Some("gzip")) => {
                let packed = self.decode(kind, text, breaches);
                let body = packed.as_deref().and_then(|data| gunzip(data, BODY_LIMIT));
                if packed.is_some() && body.is_none() {
                    breaches.push(Breach::GzipWrong { id: self.wire_id.clone() });
                }
                body
            }
            (Some(_), _) => {
                breaches.push(Breach::FieldMissing { message: kind.into(), field: "encoding".into() });
                None
            }
            (None, Some(_)) => {
                breaches.push(Breach::FieldMissing { message: kind.into(), field: "body".into() });
                Some(Vec::new())
            }
        };
        if status == 101 {
            self.expect_asked(breaches);
            self.phase = Phase::Upgraded { ended: true };
            return vec![Part::Head { status, headers }];
        }
        match body {
            Some(body) => whole(status, headers, body),
            None => vec![Part::Abort("the answer's body could not be decoded".into())],
        }
    }

    fn head(&mut self, kind: &str, payload: &Map<String, Value>, breaches: &mut Vec<Breach>) -> Vec<Part> {
        check(kind, payload, HEAD, breaches);
        self.expect(Form::Streaming, kind, breaches);
        if self.phase != Phase::BeforeHead {
            breaches.push(Breach::HeadTwice { id: self.wire_id.clone() });
            return Vec::new();
        }
        let status = self.status(payload.get("status").and_then(Value::as_i64).unwrap_or(0), breaches);
        self.phase = if status == 101 { Phase::Upgraded { ended: false } } else { Phase::Body };
        if status == 101 {
            self.expect_asked(breaches);
        }
        vec![Part::Head { status, headers: read_headers(payload.get("headers")) }]
    }

    fn chunk(&mut self, kind: &str, payload: &Map<String, Value>, breaches: &mut Vec<Breach>) -> Vec<Part> {
        check(kind, payload, CHUNK, breaches);
        self.expect(Form::Streaming, kind, breaches);
        self.expect_body(kind, breaches);
        let text = payload.get("data").and_then(Value::as_str).unwrap_or_default();
        let Some(data) = self.decode(kind, text, breaches) else {
            return Vec::new();
        };
        let decoded = u64::try_from(data.len()).unwrap_or(u64::MAX);
        let size = payload.get("size").and_then(Value::as_u64).unwrap_or(decoded);
        let id = || self.wire_id.clone();
        if size != decoded {
            breaches.push(Breach::SizeWrong { id: id(), size, decoded });
        }
        if data.is_empty() {
            breaches.push(Breach::ChunkEmpty { id: id() });
            return Vec::new();
        }
        if data.len() > CHUNK_LIMIT {
            breaches.push(Breach::ChunkTooLarge { id: id(), decoded });
        }
        vec![Part::Chunk(data)]
    }

    fn end(&mut self, kind: &str, payload: &Map<String, Value>, breaches: &mut Vec<Breach>) -> Vec<Part> {
        check(kind, payload, &[], breaches);
        self.expect(Form::Streaming, kind, breaches);
        match &mut self.phase {
            Phase::Upgraded { ended } => {
                if *ended {
                    breaches.push(Breach::AfterEnd { message: kind.into(), id: self.wire_id.clone() });
                }
                *ended = true;
                Vec::new()
            }
            Phase::BeforeHead | Phase::Body => {
                self.expect_body(kind, breaches);
                vec![Part::End]
            }
        }
    }

    fn abort(&mut self, kind: &str, payload: &Map<String, Value>, breaches: &mut Vec<Breach>) -> Vec<Part> {
        check(kind, payload, ABORT, breaches);
        self.expect(Form::Streaming, kind, breaches);
        vec![Part::Abort(error_text(payload))]
    }

    fn error(&mut self, kind: &str, payload: &Map<String, Value>, breaches: &mut Vec<Breach>) -> Vec<Part> {
        check(kind, payload, ERROR, breaches);
        self.check_inner_id(kind, payload, "request_id", breaches);
        if !self.is_socket() {
            self.expect(Form::Buffered, kind, breaches);
        }
        vec![Part::Error(error_text(payload))]
    }
}

/// Names and values of a header object; anything malformed is left out.
pub(super) fn read_headers(value: Option<&Value>) -> Vec<(String, Vec<String>)> {
    let Some(Value::Object(map)) = value else {
        return Vec::new();
    };
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    map.iter().map(|(name, value)| (name.clone(), texts(value))).collect()
}

fn whole(status: u16, headers: Vec<(String, Vec<String>)>, body: Vec<u8>) -> Vec<Part> {
    let mut parts = vec![Part::Head { status, headers }];
    if !body.is_empty() {
        parts.push(Part::Chunk(body));
    }
    parts.push(Part::End);
    parts
}

fn error_text(payload: &Map<String, Value>) -> String {
    payload.get("error").and_then(Value::as_str).unwrap_or_default().to_owned()
}
