//! The reference control plane: for tests, demonstrations and other people's clients; never for production.
//!
//! [`plane`] holds the logic without sockets; a simulation drives it directly. The rest of the crate puts the same
//! object behind real ones.

pub mod plane;
mod server;

pub use server::{
    Answer, AnswerStream, AppRoute, DevPlane, DevPlaneHandle, Identity, Journal, Options, RequestError, Service, StartError,
    Stopped,
};
