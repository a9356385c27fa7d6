//! What all tests of exchanges share: a bed with an agent that is online, and requests with a user's token.

#![allow(dead_code, reason = "shared by targets that need different parts of it")]

use std::time::{Duration, Instant};

use devkube::{DevKube, Seen, Token};
use devplane::plane::{Part, ProxyRequest};
use devplane::{Answer, AnswerStream};
use serde_json::Value;

use crate::harness::{ADMIN_TOKEN, Agent, Bed, Launch, Setup};

/// Far more than any exchange takes that is not slow on purpose.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Every request of these tests carries it, so that the agent's own requests can be told apart.
pub(crate) const MARK: &str = "X-Exchange";
pub(crate) const VIEWER_TOKEN: &str = "kube-viewer-token-9f8e7d6c";
pub(crate) const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub(crate) const ECHO: &str = "/api/v1/devkube/echo";
pub(crate) const BLOB: &str = "/api/v1/devkube/blob";

pub(crate) struct Rig {
    pub(crate) bed: Bed,
    pub(crate) agent: Agent,
}

impl Rig {
    pub(crate) fn start() -> Self {
        Self::with(|launch| launch)
    }

    pub(crate) fn with(change: impl FnOnce(Launch<'_>) -> Launch<'_>) -> Self {
        Self::of(Setup::default(), change)
    }

    pub(crate) fn of(setup: Setup, change: impl FnOnce(Launch<'_>) -> Launch<'_>) -> Self {
        let bed = Bed::with_kube(setup, |options| {
            options.tokens.push(Token::read_only(VIEWER_TOKEN, "viewer"));
            // A watch that is behind on a busy machine must not be one that is too old.
            options.history_limit = 10_000;
        });
        let agent = change(bed.agent()).online();
        Self { bed, agent }
    }

    pub(crate) fn kube(&self) -> &DevKube {
        self.bed.kube().api()
    }

    #[track_caller]
    pub(crate) fn open(&self, request: ProxyRequest) -> AnswerStream {
        self.bed.plane.request(request).unwrap()
    }

    /// The whole answer.
    #[track_caller]
    pub(crate) fn ask(&self, request: ProxyRequest) -> Answer {
        match self.open(request).collect_within(PATIENCE) {
            Some(answer) => answer,
            None => panic!("no answer; the agent's log:\n{}", self.agent.text()),
        }
    }

    /// The parts of the answer as they came.
    #[track_caller]
    pub(crate) fn parts(&self, request: ProxyRequest) -> Vec<Part> {
        parts(self.open(request))
    }

    /// Requests of the plane that have reached the Kubernetes API.
    pub(crate) fn proxied(&self) -> Vec<Seen> {
        let mut seen = self.kube().requests();
        seen.retain(|seen| seen.header(MARK).is_some());
        seen
    }

    #[track_caller]
    pub(crate) fn until(&self, what: &str, condition: impl FnMut(&DevKube) -> bool) {
        assert!(
            self.bed.kube().wait_for(condition, PATIENCE),
            "it never comes to that: {what}; the agent's log:\n{}",
            self.agent.text()
        );
    }

    /// Waits until so many requests of the plane are with the Kubernetes API and have no answer yet.
    #[track_caller]
    pub(crate) fn until_hanging(&self, count: usize) {
        self.until("requests hang", |kube| {
            let all = kube.requests();
            let open = |seen: &&Seen| seen.header(MARK).is_some() && seen.status.is_none();
            all.iter().filter(open).count() == count
        });
    }

    /// How long until the Kubernetes API answers nobody any more.
    #[track_caller]
    pub(crate) fn idle_after(&self, since: Instant) -> Duration {
        self.until("nothing is being answered", |kube| kube.live_requests() == 0);
        since.elapsed()
    }

    /// Everything that the plane sent so far has been dealt with, and everything the agent said before has arrived.
    #[track_caller]
    pub(crate) fn settle(&self) {
        let before = self.pongs();
        self.bed.with_plane(|plane| {
            let last = plane.connections().last();
            plane.send_json_ping(last.unwrap().0);
        });
        self.agent.until(&self.bed, "a pong", move |plane| count_pongs(plane) > before);
    }

    pub(crate) fn pongs(&self) -> usize {
        self.bed.with_plane(|plane| count_pongs(plane))
    }

    /// The agent's high-water mark of resident memory, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.agent.pid());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let number = line.unwrap().split_whitespace().nth(1).unwrap();
        number.parse().unwrap()
    }

    /// Ends the agent in good order and looks for broken rules.
    #[track_caller]
    pub(crate) fn finish(self) {
        let Self { bed, agent } = self;
        agent.stop();
        bed.assert_clean();
    }
}

fn count_pongs(plane: &devplane::plane::Plane) -> usize {
    let others = plane.records().others.iter();
    others.filter(|message| message.kind == "pong").count()
}

#[track_caller]
pub(crate) fn parts(mut stream: AnswerStream) -> Vec<Part> {
    let mut parts = Vec::new();
    loop {
        let part = stream.next_within(PATIENCE).expect("the answer never ends");
        let last = part.is_last();
        parts.push(part);
        if last {
            return parts;
        }
    }
}

/// A request with a user's token and a streamed answer.
pub(crate) fn request(method: &str, path: &str) -> ProxyRequest {
    bare(method, path).header("Authorization", format!("Bearer {ADMIN_TOKEN}"))
}

/// The same without a token.
pub(crate) fn bare(method: &str, path: &str) -> ProxyRequest {
    let request = ProxyRequest { method: method.into(), ..ProxyRequest::get(path) };
    request.header(MARK, "1")
}

pub(crate) fn get(path: &str) -> ProxyRequest {
    request("GET", path)
}

pub(crate) fn config_map(name: &str) -> Value {
    serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": "value"},
    })
}

#[track_caller]
pub(crate) fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// The head of a streamed answer.
#[track_caller]
pub(crate) fn head(stream: &mut AnswerStream) -> u16 {
    match stream.next_within(PATIENCE) {
        Some(Part::Head { status, .. }) => status,
        other => panic!("no head but {other:?}"),
    }
}

/// Reads on until the body holds `text`; gives everything read.
#[track_caller]
pub(crate) fn read_until(stream: &mut AnswerStream, text: &str) -> String {
    let mut read = Vec::new();
    loop {
        match stream.next_within(PATIENCE) {
            Some(Part::Chunk(bytes)) => read.extend_from_slice(&bytes),
            other => panic!("not {text:?} but {other:?}"),
        }
        let so_far = String::from_utf8_lossy(&read);
        if so_far.contains(text) {
            return so_far.into_owned();
        }
    }
}

/// Bytes of which no two stretches are alike.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Puts a pattern of this length behind [`BLOB`].
pub(crate) fn blob(rig: &Rig, length: usize) -> Vec<u8> {
    let bytes = pattern(length);
    let put = rig.kube().put_blob(BLOB, "application/octet-stream", bytes.clone().into());
    assert!(put);
    bytes
}

/// As `assert_eq`, without printing megabytes.
#[track_caller]
pub(crate) fn assert_bytes(got: &[u8], expected: &[u8]) {
    let differs = got.iter().zip(expected).position(|(a, b)| a != b);
    assert_eq!((got.len(), differs), (expected.len(), None));
}
