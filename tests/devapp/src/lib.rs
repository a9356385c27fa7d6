//! An application to stand behind a tunnel: pages, transfers, event streams, WebSockets and other upgrades, with a
//! record of everything that reached it.
//!
//! It is for tests and demonstrations, so much of what it does is what a well-behaved application would not: it stalls,
//! drops, answers early, and closes with whatever code it is asked for. What each path does is said in `routes.rs`,
//! `web_sockets.rs` and `raw.rs`.
//!
//! ```no_run
//! # fn demo() -> std::io::Result<()> {
//! let app = devapp::DevApp::spawn(devapp::Options::default())?;
//! let page = format!("{}/", app.url());
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod app;
mod body;
mod connection;
pub mod frame;
mod gzip;
mod head;
mod messages;
mod pattern;
mod raw;
mod recorder;
mod reply;
mod routes;
mod tls;
mod web_sockets;
mod wire;

pub use app::{DevApp, Options};
pub use messages::{Message, Messages};
pub use pattern::{mismatch, pattern};
pub use recorder::{Connections, Seen};
pub use routes::{GREETING, sha256};
pub use tls::{tls_from_pem, tls_self_signed};
pub use web_sockets::accept_key;
