//! The driver: the one task that owns the machines and the socket to the plane.
//!
//! It turns what happens into inputs and carries out what comes out. Everything that takes time (dials, exchanges, writes of the
//! state) is a task of its own that reports here. The loop itself never waits for anything but all of these at once.

use std::time::Duration;

use log::{Level, debug, info, log_enabled, trace};
use pipeops_agent_core::message::{Facts, Registration};
use pipeops_agent_core::session::{Attempt, CloseCode, Failure};
use pipeops_agent_core::streams;
use pipeops_agent_core::tunnel::{Event, Input, Output, Tunnel};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tungstenite::Message;

use crate::clock::{Clock, Stamps, wall_millis};
use crate::dial::Dialler;
use crate::link::{Link, Turn};
use crate::logger::traffic;
use crate::messages;
use crate::reload::Change;
use crate::report::Reporter;
use crate::secret::Secret;
use crate::signal::Signals;
use crate::state::Saved;
use crate::status::{Asker, Flow, Journal, Snapshot};
use crate::upstream::Upstreams;

/// Reports of exchanges that are taken before the socket gets its turn again.
const BATCH: usize = 64;
/// For the closing handshake of a socket that is given up in good order.
const CLOSE_LIMIT: Duration = Duration::from_millis(800);

/// What dials report.
#[derive(Debug)]
pub(crate) enum Dialled {
    Done(Attempt, Result<Box<Link>, Failure>),
    /// The closing handshake is over.
    Closed(Attempt),
}

/// Everything that the driver is made of.
pub(crate) struct Parts {
    pub(crate) tunnel: Tunnel,
    pub(crate) clock: Clock,
    pub(crate) dialler: Dialler,
    pub(crate) dial_limit: Duration,
    pub(crate) upstreams: Option<Upstreams>,
    pub(crate) reports: mpsc::UnboundedReceiver<streams::Input>,
    pub(crate) facts: Facts,
    pub(crate) news: mpsc::Receiver<Facts>,
    /// Whether news of the cluster will come at all.
    pub(crate) expects_news: bool,
    pub(crate) saved: watch::Sender<Saved>,
    /// Tokens that the plane gave, to be checked before they are kept.
    pub(crate) offered_tokens: mpsc::Sender<Secret>,
    pub(crate) agent_id: String,
    pub(crate) signals: Signals,
    /// What the operator changed.
    pub(crate) changes: mpsc::Receiver<Change>,
    /// Who wants to know how the agent is.
    pub(crate) askers: mpsc::Receiver<Asker>,
}

/// The driver.
pub(crate) struct Driver {
    parts: Parts,
    link: Option<Box<Link>>,
    dialling: Option<AbortHandle>,
    dialled: mpsc::Receiver<Dialled>,
    report_dial: mpsc::Sender<Dialled>,
    stamps: Stamps,
    reporter: Reporter,
    journal: Journal,
    /// Bytes that went through connections that are over.
    moved_before: (u64, u64),
    /// The payload of the frame that is being made.
    payload: Vec<u8>,
    stopped: bool,
}

impl Driver {
    pub(crate) fn new(parts: Parts) -> Self {
        // A dial and a closing handshake may report at the same time; more than that never wait.
        let (report_dial, dialled) = mpsc::channel(8);
        let reporter = Reporter::new(parts.agent_id.clone());
        Self {
            parts,
            reporter,
            journal: Journal::default(),
            moved_before: (0, 0),
            link: None,
            dialling: None,
            dialled,
            report_dial,
            stamps: Stamps::default(),
            payload: Vec::new(),
            stopped: false,
        }
    }

    /// Runs until the agent is told to end.
    pub(crate) async fn run(mut self) {
        if !self.parts.expects_news {
            self.tell_facts(true);
        }
        loop {
            self.carry_out();
            if self.stopped {
                break;
            }
            self.fill();
            self.wait().await;
        }
        info!("{}", messages::STOPPED);
    }

    fn handle(&mut self, input: Input<'_>) {
        let now = self.parts.clock.now();
        self.parts.tunnel.handle(now, input);
    }

    fn tell_facts(&mut self, complete: bool) {
        let facts = Box::new(self.parts.facts.clone());
        self.handle(Input::Facts { facts, complete });
    }

