//! Random faults: the plane's, the network's and the backends', for a few minutes; then peace, in which everything must be well.

use devplane::plane::{Body, Faults, HeartbeatReply, PlaneConfig, Refusal, RegisterReply};
use pipeops_agent_core::streams::Limits;

use crate::backend::Kind;
use crate::socket::script::Script;
use crate::world::{Counts, GATEWAY, World};

/// How long there are faults, milliseconds.
const STORM: u64 = 90_000;
/// Bytes; small ones make everybody wait for everybody.
const CEILINGS: [usize; 5] = [64 * 1024, 256 * 1024, 256 * 1024, 8 * 1024 * 1024, 8 * 1024 * 1024];
/// The longest that the plane holds a message back, and the time that a connection needs to die of it.
const LEFTOVERS: u64 = 30_000;
/// How long a connection may take to end after the last word: the agent waits ten seconds for its backend, and bodies at that time
/// are small.
const GOODBYE: u64 = 12_000;
/// How long everything may take to be well again: the longest back-off with its jitter, the longest Retry-After that is
/// honoured, and the deadlines on the way.
const RECOVERY: u64 = 4 * 60_000;

/// Plays one seed. Panics when something is not as it must be. Gives the trace and the counts.
#[must_use]
pub fn play(seed: u64) -> (u64, Counts) {
    let mut dice = fastrand::Rng::with_seed(seed ^ 0x5eed);
    let plane = PlaneConfig {
        gateway_url: dice.bool().then(|| GATEWAY.to_owned()),
        distinct_uuid: dice.bool(),
        acknowledge_heartbeats: dice.u8(0..4) > 0,
        binary_envelopes: dice.u8(0..4) == 0,
        ..PlaneConfig::default()
    };
    let limits = Limits { ceiling: CEILINGS[dice.usize(0..5)], exchanges: dice.usize(4..64), ..Limits::default() };
    let mut world = World::new(seed, plane, limits);
    world.network.latency = (1, dice.u64(2..400));
    // Streams live longest where nothing breaks; a slow line alone fills every buffer.
    let calm = dice.u8(0..4) == 0;
    if calm {
        world.network.per_frame = [0, 1, 20, 150][dice.usize(0..4)];
    }
    let storm = if calm { STORM / 4 } else { STORM };
    while world.now < storm {
        let pause = dice.u64(1..8000);
        let until = (world.now + pause).min(storm);
        world.run_until(until);
        if !calm {
            world.disturb(|world| disturb(world, &mut dice));
        }
        if dice.u8(0..8) == 0 {
            world.change_settings(CEILINGS[dice.usize(0..5)], dice.usize(4..64));
        }
        for _ in 0..dice.usize(0..6) {
            if dice.u8(0..6) < if calm { 4 } else { 2 } {
                let _ = world.upgrade(Script::random(&mut dice));
            } else {
                ask(&mut world, &mut dice);
            }
        }
    }
    world.change_settings(CEILINGS[1], 64);
    world.disturb(|world| {
        world.plane.faults = Faults::default();
        world.network = crate::world::Network::default();
    });
    // What the plane held back in the storm, a close among it, still arrives.
    world.run_until(world.now + if calm { 2_000 } else { LEFTOVERS });
    let end = world.now + RECOVERY;
    let online = world.run_while(end, |world| !world.is_online());
    assert!(online, "not online again within {RECOVERY} ms of peace: {}", world.story());
    world.judge_stalled();
    for id in world.streams.keys().copied().collect::<Vec<_>>() {
        world.disturb(|world| world.hang_up(id, None));
    }
    // Whatever is still under way from the storm may take its own time; a new request must be answered now.
    for id in world.watched.keys().copied().collect::<Vec<_>>() {
        if world.watched.get(&id).is_some_and(|watched| watched.ended.is_none()) {
            world.cancel(id);
        }
    }
    world.run_until(world.now + GOODBYE);
    if !world.is_online() {
        let end = world.now + RECOVERY;
        assert!(world.run_while(end, |world| !world.is_online()), "not online again");
    }
    let Some(id) = world.request(Kind::Blob(100_000), true, Body::None) else { panic!("online, and no agent to ask") };
    let end = world.now + 10_000;
    let done = world.run_while(end, |world| world.watched.get(&id).is_none_or(|watched| watched.ended.is_none()));
    assert!(
        done && world.watched.get(&id).is_some_and(|watched| watched.received == 100_000),
        "a request in peace is answered in full: {}",
        world.story()
    );
    assert_eq!(world.backends_open(), 0, "backends left open");
    world.judge_peace();
    world.shut_down();
    let end = world.now + 4_000;
    assert!(world.run_while(end, |world| world.stopped.is_none()), "contract 12: not stopped in time");
    (world.trace, world.counts)
}

