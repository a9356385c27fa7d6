//! The table's boundary.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

use crate::message::{FromPlane, Header};
use crate::policy::Refusal;

/// An exchange inside the agent. Never used twice, so what a task reports late is known to be stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(pub(crate) u64);

impl Key {
    /// For logs.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// What the table is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The deadline of `poll_timeout` has passed, or may have.
    Timeout,
    /// The wall clock in milliseconds since 1970, for deadlines that the plane gives as a date.
    WallClock(u64),
    /// A message of the plane.
    FromPlane(FromPlane),
    /// A binary message of the plane: the body that is awaited.
    BinaryBody(Bytes),
    /// Another message came where a binary body was announced.
    NoBinaryBody,
    /// The backend answered.
    Head {
        /// Which exchange.
        key: Key,
        /// The HTTP status.
        status: u16,
        /// All headers.
        headers: Vec<Header>,
    },
    /// One piece of the answer's body: uses up one [`Output::Read`].
    Data {
        /// Which exchange.
        key: Key,
        /// The bytes; none means that the read gave nothing.
        data: Bytes,
    },
    /// The answer is complete.
    End {
        /// Which exchange.
        key: Key,
    },
    /// The backend cannot be reached or broke off.
    Failed {
        /// Which exchange.
        key: Key,
        /// Why.
        error: UpstreamError,
    },
    /// The backend took bytes of the request body.
    Consumed {
        /// Which exchange.
        key: Key,
        /// How many.
        bytes: usize,
    },
    /// Admit nothing new; tell [`Output::Drained`] when the table is empty.
    Drain,
    /// End all exchanges with this error.
    AbortAll(UpstreamError),
    /// The socket is gone: nobody is left to answer to.
    Detached,
}

/// What the table wants done.
#[must_use]
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Carry a request to its target.
    Open(Box<Open>),
    /// Pass on bytes of the request body; tell `Consumed` when the backend has them.
    Feed {
        /// Which exchange.
        key: Key,
        /// The bytes.
        data: Bytes,
    },
    /// The request body is complete.
    FeedEnd {
        /// Which exchange.
        key: Key,
    },
    /// Read one piece of the answer.
    Read {
        /// Which exchange.
        key: Key,
    },
    /// Drop the backend at once; whatever it still reports is stale.
    Abort {
        /// Which exchange.
        key: Key,
    },
    /// The table is empty and stays so.
    Drained,
    /// Something to tell people.
    Event(Event),
}

/// A request for a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Which exchange.
    pub key: Key,
    /// Where it goes.
    pub target: Target,
    /// The method, in upper case.
    pub method: String,
    /// Path and query, ready for the request line.
    pub uri: String,
    /// The headers to send.
    pub headers: Vec<Header>,
    /// The body.
    pub body: Body,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The Kubernetes API server, with nobody's credential but the plane's.
    KubernetesApi,
}

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// All of it. Tell `Consumed` when the backend has it.
    Whole(Bytes),
    /// It follows by [`Output::Feed`].
    Fed,
}

/// Why an exchange failed. `Display` gives `class: text`, which is what the plane sees: never an address of the inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamError {
    /// The backend cannot be reached.
    Unreachable(&'static str),
    /// The backend broke off.
    Broken(&'static str),
    /// The exchange took longer than it may.
    Deadline,
    /// The plane's message makes no sense.
    BadRequest(&'static str),
    /// A rule forbids it.
    Denied(Refusal),
    /// There is no room.
    Overloaded(&'static str),
    /// The backend does not take the request body as fast as it comes.
    Backpressure,
    /// This version cannot do it.
    Unsupported(&'static str),
    /// The agent is ending.
    ShuttingDown,
}

impl UpstreamError {
    /// The class, one word.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Broken(_) => "broken",
            Self::Deadline => "deadline",
            Self::BadRequest(_) => "bad_request",
            Self::Denied(_) => "denied",
            Self::Overloaded(_) => "overloaded",
            Self::Backpressure => "backpressure",
            Self::Unsupported(_) => "unsupported",
            Self::ShuttingDown => "shutting_down",
        }
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.class())?;
        match self {
            Self::Unreachable(text)
            | Self::Broken(text)
            | Self::BadRequest(text)
            | Self::Overloaded(text)
            | Self::Unsupported(text) => formatter.write_str(text),
            Self::Deadline => formatter.write_str("the exchange took longer than it may"),
            Self::Denied(refusal) => write!(formatter, "{refusal} (rule {})", refusal.rule()),
            Self::Backpressure => formatter.write_str("the backend does not take the request body as fast as it comes"),
            Self::ShuttingDown => formatter.write_str("the agent is shutting down"),
        }
    }
}

impl core::error::Error for UpstreamError {}

/// What people may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request was not admitted.
    Refused {
        /// The plane's id.
        id: Arc<str>,
        /// Why.
        error: UpstreamError,
    },
    /// An exchange failed.
    Failed {
        /// The plane's id.
        id: Arc<str>,
        /// Why.
        error: UpstreamError,
    },
    /// The plane cancelled an exchange.
    Cancelled {
        /// The plane's id.
        id: Arc<str>,
    },
    /// The agent answered a request itself.
    Answered {
        /// The plane's id.
        id: Arc<str>,
        /// The HTTP status.
        status: u16,
        /// Why.
        message: String,
    },
    /// The plane used the id of an exchange that is under way; the second one was dropped.
    Duplicate {
        /// The plane's id.
        id: Arc<str>,
    },
}
