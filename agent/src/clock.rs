//! The two clocks: the monotonic one that drives the machines, and the wall clock that goes on the wire.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pipeops_agent_core::time::Instant;

/// The monotonic clock. Its origin is the start of the process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: tokio::time::Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: tokio::time::Instant::now() }
    }

    /// Milliseconds since the origin, rounded down: a deadline that the timer says has passed has passed here too.
    pub(crate) fn now(&self) -> Instant {
        Instant::from_millis(u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The timer's notation of an instant of the machines.
    pub(crate) fn timer(&self, instant: Instant) -> tokio::time::Instant {
        // Thirty years from now is as good as never, and cannot overflow.
        self.origin + Duration::from_millis(instant.as_millis().min(1_000_000_000_000))
    }
}

/// Time since 1970; zero on a machine whose clock stands before that.
pub(crate) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The wall clock in milliseconds since 1970.
pub(crate) fn wall_millis() -> u64 {
    u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX)
}

/// Time stamps for the wire, RFC 3339 with milliseconds, formatted at most once a millisecond.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    millis: u64,
    text: String,
}

impl Stamps {
    pub(crate) fn now(&mut self) -> &str {
        let now = since_1970();
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        if self.text.is_empty() || millis != self.millis {
            self.millis = millis;
            self.text = humantime::format_rfc3339_millis(UNIX_EPOCH + now).to_string();
        }
        &self.text
    }
}
