//! The way of an answer from the plane to whoever asked: a queue that can be awaited, or waited for with a thread.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::block::block_on_for;
use super::orders::Control;
use super::pressure::{Load, Pressures, Taker};
use crate::plane::{ExchangeId, Part};

/// Counted for every part, whatever is in it.
const PART_COST: usize = 64;

#[derive(Default)]
struct State {
    parts: VecDeque<Part>,
    load: Load,
    waker: Option<Waker>,
    finished: bool,
}

struct Shared {
    state: Mutex<State>,
    pressures: Arc<Pressures>,
    taker: Taker,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The plane's end. The answer ends when this is dropped, if it has not before.
pub(super) struct AnswerSink {
    shared: Arc<Shared>,
}

impl AnswerSink {
    pub(super) fn push(&self, part: Part) {
        let waker = {
            let mut state = self.shared.lock();
            self.shared.pressures.grow(&self.shared.taker, &mut state.load, size(&part));
            if part.is_last() {
                // Nothing more comes, so what is left holds nobody up.
                state.finished = true;
                self.shared.pressures.clear(&self.shared.taker, &mut state.load);
            }
            state.parts.push_back(part);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn queued(&self) -> usize {
        self.shared.lock().load.bytes()
    }

    pub(super) fn taker(&self) -> &Taker {
        &self.shared.taker
    }

    /// Throws away what is waiting and ends the answer. The connection of a front door's client is ended, too.
    pub(super) fn cut(&self, reason: &str) {
        {
            let mut state = self.shared.lock();
            state.parts.clear();
            self.shared.pressures.clear(&self.shared.taker, &mut state.load);
        }
        self.push(Part::Abort(reason.to_owned()));
        match &self.shared.taker {
            Taker::Caller => {}
            Taker::Client(hangup) => hangup.notify_one(),
        }
    }
}

impl Drop for AnswerSink {
    fn drop(&mut self) {
        let finished = self.shared.lock().finished;
        if !finished {
            self.push(Part::Abort("the plane has given the exchange up".to_owned()));
        }
    }
}

/// The asker's end. Dropping it before the last part cancels the exchange, or closes the upgraded connection.
pub struct AnswerStream {
    exchange: ExchangeId,
    shared: Arc<Shared>,
    control: Control,
    /// The last part has been handed out, or the exchange was cancelled.
    over: bool,
}

pub(super) fn pair(
    exchange: ExchangeId,
    taker: Taker,
    pressures: Arc<Pressures>,
    control: Control,
) -> (AnswerSink, AnswerStream) {
    let shared = Arc::new(Shared { state: Mutex::default(), pressures, taker });
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
    /// How an upgraded connection was closed, if the agent said so.
    pub close_code: Option<u16>,
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
        self.stop(Control::cancel);
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
        self.shared.pressures.shrink(&self.shared.taker, &mut state.load, size(&part));
        drop(state);
        self.over = part.is_last();
        Poll::Ready(Some(part))
    }

    fn stop(&mut self, end: impl FnOnce(&Control, ExchangeId)) {
        let finished = {
            let mut state = self.shared.lock();
            state.parts.clear();
            self.shared.pressures.clear(&self.shared.taker, &mut state.load);
            state.finished
        };
        if !self.over && !finished {
            end(&self.control, self.exchange);
        }
        self.over = true;
    }
}

impl Drop for AnswerStream {
    fn drop(&mut self) {
        self.stop(Control::abandon);
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
            Part::End | Part::Backpressure(_) => {}
            Part::Closed { code, .. } => self.close_code = code,
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
    PART_COST
        + match part {
            Part::Chunk(bytes) | Part::Frame { data: bytes, .. } => bytes.len(),
            Part::Head { .. } | Part::End | Part::Backpressure(_) | Part::Closed { .. } | Part::Abort(_) | Part::Error(_) => 0,
        }
}
