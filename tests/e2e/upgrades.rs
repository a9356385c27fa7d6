//! Upgraded connections of the real binary: WebSockets to services and to the Kubernetes API, and other protocols.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "upgrades/api.rs"]
mod api;
#[path = "upgrades/backend.rs"]
mod backend;
#[path = "upgrades/backend_ends.rs"]
mod backend_ends;
#[path = "upgrades/backpressure.rs"]
mod backpressure;
#[path = "upgrades/early.rs"]
mod early;
#[path = "upgrades/exec.rs"]
mod exec;
#[path = "upgrades/exec_ends.rs"]
mod exec_ends;
#[path = "upgrades/exec_entry.rs"]
mod exec_entry;
#[path = "upgrades/faithful.rs"]
mod faithful;
#[path = "upgrades/frames.rs"]
mod frames;
#[path = "upgrades/handshake.rs"]
mod handshake;
#[path = "harness.rs"]
mod harness;
#[path = "upgrades/idle.rs"]
mod idle;
#[path = "exchanges/kubectl.rs"]
mod kubectl;
#[path = "upgrades/kubectl_exec.rs"]
mod kubectl_exec;
#[path = "upgrades/plane_ends.rs"]
mod plane_ends;
#[path = "upgrades/raw.rs"]
mod raw;
#[path = "exchanges/rig.rs"]
mod rig;
#[path = "upgrades/site.rs"]
mod site;
#[path = "upgrades/socket.rs"]
mod socket;
#[path = "upgrades/spellings.rs"]
mod spellings;
