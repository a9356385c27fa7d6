//! What the claims say about upgraded connections and slow parties, in virtual time.

use devplane::plane::{ExchangeId, Part, PlaneConfig};
use pipeops_agent_core::streams::Limits;
use pipeops_sim::socket::ledger::Ledger;
use pipeops_sim::socket::script::{Entry, Last, PlaneLast, Role, Script};
use pipeops_sim::world::{GATEWAY, World};

fn world(seed: u64, ceiling: usize) -> World {
    let plane = PlaneConfig { gateway_url: Some(GATEWAY.into()), ..PlaneConfig::default() };
    let mut world = World::new(seed, plane, Limits { ceiling, ..Limits::default() });
    assert!(world.run_while(120_000, |world| !world.is_online()), "online: {}", world.story());
    world
}

fn open(world: &mut World, script: Script) -> ExchangeId {
    let Some(id) = world.upgrade(script) else { panic!("online, and no agent to ask") };
    id
}

fn ledger(world: &World, id: ExchangeId) -> &Ledger {
    let Some(ledger) = world.ledger(id) else { panic!("no such stream") };
    ledger
}

fn closed(world: &World, id: ExchangeId) -> Option<(u16, String)> {
    match &world.streams[&id].ended {
        Some(Part::Closed { code, reason }) => Some((code.unwrap_or(0), reason.clone())),
        _ => None,
    }
}

/// Hangs up on everybody, and judges what is left.
fn peace(world: &mut World) {
    for id in world.streams.keys().copied().collect::<Vec<_>>() {
        world.disturb(|world| world.hang_up(id, None));
    }
    world.run_until(world.now + 60_000);
    assert_eq!(world.backends_open(), 0, "backends left open");
    world.judge_peace();
}

/// Milliseconds until the echo of a few bytes is back at the plane.
fn round_trip(world: &mut World, id: ExchangeId) -> u64 {
    let start = world.now;
    world.disturb(|world| world.say(id, 20));
    let words = ledger(world, id).up.said.len();
    let came = |world: &World| ledger(world, id).down.heard < words;
    assert!(world.run_while(start + 30_000, came), "an echo that never comes: {}", world.story());
    world.now - start
}

#[test]
fn a_healthy_stream_beside_twenty_backends_and_twenty_readers_that_stall() {
    let ceiling = 512 * 1024;
    let mut world = world(1, ceiling);
    // A line of ten milliseconds a frame, with twenty sources that could fill a hundred of them.
    world.network.per_frame = 10;
    let healthy = open(&mut world, Script { consume: 1, ..Script::new(Role::Echo) });
    world.run_until(world.now + 1_000);
    let quiet = (0..20).map(|_| round_trip(&mut world, healthy)).max().unwrap();
    let entries = [Entry::Api, Entry::Exec, Entry::Service, Entry::ApiBuffered];
    let stalled: Vec<ExchangeId> = (0..20)
        .map(|n| {
            let script = Script { entry: entries[n % 4], talk: 60, talk_largest: 50_000, ..Script::new(Role::Stalled) };
            open(&mut world, script)
        })
        .collect();
    for n in 0..20 {
        open(&mut world, Script { entry: entries[n % 4], largest: 20_000, ..Script::new(Role::Source(1_000_000)) });
    }
    // Each may send its first bytes as if somebody waited for them, which takes a while in the small pieces of a small ceiling.
    world.run_until(world.now + 40_000);
    let busy = (0..100).map(|_| round_trip(&mut world, healthy)).max().unwrap();
    println!("round trip of a keystroke, most: {quiet} ms alone, {busy} ms beside 20 stalled backends and 20 sources");
    assert!(quiet <= 60 && busy <= 250, "{quiet} {busy}");
    world.run_until(world.now + 10_000);
    world.judge_stalled();
    for id in stalled {
        let reason = match world.streams[&id].ended.as_ref() {
            Some(Part::Closed { code: Some(1013), reason }) => reason.as_str(),
            // Before the backend has answered.
            Some(Part::Abort(reason) | Part::Error(reason)) => reason.as_str(),
            end => panic!("{end:?}, {} bytes", ledger(&world, id).up.bytes_said),
        };
        assert!(reason.starts_with("backpressure: ") && world.streams[&id].warned, "{reason}");
    }
    assert!(world.streams[&healthy].ended.is_none());
    peace(&mut world);
}

#[test]
fn thirty_bulk_streams_both_ways_under_a_ceiling_of_256_kib() {
    for seed in 0..5 {
        let ceiling = 256 * 1024;
        let mut world = world(seed, ceiling);
        world.network.per_frame = 1;
        let entries = [Entry::Api, Entry::Exec, Entry::Service];
        let ids: Vec<ExchangeId> = (0..30)
            .map(|n| {
                let role = if n % 2 == 0 { Role::Echo } else { Role::Source(40) };
                let raw = n % 3 != 1 && n % 4 < 2;
                let talk = if n % 2 == 0 { 60 } else { 0 };
                let script =
                    Script { entry: entries[n % 3], raw, talk, talk_largest: 6_000, talk_pause: 100, ..Script::new(role) };
                open(&mut world, Script { largest: 15_000, controls: true, ..script })
            })
            .collect();
        world.run_until(world.now + 120_000);
        let peak = world.tunnel.streams().budget().peak();
        assert!(peak > ceiling / 2 && peak <= ceiling, "the ceiling is reached: {peak}");
        for id in ids {
            let (stream, ledger) = (&world.streams[&id], ledger(&world, id));
            let source = ledger.script.role != Role::Echo;
            assert_eq!(stream.ended.is_some(), source, "sources end, and nobody else: {stream:?}");
            assert!(ledger.down.is_complete() && ledger.up.is_complete(), "{stream:?}");
        }
        peace(&mut world);
    }
}

