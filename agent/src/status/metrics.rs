//! The picture as Prometheus text (exposition format 0.0.4).
//!
//! All series are there from the first answer on, and no other ever comes: names and labels are words of this file and of the
//! enums of the machines. Names that the Go agent had are kept where they mean something here.

use core::fmt::Write as _;
use std::time::{Duration, SystemTime};

use pipeops_agent_core::streams::{Counters, Outcome, Place, Shape};

use super::journal::{BUCKETS, REASONS, STATES, number};
use super::{About, Snapshot, process};
use crate::version;

/// The type of the answer.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How the value of a number moves.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A value as it is written.
#[derive(Clone, Copy)]
enum Amount {
    Whole(u64),
    /// Thousandths, written as a decimal fraction.
    Millis(u64),
}

struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// `labels` as they stand between the braces; none of them holds what would have to be escaped.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], amount: Amount) {
        self.0.push_str(name);
        for (index, (label, value)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{value}\"", if index == 0 { '{' } else { ',' });
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = match amount {
            Amount::Whole(value) => writeln!(self.0, " {value}"),
            Amount::Millis(value) => writeln!(self.0, " {}.{:03}", value / 1000, value % 1000),
        };
    }

    fn single(&mut self, name: &str, kind: Kind, help: &str, amount: Amount) {
        self.family(name, kind, help);
        self.sample(name, &[], amount);
    }
}

/// Text of `/metrics`.
pub(crate) fn text(snapshot: &Snapshot, about: &About) -> String {
    let mut text = Text(String::with_capacity(12 * 1024));
    connection(&mut text, snapshot);
    heartbeats(&mut text, snapshot);
    exchanges(&mut text, snapshot);
    amounts(&mut text, snapshot, about);
    text.0
}

fn connection(text: &mut Text, snapshot: &Snapshot) {
    let journal = &snapshot.journal;
    let name = "pipeops_agent_build_info";
    text.family(name, Kind::Gauge, "What this agent was built from");
    let labels = [("version", version::VERSION), ("commit", version::COMMIT), ("target", version::TARGET)];
    text.sample(name, &labels, Amount::Whole(1));
    let name = "pipeops_agent_connection_state_changes_total";
    text.family(name, Kind::Counter, "Changes of the connection state, by the new state");
    for (state, count) in STATES.iter().zip(journal.changes) {
        text.sample(name, &[("state", state.as_str())], Amount::Whole(count));
    }
    let name = "pipeops_agent_reconnects_total";
    text.family(name, Kind::Counter, "Connections and attempts to connect that ended and are tried again, by reason");
    for (reason, count) in REASONS.iter().zip(journal.reasons) {
        text.sample(name, &[("reason", reason)], Amount::Whole(count));
    }
}

fn heartbeats(text: &mut Text, snapshot: &Snapshot) {
    let beats = &snapshot.journal.beats;
    text.family("pipeops_agent_heartbeat_duration_seconds", Kind::Histogram, "How long heartbeats took to be delivered");
    let name = "pipeops_agent_heartbeat_duration_seconds_bucket";
    let mut total = 0;
    for (bound, count) in BUCKETS.iter().zip(beats.buckets) {
        total += count;
        let bound = format!("{}.{:03}", bound / 1000, bound % 1000);
        let bound = bound.trim_end_matches('0').trim_end_matches('.');
        text.sample(name, &[("le", bound)], Amount::Whole(total));
    }
    text.sample(name, &[("le", "+Inf")], Amount::Whole(beats.succeeded));
    text.sample("pipeops_agent_heartbeat_duration_seconds_sum", &[], Amount::Millis(beats.millis));
    text.sample("pipeops_agent_heartbeat_duration_seconds_count", &[], Amount::Whole(beats.succeeded));
}

fn exchanges(text: &mut Text, snapshot: &Snapshot) {
    let counters = &snapshot.counters;
    let kinds = || Place::ALL.into_iter().flat_map(|place| Shape::ALL.map(|shape| (place, shape)));
    let name = "pipeops_agent_exchanges_open";
    text.family(name, Kind::Gauge, "Exchanges under way");
    for ((place, target), (shape, kind)) in kinds() {
        text.sample(name, &[("target", target), ("kind", kind)], Amount::Whole(counters.open(place, shape)));
    }
    let name = "pipeops_agent_exchanges_total";
    text.family(name, Kind::Counter, "Exchanges that ended, by outcome");
    for ((place, target), (shape, kind)) in kinds() {
        for (outcome, word) in Outcome::ALL {
            let labels = [("target", target), ("kind", kind), ("outcome", word)];
            text.sample(name, &labels, Amount::Whole(counters.ended(place, shape, outcome)));
        }
    }
    let name = "pipeops_agent_exchange_errors_total";
    text.family(name, Kind::Counter, "Exchanges that failed and requests that were refused, by error");
    for (class, count) in counters.errors() {
        text.sample(name, &[("error", class)], Amount::Whole(count));
    }
    let name = "pipeops_agent_tunnel_bytes_total";
    text.family(name, Kind::Counter, "Bytes of WebSocket frames that went through the tunnel");
    text.sample(name, &[("direction", "to_plane")], Amount::Whole(snapshot.flow.to_plane));
    text.sample(name, &[("direction", "from_plane")], Amount::Whole(snapshot.flow.from_plane));
}

