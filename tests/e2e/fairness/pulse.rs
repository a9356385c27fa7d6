//! How a healthy stream fares meanwhile: round trips, and the answers to the plane's pings.

use std::time::{Duration, Instant};

use crate::socket::Socket;

#[derive(Default)]
pub(crate) struct Pulse {
    round_trips: Vec<Duration>,
    pings: Vec<Duration>,
}

impl Pulse {
    /// The answer to a ping, for which everything sent before has to be dealt with; then one round trip.
    #[track_caller]
    pub(crate) fn beat(&mut self, socket: &mut Socket<'_>) {
        let started = Instant::now();
        socket.rig.settle();
        let settled = Instant::now();
        socket.round_trip(&format!("beat {}", self.count()));
        self.round_trips.push(settled.elapsed());
        self.pings.push(settled - started);
    }

    pub(crate) fn count(&self) -> usize {
        self.round_trips.len()
    }

    /// The middle, the 99th of a hundred, and the slowest ping; printed as well.
    pub(crate) fn figures(mut self, what: &str) -> (Duration, Duration, Duration) {
        self.round_trips.sort_unstable();
        let at = |percent: usize| self.round_trips[(self.round_trips.len() - 1) * percent / 100];
        let (p50, p99, ping) = (at(50), at(99), self.pings.iter().max().copied().unwrap_or_default());
        let (count, slowest) = (self.round_trips.len(), at(100));
        println!("{what}: {count} round trips: p50 {p50:?}, p99 {p99:?}, slowest {slowest:?}; slowest ping {ping:?}");
        (p50, p99, ping)
    }
}
