//! What must hold: at any time, of every answer, and of what the machines say about themselves.

use pipeops_agent_core::budget::Way;
use pipeops_agent_core::streams::{Outcome, Place, Shape};

use super::*;

impl World {
    pub(super) fn note(&mut self, event: Event) {
        match event {
            Event::Session(session::Event::StateChanged { from, to }) => {
                assert_ne!(from, to, "f25: only real changes");
                assert_eq!(self.states.last().map_or(State::Disconnected, |(_, state)| *state), from);
                self.states.push((self.now, to));
                self.mix(to as u64);
            }
            Event::Session(session::Event::BackingOff(delay)) => {
                let total = delay.total.as_millis();
                assert!((375..=75_000).contains(&total), "contract 9: {delay:?}");
                self.delays.push((self.now, delay));
                self.mix(delay.jitter_millis.unsigned_abs());
            }
            Event::Session(session::Event::HeartbeatFailed { retry, .. }) => self.heartbeat_failures.push((self.now, retry)),
            Event::Session(session::Event::Registered { known, .. }) => self.registered.push((self.now, known)),
            Event::Session(session::Event::Lost(_)) => self.counts.lost += 1,
            Event::Session(_) | Event::Streams(_) | Event::Unreadable(_) | Event::UnknownType { .. } | Event::YamuxDeclined => {}
        }
    }

    pub(super) fn part(&mut self, exchange: ExchangeId, part: Part) {
        if self.streams.contains_key(&exchange) {
            return self.stream_part(exchange, part);
        }
        let Some(watched) = self.watched.get_mut(&exchange) else {
            return;
        };
        assert!(watched.ended.is_none(), "contract 13: something after the end of an exchange: {part:?}");
        match part {
            Part::Head { status, .. } => {
                assert!(!watched.head && status == 200, "one head: {status}");
                watched.head = true;
            }
            Part::Chunk(bytes) => {
                if watched.kind != Kind::Count {
                    for (offset, byte) in bytes.iter().enumerate() {
                        assert_eq!(*byte, byte_at(watched.received + offset), "a gap or a repeat in an answer");
                    }
                }
                watched.received += bytes.len();
            }
            Part::End => {
                if let Kind::Blob(size) = watched.kind {
                    assert_eq!(watched.received, size, "an answer that says it is complete is complete");
                }
                assert!(
                    !matches!(watched.kind, Kind::Cut(_) | Kind::Refused | Kind::Hang | Kind::Endless),
                    "an end that cannot be"
                );
                self.counts.completed += 1;
                watched.ended = Some(Part::End);
            }
            part @ (Part::Abort(_) | Part::Error(_)) => {
                self.counts.failed += 1;
                watched.ended = Some(part);
            }
            Part::Frame { .. } | Part::Backpressure(_) | Part::Closed { .. } => unreachable!("no WebSocket was asked for"),
        }
    }

    /// What must hold at any time.
    pub(super) fn check(&mut self) {
        let streams = self.tunnel.streams();
        let budget = streams.budget();
        let held = [budget.taken(Way::Answer), budget.taken(Way::Request)];
        // Over a ceiling that came down, nothing more is taken.
        let before = self.held;
        assert!(
            budget.used() <= self.ceiling || (held[0] <= before[0] && held[1] <= before[1]),
            "contract 14: over the ceiling: {before:?}, then {held:?} of {}",
            self.ceiling
        );
        for (way, (held, before)) in [Way::Answer, Way::Request].into_iter().zip(held.into_iter().zip(before)) {
            assert!(
                (held <= budget.share(way) || held <= before) && budget.share(way) < self.ceiling,
                "contract 14: one way takes everything"
            );
        }
        self.held = held;
        if streams.is_empty() && !streams.is_mid_message() {
            assert_eq!(streams.budget().used(), 0, "contract 14: bytes held for nobody");
        }
        let counters = streams.counters();
        for ((place, _), (shape, _)) in Place::ALL.into_iter().flat_map(|place| Shape::ALL.map(|shape| (place, shape))) {
            let ended: u64 = Outcome::ALL.map(|(outcome, _)| counters.ended(place, shape, outcome)).iter().sum();
            let (opened, open) = (counters.opened(place, shape), counters.open(place, shape));
            assert_eq!(opened, ended + open, "an exchange was counted twice at its end");
        }
        // What the agent answers itself is in the table and not counted.
        assert!(
            u64::try_from(streams.len()).is_ok_and(|there| counters.totals().1 <= there),
            "an exchange that ended is counted as open"
        );
        assert_eq!(self.tunnel.poll_timeout().is_none(), self.stopped.is_some(), "contract 5: a wedge");
        // A plane that sends a request again after it was answered gets a second answer, which is its own doing.
        // One that forgets its clusters between a registration and the gateway makes up another id for the same agent.
        let excused = |breach: &Breach| {
            (self.duplicates && matches!(breach, Breach::AfterEnd { .. }))
                || (self.forgot
                    && matches!(breach, Breach::FieldValue { message, field, .. } if message == "heartbeat" && field == "cluster_id"))
        };
        if let Some(violation) = self.plane.violations().iter().find(|violation| !excused(&violation.breach)) {
            panic!("the plane saw a breach of the protocol: {violation}; {}", self.story());
        }
        let records = self.plane.records();
        let (seen, mut gateways) = self.looked;
        let fresh = records.upgrades.total() - seen;
        if fresh > 0 {
            let last = records.upgrades.iter().rev().take(usize::try_from(fresh).unwrap_or(usize::MAX));
            gateways += last.filter(|upgrade| upgrade.role == Role::Gateway && upgrade.status == 101).count() as u64;
            self.looked = (records.upgrades.total(), gateways);
            assert!(gateways <= records.registers.total(), "f42: a gateway without a registration before it");
        }
    }

    /// Where things stand, for a failure's message.
    #[must_use]
    pub fn story(&self) -> String {
        let upgrades: Vec<_> = self.plane.records().upgrades.iter().rev().take(6).map(|u| (u.at, u.role, u.status)).collect();
        let ends: Vec<_> = self.plane.records().disconnects.iter().rev().take(6).map(|d| (d.at, d.code, d.by_plane)).collect();
        let delays: Vec<_> = self.delays.iter().rev().take(4).collect();
        format!(
            "clusters {:?}, registers {:?}, now {}, state {:?}, plane online {}, link {}, upgrades {upgrades:?}, ends {ends:?}, delays {delays:?}, states {:?}, exchanges {:?}",
            self.plane.clusters().map(|c| (&c.cluster_id, &c.cluster_uuid)).collect::<Vec<_>>(),
            self.plane
                .records()
                .registers
                .iter()
                .rev()
                .take(3)
                .map(|r| (r.at, r.payload.get("cluster_id").cloned()))
                .collect::<Vec<_>>(),
            self.now,
            self.tunnel.session().state(),
            self.plane.online(),
            self.link.is_some(),
            self.states.iter().rev().take(4).collect::<Vec<_>>(),
            self.watched.values().last(),
        )
    }
}
