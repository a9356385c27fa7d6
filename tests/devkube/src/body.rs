//! The body of an answer: whole, streamed, mirrored, or played from a script of faults. Decides no status.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::sync::mpsc;
use tokio::time::Sleep;

use crate::behaviour::Behaviour;
use crate::io::Flushes;
use crate::shared::{Live, Shared};

/// A piece of a stream. A sender that goes without `End` cuts the connection, as a crashed server would.
#[derive(Debug)]
pub(crate) enum Item {
    Data(Bytes),
    End,
}

pub(crate) enum Source {
    Whole(Bytes),
    Stream(mpsc::Receiver<Item>),
    Mirror(Mirror),
    Script(Script),
    Done,
}

/// The request's own body on its way back.
pub(crate) struct Mirror {
    pub(crate) incoming: Incoming,
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: u64,
    pub(crate) room: usize,
}

pub(crate) struct Body {
    source: Source,
    /// For streams, whose first piece is only known later.
    fault: Option<Step>,
    flushes: Flushes,
    // Held for its drop.
    _live: Live,
}

enum Step {
    Data(Bytes),
    /// Until the socket has taken everything so far: a cut must not swallow what came before it.
    Flush(Option<u64>),
    Pause(Duration),
    Slow {
        rest: Bytes,
        chunk: usize,
        interval: Duration,
    },
    Hang,
    Cut,
}

pub(crate) struct Script {
    steps: VecDeque<Step>,
    size: Option<u64>,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// How often a body that waits for the socket looks again; hyper wakes no body for a flush.
const FLUSH_POLL: Duration = Duration::from_millis(2);

impl Body {
    pub(crate) fn new(source: Source, behaviour: Option<Behaviour>, flushes: Flushes, live: Live) -> Body {
        let mut body = Body { source, fault: None, flushes, _live: live };
        match behaviour {
            Some(Behaviour::HangBody) => body.break_with(Step::Hang),
            Some(Behaviour::CutBody) => body.break_with(Step::Cut),
            Some(Behaviour::SlowBody { chunk, interval }) => {
                if let Source::Whole(bytes) = &body.source {
                    let size = Some(bytes.len() as u64);
                    let slow = Step::Slow { rest: bytes.clone(), chunk: chunk.max(1), interval };
                    body.source = Source::Script(Script { steps: VecDeque::from([slow]), size, sleep: None });
                }
            }
            Some(Behaviour::Hang | Behaviour::Status(_) | Behaviour::Delay(_)) | None => {}
        }
        body
    }

    fn break_with(&mut self, end: Step) {
        if let Source::Whole(bytes) = &self.source {
            let size = Some(bytes.len() as u64);
            self.source = Source::Script(Script::half(bytes.clone(), end, size));
        } else {
            self.fault = Some(end);
        }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let piece = match &mut self.source {
            Source::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                self.source = Source::Done;
                return Poll::Ready(Some(Ok(bytes)).filter(|b| b.as_ref().is_ok_and(|b| !b.is_empty())));
            }
            Source::Script(script) => return script.poll(cx, &self.flushes),
            Source::Stream(items) => match ready!(items.poll_recv(cx)) {
                Some(Item::Data(bytes)) => bytes,
                Some(Item::End) => {
                    self.source = Source::Done;
                    return Poll::Ready(None);
                }
                None => return Poll::Ready(Some(Err(cut()))),
            },
            Source::Mirror(mirror) => match ready!(mirror.poll(cx)) {
                Some(Ok(bytes)) => bytes,
                end => return Poll::Ready(end),
            },
            Source::Done => return Poll::Ready(None),
        };
        let Some(fault) = self.fault.take() else {
            return Poll::Ready(Some(Ok(piece)));
        };
        let mut script = Script::half(piece, fault, None);
        let first = script.poll(cx, &self.flushes);
        self.source = Source::Script(script);
        first
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.get_mut().poll_data(cx).map(|end| end.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Whole(bytes) => bytes.is_empty(),
            Source::Script(script) => script.steps.is_empty(),
            Source::Done => true,
            Source::Stream(_) | Source::Mirror(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Script(Script { size: Some(size), .. }) => SizeHint::with_exact(*size),
            Source::Done => SizeHint::with_exact(0),
            Source::Script(_) | Source::Stream(_) | Source::Mirror(_) => SizeHint::default(),
        }
    }
}

impl Mirror {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            let Some(frame) = ready!(Pin::new(&mut self.incoming).poll_frame(cx)) else {
                return Poll::Ready(None);
            };
            match frame.map(Frame::into_data) {
                Ok(Ok(bytes)) => {
                    self.shared.recorder().body(self.id, &bytes);
                    let Some(room) = self.room.checked_sub(bytes.len()) else {
                        return Poll::Ready(Some(Err(io::Error::other("the body is longer than the limit"))));
                    };
                    self.room = room;
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Ok(Err(_trailers)) => {}
                Err(error) => return Poll::Ready(Some(Err(io::Error::other(error)))),
            }
        }
    }
}

impl Script {
    fn half(bytes: Bytes, end: Step, size: Option<u64>) -> Script {
        let half = bytes.slice(..bytes.len() / 2);
        Script { steps: VecDeque::from([Step::Data(half), Step::Flush(None), end]), size, sleep: None }
    }

    fn poll(&mut self, cx: &mut Context<'_>, flushes: &Flushes) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(cx));
                self.sleep = None;
            }
            let Some(step) = self.steps.pop_front() else {
                return Poll::Ready(None);
            };
            match step {
                Step::Data(bytes) => {
                    if !bytes.is_empty() {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
                Step::Flush(since) => {
                    if since.is_none_or(|since| flushes.count() == since) {
                        self.steps.push_front(Step::Flush(since.or_else(|| Some(flushes.count()))));
                        self.sleep = Some(Box::pin(tokio::time::sleep(FLUSH_POLL)));
                    }
                }
                Step::Pause(time) => self.sleep = Some(Box::pin(tokio::time::sleep(time))),
                Step::Slow { mut rest, chunk, interval } => {
                    let piece = rest.split_to(chunk.min(rest.len()));
                    if !rest.is_empty() {
                        self.steps.push_front(Step::Slow { rest, chunk, interval });
                        self.steps.push_front(Step::Pause(interval));
                    }
                    self.steps.push_front(Step::Data(piece));
                }
                Step::Hang => {
                    // Nobody will wake this again; the connection's end drops it.
                    self.steps.push_front(Step::Hang);
                    return Poll::Pending;
                }
                Step::Cut => return Poll::Ready(Some(Err(cut()))),
            }
        }
    }
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "cut on purpose")
}
