//! Tests of the whole plane, with an agent played by hand.

mod faults;
mod proxying;
mod rest;
mod sessions;
mod streams;

use serde_json::{Value, json};

use super::{Breach, ConnectionId, Incoming, Output, Part, Plane, PlaneConfig, Upgrade, Verdict};

const GATEWAY: &str = "wss://gateway.test/ws";

/// A plane and the outputs it has given.
struct Bench {
    plane: Plane,
    now: u64,
    sent: Vec<(ConnectionId, Value)>,
    binary: Vec<Vec<u8>>,
    parts: Vec<Part>,
    other: Vec<Output>,
}

impl Bench {
    fn new(config: PlaneConfig) -> Self {
        let plane = Plane::new(config, 7);
        Self { plane, now: 1000, sent: Vec::new(), binary: Vec::new(), parts: Vec::new(), other: Vec::new() }
    }

    fn with_gateway() -> Self {
        Self::new(PlaneConfig { gateway_url: Some(GATEWAY.into()), ..PlaneConfig::default() })
    }

    /// Everything on the controller's socket.
    fn online() -> (Self, ConnectionId) {
        let mut bench = Self::new(PlaneConfig::default());
        let connection = bench.connect();
        bench.register(connection, "r1");
        bench.sent.clear();
        (bench, connection)
    }

    fn connect(&mut self) -> ConnectionId {
        self.accepted(&controller())
    }

    fn accepted(&mut self, upgrade: &Upgrade) -> ConnectionId {
        let verdict = self.plane.accept(self.now, upgrade);
        self.drain();
        match verdict {
            Verdict::Accept(connection) => connection,
            Verdict::Refuse { .. } | Verdict::Hang => panic!("{verdict:?}"),
        }
    }

    fn register(&mut self, connection: ConnectionId, id: &str) {
        self.say(connection, "register", Some(id), registration());
    }

    fn say(&mut self, connection: ConnectionId, kind: &str, id: Option<&str>, payload: Value) {
        let mut envelope = json!({"type": kind, "payload": payload, "timestamp": "2026-11-23T00:21:49.4119Z"});
        if let Some(id) = id {
            envelope["request_id"] = id.into();
        }
        self.plane.receive(self.now, connection, Incoming::Text(envelope.to_string()));
        self.drain();
    }

    fn heartbeat(&mut self, connection: ConnectionId) {
        let cluster_id = self.cluster_id();
        self.say(connection, "heartbeat", None, beat(&cluster_id));
    }

    fn cluster_id(&self) -> String {
        self.plane.clusters().next().unwrap().cluster_id.clone()
    }

    fn wait(&mut self, milliseconds: u64) {
        let until = self.now + milliseconds;
        while let Some(next) = self.plane.poll_timeout().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            self.plane.timeout(self.now);
            self.drain();
        }
        self.now = until;
    }

    fn drain(&mut self) {
        while let Some(output) = self.plane.poll_output() {
            match output {
                Output::Send { connection, text } => self.sent.push((connection, serde_json::from_str(&text).unwrap())),
                Output::SendBinary { bytes, .. } => self.binary.push(bytes),
                Output::Answer { part, .. } => self.parts.push(part),
                Output::Noted(_) => {}
                Output::Ping { .. }
                | Output::Close { .. }
                | Output::Drop { .. }
                | Output::PauseReading { .. }
                | Output::Mux { .. } => self.other.push(output),
            }
        }
    }

    /// Types sent since the last call.
    fn types(&mut self) -> Vec<String> {
        self.sent.drain(..).map(|(_, message)| message["type"].as_str().unwrap().to_owned()).collect()
    }

    fn last(&self) -> &Value {
        &self.sent.last().unwrap().1
    }

    #[track_caller]
    fn assert_breaches(&mut self, expected: &[Breach]) {
        let found: Vec<_> = self.plane.violations().iter().map(|violation| violation.breach.clone()).collect();
        assert_eq!(found, expected);
        self.plane.clear_violations();
    }
}

fn controller() -> Upgrade {
    Upgrade {
        path: "/api/v1/clusters/agent/ws".into(),
        query: String::new(),
        headers: vec![("Authorization".into(), "Bearer secret".into())],
    }
}

fn gateway(cluster_uuid: &str) -> Upgrade {
    Upgrade {
        path: "/ws".into(),
        query: format!(
            "agent_version=1&cluster_uuid={cluster_uuid}&supports_binary=true&supports_response_streaming=true\
             &supports_streaming=true&supports_websocket=true&supports_yamux=true"
        ),
        ..controller()
    }
}

fn registration() -> Value {
    json!({
        "agent_id": "agent-1", "name": "test", "k8s_version": "v1.30.1", "hostname": "h", "agent_version": "1",
        "server_ip": "0.0.0.0", "region": "DE", "cloud_provider": "agent",
        "tunnel_port_config": {"kubernetes_api": 6443, "kubelet": 10250, "agent_http": 8080},
        "labels": {"hostname": "h"}, "server_specs": {"cpu_cores": 2},
        "features": {
            "supports_streaming": true, "supports_binary_protocol": true, "supports_compression": true,
            "supports_websocket_proxy": true, "supports_gateway": true, "supports_response_streaming": true,
        },
        "metadata": {
            "agent_mode": "vm-agent", "registration_timestamp": "2026-11-23T00:21:49Z", "registration_mode": "fresh",
        },
    })
}

fn beat(cluster_id: &str) -> Value {
    json!({
        "cluster_id": cluster_id, "agent_id": "agent-1", "status": "healthy", "tunnel_status": "connected",
        "metadata": {"agent_version": "1", "k8s_nodes": 1, "is_private": true},
    })
}

fn field_value(message: &str, field: &str, value: &str) -> Breach {
    Breach::FieldValue { message: message.into(), field: field.into(), value: value.into() }
}
