//! What the machines have to say, as log records.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use log::{Level, debug, error, info, log, warn};
use pipeops_agent_core::backoff::Delay;
use pipeops_agent_core::message::Registration;
use pipeops_agent_core::session::{self, Failure};
use pipeops_agent_core::streams;
use pipeops_agent_core::tunnel::Event;

use crate::{go_duration, messages};

/// Between two warnings of the same kind about what the plane sends. Those in between are DEBUG, so that a plane gone wrong
/// cannot fill a disk.
const QUIET: Duration = Duration::from_secs(60);

/// Writes the records, and remembers what was said lately.
#[derive(Debug, Default)]
pub(crate) struct Reporter {
    agent_id: String,
    unreadable: Option<Instant>,
    refused: Option<Instant>,
    answered: Option<Instant>,
    /// The rules that have been warned of.
    rules: BTreeSet<&'static str>,
    duplicate: Option<Instant>,
}

impl Reporter {
    pub(crate) fn new(agent_id: String) -> Self {
        Self { agent_id, ..Self::default() }
    }

    /// Writes the record of an event.
    pub(crate) fn event(&mut self, event: &Event) {
        match event {
            Event::Session(event) => session_event(event, &self.agent_id),
            Event::Streams(event) => self.streams_event(event),
            Event::Unreadable(reason) => {
                let level = level(&mut self.unreadable);
                log!(level, error = reason.to_string(); "Dropped a message from the control plane that cannot be read");
            }
            Event::UnknownType { kind, first: true } => warn!(message_type = kind.as_str(); "{}", messages::UNKNOWN_TYPE),
            Event::UnknownType { kind, first: false } => debug!(message_type = kind.as_str(); "{}", messages::UNKNOWN_TYPE),
            Event::YamuxDeclined => debug!("Gateway offers yamux, going on with JSON messages"),
        }
    }

    fn streams_event(&mut self, event: &streams::Event) {
        match event {
            streams::Event::Refused { id, error } => {
                let level = level(&mut self.refused);
                log!(level, request_id = &**id, class = error.class(), error = error.to_string(); "Refused a request of the control plane");
            }
            streams::Event::Failed { id, error } => {
                debug!(request_id = &**id, class = error.class(), error = error.to_string(); "Request of the control plane failed");
            }
            streams::Event::Answered { id, status, message, rule } => {
                // A rule that refuses is worth a warning once; from then on it does what the operator wants of it.
                let level = match rule {
                    Some(rule) if self.rules.insert(*rule) => Level::Warn,
                    Some(_) => Level::Debug,
                    None => level(&mut self.answered),
                };
                let rule = rule.unwrap_or("authorization");
                log!(level, request_id = &**id, status = *status, rule = rule, error = message.as_str(); "{}", messages::REFUSED_BY_POLICY);
            }
            streams::Event::Cancelled { id } => debug!(request_id = &**id; "Request cancelled by the control plane"),
            streams::Event::Duplicate { id } => {
                let level = level(&mut self.duplicate);
                log!(level, request_id = &**id; "Dropped a request whose id is in use");
            }
        }
    }
}

/// WARN for the first in a while, DEBUG for those that follow it closely.
fn level(last: &mut Option<Instant>) -> Level {
    let now = Instant::now();
    if last.is_some_and(|last| now.duration_since(last) < QUIET) {
        return Level::Debug;
    }
    *last = Some(now);
    Level::Warn
}

fn session_event(event: &session::Event, agent_id: &str) {
    match event {
        session::Event::StateChanged { from, to } => {
            info!(old_state = from.as_str(), new_state = to.as_str(); "{}", messages::STATE_CHANGED);
        }
        session::Event::ConnectFailed(failure) => connect_failed(failure),
        session::Event::Lost(failure) => warn!(error = failure.to_string(); "{}", messages::CONNECTION_LOST),
        session::Event::BackingOff(delay) => backing_off(delay),
        session::Event::Registered { known, registration } => registered(*known, registration, agent_id),
        session::Event::HeartbeatSucceeded { .. } => debug!("{}", messages::HEARTBEAT_SENT),
        session::Event::HeartbeatFailed { error, retry, after } => {
            warn!(error = error.as_str(), attempt = *retry, backoff = go_duration::format(*after); "{}", messages::HEARTBEAT_FAILED);
        }
        session::Event::HeartbeatsExhausted { error } => error!(error = error.as_str(); "{}", messages::HEARTBEATS_EXHAUSTED),
        session::Event::Refused(text) => warn!(error = text.as_str(); "{}", messages::PLANE_ERROR),
        session::Event::Stale(attempt) => {
            debug!(connection = attempt.number(); "Dropped what came from a connection that is over")
        }
    }
}

fn connect_failed(failure: &Failure) {
    let error = format!("{}: {failure}", messages::VIA_WEBSOCKET);
    match hint(failure) {
        Some(hint) => warn!(error = error, hint = hint; "{}", messages::CONNECT_FAILED),
        None => warn!(error = error; "{}", messages::CONNECT_FAILED),
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

fn backing_off(delay: &Delay) {
    let jitter = go_duration::format(Duration::from_millis(delay.jitter_millis.unsigned_abs()));
    let jitter = if delay.jitter_millis < 0 { format!("-{jitter}") } else { jitter };
    info!(
        attempt = delay.failure,
        base_delay = go_duration::format(delay.base),
        jitter = jitter,
        total_delay = go_duration::format(delay.total),
        next_delay = go_duration::format(delay.next);
        "{}", messages::RECONNECTING
    );
}

fn registered(known: bool, registration: &Registration, agent_id: &str) {
    let status = if known { "re-registered" } else { registration.status.as_deref().unwrap_or("registered") };
    info!(
        status = status,
        cluster_id = registration.cluster_id.as_str(),
        cluster_uuid = registration.cluster_uuid.as_deref().unwrap_or_default(),
        name = registration.name.as_deref().unwrap_or_default(),
        gateway = registration.gateway_url.is_some();
        "{}", messages::REGISTERED
    );
    info!(cluster_id = registration.cluster_id.as_str(), agent_id = agent_id; "{}", messages::CLUSTER_REGISTERED);
}
