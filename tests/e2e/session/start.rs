//! From the start to the first connection: what is dialled, what is said, what is left alone.

use std::collections::BTreeSet;

use devplane::plane::{PlaneConfig, Role};

use super::harness::{Bed, LIMIT, Setup};
use super::{bed, finish, seconds, text};

/// The addresses that a process listens on, as the kernel writes them.
fn listening(pid: u32) -> Vec<String> {
    let mut sockets = BTreeSet::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        // A descriptor may be gone by now.
        if let Ok(target) = std::fs::read_link(entry.unwrap().path())
            && let Some(inode) = target.to_string_lossy().strip_prefix("socket:[")
        {
            sockets.insert(inode.trim_end_matches(']').to_owned());
        }
    }
    assert!(!sockets.is_empty(), "not even the tunnel's own socket");
    let mut found = Vec::new();
    for table in ["tcp", "tcp6"] {
        let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let columns: Vec<_> = line.split_whitespace().collect();
            if columns[3] == "0A" && sockets.contains(columns[9]) {
                found.push(columns[1].to_owned());
            }
        }
    }
    found
}

#[test]
fn f01_connects_outbound_only() {
    let bed = bed();
    let agent = bed.agent().set("agent.port", 0).online();
    assert_eq!(listening(agent.pid()), Vec::<String>::new());
    assert_eq!(bed.accepted(), [Role::Controller, Role::Gateway]);
    finish(agent, &bed);
}

#[test]
fn f01_the_default_port_is_for_this_machine_alone_and_the_tunnel_does_not_need_it() {
    let bed = bed();
    let agent = bed.agent().unset("agent.port").online();
    // Where another test or program has the port, there is none at all, and the tunnel is up all the same.
    let said = |line: &serde_json::Value| line["msg"].as_str().is_some_and(|msg| msg.starts_with("Local listener "));
    let line = agent.wait_log(said, LIMIT);
    assert_eq!(line["address"], "127.0.0.1:8080");
    // An address in the kernel's notation: 127.0.0.1 backwards, 8080.
    let expected: &[&str] = if line["msg"] == "Local listener started" { &["0100007F:1F90"] } else { &[] };
    assert_eq!(listening(agent.pid()), expected);
    assert_eq!(bed.accepted(), [Role::Controller, Role::Gateway]);
    finish(agent, &bed);
}

#[test]
fn f02_the_default_run_exposes_nothing() {
    let bed = bed();
    let agent = bed.agent().unset("logging.level").online();
    // Its own look at the cluster is over when the facts are in.
    let counted = |api: &devkube::DevKube| api.requests().iter().any(|it| it.path == "/api/v1/pods" && it.status.is_some());
    assert!(bed.kube().wait_for(counted, LIMIT), "{}", agent.text());
    agent.wait_msg("Ingress sync disabled - agent will not expose cluster via gateway proxy", LIMIT);
    finish(agent, &bed);
    assert!(bed.records().rest.is_empty());
    let requests = bed.kube().requests();
    assert!(!requests.is_empty());
    for request in requests {
        assert!(!request.path.contains("ingresses"), "{} {}", request.method, request.path);
        assert_eq!(request.method, "GET", "{}", request.path);
    }
}

#[test]
fn f44_the_log_tells_whether_the_cluster_is_exposed() {
    let bed = bed();
    let agent = bed.agent().unset("logging.level").online();
    let log = agent.text().to_lowercase();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("ingress sync")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("disabled"));
    finish(agent, &bed);
}

#[test]
fn f47_a_private_authority_is_trusted_when_it_is_named_and_only_then() {
    let bed = bed();
    let agent = bed.agent().unset("pipeops.tls.ca_file").start();
    let line = agent.wait_log(|line| line["level"] == "warning" && line["hint"].is_string(), LIMIT);
    assert!(text(&line, "error").contains("TLS handshake"), "{line}");
    assert!(text(&line, "hint").contains("pipeops.tls.ca_file"), "{line}");
    agent.stop();
    assert!(bed.accepted().is_empty());
    let agent = bed.agent().online();
    finish(agent, &bed);
}

