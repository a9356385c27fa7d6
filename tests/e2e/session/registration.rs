//! Registration: what is said, what is remembered, what goes wrong.

use devplane::plane::{PlaneConfig, Refusal, RegisterReply, Role};

use super::harness::{Bed, LIMIT, Setup};
use super::{REGISTERED, bed, connection, finish, saved, seconds, text};

#[test]
fn f23_f24_b18_registers_and_resumes_after_a_restart() {
    let bed = bed();
    let agent = bed.agent().online();
    let cluster_id = bed.cluster_id();
    let line = agent.wait_msg(REGISTERED, LIMIT);
    assert_eq!((&line["level"], &line["status"]), (&"info".into(), &"registered".into()));
    let line = agent.wait_msg("Cluster registered successfully", LIMIT);
    assert_eq!((&line["level"], text(&line, "cluster_id")), (&"info".into(), cluster_id.as_str()));
    let records = bed.records();
    let first = records.registers.last().unwrap();
    assert!(!first.payload.contains_key("cluster_id"));
    assert_eq!(first.payload["metadata"]["registration_mode"], "fresh");
    assert_eq!(saved(&agent, &bed), cluster_id);
    agent.stop();
    assert_eq!(bed.accepted(), [Role::Controller, Role::Gateway]);

    let agent = bed.agent().online();
    let line = agent.wait_msg(REGISTERED, LIMIT);
    assert_eq!(line["status"], "re-registered");
    assert_eq!(text(&line, "cluster_id"), cluster_id);
    let records = bed.records();
    let second = records.registers.last().unwrap();
    assert_eq!(records.registers.total(), 2);
    assert_eq!(second.payload["cluster_id"], cluster_id.as_str());
    assert_eq!(second.payload["agent_id"], first.payload["agent_id"]);
    assert_eq!(second.payload["metadata"]["registration_mode"], "resume");
    finish(agent, &bed);
    let all = [Role::Controller, Role::Gateway, Role::Controller, Role::Gateway];
    assert_eq!(bed.accepted(), all);
    assert_eq!(bed.records().upgrades.total(), 4);
}

#[test]
fn b17_the_gateway_gets_the_uuid_every_time() {
    let bed = Bed::new(Setup { plane: PlaneConfig { distinct_uuid: true, ..PlaneConfig::default() }, ..Setup::default() });
    let agent = bed.agent().online();
    agent.until(&bed, "a heartbeat", |plane| plane.records().heartbeats.total() == 1);
    bed.plane.drop_agents().unwrap();
    agent.until(&bed, "a heartbeat on a second gateway socket", |plane| {
        plane.records().upgrades.total() == 4 && plane.records().heartbeats.total() == 2
    });
    saved(&agent, &bed);
    agent.stop();
    let agent = bed.agent().online();
    let (id, uuid) = bed.with_plane(|plane| {
        let cluster = plane.clusters().next().unwrap();
        (cluster.cluster_id.clone(), cluster.cluster_uuid.clone())
    });
    assert_ne!(id, uuid);
    let records = bed.records();
    let given: Vec<_> = records
        .upgrades
        .iter()
        .filter(|it| it.role == Role::Gateway)
        .map(|it| it.upgrade.parameter("cluster_uuid").unwrap())
        .collect();
    assert_eq!(given, vec![uuid; 3]);
    agent.until(&bed, "a heartbeat", |plane| plane.records().heartbeats.total() == 3);
    let records = bed.records();
    for heartbeat in records.heartbeats.iter() {
        assert_eq!(heartbeat.payload["cluster_id"], id.as_str());
    }
    finish(agent, &bed);
}

#[test]
fn b19_an_error_for_the_registration_is_told_at_once() {
    let bed = bed();
    bed.set_faults(|faults| faults.register = RegisterReply::Error("quota exceeded".into()));
    let agent = bed.agent().start();
    let line = agent.wait_log(|line| line["error"].as_str().is_some_and(|error| error.contains("quota exceeded")), seconds(5));
    assert_eq!(line["level"], "warning");
    bed.set_faults(|faults| faults.register = RegisterReply::Success);
    agent.online(&bed);
    finish(agent, &bed);
}

