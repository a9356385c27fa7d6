//! Clients that ask for another protocol (exec, attach, port-forward, WebSockets). Not served yet.

use hyper::{HeaderMap, Response};

use super::reply::{self, ReplyBody};

/// Whether a client wants to leave HTTP.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(hyper::header::UPGRADE)
}

pub(super) fn answer() -> Response<ReplyBody> {
    reply::failure(501, "NotImplemented", "this front door does not serve upgrades")
}
