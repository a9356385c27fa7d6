//! What a simulation adds up.

/// What is counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub steps: u64,
    pub dials: u64,
    pub completed: u64,
    pub failed: u64,
    pub lost: u64,
    /// Upgraded connections: asked for, agreed to, ended with everything delivered, ended because somebody was too slow.
    pub streams: u64,
    pub upgraded: u64,
    pub whole: u64,
    pub pressed: u64,
    /// Frames that reached the plane.
    pub frames: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.dials += other.dials;
        self.completed += other.completed;
        self.failed += other.failed;
        self.lost += other.lost;
        self.streams += other.streams;
        self.upgraded += other.upgraded;
        self.whole += other.whole;
        self.pressed += other.pressed;
        self.frames += other.frames;
    }
}
