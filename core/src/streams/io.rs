//! The table's boundary.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

use crate::message::{FromPlane, Header};
use crate::policy::{Policy, Refusal};

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

/// What can change while the table is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What the plane may do.
    pub policy: Policy,
    /// The ceiling of the budget in bytes. When more is in use already, nothing more is taken until that has gone.
    pub ceiling: usize,
    /// The most exchanges at once.
    pub exchanges: usize,
}

/// What the table is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The deadline of `poll_timeout` has passed, or may have.
    Timeout,
    /// The wall clock in milliseconds since 1970, for deadlines that the plane gives as a date.
    WallClock(u64),
    /// The operator changed what may change while exchanges are under way. Those keep what they have; what comes from now on is
    /// judged by this.
    Settings(Box<Settings>),
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
    /// One piece of the answer's body, no larger than was permitted: uses up one [`Output::Read`].
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
    /// The backend took one piece of what was fed to it, or the whole body.
    Consumed {
        /// Which exchange.
        key: Key,
        /// How long the piece was.
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
        /// The most bytes that may be given.
        limit: usize,
    },
    /// Pass on what was fed, then end the connection from this side, read what still comes, for nobody, and tell `End`.
    Finish {
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
    /// The headers ask for another protocol. A head with the status 101 says that the connection speaks it from there on: then the
    /// bytes after the head go both ways, by `Data`, `End`, [`Output::Feed`] and [`Output::FeedEnd`].
    pub upgrade: bool,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The Kubernetes API server, with nobody's credential but the plane's.
    KubernetesApi,
    /// A service of the cluster. The names are valid, and the policy allows it; whether its address may be spoken to is for the
    /// shell to ask the policy.
    Service {
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
        /// The port of the service.
        port: u16,
    },
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
    /// The backend does not take what the plane sends as fast as it comes.
    Backpressure,
    /// A message of the backend is larger than the agent takes.
    TooLarge,
    /// The backend answered a request for another protocol with this status.
    NotUpgraded(u16),
    /// The request carries no single credential.
    Unauthorized,
    /// The agent is ending.
    ShuttingDown,
}

impl UpstreamError {
    /// The classes, in the order of [`UpstreamError::index`].
    pub const CLASSES: [&'static str; 11] = [
        "unreachable",
        "broken",
        "deadline",
        "bad_request",
        "denied",
        "overloaded",
        "backpressure",
        "too_large",
        "not_upgraded",
        "unauthorized",
        "shutting_down",
    ];

    /// The place of the class among [`UpstreamError::CLASSES`].
    pub(super) const fn index(&self) -> usize {
        match self {
            Self::Unreachable(_) => 0,
            Self::Broken(_) => 1,
            Self::Deadline => 2,
            Self::BadRequest(_) => 3,
            Self::Denied(_) => 4,
            Self::Overloaded(_) => 5,
            Self::Backpressure => 6,
            Self::TooLarge => 7,
            Self::NotUpgraded(_) => 8,
            Self::Unauthorized => 9,
            Self::ShuttingDown => 10,
        }
    }

    /// The class, one word.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        Self::CLASSES[self.index()]
    }

    /// The close code (RFC 6455, section 7.4.1) that stands for the error where a connection was upgraded.
    #[must_use]
    pub const fn close_code(&self) -> u16 {
        match self {
            Self::Unreachable(_) | Self::Broken(_) | Self::NotUpgraded(_) => 1006,
            Self::Deadline | Self::Denied(_) | Self::Unauthorized => 1008,
            Self::BadRequest(_) => 1002,
            Self::Overloaded(_) | Self::Backpressure => 1013,
            Self::TooLarge => 1009,
            Self::ShuttingDown => 1001,
        }
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.class())?;
        match self {
            Self::Unreachable(text) | Self::Broken(text) | Self::BadRequest(text) | Self::Overloaded(text) => {
                formatter.write_str(text)
            }
            Self::Deadline => formatter.write_str("the exchange took longer than it may"),
            Self::Denied(refusal) => write!(formatter, "{refusal} (rule {}) (status: 403)", refusal.rule()),
            Self::Backpressure => formatter.write_str("the backend does not take what is sent to it as fast as it comes"),
            Self::TooLarge => formatter.write_str("the backend sent a message that is larger than the agent takes"),
            Self::NotUpgraded(status) => write!(formatter, "the Kubernetes API refused the stream (status: {status})"),
            Self::Unauthorized => formatter
                .write_str("the request carries no single Authorization, and the agent never lends its own (status: 401)"),
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
        /// The rule of the policy, where it was one.
        rule: Option<&'static str>,
    },
    /// The plane used the id of an exchange that is under way; the second one was dropped.
    Duplicate {
        /// The plane's id.
        id: Arc<str>,
    },
}
