//! A rig whose Kubernetes API does what a test says.

#![allow(dead_code, reason = "shared by targets that need different parts of it")]

use devplane::plane::{ProxyRequest, WebSocketRequest};
use serde_json::json;

use crate::backend::{Backend, Peer};
use crate::harness::{AGENT_TOKEN, Bed, Setup};
use crate::rig::Rig;
use crate::socket::Socket;

pub(crate) const EXEC: &str = "/api/v1/namespaces/default/pods/web-0/exec";
pub(crate) const USER_TOKEN: &str = "user-token-0a1b2c3d";
pub(crate) const V4: &str = "v4.channel.k8s.io";

pub(crate) struct Api {
    pub(crate) rig: Rig,
    pub(crate) server: Backend,
}

impl Api {
    pub(crate) fn start() -> Self {
        let bed = Bed::new(Setup { kube: false, ..Setup::default() });
        let server = Backend::start();
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "x",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{}", server.addr())}}],
            "users": [{"name": "u", "user": {"token": AGENT_TOKEN}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        });
        let path = bed.folder().join("kubeconfig");
        std::fs::write(&path, config.to_string()).unwrap();
        let agent = bed.agent().set("kubernetes.kubeconfig", path.display().to_string()).online();
        Self { rig: Rig { bed, agent }, server }
    }

    /// Sends a `ws_start`.
    #[track_caller]
    pub(crate) fn begin(&self, request: WebSocketRequest) -> Socket<'_> {
        Socket::new(&self.rig, self.rig.bed.plane.websocket(request).unwrap())
    }

    /// Sends a `proxy_request`.
    #[track_caller]
    pub(crate) fn open(&self, request: ProxyRequest) -> Socket<'_> {
        Socket::new(&self.rig, self.rig.open(request))
    }

    /// A stream whose other end has agreed to `protocol`.
    #[track_caller]
    pub(crate) fn stream(&self, request: WebSocketRequest, protocol: Option<&str>) -> (Socket<'_>, Peer) {
        let socket = self.begin(request);
        let mut peer = self.server.accept();
        peer.upgrade(protocol);
        (socket, peer)
    }

    #[track_caller]
    pub(crate) fn exec(&self) -> (Socket<'_>, Peer) {
        self.stream(exec(), Some(V4))
    }

    #[track_caller]
    pub(crate) fn finish(self) {
        assert!(self.server.is_untouched(), "there was a request that no test expected");
        self.rig.finish();
    }
}

pub(crate) fn bearer() -> String {
    format!("Bearer {USER_TOKEN}")
}

/// A `ws_start` with a user's token.
pub(crate) fn start(path: &str) -> WebSocketRequest {
    let headers = vec![("Authorization".to_owned(), vec![bearer()])];
    WebSocketRequest { path: path.into(), headers, ..WebSocketRequest::default() }
}

pub(crate) fn exec() -> WebSocketRequest {
    WebSocketRequest { query: "command=sh&stdin=true&stdout=true".into(), ..start(EXEC) }
}
