//! Reading request bodies in Kubernetes' protobuf form, which Go clients (kubectl's `create` among them) send even to
//! servers that answer JSON. Owns the wire format; the messages are tables in `messages`. Nothing is ever written in
//! this form.

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::messages::{Field, Message, Type, of_kind};
use crate::status::Refusal;
use crate::time::{stamp, stamp_micros};

const MAGIC: &[u8] = b"k8s\0";

pub(crate) fn is(content_type: &str) -> bool {
    content_type == "application/vnd.kubernetes.protobuf"
}

/// The object in a body, as its JSON form.
pub(crate) fn parse(body: &[u8]) -> Result<Value, Refusal> {
    let body = body.strip_prefix(MAGIC).ok_or_else(broken)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Fields(body) {
        match field? {
            (1, Wire::Bytes(type_meta)) => {
                for field in Fields(type_meta) {
                    match field? {
                        (1, Wire::Bytes(text)) => api_version = string(text)?,
                        (2, Wire::Bytes(text)) => kind = string(text)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let message =
        of_kind(&kind).ok_or_else(|| Refusal::media_type(format!("devkube does not read {kind} in protobuf, only in JSON")))?;
    let mut object = decode(message, raw)?;
    object.insert("apiVersion".into(), api_version.into());
    object.insert("kind".into(), kind.into());
    Ok(object.into())
}

fn broken() -> Refusal {
    Refusal::bad_request("the body of the request could not be read as protobuf")
}

fn string(bytes: &[u8]) -> Result<String, Refusal> {
    String::from_utf8(bytes.to_vec()).map_err(|_| broken())
}

/// A value as it stands on the wire.
#[derive(Debug, Clone, Copy)]
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl Wire<'_> {
    /// Go writes every field that is not a pointer, so most of what comes is nothing.
    fn is_zero(self) -> bool {
        match self {
            Wire::Number(number) => number == 0,
            // A nested message of nothing but zeros cannot be told from text here; only the empty one counts.
            Wire::Bytes(bytes) => bytes.is_empty(),
        }
    }

    fn bytes(&self) -> Result<&[u8], Refusal> {
        match self {
            Wire::Bytes(bytes) => Ok(bytes),
            Wire::Number(_) => Err(broken()),
        }
    }

    fn number(self) -> Result<u64, Refusal> {
        match self {
            Wire::Number(number) => Ok(number),
            Wire::Bytes(_) => Err(broken()),
        }
    }
}

/// The fields of a message, in the order of the wire; it ends at the first that is broken.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Wire<'a>), Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read().ok_or_else(broken);
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn read(&mut self) -> Option<(u64, Wire<'a>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => Wire::Number(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Number(u64::from(u32::from_le_bytes(self.take(4)?.try_into().ok()?))),
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(length)?;
        self.0 = tail;
        Some(head)
    }
}

fn decode(message: &Message, raw: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let mut object = Map::new();
    for field in Fields(raw) {
        let (number, wire) = field?;
        let Some(field) = message.fields.iter().find(|field| field.number == number) else {
            if wire.is_zero() {
                continue;
            }
            // Dropping it silently would make the stored object a lie.
            let why = format!("devkube does not read field {number} of {} in protobuf, only in JSON", message.name);
            return Err(Refusal::media_type(why));
        };
        insert(&mut object, field, wire)?;
    }
    Ok(object)
}

fn insert(object: &mut Map<String, Value>, field: &Field, wire: Wire<'_>) -> Result<(), Refusal> {
    match field.kind {
        Type::Ignored => {}
        Type::Inline(inner) => object.extend(decode(inner, wire.bytes()?)?),
        Type::Map(values) => {
            let (mut key, mut value) = (String::new(), Value::from(""));
            for part in Fields(wire.bytes()?) {
                match part? {
                    (1, wire) => key = string(wire.bytes()?)?,
                    (2, wire) => value = scalar(values, wire)?.unwrap_or_else(|| "".into()),
                    _ => {}
                }
            }
            let map = object.entry(field.name).or_insert_with(|| json!({}));
            if let Some(map) = map.as_object_mut() {
                map.insert(key, value);
            }
        }
        Type::List(of) => {
            let item = scalar(of, wire)?.unwrap_or_else(|| empty(of));
            let list = object.entry(field.name).or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut() {
                list.push(item);
            }
        }
        Type::Text
        | Type::Base64
        | Type::Number
        | Type::NumberOrAbsent
        | Type::Flag
        | Type::FlagOrAbsent
        | Type::Time
        | Type::MicroTime
        | Type::IntOrString
        | Type::Quantity
        | Type::Message(_) => {
            if let Some(value) = scalar(&field.kind, wire)? {
                object.insert(field.name.to_owned(), value);
            }
        }
    }
    Ok(())
}

/// What stands in a list for an element that is its type's zero.
fn empty(of: &Type) -> Value {
    if matches!(of, Type::Message(_)) { json!({}) } else { "".into() }
}

/// One value; `None` where JSON leaves it out for being zero.
fn scalar(kind: &Type, wire: Wire<'_>) -> Result<Option<Value>, Refusal> {
    let kept = |value: Value| Ok(Some(value));
    match *kind {
        Type::Text if wire.is_zero() => Ok(None),
        Type::Text => kept(string(wire.bytes()?)?.into()),
        Type::Base64 => kept(STANDARD.encode(wire.bytes()?).into()),
        Type::Number if wire.is_zero() => Ok(None),
        // Negative numbers come as their two's complement in 64 bits.
        Type::Number | Type::NumberOrAbsent => kept(wire.number()?.cast_signed().into()),
        Type::Flag if wire.is_zero() => Ok(None),
        Type::Flag | Type::FlagOrAbsent => kept((wire.number()? != 0).into()),
        Type::Time | Type::MicroTime if wire.is_zero() => Ok(None),
        Type::Time | Type::MicroTime => {
            let (mut seconds, mut nanos) = (0, 0);
            for part in Fields(wire.bytes()?) {
                match part? {
                    (1, wire) => seconds = wire.number()?,
                    (2, wire) => nanos = wire.number()?,
                    _ => {}
                }
            }
            let since = Duration::new(seconds, u32::try_from(nanos).map_err(|_| broken())?.min(999_999_999));
            // The last second of the year 9999, which is as far as the text form goes.
            let time = UNIX_EPOCH + since.min(Duration::from_secs(253_402_300_799));
            kept(if matches!(kind, Type::Time) { stamp(time) } else { stamp_micros(time) }.into())
        }
        Type::IntOrString => {
            let (mut is_text, mut number, mut text) = (false, 0, String::new());
            for part in Fields(wire.bytes()?) {
                match part? {
                    (1, wire) => is_text = wire.number()? != 0,
                    (2, wire) => number = wire.number()?.cast_signed(),
                    (3, wire) => text = string(wire.bytes()?)?,
                    _ => {}
                }
            }
            // The number zero is how Go writes "not set".
            let value: Value = if is_text { text.into() } else { number.into() };
            Ok(Some(value).filter(|value| *value != 0))
        }
        Type::Quantity => {
            let mut text = String::new();
            for part in Fields(wire.bytes()?) {
                if let (1, wire) = part? {
                    text = string(wire.bytes()?)?;
                }
            }
            kept(text.into())
        }
        Type::Message(message) => {
            let inner = decode(message, wire.bytes()?)?;
            Ok(Some(inner).filter(|inner| !inner.is_empty()).map(Value::from))
        }
        Type::Ignored | Type::Inline(_) | Type::Map(_) | Type::List(_) => Err(broken()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
        out.extend_from_slice(bytes);
        out
    }

    fn envelope(kind: &str, raw: &[u8]) -> Vec<u8> {
        let type_meta = [field(1, b"v1"), field(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), field(1, &type_meta), field(2, raw)].concat()
    }

    #[test]
    fn a_config_map_is_read() {
        let metadata = [field(1, b"a"), field(3, b""), field(11, &[field(1, b"k"), field(2, b"v")].concat())].concat();
        let raw = [field(1, &metadata), field(2, &[field(1, b"x"), field(2, b"1")].concat())].concat();
        assert_eq!(
            parse(&envelope("ConfigMap", &raw)).unwrap(),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"k": "v"}}, "data": {"x": "1"}}),
        );
    }

    #[test]
    fn what_is_not_known_is_refused_rather_than_dropped() {
        assert_eq!(parse(&envelope("ConfigMap", &field(15, b"x"))).unwrap_err().code, 415);
        assert!(parse(&envelope("ConfigMap", &field(15, b""))).is_ok());
        assert_eq!(parse(&envelope("Widget", b"")).unwrap_err().code, 415);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let whole = envelope("Secret", &field(1, &field(8, &[8, 1, 16, 1])));
        for end in 0..whole.len() {
            let _ = parse(&whole[..end]);
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bent = whole.clone();
                bent[end] = byte;
                let _ = parse(&bent);
            }
        }
    }
}
