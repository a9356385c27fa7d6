//! Upgraded connections: what the plane says about them, and what the agent answers.

use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use miniserde::json::Value;

use super::fields::{Fields, whole};
use super::json::Members;
use super::{Base64, DecodeError};
use crate::message::{Entry, FromPlane, SocketAddress, StartRequest};

/// The opcodes that travel (RFC 6455, section 5.2): text, binary, close, ping, pong.
pub(crate) const OPCODES: [u8; 5] = [1, 2, 8, 9, 10];

pub(super) fn start(envelope: Option<String>, mut fields: Fields) -> Result<FromPlane, DecodeError> {
    let id = fields.text(&["stream_id"]).filter(|id| id.len() <= usize::from(u16::MAX));
    let Some(id) = id else {
        let id = envelope.ok_or(DecodeError::NoId)?;
        return Ok(FromPlane::Malformed { id, reason: "missing stream_id", streamed: false });
    };
    Ok(FromPlane::Start(alloc::boxed::Box::new(StartRequest {
        id,
        path: fields.text(&["path"]).unwrap_or_default(),
        query: fields.text(&["query"]).unwrap_or_default(),
        headers: fields.headers(),
        protocol: fields.text(&["protocol"]).unwrap_or_default(),
    })))
}

pub(super) fn data(envelope: Option<String>, mut fields: Fields, base64: Base64) -> FromPlane {
    let data = match fields.any(&["data"]) {
        Some(Value::String(text)) => (base64.decode)(text.as_bytes()).map(Bytes::from),
        None => Some(Bytes::new()),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => None,
    };
    let message_type = fields.number("message_type").and_then(|number| u8::try_from(number).ok());
    FromPlane::SocketData {
        to: address(envelope, &mut fields),
        data,
        message_type: message_type.filter(|opcode| OPCODES.contains(opcode)),
    }
}

pub(super) fn close(envelope: Option<String>, mut fields: Fields) -> FromPlane {
    FromPlane::SocketClose {
        to: address(envelope, &mut fields),
        code: fields.number("code").and_then(|code| u16::try_from(code).ok()),
        reason: fields.text(&["reason"]).unwrap_or_default(),
    }
}

fn address(envelope: Option<String>, fields: &mut Fields) -> SocketAddress {
    SocketAddress {
        stream: fields.text(&["stream_id"]).unwrap_or_default(),
        request: fields.text(&["request_id"]).unwrap_or_default(),
        envelope: envelope.unwrap_or_default(),
    }
}

/// The bytes after an upgrade request: base64, or text that is none, or an array of bytes.
pub(super) fn head_data(value: Option<Value>, base64: Base64) -> Bytes {
    match value {
        Some(Value::String(text)) => (base64.decode)(text.as_bytes()).unwrap_or_else(|| text.into_bytes()).into(),
        Some(Value::Array(values)) => {
            let byte = |value: &Value| match value {
                Value::Number(number) => whole(number).and_then(|number| u8::try_from(number).ok()),
                Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
            };
            values.iter().map(byte).collect::<Option<Vec<u8>>>().unwrap_or_default().into()
        }
        None | Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => Bytes::new(),
    }
}

/// The payload of a frame up to where the base64 of opcode and bytes stands.
pub(super) fn push_data_start(id: &str, entry: Entry, opcode: u8, out: &mut Vec<u8>) {
    let mut payload = Members::open(out);
    if entry == Entry::Request {
        payload.text("request_id", id);
    }
    payload.text("stream_id", id);
    if entry == Entry::Request {
        payload.number("message_type", u64::from(opcode));
    }
    payload.key("data").push(b'"');
}

/// The base64 of opcode and bytes as one, without copying the bytes to stand behind the opcode.
pub(super) fn push_framed(opcode: u8, data: &[u8], base64: Base64, out: &mut Vec<u8>) {
    match data {
        [first, second, rest @ ..] => {
            base64.push(&[opcode, *first, *second], out);
            base64.push(rest, out);
        }
        [first] => base64.push(&[opcode, *first], out),
        [] => base64.push(&[opcode], out),
    }
}

pub(super) fn push_close(id: &str, entry: Entry, code: u16, reason: &str, out: &mut Vec<u8>) {
    let mut payload = Members::open(out);
    if entry == Entry::Request {
        payload.text("request_id", id);
    }
    payload.text("stream_id", id);
    payload.number("code", u64::from(code));
    payload.known_text("reason", Some(reason).filter(|reason| !reason.is_empty()));
    payload.close();
}
