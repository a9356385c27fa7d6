//! The session's boundary: everything that goes in and comes out, on one page.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::time::Duration;

use crate::backoff::Delay;
use crate::message::Registration;
use crate::time::Instant;

/// One dial and the socket that comes of it. Never used twice, so what arrives for an older one is known to be stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt(u64);

impl Attempt {
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// For logs.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// One heartbeat of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Beat(pub(crate) u64);

/// Where to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// The address of the configuration.
    Controller,
    /// The address that the registration named.
    Gateway {
        /// The URL as the plane gave it.
        url: String,
        /// The value of the `cluster_uuid` parameter.
        cluster_uuid: String,
    },
}

/// What the connection state is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not trying: before the start and after the end.
    Disconnected,
    /// Trying for the first time.
    Connecting,
    /// Registered and online.
    Connected,
    /// Was online, trying again.
    Reconnecting,
}

impl State {
    /// The word for logs and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Reconnecting => "reconnecting",
        }
    }
}

/// Where the session stands, in more detail than [`State`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Dialling; `registered` when it is the gateway that the registration named.
    Dialling {
        /// Whether the plane has registered the cluster.
        registered: bool,
    },
    /// Waiting for the plane to register the cluster.
    Registering,
    /// Registered and online.
    Online,
    /// Waiting for the next dial.
    BackingOff {
        /// When that comes.
        until: Instant,
    },
    /// Told to end.
    Ending,
}

/// Why an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The upgrade was answered with another status than 101.
    Refused {
        /// That status.
        status: u16,
        /// What the server asks for before the next try.
        retry_after: Option<Duration>,
    },
    /// DNS, TCP, TLS, HTTP, or the socket itself.
    Transport {
        /// What happened, as a person would want to read it.
        text: String,
        /// What the operator can do about it. Known where the failure is made, and nowhere else.
        hint: Option<&'static str>,
    },
    /// The plane closed the socket.
    Closed {
        /// The close code; 1006 when there was none.
        code: u16,
        /// The plane's words.
        reason: String,
    },
    /// A phase took too long.
    TimedOut(&'static str),
    /// The plane answered `register` with an error.
    RegistrationRefused(String),
    /// The plane does not know the cluster any more.
    NotRegistered(String),
    /// Nothing was heard for the liveness bound.
    Silent,
    /// A heartbeat failed and its retries too.
    HeartbeatsFailed,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { status, .. } => write!(formatter, "the server answered the upgrade with status {status}"),
            Self::Transport { text, .. } => formatter.write_str(text),
            // The end without a close frame has one text that people search for, whatever the network calls it.
            Self::Closed { code: 1006, reason } => {
                formatter.write_str("websocket: close 1006 (abnormal closure): unexpected EOF")?;
                if reason.is_empty() { Ok(()) } else { write!(formatter, " ({reason})") }
            }
            Self::Closed { code, reason } => {
                write!(formatter, "websocket: close {code} ({})", close_name(*code))?;
                if reason.is_empty() { Ok(()) } else { write!(formatter, ": {reason}") }
            }
            Self::TimedOut(stage) => write!(formatter, "timed out {stage}"),
            Self::RegistrationRefused(text) => write!(formatter, "the control plane refused the registration: {text}"),
            Self::NotRegistered(text) => write!(formatter, "the control plane does not know this cluster: {text}"),
            Self::Silent => formatter.write_str("nothing was heard from the control plane within the liveness bound"),
            Self::HeartbeatsFailed => formatter.write_str("a heartbeat and all of its retries failed"),
        }
    }
}

impl core::error::Error for Failure {}

/// The names of RFC 6455, section 7.4.1.
const fn close_name(code: u16) -> &'static str {
    match code {
        1000 => "normal",
        1001 => "going away",
        1002 => "protocol error",
        1003 => "unsupported data",
        1005 => "no status",
        1006 => "abnormal closure",
        1007 => "invalid payload data",
        1008 => "policy violation",
        1009 => "message too big",
        1010 => "mandatory extension missing",
        1011 => "internal server error",
        1012 => "service restart",
        1013 => "try again later",
        1015 => "TLS handshake error",
        _ => "unknown",
    }
}

/// How to end a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCode {
    /// Close frame 1000, then the end, without waiting for anything.
    Normal,
    /// Close frame 1001, then the end.
    GoingAway,
    /// It is dead or never lived: drop it.
    Abandon,
}

/// What the session is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The deadline of `poll_timeout` has passed, or may have.
    Timeout,
    /// The facts for the registration are there, or will not get any better.
    FactsReady,
    /// End.
    Shutdown,
    /// The exchanges in flight have ended.
    Drained,
    /// The upgrade succeeded.
    Connected(Attempt),
    /// The dial failed or the socket ended.
    Failed(Attempt, Failure),
    /// Any frame arrived.
    Heard(Attempt),
    /// A heartbeat has left for the network.
    Written(Attempt, Beat),
    /// The plane acknowledged a heartbeat.
    Acknowledged(Attempt),
    /// The plane answered this attempt's `register`.
    Registered(Attempt, Box<Registration>),
    /// The plane wants more time for this attempt's `register`.
    RegisterInProgress(Attempt),
    /// The plane sent an error: whether it names this attempt's `register`, and its text.
    Refused(Attempt, bool, String),
}

/// What the session wants done.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Dial. The answer is `Connected` or `Failed`.
    Dial(Attempt, Endpoint),
    /// Send `register`.
    Register(Attempt),
    /// Send a heartbeat; tell `Written` when it has left.
    Heartbeat(Attempt, Beat),
    /// Send a ping frame.
    Ping(Attempt),
    /// End the attempt's socket or dial. No answer is expected, but for `GoingAway`: `Failed` when it is closed.
    Close(Attempt, CloseCode),
    /// Admit nothing new and let what is in flight end; tell `Drained`.
    Drain,
    /// The session is over.
    Stopped,
    /// Something to tell people.
    Event(Event),
}

/// What people may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The state changed.
    StateChanged {
        /// Before.
        from: State,
        /// After.
        to: State,
    },
    /// An attempt did not get online.
    ConnectFailed(Failure),
    /// A connection that was online ended.
    Lost(Failure),
    /// The next dial comes after a delay.
    BackingOff(Delay),
    /// The plane registered the cluster.
    Registered {
        /// Whether it is the one that was asked for.
        known: bool,
        /// The plane's answer.
        registration: Registration,
    },
    /// A heartbeat was delivered.
    HeartbeatSucceeded {
        /// How long that took.
        took: Duration,
    },
    /// A heartbeat failed and is tried again.
    HeartbeatFailed {
        /// Why.
        error: String,
        /// Which retry comes next, from 1.
        retry: u32,
        /// When.
        after: Duration,
    },
    /// The last retry of a heartbeat failed.
    HeartbeatsExhausted {
        /// Why.
        error: String,
    },
    /// The plane sent an error that ends nothing.
    Refused(String),
    /// Something arrived for an attempt that is over.
    Stale(Attempt),
}
