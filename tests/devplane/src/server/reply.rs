//! HTTP answers: small whole ones, and those that stream from an agent.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use hyper::{Response, StatusCode};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::answer::AnswerStream;
use crate::plane::Part;

/// How long an agent may take to end an answer whose client is served.
const END_LIMIT: Duration = Duration::from_secs(5);

/// An answer's body.
pub(super) enum ReplyBody {
    Whole(Option<Bytes>),
    Streamed(Streamed),
}

/// The rest of an agent's answer, and the upload that belongs to it.
pub(super) struct Streamed {
    /// Present until this is dropped.
    answer: Option<AnswerStream>,
    /// Bytes the client still waits for, if that is known beforehand.
    remaining: Option<u64>,
    /// Held, not read.
    _upload: Upload,
    /// Why the answer ends early, once that is known.
    broken: Option<String>,
}

impl Streamed {
    /// `length` is the body's, if it is known.
    pub(super) fn new(answer: AnswerStream, upload: Upload, length: Option<u64>) -> Self {
        Self { answer: Some(answer), remaining: length, _upload: upload, broken: None }
    }
}

impl Drop for Streamed {
    /// A client that got all the bytes it was promised is served, although the end of the answer may still be under
    /// way. Any other has gone away, and dropping the answer cancels the exchange.
    fn drop(&mut self) {
        if self.remaining == Some(0)
            && let (Some(answer), Ok(runtime)) = (self.answer.take(), Handle::try_current())
        {
            runtime.spawn(timeout(END_LIMIT, answer.collect()));
        }
    }
}

/// A request body under way; it stops when this is dropped.
#[derive(Default)]
pub(super) struct Upload(pub(super) Option<AbortHandle>);

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// The agent did not finish: the connection to the client is cut.
#[derive(Debug)]
pub(super) struct Unfinished(String);

impl fmt::Display for Unfinished {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "answer not finished: {}", self.0)
    }
}

impl std::error::Error for Unfinished {}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Unfinished;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Unfinished>>> {
        let streamed = match self.get_mut() {
            Self::Whole(bytes) => {
                return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
            }
            Self::Streamed(streamed) => streamed,
        };
        if let Some(reason) = streamed.broken.take() {
            return Poll::Ready(Some(Err(Unfinished(reason))));
        }
        let Some(answer) = &mut streamed.answer else {
            return Poll::Ready(None);
        };
        loop {
            return match ready!(answer.poll_next(context)) {
                Some(Part::Chunk(bytes)) => {
                    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    if let Some(remaining) = &mut streamed.remaining {
                        *remaining = remaining.saturating_sub(length);
                    }
                    Poll::Ready(Some(Ok(Frame::data(bytes.into()))))
                }
                Some(Part::Head { .. } | Part::Frame { .. } | Part::Backpressure(_)) => continue,
                Some(Part::Abort(reason) | Part::Error(reason)) => {
                    // One pause, in which what came before is written.
                    streamed.broken = Some(reason);
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                Some(Part::End | Part::Closed { .. }) | None => Poll::Ready(None),
            };
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                hyper::body::SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Self::Streamed(_) => hyper::body::SizeHint::default(),
        }
    }
}

/// An answer with a JSON body, or with none.
pub(super) fn json(status: u16, headers: &[(String, String)], body: Option<&serde_json::Value>) -> Response<ReplyBody> {
    let bytes = body.map(|body| Bytes::from(body.to_string()));
    let mut response = Response::new(ReplyBody::Whole(bytes));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if body.is_some() {
        add_header(&mut response, "Content-Type", "application/json");
    }
    for (name, value) in headers {
        add_header(&mut response, name, value);
    }
    response
}

/// A Kubernetes `Status` that says what went wrong.
pub(super) fn failure(status: u16, reason: &str, message: &str) -> Response<ReplyBody> {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": status,
    });
    json(status, &[], Some(&body))
}

/// Adds a header; one that HTTP does not allow is left out.
pub(super) fn add_header(response: &mut Response<ReplyBody>, name: &str, value: &str) {
    let name = hyper::header::HeaderName::from_bytes(name.as_bytes());
    let value = hyper::header::HeaderValue::from_bytes(value.as_bytes());
    if let (Ok(name), Ok(value)) = (name, value) {
        response.headers_mut().append(name, value);
    }
}
