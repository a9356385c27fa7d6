//! What the machines have to say, as log records.
//!
//! Whatever a peer can repeat is written some times in full and then seldom, see [`Quiet`]; DEBUG has all of it. Changes of the
//! connection's state are written always: between two of them lies a wait of the back-off, which bounds them.

mod outage;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use log::{Level, debug, info, log, warn};
use pipeops_agent_core::backoff::Delay;
use pipeops_agent_core::message::Registration;
use pipeops_agent_core::session::{self, Failure, State};
use pipeops_agent_core::streams;
use pipeops_agent_core::tunnel::Event;

use self::outage::{Outage, Say};
use crate::config::Notes;
use crate::quiet::Quiet;
use crate::{go_duration, messages};

/// What is odd about the configuration.
pub(crate) fn warnings(notes: &Notes) {
    for note in notes.iter() {
        warn!(setting = note.source.to_string(); "{}", note.message);
    }
    if notes.more() > 0 {
        warn!(count = notes.more(); "{}", messages::MORE_WARNINGS);
    }
}

/// Writes the records, and remembers what was said lately.
#[derive(Debug)]
pub(crate) struct Reporter {
    agent_id: String,
    outage: Outage,
    registrations: Quiet,
    heartbeats: Quiet,
    exhausted: Quiet,
    plane_errors: Quiet,
    unreadable: Quiet,
    unknown: Quiet,
    refused: Quiet,
    answered: Quiet,
    /// The rules that have been warned of.
    rules: BTreeSet<&'static str>,
    duplicate: Quiet,
}

impl Reporter {
    pub(crate) fn new(agent_id: String) -> Self {
        Self {
            agent_id,
            outage: Outage::new(),
            registrations: Quiet::new(8),
            // Four whole ladders of retries.
            heartbeats: Quiet::new(12),
            exhausted: Quiet::new(4),
            plane_errors: Quiet::new(4),
            unreadable: Quiet::new(4),
            unknown: Quiet::new(8),
            refused: Quiet::new(4),
            answered: Quiet::new(4),
            rules: BTreeSet::new(),
            duplicate: Quiet::new(4),
        }
    }

    /// Writes the record of an event that happened at `now`.
    pub(crate) fn event(&mut self, now: Instant, event: &Event) {
        match event {
            Event::Session(event) => self.session_event(now, event),
            Event::Streams(event) => self.streams_event(now, event),
            Event::Unreadable(reason) => {
                let (level, held_back) = self.unreadable.weigh(now, Level::Warn);
                log!(level, error = reason.to_string(), held_back = held_back; "{}", messages::UNREADABLE);
            }
            Event::UnknownType { kind, first } => {
                let level = if *first && self.unknown.speak(now).is_some() { Level::Warn } else { Level::Debug };
                log!(level, message_type = kind.as_str(); "{}", messages::UNKNOWN_TYPE);
            }
            Event::YamuxDeclined => debug!("Gateway offers yamux, going on with JSON messages"),
        }
    }

    fn session_event(&mut self, now: Instant, event: &session::Event) {
        match event {
            session::Event::StateChanged { from, to } => {
                info!(old_state = from.as_str(), new_state = to.as_str(); "{}", messages::STATE_CHANGED);
                if *to == State::Connected
                    && let Some((level, outage)) = self.outage.ended(now)
                {
                    let after = go_duration::format(outage.lasted);
                    log!(level, after = after, attempts = outage.attempts, held_back = outage.held_back; "{}", messages::RECONNECTED);
                }
            }
            session::Event::ConnectFailed(failure) => self.connect_failed(now, failure),
            session::Event::Lost(failure) => {
                let level = self.outage.lost(now);
                log!(level, error = failure.to_string(); "{}", messages::CONNECTION_LOST);
            }
            session::Event::BackingOff(delay) => backing_off(self.outage.level_of_wait(), delay),
            session::Event::Registered { known, registration } => {
                let (level, held_back) = self.registrations.weigh(now, Level::Info);
                registered(level, *known, registration, &self.agent_id, held_back);
            }
            session::Event::HeartbeatSucceeded { .. } => debug!("{}", messages::HEARTBEAT_SENT),
            session::Event::HeartbeatFailed { error, retry, after } => {
                let (level, held_back) = self.heartbeats.weigh(now, Level::Warn);
                let backoff = go_duration::format(*after);
                log!(level, error = error.as_str(), attempt = *retry, backoff = backoff, held_back = held_back; "{}", messages::HEARTBEAT_FAILED);
            }
            session::Event::HeartbeatsExhausted { error } => {
                let (level, held_back) = self.exhausted.weigh(now, Level::Warn);
                log!(level, error = error.as_str(), held_back = held_back; "{}", messages::HEARTBEATS_EXHAUSTED);
            }
            session::Event::Refused(text) => {
                let (level, held_back) = self.plane_errors.weigh(now, Level::Warn);
                log!(level, error = text.as_str(), held_back = held_back; "{}", messages::PLANE_ERROR);
            }
            session::Event::Stale(attempt) => {
                debug!(connection = attempt.number(); "Dropped what came from a connection that is over")
            }
        }
    }

