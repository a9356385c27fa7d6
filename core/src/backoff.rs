//! How long to wait before the next dial.
//!
//! Owns the ladder (0.5 s doubling to 15 s, ±25 %), the blip window and the clamp on what a server asks for. Does not
//! own the decision to dial.

use core::time::Duration;

use crate::random::Random;
use crate::time::{Instant, millis_ceil};

/// The numbers of the ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The first delay. Doubled for each further failure.
    pub base: Duration,
    /// The longest delay of the ladder, before jitter.
    pub cap: Duration,
    /// How long after the loss of a stable connection delays stay at or below `blip_cap`.
    pub blip_window: Duration,
    /// The longest delay inside the blip window, before jitter.
    pub blip_cap: Duration,
    /// The longest wait that a server can ask for with `Retry-After`.
    pub hint_cap: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(500),
            cap: Duration::from_secs(15),
            blip_window: Duration::from_secs(5),
            blip_cap: Duration::from_secs(1),
            hint_cap: Duration::from_secs(60),
        }
    }
}

/// One decision: how long to wait and how it came about. `total` is `base` plus jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// Which failure in a row this is, from 1.
    pub failure: u32,
    /// The delay before jitter.
    pub base: Duration,
    /// How far the jitter moved it, in milliseconds; negative means earlier.
    pub jitter_millis: i64,
    /// The wait itself.
    pub total: Duration,
    /// What `base` will be after one more failure.
    pub next: Duration,
}

/// The ladder's state.
#[derive(Clone, Debug)]
pub struct Backoff {
    policy: Policy,
    random: Random,
    /// Failures since the last reset: what is reported.
    failures: u32,
    /// The step of the ladder that the next failure takes; held back inside the blip window.
    step: u32,
    blip_until: Option<Instant>,
}

impl Backoff {
    /// A ladder at its first step.
    #[must_use]
    pub fn new(policy: Policy, seed: u64) -> Self {
        Self { policy, random: Random::new(seed), failures: 0, step: 0, blip_until: None }
    }

    /// A connection was stable long enough to be trusted: start over.
    pub fn reset(&mut self) {
        self.failures = 0;
        self.step = 0;
        self.blip_until = None;
    }

    /// A stable connection was lost at `now`: for a short while short waits are worth it.
    pub fn lost_stable(&mut self, now: Instant) {
        self.blip_until = Some(now + self.policy.blip_window);
    }

    /// The wait after one more failure at `now`. `hint` is the server's `Retry-After`: honoured, so never shortened by
    /// jitter, and clamped to the policy.
    pub fn next(&mut self, now: Instant, hint: Option<Duration>) -> Delay {
        self.failures = self.failures.saturating_add(1);
        let in_blip = self.blip_until.is_some_and(|until| now < until);
        let mut base = self.rung(self.step);
        if in_blip {
            base = base.min(self.policy.blip_cap);
            // The ladder proper begins where the window ends, so that an outage of six seconds is not punished with
            // fifteen more.
            if self.rung(self.step.saturating_add(1)) <= self.policy.blip_cap {
                self.step = self.step.saturating_add(1);
            }
        } else {
            self.step = self.step.saturating_add(1);
        }
        let next = if in_blip { self.rung(self.step).min(self.policy.blip_cap) } else { self.rung(self.step) };
        let base = match hint {
            Some(hint) => hint.min(self.policy.hint_cap).max(base),
            None => base,
        };
        let quarter = millis_ceil(base) / 4;
        let jitter_millis = if hint.is_some() {
            i64::try_from(self.random.up_to(quarter)).unwrap_or(0)
        } else {
            let spread = self.random.up_to(quarter.saturating_mul(2));
            i64::try_from(spread).unwrap_or(0).saturating_sub(i64::try_from(quarter).unwrap_or(0))
        };
        let total = millis_ceil(base).saturating_add_signed(jitter_millis);
        Delay { failure: self.failures, base, jitter_millis, total: Duration::from_millis(total), next }
    }

    fn rung(&self, step: u32) -> Duration {
        let factor = 1u32.checked_shl(step).unwrap_or(u32::MAX);
        self.policy.base.saturating_mul(factor).min(self.policy.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases(backoff: &mut Backoff, now: Instant, count: usize) -> alloc::vec::Vec<u64> {
        (0..count).map(|_| millis_ceil(backoff.next(now, None).base)).collect()
    }

    #[test]
    fn f40_doubles_and_is_capped_from_the_sixth_failure_on() {
        let mut backoff = Backoff::new(Policy::default(), 1);
        assert_eq!(bases(&mut backoff, Instant::ZERO, 8), [500, 1000, 2000, 4000, 8000, 15000, 15000, 15000]);
    }

    #[test]
    fn f40_jitter_stays_within_a_quarter_and_uses_it() {
        let (mut low, mut high) = (u64::MAX, 0);
        for seed in 0..500 {
            let mut backoff = Backoff::new(Policy::default(), seed);
            for _ in 0..7 {
                let delay = backoff.next(Instant::ZERO, None);
                let (base, total) = (millis_ceil(delay.base), millis_ceil(delay.total));
                assert!(total >= base - base / 4 && total <= base + base / 4, "{delay:?}");
                assert_eq!(total, base.saturating_add_signed(delay.jitter_millis));
                if base == 15000 {
                    (low, high) = (low.min(total), high.max(total));
                }
            }
        }
        assert!(low < 11600 && high > 18400, "{low} {high}");
    }

    #[test]
    fn f41_a_blip_after_a_stable_connection_is_polled_once_a_second() {
        let mut backoff = Backoff::new(Policy::default(), 1);
        backoff.lost_stable(Instant::ZERO);
        let mut now = Instant::ZERO;
        let mut seen = alloc::vec::Vec::new();
        while now < Instant::from_millis(5000) {
            let delay = backoff.next(now, None);
            assert!(delay.base <= Duration::from_secs(1));
            seen.push(now.as_millis());
            now = now + delay.total;
        }
        assert!(seen.len() >= 5, "{seen:?}");
        assert_eq!(bases(&mut backoff, now, 5), [1000, 2000, 4000, 8000, 15000]);
    }

    #[test]
    fn reset_starts_over() {
        let mut backoff = Backoff::new(Policy::default(), 1);
        bases(&mut backoff, Instant::ZERO, 6);
        backoff.reset();
        assert_eq!(bases(&mut backoff, Instant::ZERO, 2), [500, 1000]);
        assert_eq!(backoff.next(Instant::ZERO, None).failure, 3);
    }

    #[test]
    fn b53_retry_after_is_honoured_and_clamped() {
        let mut backoff = Backoff::new(Policy::default(), 3);
        let delay = backoff.next(Instant::ZERO, Some(Duration::from_secs(7)));
        assert!(delay.total >= Duration::from_secs(7) && delay.total <= Duration::from_millis(8750));
        let delay = backoff.next(Instant::ZERO, Some(Duration::from_secs(86_400)));
        assert!(delay.total >= Duration::from_secs(60) && delay.total <= Duration::from_secs(75));
        let delay = backoff.next(Instant::ZERO, Some(Duration::ZERO));
        assert_eq!(delay.base, Duration::from_secs(2), "a hint never undercuts the ladder");
    }
}
