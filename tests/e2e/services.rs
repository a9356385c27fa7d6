//! HTTP to services with the real binary: what reaches an application, what comes back, and what is never reached.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "services/addresses.rs"]
mod addresses;
#[path = "services/answers.rs"]
mod answers;
#[path = "upgrades/backend.rs"]
mod backend;
#[path = "services/bodies.rs"]
mod bodies;
#[path = "services/failures.rs"]
mod failures;
#[path = "services/front.rs"]
mod front;
#[path = "harness.rs"]
mod harness;
#[path = "services/requests.rs"]
mod requests;
#[path = "exchanges/rig.rs"]
mod rig;
#[path = "upgrades/site.rs"]
mod site;
#[path = "upgrades/socket.rs"]
mod socket;
#[path = "services/targets.rs"]
mod targets;
#[path = "services/tls.rs"]
mod tls;
