//! Reading the plane's messages.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::time::Duration;
use miniserde::json::{self, Object, Value};

use super::fields::{Fields, whole};
use super::socket;
use super::{Base64, MAX_VALUES};
use crate::message::{FromPlane, Inbound, ProxyRequest, Registration, RequestBody, ServiceFields, TimeLimit};
use crate::timestamp;

/// Why a message could not be read at all. There is nobody to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// It is not UTF-8.
    Encoding,
    /// It is not a JSON object.
    Syntax,
    /// It holds more values than [`MAX_VALUES`].
    TooManyValues,
    /// It has no type.
    NoType,
    /// It is about an exchange and has no id.
    NoId,
    /// Its id is longer than the protocol can carry, 65,535 bytes.
    LongId,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Encoding => "not UTF-8",
            Self::Syntax => "not a JSON object",
            Self::TooManyValues => "too many values in one message",
            Self::NoType => "no type",
            Self::NoId => "no request_id",
            Self::LongId => "request_id is too long",
        })
    }
}

impl core::error::Error for DecodeError {}

/// Reads one envelope.
///
/// # Errors
/// See [`DecodeError`]. A message that has an id and cannot be understood is not an error but
/// [`FromPlane::Malformed`], because it must be answered.
pub fn decode(message: &[u8], base64: Base64) -> Result<Inbound, DecodeError> {
    let text = core::str::from_utf8(message).map_err(|_| DecodeError::Encoding)?;
    if !few_values(message) {
        return salvage(text, "too many values in one message").ok_or(DecodeError::TooManyValues);
    }
    let Ok(object) = json::from_str::<Object>(text) else {
        return salvage(text, "the message is not JSON").ok_or(DecodeError::Syntax);
    };
    let envelope = Envelope::from(object);
    let Some(Value::String(kind)) = envelope.kind else {
        return Err(DecodeError::NoType);
    };
    let request_id = match envelope.request_id {
        Some(Value::String(id)) if id.len() > usize::from(u16::MAX) => {
            return Err(DecodeError::LongId);
        }
        Some(Value::String(id)) if !id.is_empty() => Some(id),
        _ => None,
    };
    let payload = match envelope.payload {
        Some(Value::Object(object)) => Payload::Object(Fields(object)),
        None | Some(Value::Null) => Payload::Missing,
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => Payload::Odd,
    };
    inbound(kind, request_id, payload, base64)
}

/// The answer to a request that cannot be read as a whole, where its type and id can: somebody is waiting for it.
fn salvage(text: &str, reason: &'static str) -> Option<Inbound> {
    let after = |key: &str| Some(text.split_once(key)?.1.trim_start().strip_prefix(':')?.trim_start());
    let value = |key: &str| {
        let (value, _) = after(key)?.strip_prefix('"')?.split_once('"')?;
        (!value.is_empty() && !value.contains('\\') && value.len() <= 1024).then_some(value)
    };
    if value("\"type\"")? != "proxy_request" {
        return None;
    }
    let streamed = after("\"supports_response_streaming\"").is_some_and(|rest| rest.starts_with("true"));
    Some(Inbound::Exchange(FromPlane::Malformed { id: value("\"request_id\"")?.into(), reason, streamed }))
}

enum Payload {
    Object(Fields),
    Missing,
    Odd,
}

impl Payload {
    fn fields(self) -> Fields {
        match self {
            Self::Object(fields) => fields,
            Self::Missing | Self::Odd => Fields(Object::new()),
        }
    }
}

fn inbound(kind: String, request_id: Option<String>, payload: Payload, base64: Base64) -> Result<Inbound, DecodeError> {
    Ok(match kind.as_str() {
        "register_success" => registered(request_id.unwrap_or_default(), payload.fields()),
        "register_in_progress" => Inbound::RegisterInProgress { request_id: request_id.unwrap_or_default() },
        "heartbeat_ack" => Inbound::HeartbeatAcknowledged,
        "gateway_hello" => Inbound::GatewayHello { use_yamux: payload.fields().flag(&["use_yamux"]) },
        "ping" => Inbound::Ping { request_id },
        "pong" => Inbound::Pong,
        "error" => {
            let text = payload.fields().text(&["error", "message"]).unwrap_or_default();
            Inbound::Refused { request_id, text }
        }
        "proxy_request" | "proxy_request_chunk" | "proxy_request_stream_end" | "proxy_cancel" => match request_id {
            Some(id) => Inbound::Exchange(exchange(&kind, id, payload, base64)),
            None => return Err(DecodeError::NoId),
        },
        "proxy_websocket_start" | "ws_start" => Inbound::Exchange(socket::start(request_id, payload.fields())?),
        "proxy_websocket_data" | "ws_data" | "proxy_stream_data" => {
            Inbound::Exchange(socket::data(request_id, payload.fields(), base64))
        }
        "proxy_websocket_close" | "ws_close" => Inbound::Exchange(socket::close(request_id, payload.fields())),
        _ => Inbound::Unknown { kind, request_id },
    })
}

fn registered(request_id: String, mut fields: Fields) -> Inbound {
    let Some(cluster_id) = fields.text(&["cluster_id"]) else {
        return Inbound::Refused { request_id: Some(request_id), text: "the answer has no cluster_id".into() };
    };
    Inbound::Registered {
        request_id,
        registration: Registration {
            cluster_id,
            cluster_uuid: fields.text(&["cluster_uuid"]),
            gateway_url: fields.text(&["gateway_ws_url"]),
            name: fields.text(&["name"]),
            status: fields.text(&["status"]),
            workspace_id: fields.number("workspace_id"),
            token: fields.text(&["token"]),
        },
    }
}

