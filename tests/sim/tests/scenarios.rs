//! What the claims say about time, in virtual time.

use std::time::Duration;

use devplane::plane::{Body, Faults, HeartbeatReply, PlaneConfig, Refusal, RegisterReply};
use pipeops_agent_core::session::State;
use pipeops_agent_core::streams::Limits;
use pipeops_sim::backend::Kind;
use pipeops_sim::chaos;
use pipeops_sim::herd;
use pipeops_sim::world::{GATEWAY, World};

fn world(seed: u64) -> World {
    let plane = PlaneConfig { gateway_url: Some(GATEWAY.into()), ..PlaneConfig::default() };
    World::new(seed, plane, Limits::default())
}

fn online(world: &mut World) {
    assert!(world.run_while(world.now + 120_000, |world| !world.is_online()), "online: {}", world.story());
}

#[test]
fn f19_a_heartbeat_at_once_and_every_thirty_seconds() {
    let mut world = world(1);
    online(&mut world);
    let start = world.now;
    world.run_until(start + 301_000);
    let beats: Vec<u64> = world.plane.records().heartbeats.iter().map(|beat| beat.at).collect();
    assert_eq!(beats.len(), 11, "{beats:?}");
    assert!(beats[0] - start < 50);
    for pair in beats.windows(2) {
        assert!((29_900..=30_100).contains(&(pair[1] - pair[0])), "{beats:?}");
    }
}

#[test]
fn f22_a_failed_heartbeat_is_retried_after_5_10_and_30_seconds_then_the_connection_is_torn_down() {
    let mut world = world(2);
    online(&mut world);
    world.run_until(world.now + 65_000);
    world.disturb(|world| world.plane.faults.heartbeat = HeartbeatReply::Error("no".into()));
    assert!(world.run_while(world.now + 200_000, |world| world.tunnel.session().state() == State::Connected));
    let failures = world.heartbeat_failures.clone();
    assert_eq!(failures.iter().map(|(_, retry)| *retry).collect::<Vec<_>>(), [1, 2, 3]);
    let gaps: Vec<u64> = failures.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!((5_000..5_100).contains(&gaps[0]) && (10_000..10_100).contains(&gaps[1]), "{gaps:?}");
    let torn = world.now - failures[2].0;
    assert!((30_000..30_100).contains(&torn), "{torn}");
    world.disturb(|world| world.plane.faults = Faults::default());
    online(&mut world);
}

#[test]
fn f22_silence_after_a_beat_counts_only_where_beats_were_answered_before() {
    let plane = PlaneConfig { acknowledge_heartbeats: false, ..PlaneConfig::default() };
    let mut quiet = World::new(3, plane, Limits::default());
    online(&mut quiet);
    quiet.run_until(quiet.now + 600_000);
    assert!(quiet.heartbeat_failures.is_empty() && quiet.counts.lost == 0, "a plane that never acknowledges is a good plane");
}

#[test]
fn f40_the_ladder_of_a_plane_that_is_away_from_the_start() {
    let mut world = world(4);
    world.disturb(|world| world.plane.faults.refuse_controller = Some(Refusal::with_status(503)));
    world.run_until(120_000);
    let bases: Vec<u128> = world.delays.iter().map(|(_, delay)| delay.base.as_millis()).take(8).collect();
    assert_eq!(bases, [500, 1000, 2000, 4000, 8000, 15000, 15000, 15000]);
}

#[test]
fn f41_blips_heal_in_about_a_second_and_outages_within_fifteen() {
    for seed in 0..60 {
        for outage in [100, 1_000, 3_000, 4_900, 30_000, 60_000, 120_000] {
            let mut world = world(seed);
            online(&mut world);
            world.run_until(world.now + 61_000);
            world.disturb(|world| {
                world.network.down = true;
                world.plane.drop_agents();
            });
            world.run_until(world.now + outage);
            world.disturb(|world| world.network.down = false);
            let back = world.now;
            online(&mut world);
            let healed = world.now - back;
            let allowed = if outage < 5_000 { 1_300 } else { 18_800 };
            assert!(healed <= allowed, "seed {seed}: {outage} ms away, healed after {healed} ms");
        }
    }
}

