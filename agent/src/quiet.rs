//! Which occurrences of something that repeats itself are worth a line in the log.
//!
//! Owns the allowance of one kind of line. Does not own texts, levels or clocks.

use std::time::{Duration, Instant};

use log::Level;

/// One more line becomes worth writing after so long.
const PAUSE: Duration = Duration::from_secs(600);

/// The allowance of one kind of line: some at once, then one each ten minutes, whoever causes them and however often.
///
/// A peer that repeats a failure for a week can therefore not wear out a disk, and the first occurrences are still all seen.
#[derive(Clone, Debug)]
pub(crate) struct Quiet {
    most: u32,
    left: u32,
    /// Since when the next line is being waited for; `None` while all of the allowance is there.
    since: Option<Instant>,
    held_back: u64,
}

impl Quiet {
    /// An allowance of `most` lines at once.
    pub(crate) const fn new(most: u32) -> Self {
        Self { most, left: most, since: None, held_back: 0 }
    }

    /// Takes one occurrence at `now`. `Some` if it is worth a line, with the number of those since the last line that were not.
    pub(crate) fn speak(&mut self, now: Instant) -> Option<u64> {
        self.regain(now);
        if self.left == 0 {
            self.held_back = self.held_back.saturating_add(1);
            return None;
        }
        self.left -= 1;
        self.since.get_or_insert(now);
        Some(std::mem::take(&mut self.held_back))
    }

    /// The level of an occurrence at `now`: `level` if it is worth a line, else DEBUG. And how many before it were not, if any.
    pub(crate) fn weigh(&mut self, now: Instant, level: Level) -> (Level, Option<u64>) {
        match self.speak(now) {
            Some(held_back) => (level, Some(held_back).filter(|count| *count > 0)),
            None => (Level::Debug, None),
        }
    }

    fn regain(&mut self, now: Instant) {
        let Some(since) = self.since else { return };
        let gained = now.saturating_duration_since(since).as_secs() / PAUSE.as_secs();
        let gained = u32::try_from(gained).unwrap_or(u32::MAX).min(self.most - self.left);
        self.left += gained;
        self.since = if self.left == self.most { None } else { Some(since + PAUSE * gained) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn the_first_are_all_seen_and_then_one_each_ten_minutes() {
        let begun = Instant::now();
        let mut quiet = Quiet::new(3);
        let seen: Vec<u64> = (0..3600).filter(|second| quiet.speak(begun + seconds(*second)).is_some()).collect();
        assert_eq!(seen, [0, 1, 2, 600, 1200, 1800, 2400, 3000]);
    }

    #[test]
    fn a_line_tells_how_many_were_held_back() {
        let begun = Instant::now();
        let mut quiet = Quiet::new(1);
        assert_eq!(quiet.speak(begun), Some(0));
        for second in 1..600 {
            assert_eq!(quiet.speak(begun + seconds(second)), None);
        }
        assert_eq!(quiet.speak(begun + seconds(600)), Some(599));
        assert_eq!(quiet.speak(begun + seconds(601)), None);
    }

    #[test]
    fn peace_gives_the_allowance_back_and_never_more() {
        let begun = Instant::now();
        let mut quiet = Quiet::new(2);
        for round in 0..4 {
            let now = begun + seconds(round * 1_000_000);
            let count = (0..10).filter(|_| quiet.speak(now).is_some()).count();
            assert_eq!(count, 2);
        }
    }

    #[test]
    fn a_clock_that_goes_back_changes_nothing() {
        let begun = Instant::now() + seconds(10_000);
        let mut quiet = Quiet::new(1);
        assert!(quiet.speak(begun).is_some());
        assert!(quiet.speak(begun - seconds(5000)).is_none());
    }
}
