//! Sessions of the real binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "harness.rs"]
mod harness;

use harness::{Bed, Setup};

#[test]
fn f23_smoke() {
    let bed = Bed::new(Setup::default());
    let agent = bed.agent().online();
    agent.wait_msg("Agent registered successfully via WebSocket", harness::LIMIT);
    agent.stop();
    bed.assert_clean();
}