    /// Waits for whatever comes first, and tells the tunnel.
    async fn wait(&mut self) {
        let deadline = self.parts.tunnel.poll_timeout();
        if deadline.is_some_and(|deadline| deadline <= self.parts.clock.now()) {
            // Not left to chance below: sockets that are always ready must not hold a timer back.
            return self.handle(Input::Timeout);
        }
        let timer = deadline.map(|deadline| self.parts.clock.timer(deadline));
        let happened = tokio::select! {
            signal = self.parts.signals.next() => Happened::Signal(signal),
            turn = turn(&mut self.link) => Happened::Turn(turn),
            Some(report) = self.parts.reports.recv() => Happened::Report(report),
            Some(dialled) = self.dialled.recv() => Happened::Dialled(dialled),
            Some(facts) = self.parts.news.recv() => Happened::Facts(Box::new(facts)),
            Some(change) = self.parts.changes.recv() => Happened::Change(change),
            Some(asker) = self.parts.askers.recv() => Happened::Asked(asker),
            () = sleep_until(timer) => Happened::Timeout,
        };
        match happened {
            Happened::Signal(name) => {
                info!(signal = name; "{}", messages::SHUTDOWN);
                self.handle(Input::Shutdown);
            }
            Happened::Turn(turn) => self.on_turn(turn),
            Happened::Report(report) => self.on_reports(report),
            Happened::Dialled(dialled) => self.on_dialled(dialled),
            Happened::Facts(facts) => {
                let server_ip = self.parts.facts.server_ip.take();
                self.parts.facts = Facts { server_ip, ..*facts };
                self.tell_facts(true);
            }
            Happened::Change(Change { streams, labels, token }) => {
                self.parts.dialler.set_token(token);
                self.handle(Input::Settings { streams, labels });
            }
            Happened::Asked(asker) => {
                // One that did not wait for it is gone.
                let _ = asker.send(Box::new(self.snapshot()));
            }
            Happened::Timeout => self.handle(Input::Timeout),
        }
    }

    fn on_reports(&mut self, first: streams::Input) {
        self.on_report(first);
        for _ in 1..BATCH {
            let Ok(report) = self.parts.reports.try_recv() else { break };
            self.on_report(report);
        }
    }

    fn on_report(&mut self, report: streams::Input) {
        self.upstream(|upstreams| upstreams.note(&report));
        self.handle(Input::Upstream(report));
        self.carry_out();
    }

    fn on_dialled(&mut self, dialled: Dialled) {
        match dialled {
            Dialled::Closed(attempt) => {
                self.handle(Input::Failed(attempt, Failure::Closed { code: 1000, reason: String::new() }));
            }
            Dialled::Done(attempt, result) => {
                if attempt != self.parts.tunnel.session().attempt() {
                    return debug!(connection = attempt.number(); "Dropped a connection that came too late");
                }
                self.dialling = None;
                match result {
                    Err(failure) => self.handle(Input::Failed(attempt, failure)),
                    Ok(link) => {
                        self.parts.facts.server_ip = link.local_address().map(|address| address.to_string());
                        self.tell_facts(false);
                        self.take_link();
                        self.link = Some(link);
                        self.handle(Input::Connected(attempt));
                        // The plane's first words may have come together with the upgrade.
                        self.on_turn(Turn::Arrived);
                    }
                }
            }
        }
    }

    fn on_turn(&mut self, turn: Turn) {
        match turn {
            Turn::Room => {
                while let Some((attempt, beat)) = self.link.as_mut().and_then(|link| Some((link.attempt, link.beat_left()?))) {
                    self.handle(Input::Written(attempt, beat));
                }
            }
            Turn::Ended(failure) => self.end_link(failure),
            Turn::Arrived => loop {
                let Some(link) = &mut self.link else { return };
                let attempt = link.attempt;
                match link.next_message() {
                    Ok(None) => return,
                    Ok(Some(message)) => self.on_message(attempt, message),
                    Err(failure) => return self.end_link(failure),
                }
                self.carry_out();
            },
        }
    }

    fn on_message(&mut self, attempt: Attempt, message: Message) {
        let wall_millis = wall_millis();
        match message {
            Message::Text(text) => {
                trace!(direction = "in", bytes = text.len(), text = traffic::message(text.as_str().as_bytes()); "WebSocket message");
                self.handle(Input::Text { attempt, wall_millis, text: text.as_str().as_bytes() });
            }
            Message::Binary(data) => {
                trace!(direction = "in", bytes = data.len(); "WebSocket binary message");
                self.handle(Input::Binary { attempt, wall_millis, data });
            }
            Message::Ping(_) | Message::Pong(_) => self.handle(Input::Heard(attempt)),
            Message::Close(_) | Message::Frame(_) => {}
        }
    }

    fn end_link(&mut self, failure: Failure) {
        if let Some(link) = self.take_link() {
            let attempt = link.attempt;
            drop(link);
            self.handle(Input::Failed(attempt, failure));
        }
    }

    fn take_link(&mut self) -> Option<Box<Link>> {
        self.moved_before = self.moved();
        self.link.take()
    }

    /// Bytes that went to the plane and came from it, on all connections.
    fn moved(&self) -> (u64, u64) {
        let (sent, received) = self.link.as_ref().map_or((0, 0), |link| link.moved());
        (self.moved_before.0.saturating_add(sent), self.moved_before.1.saturating_add(received))
    }

    fn snapshot(&self) -> Snapshot {
        let (to_plane, from_plane) = self.moved();
        let outgoing = self.link.as_ref().map_or(0, |link| link.waiting());
        let flow = Flow { to_plane, from_plane, outgoing, events: self.parts.reports.len() };
        Snapshot::new(self.parts.clock.now(), self.parts.tunnel.session(), self.parts.tunnel.streams(), flow, &self.journal)
    }

