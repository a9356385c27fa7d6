//! Planes that do not want the agent.

use devplane::plane::{Refusal, Role};

use super::harness::LIMIT;
use super::{RECONNECTING, bed, finish, text};

#[test]
fn b03_a_token_that_is_refused_for_a_while_is_tried_again() {
    let bed = bed();
    let mut agent = bed.agent().online();
    bed.with_plane(|plane| {
        plane.faults.refuse_controller = Some(Refusal::with_status(401).times(3));
        plane.drop_agents();
    });
    agent.until(&bed, "the return", |plane| plane.online() > 0 && plane.records().upgrades.total() == 7);
    assert!(agent.is_alive());
    let records = bed.records();
    let statuses: Vec<_> = records.upgrades.iter().map(|it| it.status).collect();
    assert_eq!(statuses, [101, 101, 401, 401, 401, 101, 101]);
    assert_eq!(bed.with_plane(|plane| plane.clusters().count()), 1);
    finish(agent, &bed);
}

#[test]
fn b52_a_refusal_is_explained_by_its_status() {
    for (status, about_token) in [(401, true), (403, true), (404, false), (503, false)] {
        let bed = bed();
        bed.set_faults(move |faults| {
            faults.refuse_controller = Some(Refusal::with_status(status).times(1));
        });
        let agent = bed.agent().start();
        let line = agent.wait_log(|line| line["level"] == "warning", LIMIT);
        let error = text(&line, "error");
        assert!(error.starts_with("failed to connect via WebSocket"), "{line}");
        assert!(error.contains(&status.to_string()), "{line}");
        let hint = text(&line, "hint");
        assert_eq!(hint.contains("token"), about_token, "{line}");
        assert_eq!(hint.contains("PIPEOPS_TOKEN"), about_token, "{line}");
        agent.online(&bed);
        finish(agent, &bed);
    }
}

#[test]
fn f37_a_wrong_token_is_told_from_a_wrong_address() {
    let bed = bed();
    let agent = bed.agent().set("pipeops.token", "not-the-token-0a1b2c3d").start();
    let line = agent.wait_log(|line| line["level"] == "warning", LIMIT);
    assert!(text(&line, "hint").contains("PIPEOPS_TOKEN"), "{line}");
    assert!(!agent.text().contains("not-the-token-0a1b2c3d"));
    agent.stop();
    let agent = bed.agent().set("pipeops.api_url", bed.plane.apps_url().replace("https", "http")).start();
    let line = agent.wait_log(|line| line["level"] == "warning", LIMIT);
    assert!(text(&line, "hint").contains("PIPEOPS_API_URL"), "{line}");
    agent.stop();
}

#[test]
fn b53_a_plane_that_accepts_and_drops_is_not_hammered() {
    for gateway in [false, true] {
        let bed = bed();
        if gateway {
            bed.set_faults(|faults| faults.drop_after_messages = Some(1));
        } else {
            bed.set_faults(|faults| faults.drop_after_accept = Some(0));
        }
        let agent = bed.agent().start();
        let lines = agent.wait_msgs(RECONNECTING, 4, LIMIT);
        let waits: Vec<_> = lines.iter().map(|line| text(line, "base_delay")).collect();
        assert_eq!(waits, ["500ms", "1s", "2s", "4s"]);
        let records = bed.records();
        let dials: Vec<_> = records.upgrades.iter().filter(|it| it.role == Role::Controller).map(|it| it.at).collect();
        let early = dials.iter().filter(|at| **at - dials[0] <= 5000).count();
        assert!(early <= 6, "{dials:?}");
        agent.stop();
    }
}

#[test]
fn b53_retry_after_is_honoured() {
    for (controller, status) in [(true, 503), (true, 429), (false, 503)] {
        let bed = bed();
        bed.set_faults(move |faults| {
            let refusal = Some(Refusal::with_status(status).times(1).retry_after("3"));
            if controller {
                faults.refuse_controller = refusal;
            } else {
                faults.refuse_gateway = refusal;
            }
        });
        let agent = bed.agent().online();
        let records = bed.records();
        let upgrades: Vec<_> = records.upgrades.iter().collect();
        let refused = upgrades.iter().position(|it| it.status == status).unwrap();
        let pause = upgrades[refused + 1].at - upgrades[refused].at;
        assert!((3000..=4500).contains(&pause), "{pause} ms");
        finish(agent, &bed);
    }
}
