//! The way of an answer from the plane to whoever asked: a queue that can be awaited, or waited for with a thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;

use super::block::block_on_for;
use super::orders::Control;
use crate::plane::{ExchangeId, Part};

/// Bytes that may wait in all answers together before agents are read no further.
const LIMIT: usize = 4 << 20;

/// How many bytes of answers nobody has taken yet.
#[derive(Default)]
pub(super) struct Pressure {
    queued: AtomicUsize,
    relieved: Notify,
}

impl Pressure {
    pub(super) fn is_high(&self) -> bool {
        self.queued.load(Ordering::Relaxed) > LIMIT
    }

    /// Returns once the queues are short enough.
    pub(super) async fn wait(&self) {
        loop {
            let mut relieved = std::pin::pin!(self.relieved.notified());
            relieved.as_mut().enable();
            if !self.is_high() {
                return;
            }
            relieved.await;
        }
    }

    fn add(&self, bytes: usize) {
        self.queued.fetch_add(bytes, Ordering::Relaxed);
    }

    fn remove(&self, bytes: usize) {
        self.queued.fetch_sub(bytes, Ordering::Relaxed);
        if !self.is_high() {
            self.relieved.notify_waiters();
        }
    }
}

#[derive(Default)]
struct State {
    parts: VecDeque<Part>,
    bytes: usize,
    waker: Option<Waker>,
    finished: bool,
}

struct Shared {
    state: Mutex<State>,
    pressure: Arc<Pressure>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The plane's end.
pub(super) struct AnswerSink {
    shared: Arc<Shared>,
}

impl AnswerSink {
    pub(super) fn push(&self, part: Part) {
        let waker = {
            let mut state = self.shared.lock();
            let bytes = size(&part);
            state.bytes += bytes;
            state.finished |= part.is_last();
            state.parts.push_back(part);
            self.shared.pressure.add(bytes);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn queued(&self) -> usize {
        self.shared.lock().bytes
    }

    /// Throws away what is waiting and ends the answer.
    pub(super) fn cut(&self, reason: &str) {
        {
            let mut state = self.shared.lock();
            state.parts.clear();
            self.shared.pressure.remove(std::mem::take(&mut state.bytes));
        }
        self.push(Part::Abort(reason.to_owned()));
    }
}

/// The asker's end. Dropping it before the last part cancels the exchange.
pub struct AnswerStream {
    exchange: ExchangeId,
    shared: Arc<Shared>,
    control: Control,
    /// The last part has been handed out, or the exchange was cancelled.
    over: bool,
}

pub(super) fn pair(exchange: ExchangeId, pressure: Arc<Pressure>, control: Control) -> (AnswerSink, AnswerStream) {
    let shared = Arc::new(Shared { state: Mutex::default(), pressure });
    let sink = AnswerSink { shared: Arc::clone(&shared) };
    (sink, AnswerStream { exchange, shared, control, over: false })
}

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// 0 if there was no head.
    pub status: u16,
    pub headers: Vec<(String, Vec<String>)>,
    pub body: Vec<u8>,
    /// Set unless the answer came to its proper end.
    pub error: Option<String>,
}

impl AnswerStream {
    #[must_use]
    pub fn exchange(&self) -> ExchangeId {
        self.exchange
    }

    /// The next part; `None` after the last.
    pub async fn next(&mut self) -> Option<Part> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// The next part, waiting with the thread. `None` after the last, or when the time is over.
    pub fn next_within(&mut self, limit: Duration) -> Option<Part> {
        block_on_for(self.next(), limit).flatten()
    }

    /// Everything up to the end.
    pub async fn collect(mut self) -> Answer {
        let mut answer = Answer::default();
        while let Some(part) = self.next().await {
            answer.take(part);
        }
        answer
    }

    /// Everything up to the end, waiting with the thread. `None` when the time is over; the exchange is cancelled.
    #[must_use]
    pub fn collect_within(self, limit: Duration) -> Option<Answer> {
        block_on_for(self.collect(), limit)
    }

    /// Sends `proxy_cancel` if the exchange still runs.
    pub fn cancel(mut self) {
        self.stop();
    }

    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Part>> {
        if self.over {
            return Poll::Ready(None);
        }
        let mut state = self.shared.lock();
        let Some(part) = state.parts.pop_front() else {
            state.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        let bytes = size(&part);
        state.bytes -= bytes;
        drop(state);
        self.shared.pressure.remove(bytes);
        self.over = part.is_last();
        Poll::Ready(Some(part))
    }

    fn stop(&mut self) {
        let (leftover, finished) = {
            let mut state = self.shared.lock();
            state.parts.clear();
            (std::mem::take(&mut state.bytes), state.finished)
        };
        self.shared.pressure.remove(leftover);
        if !self.over && !finished {
            self.control.cancel(self.exchange);
        }
        self.over = true;
    }
}

impl Drop for AnswerStream {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Answer {
    fn take(&mut self, part: Part) {
        match part {
            Part::Head { status, headers } => {
                self.status = status;
                self.headers = headers;
            }
            Part::Chunk(bytes) | Part::Frame { data: bytes, .. } => self.body.extend_from_slice(&bytes),
            Part::End | Part::Closed => {}
            Part::Abort(text) | Part::Error(text) => self.error = Some(text),
        }
    }

    /// The first value of a header, its name in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, values) = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        values.first().map(String::as_str)
    }
}

fn size(part: &Part) -> usize {
    match part {
        Part::Chunk(bytes) | Part::Frame { data: bytes, .. } => bytes.len(),
        Part::Head { .. } | Part::End | Part::Closed | Part::Abort(_) | Part::Error(_) => 0,
    }
}
