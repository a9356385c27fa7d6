//! Exchanges of the real binary: what a control plane asks for reaches the Kubernetes API, and the answer comes back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "exchanges/answers.rs"]
mod answers;
#[path = "exchanges/bodies.rs"]
mod bodies;
#[path = "exchanges/ends.rs"]
mod ends;
#[path = "exchanges/front.rs"]
mod front;
#[path = "harness.rs"]
mod harness;
#[path = "exchanges/kubectl.rs"]
mod kubectl;
#[path = "exchanges/limits.rs"]
mod limits;
#[path = "exchanges/malformed.rs"]
mod malformed;
#[path = "exchanges/policy.rs"]
mod policy;
#[path = "exchanges/rest.rs"]
mod rest;
#[path = "exchanges/rig.rs"]
mod rig;
#[path = "exchanges/streams.rs"]
mod streams;
