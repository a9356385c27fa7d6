//! How a cell is read out of an object: the small readers that several columns share. Absent fields are words, never
//! errors.

use std::time::SystemTime;

use serde_json::{Map, Value};

use crate::time::age;

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn map(value: &Value) -> Option<&Map<String, Value>> {
    value.as_object()
}

pub(crate) fn plain(value: &Value, absent: &str) -> Value {
    value.as_str().filter(|text| !text.is_empty()).unwrap_or(absent).into()
}

pub(crate) fn count(value: &Value) -> Value {
    value.as_u64().unwrap_or_default().into()
}

pub(crate) fn or_none(text: String) -> Value {
    if text.is_empty() { "<none>".into() } else { text.into() }
}

pub(crate) fn joined(items: &Value, field: &str) -> Value {
    list(items).iter().filter_map(|item| item[field].as_str()).collect::<Vec<_>>().join(",").into()
}

pub(crate) fn pairs(labels: &Value) -> Value {
    let pairs = map(labels).into_iter().flatten().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()));
    or_none(pairs.collect::<Vec<_>>().join(","))
}

pub(crate) fn addresses(ingress: &Value) -> String {
    let address = |i: &Value| i["ip"].as_str().or_else(|| i["hostname"].as_str()).map(str::to_owned);
    list(ingress).iter().filter_map(address).collect::<Vec<_>>().join(",")
}

pub(crate) fn address(node: &Value, kind: &str) -> Value {
    let found = list(&node["status"]["addresses"]).iter().find(|a| a["type"] == kind);
    plain(found.map_or(&Value::Null, |a| &a["address"]), "<none>")
}

pub(crate) fn event_age(event: &Value, fields: [&str; 3], now: SystemTime) -> Value {
    let stamp = fields.into_iter().find_map(|field| event[field].as_str());
    age(stamp.or_else(|| event["metadata"]["creationTimestamp"].as_str()), now).into()
}

pub(crate) fn pod_status(pod: &Value) -> Value {
    if pod["metadata"]["deletionTimestamp"].is_string() {
        return "Terminating".into();
    }
    let reason = |status: &Value| {
        let state = &status["state"];
        ["waiting", "terminated"].into_iter().find_map(|s| state[s]["reason"].as_str().map(str::to_owned))
    };
    let of_container = list(&pod["status"]["containerStatuses"]).iter().find_map(reason);
    let reason = of_container.or_else(|| pod["status"]["reason"].as_str().map(str::to_owned));
    reason.map_or_else(|| plain(&pod["status"]["phase"], "Unknown"), Value::from)
}

pub(crate) fn node_status(node: &Value) -> Value {
    let ready = list(&node["status"]["conditions"]).iter().find(|c| c["type"] == "Ready");
    let mut status = match ready.and_then(|c| c["status"].as_str()) {
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if node["spec"]["unschedulable"] == true {
        status.push_str(",SchedulingDisabled");
    }
    status.into()
}