fn exchange(kind: &str, id: String, payload: Payload, base64: Base64) -> FromPlane {
    match kind {
        "proxy_cancel" => FromPlane::Cancel { id },
        "proxy_request_stream_end" => FromPlane::BodyEnd { id },
        "proxy_request_chunk" => match payload.fields().text(&["data", "chunk"]) {
            None => FromPlane::BodyChunk { id, data: Bytes::new() },
            Some(text) => match (base64.decode)(text.as_bytes()) {
                Some(data) => FromPlane::BodyChunk { id, data: data.into() },
                None => FromPlane::Malformed { id, reason: "the chunk is not base64", streamed: false },
            },
        },
        _ => request(id, payload, base64),
    }
}

fn request(id: String, payload: Payload, base64: Base64) -> FromPlane {
    let mut fields = match payload {
        Payload::Object(fields) => fields,
        Payload::Missing => {
            return FromPlane::Malformed { id, reason: "the payload is missing", streamed: false };
        }
        Payload::Odd => {
            return FromPlane::Malformed { id, reason: "the payload is not an object", streamed: false };
        }
    };
    let streamed_answer = fields.flag(&["supports_response_streaming"]);
    let chunked = {
        let (one, other) = (fields.flag(&["use_streaming"]), fields.flag(&["streaming"]));
        one || other
    };
    let body = if chunked {
        RequestBody::Chunked
    } else if fields.flag(&["body_binary"]) {
        RequestBody::NextBinary
    } else {
        let encoded = fields.text(&["body_encoding"]).is_some_and(|encoding| encoding.eq_ignore_ascii_case("base64"));
        match whole_body(fields.any(&["body"]), encoded, base64) {
            Some(body) => body,
            None => {
                return FromPlane::Malformed { id, reason: "the body is not base64", streamed: streamed_answer };
            }
        }
    };
    let upgrade = {
        let (one, other) = (fields.flag(&["is_websocket"]), fields.flag(&["isWebSocket"]));
        one || other
    };
    let client_secure = fields.text(&["scheme"]).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    let service = ServiceFields {
        namespace: fields.text(&["namespace"]).unwrap_or_default(),
        name: fields.text(&["service_name"]).unwrap_or_default(),
        port: fields.number("service_port").and_then(|port| u16::try_from(port).ok()).unwrap_or(0),
    };
    FromPlane::Request(Box::new(ProxyRequest {
        id,
        method: fields.text(&["method"]).unwrap_or_else(|| "GET".into()),
        path: fields.text(&["path"]).unwrap_or_default(),
        query: fields.text(&["query"]).unwrap_or_default(),
        headers: fields.headers(),
        body,
        streamed_answer,
        service,
        time_limit: time_limit(&mut fields),
        upgrade,
        protocol: fields.text(&["protocol"]).unwrap_or_default(),
        head_data: socket::head_data(fields.any(&["head_data", "headData"]), base64),
        client_secure,
    }))
}

/// `None` when it is not the base64 that it says it is.
fn whole_body(body: Option<Value>, encoded: bool, base64: Base64) -> Option<RequestBody> {
    let bytes = match body {
        Some(Value::String(text)) if encoded => (base64.decode)(text.as_bytes())?,
        Some(Value::String(text)) => text.into_bytes(),
        Some(value @ (Value::Object(_) | Value::Array(_))) => json::to_string(&value).into_bytes(),
        None | Some(Value::Null | Value::Bool(_) | Value::Number(_)) => Vec::new(),
    };
    Some(if bytes.is_empty() { RequestBody::None } else { RequestBody::Whole(bytes.into()) })
}

/// A deadline wins over a time-out. What cannot be read or is not positive sets no limit.
fn time_limit(fields: &mut Fields) -> TimeLimit {
    if let Some(at) = fields.text(&["deadline"]).and_then(|text| timestamp::parse(&text)) {
        return TimeLimit::At(at);
    }
    let after = match fields.any(&["timeout"]) {
        Some(Value::Number(millis)) => whole(&millis).map(Duration::from_millis),
        Some(Value::String(text)) => timestamp::parse_go_duration(&text),
        _ => None,
    };
    after.filter(|after| !after.is_zero()).map_or(TimeLimit::None, TimeLimit::After)
}

/// The keys of the envelope that matter, read without case. Others are dropped.
#[derive(Default)]
struct Envelope {
    kind: Option<Value>,
    request_id: Option<Value>,
    payload: Option<Value>,
}

impl From<Object> for Envelope {
    fn from(object: Object) -> Self {
        let mut envelope = Self::default();
        for (key, value) in object {
            if key.eq_ignore_ascii_case("type") {
                envelope.kind = Some(value);
            } else if key.eq_ignore_ascii_case("request_id") {
                envelope.request_id = Some(value);
            } else if key.eq_ignore_ascii_case("payload") {
                envelope.payload = Some(value);
            }
        }
        envelope
    }
}

/// Whether reading the message makes at most [`MAX_VALUES`] values. Each takes a byte at least, so a short message need not be looked
/// at. Of a longer one, the first count also counts what stands in strings, and is enough nearly always; only a message that fails it is
/// looked at with care.
fn few_values(message: &[u8]) -> bool {
    let structural = |byte: &u8| matches!(byte, b',' | b'[' | b'{');
    if message.len() <= MAX_VALUES || message.iter().filter(|byte| structural(byte)).count() <= MAX_VALUES {
        return true;
    }
    let (mut count, mut in_string, mut escaped) = (0usize, false, false);
    for byte in message {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
        } else if *byte == b'"' {
            in_string = true;
        } else if structural(byte) {
            count += 1;
        }
    }
    count <= MAX_VALUES
}
