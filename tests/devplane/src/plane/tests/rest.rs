//! The REST endpoints.

use serde_json::json;

use super::*;
use crate::plane::{Refusal, RestRequest};

fn post(path: &str, body: &Value) -> RestRequest {
    RestRequest {
        method: "POST".into(),
        path: path.into(),
        headers: vec![("authorization".into(), "Bearer secret".into()), ("content-type".into(), "application/json".into())],
        body: body.to_string().into_bytes(),
    }
}

#[test]
fn routes() {
    let (mut bench, _) = Bench::online();
    let id = bench.cluster_id();
    let route = json!({
        "hostname": "a.test", "cluster_uuid": id, "namespace": "n", "service_name": "traefik", "service_port": 80,
        "ingress_name": "a", "path": "/", "path_type": "Prefix", "tls": true, "routing_mode": "tunnel",
    });
    let path = json!({"path": "/", "path_type": "Prefix", "service_name": "traefik", "service_port": 80});
    let ingress = json!({
        "namespace": "n", "ingress_name": "a", "rules": [{"host": "a.test", "tls": false, "paths": [path]}],
    });
    let calls = [
        ("/api/v1/gateway/routes/register", route),
        ("/base/api/v1/gateway/routes/sync", json!({"cluster_uuid": id, "ingresses": [ingress]})),
        ("/api/v1/gateway/routes/unregister", json!({"hostname": "a.test"})),
    ];
    for (path, body) in calls {
        assert_eq!(bench.plane.rest(1, post(path, &body)).unwrap().status, 200);
    }
    bench.assert_breaches(&[]);
    assert_eq!(bench.plane.records().rest.len(), 3);
}

#[test]
fn breaches() {
    let (mut bench, _) = Bench::online();
    bench.plane.config.tokens = vec!["secret".into()];
    let path = "/api/v1/gateway/routes/sync";
    let mut request = post(path, &json!({"cluster_uuid": "x", "ingresses": [{}]}));
    assert_eq!(bench.plane.rest(1, request.clone()).unwrap().status, 200);
    let missing = |field: &str| Breach::FieldMissing { message: "sync.ingresses".into(), field: field.into() };
    bench.assert_breaches(&[
        missing("namespace"),
        missing("ingress_name"),
        missing("rules"),
        field_value(path, "cluster_uuid", "x"),
    ]);
    request.headers[0].1 = "Bearer other".into();
    assert_eq!(bench.plane.rest(1, request).unwrap().status, 401);
    let request = RestRequest { body: Vec::new(), ..post(path, &json!({})) };
    assert_eq!(bench.plane.rest(1, request).unwrap().status, 400);
    bench.assert_breaches(&[Breach::NotAnObject]);
    assert_eq!(bench.plane.rest(1, post("/x", &json!({}))).unwrap().status, 404);
    bench.assert_breaches(&[Breach::RestUnknown { method: "POST".into(), path: "/x".into() }]);
}

#[test]
fn intelligence_and_faults() {
    let (mut bench, _) = Bench::online();
    let request =
        RestRequest { method: "GET".into(), path: "/api/v1/public/ip-intel/203.0.113.7".into(), ..RestRequest::default() };
    assert_eq!(bench.plane.rest(1, request.clone()).unwrap().status, 404);
    bench.plane.config.intelligence = Some(json!({"country_code": "DE"}));
    let body = bench.plane.rest(1, request.clone()).unwrap().body;
    assert_eq!(body["data"], json!({"country_code": "DE", "ip": "203.0.113.7"}));
    bench.assert_breaches(&[]);
    bench.plane.faults.refuse_rest = Some(Refusal::with_status(500).times(1));
    assert_eq!(bench.plane.rest(1, request.clone()).unwrap().status, 500);
    bench.plane.faults.hang_rest = true;
    assert_eq!(bench.plane.rest(1, request), None);
    bench.plane.faults.hang_rest = false;
    bench.plane.rest(1, post("/api/v1/public/ip-intel/1.1.1.1", &json!({})));
    bench.assert_breaches(&[Breach::TokenSentNeedlessly]);
}
