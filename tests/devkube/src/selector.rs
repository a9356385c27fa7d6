//! Label and field selectors: parsing and matching. Knows nothing of requests or of the store.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::resources::Resource;
use crate::status::Refusal;

/// Both selectors of one request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, BTreeSet<String>),
    NotIn(String, BTreeSet<String>),
    Exists(String),
    Missing(String),
}

impl Selector {
    pub(crate) fn parse(resource: &Resource, labels: Option<&str>, fields: Option<&str>) -> Result<Selector, Refusal> {
        Ok(Selector {
            labels: parse_labels(labels.unwrap_or_default())?,
            fields: parse_fields(resource, fields.unwrap_or_default())?,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        let by_label = self.labels.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => labels[key].as_str().is_some_and(|v| values.contains(v)),
            Requirement::NotIn(key, values) => labels[key].as_str().is_none_or(|v| !values.contains(v)),
            Requirement::Exists(key) => labels[key].is_string(),
            Requirement::Missing(key) => !labels[key].is_string(),
        });
        by_label && self.fields.iter().all(|(path, equal, value)| (field(object, path) == *value) == *equal)
    }
}

/// A field as text; absent is empty, as the real server has it.
fn field(object: &Value, path: &str) -> String {
    let found = path.split('.').fold(object, |at, key| &at[key]);
    match found.as_str() {
        Some(text) => text.to_owned(),
        None if found.is_null() => String::new(),
        None => found.to_string(),
    }
}

fn parse_fields(resource: &Resource, text: &str) -> Result<Vec<(String, bool, String)>, Refusal> {
    let mut fields = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (path, equal, value) = if let Some((path, value)) = part.split_once("!=") {
            (path, false, value)
        } else if let Some((path, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            (path, true, value)
        } else {
            return Err(Refusal::bad_request(format!("invalid field selector: {part:?}; can't understand it")));
        };
        if !supported(resource, path) {
            let kind = format!("{}.{}", resource.plural, resource.version);
            return Err(Refusal::bad_request(format!("Unable to find {kind:?} that match: field label not supported: {path}")));
        }
        fields.push((path.to_owned(), equal, value.to_owned()));
    }
    Ok(fields)
}

fn supported(resource: &Resource, path: &str) -> bool {
    let special: &[&str] = match (resource.group, resource.plural) {
        ("", "pods") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
        ],
        ("", "events") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "type",
        ],
        ("", "namespaces") => &["status.phase"],
        ("", "nodes") => &["spec.unschedulable"],
        ("", "secrets") => &["type"],
        ("", "services") => &["spec.clusterIP", "spec.type"],
        _ => &[],
    };
    path == "metadata.name" || (path == "metadata.namespace" && resource.namespaced) || special.contains(&path)
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, Refusal> {
    split_outside_brackets(text).into_iter().map(str::trim).filter(|p| !p.is_empty()).map(requirement).collect()
}

/// Commas inside `in (a,b)` do not separate requirements.
fn split_outside_brackets(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut depth = 0_usize;
    let mut rest = text;
    let mut at = 0;
    while let Some(c) = rest.get(at..).and_then(|tail| tail.chars().next()) {
        match c {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                let (head, tail) = rest.split_at(at);
                parts.push(head);
                rest = tail.get(1..).unwrap_or_default();
                at = 0;
                continue;
            }
            _ => {}
        }
        at += c.len_utf8();
    }
    parts.push(rest);
    parts
}

fn requirement(text: &str) -> Result<Requirement, Refusal> {
    let one = |value: &str| BTreeSet::from([value.trim().to_owned()]);
    if let Some(open) = text.find('(') {
        let (head, set) = text.split_at(open);
        let inner = set.strip_prefix('(').and_then(|s| s.strip_suffix(')')).ok_or_else(|| misread(text))?;
        let values = inner.split(',').map(|v| v.trim().to_owned()).collect();
        let (name, operator) = head.trim().split_once(char::is_whitespace).ok_or_else(|| misread(text))?;
        return match operator.trim() {
            "in" => Ok(Requirement::In(key(name, text)?, values)),
            "notin" => Ok(Requirement::NotIn(key(name, text)?, values)),
            _ => Err(misread(text)),
        };
    }
    if let Some((name, value)) = text.split_once("!=") {
        return Ok(Requirement::NotIn(key(name, text)?, one(value)));
    }
    if let Some((name, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(Requirement::In(key(name, text)?, one(value)));
    }
    if let Some(name) = text.strip_prefix('!') {
        return Ok(Requirement::Missing(key(name, text)?));
    }
    Ok(Requirement::Exists(key(text, text)?))
}

fn key(name: &str, all: &str) -> Result<String, Refusal> {
    let name = name.trim();
    let valid = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    if valid { Ok(name.to_owned()) } else { Err(misread(all)) }
}

fn misread(text: &str) -> Refusal {
    Refusal::bad_request(format!("unable to parse requirement: {text:?}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resources::{RESOURCES, position};

    fn pods() -> &'static Resource {
        &RESOURCES[position("", "pods").unwrap()]
    }

    fn picks(labels: &str, fields: &str) -> bool {
        let pod = json!({
            "metadata": {"name": "web-0", "namespace": "default", "labels": {"app": "web", "tier": "front"}},
            "spec": {"nodeName": "n1"},
            "status": {"phase": "Running"},
        });
        Selector::parse(pods(), Some(labels), Some(fields)).unwrap().matches(&pod)
    }

    #[test]
    fn labels_of_every_form() {
        for yes in ["", "app=web", "app==web", "app!=db", "app in (web,db),tier", "app notin (db)", "!gone", "gone!=x"] {
            assert!(picks(yes, ""), "{yes}");
        }
        for no in ["app=db", "app!=web", "app in (db, cache)", "app notin (web)", "!app", "gone", "app=web,tier=back"] {
            assert!(!picks(no, ""), "{no}");
        }
    }

    #[test]
    fn fields() {
        assert!(picks("", "metadata.name=web-0,spec.nodeName=n1"));
        assert!(picks("", "status.phase!=Pending"));
        assert!(picks("", "status.podIP="));
        assert!(!picks("", "metadata.namespace!=default"));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["app in", "app in (a", "app near (a)", "a b", "=x"] {
            assert_eq!(Selector::parse(pods(), Some(bad), None).unwrap_err().code, 400, "{bad}");
        }
        assert_eq!(Selector::parse(pods(), None, Some("spec.color=red")).unwrap_err().code, 400);
    }
}
