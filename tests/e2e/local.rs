//! The local listener, its Unix socket, and the command that asks them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "local/abuse.rs"]
mod abuse;
#[path = "local/command.rs"]
mod command;
#[path = "local/door.rs"]
mod door;
#[path = "harness.rs"]
mod harness;
#[path = "local/metrics.rs"]
mod metrics;
#[path = "local/pages.rs"]
mod pages;
#[path = "local/port.rs"]
mod port;
#[path = "exchanges/rig.rs"]
mod rig;
#[path = "local/socket.rs"]
mod socket;
