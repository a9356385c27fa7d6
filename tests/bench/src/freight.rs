//! A body of so many bytes, made as it is sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Interval, interval};

/// How much goes at a time.
pub(crate) const PIECE: usize = 32 * 1024;
const TICK: Duration = Duration::from_millis(3);
/// What is paced flows so fast.
pub(crate) const PACED: &str = "11 MB/s";

/// Repeats a piece until there is enough.
pub(crate) struct Freight {
    piece: Bytes,
    left: usize,
    /// Sent with its length, otherwise chunked.
    sized: bool,
    /// A piece for each tick.
    pace: Option<Interval>,
}

impl Freight {
    pub(crate) fn sized(piece: &Bytes, length: usize) -> Self {
        Self { piece: piece.clone(), left: length, sized: true, pace: None }
    }

    /// At [`PACED`], on average.
    pub(crate) fn paced(piece: &Bytes, length: usize) -> Self {
        Self { pace: Some(interval(TICK)), ..Self::sized(piece, length) }
    }

    pub(crate) fn chunked(piece: &Bytes, length: usize) -> Self {
        Self { sized: false, ..Self::sized(piece, length) }
    }

    pub(crate) fn whole(text: impl Into<Bytes>) -> Self {
        let piece = text.into();
        let left = piece.len();
        Self { piece, left, sized: true, pace: None }
    }
}

impl Body for Freight {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.piece.len().min(self.left);
        if length == 0 {
            return Poll::Ready(None);
        }
        if let Some(pace) = &mut self.pace {
            ready!(pace.poll_tick(context));
        }
        self.left -= length;
        Poll::Ready(Some(Ok(Frame::data(self.piece.slice(..length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        match u64::try_from(self.left) {
            Ok(left) if self.sized => SizeHint::with_exact(left),
            Ok(_) | Err(_) => SizeHint::default(),
        }
    }
}

/// Not compressible, and every byte value occurs.
pub(crate) fn noise(length: usize) -> Bytes {
    let mut state = 1_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes().first().copied().unwrap_or_default()
    };
    (0..length).map(next).collect()
}
