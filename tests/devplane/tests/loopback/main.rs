//! The server on real sockets, with an agent and clients played by threads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agent;
mod client;
mod faults;
mod front;
mod outages;
mod program;
mod sessions;
mod slow;
mod streams;
mod upgrades;

use std::time::Duration;

use devplane::{DevPlane, DevPlaneHandle, Options};

/// Far more than anything here should take.
const LIMIT: Duration = Duration::from_secs(20);

fn start(options: Options) -> DevPlaneHandle {
    DevPlane::spawn_thread(options).unwrap()
}

#[track_caller]
fn assert_clean(plane: &DevPlaneHandle) {
    let violations: Vec<_> = plane.violations().unwrap().iter().map(ToString::to_string).collect();
    assert!(violations.is_empty(), "{violations:#?}");
}
