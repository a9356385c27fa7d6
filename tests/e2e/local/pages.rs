//! What each page says in each state of the connection.

use devplane::plane::Refusal;
use serde_json::Value;

use crate::door::{get, listening, series};
use crate::harness::{Bed, LIMIT, Setup};

const RECONNECTING: &str = "Attempting to reconnect to WebSocket";
const LOST: &str = "WebSocket connection closed unexpectedly";

#[test]
fn before_the_plane_is_there_the_agent_lives_and_is_not_ready() {
    let bed = Bed::new(Setup { listening: false, ..Setup::default() });
    let (agent, address) = listening(|| bed.agent());
    agent.wait_msg(RECONNECTING, LIMIT);
    assert_eq!((get(address, "/healthz").status, get(address, "/healthz").body.as_str()), (200, "ok\n"));
    let reply = get(address, "/readyz");
    assert_eq!(reply.status, 503);
    assert!(reply.body.starts_with("not ready: ") && reply.body.contains("last error: cannot connect"), "{reply:?}");
    let health = get(address, "/health");
    assert_eq!(health.status, 200);
    let health = health.json();
    let keys: Vec<_> = health.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["connected", "connection_state", "registered", "status", "timestamp", "version"]);
    assert_eq!((&health["connected"], &health["registered"]), (&false.into(), &false.into()));
    assert_eq!((&health["connection_state"], &health["status"]), (&"connecting".into(), &"healthy".into()));
    let ready = get(address, "/ready");
    assert_eq!(ready.status, 503);
    let ready = ready.json();
    assert_eq!((&ready["status"], &ready["healthy"]), (&"not_ready".into(), &false.into()));
    assert!(ready["consecutive_failures"].as_u64() >= Some(1), "{ready}");
    assert_eq!(ready["reason"], "agent not connected to control plane");
    let status = get(address, "/status").json();
    assert_eq!((&status["state"], &status["ready"], &status["registered"]), (&"connecting".into(), &false.into(), &false.into()));
    assert_eq!((&status["cluster_id"], &status["heartbeat_seconds"]), (&Value::Null, &Value::Null));
    let plane = status["plane"].as_str().unwrap();
    assert!(bed.plane.api_url().ends_with(plane), "{plane}");
    let series = series(address);
    assert_eq!((series["pipeops_agent_connection_state"], series["pipeops_agent_ready"]), (1.0, 0.0));
    assert!(series["pipeops_agent_reconnects_total{reason=\"unreachable\"}"] >= 1.0);
    agent.stop();
}

#[test]
fn online_everything_says_so() {
    for gateway in [true, false] {
        let bed = Bed::new(Setup { gateway, ..Setup::default() });
        let (agent, address) = listening(|| bed.agent());
        agent.online(&bed);
        agent.wait_msg("Heartbeat sent successfully", LIMIT);
        assert_eq!((get(address, "/readyz").status, get(address, "/readyz").body.as_str()), (200, "ready\n"));
        let health = get(address, "/health").json();
        assert_eq!((&health["connected"], &health["registered"]), (&true.into(), &true.into()));
        let ready = get(address, "/ready");
        assert_eq!(ready.status, 200);
        let ready = ready.json();
        let keys: Vec<_> = ready.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = [
            "connected",
            "connection_state",
            "healthy",
            "last_heartbeat",
            "registered",
            "status",
            "time_since_heartbeat",
            "timestamp",
        ];
        assert_eq!((keys.as_slice(), &ready["status"]), (expected.as_slice(), &"ready".into()));
        assert!(ready["last_heartbeat"].as_str().unwrap().ends_with('Z'), "{ready}");
        let status = get(address, "/status").json();
        assert_eq!(
            (&status["state"], &status["ready"], &status["registered"]),
            (&"connected".into(), &true.into(), &true.into())
        );
        assert_eq!(status["endpoint"], if gateway { "gateway" } else { "controller" });
        assert_eq!((&status["cluster_id"], &status["cluster_name"]), (&bed.cluster_id().into(), &"e2e".into()));
        assert_eq!((&status["reason"], &status["attempt"]), (&Value::Null, &0.into()));
        for key in ["state_seconds", "heartbeat_seconds", "heard_seconds", "uptime_seconds", "exchanges_open"] {
            assert!(status[key].as_u64() < Some(60), "{key} in {status}");
        }
        for key in ["bytes_to_plane", "bytes_from_plane", "budget_ceiling_bytes", "memory_bytes"] {
            assert!(status[key].as_u64() > Some(0), "{key} in {status}");
        }
        assert_eq!(status["config_file"], bed.folder().join("agent.yaml").display().to_string());
        let series = series(address);
        assert_eq!((series["pipeops_agent_connection_state"], series["pipeops_agent_ready"]), (2.0, 1.0));
        assert!(series["pipeops_agent_heartbeat_success_total"] >= 1.0);
        let count = "pipeops_agent_heartbeat_duration_seconds_bucket{le=\"+Inf\"}";
        assert!(series[count] >= 1.0 && series["pipeops_agent_heartbeat_age_seconds"] < 60.0, "{series:?}");
        assert_eq!(series["pipeops_agent_connection_state_changes_total{state=\"connected\"}"], 1.0);
        for name in ["process_resident_memory_bytes", "process_open_fds"] {
            assert!(series[name] > 3.0, "{name}");
        }
        assert!((1.7e9..4e9).contains(&series["process_start_time_seconds"]));
        agent.stop();
        bed.assert_clean();
    }
}