fn disturb(world: &mut World, dice: &mut fastrand::Rng) {
    world.network = crate::world::Network { latency: world.network.latency, ..crate::world::Network::default() };
    match dice.u8(0..22) {
        0 => world.network.down = true,
        1 => world.network.black_hole = true,
        2 => world.cut(),
        3 => world.plane.drop_agents(),
        4 => world.plane.close_agents([1000, 1001, 1008, 1011, 1012][dice.usize(0..5)], "because"),
        5 => {
            world.plane.faults.refuse_controller =
                Some(refusal([401, 403, 404, 429, 500, 503][dice.usize(0..6)], ["1", "7", "100000", "soon"][dice.usize(0..4)]))
        }
        6 => world.plane.faults.refuse_gateway = Some(refusal([401, 403, 404, 429, 500, 503][dice.usize(0..6)], "2")),
        7 => world.plane.faults.hang_controller = true,
        8 => world.plane.faults.hang_gateway = true,
        9 => world.plane.faults.drop_after_accept = Some(dice.u64(0..5000)),
        10 => world.plane.faults.close_after_accept = Some(1013),
        11 => {
            world.plane.faults.register = [
                RegisterReply::Silent,
                RegisterReply::Error("try again".into()),
                RegisterReply::NotFoundUnlessFresh,
                RegisterReply::InProgress { every: 20_000, success_after: 50_000 },
                RegisterReply::WithoutClusterId,
                RegisterReply::Twice,
                RegisterReply::StaleFirst,
                RegisterReply::WrongTypes,
            ][dice.usize(0..8)]
            .clone();
        }
        12 => {
            world.plane.faults.heartbeat =
                [HeartbeatReply::Silent, HeartbeatReply::Error("no".into()), HeartbeatReply::NotRegistered][dice.usize(0..3)]
                    .clone()
        }
        13 => world.plane.faults.drop_after_messages = Some(dice.u64(1..20)),
        14 => world.plane.faults.black_hole = true,
        15 => world.plane.faults.delay = dice.u64(1..20_000),
        16 => world.plane.faults.duplicate_requests = true,
        17 => world.plane.faults.unknown_message_every = Some(dice.u64(100..5000)),
        18 => world.plane.faults.json_ping_every = Some(dice.u64(10..5000)),
        19 => world.network.per_frame = dice.u64(1..200),
        20 => {
            world.forgot = true;
            world.plane.forget_clusters();
            world.plane.drop_agents();
        }
        _ => world.plane.faults = Faults::default(),
    }
}

fn ask(world: &mut World, dice: &mut fastrand::Rng) {
    let kind = match dice.u8(0..12) {
        0 => Kind::Hang,
        1 => Kind::Refused,
        2 => Kind::Endless,
        3 => Kind::Cut(dice.usize(0..60_000)),
        4 => Kind::Count,
        5 => Kind::Unreading,
        6 => Kind::Blob(0),
        _ => Kind::Blob(dice.usize(1..120_000)),
    };
    let streamed = kind == Kind::Endless || dice.bool();
    let body = match dice.u8(0..8) {
        0 => Body::Base64(vec![7; dice.usize(1..20_000)]),
        1 => Body::Raw("raw".repeat(dice.usize(1..300))),
        2 => Body::Binary(vec![9; dice.usize(0..50_000)]),
        3 => Body::Chunked,
        _ => Body::None,
    };
    let chunked = body == Body::Chunked;
    let Some(id) = world.request(kind, streamed, body) else {
        return;
    };
    if chunked {
        for _ in 0..dice.usize(0..20) {
            let chunk = vec![5; dice.usize(1..30_000)];
            world.disturb(|world| world.plane.body_chunk(id, &chunk));
        }
        if dice.u8(0..4) > 0 {
            world.disturb(|world| world.plane.body_end(id));
        }
    }
    if dice.u8(0..5) == 0 {
        world.run_until(world.now + dice.u64(0..300));
        world.cancel(id);
    }
}

fn refusal(status: u16, retry_after: &str) -> Refusal {
    Refusal::with_status(status).retry_after(retry_after)
}
