//! The JSON envelope: strict reading of what agents send, and writing of what the plane sends.

use serde_json::{Map, Value, json};

use super::timestamp::is_rfc3339;
use super::{Breach, MessageRecord};

/// A message of an agent with a well-formed envelope.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) kind: String,
    pub(super) request_id: Option<String>,
    pub(super) payload: Map<String, Value>,
}

/// Reads an envelope. What can be read in spite of a breach is still returned.
pub(super) fn read(text: &str, breaches: &mut Vec<Breach>) -> Option<Message> {
    let value = match serde_json::from_str(text) {
        Ok(Value::Object(envelope)) => envelope,
        Ok(_) => {
            breaches.push(Breach::NotAnObject);
            return None;
        }
        Err(error) => {
            breaches.push(Breach::NotJson(error.to_string()));
            return None;
        }
    };
    let mut kind = None;
    let mut request_id = None;
    let mut payload = None;
    let mut timestamp = None;
    for (key, value) in value {
        match key.as_str() {
            "type" => kind = Some(value),
            "request_id" => request_id = Some(value),
            "payload" => payload = Some(value),
            "timestamp" => timestamp = Some(value),
            _ => breaches.push(Breach::EnvelopeKeyUnknown(key)),
        }
    }
    let kind = match kind {
        Some(Value::String(kind)) if !kind.is_empty() => kind,
        _ => {
            breaches.push(Breach::TypeMissing);
            return None;
        }
    };
    match &timestamp {
        Some(Value::String(text)) if is_rfc3339(text) => {}
        Some(other) => {
            breaches.push(Breach::TimestampWrong { message: kind.clone(), value: other.to_string() });
        }
        None => breaches.push(Breach::TimestampWrong { message: kind.clone(), value: "missing".into() }),
    }
    let request_id = match request_id {
        None => None,
        Some(Value::String(id)) if !id.is_empty() => Some(id),
        Some(_) => {
            breaches.push(Breach::RequestIdWrong { message: kind.clone() });
            None
        }
    };
    let Some(Value::Object(payload)) = payload else {
        breaches.push(Breach::PayloadNotAnObject { message: kind });
        return None;
    };
    Some(Message { kind, request_id, payload })
}

/// Writes an envelope.
pub(super) fn write(kind: &str, request_id: Option<&str>, payload: Value, timestamp: &str) -> String {
    let mut envelope = Map::new();
    envelope.insert("type".into(), kind.into());
    if let Some(id) = request_id {
        envelope.insert("request_id".into(), id.into());
    }
    envelope.insert("payload".into(), payload);
    envelope.insert("timestamp".into(), timestamp.into());
    json!(envelope).to_string()
}

impl Message {
    pub(super) fn record(self, at: u64, connection: super::ConnectionId) -> MessageRecord {
        MessageRecord { at, connection, kind: self.kind, request_id: self.request_id, payload: self.payload }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches_of(text: &str) -> Vec<Breach> {
        let mut breaches = Vec::new();
        read(text, &mut breaches);
        breaches
    }

    #[test]
    fn what_is_written_can_be_read() {
        let text = write("ping", Some("p1"), json!({}), "2026-01-01T00:00:00Z");
        let mut breaches = Vec::new();
        let message = read(&text, &mut breaches).unwrap();
        assert_eq!((message.kind.as_str(), message.request_id.as_deref()), ("ping", Some("p1")));
        assert!(breaches.is_empty());
    }

    #[test]
    fn each_breach_of_the_envelope() {
        let time = r#""timestamp":"2026-01-01T00:00:00Z""#;
        assert!(matches!(breaches_of("{")[..], [Breach::NotJson(_)]));
        assert_eq!(breaches_of("[]"), [Breach::NotAnObject]);
        assert_eq!(breaches_of(&format!(r#"{{"payload":{{}},{time}}}"#)), [Breach::TypeMissing]);
        assert_eq!(breaches_of(&format!(r#"{{"type":1,"payload":{{}},{time}}}"#)), [Breach::TypeMissing]);
        assert_eq!(
            breaches_of(&format!(r#"{{"type":"pong","payload":null,{time}}}"#)),
            [Breach::PayloadNotAnObject { message: "pong".into() }]
        );
        assert_eq!(
            breaches_of(&format!(r#"{{"type":"pong","request_id":7,"payload":{{}},{time}}}"#)),
            [Breach::RequestIdWrong { message: "pong".into() }]
        );
        assert_eq!(
            breaches_of(&format!(r#"{{"type":"pong","Payload":1,"payload":{{}},{time}}}"#)),
            [Breach::EnvelopeKeyUnknown("Payload".into())]
        );
        assert_eq!(
            breaches_of(r#"{"type":"pong","payload":{}}"#),
            [Breach::TimestampWrong { message: "pong".into(), value: "missing".into() }]
        );
        assert_eq!(
            breaches_of(r#"{"type":"pong","payload":{},"timestamp":12}"#),
            [Breach::TimestampWrong { message: "pong".into(), value: "12".into() }]
        );
    }
}
