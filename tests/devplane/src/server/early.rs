//! What a client sends right behind its request, before it has an answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// No more than this is kept; the rest is found on the connection.
const KEPT: usize = 64 * 1024;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// The bytes that have come from a client since something was last written to it, for as long as that is of interest.
#[derive(Clone, Default)]
pub(super) struct Early(Arc<Mutex<Option<Vec<u8>>>>);

impl Early {
    /// One that listens; `default` does not.
    pub(super) fn listening() -> Self {
        Self(Arc::new(Mutex::new(Some(Vec::new()))))
    }

    pub(super) fn read(&self, bytes: &[u8]) {
        if let Some(kept) = self.lock().as_mut() {
            let room = KEPT.saturating_sub(kept.len());
            kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
    }

    pub(super) fn written(&self) {
        if let Some(kept) = self.lock().as_mut() {
            kept.clear();
        }
    }

    /// What is behind the head of the request under way, which has this method and no body. Listens no longer. Nothing
    /// if the request did not come alone.
    pub(super) fn take(&self, method: &str) -> Vec<u8> {
        let kept = self.lock().take().filter(|kept| kept.starts_with(method.as_bytes()));
        let kept = kept.unwrap_or_default();
        let end = kept.windows(END_OF_HEAD.len()).position(|window| window == END_OF_HEAD);
        end.and_then(|end| kept.get(end + END_OF_HEAD.len()..)).unwrap_or_default().to_vec()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_behind_the_request() {
        let early = Early::listening();
        early.read(b"GET / HTTP/1.1\r\n\r\n");
        early.written();
        early.read(b"POST /x HT");
        early.read(b"TP/1.1\r\nA: b\r\n\r\nab\r\n\r\nc");
        assert_eq!(early.take("POST"), b"ab\r\n\r\nc");
        early.read(b"more");
        assert_eq!(early.take("POST"), b"");
        let early = Early::listening();
        early.read(b"rest of a bodyPOST / HTTP/1.1\r\n\r\nab");
        assert_eq!(early.take("POST"), b"");
        let early = Early::listening();
        early.read(b"GET / HTTP/1.1\r\n\r\n");
        early.read(&[7; 2 * KEPT]);
        assert_eq!(early.take("GET").len(), KEPT - 18);
        assert_eq!(Early::default().take("GET"), b"");
    }
}
