//! Fair shares with the real binary: what stalls, stalls alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "upgrades/backend.rs"]
mod backend;
#[path = "harness.rs"]
mod harness;
#[path = "fairness/load.rs"]
mod load;
#[path = "fairness/pulse.rs"]
mod pulse;
#[path = "exchanges/rig.rs"]
mod rig;
#[path = "upgrades/site.rs"]
mod site;
#[path = "upgrades/socket.rs"]
mod socket;
#[path = "fairness/stalled.rs"]
mod stalled;
