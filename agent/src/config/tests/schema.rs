//! The JSON Schema says what the table says, and agrees with the loader.

use std::collections::BTreeSet;

use serde_json::Value;

use super::origin::{another_value, file_with};
use super::*;
use crate::schema::schema;
use crate::yaml;

fn parsed() -> Value {
    serde_json::from_str(&schema()).unwrap()
}

/// The paths of all settings in the schema, and those of what is ignored.
fn paths(section: &Value, prefix: &str, settings: &mut BTreeSet<String>, ignored: &mut BTreeSet<String>) {
    assert!(section["additionalProperties"] == false || prefix == "state.", "{prefix}");
    for (name, below) in section["properties"].as_object().unwrap() {
        let path = format!("{prefix}{name}");
        if below.get("properties").is_some() {
            paths(below, &format!("{path}."), settings, ignored);
        } else if below["deprecated"] == true {
            ignored.insert(path);
        } else {
            assert!(below["description"].is_string(), "{path}");
            settings.insert(path);
        }
    }
}

#[test]
fn every_setting_is_in_the_schema_and_nothing_else() {
    let (mut settings, mut ignored) = (BTreeSet::new(), BTreeSet::new());
    let schema = parsed();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    paths(&schema, "", &mut settings, &mut ignored);
    assert_eq!(settings, KEYS.iter().map(|key| key.path.to_owned()).collect());
    assert_eq!(ignored, ignored::KEYS.iter().map(|path| (*path).to_owned()).collect());
}

/// As much of draft 2020-12 as the schema uses; anything else in it fails the test.
fn accepts(schema: &Value, value: &Value) -> bool {
    schema.as_object().unwrap().iter().all(|(word, rule)| match word.as_str() {
        "type" => match rule.as_array() {
            Some(names) => names.iter().any(|name| is_of_type(name, value)),
            None => is_of_type(rule, value),
        },
        "enum" => rule.as_array().unwrap().contains(value),
        "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
        "maxLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 <= rule.as_u64().unwrap()),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| accepts(rule, item))),
        "properties" => value
            .as_object()
            .is_none_or(|map| map.iter().all(|(name, value)| rule.get(name).is_none_or(|below| accepts(below, value)))),
        "additionalProperties" => value.as_object().is_none_or(|map| {
            let known = schema.get("properties");
            let others = map.iter().filter(|(name, _)| known.is_none_or(|known| known.get(name).is_none()));
            others.clone().next().is_none() || (*rule != false && others.into_iter().all(|(_, value)| accepts(rule, value)))
        }),
        "pattern" => value.as_str().is_none_or(|text| matches(rule.as_str().unwrap(), text)),
        "$schema" | "title" | "description" | "default" | "deprecated" | "writeOnly" | "contentEncoding" => true,
        other => panic!("the schema uses {other}"),
    })
}

fn is_of_type(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{other}"),
    }
}

/// Groups, alternatives, classes and the marks * + ?, by trying everything.
fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.strip_prefix('^').unwrap().strip_suffix('$').unwrap().chars().collect();
    let text: Vec<char> = text.chars().collect();
    alternatives(&pattern, &text, 0).contains(&text.len())
}

/// Where a match that begins at `from` can end.
fn alternatives(pattern: &[char], text: &[char], from: usize) -> BTreeSet<usize> {
    let (mut depth, mut bracket, mut start, mut ends) = (0, false, 0, BTreeSet::new());
    for (index, character) in pattern.iter().enumerate() {
        match character {
            _ if index > 0 && pattern[index - 1] == '\\' => {}
            '[' => bracket = true,
            ']' => bracket = false,
            '(' if !bracket => depth += 1,
            ')' if !bracket => depth -= 1,
            '|' if !bracket && depth == 0 => {
                ends.extend(sequence(&pattern[start..index], text, from));
                start = index + 1;
            }
            _ => {}
        }
    }
    ends.extend(sequence(&pattern[start..], text, from));
    ends
}

fn sequence(pattern: &[char], text: &[char], from: usize) -> BTreeSet<usize> {
    if pattern.is_empty() {
        return BTreeSet::from([from]);
    }
    let length = match pattern[0] {
        '\\' => 2,
        '[' => pattern.iter().position(|character| *character == ']').unwrap() + 1,
        '(' => {
            let mut depth = 0;
            let closes = |character: &char| {
                depth += i32::from(*character == '(') - i32::from(*character == ')');
                depth == 0
            };
            pattern.iter().position(closes).unwrap() + 1
        }
        _ => 1,
    };
    let (atom, rest) = pattern.split_at(length);
    let (mark, rest) = match rest.first() {
        Some(mark @ ('*' | '+' | '?')) => (*mark, &rest[1..]),
        _ => ('1', rest),
    };
    let mut reached = BTreeSet::from([from]);
    if mark == '1' || mark == '?' {
        let once = one(atom, text, from);
        reached = if mark == '1' { once } else { reached.into_iter().chain(once).collect() };
    } else {
        let mut open = vec![from];
        let mut closed = BTreeSet::new();
        while let Some(at) = open.pop() {
            open.extend(one(atom, text, at).into_iter().filter(|end| *end > at && closed.insert(*end)));
        }
        if mark == '+' {
            reached.clear();
        }
        reached.extend(closed);
    }
    reached.into_iter().flat_map(|end| sequence(rest, text, end)).collect()
}

