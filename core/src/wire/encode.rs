//! Writing the agent's messages.

use alloc::vec::Vec;

use super::json::{Members, push_number, push_string};
use super::{Base64, SUPPORTED_TYPES, socket};
use crate::message::{Header, Heartbeat, Outbound, Register};

/// Appends `message` as one envelope. `stamp` is the wall clock as RFC 3339. A large [`Outbound::Response`] is better written
/// with a [`super::MessageWriter`], frame by frame.
pub fn encode(message: &Outbound, stamp: &str, base64: Base64, out: &mut Vec<u8>) {
    match message {
        Outbound::Register(register) => {
            open("register", Some(&register.request_id), out);
            push_register(register, stamp, out);
        }
        Outbound::Heartbeat(heartbeat) => {
            open("heartbeat", None, out);
            push_heartbeat(heartbeat, out);
        }
        Outbound::Pong { request_id } => {
            open("pong", request_id.as_deref(), out);
            let mut payload = Members::open(out);
            payload.text("timestamp", stamp);
            payload.close();
        }
        Outbound::ProtocolFallback { kind, request_id, agent_version } => {
            open("protocol_fallback", None, out);
            let mut payload = Members::open(out);
            payload.text("agent_version", agent_version);
            payload.text("unknown_type", kind);
            push_types(payload.key("supported_types"));
            payload.text("fallback_mode", "legacy_proxy");
            payload.text("protocol_version", "1.0");
            payload.text("timestamp", stamp);
            payload.known_text("original_request_id", request_id.as_deref());
            payload.close();
        }
        Outbound::Response { id, status, headers, body } => {
            open("proxy_response", Some(id), out);
            push_response_start(*status, headers, !body.is_empty(), out);
            base64.push(body, out);
            out.extend_from_slice(response_end(!body.is_empty()));
        }
        Outbound::ResponseHead { id, status, headers } => {
            open("proxy_response_header", Some(id), out);
            let mut payload = Members::open(out);
            payload.number("status", u64::from(*status));
            push_headers(headers, payload.key("headers"));
            payload.close();
        }
        Outbound::ResponseChunk { id, data } => {
            out.reserve(data.len().div_ceil(3) * 4 + id.len() + 200);
            open("proxy_response_chunk", Some(id), out);
            out.extend_from_slice(b"{\"data\":\"");
            base64.push(data, out);
            out.extend_from_slice(b"\",\"encoding\":\"base64\",\"size\":");
            push_number(u64::try_from(data.len()).unwrap_or(u64::MAX), out);
            out.push(b'}');
        }
        Outbound::ResponseEnd { id } => {
            open("proxy_response_end", Some(id), out);
            out.extend_from_slice(b"{}");
        }
        Outbound::ResponseAbort { id, error } => push_error("proxy_response_abort", id, error, out),
        Outbound::Error { id, error } => push_error("proxy_error", id, error, out),
        Outbound::StartError { id, error } => {
            open("proxy_error", Some(id), out);
            let mut payload = Members::open(out);
            payload.text("error", error);
            payload.text("request_id", id);
            payload.close();
        }
        Outbound::SocketData { id, entry, opcode, data } => {
            out.reserve(data.len().div_ceil(3) * 4 + id.len() * 3 + 200);
            open("proxy_websocket_data", Some(id), out);
            socket::push_data_start(id, *entry, *opcode, out);
            socket::push_framed(*opcode, data, base64, out);
            out.extend_from_slice(b"\"}");
        }
        Outbound::SocketClose { id, entry, code, reason } => {
            open("proxy_websocket_close", Some(id), out);
            socket::push_close(id, *entry, *code, reason, out);
        }
        Outbound::Backpressure { id } => {
            open("backpressure", Some(id), out);
            let mut payload = Members::open(out);
            payload.text("reason", "channel_full");
            payload.text("request_id", id);
            payload.close();
        }
    }
    close(stamp, out);
}

pub(super) fn open(kind: &str, request_id: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":");
    push_string(kind, out);
    if let Some(id) = request_id.filter(|id| !id.is_empty()) {
        out.extend_from_slice(b",\"request_id\":");
        push_string(id, out);
    }
    out.extend_from_slice(b",\"payload\":");
}

pub(super) fn close(stamp: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"timestamp\":");
    push_string(stamp, out);
    out.push(b'}');
}

fn push_error(kind: &str, id: &str, error: &str, out: &mut Vec<u8>) {
    open(kind, Some(id), out);
    let mut payload = Members::open(out);
    payload.text("error", error);
    payload.close();
}

pub(super) fn push_response_start(status: u16, headers: &[Header], with_body: bool, out: &mut Vec<u8>) {
    let mut payload = Members::open(out);
    payload.number("status", u64::from(status));
    push_headers(headers, payload.key("headers"));
    if with_body {
        payload.key("body").push(b'"');
    }
}