#[test]
fn f42_every_reconnect_registers_again() {
    let mut world = world(5);
    for round in 1..=10 {
        online(&mut world);
        assert_eq!(world.plane.records().registers.total(), round);
        world.run_until(world.now + 5_000);
        world.disturb(|world| world.plane.drop_agents());
    }
    assert!(world.registered.iter().skip(1).all(|(_, known)| *known), "the same cluster each time");
}

#[test]
fn f42_not_registered_leads_to_a_registration() {
    let mut world = world(6);
    online(&mut world);
    world.disturb(|world| world.plane.faults.heartbeat = HeartbeatReply::NotRegistered);
    world.run_until(world.now + 31_000);
    world.disturb(|world| world.plane.faults = Faults::default());
    online(&mut world);
    assert!(world.plane.records().registers.total() >= 2);
}

#[test]
fn b03_refused_credentials_never_end_the_loop() {
    for status in [401, 403] {
        let mut world = world(7);
        online(&mut world);
        world.disturb(|world| {
            world.plane.faults.refuse_controller = Some(Refusal::with_status(status));
            world.plane.drop_agents();
        });
        world.run_until(world.now + 3_600_000);
        let dials = world.counts.dials;
        assert!(dials > 200, "still dialling after an hour: {dials}");
        world.disturb(|world| world.plane.faults = Faults::default());
        let back = world.now;
        online(&mut world);
        assert!(world.now - back <= 19_000);
    }
}

#[test]
fn b19_an_error_is_the_answer_and_progress_is_patience() {
    let mut world = world(8);
    world.disturb(|world| world.plane.faults.register = RegisterReply::Error("no room".into()));
    world.run_until(400);
    assert_eq!(world.delays.len(), 1, "an error is not waited out");
    let mut world = World::new(9, PlaneConfig::default(), Limits::default());
    world.disturb(|world| world.plane.faults.register = RegisterReply::InProgress { every: 20_000, success_after: 70_000 });
    online(&mut world);
    assert!(world.now >= 70_000 && world.counts.dials == 1, "{}", world.story());
}

#[test]
fn b53_accept_then_drop_is_not_hammered() {
    let mut world = world(10);
    world.disturb(|world| world.plane.faults.drop_after_accept = Some(1_000));
    world.run_until(300_000);
    let dials = world.dials.len();
    assert!(dials < 60, "{dials} dials in five minutes");
}

#[test]
fn b53_retry_after_is_honoured() {
    let mut world = world(11);
    world.disturb(|world| world.plane.faults.refuse_controller = Some(Refusal::with_status(429).retry_after("20")));
    world.run_until(60_000);
    for pair in world.dials.windows(2).skip(1) {
        assert!(pair[1] - pair[0] >= 20_000, "{:?}", world.dials);
    }
}

#[test]
fn b05_a_watch_lives_for_ten_minutes_and_longer() {
    let mut world = world(12);
    online(&mut world);
    let id = world.request(Kind::Endless, true, Body::None).unwrap();
    world.run_until(world.now + 20 * 60_000);
    let watched = &world.watched[&id];
    assert!(watched.ended.is_none() && watched.received > 100_000, "{watched:?}");
    world.cancel(id);
    // One way over the network, and nothing more.
    world.run_until(world.now + 10);
    assert_eq!(world.backends_open(), 0, "cancel closes the backend at once");
}

#[test]
fn silence_ends_a_connection_within_the_liveness_bound() {
    let mut world = world(13);
    online(&mut world);
    let start = world.now;
    world.disturb(|world| world.network.black_hole = true);
    assert!(world.run_while(start + 100_000, |world| world.tunnel.session().state() == State::Connected));
    assert!(world.now - start <= 61_000, "{}", world.now - start);
}

#[test]
fn two_runs_of_a_seed_are_the_same() {
    for seed in 0..20 {
        assert_eq!(chaos::play(seed).0, chaos::play(seed).0, "seed {seed}");
    }
}

#[test]
fn random_faults() {
    for seed in 0..300 {
        let _ = chaos::play(seed);
    }
}

#[test]
fn a_thousand_agents_come_back() {
    let herd = herd::stampede(1000, Duration::from_secs(30));
    println!(
        "1000 agents after 30 s: at most {} dials a second, the last one back after {} ms",
        herd.peak_per_second, herd.last_back
    );
    assert!(herd.last_back <= 18_750, "{herd:?}");
}