fn one(atom: &[char], text: &[char], from: usize) -> BTreeSet<usize> {
    if atom[0] == '(' {
        return alternatives(&atom[1..atom.len() - 1], text, from);
    }
    let Some(character) = text.get(from) else { return BTreeSet::new() };
    let fits = match atom {
        ['\\', 's'] => character.is_whitespace(),
        ['\\', literal] => character == literal,
        ['[', '^', set @ .., ']'] => !in_class(set, *character),
        ['[', set @ .., ']'] => in_class(set, *character),
        [literal] => character == literal,
        other => panic!("{other:?}"),
    };
    if fits { BTreeSet::from([from + 1]) } else { BTreeSet::new() }
}

fn in_class(set: &[char], character: char) -> bool {
    match set {
        ['\\', 's', rest @ ..] => character.is_whitespace() || in_class(rest, character),
        [from, '-', to, rest @ ..] => (*from..=*to).contains(&character) || in_class(rest, character),
        [only, rest @ ..] => *only == character || in_class(rest, character),
        [] => false,
    }
}

/// YAML as a schema sees it.
fn value(node: &yaml::Node) -> Value {
    match &node.value {
        yaml::Value::Null => Value::Null,
        yaml::Value::Scalar { text, quoted: false } => serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into()),
        yaml::Value::Scalar { text, quoted: true } => text.as_str().into(),
        yaml::Value::Sequence(items) => items.iter().map(value).collect(),
        yaml::Value::Mapping(entries) => {
            Value::Object(entries.iter().map(|entry| (entry.key.clone(), value(&entry.node))).collect())
        }
    }
}

#[test]
fn the_schema_agrees_with_the_loader() {
    let schema = parsed();
    let schema_takes = |text: &str| accepts(&schema, &value(&yaml::parse(text).unwrap()));
    for key in KEYS {
        let text = file_with(key, another_value(key));
        assert!(schema_takes(&text), "{text}");
        if let Some(default) = key.default {
            let unquoted = file_with(key, default).replace('"', "");
            assert!(schema_takes(&unquoted) && schema_takes(&file_with(key, default)), "{unquoted}");
        }
        assert!(key.kind == Kind::Labels || schema_takes(&file_with(key, "").replace('"', "")), "{} is unset", key.path);
    }
    let good = [
        "",
        "agent: {port: 0, labels: {a: 1, b: x, c: }}",
        "agent: {port: \"65535\"}",
        "timeouts: {shutdown: 0s, registration: 1h0m0s, websocket_ping: 1.5s}",
        "limits: {buffer_bytes: 8MiB}",
        "limits: {buffer_bytes: 16 MiB}",
        "limits: {buffer_bytes: 1GiB}",
        "limits: {buffer_bytes: 64 MB}",
        "policy: {verbs: [get, list], namespaces: 'a,b', deny_paths: []}",
        "gateway: {anything: [at, all]}\ntunnels: 7\n",
        "agent: {debug: true}",
        "state: {enabled: true}",
        "pipeops: {api_url: WSS://plane.example}",
    ];
    for text in good {
        assert!(load_file(text).is_ok() && schema_takes(text), "{text}");
    }
    let bad = [
        "agnet: {port: 1}",
        "agent: {prot: 1}",
        "agent: {port: 65536}",
        "agent: {port: -1}",
        "agent: {port: abc}",
        "agent: {port: [1]}",
        "agent: [port]",
        "agent: {labels: x}",
        "agent: {labels: {a: [b]}}",
        "agent: {enable_ingress_sync: yes}",
        "agent: {heartbeat_interval_connected: 4}",
        "agent: {heartbeat_interval_connected: 301}",
        "timeouts: {shutdown: 5}",
        "timeouts: {registration: 1d}",
        "timeouts: {registration: -3s}",
        "limits: {buffer_bytes: 1000}",
        "limits: {buffer_bytes: 8 megabytes}",
        "limits: {max_exchanges: 0}",
        "logging: {level: loud}",
        "policy: {verbs: {get: yes}}",
        "policy: {verbs: [get, [list]]}",
        "pipeops: {tls: yes}",
        "pipeops: {api_url: plane.example}",
        "pipeops: {api_url: 'ftp://plane.example'}",
        "pipeops: {token: 'a b'}",
        "kubernetes: {ca_cert_data: '*'}",
    ];
    for text in bad {
        let mut world = world_with_required().file(FILE, text);
        if text.starts_with("pipeops") {
            world.variables.retain(|name, _| name == "PIPEOPS_CLUSTER_NAME");
        }
        assert!(load(&world, &["--config", FILE]).is_err(), "{text}");
        assert!(!schema_takes(text), "{text}");
    }
}
