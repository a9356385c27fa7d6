//! Checks of payload fields against a table: presence, type, and nothing beyond the table.

use serde_json::{Map, Value};

use super::Breach;
use super::timestamp::is_rfc3339;

/// What a field must hold.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    /// A string with something in it.
    Filled,
    OneOf(&'static [&'static str]),
    Time,
    Boolean,
    /// A number without a fraction, not below zero.
    Count,
    Object,
    /// An object whose values are all strings.
    TextMap,
    FlagMap,
    TextList,
    List,
    /// Header names to lists of strings, or null.
    Headers,
}

/// One line of a table.
pub(super) struct Field {
    name: &'static str,
    kind: Kind,
    required: bool,
}

pub(super) const fn required(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: true }
}

pub(super) const fn optional(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: false }
}

/// Checks `payload`; `message` names it in breaches, with a path for inner objects.
pub(super) fn check(message: &str, payload: &Map<String, Value>, table: &[Field], breaches: &mut Vec<Breach>) {
    for field in table {
        match payload.get(field.name) {
            None if field.required => {
                breaches.push(Breach::FieldMissing { message: message.into(), field: field.name.into() });
            }
            None => {}
            Some(value) => check_value(message, field, value, breaches),
        }
    }
    for key in payload.keys() {
        if !table.iter().any(|field| field.name == key) {
            breaches.push(Breach::FieldUnknown { message: message.into(), field: key.clone() });
        }
    }
}

fn check_value(message: &str, field: &Field, value: &Value, breaches: &mut Vec<Breach>) {
    let all = |fits: fn(&Value) -> bool| value.as_object().is_some_and(|map| map.values().all(fits));
    let (fits, expected) = match field.kind {
        Kind::Text | Kind::Filled | Kind::OneOf(_) | Kind::Time => (value.is_string(), "string"),
        Kind::Boolean => (value.is_boolean(), "boolean"),
        Kind::Count => (value.is_u64(), "whole number"),
        Kind::Object => (value.is_object(), "object"),
        Kind::TextMap => (all(Value::is_string), "object of strings"),
        Kind::FlagMap => (all(Value::is_boolean), "object of booleans"),
        Kind::List => (value.is_array(), "array"),
        Kind::TextList => (is_text_list(value), "array of strings"),
        Kind::Headers => (value.is_null() || all(is_text_list), "null or object of arrays of strings"),
    };
    if !fits {
        breaches.push(Breach::FieldType { message: message.into(), field: field.name.into(), expected });
        return;
    }
    let text = value.as_str().unwrap_or_default();
    let good = match field.kind {
        Kind::Filled => !text.is_empty(),
        Kind::OneOf(values) => values.contains(&text),
        Kind::Time => is_rfc3339(text),
        Kind::Text
        | Kind::Boolean
        | Kind::Count
        | Kind::Object
        | Kind::TextMap
        | Kind::FlagMap
        | Kind::TextList
        | Kind::List
        | Kind::Headers => true,
    };
    if !good {
        breaches.push(Breach::FieldValue { message: message.into(), field: field.name.into(), value: text.into() });
    }
}

fn is_text_list(value: &Value) -> bool {
    value.as_array().is_some_and(|list| list.iter().all(Value::is_string))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[allow(clippy::wildcard_enum_match_arm)]
    fn breaches_of(payload: Value, table: &[Field]) -> Vec<String> {
        let mut breaches = Vec::new();
        check("m", payload.as_object().unwrap(), table, &mut breaches);
        breaches
            .into_iter()
            .map(|breach| match breach {
                Breach::FieldMissing { field, .. } => format!("missing {field}"),
                Breach::FieldUnknown { field, .. } => format!("unknown {field}"),
                Breach::FieldType { field, expected, .. } => format!("{field} is no {expected}"),
                Breach::FieldValue { field, value, .. } => format!("{field}={value}"),
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn presence() {
        let table = [required("a", Kind::Text), optional("b", Kind::Text)];
        assert!(breaches_of(json!({"a": "", "b": ""}), &table).is_empty());
        assert_eq!(breaches_of(json!({"c": 1}), &table), ["missing a", "unknown c"]);
    }

    #[test]
    fn types_and_values() {
        let cases = [
            (Kind::Text, json!(1), "f is no string"),
            (Kind::Filled, json!(""), "f="),
            (Kind::OneOf(&["x"]), json!("y"), "f=y"),
            (Kind::Time, json!("now"), "f=now"),
            (Kind::Boolean, json!("true"), "f is no boolean"),
            (Kind::Count, json!(1.5), "f is no whole number"),
            (Kind::Count, json!(-1), "f is no whole number"),
            (Kind::Object, json!([]), "f is no object"),
            (Kind::TextMap, json!({"a": 1}), "f is no object of strings"),
            (Kind::FlagMap, json!({"a": 1}), "f is no object of booleans"),
            (Kind::List, json!({}), "f is no array"),
            (Kind::TextList, json!(["a", 1]), "f is no array of strings"),
            (Kind::Headers, json!({"a": "b"}), "f is no null or object of arrays of strings"),
        ];
        for (kind, value, expected) in cases {
            assert_eq!(breaches_of(json!({"f": value}), &[required("f", kind)]), [expected]);
        }
        assert!(breaches_of(json!({"f": null}), &[required("f", Kind::Headers)]).is_empty());
    }
}
