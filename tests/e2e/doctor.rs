//! `doctor`: one thing is wrong at a time, and the line that fails is the right one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "doctor/cluster.rs"]
mod cluster;
#[path = "doctor/diagnosis.rs"]
mod diagnosis;
#[path = "harness.rs"]
mod harness;
#[path = "doctor/local.rs"]
mod local;
#[path = "doctor/middle.rs"]
mod middle;
#[path = "doctor/monitoring.rs"]
mod monitoring;
#[path = "doctor/plane.rs"]
mod plane;
#[path = "connection/proxy.rs"]
#[allow(dead_code, reason = "shared by targets that need different parts of it")]
mod proxy;
#[path = "connection/server.rs"]
#[allow(dead_code, reason = "shared by targets that need different parts of it")]
mod server;
