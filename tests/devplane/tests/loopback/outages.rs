//! Loss of the agent, of the plane, and of patience.

use devplane::Options;
use devplane::plane::{AgentState, ProxyRequest};
use serde_json::json;

use super::agent::{Agent, controller_url, dial};
use super::{LIMIT, assert_clean, start};

#[test]
fn an_outage_and_the_return() {
    let plane = start(Options::default());
    let mut agent = Agent::online(&plane);
    let cluster_id = agent.cluster_id.clone();
    let answer = plane.request(ProxyRequest::get("/x")).unwrap();
    plane.stop_listening().unwrap();
    plane.stop_listening().unwrap();
    plane.drop_agents().unwrap();
    assert_eq!(agent.until_over(), None);
    assert!(answer.collect_within(LIMIT).unwrap().error.is_some());
    assert_eq!(Agent::again(&plane, &cluster_id).err(), Some(0));
    assert_eq!(dial(&plane, &controller_url(&plane)).err(), Some(0));
    plane.listen_again().unwrap();
    plane.listen_again().unwrap();
    let mut agent = Agent::again(&plane, &cluster_id).unwrap();
    assert!(plane.wait_online(LIMIT).unwrap());
    let answer = plane.request(ProxyRequest::get("/y")).unwrap();
    let (id, _) = agent.request();
    agent.head(&id, 200, json!(null));
    agent.end(&id);
    assert_eq!(answer.collect_within(LIMIT).unwrap().status, 200);
    let records = plane.with_plane(|plane| plane.records().clone()).unwrap();
    assert_eq!((records.registers.len(), records.upgrades.len()), (1, 3));
    assert_clean(&plane);
}

#[test]
fn agents_that_vanish_are_noticed() {
    let plane = start(Options::default());
    let agent = Agent::online(&plane);
    drop(agent);
    let gone = |plane: &devplane::plane::Plane| plane.clusters().all(|it| it.state == AgentState::Offline);
    assert!(plane.wait_until(gone, LIMIT).unwrap());
    assert!(!plane.wait_online(std::time::Duration::from_millis(1)).unwrap());
}

#[test]
fn closing_with_a_code() {
    let plane = start(Options::default());
    let mut agent = Agent::online(&plane);
    plane.close_agents(1012).unwrap();
    assert_eq!(agent.until_over(), Some(1012));
    assert_eq!(agent.until_over(), None);
    assert!(plane.wait_until(|plane| plane.online() == 0, LIMIT).unwrap());
}

#[test]
fn the_end_of_the_plane() {
    let plane = start(Options::default());
    let mut agent = Agent::online(&plane);
    let answer = plane.request(ProxyRequest::get("/x")).unwrap();
    plane.shutdown();
    assert_eq!(agent.until_over(), None);
    drop(answer);
}