#[test]
fn b01_wss_means_tls() {
    let bed = bed();
    let url = bed.plane.api_url().replacen("https://", "wss://", 1);
    assert!(url.starts_with("wss://"));
    let agent = bed.agent().set("pipeops.api_url", url).online();
    finish(agent, &bed);
}

#[test]
fn b01_without_tls_to_another_host_is_refused() {
    let bed = bed();
    for url in ["http://192.0.2.1", "ws://plane.example"] {
        let mut agent = bed.agent().set("pipeops.api_url", url).start();
        assert_eq!(agent.wait_exit(seconds(10)).code(), Some(78));
        let log = agent.text();
        assert!(log.contains("allow_plaintext"), "{log}");
        assert!(!log.contains(bed.plane.token()), "{log}");
    }
}

#[test]
fn b01_without_tls_to_this_host_is_allowed() {
    for gateway in [true, false] {
        let bed = Bed::new(Setup { tls: false, gateway, ..Setup::default() });
        let agent = bed.agent().unset("pipeops.tls.ca_file").online();
        finish(agent, &bed);
    }
}

#[test]
fn b56_base_path_and_slashes_of_the_address() {
    for (suffix, path) in [
        ("/", "/api/v1/clusters/agent/ws"),
        ("/base/path", "/base/path/api/v1/clusters/agent/ws"),
        ("/base/path/", "/base/path/api/v1/clusters/agent/ws"),
    ] {
        let bed = bed();
        let url = format!("{}{suffix}", bed.plane.api_url());
        let agent = bed.agent().set("pipeops.api_url", url).online();
        let records = bed.records();
        assert_eq!(records.upgrades.iter().next().unwrap().upgrade.path, path);
        finish(agent, &bed);
    }
}

#[test]
fn b58_the_version_of_kubernetes_is_the_real_one() {
    let bed = Bed::with_kube(Setup::default(), |options| {
        options.git_version = "v1.33.7+test".into();
    });
    let agent = bed.agent().online();
    let records = bed.records();
    let register = records.registers.last().unwrap();
    assert_eq!(register.payload["k8s_version"], "v1.33.7+test");
    finish(agent, &bed);
}

#[test]
fn b58_an_unknown_version_of_kubernetes_is_not_invented() {
    let mut bed = bed();
    bed.kube.as_mut().unwrap().stop();
    let agent = bed.agent().online();
    agent.until(&bed, "a heartbeat", |plane| !plane.records().heartbeats.is_empty());
    let records = bed.records();
    let register = records.registers.last().unwrap();
    assert_eq!(register.payload["k8s_version"], "");
    let heartbeat = records.heartbeats.last().unwrap();
    let metadata = heartbeat.payload["metadata"].as_object().unwrap();
    for invented in ["k8s_version", "k8s_nodes", "k8s_pods", "cpu_usage", "memory_usage"] {
        assert!(metadata.get(invented).is_none_or(|value| value == ""), "{metadata:?}");
    }
    finish(agent, &bed);
}

#[test]
fn b61_without_kubernetes_it_still_connects() {
    let bed = Bed::new(Setup { kube: false, ..Setup::default() });
    let agent = bed.agent().online();
    finish(agent, &bed);
}

#[test]
fn must1_the_upgrade_of_the_controller() {
    let bed = bed();
    let agent = bed.agent().online();
    let bearer = format!("Bearer {}", bed.plane.token());
    for record in bed.records().upgrades.iter() {
        let header = |name: &'static str| record.upgrade.header(name).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(header("authorization"), std::slice::from_ref(&bearer));
        assert!(header("sec-websocket-protocol").is_empty());
        assert!(header("sec-websocket-extensions").is_empty());
        assert!(!record.upgrade.query.contains(bed.plane.token()));
    }
    assert!(!agent.text().contains(bed.plane.token()));
    finish(agent, &bed);
}