pub(super) const fn response_end(with_body: bool) -> &'static [u8] {
    if with_body { b"\",\"encoding\":\"base64\"}" } else { b"}" }
}

/// Headers as an object of arrays, values of the same name together, names spelled as Go spells them: there are planes that
/// look for `Content-Type` and nothing else.
fn push_headers(headers: &[Header], out: &mut Vec<u8>) {
    let mut object = Members::open(out);
    for (position, header) in headers.iter().enumerate() {
        let same = |other: &&Header| other.name.eq_ignore_ascii_case(&header.name);
        if headers.iter().take(position).any(|other| same(&other)) {
            continue;
        }
        let out = object.key(&canonical(&header.name));
        out.push(b'[');
        for (index, value) in headers.iter().filter(same).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            push_string(&value.value, out);
        }
        out.push(b']');
    }
    object.close();
}

/// `content-type` becomes `Content-Type`.
fn canonical(name: &str) -> alloc::string::String {
    let mut upper = true;
    name.chars()
        .map(|c| {
            let c = if upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
            upper = c == '-';
            c
        })
        .collect()
}

fn push_types(out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, kind) in SUPPORTED_TYPES.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_string(kind, out);
    }
    out.push(b']');
}

fn push_register(register: &Register, stamp: &str, out: &mut Vec<u8>) {
    let (identity, facts) = (&register.identity, &register.facts);
    let mut payload = Members::open(out);
    payload.text("agent_id", &identity.agent_id);
    payload.text("name", &identity.cluster_name);
    // The protocol wants these six in every registration. What is not known is empty, never invented.
    payload.text("k8s_version", facts.kubernetes_version.as_deref().unwrap_or_default());
    payload.text("hostname", facts.hostname.as_deref().unwrap_or_default());
    payload.text("agent_version", &identity.agent_version);
    payload.text("server_ip", facts.server_ip.as_deref().unwrap_or_default());
    payload.text("region", facts.region.as_deref().unwrap_or_default());
    payload.text("cloud_provider", facts.cloud_provider.as_deref().unwrap_or_default());

    let mut ports = Members::open(payload.key("tunnel_port_config"));
    ports.number("kubernetes_api", 6443);
    ports.number("kubelet", 10250);
    ports.number("agent_http", u64::from(identity.agent_port));
    ports.close();

    let mut labels = Members::open(payload.key("labels"));
    for (key, value) in &identity.labels {
        if key != "hostname" && key != "agent.pipeops.io/version" {
            labels.text(key, value);
        }
    }
    labels.known_text("hostname", facts.hostname.as_deref());
    labels.text("agent.pipeops.io/version", &identity.agent_version);
    labels.close();

    let mut specs = Members::open(payload.key("server_specs"));
    specs.known_number("cpu_cores", facts.cpu_cores);
    specs.known_number("memory_gb", facts.memory_gb);
    specs.known_text("os", facts.operating_system.as_deref());
    specs.close();

    let mut features = Members::open(payload.key("features"));
    for feature in [
        "supports_streaming",
        "supports_binary_protocol",
        "supports_compression",
        "supports_websocket_proxy",
        "supports_gateway",
        "supports_response_streaming",
    ] {
        features.flag(feature, true);
    }
    features.close();

    let mut metadata = Members::open(payload.key("metadata"));
    metadata.text("agent_mode", "vm-agent");
    metadata.text("registration_timestamp", stamp);
    metadata.text("registration_mode", if register.cluster_id.is_some() { "resume" } else { "fresh" });
    metadata.close();

    payload.known_text("cluster_id", register.cluster_id.as_deref());
    payload.known_text("k8s_service_token", facts.service_token.as_ref().map(|token| token.0.as_str()));
    payload.close();
}

fn push_heartbeat(heartbeat: &Heartbeat, out: &mut Vec<u8>) {
    let mut payload = Members::open(out);
    payload.text("cluster_id", &heartbeat.cluster_id);
    payload.text("agent_id", &heartbeat.agent_id);
    // A heartbeat is only ever sent on a connection that is up, so these two have one true value.
    payload.text("status", "healthy");
    payload.text("tunnel_status", "connected");
    let mut metadata = Members::open(payload.key("metadata"));
    metadata.text("agent_version", &heartbeat.agent_version);
    metadata.known_text("k8s_version", heartbeat.facts.kubernetes_version.as_deref());
    metadata.known_number("k8s_nodes", heartbeat.facts.nodes);
    metadata.known_number("k8s_pods", heartbeat.facts.pods);
    metadata.close();
    payload.close();
}
