//! The FAQ's pages about health and troubleshooting, line by line: the situation that a page describes writes the line that it shows.

use devplane::plane::{HeartbeatReply, Refusal};
use serde_json::Value;

use crate::harness::{Agent, Bed, LIMIT, Setup};
use crate::{CLUSTER_REGISTERED, CONNECT_FAILED, LOST, RECONNECTED, RECONNECTING, REGISTERED, STATE_CHANGED, millis, text};

fn at_info(bed: &Bed) -> crate::harness::Launch<'_> {
    bed.agent().unset("logging.level")
}

/// The four durations of a wait, as the page shows them.
#[track_caller]
fn assert_wait(line: &Value, base: &str, next: &str) {
    assert_eq!(line["level"], "info");
    assert_eq!((text(line, "base_delay"), text(line, "next_delay")), (base, next), "{line}");
    let (base, jitter, total) = (millis(base), millis(text(line, "jitter")), millis(text(line, "total_delay")));
    assert!(jitter.abs() <= base / 4.0, "{line}");
    assert!((base + jitter - total).abs() < 0.001, "{line}");
}

/// What the error says, how the agent is started for it, what the hint names.
type Cause<'bed> = (&'static str, &'bed dyn Fn() -> Agent, &'static [&'static str]);
/// The level in the file, in the environment, as a flag; and whether DEBUG is the outcome.
type Levels = (Option<&'static str>, &'static [(&'static str, &'static str)], Option<&'static str>, bool);

/// "Agent not connecting to control plane".
#[test]
fn f36_f37_each_cause_of_not_connecting_is_told_with_its_cure() {
    let bed = Bed::new(Setup::default());
    let away = Bed::new(Setup { listening: false, ..Setup::default() });
    let refusing = |status: u16| {
        bed.set_faults(move |faults| faults.refuse_controller = Some(Refusal::with_status(status)));
        at_info(&bed).start()
    };
    let cases: [Cause<'_>; 5] = [
        ("401", &|| at_info(&bed).set("pipeops.token", "not-the-token-0a1b2c3d").start(), &["PIPEOPS_TOKEN", "AGENT_TOKEN"]),
        ("resolve", &|| at_info(&bed).set("pipeops.api_url", "https://no-such-host.invalid").start(), &["PIPEOPS_API_URL"]),
        ("cannot connect", &|| at_info(&away).start(), &["PIPEOPS_API_URL", "firewall"]),
        ("404", &|| refusing(404), &["PIPEOPS_API_URL"]),
        ("503", &|| refusing(503), &["nothing to do here"]),
    ];
    for (cause, start, cures) in cases {
        let agent = start();
        let line = agent.wait_log(|line| line["msg"] == CONNECT_FAILED && line["error"].to_string().contains(cause), LIMIT);
        assert_eq!(line["level"], "warning");
        assert!(text(&line, "error").starts_with("failed to connect via WebSocket"), "{line}");
        for cure in cures {
            assert!(text(&line, "hint").contains(cure), "{cure} in {line}");
        }
        assert_wait(&agent.wait_msg(RECONNECTING, LIMIT), "500ms", "1s");
        agent.stop();
    }
}

/// "WebSocket disconnections", and "How can I confirm the agent is healthy?" after one.
#[test]
fn f23_f24_f25_f38_f39_f41_a_dropped_socket_as_the_faq_shows_it() {
    let bed = Bed::new(Setup::default());
    let agent = at_info(&bed).online();
    agent.until(&bed, "a heartbeat", |plane| !plane.records().heartbeats.is_empty());
    let before = agent.logs().len();
    let dropped = bed.with_plane(|plane| {
        plane.drop_agents();
        plane.now()
    });
    agent.wait_msg(RECONNECTED, LIMIT);
    let took = bed.records().upgrades.last().unwrap().at - dropped;
    assert!(took <= 2000, "{took} ms");
    let lines: Vec<_> = agent.logs().into_iter().skip(before).collect();
    let messages: Vec<_> = lines.iter().map(|line| text(line, "msg")).collect();
    // The whole of it, in this order.
    assert_eq!(messages, [LOST, STATE_CHANGED, RECONNECTING, REGISTERED, CLUSTER_REGISTERED, STATE_CHANGED, RECONNECTED]);
    assert_eq!(text(&lines[0], "error"), "websocket: close 1006 (abnormal closure): unexpected EOF");
    assert_eq!(lines[0]["level"], "warning");
    assert_eq!((text(&lines[1], "old_state"), text(&lines[1], "new_state")), ("connected", "reconnecting"));
    assert_wait(&lines[2], "500ms", "1s");
    assert_eq!(lines[3]["status"], "re-registered");
    assert_eq!((text(&lines[5], "old_state"), text(&lines[5], "new_state")), ("reconnecting", "connected"));
    assert_eq!(lines[6]["attempts"], 1);
    assert!(lines[1..].iter().all(|line| line["level"] == "info"));
    agent.stop();
}

/// "Uses exponential backoff with jitter", "caps at 15s after 6 failures".
#[test]
fn f40_the_waits_double_and_the_sixth_is_the_longest() {
    let bed = Bed::new(Setup { listening: false, ..Setup::default() });
    let agent = at_info(&bed).start();
    let lines = agent.wait_msgs(RECONNECTING, 6, LIMIT);
    let steps = [("500ms", "1s"), ("1s", "2s"), ("2s", "4s"), ("4s", "8s"), ("8s", "15s"), ("15s", "15s")];
    for (line, (base, next)) in lines.iter().zip(steps) {
        assert_wait(line, base, next);
    }
    agent.stop();
}

/// "Why don't I see heartbeat/ping logs?"
#[test]
fn f20_f21_only_heartbeats_that_fail_show_at_the_default_level() {
    let bed = Bed::new(Setup::default());
    let agent = at_info(&bed).set("agent.heartbeat_interval_connected", 5).online();
    agent.until(&bed, "a heartbeat", |plane| plane.records().heartbeats.total() >= 1);
    assert!(!agent.text().to_lowercase().contains("heartbeat"), "{}", agent.text());
    bed.set_faults(|faults| faults.heartbeat = HeartbeatReply::Error("database is away".into()));
    let line = agent.wait_msg("Heartbeat failed, retrying with backoff...", LIMIT);
    assert_eq!(line["level"], "warning");
    assert!(text(&line, "error").contains("database is away"));
    agent.stop();
}

/// "How to check if ingress sync is enabled": `grep -i "ingress sync"`.
#[test]
fn f44_one_line_tells_whether_the_cluster_is_exposed() {
    let bed = Bed::new(Setup { listening: false, ..Setup::default() });
    let agent = at_info(&bed).start();
    agent.wait_msg(RECONNECTING, LIMIT);
    let log = agent.text();
    let lines: Vec<_> = log.lines().filter(|line| line.to_lowercase().contains("ingress sync")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("\"msg\":\"Ingress sync disabled - agent will not expose cluster via gateway proxy\""));
    agent.stop();
}

/// "Enable verbose heartbeat logging": the file, the environment, the flag, and which of them counts.
#[test]
fn f43_three_ways_to_set_the_level_and_their_order() {
    let bed = Bed::new(Setup { listening: false, ..Setup::default() });
    let cases: [Levels; 9] = [
        (None, &[], None, false),
        (Some("debug"), &[], None, true),
        (None, &[("LOG_LEVEL", "debug")], None, true),
        (None, &[("PIPEOPS_LOG_LEVEL", "debug")], None, true),
        (None, &[], Some("debug"), true),
        (Some("info"), &[("LOG_LEVEL", "debug")], None, true),
        (Some("debug"), &[("LOG_LEVEL", "info")], None, false),
        (Some("info"), &[("LOG_LEVEL", "info")], Some("debug"), true),
        (Some("debug"), &[("LOG_LEVEL", "debug")], Some("info"), false),
    ];
    for (file, environment, flag, debug) in cases {
        let mut launch = at_info(&bed);
        if let Some(level) = file {
            launch = launch.set("logging.level", level);
        }
        for (name, value) in environment {
            launch = launch.env(*name, *value);
        }
        if let Some(level) = flag {
            launch = launch.arg("--log-level").arg(level);
        }
        let agent = launch.start();
        agent.wait_msg(RECONNECTING, LIMIT);
        let seen = agent.logs().iter().any(|line| line["level"] == "debug");
        assert_eq!(seen, debug, "{file:?} {environment:?} {flag:?}\n{}", agent.text());
        agent.stop();
    }
}