    /// Carries out what the tunnel wants done.
    fn carry_out(&mut self) {
        while let Some(output) = self.parts.tunnel.poll_output() {
            match output {
                Output::Event(event) => {
                    if let Event::Session(event) = &event {
                        self.journal.note(self.parts.clock.now(), event);
                    }
                    self.reporter.event(std::time::Instant::now(), &event);
                }
                Output::Dial(attempt, endpoint) => {
                    let dial = self.parts.dialler.clone().dial(attempt, endpoint, self.parts.dial_limit);
                    let report = self.report_dial.clone();
                    let task = tokio::spawn(async move {
                        let result = dial.await.map(Box::new);
                        let _ = report.send(Dialled::Done(attempt, result)).await;
                    });
                    self.dialling = Some(task.abort_handle());
                }
                Output::Ping(_) => {
                    if let Some(link) = &mut self.link {
                        link.push_ping();
                    }
                }
                Output::Close(attempt, code) => self.close(attempt, code),
                Output::Persist(registration) => self.persist(&registration),
                Output::Stopped => self.stopped = true,
                Output::Open(open) => match &mut self.parts.upstreams {
                    Some(upstreams) => upstreams.open(*open),
                    None => {
                        let error = streams::UpstreamError::Unreachable("this agent knows no Kubernetes API");
                        self.handle(Input::Upstream(streams::Input::Failed { key: open.key, error }));
                    }
                },
                Output::Feed(key, data) => self.upstream(|upstreams| upstreams.feed(key, data)),
                Output::FeedEnd(key) => self.upstream(|upstreams| upstreams.feed_end(key)),
                Output::Read(key, limit) => self.upstream(|upstreams| upstreams.read(key, limit)),
                Output::Finish(key) => self.upstream(|upstreams| upstreams.finish(key)),
                Output::Abort(key) => self.upstream(|upstreams| upstreams.abort(key)),
            }
        }
    }

    fn upstream(&mut self, act: impl FnOnce(&mut Upstreams)) {
        if let Some(upstreams) = &mut self.parts.upstreams {
            act(upstreams);
        }
    }

    fn close(&mut self, attempt: Attempt, code: CloseCode) {
        if let Some(task) = self.dialling.take() {
            task.abort();
        }
        let link = self.take_link();
        let code = match code {
            CloseCode::Abandon => return,
            CloseCode::Normal => 1000,
            CloseCode::GoingAway => 1001,
        };
        let report = (code == 1001).then(|| self.report_dial.clone());
        tokio::spawn(async move {
            if let Some(link) = link {
                let _ = tokio::time::timeout(CLOSE_LIMIT, link.close(code)).await;
            }
            // Only the last close is waited for.
            if let Some(report) = report {
                let _ = report.send(Dialled::Closed(attempt)).await;
            }
        });
    }

    fn persist(&mut self, registration: &Registration) {
        self.parts.saved.send_if_modified(|saved| {
            let before = saved.clone();
            saved.cluster_id = Some(registration.cluster_id.clone());
            if registration.gateway_url.is_some() {
                saved.gateway_url.clone_from(&registration.gateway_url);
            }
            *saved != before
        });
        if let Some(token) = &registration.token {
            // A plane that gives tokens faster than they can be checked will give another one.
            let _ = self.parts.offered_tokens.try_send(Secret::offered(token.clone()));
        }
    }

    /// Fills the outgoing buffer as far as there is room.
    fn fill(&mut self) {
        while let Some(link) = &mut self.link {
            if !link.has_room() {
                return;
            }
            self.payload.clear();
            let now = self.parts.clock.now();
            let Some(transmit) = self.parts.tunnel.poll_transmit(now, self.stamps.now(), &mut self.payload) else { break };
            if log_enabled!(Level::Trace) {
                // Every piece of a message but the first begins in the middle of a body.
                let text = if transmit.piece.first { traffic::message(&self.payload) } else { "\u{2026}".into() };
                trace!(direction = "out", bytes = self.payload.len(), text = text; "WebSocket message");
            }
            link.push_text(transmit.piece, &self.payload, transmit.beat);
            self.carry_out();
        }
        if self.payload.capacity() > 256 * 1024 {
            self.payload = Vec::new();
        }
    }
}

enum Happened {
    Signal(&'static str),
    Turn(Turn),
    Report(streams::Input),
    Dialled(Dialled),
    Facts(Box<Facts>),
    Change(Change),
    Asked(Asker),
    Timeout,
}

async fn turn(link: &mut Option<Box<Link>>) -> Turn {
    match link {
        Some(link) => link.turn().await,
        None => core::future::pending().await,
    }
}

async fn sleep_until(timer: Option<tokio::time::Instant>) {
    match timer {
        Some(timer) => tokio::time::sleep_until(timer).await,
        None => core::future::pending().await,
    }
}
