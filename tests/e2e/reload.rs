//! A configuration that changes under the running binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "upgrades/api.rs"]
mod api;
#[path = "upgrades/backend.rs"]
mod backend;
#[path = "harness.rs"]
mod harness;
#[path = "exchanges/rig.rs"]
mod rig;
#[path = "upgrades/socket.rs"]
mod socket;

use std::path::{Path, PathBuf};

use devplane::plane::{Body, ProxyRequest};
use serde_json::{Value, json};

use api::{Api, exec};
use harness::LIMIT;
use rig::{CONFIG_MAPS, Rig, config_map, get, head, read_until, request};
use socket::{BINARY, TEXT};

const RELOADED: &str = "Configuration read again";
const NOT_RELOADED: &str = "Configuration is wrong, going on with the one before";
const RESTART_NEEDED: &str = "Changed settings that need a restart to have an effect";

fn file(rig: &Rig) -> PathBuf {
    rig.bed.folder().join("agent.yaml")
}

/// Puts another file in place of the old one, as editors do, with these settings changed.
fn rewrite(path: &Path, changes: &[(&str, Value)]) {
    let mut config: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    for (key, value) in changes {
        let pointer = format!("/{}", key.replace('.', "/"));
        let (section, name) = pointer.rsplit_once('/').unwrap();
        if config.pointer(section).is_none() {
            config[section.trim_start_matches('/')] = json!({});
        }
        config.pointer_mut(section).unwrap()[name] = value.clone();
    }
    let new = path.with_extension("new");
    std::fs::write(&new, config.to_string()).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// Tells the agent to read its configuration again, and waits until it has. Gives what it says has changed.
#[track_caller]
fn reload(rig: &Rig) -> String {
    let before = rig.agent.logs_with_msg(RELOADED).len();
    rig.agent.signal("HUP");
    let lines = rig.agent.wait_msgs(RELOADED, before + 1, LIMIT);
    lines.last().unwrap()["changed"].as_str().unwrap().to_owned()
}

#[test]
fn policy_and_level_change_at_once_and_a_watch_does_not_notice() {
    let rig = Rig::start();
    let mut watch = rig.open(get(CONFIG_MAPS).query("watch=true"));
    assert_eq!(head(&mut watch), 200);
    let create = || rig.ask(ProxyRequest { body: Body::Json(config_map("x")), ..request("POST", CONFIG_MAPS) });

    rewrite(&file(&rig), &[("policy.read_only", json!(true)), ("logging.level", json!("info"))]);
    assert_eq!(reload(&rig), "logging.level, policy.read_only");
    rig.settle();
    let said = rig.agent.logs().len();
    assert_eq!(create().status, 403, "new requests are judged by the new policy");
    rig.kube().put(config_map("seen")).unwrap();
    read_until(&mut watch, "\"seen\"");
    assert!(rig.agent.logs().iter().skip(said).all(|line| line["level"] != "debug"), "{}", rig.agent.text());

    rewrite(&file(&rig), &[("policy.read_only", json!(false))]);
    assert_eq!(reload(&rig), "policy.read_only");
    rig.settle();
    assert_eq!(create().status, 201);
    read_until(&mut watch, "\"x\"");
    assert_eq!(rig.bed.records().disconnects.total(), 1, "only the controller's socket, when the gateway took over");
    rig.finish();
}

#[test]
fn an_exec_does_not_notice_a_reload() {
    let api = Api::start();
    let (mut socket, mut peer) = api.exec();
    let path = file(&api.rig);
    for round in 0..3 {
        let size = 1024 * 1024 * (2 + round);
        rewrite(&path, &[("limits.buffer_bytes", json!(size)), ("policy.read_only", json!(true))]);
        assert!(reload(&api.rig).contains("limits.buffer_bytes"));
        socket.send(TEXT, "ls\n");
        assert_eq!(peer.frame(), (BINARY, b"\0ls\n".to_vec()));
        peer.send(BINARY, b"\x01output");
        assert_eq!(socket.frame(), (TEXT, b"output".to_vec()));
    }
    // A new one is judged by the new policy.
    let mut refused = api.begin(exec());
    let part = refused.part();
    assert!(format!("{part:?}").contains("read-only"), "{part:?}");
    socket.close();
    peer.ended_without_a_word();
    drop(refused);
    api.finish();
}

#[test]
fn a_changed_file_is_noticed_without_a_signal_and_a_link_that_is_swapped_too() {
    let rig = Rig::start();
    let path = file(&rig);
    rewrite(&path, &[("agent.labels", json!({"site": "a"}))]);
    let line = rig.agent.wait_msg(RELOADED, LIMIT);
    assert_eq!((&line["reason"], &line["changed"]), (&json!("file"), &json!("agent.labels")));

    // As Kubernetes renews a ConfigMap: the path stays, the link in it points elsewhere.
    let other = rig.bed.folder().join("other.yaml");
    std::fs::copy(&path, &other).unwrap();
    rewrite(&other, &[("agent.labels", json!({"site": "b"}))]);
    let link = path.with_extension("link");
    std::os::unix::fs::symlink(&other, &link).unwrap();
    std::fs::rename(&link, &path).unwrap();
    rig.agent.wait_msgs(RELOADED, 2, LIMIT);

    // Labels go out with the next registration.
    rig.bed.plane.drop_agents().unwrap();
    rig.agent.until(&rig.bed, "a second registration", |plane| plane.records().registers.total() >= 2);
    let registers = rig.bed.records().registers;
    assert_eq!(registers.iter().last().unwrap().payload["labels"]["site"], "b");
    rig.finish();
}

#[test]
fn a_wrong_file_changes_nothing_and_names_its_mistakes() {
    let rig = Rig::start();
    let path = file(&rig);
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, "agent: {prot: 1}\nlogging: {level: loud}\npipeops: {token: CANARY CANARY}\n").unwrap();
    rig.agent.signal("HUP");
    let line = rig.agent.wait_msg(NOT_RELOADED, LIMIT);
    assert_eq!(line["level"], "warning");
    let error = line["error"].as_str().unwrap();
    assert!(error.contains("agent.yaml:1:9: unknown key agent.prot: did you mean agent.port?"), "{error}");
    assert!(error.contains("logging.level: \"loud\""), "{error}");
    assert!(!rig.agent.text().contains("CANARY"));
    assert_eq!(rig.ask(get(CONFIG_MAPS)).status, 200);

    std::fs::write(&path, good).unwrap();
    assert_eq!(reload(&rig), "", "the same as before");
    rig.finish();
}

