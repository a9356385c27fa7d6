//! The task that owns the plane. Connections and callers talk to it through channels; it alone calls the plane.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::Journal;
use super::answer::{AnswerSink, pair};
use super::connection::{Command, Switches, Wiring};
use super::listener::Listeners;
use super::orders::{Admission, Condition, Control, Event, Order};
use super::pressure::{Group, Load, Pressures};
use crate::plane::{ConnectionId, ExchangeId, Output, Plane, Upgrade, Verdict};

/// Messages that may wait for one agent.
const COMMANDS: usize = 4096;
/// Events that may wait for the hub.
pub(super) const EVENTS: usize = 256;

struct Link {
    commands: mpsc::Sender<Command>,
    /// Dropped to end the connection abruptly.
    _kill: oneshot::Sender<()>,
}

struct Wait {
    condition: Condition,
    until: Instant,
    reply: oneshot::Sender<bool>,
}

pub(super) struct Hub {
    plane: Plane,
    started: Instant,
    events: mpsc::Receiver<Event>,
    event_sender: mpsc::Sender<Event>,
    orders: mpsc::UnboundedReceiver<Order>,
    control: Control,
    links: BTreeMap<ConnectionId, Link>,
    sinks: BTreeMap<ExchangeId, AnswerSink>,
    waits: Vec<Wait>,
    switches: watch::Sender<Switches>,
    pressures: Arc<Pressures>,
    listeners: Listeners,
    journal: Option<Journal>,
}

/// What the hub is made from.
pub(super) struct Parts {
    pub(super) plane: Plane,
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) event_sender: mpsc::Sender<Event>,
    pub(super) orders: mpsc::UnboundedReceiver<Order>,
    pub(super) control: Control,
    pub(super) switches: watch::Sender<Switches>,
    /// How long a full client may hold agents up.
    pub(super) client_patience: Duration,
    pub(super) listeners: Listeners,
    pub(super) journal: Option<Journal>,
}