#[test]
fn a_close_from_both_ends_at_once_ends_once() {
    let (mut own, mut theirs) = (0, 0);
    for seed in 0..300 {
        let mut world = world(seed, 8 << 20);
        world.network.latency = (5, 30);
        let entry = [Entry::Api, Entry::Exec, Entry::Service][seed as usize % 3];
        let id = open(&mut world, Script { entry, polite: seed % 5 > 0, ..Script::new(Role::Source(2)) });
        world.run_until(world.now + seed % 97);
        world.disturb(|world| if seed % 2 == 0 { world.say_close(id) } else { world.hang_up(id, Some(4_321)) });
        world.run_until(world.now + 15_000);
        match closed(&world, id) {
            Some((4_000..4_321, reason)) => {
                assert_eq!(reason, "backend 0");
                theirs += 1;
            }
            Some((3_000.., reason)) => {
                assert_eq!(reason, "plane 0");
                own += 1;
            }
            end => assert!(end.is_none() == (seed % 2 == 1) || seed % 5 == 0, "{end:?}"),
        }
        peace(&mut world);
    }
    assert!(own > 10 && theirs > 10, "both happen: {own} {theirs}");
}

#[test]
fn code_and_reason_of_the_plane_reach_the_backend() {
    for entry in [Entry::Api, Entry::ApiBuffered, Entry::Service, Entry::Exec] {
        let mut world = world(3, 8 << 20);
        let (first, second) = (
            open(&mut world, Script { entry, ..Script::new(Role::Echo) }),
            open(&mut world, Script { entry, ..Script::new(Role::Stalled) }),
        );
        world.run_until(world.now + 1_000);
        world.disturb(|world| {
            world.hang_up(first, Some(4_444));
            world.hang_up(second, None);
        });
        world.run_until(world.now + 1_000);
        // The Kubernetes API goes on with a command after a close frame; only the end of the connection ends it.
        let expected = (entry == Entry::Service).then(|| (4_444, "hung up".into()));
        assert_eq!(ledger(&world, first).up.close_heard, expected);
        assert_eq!(world.backends_open(), 1, "who does not let go is given up after ten seconds");
        world.run_until(world.now + 10_000);
        assert_eq!(world.backends_open(), 0);
        peace(&mut world);
    }
}

#[test]
fn half_an_end_of_raw_bytes_still_brings_the_whole_echo() {
    for seed in 0..50 {
        let mut world = world(seed, 1 << 20);
        let entry = [Entry::Api, Entry::ApiBuffered, Entry::Service][seed as usize % 3];
        let script = Script { raw: true, talk: 40, talk_largest: 8_000, consume: 40, ..Script::new(Role::Echo) };
        let id = open(&mut world, Script { entry, plane_last: PlaneLast::CloseFrame, head_after: 500, ..script });
        world.run_until(world.now + 20_000);
        let ledger = ledger(&world, id);
        assert_eq!(closed(&world, id), Some((1000, String::new())));
        assert!(ledger.up.is_complete() && ledger.down.is_complete() && ledger.up.bytes_said == ledger.down.bytes_heard);
        peace(&mut world);
    }
}

#[test]
fn two_thousand_frames_each_way_keep_their_order() {
    for (entry, controls) in [(Entry::Api, true), (Entry::Service, true), (Entry::Exec, false)] {
        let mut world = world(4, 8 << 20);
        let script = Script { entry, controls, talk: 2_000, talk_pause: 2, talk_largest: 300, ..Script::new(Role::Echo) };
        let id = open(&mut world, Script { plane_last: PlaneLast::CloseFrame, ..script });
        assert!(world.run_while(world.now + 120_000, |world| world.streams[&id].ended.is_none()));
        let ledger = ledger(&world, id);
        assert_eq!(closed(&world, id), ledger.up.closed, "code and reason come back");
        assert_eq!((ledger.up.said.len(), ledger.up.heard), (2_000, 2_000));
        assert!(ledger.down.is_complete() && (controls || ledger.down.heard == 2_000));
        peace(&mut world);
    }
}

#[test]
fn every_way_to_end_is_told_once_and_truly() {
    for seed in 0..40 {
        let mut world = world(seed, 8 << 20);
        let entry = [Entry::Api, Entry::ApiBuffered, Entry::Service, Entry::Exec][seed as usize % 4];
        let mut end = |script: Script| {
            let id = open(&mut world, Script { entry, largest: 150_000, controls: true, ..script });
            world.run_until(world.now + 70_000);
            let whole = ledger(&world, id).down.is_complete();
            (world.streams[&id].ended.clone(), whole)
        };
        let (ended, whole) = end(Script { last: Last::Drop, ..Script::new(Role::Source(10)) });
        assert!(whole && ended == Some(Part::Closed { code: Some(1006), reason: String::new() }), "{ended:?}");
        let (ended, _) = end(Script { last: Last::Break, ..Script::new(Role::Source(10)) });
        assert_eq!(ended, Some(Part::Closed { code: Some(1006), reason: "broken: reset".into() }));
        let (ended, whole) = end(Script::new(Role::Source(10)));
        assert!(
            whole && matches!(&ended, Some(Part::Closed { code: Some(4_002), reason }) if reason == "backend 2"),
            "{ended:?}"
        );
        let (ended, _) = end(Script::new(Role::Refuse));
        assert_eq!(matches!(ended, Some(Part::Error(_))), entry == Entry::Exec, "{ended:?}");
        let (ended, _) = end(Script::new(Role::Silent));
        // A buffered answer has twice the time.
        assert!(ended.is_some() || entry == Entry::ApiBuffered, "{ended:?}");
        world.run_until(world.now + 60_000);
        peace(&mut world);
    }
}