#[test]
fn b19_a_registration_in_progress_gets_more_time() {
    let bed = bed();
    bed.set_faults(|faults| {
        faults.register = RegisterReply::InProgress { every: 500, success_after: 4000 };
    });
    let agent = bed.agent().set("timeouts.registration", "1500ms").online();
    assert_eq!(bed.records().registers.total(), 1, "{}", agent.text());
    finish(agent, &bed);
}

#[test]
fn b19_a_silent_registration_ends_with_its_limit() {
    let bed = bed();
    bed.set_faults(|faults| faults.register = RegisterReply::Silent);
    let agent = bed.agent().set("timeouts.registration", "1s").start();
    let line = agent.wait_log(|line| line["error"].as_str().is_some_and(|it| it.contains("timed out")), seconds(10));
    assert!(text(&line, "error").contains("register"), "{line}");
    bed.set_faults(|faults| faults.register = RegisterReply::Success);
    agent.online(&bed);
    finish(agent, &bed);
}

#[test]
fn b20_a_gateway_that_refuses_once_costs_one_round_and_keeps_the_cluster() {
    let bed = bed();
    bed.set_faults(|faults| faults.refuse_gateway = Some(Refusal::with_status(503).times(1)));
    let agent = bed.agent().online();
    let records = bed.records();
    let roles: Vec<_> = records.upgrades.iter().map(|it| (it.role, it.status)).collect();
    let expected = [(Role::Controller, 101), (Role::Gateway, 503), (Role::Controller, 101), (Role::Gateway, 101)];
    assert_eq!(roles, expected);
    let again = records.registers.last().unwrap();
    assert_eq!(again.payload["cluster_id"], bed.cluster_id().as_str());
    assert_eq!(bed.with_plane(|plane| plane.clusters().count()), 1);
    finish(agent, &bed);
}

#[test]
fn b03_a_cluster_that_is_not_found_is_registered_afresh() {
    let bed = bed();
    let agent = bed.agent().online();
    bed.set_faults(|faults| faults.register = RegisterReply::NotFoundUnlessFresh);
    bed.with_plane(|plane| {
        plane.forget_clusters();
        plane.drop_agents();
    });
    agent.until(&bed, "online with a fresh registration", |plane| plane.online() > 0 && plane.records().registers.total() == 3);
    let records = bed.records();
    let modes: Vec<_> =
        records.registers.iter().map(|it| it.payload["metadata"]["registration_mode"].as_str().unwrap()).collect();
    assert_eq!(modes, ["fresh", "resume", "fresh"]);
    let cluster_id = saved(&agent, &bed);
    agent.stop();
    bed.set_faults(|faults| faults.register = RegisterReply::Success);
    // The new identity is the one that is kept.
    let agent = bed.agent().online();
    let records = bed.records();
    let last = records.registers.last().unwrap();
    assert_eq!(last.payload["cluster_id"], cluster_id.as_str());
    finish(agent, &bed);
}

#[test]
fn f42_not_registered_leads_to_a_new_registration() {
    for words in ["cluster not registered", "Cluster Not Found"] {
        let bed = bed();
        let agent = bed.agent().online();
        bed.with_plane(move |plane| {
            let connection = connection(plane);
            plane.send_error(connection, None, words);
        });
        agent.until(&bed, "a second registration", |plane| plane.online() > 0 && plane.records().registers.total() == 2);
        finish(agent, &bed);
    }
}

#[test]
fn f23_odd_answers_to_a_registration() {
    for (reply, rounds) in [(RegisterReply::Twice, 1), (RegisterReply::StaleFirst, 1)] {
        let bed = bed();
        let copy = reply.clone();
        bed.set_faults(move |faults| faults.register = copy);
        let agent = bed.agent().online();
        assert_eq!(bed.records().registers.total(), rounds, "{reply:?}");
        finish(agent, &bed);
    }
    for reply in [RegisterReply::WithoutClusterId, RegisterReply::WrongTypes] {
        let bed = bed();
        let copy = reply.clone();
        bed.set_faults(move |faults| faults.register = copy);
        let agent = bed.agent().set("timeouts.registration", "2s").start();
        agent.wait_log(|line| line["level"] == "warning", seconds(10));
        bed.set_faults(|faults| faults.register = RegisterReply::Success);
        agent.online(&bed);
        finish(agent, &bed);
    }
}
