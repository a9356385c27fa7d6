//! The reference control plane: for tests, demonstrations and other people's clients; never for production.
//!
//! [`plane`] holds the logic without sockets; a simulation drives it directly. The rest of the crate puts the same
//! object behind real ones.
//!
//! # Front doors
//!
//! One takes requests for the Kubernetes API, the other for applications, by `Host` ([`Options::apps`],
//! [`DevPlane::set_app`]). A request becomes a `proxy_request` with a streamed answer. If it asks for an upgrade
//! (`Connection: Upgrade` and any `Upgrade`), the headers of that go along, and 101 makes the connection
//!
//! - a WebSocket if the token is `websocket`: the door does the client's handshake itself; messages, pings, pongs and
//!   closes pass both ways with their opcodes;
//! - bytes otherwise, with `head_data` for those that came with the request, and opcode 8 without payload for the end of
//!   one direction.
//!
//! Any other status is an ordinary answer.
//!
//! # Flow control
//!
//! The protocol has none. Towards the agent, each message of a client waits until the one before is on the wire. A
//! WebSocket also waits for the backend: pings of the door's own (`devplane-pace-…`) go with the data, and while more
//! than 1 MiB is not covered by their pongs the client is not read, so its end is not noticed either. Other upgraded
//! connections have nothing of the kind.
//!
//! Towards a client, 4 MiB may wait; then agents are not read. If that lasts for [`Options::client_patience`], the
//! client's connection is dropped, the agent gets `ws_close` or `proxy_cancel`, and `given_up` in
//! [`plane::Records`] says so.
//!
//! # Streams of a test
//!
//! [`DevPlaneHandle::request`] with [`plane::ProxyRequest::websocket`] or [`plane::ProxyRequest::upgrade`], or
//! [`DevPlaneHandle::websocket`] (`ws_start`), gives an [`AnswerStream`]: a head with 101 (not for `ws_start`), then
//! [`plane::Part::Frame`]s, then [`plane::Part::Closed`]. `send_frame` and `close_stream` speak on it; `send_frame_as`,
//! `close_stream_as` and `send_text` do so in every spelling. Dropping the stream closes it.

pub mod plane;
mod server;

pub use server::{
    Answer, AnswerStream, AppRoute, DevPlane, DevPlaneHandle, Identity, Journal, Options, RequestError, Service, StartError,
    Stopped,
};
