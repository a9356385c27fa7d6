//! The reference control plane: for tests, demonstrations and other people's clients; never for production.
//!
//! [`plane`] holds the logic without sockets.

pub mod plane;
