//! The machines, the reference plane and a faulty network in virtual time.
//!
//! A failing seed prints the one command that replays it.

pub mod backend;
pub mod chaos;
pub mod herd;
pub mod socket;
pub mod world;
