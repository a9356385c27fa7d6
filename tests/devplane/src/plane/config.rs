//! The plane's settings: who may come in, and how it answers when nothing is wrong.

use serde_json::Value;

/// Settings of a [`Plane`](super::Plane). `Default` is a gateway-less plane that takes any token.
#[derive(Clone, Debug)]
pub struct PlaneConfig {
    /// Bearer tokens that are let in. Empty: any non-empty token.
    pub tokens: Vec<String>,
    /// Sent as `gateway_ws_url`. `None`: everything stays on the controller's socket.
    pub gateway_url: Option<String>,
    /// Give clusters a `cluster_uuid` that differs from their `cluster_id`.
    pub distinct_uuid: bool,
    /// Leave `cluster_uuid` out of the registration's answer (then both are the same).
    pub omit_uuid: bool,
    /// The id of the first new cluster; otherwise ids are made from the seed.
    pub first_cluster_id: Option<String>,
    /// Keep an id that an agent claims although this plane never gave it out (a plane that forgot its clusters).
    /// Otherwise such an agent gets a new id, and its gateway connection 403.
    pub adopt_unknown_clusters: bool,
    pub acknowledge_heartbeats: bool,
    /// `name` in the registration's answer; otherwise the agent's own.
    pub name: Option<String>,
    pub workspace_id: Option<u64>,
    /// `token` in the registration's answer: a replacement Kubernetes token.
    pub replacement_token: Option<String>,
    /// The payload of a `gateway_hello` for every gateway connection.
    pub gateway_hello: Option<Value>,
    /// A WebSocket ping to every agent this often, in milliseconds.
    pub ping_every: Option<u64>,
    /// Send envelopes in binary frames, as the old controller does.
    pub binary_envelopes: bool,
    /// What is known about any address: the `data` of `/api/v1/public/ip-intel/…`. `None` answers 404.
    pub intelligence: Option<Value>,
    /// Unix milliseconds at the plane's time 0, for the time stamps it sends.
    pub epoch: u64,
}

impl Default for PlaneConfig {
    fn default() -> Self {
        Self {
            tokens: Vec::new(),
            gateway_url: None,
            distinct_uuid: false,
            omit_uuid: false,
            first_cluster_id: None,
            adopt_unknown_clusters: true,
            acknowledge_heartbeats: true,
            name: None,
            workspace_id: Some(1),
            replacement_token: None,
            gateway_hello: None,
            ping_every: None,
            binary_envelopes: false,
            intelligence: None,
            epoch: 1_767_225_600_000,
        }
    }
}