#[test]
fn must2_the_keys_of_register() {
    let bed = bed();
    let agent =
        bed.agent().set("agent.labels.environment", "e2e").set("kubernetes.service_token", "service-token-9f8e7d6c").online();
    let records = bed.records();
    let register = records.registers.last().unwrap();
    let keys: BTreeSet<_> = register.payload.keys().map(String::as_str).collect();
    let expected = [
        "agent_id",
        "agent_version",
        "cloud_provider",
        "features",
        "hostname",
        "k8s_service_token",
        "k8s_version",
        "labels",
        "metadata",
        "name",
        "region",
        "server_ip",
        "server_specs",
        "tunnel_port_config",
    ];
    assert_eq!(keys, BTreeSet::from(expected));
    assert!(register.request_id.is_some());
    assert_eq!(register.payload["name"], "e2e");
    assert_eq!(register.payload["agent_version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(register.payload["labels"]["environment"], "e2e");
    assert_eq!(register.payload["k8s_service_token"], "service-token-9f8e7d6c");
    assert_eq!(register.payload["metadata"]["registration_mode"], "fresh");
    assert!(!agent.text().contains("service-token-9f8e7d6c"));
    finish(agent, &bed);
}

#[test]
fn a_service_token_is_read_again_from_its_file() {
    let bed = bed();
    let path = bed.folder().join("service-token");
    std::fs::write(&path, "first-9f8e7d6c\n").unwrap();
    let agent = bed.agent().set("kubernetes.service_token_file", path.to_str().unwrap()).online();
    assert_eq!(bed.records().registers.last().unwrap().payload["k8s_service_token"], "first-9f8e7d6c");
    std::fs::write(&path, "second-9f8e7d6c\n").unwrap();
    // The facts are looked up once more when the new token is seen, and pods are counted last; what registers after that has it.
    let counts = |api: &devkube::DevKube| api.requests().iter().filter(|it| it.path == "/api/v1/pods").count();
    assert!(bed.kube().wait_for(|api| counts(api) >= 2, LIMIT), "{}", agent.text());
    bed.plane.drop_agents().unwrap();
    agent.until(&bed, "another registration", |plane| plane.records().registers.len() >= 2);
    assert_eq!(bed.records().registers.last().unwrap().payload["k8s_service_token"], "second-9f8e7d6c");
    agent.online(&bed);
    assert!(!agent.text().contains("9f8e7d6c"));
    finish(agent, &bed);
}

#[test]
fn must3_the_seven_parameters_of_the_gateway() {
    let bed = bed();
    let agent = bed.agent().online();
    let records = bed.records();
    let gateway = records.upgrades.iter().find(|it| it.role == Role::Gateway).unwrap();
    assert_eq!(gateway.upgrade.path, "/ws");
    let expected = format!(
        "agent_version={}&cluster_uuid={}&supports_binary=true&supports_response_streaming=true\
         &supports_streaming=true&supports_websocket=true&supports_yamux=true",
        env!("CARGO_PKG_VERSION"),
        bed.cluster_id()
    );
    assert_eq!(gateway.upgrade.query, expected);
    // The controller was left in good order.
    agent.until(&bed, "the end of the controller's socket", |plane| !plane.records().disconnects.is_empty());
    let records = bed.records();
    let left = records.disconnects.iter().next().unwrap();
    assert_eq!((left.role, left.code), (Role::Controller, Some(1000)));
    finish(agent, &bed);
}

#[test]
fn must7_envelopes_in_binary_frames() {
    for gateway in [true, false] {
        let bed = Bed::new(Setup {
            gateway,
            plane: PlaneConfig { binary_envelopes: true, ..PlaneConfig::default() },
            ..Setup::default()
        });
        let agent = bed.agent().online();
        bed.with_plane(|plane| {
            let connection = plane.connections().last().unwrap().0;
            plane.send_json_ping(connection);
        });
        agent.until(&bed, "a pong", |plane| plane.records().others.iter().any(|it| it.kind == "pong"));
        finish(agent, &bed);
    }
}
