//! Services that speak TLS: where the port says so, and verified unless the operator says otherwise.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use devplane::Identity;
use devplane::plane::{Part, ProxyRequest};
use serde_json::json;

use crate::harness::{AGENT_TOKEN, Bed, Setup};
use crate::rig::{PATIENCE, Rig};
use crate::site::{SERVICE, Site, aim, put_service};

fn tls_app() -> devapp::Options {
    let (tls, _) = devapp::tls_self_signed(&["app.default.svc"]).unwrap();
    devapp::Options { tls: Some(tls), ..devapp::Options::default() }
}

#[test]
fn b37_a_certificate_that_nobody_trusts_is_refused() {
    let site = Site::of(Setup::default(), tls_app(), |launch| launch);
    for request in [site.get("/headers"), site.get("/headers").buffered(), site.websocket("/echo")] {
        let all = site.rig.parts(request);
        let [Part::Abort(text) | Part::Error(text)] = all.as_slice() else { panic!("{all:?}") };
        assert!(text.starts_with("unreachable: TLS "), "{text}");
        assert!(!text.contains("127.0.0.1") && !text.contains("self"), "{text}");
    }
    assert_eq!(site.app.requests().len(), 0);
    site.finish();
}

#[test]
fn b37_and_accepted_where_the_operator_says_so() {
    let site = Site::over_tls();
    assert_eq!(site.rig.ask(site.get("/headers").header("Host", "shop.example.com")).status, 200);
    let seen = site.app.last("/headers").unwrap();
    assert_eq!((seen.tls, seen.header("host"), seen.header("x-forwarded-proto")), (true, Some("shop.example.com"), None));
    let mut socket = site.echo();
    socket.round_trip("over TLS");
    socket.close();
    let mut stream = site.rig.open(site.get("/download").query("bytes=3000000"));
    assert_eq!(crate::rig::head(&mut stream), 200);
    assert_eq!(stream.collect_within(PATIENCE).unwrap().body.len(), 3_000_000);
    site.finish();
}

/// An application whose certificate is the cluster's for this name, and what the agent says to it.
fn certified(name: &str) -> (Rig, devapp::DevApp) {
    let bed = Bed::new(Setup::default());
    let identity = Identity::make(&[name.to_owned()]).unwrap();
    let authorities = format!("{}{}", bed.kube().ca_pem(), identity.ca_pem);
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "c", "cluster": {
            "server": bed.kube().url(), "certificate-authority-data": STANDARD.encode(authorities),
        }}],
        "users": [{"name": "u", "user": {"token": AGENT_TOKEN}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    });
    let path = bed.folder().join("both-authorities");
    std::fs::write(&path, config.to_string()).unwrap();
    let launch = bed.agent().set("kubernetes.kubeconfig", path.display().to_string());
    let agent = launch.set("policy.allow_addresses", json!(["127.0.0.0/8"])).online();
    let app = devapp::DevApp::spawn(devapp::Options { tls: Some(identity.config), ..devapp::Options::default() }).unwrap();
    let rig = Rig { bed, agent };
    let port = app.addr().port();
    put_service(&rig, SERVICE, json!({"clusterIP": "127.0.0.1", "ports": [{"name": "https", "port": port}]}));
    (rig, app)
}

#[test]
fn b37_a_certificate_of_the_clusters_authority_is_accepted() {
    let (rig, app) = certified("app.default.svc");
    assert_eq!(rig.ask(aim(ProxyRequest::get("/headers"), SERVICE, app.addr().port())).status, 200);
    assert!(app.last("/headers").unwrap().tls);
    rig.finish();
}

#[test]
fn b37_a_certificate_for_another_name_is_refused() {
    let (rig, app) = certified("other.default.svc");
    let all = rig.parts(aim(ProxyRequest::get("/headers"), SERVICE, app.addr().port()));
    let [Part::Abort(text)] = all.as_slice() else { panic!("{all:?}") };
    assert!(text.starts_with("unreachable: TLS "), "{text}");
    assert_eq!(app.requests().len(), 0);
    rig.finish();
}

#[test]
fn b25_plain_http_to_a_tls_port_is_not_tried_because_of_the_scheme() {
    let site = Site::over_tls();
    let request = ProxyRequest { scheme: Some("http".into()), ..site.get("/headers") };
    assert_eq!(site.rig.ask(request).status, 200);
    let seen = site.app.last("/headers").unwrap();
    assert_eq!((seen.tls, seen.header("x-forwarded-proto")), (true, None));
    site.finish();
}