/// Everything that is one number.
fn amounts(text: &mut Text, snapshot: &Snapshot, about: &About) {
    use Amount::Whole;
    use Kind::{Counter, Gauge};
    let (journal, counters) = (&snapshot.journal, &snapshot.counters);
    let upgrades = |count: fn(&_, Place, Shape) -> u64| {
        Whole(Place::ALL.iter().map(|(place, _)| count(counters, *place, Shape::Upgrade)).sum())
    };
    let age = |instant: Option<_>| instant.map(|at| millis(snapshot.since(at)));
    let unhealthy = if snapshot.ready { Duration::ZERO } else { snapshot.since(journal.state_since) };
    let started = about.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let reconnections = journal.reasons.iter().sum();
    for (name, kind, help, amount) in [
        (
            "pipeops_agent_connection_state",
            Gauge,
            "Connection state: 0 disconnected, 1 connecting, 2 connected, 3 reconnecting",
            Some(size(number(snapshot.state))),
        ),
        (
            "pipeops_agent_ready",
            Gauge,
            "1 when registered and the control plane was heard within the liveness bound",
            Some(Whole(u64::from(snapshot.ready))),
        ),
        ("pipeops_agent_unhealthy_duration_seconds", Gauge, "How long the agent has not been ready", Some(millis(unhealthy))),
        ("pipeops_agent_websocket_reconnections_total", Counter, "Attempts to connect again", Some(Whole(reconnections))),
        ("pipeops_agent_heartbeat_success_total", Counter, "Heartbeats delivered", Some(Whole(journal.beats.succeeded))),
        ("pipeops_agent_heartbeat_failures_total", Counter, "Heartbeats that failed", Some(Whole(journal.beats.failed))),
        ("pipeops_agent_heartbeat_age_seconds", Gauge, "Since the last heartbeat was delivered", age(journal.beats.last)),
        ("pipeops_agent_plane_heard_age_seconds", Gauge, "Since the control plane was last heard", age(snapshot.heard)),
        (
            "pipeops_agent_requests_refused_total",
            Counter,
            "Requests refused without asking a backend",
            Some(Whole(counters.refused)),
        ),
        ("pipeops_agent_websocket_proxy_active_streams", Gauge, "Upgraded connections under way", Some(upgrades(Counters::open))),
        (
            "pipeops_agent_websocket_proxy_streams_total",
            Counter,
            "Upgraded connections that were begun",
            Some(upgrades(Counters::opened)),
        ),
        ("pipeops_agent_exchange_table_size", Gauge, "Places taken in the table of exchanges", Some(size(snapshot.exchanges))),
        ("pipeops_agent_budget_used_bytes", Gauge, "Data in transit", Some(size(snapshot.budget_used))),
        ("pipeops_agent_budget_peak_bytes", Gauge, "The most data that was ever in transit", Some(size(snapshot.budget_peak))),
        (
            "pipeops_agent_budget_ceiling_bytes",
            Gauge,
            "The most data that may be in transit",
            Some(size(snapshot.budget_ceiling)),
        ),
        (
            "pipeops_agent_outgoing_waiting_bytes",
            Gauge,
            "Bytes that wait for the socket to the control plane",
            Some(size(snapshot.flow.outgoing)),
        ),
        ("pipeops_agent_events_waiting", Gauge, "Reports of exchanges that wait for the loop", Some(size(snapshot.flow.events))),
        ("pipeops_agent_uptime_seconds", Gauge, "Since the start", Some(millis(snapshot.uptime()))),
        ("process_resident_memory_bytes", Gauge, "Resident memory size in bytes", process::resident_bytes().map(Whole)),
        ("process_open_fds", Gauge, "Number of open file descriptors", process::open_files().map(Whole)),
        ("process_start_time_seconds", Gauge, "Start time of the process since 1970 in seconds", Some(millis(started))),
    ] {
        // What does not exist yet is no zero: an age of nothing would look like health.
        match amount {
            Some(amount) => text.single(name, kind, help, amount),
            None => {
                text.family(name, kind, help);
                let _ = writeln!(text.0, "{name} NaN");
            }
        }
    }
}

fn millis(duration: Duration) -> Amount {
    Amount::Millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

fn size(number: usize) -> Amount {
    Amount::Whole(u64::try_from(number).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::fake;
    use super::*;

    #[test]
    fn is_what_prometheus_reads() {
        let text = text(&fake::snapshot(|_, _| {}), &fake::about());
        let mut families = BTreeSet::new();
        let mut series = BTreeSet::new();
        let (mut helped, mut family, mut kind) = ("", "", "");
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                (helped, _) = rest.split_once(' ').unwrap();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                (family, kind) = rest.split_once(' ').unwrap();
                assert_eq!(helped, family);
                assert!(families.insert(family), "{family} twice");
                assert_eq!(kind == "counter", family.ends_with("_total"), "{family}");
            } else {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert!(value.parse::<f64>().is_ok(), "{line}");
                assert!(series.insert(name), "{name} twice");
                let bare = name.split('{').next().unwrap();
                let own = if kind == "histogram" { bare.strip_prefix(family).unwrap() } else { "" };
                assert!(bare == family || ["_bucket", "_sum", "_count"].contains(&own), "{line} under {family}");
            }
        }
        assert!(text.ends_with('\n') && families.len() > 20, "{text}");
        assert!(text.len() < 12 * 1024, "{} bytes do not fit into the first buffer", text.len());
        assert!(text.contains("pipeops_agent_heartbeat_age_seconds NaN\n"));
        assert!(text.contains("pipeops_agent_heartbeat_duration_seconds_bucket{le=\"0.005\"} 0\n"));
        assert!(text.contains("pipeops_agent_heartbeat_duration_seconds_bucket{le=\"2.5\"} 0\n"));
        assert!(text.contains("pipeops_agent_heartbeat_duration_seconds_bucket{le=\"10\"} 0\n"), "{text}");
        assert!(text.contains("pipeops_agent_uptime_seconds 90.500\n"));
    }
}
