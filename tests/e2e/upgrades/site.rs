//! A rig with an application behind it: a service that the miniature Kubernetes API knows.

#![allow(dead_code, reason = "shared by targets that need different parts of it")]

use devapp::{DevApp, Seen};
use devplane::plane::ProxyRequest;
use serde_json::{Value, json};

use crate::harness::{Launch, Setup};
use crate::rig::{PATIENCE, Rig};
use crate::socket::Socket;

pub(crate) const NAMESPACE: &str = "default";
pub(crate) const SERVICE: &str = "app";

pub(crate) struct Site {
    pub(crate) rig: Rig,
    pub(crate) app: DevApp,
}

impl Site {
    pub(crate) fn start() -> Self {
        Self::with(|launch| launch)
    }

    pub(crate) fn with(change: impl FnOnce(Launch<'_>) -> Launch<'_>) -> Self {
        Self::of(Setup::default(), devapp::Options::default(), change)
    }

    /// The application stands on this machine, which services must not do unless the operator says so.
    pub(crate) fn of(setup: Setup, app: devapp::Options, change: impl FnOnce(Launch<'_>) -> Launch<'_>) -> Self {
        let rig = Rig::of(setup, |launch| change(launch.set("policy.allow_addresses", json!(["127.0.0.0/8"]))));
        let name = if app.tls.is_some() { "https" } else { "web" };
        let app = DevApp::spawn(app).unwrap();
        let port = app.addr().port();
        put_service(&rig, SERVICE, json!({"clusterIP": "127.0.0.1", "ports": [{"name": name, "port": port}]}));
        Self { rig, app }
    }

    /// With an application that speaks TLS, and an agent that does not mind its certificate.
    pub(crate) fn over_tls() -> Self {
        let (tls, _) = devapp::tls_self_signed(&["app.default.svc"]).unwrap();
        let options = devapp::Options { tls: Some(tls), ..devapp::Options::default() };
        Self::of(Setup::default(), options, |launch| launch.set("services.insecure_skip_verify", true))
    }

    /// Names the application as the request's target.
    pub(crate) fn aim(&self, request: ProxyRequest) -> ProxyRequest {
        aim(request, SERVICE, self.app.addr().port())
    }

    pub(crate) fn websocket(&self, path: &str) -> ProxyRequest {
        self.aim(ProxyRequest::websocket(path))
    }

    pub(crate) fn get(&self, path: &str) -> ProxyRequest {
        self.aim(ProxyRequest::get(path))
    }

    /// An upgraded connection.
    #[track_caller]
    pub(crate) fn connect(&self, request: ProxyRequest) -> Socket<'_> {
        let mut socket = self.open(request);
        socket.accepted();
        socket
    }

    /// One that may not be upgraded yet.
    #[track_caller]
    pub(crate) fn open(&self, request: ProxyRequest) -> Socket<'_> {
        Socket::new(&self.rig, self.rig.open(request))
    }

    #[track_caller]
    pub(crate) fn echo(&self) -> Socket<'_> {
        self.connect(self.websocket("/echo"))
    }

    /// The last request for `path` once it is as wanted.
    #[track_caller]
    pub(crate) fn seen(&self, what: &str, path: &str, mut wanted: impl FnMut(&Seen) -> bool) -> Seen {
        let came = self.app.wait_within(PATIENCE, |app| app.last(path).is_some_and(|seen| wanted(&seen)));
        let last = self.app.last(path);
        assert!(came, "the application never sees {what}: {last:?}; the agent's log:\n{}", self.rig.agent.text());
        last.unwrap()
    }

    #[track_caller]
    pub(crate) fn until_connections(&self, open: usize) {
        let came = self.app.wait_within(PATIENCE, |app| app.connections().open == open);
        assert!(came, "not {open} connections but {:?}; the agent's log:\n{}", self.app.connections(), self.rig.agent.text());
    }

    #[track_caller]
    pub(crate) fn finish(self) {
        self.rig.finish();
    }
}

pub(crate) fn aim(request: ProxyRequest, service: &str, port: u16) -> ProxyRequest {
    ProxyRequest { namespace: Some(NAMESPACE.into()), service_name: Some(service.into()), service_port: Some(port), ..request }
}

pub(crate) fn put_service(rig: &Rig, name: &str, spec: Value) {
    let metadata = json!({"name": name, "namespace": NAMESPACE});
    let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec});
    rig.kube().put(object).unwrap();
}
