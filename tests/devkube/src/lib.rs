//! A miniature Kubernetes API server that lives in memory, inside the process that starts it.
//!
//! It speaks enough of the API for a real `kubectl` (discovery, get, list, watch, create, apply, patch, delete, logs,
//! server-side printing, exec, attach) and gives its owner handles that no real server has: change an object without a request, see
//! every request as it came, make a path hang, cut or slow down, drop the watch history.
//!
//! It is for tests and demonstrations. It has no persistence, no controllers, no scheduler, no admission, and its
//! three rights (everything, reading without secrets, nothing) stand in for RBAC.
//!
//! ```no_run
//! # async fn demo() -> std::io::Result<()> {
//! let kube = devkube::DevKube::start(devkube::Options::default()).await?;
//! let pods = format!("{}/api/v1/namespaces/default/pods", kube.url());
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod apply;
mod auth;
mod behaviour;
mod body;
mod cells;
mod columns;
mod defaults;
mod delete;
mod discovery;
mod exec;
mod handle;
mod io;
mod jsonpatch;
mod list;
mod logs;
mod merge;
mod messages;
mod openapi;
mod options;
mod ports;
mod programs;
mod protobuf;
mod raw;
mod recorder;
mod request;
mod resources;
mod reviews;
mod route;
mod seed;
mod selector;
mod server;
mod session;
mod shared;
mod socket;
mod status;
mod store;
mod table;
mod time;
mod upgrade;
mod view;
mod watch;
mod write;

pub use behaviour::Behaviour;
pub use handle::DevKube;
pub use options::{Audit, Options, Rights, Token};
pub use recorder::Seen;
pub use status::Refusal;