#[test]
fn what_needs_a_restart_is_named_and_has_no_effect() {
    let rig = Rig::start();
    let changes =
        [("agent.cluster_name", json!("other")), ("timeouts.websocket_ping", json!("9s")), ("limits.max_exchanges", json!(7))];
    rewrite(&file(&rig), &changes);
    assert_eq!(reload(&rig), "limits.max_exchanges");
    let line = rig.agent.wait_msg(RESTART_NEEDED, LIMIT);
    assert_eq!(line["settings"], "agent.cluster_name, timeouts.websocket_ping");
    rig.bed.plane.drop_agents().unwrap();
    rig.agent.until(&rig.bed, "a second registration", |plane| plane.records().registers.total() >= 2);
    let registers = rig.bed.records().registers;
    assert_eq!(registers.iter().last().unwrap().payload["name"], registers.iter().next().unwrap().payload["name"]);
    // Until the restart it is said each time, since it is still so.
    assert_eq!(reload(&rig), "");
    rig.agent.wait_msgs(RESTART_NEEDED, 2, LIMIT);
    rig.finish();
}

#[test]
fn the_next_dial_uses_the_new_token_and_this_connection_stays() {
    let rig = Rig::start();
    let good = rig.bed.plane.token().to_owned();
    rewrite(&file(&rig), &[("pipeops.token", json!("another-token-CANARY"))]);
    assert_eq!(reload(&rig), "pipeops.token");
    assert_eq!(rig.ask(get(CONFIG_MAPS)).status, 200, "the connection is as it was");
    rig.bed.plane.drop_agents().unwrap();
    rig.agent.until(&rig.bed, "a refused dial", |plane| plane.records().upgrades.iter().any(|it| it.status == 401));

    rewrite(&file(&rig), &[("pipeops.token", json!(good))]);
    reload(&rig);
    rig.agent.online(&rig.bed);
    assert!(!rig.agent.text().contains("CANARY"));
    rig.agent.stop();
}
