//! One hard ceiling for all bytes that the agent buffers on behalf of others.
//!
//! Owns the count, and that neither of the two ways takes everything: answers (backend to plane) may hold at most seven eighths of the
//! ceiling, requests (plane to backend) three quarters, so something is left to the other whatever happens. Does not own memory, and
//! does not decide who waits or who is shed: that is [`crate::streams`].

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From a backend to the plane. Who finds no room waits: the backend is not read.
    Answer,
    /// From the plane to a backend. Who finds no room is ended: the plane cannot be slowed down.
    Request,
}

/// How many bytes are taken out of a ceiling.
#[derive(Clone, Debug)]
pub struct Budget {
    ceiling: usize,
    answers: usize,
    requests: usize,
    peak: usize,
}

impl Budget {
    /// A budget of `ceiling` bytes, none of it used.
    #[must_use]
    pub const fn new(ceiling: usize) -> Self {
        Self { ceiling, answers: 0, requests: 0, peak: 0 }
    }

    /// Moves the ceiling. Below what is in use, nothing can be taken until enough was given back.
    pub const fn set_ceiling(&mut self, ceiling: usize) {
        self.ceiling = ceiling;
    }

    /// Takes `bytes`, or nothing when that would pass a bound.
    #[must_use]
    pub fn take(&mut self, way: Way, bytes: usize) -> bool {
        if bytes > self.free(way) {
            return false;
        }
        *self.side(way) += bytes;
        self.peak = self.peak.max(self.used());
        true
    }

    /// Gives `bytes` back.
    pub fn give(&mut self, way: Way, bytes: usize) {
        let side = self.side(way);
        debug_assert!(bytes <= *side, "more given back than was taken");
        *side = side.saturating_sub(bytes);
    }

    /// Bytes that can be taken now.
    #[must_use]
    pub const fn free(&self, way: Way) -> usize {
        let share = self.share(way).saturating_sub(self.taken(way));
        let all = self.ceiling.saturating_sub(self.used());
        if share < all { share } else { all }
    }

    /// Bytes in use one way.
    #[must_use]
    pub const fn taken(&self, way: Way) -> usize {
        match way {
            Way::Answer => self.answers,
            Way::Request => self.requests,
        }
    }

    /// The most that one way may hold.
    #[must_use]
    pub const fn share(&self, way: Way) -> usize {
        match way {
            Way::Answer => self.ceiling - self.ceiling / 8,
            Way::Request => self.ceiling - self.ceiling / 4,
        }
    }

    /// Whether so much at once would leave others an eighth of the ceiling.
    #[must_use]
    pub const fn spares(&self, way: Way, bytes: usize) -> bool {
        bytes <= self.free(way).saturating_sub(self.ceiling / 8)
    }

    /// Bytes in use.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.answers.saturating_add(self.requests)
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

    const fn side(&mut self, way: Way) -> &mut usize {
        match way {
            Way::Answer => &mut self.answers,
            Way::Request => &mut self.requests,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_passes_the_ceiling() {
        let mut budget = Budget::new(16);
        assert!(budget.take(Way::Answer, 14));
        assert!(!budget.take(Way::Answer, 1), "an eighth is the requests'");
        assert!(budget.take(Way::Request, 2));
        assert!(!budget.take(Way::Request, 1));
        assert!(!budget.take(Way::Request, usize::MAX));
        budget.give(Way::Answer, 4);
        assert!(budget.take(Way::Request, 4));
        assert_eq!((budget.used(), budget.peak(), budget.ceiling()), (16, 16, 16));
    }

    #[test]
    fn a_ceiling_below_what_is_in_use_is_reached_by_giving_back() {
        let mut budget = Budget::new(100);
        assert!(budget.take(Way::Answer, 80));
        budget.set_ceiling(40);
        assert_eq!((budget.free(Way::Answer), budget.free(Way::Request), budget.used()), (0, 0, 80));
        assert!(!budget.take(Way::Request, 1));
        budget.give(Way::Answer, 60);
        assert!(budget.take(Way::Request, 20) && !budget.take(Way::Request, 1));
        budget.set_ceiling(100);
        assert!(budget.take(Way::Request, 55) && !budget.take(Way::Request, 1));
    }

    #[test]
    fn neither_way_takes_everything() {
        let mut budget = Budget::new(100);
        assert!(budget.take(Way::Request, 75));
        assert_eq!((budget.free(Way::Request), budget.free(Way::Answer)), (0, 25));
    }
}