impl Hub {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { plane, events, event_sender, orders, control, switches, client_patience, listeners, journal } = parts;
        Self {
            plane,
            started: Instant::now(),
            events,
            event_sender,
            orders,
            control,
            links: BTreeMap::new(),
            sinks: BTreeMap::new(),
            waits: Vec::new(),
            switches,
            pressures: Arc::new(Pressures::new(client_patience)),
            listeners,
            journal,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            self.settle();
            let wake = self.next_wake();
            let sleep = async {
                match wake {
                    Some(wake) => sleep_until(wake).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                order = self.orders.recv() => match order {
                    None => return self.listeners.abort(),
                    Some(Order::Stop(reply)) => {
                        self.listeners.abort();
                        let _ = reply.send(());
                        return;
                    }
                    Some(Order::Listen { on, reply }) => {
                        let result = if on { self.listeners.resume() } else { self.listeners.pause().await };
                        let _ = reply.send(result);
                    }
                    Some(order) => self.obey(order),
                },
                event = self.events.recv() => match event {
                    Some(event) => self.handle(event),
                    None => return,
                },
                () = sleep => {
                    let now = self.now();
                    self.plane.timeout(now);
                }
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn next_wake(&self) -> Option<Instant> {
        let plane = self.plane.poll_timeout().map(|at| self.started + Duration::from_millis(at));
        self.waits.iter().map(|wait| wait.until).chain(plane).min()
    }

    fn handle(&mut self, event: Event) {
        let now = self.now();
        self.plane.timeout(now);
        match event {
            Event::Upgrade { upgrade, reply } => {
                let admission = self.admit(now, &upgrade);
                if let Err(Admission::Accept(connection, _)) = reply.send(admission) {
                    self.links.remove(&connection);
                    self.plane.closed(now, connection);
                }
            }
            Event::Rest { request, reply } => {
                let line = format!("rest {} {}", request.method, request.path);
                let answer = self.plane.rest(now, request);
                self.log(|| format!("{line}: {}", answer.as_ref().map_or(0, |answer| answer.status)));
                let _ = reply.send(answer);
            }
            Event::Received(connection, incoming) => {
                let before = self.plane.records().registers.total();
                self.plane.receive(now, connection, incoming);
                if self.plane.records().registers.total() != before {
                    self.log(|| format!("connection {}: register", connection.0));
                }
            }
            Event::Broken(connection, problem) => self.plane.framing_error(now, connection, problem),
            Event::Closed(connection) => {
                self.log(|| format!("connection {}: ended", connection.0));
                self.links.remove(&connection);
                self.plane.closed(now, connection);
            }
            Event::Say { exchange, say, done } => {
                if let (true, Some(connection)) = (self.sinks.contains_key(&exchange), self.plane.connection_of(exchange)) {
                    say(&mut self.plane);
                    self.settle();
                    if let Some(done) = done {
                        self.command(connection, Command::Barrier(done));
                    }
                    if !self.plane.is_running(exchange) {
                        self.sinks.remove(&exchange);
                    }
                }
            }
        }
    }

    fn admit(&mut self, now: u64, upgrade: &Upgrade) -> Admission {
        let verdict = self.plane.accept(now, upgrade);
        let role = upgrade.role();
        match verdict {
            Verdict::Accept(connection) => {
                self.log(|| format!("connection {}: {role:?} accepted", connection.0));
                let (commands, receiver) = mpsc::channel(COMMANDS);
                let (kill, killed) = oneshot::channel();
                self.links.insert(connection, Link { commands, _kill: kill });
                let wiring = Wiring {
                    events: self.event_sender.clone(),
                    control: self.control.clone(),
                    commands: receiver,
                    kill: killed,
                    switches: self.switches.subscribe(),
                    pressures: Arc::clone(&self.pressures),
                };
                Admission::Accept(connection, wiring)
            }
            Verdict::Refuse { status, headers } => {
                self.log(|| format!("{role:?} refused: {status}"));
                Admission::Refuse { status, headers }
            }
            Verdict::Hang => Admission::Hang,
        }
    }

    fn obey(&mut self, order: Order) {
        let now = self.now();
        self.plane.timeout(now);
        match order {
            Order::Act(act) => act(&mut self.plane, now),
            Order::Open { open, taker, reply } => {
                let opened = open(&mut self.plane, now).map(|exchange| {
                    self.log(|| format!("exchange {}: opened", exchange.0));
                    let (sink, stream) = pair(exchange, taker, Arc::clone(&self.pressures), self.control.clone());
                    self.sinks.insert(exchange, sink);
                    stream
                });
                // If nobody waits any more, dropping the stream cancels the exchange.
                let _ = reply.send(opened);
            }
            Order::Wait { condition, limit, reply } => {
                self.waits.push(Wait { condition, until: Instant::now() + limit, reply });
            }
            Order::Cancel(exchange) => {
                self.log(|| format!("exchange {}: cancelled", exchange.0));
                self.sinks.remove(&exchange);
                self.plane.cancel(exchange);
            }
            Order::Abandon(exchange) => {
                self.log(|| format!("exchange {}: abandoned", exchange.0));
                self.sinks.remove(&exchange);
                self.plane.abandon(exchange);
            }
            Order::Relieve(group) => self.relieve(now, group),
            // Handled by the caller.
            Order::Listen { .. } | Order::Stop(_) => {}
        }
    }

    /// Gives up the caller with the longest queue, or every client whose queue is full.
    fn relieve(&mut self, now: u64, group: Group) {
        let of_group = self.sinks.iter().filter(|(_, sink)| sink.taker().group() == group);
        let held_up: Vec<_> = match group {
            Group::Callers => of_group.max_by_key(|(_, sink)| sink.queued()).map(|(exchange, _)| *exchange).into_iter().collect(),
            Group::Clients => {
                of_group.filter(|(_, sink)| Load::is_too_much(sink.queued())).map(|(exchange, _)| *exchange).collect()
            }
        };
        for exchange in held_up {
            if let Some(sink) = self.sinks.remove(&exchange) {
                self.log(|| format!("exchange {}: nobody takes its answer", exchange.0));
                self.plane.give_up(now, exchange);
                sink.cut("nobody took the answer");
            }
        }
    }

    /// Carries out what the plane wants, then looks whether anybody's wait is over.
    fn settle(&mut self) {
        while let Some(output) = self.plane.poll_output() {
            self.carry_out(output);
        }
        let faults = &self.plane.faults;
        let wanted = Switches {
            silent: !self.plane.answers_pings(),
            deaf: faults.stop_reading,
            deaf_to_clients: faults.stop_reading_clients,
            client_pause: Duration::from_millis(faults.client_pause),
        };
        self.switches.send_if_modified(|present| std::mem::replace(present, wanted) != wanted);
        let now = Instant::now();
        for mut wait in std::mem::take(&mut self.waits) {
            if (wait.condition)(&self.plane) {
                let _ = wait.reply.send(true);
            } else if wait.until <= now {
                let _ = wait.reply.send(false);
            } else if !wait.reply.is_closed() {
                self.waits.push(wait);
            }
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send { connection, text } => self.command(connection, Command::Text(text)),
            Output::SendBinary { connection, bytes } => self.command(connection, Command::Binary(bytes)),
            Output::Ping { connection } => self.command(connection, Command::Ping),
            Output::Close { connection, code, reason } => self.command(connection, Command::Close { code, reason }),
            Output::PauseReading { connection, milliseconds } => {
                self.command(connection, Command::Pause(Duration::from_millis(milliseconds)));
            }
            Output::Drop { connection } => {
                self.links.remove(&connection);
            }
            Output::Answer { exchange, part } => {
                let last = part.is_last();
                if last {
                    self.log(|| format!("exchange {}: {}", exchange.0, super::text::ending(&part)));
                }
                if let Some(sink) = self.sinks.get(&exchange) {
                    sink.push(part);
                }
                if last {
                    self.sinks.remove(&exchange);
                }
            }
            Output::Mux { .. } => {}
            Output::Noted(violation) => self.log(|| format!("violation: {violation}")),
        }
    }

    /// An agent that lets its whole queue fill up is dropped.
    fn command(&mut self, connection: ConnectionId, command: Command) {
        let Some(link) = self.links.get(&connection) else {
            return;
        };
        if let Err(mpsc::error::TrySendError::Full(_)) = link.commands.try_send(command) {
            self.log(|| format!("connection {}: does not read", connection.0));
            self.links.remove(&connection);
            self.plane.drop_connection(connection);
        }
    }

    fn log(&self, line: impl FnOnce() -> String) {
        if let Some(journal) = &self.journal {
            journal(&line());
        }
    }
}
