//! Messages of agents about upgraded connections: frames, and their end.

use serde_json::{Map, Value};

use super::exchange::{Exchange, Form};
use super::fields::{Field, Kind, check, optional, required};
use super::{Breach, Part};

/// Longest payload of a close, ping or pong.
const CONTROL_LIMIT: usize = 125;

/// Of a `ws_start` stream.
const START_DATA: &[Field] = &[required("stream_id", Kind::Filled), required("data", Kind::Filled)];
const START_CLOSE: &[Field] =
    &[required("stream_id", Kind::Filled), optional("code", Kind::Count), optional("reason", Kind::Text)];
/// Of an upgraded `proxy_request`.
const REQUEST_DATA: &[Field] = &[
    required("stream_id", Kind::Filled),
    required("data", Kind::Filled),
    required("request_id", Kind::Filled),
    required("message_type", Kind::Count),
];
const REQUEST_CLOSE: &[Field] = &[
    required("stream_id", Kind::Filled),
    required("request_id", Kind::Filled),
    required("code", Kind::Count),
    optional("reason", Kind::Text),
];
/// Of a hand-made request.
const ANY_DATA: &[Field] = &[
    required("stream_id", Kind::Filled),
    required("data", Kind::Filled),
    optional("request_id", Kind::Filled),
    optional("message_type", Kind::Count),
];
const ANY_CLOSE: &[Field] = &[
    required("stream_id", Kind::Filled),
    optional("request_id", Kind::Filled),
    optional("code", Kind::Count),
    optional("reason", Kind::Text),
];

impl Exchange {
    pub(super) fn socket_data(&mut self, kind: &str, payload: &Map<String, Value>, breaches: &mut Vec<Breach>) -> Vec<Part> {
        let table = match self.form {
            Form::Socket => START_DATA,
            Form::Streaming | Form::Buffered => REQUEST_DATA,
            Form::Any => ANY_DATA,
        };
        check(kind, payload, table, breaches);
        self.expect_socket(kind, payload, breaches);
        let text = payload.get("data").and_then(Value::as_str).unwrap_or_default();
        let Some(data) = self.decode(kind, text, breaches) else {
            return Vec::new();
        };
        let id = || self.wire_id.clone();
        let Some((&opcode @ (1 | 2 | 8 | 9 | 10), rest)) = data.split_first() else {
            breaches.push(Breach::FrameWrong { id: id() });
            return Vec::new();
        };
        let announced = payload.get("message_type").and_then(Value::as_u64);
        if let Some(announced) = announced.filter(|announced| *announced != u64::from(opcode)) {
            breaches.push(Breach::MessageTypeWrong { id: id(), opcode, announced });
        }
        if opcode >= 8 && rest.len() > CONTROL_LIMIT {
            breaches.push(Breach::ControlFrameTooLarge { id: id(), length: rest.len() });
            return Vec::new();
        }
        vec![Part::Frame { opcode, data: rest.to_vec() }]
    }

    pub(super) fn socket_close(&mut self, kind: &str, payload: &Map<String, Value>, breaches: &mut Vec<Breach>) -> Vec<Part> {
        let table = match self.form {
            Form::Socket => START_CLOSE,
            Form::Streaming | Form::Buffered => REQUEST_CLOSE,
            Form::Any => ANY_CLOSE,
        };
        check(kind, payload, table, breaches);
        self.expect_socket(kind, payload, breaches);
        let code = payload.get("code").and_then(Value::as_u64);
        let valid = code.and_then(|code| u16::try_from(code).ok()).filter(|code| (1000..5000).contains(code));
        if let (Some(code), None) = (code, valid) {
            let field = "code".to_owned();
            breaches.push(Breach::FieldValue { message: kind.into(), field, value: code.to_string() });
        }
        let reason = payload.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned();
        vec![Part::Closed { code: valid, reason }]
    }
}
