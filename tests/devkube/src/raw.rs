//! Paths that no Kubernetes has: blobs of given bytes, and two that answer with what they were sent. For load tests.

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use serde_json::{Value, json};

use crate::body::{Mirror, Source};
use crate::server::{BODY_LIMIT, Reply};
use crate::shared::Shared;
use crate::status::Refusal;

pub(crate) const ECHO: &str = "/api/v1/devkube/echo";
pub(crate) const MIRROR: &str = "/api/v1/devkube/mirror";

pub(crate) fn blob(shared: &Shared, path: &str) -> Option<Reply> {
    let blob = shared.blobs().get(path).cloned()?;
    Some(Reply { status: 200, content_type: blob.content_type, source: Source::Whole(blob.bytes), upgrade: None })
}

/// Counts and sums the body as it comes, keeping none of it.
pub(crate) async fn echo(shared: &Shared, id: u64, mut incoming: Incoming) -> Result<Value, Refusal> {
    let mut length = 0_usize;
    let mut sum = Fnv::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| Refusal::bad_request(format!("the body broke off: {error}")))?;
        let Ok(bytes) = frame.into_data() else {
            continue;
        };
        shared.recorder().body(id, &bytes);
        length = length.saturating_add(bytes.len());
        if length > BODY_LIMIT {
            return Err(Refusal::too_large(BODY_LIMIT));
        }
        sum.add(&bytes);
    }
    Ok(json!({"length": length, "fnv1a64": sum.hex()}))
}

pub(crate) fn mirror(shared: &Arc<Shared>, id: u64, content_type: String, incoming: Incoming) -> Reply {
    let content_type = if content_type.is_empty() { "application/octet-stream".into() } else { content_type };
    let mirror = Mirror { incoming, shared: Arc::clone(shared), id, room: BODY_LIMIT };
    Reply { status: 200, content_type, source: Source::Mirror(mirror), upgrade: None }
}

/// Reads the body to its end for the record only.
pub(crate) async fn swallow(shared: &Shared, id: u64, mut incoming: Incoming) {
    while let Some(Ok(frame)) = incoming.frame().await {
        if let Ok(bytes) = Frame::into_data(frame) {
            shared.recorder().body(id, &bytes);
        }
    }
}

/// FNV-1a, 64 bits: enough to see that bytes are the same bytes, and simple enough to be written anywhere.
struct Fnv(u64);

impl Fnv {
    fn new() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn hex(&self) -> String {
        format!("{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_fnv_1a() {
        let mut sum = Fnv::new();
        sum.add(b"foo");
        sum.add(b"bar");
        assert_eq!(sum.hex(), "85944171f73967e8");
    }
}
