//! The body of a request to a backend.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use pipeops_agent_core::streams::{Input, Key};

use super::Reports;
use super::orders::Orders;

/// A body that tells the machines when the connection has written its bytes.
pub(crate) struct RequestBody {
    source: Source,
    /// Whom to tell; nobody for the agent's own requests.
    reports: Option<(Key, Reports)>,
    /// Bytes that the connection has taken and may still hold.
    taken: usize,
}

enum Source {
    Done,
    Whole(Bytes),
    Fed(Arc<Orders>),
}

impl RequestBody {
    pub(crate) fn empty() -> Self {
        Self { source: Source::Done, reports: None, taken: 0 }
    }

    pub(super) fn whole(key: Key, bytes: Bytes, reports: Reports) -> Self {
        Self { source: Source::Whole(bytes), reports: Some((key, reports)), taken: 0 }
    }

    /// A body of the agent's own.
    pub(crate) fn own(bytes: Bytes) -> Self {
        Self { source: if bytes.is_empty() { Source::Done } else { Source::Whole(bytes) }, reports: None, taken: 0 }
    }

    pub(super) fn fed(key: Key, pieces: Arc<Orders>, reports: Reports) -> Self {
        Self { source: Source::Fed(pieces), reports: Some((key, reports)), taken: 0 }
    }

    /// Tells of what was taken before. The connection asks for more only when it has written nearly all of it; at the end of the
    /// body nothing asks any more, and the bytes count until the exchange has its answer.
    fn tell(&mut self) {
        let bytes = core::mem::take(&mut self.taken);
        if let Some((key, reports)) = self.reports.as_ref().filter(|_| bytes > 0) {
            let _ = reports.send(Input::Consumed { key: *key, bytes });
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let piece = match &mut this.source {
            Source::Done => None,
            Source::Whole(bytes) => Some(core::mem::take(bytes)),
            Source::Fed(orders) => ready!(orders.poll_piece(context)),
        };
        this.tell();
        match &piece {
            Some(bytes) => {
                this.taken = bytes.len();
                if matches!(this.source, Source::Whole(_)) {
                    this.source = Source::Done;
                }
            }
            None => this.source = Source::Done,
        }
        Poll::Ready(piece.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::Done)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Done => SizeHint::with_exact(0),
            Source::Whole(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Source::Fed(_) => SizeHint::default(),
        }
    }
}
