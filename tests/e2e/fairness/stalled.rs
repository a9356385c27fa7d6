//! Many that stall at once, and one that must not notice.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use devapp::DevApp;
use devplane::plane::Plane;

use crate::harness::{LIMIT, Setup};
use crate::load::{Deaf, clients_that_do_not_read, deaf, download};
use crate::pulse::Pulse;
use crate::rig::PATIENCE;
use crate::site::Site;

const STALLED: usize = 20;
const ROUND_TRIPS: usize = 200;
/// Of the 99th of a hundred round trips. Where the compiler does not optimise, it is the plane and the application in this process
/// that take their time, so that only a stream that is held up by others is noticed there.
fn bound() -> Duration {
    Duration::from_millis(if is_optimised() { 5 } else { 300 })
}
/// Of the slowest answer to a ping, with all that was sent before it dealt with.
fn ping_bound() -> Duration {
    Duration::from_millis(if is_optimised() { 200 } else { 1000 })
}
/// What the agent may hold of others' bytes, and what it costs to move them.
const CEILING_KIB: u64 = 8 * 1024;
const SLACK_KIB: u64 = 6 * 1024;

/// Downloads that go on all the time, at a pace that this process can follow.
const BULK: &str = "bytes=400000&piece=8192&drip=5";
/// Too slow to fill what the plane holds for a client.
const SLOWLY: &str = "bytes=1000000000&piece=1000&drip=20";
/// As fast as it goes.
const AT_ONCE: &str = "bytes=1000000000";

/// One test after the other: each would be in the other's figures.
static ALONE: Mutex<()> = Mutex::new(());

/// Whoever has everything built with optimisation says so.
fn is_optimised() -> bool {
    std::env::var_os("OPTIMISED").is_some()
}

/// The plane gives up clients that do not read as soon as their queue is full, so that it never stops reading the agent.
fn site() -> Site {
    let setup = Setup { client_patience: Duration::ZERO, ..Setup::default() };
    Site::of(setup, devapp::Options::default(), |launch| launch)
}

#[track_caller]
fn until_downloads_end(site: &Site) {
    let all_ended = |app: &DevApp| app.requests().iter().filter(|seen| seen.path == "/download").all(|seen| seen.ended);
    assert!(site.app.wait_within(PATIENCE, all_ended), "a download that nobody takes goes on");
}

#[test]
fn b04_twenty_stalled_readers_and_twenty_stalled_backends_stall_nobody_else() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let site = site();
    let backend = deaf(&site.rig);
    let mut healthy = site.echo();
    let mut quiet = Pulse::default();
    while quiet.count() < ROUND_TRIPS {
        quiet.beat(&mut healthy);
    }
    let (_, quiet_p99, _) = quiet.figures("quiet");
    let before = site.rig.peak_kib();
    let started = Instant::now();
    let (over, total) = (Arc::new(AtomicBool::new(false)), AtomicU64::new(0));
    let mut pulse = Pulse::default();
    let clients = clients_that_do_not_read(&site, STALLED, SLOWLY);
    let mut stalled: Vec<_> = (0..STALLED).map(|number| Deaf::open(&site, &backend, number.is_multiple_of(2))).collect();
    let mut fed = 0;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            download(BULK, scope, &site, Arc::clone(&over), &total);
        }
        // Until all of them have been ended, so that what comes of full buffers is in the figures.
        let mut open = STALLED;
        while pulse.count() < ROUND_TRIPS || open > 0 {
            open = stalled.iter_mut().map(|deaf| usize::from(deaf.feed(&site))).sum();
            fed += open;
            pulse.beat(&mut healthy);
            assert!(pulse.count() < 10_000, "the agent takes everything");
        }
        over.store(true, Ordering::SeqCst);
    });
    let elapsed = started.elapsed();
    let growth = site.rig.peak_kib().saturating_sub(before);
    let (_, p99, ping) = pulse.figures("with everybody else stalled");
    println!(
        "in {elapsed:?}: {fed} pieces for backends that did not read, {} kB downloaded; peak RSS grew by {growth} KiB",
        total.into_inner() / 1000
    );
    stalled.into_iter().for_each(Deaf::ended_with_a_reason);
    // The downloads of clients that go away end as well.
    drop(clients);
    until_downloads_end(&site);
    healthy.round_trip("and in the end");
    healthy.close();
    // What the machine does to a round trip when nothing is going on is not the others' doing.
    assert!(p99 <= bound().max(2 * quiet_p99), "{p99:?}, {quiet_p99:?} when quiet");
    assert!(ping <= ping_bound(), "{ping:?}");
    assert!(growth <= CEILING_KIB + SLACK_KIB, "{growth} KiB");
    site.finish();
}

#[test]
fn b04_readers_that_are_given_up_do_not_end_others() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    const READERS: u64 = 3;
    let site = site();
    let mut healthy = site.echo();
    let before = site.rig.peak_kib();
    let clients = clients_that_do_not_read(&site, usize::try_from(READERS).unwrap(), AT_ONCE);
    let started = Instant::now();
    let given_up = |plane: &Plane| plane.records().given_up.total() == READERS;
    let mut pulse = Pulse::default();
    while !site.rig.bed.wait_until(given_up, Duration::ZERO) {
        pulse.beat(&mut healthy);
        assert!(started.elapsed() < 2 * LIMIT, "clients that take nothing are never given up");
    }
    until_downloads_end(&site);
    pulse.beat(&mut healthy);
    let growth = site.rig.peak_kib().saturating_sub(before);
    pulse.figures("with three downloads that nobody takes, at full speed");
    println!("given up after {:?}; peak RSS grew by {growth} KiB", started.elapsed());
    assert!(growth <= CEILING_KIB + SLACK_KIB, "{growth} KiB");
    drop(clients);
    healthy.close();
    site.finish();
}