    fn streams_event(&mut self, now: Instant, event: &streams::Event) {
        match event {
            streams::Event::Refused { id, error } => {
                let (level, held_back) = self.refused.weigh(now, Level::Warn);
                log!(level, request_id = &**id, class = error.class(), error = error.to_string(), held_back = held_back; "{}", messages::REFUSED);
            }
            streams::Event::Failed { id, error } => {
                debug!(request_id = &**id, class = error.class(), error = error.to_string(); "Request of the control plane failed");
            }
            streams::Event::Answered { id, status, message, rule } => {
                // A rule that refuses is worth a warning once; from then on it does what the operator wants of it.
                let (level, held_back) = match rule {
                    Some(rule) if self.rules.insert(*rule) => (Level::Warn, None),
                    Some(_) => (Level::Debug, None),
                    None => self.answered.weigh(now, Level::Warn),
                };
                let rule = rule.unwrap_or("authorization");
                log!(level, request_id = &**id, status = *status, rule = rule, error = message.as_str(), held_back = held_back; "{}", messages::REFUSED_BY_POLICY);
            }
            streams::Event::Cancelled { id } => debug!(request_id = &**id; "Request cancelled by the control plane"),
            streams::Event::Duplicate { id } => {
                let (level, held_back) = self.duplicate.weigh(now, Level::Warn);
                log!(level, request_id = &**id, held_back = held_back; "{}", messages::DUPLICATE);
            }
        }
    }

    fn connect_failed(&mut self, now: Instant, failure: &Failure) {
        let hint = hint(failure);
        let error = format!("{}: {failure}", messages::VIA_WEBSOCKET);
        match self.outage.failed(now, failure, hint) {
            Say::Failure(level) => log!(level, error = error, hint = hint; "{}", messages::CONNECT_FAILED),
            Say::Summary(outage) => {
                let after = go_duration::format(outage.lasted);
                log!(
                    Level::Warn,
                    error = error, hint = hint, attempts = outage.attempts, after = after, held_back = outage.held_back;
                    "{}", messages::STILL_AWAY
                );
            }
        }
    }
}

/// What the operator can do about it.
pub(crate) fn hint(failure: &Failure) -> Option<&'static str> {
    match failure {
        Failure::Refused { status: 401 | 403, .. } => Some(
            "the control plane does not accept the token: check PIPEOPS_TOKEN (or AGENT_TOKEN) and get a new one if it was revoked",
        ),
        Failure::Refused { status: 404, .. } => Some("there is no control plane at this address: check PIPEOPS_API_URL"),
        Failure::Refused { status: 429 | 500..=599, .. } => Some("the control plane is busy or broken: nothing to do here"),
        Failure::Refused { .. } => Some("this is not a control plane, or a proxy stands before it: check PIPEOPS_API_URL"),
        Failure::Transport { hint, .. } => *hint,
        Failure::TimedOut(_) => Some("check that the firewall lets outbound connections to the control plane through"),
        Failure::RegistrationRefused(_) => {
            Some("the control plane let the agent in and refused the cluster: check PIPEOPS_TOKEN and PIPEOPS_CLUSTER_NAME")
        }
        Failure::Closed { .. } | Failure::NotRegistered(_) | Failure::Silent | Failure::HeartbeatsFailed => None,
    }
}

fn backing_off(level: Level, delay: &Delay) {
    let jitter = go_duration::format(Duration::from_millis(delay.jitter_millis.unsigned_abs()));
    let jitter = if delay.jitter_millis < 0 { format!("-{jitter}") } else { jitter };
    log!(
        level,
        attempt = delay.failure,
        base_delay = go_duration::format(delay.base),
        jitter = jitter,
        total_delay = go_duration::format(delay.total),
        next_delay = go_duration::format(delay.next);
        "{}", messages::RECONNECTING
    );
}

fn registered(level: Level, known: bool, registration: &Registration, agent_id: &str, held_back: Option<u64>) {
    let status = if known { "re-registered" } else { registration.status.as_deref().unwrap_or("registered") };
    log!(
        level,
        status = status,
        cluster_id = registration.cluster_id.as_str(),
        cluster_uuid = registration.cluster_uuid.as_deref().unwrap_or_default(),
        name = registration.name.as_deref().unwrap_or_default(),
        gateway = registration.gateway_url.is_some(),
        held_back = held_back;
        "{}", messages::REGISTERED
    );
    log!(level, cluster_id = registration.cluster_id.as_str(), agent_id = agent_id; "{}", messages::CLUSTER_REGISTERED);
}
