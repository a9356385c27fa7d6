//! What the real binary writes: the FAQ's troubleshooting pages replayed, the levels, the forms, and no secret in any of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "logs/backend.rs"]
mod backend;
#[path = "logs/canaries.rs"]
mod canaries;
#[path = "logs/faq.rs"]
mod faq;
#[path = "logs/forms.rs"]
mod forms;
#[path = "harness.rs"]
mod harness;
#[path = "logs/levels.rs"]
mod levels;
#[path = "logs/outage.rs"]
mod outage;
#[path = "logs/raw.rs"]
mod raw;

use serde_json::Value;

const LOST: &str = "WebSocket connection closed unexpectedly";
const CONNECT_FAILED: &str = "Failed to connect to the control plane, will keep trying";
const RECONNECTING: &str = "Attempting to reconnect to WebSocket";
const RECONNECTED: &str = "Reconnected to the control plane";
const REGISTERED: &str = "Agent registered successfully via WebSocket";
const CLUSTER_REGISTERED: &str = "Cluster registered successfully";
const STATE_CHANGED: &str = "Connection state changed";

fn text<'line>(line: &'line Value, field: &str) -> &'line str {
    line[field].as_str().unwrap_or_else(|| panic!("no text {field} in {line}"))
}

/// A human duration such as `892ms`, `1.5s` or `-20ms`, in milliseconds.
fn millis(human: &str) -> f64 {
    let (number, factor) = match human.strip_suffix("ms") {
        Some(number) => (number, 1.0),
        None => (human.strip_suffix('s').unwrap_or_else(|| panic!("no duration: {human}")), 1000.0),
    };
    number.parse::<f64>().unwrap() * factor
}
