//! The payloads of the session messages, as tables, and what the tables cannot say.

use serde_json::{Map, Value};

use super::Breach;
use super::fields::{Field, Kind, check, optional, required};

const REGISTER: &[Field] = &[
    required("agent_id", Kind::Filled),
    required("name", Kind::Filled),
    required("k8s_version", Kind::Text),
    required("hostname", Kind::Text),
    required("agent_version", Kind::Filled),
    required("server_ip", Kind::Text),
    required("region", Kind::Text),
    required("cloud_provider", Kind::Text),
    required("tunnel_port_config", Kind::Object),
    required("labels", Kind::TextMap),
    required("server_specs", Kind::Object),
    required("features", Kind::FlagMap),
    required("metadata", Kind::TextMap),
    optional("cluster_id", Kind::Filled),
    optional("k8s_service_token", Kind::Filled),
];

const PORTS: &[Field] =
    &[required("kubernetes_api", Kind::Count), required("kubelet", Kind::Count), required("agent_http", Kind::Count)];

const SPECS: &[Field] = &[
    optional("cpu_cores", Kind::Count),
    optional("memory_gb", Kind::Count),
    optional("disk_gb", Kind::Count),
    optional("os", Kind::Text),
];

const FEATURES: &[Field] = &[
    required("supports_streaming", Kind::Boolean),
    required("supports_binary_protocol", Kind::Boolean),
    required("supports_compression", Kind::Boolean),
    required("supports_websocket_proxy", Kind::Boolean),
    required("supports_gateway", Kind::Boolean),
    required("supports_response_streaming", Kind::Boolean),
];

const REGISTER_METADATA: &[Field] = &[
    required("agent_mode", Kind::Filled),
    required("registration_timestamp", Kind::Time),
    required("registration_mode", Kind::OneOf(&["fresh", "resume"])),
    optional("country_code", Kind::Text),
    optional("region_name", Kind::Text),
    optional("country_name", Kind::Text),
    optional("network_org", Kind::Text),
    optional("network_asn", Kind::Text),
    optional("ip_intel_method", Kind::Text),
];

const HEARTBEAT: &[Field] = &[
    required("cluster_id", Kind::Filled),
    required("agent_id", Kind::Filled),
    required("status", Kind::OneOf(&["healthy", "reconnecting", "disconnected"])),
    required("tunnel_status", Kind::OneOf(&["connected", "disconnected"])),
    required("metadata", Kind::Object),
    optional("prometheus_url", Kind::Filled),
    optional("prometheus_username", Kind::Text),
    optional("prometheus_password", Kind::Text),
    optional("prometheus_ssl", Kind::Boolean),
    optional("loki_url", Kind::Filled),
    optional("loki_username", Kind::Text),
    optional("loki_password", Kind::Text),
    optional("loki_ssl", Kind::Boolean),
    optional("grafana_url", Kind::Filled),
    optional("grafana_username", Kind::Text),
    optional("grafana_password", Kind::Text),
    optional("grafana_ssl", Kind::Boolean),
    optional("opencost_base_url", Kind::Filled),
    optional("opencost_username", Kind::Text),
    optional("opencost_password", Kind::Text),
    optional("worker_join", Kind::Object),
];

/// Facts an agent does not know may be left out.
const HEARTBEAT_METADATA: &[Field] = &[
    optional("agent_version", Kind::Filled),
    optional("k8s_version", Kind::Text),
    optional("k8s_nodes", Kind::Count),
    optional("k8s_pods", Kind::Count),
    optional("cpu_usage", Kind::Text),
    optional("memory_usage", Kind::Text),
    optional("is_private", Kind::Boolean),
    optional("gateway_routes", Kind::Count),
];

const WORKER_JOIN: &[Field] = &[
    required("provider", Kind::Filled),
    optional("server_url", Kind::Text),
    optional("env", Kind::TextMap),
    optional("commands", Kind::TextList),
    optional("generated_at", Kind::Time),
    optional("join_command", Kind::Text),
    optional("token", Kind::Text),
    optional("server_ip", Kind::Text),
];

const PONG: &[Field] = &[required("timestamp", Kind::Time)];

const FALLBACK: &[Field] = &[
    required("agent_version", Kind::Filled),
    required("unknown_type", Kind::Filled),
    required("supported_types", Kind::TextList),
    required("fallback_mode", Kind::Filled),
    required("protocol_version", Kind::Filled),
    required("timestamp", Kind::Time),
    optional("original_request_id", Kind::Filled),
];

const HELLO_ACK: &[Field] = &[required("use_yamux", Kind::Boolean)];

const BACKPRESSURE: &[Field] = &[required("reason", Kind::Filled), required("request_id", Kind::Filled)];

pub(super) fn register(payload: &Map<String, Value>, breaches: &mut Vec<Breach>) {
    check("register", payload, REGISTER, breaches);
    inner("register", payload, "tunnel_port_config", PORTS, breaches);
    inner("register", payload, "server_specs", SPECS, breaches);
    inner("register", payload, "features", FEATURES, breaches);
    inner("register", payload, "metadata", REGISTER_METADATA, breaches);
    let mode = payload.get("metadata").and_then(|metadata| metadata.get("registration_mode")).and_then(Value::as_str);
    let resumes = payload.contains_key("cluster_id");
    if let Some(mode @ ("fresh" | "resume")) = mode
        && (mode == "resume") != resumes
    {
        breaches.push(Breach::FieldValue {
            message: "register.metadata".into(),
            field: "registration_mode".into(),
            value: mode.into(),
        });
    }
}

pub(super) fn heartbeat(payload: &Map<String, Value>, breaches: &mut Vec<Breach>) {
    check("heartbeat", payload, HEARTBEAT, breaches);
    inner("heartbeat", payload, "metadata", HEARTBEAT_METADATA, breaches);
    inner("heartbeat", payload, "worker_join", WORKER_JOIN, breaches);
}

pub(super) fn pong(payload: &Map<String, Value>, breaches: &mut Vec<Breach>) {
    check("pong", payload, PONG, breaches);
}

pub(super) fn fallback(payload: &Map<String, Value>, breaches: &mut Vec<Breach>) {
    check("protocol_fallback", payload, FALLBACK, breaches);
}

pub(super) fn hello_ack(payload: &Map<String, Value>, breaches: &mut Vec<Breach>) {
    check("gateway_hello_ack", payload, HELLO_ACK, breaches);
}

pub(super) fn backpressure(payload: &Map<String, Value>, breaches: &mut Vec<Breach>) {
    check("backpressure", payload, BACKPRESSURE, breaches);
}

fn inner(message: &str, payload: &Map<String, Value>, name: &str, table: &[Field], breaches: &mut Vec<Breach>) {
    if let Some(Value::Object(object)) = payload.get(name) {
        check(&format!("{message}.{name}"), object, table, breaches);
    }
}
