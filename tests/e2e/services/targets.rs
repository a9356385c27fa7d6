//! Which services are reached at all.

use devplane::plane::{Part, ProxyRequest};
use serde_json::{Value, json};

use crate::rig::{Rig, get, json, parts};
use crate::site::{NAMESPACE, SERVICE, Site, aim, put_service};

/// How often the agent has asked the API server where services are.
fn look_ups(rig: &Rig) -> usize {
    rig.kube().requests().iter().filter(|seen| seen.path.contains("/services/") || seen.path.contains("/endpointslices")).count()
}

#[track_caller]
fn refused(rig: &Rig, request: &ProxyRequest, rule: &str) {
    for request in [request.clone(), request.clone().buffered()] {
        let answer = rig.ask(request);
        assert_eq!((answer.status, &answer.error), (403, &None), "{answer:?}");
        let message = json(&answer)["message"].to_string();
        assert!(message.contains(&format!("(rule {rule})")), "{message}");
    }
    let answer = rig.ask(ProxyRequest { is_websocket: true, ..request.clone() });
    assert_eq!((answer.status, &answer.error), (403, &None), "a WebSocket is no way around: {answer:?}");
}

#[test]
fn b22_a_service_named_by_halves_is_refused() {
    let site = Site::start();
    let service = |namespace: Option<&str>, name: Option<&str>, port: Option<u16>| ProxyRequest {
        namespace: namespace.map(str::to_owned),
        service_name: name.map(str::to_owned),
        service_port: port,
        ..get("/api/v1/nodes")
    };
    for request in [
        service(Some("default"), Some("app"), None),
        service(Some("default"), None, Some(80)),
        service(None, Some("app"), Some(80)),
        service(None, Some("app"), None),
        service(Some("default"), None, None),
        service(None, None, Some(80)),
    ] {
        for websocket in [false, true] {
            let request = ProxyRequest { is_websocket: websocket, ..request.clone() };
            let streamed = parts(site.rig.open(request.clone()));
            let [Part::Abort(text)] = streamed.as_slice() else { panic!("{streamed:?}") };
            assert!(text.starts_with("bad_request: "), "{text}");
            let buffered = parts(site.rig.open(request.buffered()));
            let [Part::Error(text)] = buffered.as_slice() else { panic!("{buffered:?}") };
            assert!(text.starts_with("bad_request: "), "{text}");
        }
    }
    // No other target is taken instead, and a path of no API without a target is nobody's.
    let answer = site.rig.ask(ProxyRequest::get("/shop").header("Host", "shop.example.com"));
    assert_eq!(answer.status, 403);
    site.rig.settle();
    assert_eq!((site.app.requests().len(), site.rig.proxied().len()), (0, 0));
    site.finish();
}

#[test]
fn b38_names_that_are_none_are_refused_and_never_looked_up() {
    let site = Site::start();
    let named = |namespace: &str, name: &str| ProxyRequest {
        namespace: Some(namespace.into()),
        service_name: Some(name.into()),
        service_port: Some(80),
        ..ProxyRequest::get("/")
    };
    for bad in ["a.b", "A", "-a", "a-", "a/b", "../x", "a b", "a:80", "a@b", "a%2fb", "127.0.0.1", "\u{e4}", &"a".repeat(64)] {
        refused(&site.rig, &named("default", bad), "service-name");
        refused(&site.rig, &named(bad, "app"), "service-name");
    }
    refused(&site.rig, &named("default", "kubernetes"), "service-kubernetes");
    assert_eq!(look_ups(&site.rig), 0);
    assert_eq!(site.rig.ask(site.get("/headers")).status, 200);
    assert_eq!(look_ups(&site.rig), 1);
    site.finish();
}

#[test]
fn b38_a_name_for_something_outside_is_refused() {
    let site = Site::start();
    put_service(&site.rig, "away", json!({"type": "ExternalName", "externalName": "localhost", "ports": [{"port": 80}]}));
    refused(&site.rig, &aim(ProxyRequest::get("/"), "away", 80), "service-external");
    site.finish();
}

#[test]
fn a_port_that_the_service_does_not_have_is_not_tried() {
    let site = Site::start();
    let all = site.rig.parts(aim(ProxyRequest::get("/"), SERVICE, 1));
    let [Part::Abort(text)] = all.as_slice() else { panic!("{all:?}") };
    assert!(text.starts_with("unreachable: "), "{text}");
    site.finish();
}

#[test]
fn an_address_is_looked_up_once_for_many_requests() {
    let site = Site::start();
    for _ in 0..20 {
        assert_eq!(site.rig.ask(site.get("/headers")).status, 200);
    }
    assert_eq!(look_ups(&site.rig), 1);
    site.finish();
}

#[test]
fn a_headless_service_is_reached_at_its_ready_pods() {
    let site = Site::start();
    put_service(&site.rig, "headless", json!({"clusterIP": "None", "ports": [{"name": "web", "port": 80}]}));
    put_endpoints(
        &site.rig,
        "headless",
        site.app.addr().port(),
        json!([
            {"addresses": ["192.0.2.99"], "conditions": {"ready": false}},
            {"addresses": ["127.0.0.1"], "conditions": {"ready": true}},
        ]),
    );
    assert_eq!(site.rig.ask(aim(ProxyRequest::get("/headers"), "headless", 80)).status, 200);
    assert_eq!(site.app.last("/headers").unwrap().header("host"), Some("headless.default.svc"));
    site.finish();
}

pub(crate) fn put_endpoints(rig: &Rig, service: &str, port: u16, endpoints: Value) {
    let labels = json!({"kubernetes.io/service-name": service});
    let object = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("{service}-1"), "namespace": NAMESPACE, "labels": labels},
        "ports": [{"name": "web", "port": port, "protocol": "TCP"}], "endpoints": endpoints,
    });
    rig.kube().put(object).unwrap();
}

/// With services switched off, or some of them denied, in the configuration.
#[test]
fn b38_the_operator_decides_about_services() {
    for (key, value, rule) in [
        ("policy.services", json!(false), "services"),
        ("policy.deny_services", json!(["default/app"]), "deny-services"),
        ("policy.allow_services", json!(["default/other", "shop/*"]), "allow-services"),
        ("policy.deny_namespaces", json!(["default"]), "deny-namespaces"),
        ("policy.namespaces", json!(["shop"]), "namespaces"),
    ] {
        let site = Site::with(|launch| launch.set(key, value));
        refused(&site.rig, &site.get("/headers"), rule);
        assert_eq!((site.app.requests().len(), look_ups(&site.rig)), (0, 0), "{key}");
        site.finish();
    }
    let site = Site::with(|launch| launch.set("policy.read_only", true));
    assert_eq!(site.rig.ask(site.get("/headers")).status, 200);
    let answer = site.rig.ask(ProxyRequest { method: "POST".into(), ..site.get("/upload") });
    assert_eq!(answer.status, 403);
    assert!(json(&answer)["message"].to_string().contains("(rule read-only)"));
    assert_eq!(site.rig.ask(site.aim(ProxyRequest::websocket("/echo"))).status, 403);
    site.finish();
}
