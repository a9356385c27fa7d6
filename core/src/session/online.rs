//! The session while it is online: pings, liveness, heartbeats and what comes of them.

use core::time::Duration;

use super::heartbeat::{Pulse, Step};
use super::{Beat, Event, Failure, Online, Output, Phase, Session, State};

impl Session {
    pub(super) fn go_online(&mut self) {
        self.was_online = true;
        self.phase = Phase::Online(Online {
            since: self.now,
            stable: false,
            next_ping: self.now + self.config.ping,
            heard: self.now,
            pulse: Pulse::new(self.now),
        });
        self.enter_state(State::Connected);
        self.beat();
    }

    pub(super) fn on_heard(&mut self) {
        let now = self.now;
        self.heard = Some(now);
        if let Phase::Online(online) = &mut self.phase {
            online.heard = now;
            let step = online.pulse.on_heard();
            self.take_step(step);
        }
    }

    pub(super) fn on_acknowledged(&mut self) {
        self.acknowledges = true;
        if let Phase::Online(online) = &mut self.phase {
            let step = online.pulse.on_acknowledged();
            self.take_step(step);
        }
    }

    pub(super) fn on_written(&mut self, beat: Beat) {
        let (now, acknowledges) = (self.now, self.acknowledges);
        if let Phase::Online(online) = &mut self.phase {
            let step = online.pulse.on_written(now, beat, acknowledges, self.config.heartbeat);
            self.take_step(step);
        }
    }

    pub(super) fn beat(&mut self) {
        let now = self.now;
        if let Phase::Online(online) = &mut self.phase {
            let beat = online.pulse.start(now);
            self.outputs.push_back(Output::Heartbeat(self.attempt, beat));
        }
    }

    pub(super) fn take_step(&mut self, step: Step) {
        match step {
            Step::Nothing => {}
            Step::Succeeded => {
                let online = if let Phase::Online(online) = &self.phase { Some(online) } else { None };
                let took = online.map_or(Duration::ZERO, |online| self.now.since(online.pulse.started()));
                self.event(Event::HeartbeatSucceeded { took });
            }
            Step::Beat => self.beat(),
            Step::Retry { error, retry, after } => self.event(Event::HeartbeatFailed { error, retry, after }),
            Step::GiveUp { error } => {
                self.event(Event::HeartbeatsExhausted { error });
                self.lose(Failure::HeartbeatsFailed);
            }
        }
    }

    pub(super) fn on_online_timeout(&mut self) {
        let now = self.now;
        let Phase::Online(online) = &mut self.phase else {
            return;
        };
        if now.since(online.heard) >= self.config.liveness {
            return self.lose(Failure::Silent);
        }
        if !online.stable && now.since(online.since) >= self.config.stable {
            online.stable = true;
            self.backoff.reset();
        }
        if now >= online.next_ping {
            online.next_ping = now + self.config.ping;
            self.outputs.push_back(Output::Ping(self.attempt));
        }
        let step = online.pulse.on_timeout(now);
        self.take_step(step);
    }
}
