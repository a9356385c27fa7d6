//! The real binary between a reference control plane and a miniature Kubernetes API.
//!
//! A [`Bed`] holds both and a folder for the agent's files; an [`Agent`] is one run of the binary in it. Nothing here
//! sleeps to wait for something: everything has a condition and a deadline.

#![allow(unused_imports, dead_code, unreachable_pub)]

#[path = "harness/agent.rs"]
mod agent;
#[path = "harness/bed.rs"]
mod bed;
#[path = "harness/kube.rs"]
mod kube;

use std::time::Duration;

pub use agent::{Agent, Launch};
pub use bed::{Bed, Setup};
pub use kube::{ADMIN_TOKEN, AGENT_TOKEN, Kube};

/// Far more than anything that is not slow on purpose should take.
pub const LIMIT: Duration = Duration::from_secs(30);
