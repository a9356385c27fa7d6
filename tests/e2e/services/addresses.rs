//! Addresses that a service must not stand for, whatever the API server says.

use devplane::plane::ProxyRequest;
use serde_json::json;

use crate::rig::{PATIENCE, Rig, json};
use crate::site::{aim, put_service};
use crate::targets::put_endpoints;

const REFUSED: &str = "Refused a request of the control plane by policy";

#[track_caller]
fn refused(rig: &Rig, service: &str) {
    for request in [ProxyRequest::get("/"), ProxyRequest::get("/").buffered(), ProxyRequest::websocket("/")] {
        let answer = rig.ask(aim(request, service, 80));
        assert_eq!((answer.status, &answer.error), (403, &None), "{service}: {answer:?}");
        let status = json(&answer);
        assert_eq!(status["reason"], "Forbidden");
        let message = status["message"].as_str().unwrap();
        assert!(message.contains("(rule address)"), "{message}");
    }
}

#[test]
fn b38_addresses_of_machines_and_metadata_services_are_refused() {
    let rig = Rig::start();
    for (number, address) in [
        "127.0.0.1",
        "127.1.2.3",
        "0.0.0.0",
        "169.254.169.254",
        "169.254.170.2",
        "169.254.1.1",
        "100.100.100.200",
        "168.63.129.16",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "ff02::1",
        "fd00:ec2::254",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("bad-{number}");
        put_service(&rig, &name, json!({"clusterIP": address, "ports": [{"port": 80}]}));
        refused(&rig, &name);
    }
    rig.finish();
}

#[test]
fn b38_a_pod_address_that_is_a_nodes_is_refused() {
    let rig = Rig::start();
    for (name, address) in [("node", "192.0.2.10"), ("self", "127.0.0.1"), ("metadata", "169.254.169.254")] {
        put_service(&rig, name, json!({"clusterIP": "None", "ports": [{"name": "web", "port": 80}]}));
        put_endpoints(&rig, name, 80, json!([{"addresses": [address], "conditions": {"ready": true}}]));
        refused(&rig, name);
    }
    rig.finish();
}

#[test]
fn b38_what_is_allowed_opens_nothing_else() {
    let rig = Rig::with(|launch| launch.set("policy.allow_addresses", json!(["127.0.0.0/8"])));
    put_service(&rig, "metadata", json!({"clusterIP": "169.254.169.254", "ports": [{"port": 80}]}));
    refused(&rig, "metadata");
    rig.finish();
}

#[test]
fn b38_a_rule_that_refuses_is_a_warning_once() {
    let rig = Rig::start();
    put_service(&rig, "bad", json!({"clusterIP": "127.0.0.1", "ports": [{"port": 80}]}));
    refused(&rig, "bad");
    refused(&rig, "bad");
    rig.ask(aim(ProxyRequest::get("/"), "not.a.label", 80));
    let logs = rig.agent.wait_msgs(REFUSED, 7, PATIENCE);
    let of = |rule: &str, level: &str| logs.iter().filter(|line| line["rule"] == rule && line["level"] == level).count();
    assert_eq!((of("address", "warning"), of("address", "debug")), (1, 5), "{logs:#?}");
    assert_eq!((of("service-name", "warning"), of("service-name", "debug")), (1, 0));
    rig.finish();
}
