//! Exchanges when something goes away: the Kubernetes API, the connection to the plane, the agent itself.

use std::time::{Duration, Instant};

use devkube::Behaviour;
use devplane::plane::{Body, Part};

use crate::rig::{CONFIG_MAPS, PATIENCE, Rig, config_map, get, head, parts, read_until, request};

#[test]
fn an_upstream_that_is_down() {
    let mut rig = Rig::start();
    assert_eq!(rig.ask(get("/version")).status, 200);
    let address = rig.kube().addr();
    rig.bed.kube.as_mut().unwrap().stop();
    let mut create = request("POST", CONFIG_MAPS);
    create.body = Body::Json(config_map("x"));
    for request in [get("/version"), get("/version"), create] {
        let streamed = parts(rig.open(request.clone()));
        let [Part::Abort(streamed)] = streamed.as_slice() else {
            panic!("{streamed:?}");
        };
        let buffered = parts(rig.open(request.buffered()));
        let [Part::Error(buffered)] = buffered.as_slice() else {
            panic!("{buffered:?}");
        };
        for text in [streamed, buffered] {
            assert!(text.starts_with("unreachable: "), "{text}");
            assert!(!text.contains(&address.ip().to_string()), "{text}");
            assert!(!text.contains(&address.port().to_string()), "{text}");
        }
    }
    rig.finish();
}

#[test]
fn an_upstream_that_goes_in_the_middle_of_a_watch() {
    let mut rig = Rig::start();
    let mut stream = rig.open(get(CONFIG_MAPS).query("watch=true"));
    assert_eq!(head(&mut stream), 200);
    rig.bed.kube.as_mut().unwrap().stop();
    let Some(Part::Abort(text)) = stream.next_within(PATIENCE) else {
        panic!("no abort");
    };
    assert!(text.starts_with("broken: "), "{text}");
    rig.finish();
}

#[test]
fn a_connection_lost_in_the_middle_of_exchanges() {
    let rig = Rig::start();
    let mut watch = rig.open(get(CONFIG_MAPS).query("watch=true"));
    assert_eq!(head(&mut watch), 200);
    rig.kube().set_behaviour("/api/v1/namespaces", Behaviour::Hang);
    let hanging = rig.open(get("/api/v1/namespaces/hang").buffered());
    let mut upload = request("POST", crate::rig::ECHO);
    upload.body = Body::Chunked;
    let upload = rig.open(upload);
    rig.until_hanging(2);
    let lost = Instant::now();
    rig.bed.plane.drop_agents().unwrap();
    println!("from the loss to closed upstreams: {:?}", rig.idle_after(lost));
    for stream in [watch, hanging, upload] {
        let answer = stream.collect_within(PATIENCE).unwrap();
        assert!(answer.error.is_some(), "{answer:?}");
    }
    rig.kube().clear_behaviours();
    rig.bed.assert_online();
    println!("back after {:?}", lost.elapsed());
    let mut watch = rig.open(get(CONFIG_MAPS).query("watch=true"));
    assert_eq!(head(&mut watch), 200);
    rig.kube().put(config_map("again")).unwrap();
    read_until(&mut watch, "\"again\"");
    assert_eq!(rig.ask(get("/version").buffered()).status, 200);
    drop(watch);
    rig.finish();
}

#[test]
fn a_shutdown_with_a_running_watch() {
    let Rig { bed, mut agent } = Rig::start();
    let mut watch = bed.plane.request(get(CONFIG_MAPS).query("watch=true")).unwrap();
    assert_eq!(head(&mut watch), 200);
    let asked = Instant::now();
    agent.terminate();
    let all = parts(watch);
    let aborted = asked.elapsed();
    let [Part::Abort(text)] = all.as_slice() else {
        panic!("{all:?}");
    };
    assert!(text.starts_with("shutting_down: "), "{text}");
    let status = agent.wait_exit(Duration::from_secs(10));
    let ended = asked.elapsed();
    println!("shutdown with a watch: aborted after {aborted:?}, ended after {ended:?}");
    assert_eq!(status.code(), Some(0));
    assert!(ended < Duration::from_secs(5), "{ended:?}");
    assert!(bed.kube().wait_idle(PATIENCE));
    bed.assert_clean();
}

#[test]
fn a_shutdown_lets_a_short_exchange_finish() {
    let Rig { bed, mut agent } = Rig::start();
    let delay = Behaviour::Delay(Duration::from_secs(1));
    bed.kube().api().set_behaviour(CONFIG_MAPS, delay);
    let stream = bed.plane.request(get(CONFIG_MAPS)).unwrap();
    assert!(
        bed.kube()
            .wait_for(|kube| { kube.requests().iter().any(|seen| seen.path == CONFIG_MAPS && seen.status.is_none()) }, PATIENCE)
    );
    let asked = Instant::now();
    agent.terminate();
    let answer = stream.collect_within(PATIENCE).unwrap();
    assert_eq!((answer.status, answer.error), (200, None));
    let status = agent.wait_exit(Duration::from_secs(10));
    println!("shutdown with a request of 1 s: {:?}", asked.elapsed());
    assert_eq!(status.code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5));
    bed.assert_clean();
}
