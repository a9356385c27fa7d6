//! Lenient access to a payload: what has the wrong type is not there.

use alloc::string::String;
use alloc::vec::Vec;
use miniserde::json::{Number, Object, Value};

use crate::message::Header;

/// The payload of a message. Fields are taken out, so that texts are moved and not copied.
pub(crate) struct Fields(pub(crate) Object);

impl Fields {
    /// The first of `keys` that is there, whatever it is.
    pub(crate) fn any(&mut self, keys: &[&str]) -> Option<Value> {
        keys.iter().find_map(|key| self.0.remove(*key)).filter(|value| !matches!(value, Value::Null))
    }

    /// A string that is not empty.
    pub(crate) fn text(&mut self, keys: &[&str]) -> Option<String> {
        keys.iter().find_map(|key| match self.0.remove(*key) {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        })
    }

    /// True only for a real `true`.
    pub(crate) fn flag(&mut self, keys: &[&str]) -> bool {
        keys.iter().any(|key| matches!(self.0.remove(*key), Some(Value::Bool(true))))
    }

    /// A number that is whole and not negative; doubles are cut off as the protocol's other speakers do.
    pub(crate) fn number(&mut self, key: &str) -> Option<u64> {
        match self.0.remove(key) {
            Some(Value::Number(number)) => whole(&number),
            _ => None,
        }
    }

    /// Headers: each value an array of strings or one string. What is neither is left out.
    pub(crate) fn headers(&mut self) -> Vec<Header> {
        let Some(Value::Object(object)) = self.0.remove("headers") else {
            return Vec::new();
        };
        let mut headers = Vec::with_capacity(object.len());
        for (name, value) in object {
            match value {
                Value::String(value) => headers.push(Header { name, value }),
                Value::Array(values) => {
                    for value in values {
                        if let Value::String(value) = value {
                            headers.push(Header { name: name.clone(), value });
                        }
                    }
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
            }
        }
        headers
    }
}

/// A number as a whole one.
pub(crate) fn whole(number: &Number) -> Option<u64> {
    match *number {
        Number::U64(number) => Some(number),
        Number::I64(number) => u64::try_from(number).ok(),
        // The comparison also turns NaN away; `as` saturates.
        Number::F64(number) if number >= 0.0 => Some(number as u64),
        Number::F64(_) => None,
    }
}
