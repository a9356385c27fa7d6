//! One hard ceiling for all bytes that the agent buffers on behalf of others.
//!
//! Owns the count. Does not own memory, and does not decide who waits or who is shed: that is [`crate::streams`].

/// How many bytes are taken out of a fixed ceiling.
#[derive(Clone, Debug)]
pub struct Budget {
    ceiling: usize,
    used: usize,
    peak: usize,
}

impl Budget {
    /// A budget of `ceiling` bytes, none of it used.
    #[must_use]
    pub const fn new(ceiling: usize) -> Self {
        Self { ceiling, used: 0, peak: 0 }
    }

    /// Takes `bytes`, or nothing when that would pass the ceiling.
    #[must_use]
    pub fn take(&mut self, bytes: usize) -> bool {
        match self.used.checked_add(bytes) {
            Some(used) if used <= self.ceiling => {
                self.used = used;
                self.peak = self.peak.max(used);
                true
            }
            _ => false,
        }
    }

    /// Gives `bytes` back.
    pub fn give(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.used, "more given back than was taken");
        self.used = self.used.saturating_sub(bytes);
    }

    /// Bytes in use.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.used
    }

    /// The most bytes that were ever in use at once.
    #[must_use]
    pub const fn peak(&self) -> usize {
        self.peak
    }

    /// The ceiling in bytes.
    #[must_use]
    pub const fn ceiling(&self) -> usize {
        self.ceiling
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_passes_the_ceiling() {
        let mut budget = Budget::new(10);
        assert!(budget.take(10));
        assert!(!budget.take(1));
        assert!(!budget.take(usize::MAX));
        budget.give(4);
        assert!(budget.take(4));
        assert_eq!((budget.used(), budget.peak(), budget.ceiling()), (10, 10, 10));
    }
}