#[test]
fn a_plane_that_falls_silent_ends_the_readiness() {
    let bed = Bed::new(Setup::default());
    let (agent, address) = listening(|| bed.agent().set("timeouts.websocket_read", "4s").set("timeouts.websocket_ping", "1s"));
    agent.wait_msg("Heartbeat sent successfully", LIMIT);
    assert_eq!(get(address, "/readyz").status, 200);
    bed.set_faults(|faults| faults.black_hole = true);
    agent.wait_msg(LOST, LIMIT);
    let reply = get(address, "/readyz");
    assert_eq!(reply.status, 503);
    assert!(reply.body.contains("within the liveness bound"), "{reply:?}");
    assert_eq!((get(address, "/healthz").status, get(address, "/ready").status), (200, 503));
    let status = get(address, "/status").json();
    assert_eq!((&status["state"], &status["registered"]), (&"reconnecting".into(), &false.into()));
    let series = series(address);
    assert_eq!(series["pipeops_agent_connection_state"], 3.0);
    assert_eq!(series["pipeops_agent_reconnects_total{reason=\"silent\"}"], 1.0);
    bed.set_faults(|faults| faults.black_hole = false);
    agent.until(&bed, "the return", |plane| plane.online() > 0 && plane.records().upgrades.total() >= 4);
    agent.stop();
}

#[test]
fn a_plane_that_refuses_is_named_with_the_cure() {
    let bed = Bed::new(Setup::default());
    bed.set_faults(|faults| faults.refuse_controller = Some(Refusal::with_status(401)));
    let (agent, address) = listening(|| bed.agent());
    agent.wait_msg(RECONNECTING, LIMIT);
    let reply = get(address, "/readyz");
    assert!(reply.status == 503 && reply.body.contains("status 401"), "{reply:?}");
    let status = get(address, "/status").json();
    assert!(status["hint"].as_str().unwrap().contains("PIPEOPS_TOKEN"), "{status}");
    assert!(status["last_error"].as_str().unwrap().contains("401"), "{status}");
    assert!(series(address)["pipeops_agent_reconnects_total{reason=\"token_refused\"}"] >= 1.0);
    agent.stop();
}

#[test]
fn b34_the_version_is_the_one_that_the_command_prints() {
    let bed = Bed::new(Setup { listening: false, kube: false, ..Setup::default() });
    let (agent, address) = listening(|| bed.agent());
    let reply = get(address, "/version");
    assert!(reply.status == 200 && reply.head.contains("application/json; charset=utf-8"), "{reply:?}");
    let version = reply.json();
    let keys: Vec<_> = version.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["build_date", "full_version", "git_commit", "timestamp", "version"]);
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    let printed = std::process::Command::new(env!("CARGO_BIN_EXE_pipeops-agent")).arg("version").output().unwrap();
    assert_eq!(version["full_version"].as_str(), std::str::from_utf8(&printed.stdout).unwrap().lines().next());
    agent.stop();
}
