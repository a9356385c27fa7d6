//! Many that stall at once, and one that must not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::backend::Peer;
use crate::harness::{LIMIT, Setup};
use crate::load::{clients_that_do_not_read, deaf, download, flood, open_deaf};
use crate::pulse::Pulse;
use crate::rig::PATIENCE;
use crate::site::Site;

const STALLED: usize = 20;
const ROUND_TRIPS: usize = 200;
/// Of the 99th of a hundred round trips. The plane and the application run in this process, and where the compiler does not
/// optimise it is their work on base64 and JSON that a round trip waits for, not the agent's.
const BOUND: Duration = Duration::from_millis(if cfg!(debug_assertions) { 100 } else { 5 });
const PING: Duration = Duration::from_millis(200);
/// What the agent may hold of others' bytes, and what it costs to move them.
const CEILING_KIB: u64 = 8 * 1024;
const SLACK_KIB: u64 = 4 * 1024;

/// The plane gives up clients that do not read as soon as their queue is full, so that it never stops reading the agent.
fn site() -> Site {
    let setup = Setup { client_patience: Duration::ZERO, ..Setup::default() };
    Site::of(setup, devapp::Options::default(), |launch| launch)
}

/// Two that download all the time at a pace that a slow link takes, besides the clients that take nothing.
const BULK: &str = "bytes=400000&piece=8192&drip=5";
/// Most clients are slow to fill what the plane holds for them; some are not, and are given up.
const SLOWLY: &str = "bytes=1000000000&piece=1000&drip=20";
const AT_ONCE: &str = "bytes=1000000000";
const FAST: usize = 3;

#[test]
fn b04_twenty_stalled_readers_and_twenty_stalled_backends_stall_nobody_else() {
    let site = site();
    let backend = deaf(&site.rig);
    let mut healthy = site.echo();
    let mut quiet = Pulse::default();
    while quiet.count() < ROUND_TRIPS {
        quiet.beat(&mut healthy);
    }
    quiet.figures("quiet");
    let before = site.rig.peak_kib();
    let started = Instant::now();
    let (over, total) = (Arc::new(AtomicBool::new(false)), AtomicU64::new(0));
    let mut pulse = Pulse::default();
    let mut clients = clients_that_do_not_read(&site, STALLED - FAST, SLOWLY);
    clients.extend(clients_that_do_not_read(&site, FAST, AT_ONCE));
    let (streams, mut peers): (Vec<_>, Vec<_>) =
        (0..STALLED).map(|number| open_deaf(&site, &backend, is_websocket(number))).unzip();
    std::thread::scope(|scope| {
        let site = &site;
        for _ in 0..2 {
            download(BULK, scope, site, Arc::clone(&over), &total);
        }
        let floods: Vec<_> = streams
            .into_iter()
            .enumerate()
            .map(|(number, stream)| scope.spawn(move || flood(site, stream, is_websocket(number))))
            .collect();
        // Until all of them have been ended, so that what comes of a full buffer is in the figures.
        while pulse.count() < ROUND_TRIPS || !floods.iter().all(|flood| flood.is_finished()) {
            pulse.beat(&mut healthy);
        }
        println!("all floods have ended after {:?}", started.elapsed());
        let given_up = |count| move |plane: &devplane::plane::Plane| plane.records().given_up.total() >= count;
        while !site.rig.bed.wait_until(given_up(u64::try_from(FAST).unwrap()), Duration::ZERO) {
            pulse.beat(&mut healthy);
            assert!(started.elapsed() < LIMIT, "clients that take nothing are never given up");
        }
        over.store(true, Ordering::SeqCst);
        for (number, flood) in floods.into_iter().enumerate() {
            let outcome = flood.join().unwrap();
            assert!(outcome.reason.starts_with("backpressure: "), "{outcome:?}");
            assert_eq!(outcome.told, is_websocket(number), "a WebSocket's plane is told first: {outcome:?}");
        }
    });
    let elapsed = started.elapsed();
    let growth = site.rig.peak_kib().saturating_sub(before);
    let (_, p99, ping) = pulse.figures("loaded");
    println!("{} kB were downloaded meanwhile, in {elapsed:?}; peak RSS grew by {growth} KiB", total.into_inner() / 1000);
    assert!(peers.iter_mut().all(Peer::ends), "a connection to a backend that did not read is left open");
    drop(clients);
    let ended = site
        .app
        .wait_within(PATIENCE, |app| app.requests().iter().filter(|seen| seen.path == "/download").all(|seen| seen.ended));
    assert!(ended, "a download that nobody takes goes on");
    healthy.round_trip("and in the end");
    healthy.close();
    assert!(p99 <= BOUND, "{p99:?}");
    assert!(ping <= PING, "{ping:?}");
    assert!(growth <= CEILING_KIB + SLACK_KIB, "{growth} KiB");
    site.finish();
}

/// Half of the backends are WebSockets, the others uploads.
fn is_websocket(number: usize) -> bool {
    number.is_multiple_of(2)
}
