//! What the driver wants of one exchange: reads that are permitted, pieces to pass on, ends.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

/// The orders for one task. An idle one costs nothing but itself: there may be many.
#[derive(Debug, Default)]
pub(super) struct Orders(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// The most bytes of the read that is permitted; 0 when none is.
    permitted: usize,
    pieces: VecDeque<Bytes>,
    /// No more pieces will come.
    complete: bool,
    /// Nobody wants to hear more of the exchange than its end.
    finish: bool,
    waker: Option<Waker>,
}

impl Orders {
    pub(super) fn permit(&self, limit: usize) {
        self.change(|waiting| waiting.permitted = limit);
    }

    pub(super) fn feed(&self, piece: Bytes) {
        self.change(|waiting| waiting.pieces.push_back(piece));
    }

    pub(super) fn complete(&self) {
        self.change(|waiting| waiting.complete = true);
    }

    pub(super) fn finish(&self) {
        self.change(|waiting| (waiting.complete, waiting.finish) = (true, true));
    }

    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        let waker = {
            let mut waiting = self.lock();
            change(&mut waiting);
            waiting.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The most bytes that may be read now. The permission is used up by [`Orders::used`].
    pub(super) fn poll_permitted(&self, context: &mut Context<'_>) -> Poll<usize> {
        let mut waiting = self.lock();
        if waiting.permitted > 0 {
            return Poll::Ready(waiting.permitted);
        }
        waiting.wait(context)
    }

    pub(super) fn used(&self) {
        self.lock().permitted = 0;
    }

    /// The next piece; `None` when there will be no more.
    pub(super) fn poll_piece(&self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut waiting = self.lock();
        match waiting.pieces.pop_front() {
            Some(piece) => Poll::Ready(Some(piece)),
            None if waiting.complete => Poll::Ready(None),
            None => waiting.wait(context),
        }
    }

    pub(super) fn is_finishing(&self) -> bool {
        self.lock().finish
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// One task asks, so there is one waker to keep.
    fn wait<T>(&mut self, context: &mut Context<'_>) -> Poll<T> {
        match &mut self.waker {
            Some(waker) => waker.clone_from(context.waker()),
            waker @ None => *waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}
