//! Monotonic time as the machines see it: a number of milliseconds that the caller supplies.

use core::ops::Add;
use core::time::Duration;

/// A point on the caller's monotonic clock, in milliseconds since an origin of the caller's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

impl Instant {
    /// The origin of the clock.
    pub const ZERO: Self = Self(0);

    /// The instant `milliseconds` after the origin.
    #[must_use]
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// Milliseconds since the origin.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Saturates at the end of the clock. Fractions of a millisecond are rounded up, so that a deadline is never early.
impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis_ceil(duration)))
    }
}

/// `duration` in whole milliseconds, rounded up, saturating.
#[must_use]
pub fn millis_ceil(duration: Duration) -> u64 {
    let whole = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let rest = u64::from(!duration.subsec_nanos().is_multiple_of(1_000_000));
    whole.saturating_add(rest)
}

/// The earlier of two optional deadlines.
#[must_use]
pub fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, None) => one,
        (None, other) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_rounds_up_and_saturates() {
        assert_eq!(Instant::ZERO + Duration::from_micros(1), Instant::from_millis(1));
        assert_eq!(Instant::from_millis(u64::MAX) + Duration::from_secs(1), Instant::from_millis(u64::MAX));
    }

    #[test]
    fn time_that_goes_backwards_is_no_time() {
        assert_eq!(Instant::from_millis(3).since(Instant::from_millis(9)), Duration::ZERO);
    }

    #[test]
    fn earliest_ignores_what_is_not_set() {
        assert_eq!(earliest(None, Some(Instant::from_millis(2))), Some(Instant::from_millis(2)));
        assert_eq!(earliest(Some(Instant::from_millis(1)), Some(Instant::from_millis(2))), Some(Instant::from_millis(1)));
        assert_eq!(earliest(None, None), None);
    }
}
