//! The plane's end of upgraded connections: how they begin, what it says on them, and what must hold of what comes back.

use devplane::plane::{ProxyRequest, WebSocketRequest};
use serde_json::{Map, Value, json};

use super::*;
use crate::socket::frames::close_payload;
use crate::socket::ledger::{Ledger, Word};
use crate::socket::script::{Entry, PlaneLast, Role, Script};

/// How the reasons begin that the agent gives of its own.
const REASONS: [&str; 6] = ["backpressure: ", "overloaded: ", "deadline: ", "broken: ", "shutting_down: ", "too_large: "];

/// An upgraded connection, or one that is to be, as the plane sees it.
#[derive(Debug)]
pub struct Stream {
    pub number: usize,
    pub wire_id: String,
    pub head: Option<u16>,
    pub ended: Option<Part>,
    /// When it ended.
    pub ended_at: u64,
    /// The plane has closed or cancelled it and hears nothing more.
    pub cancelled: bool,
    /// The plane has swallowed the request, so no agent knows of it.
    pub swallowed: bool,
    /// By `ws_close`, which is echoed where the stream began by `ws_start`.
    pub hung_up: bool,
    /// The agent has said that the backend is too slow.
    pub warned: bool,
    /// Words that the plane will still say by itself.
    talk: usize,
    /// The plane has sent its close frame.
    said_last: bool,
    controls: usize,
}

impl World {
    /// The plane asks for an upgraded connection. `None` when no agent is there.
    pub fn upgrade(&mut self, script: Script) -> Option<ExchangeId> {
        let number = self.sockets.ledgers.len();
        let query = format!("command=sim&command={number}");
        let id = if script.entry == Entry::Exec {
            let request = WebSocketRequest {
                path: "/api/v1/namespaces/default/pods/one/exec".into(),
                query,
                headers: vec![("Authorization".into(), vec!["Bearer user".into()])],
                protocol: Some("v4.channel.k8s.io".into()),
                long_names: number.is_multiple_of(2),
                ..WebSocketRequest::default()
            };
            self.plane.open_websocket(self.now, &request).ok()?
        } else {
            let path = if script.entry == Entry::Service { "/socket" } else { "/api/v1/namespaces/default/pods/one/attach" };
            let request = if script.raw { ProxyRequest::upgrade(path, "sim/1") } else { ProxyRequest::websocket(path) };
            let mut request = request.header("Authorization", "Bearer user").query(query);
            request.streaming_answer = script.entry != Entry::ApiBuffered;
            if script.entry == Entry::Service {
                request.namespace = Some("default".into());
                request.service_name = Some("web".into());
                request.service_port = Some(80);
            }
            self.plane.open(self.now, request).ok()?
        };
        let wire_id = self.plane.wire_id_of(id).unwrap_or_default().to_owned();
        let talk = script.talk;
        self.sockets.ledgers.push(Ledger::new(script));
        let stream = Stream {
            number,
            wire_id,
            head: None,
            ended: None,
            ended_at: 0,
            cancelled: false,
            swallowed: self.plane.faults.black_hole,
            hung_up: false,
            warned: false,
            talk,
            said_last: false,
            controls: 0,
        };
        self.streams.insert(id, stream);
        self.counts.streams += 1;
        self.schedule_talk(id);
        self.settle();
        Some(id)
    }

    #[must_use]
    pub fn ledger(&self, id: ExchangeId) -> Option<&Ledger> {
        self.sockets.ledgers.get(self.streams.get(&id)?.number)
    }

    fn schedule_talk(&mut self, id: ExchangeId) {
        let most = self.ledger(id).map_or(0, |ledger| ledger.script.talk_pause);
        let after = self.random.u64(0..=most);
        self.schedule(after, Happening::Talk(id));
    }

    /// What a stream's plane does next by itself.
    pub(super) fn talk(&mut self, id: ExchangeId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        // What the plane swallows was never said: it comes to that later.
        if self.plane.faults.black_hole {
            self.schedule(1_000, Happening::Talk(id));
            return;
        }
        if !self.plane.is_running(id) {
            return self.talk_to_the_dead(id);
        }
        let Some(ledger) = self.sockets.ledgers.get(stream.number) else { return };
        let (largest, controls) = (ledger.script.talk_largest, ledger.script.controls);
        if stream.talk == 0 {
            return match ledger.script.plane_last {
                PlaneLast::Nothing => {}
                PlaneLast::CloseFrame => self.say_close(id),
                PlaneLast::Close => self.hang_up(id, None),
                PlaneLast::CloseWithCode => self.hang_up(id, Some(4_500)),
                PlaneLast::Cancel => self.cancel_stream(id),
            };
        }
        stream.talk -= 1;
        if controls && self.random.u8(0..3) == 0 {
            let opcode = self.random.u8(9..11);
            self.say_control(id, opcode);
        } else {
            let length = if self.random.bool() { self.random.usize(0..=largest) } else { self.random.usize(0..50) };
            self.say(id, length);
        }
        self.schedule_talk(id);
    }

    /// The plane says so many bytes in one frame.
    pub fn say(&mut self, id: ExchangeId, length: usize) {
        let Some(stream) = self.streams.get(&id).filter(|stream| !stream.said_last) else { return };
        let Some(ledger) = self.sockets.ledgers.get_mut(stream.number).filter(|_| self.plane.is_running(id)) else { return };
        let start = ledger.up.bytes_said;
        if ledger.script.raw {
            let bytes: Vec<u8> = ledger.up.say_raw(length).map(byte_at).collect();
            return self.plane.websocket_data(id, 1 + (start % 2) as u8, &bytes);
        }
        // A resize of a terminal is a binary frame of its own channel; what is typed is text.
        let exec = ledger.script.entry == Entry::Exec;
        let opcode = if exec { 1 + u8::from(start % 5 == 4) } else { 1 + (start % 2) as u8 };
        let word = Word { opcode, prefix: (exec && opcode == 2).then_some(4), start, length };
        let payload = word.payload();
        ledger.plane_says(word);
        self.plane.websocket_data(id, opcode, &payload);
    }

    /// A ping or a pong.
    pub fn say_control(&mut self, id: ExchangeId, opcode: u8) {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.said_last) else { return };
        let Some(ledger) = self.sockets.ledgers.get_mut(stream.number).filter(|_| self.plane.is_running(id)) else { return };
        stream.controls += 1;
        let prefix = Some(if opcode == 9 { b'Q' } else { b'P' });
        let word = Word { opcode, prefix, start: ledger.up.bytes_said, length: stream.controls % 100 };
        let payload = word.payload();
        if !ledger.script.raw {
            ledger.plane_says(word);
        }
        self.plane.websocket_data(id, opcode, &payload);
    }

    /// A close frame: half an end where there are raw bytes.
    pub fn say_close(&mut self, id: ExchangeId) {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.said_last) else { return };
        let Some(ledger) = self.sockets.ledgers.get_mut(stream.number).filter(|_| self.plane.is_running(id)) else { return };
        stream.said_last = true;
        let (code, reason) = (3_000 + (stream.number % 900) as u16, format!("plane {}", stream.number));
        let payload = close_payload(code, &reason);
        ledger.up.closed = Some((code, reason));
        self.plane.websocket_data(id, 8, &payload);
    }

    /// `ws_close`.
    pub fn hang_up(&mut self, id: ExchangeId, code: Option<u16>) {
        let Some(stream) = self.streams.get_mut(&id).filter(|_| self.plane.is_running(id)) else { return };
        if let Some(ledger) = self.sockets.ledgers.get_mut(stream.number)
            && !stream.said_last
        {
            ledger.up.closed = Some((code.unwrap_or(1000), code.map_or(String::new(), |_| "hung up".into())));
        }
        (stream.cancelled, stream.hung_up, stream.said_last) = (true, true, true);
        match code {
            None => self.plane.websocket_close(id),
            Some(code) => {
                let change = Map::from_iter([("code".into(), json!(code)), ("reason".into(), json!("hung up"))]);
                self.plane.websocket_close_as(id, "ws_close", &change);
            }
        }
    }

    pub fn cancel_stream(&mut self, id: ExchangeId) {
        if let Some(stream) = self.streams.get_mut(&id).filter(|_| self.plane.is_running(id)) {
            (stream.cancelled, stream.said_last) = (true, true);
            self.plane.cancel(id);
        }
    }

    /// What comes for a stream that is over must neither be answered nor harm anybody.
    fn talk_to_the_dead(&mut self, id: ExchangeId) {
        let Some(stream) = self.streams.get(&id) else { return };
        let Some((connection, _)) = self.plane.connections().last() else { return };
        let wire_id = if self.random.bool() { stream.wire_id.as_str() } else { "nobody" };
        let kind = ["ws_data", "ws_close", "proxy_cancel", "proxy_request_stream_end"][self.random.usize(0..4)];
        let payload: Value = json!({"stream_id": wire_id, "request_id": wire_id, "data": "AWhp"});
        // A cancelled one may still be on its way to its end, and an echo of a close would be the second.
        if self.plane.wire_id_of(id).is_none() {
            self.plane.send(connection, kind, Some(wire_id), payload);
        }
    }

    /// A backend that takes nothing cannot have been sent more than fits without an end of its stream.
    pub fn judge_stalled(&self) {
        for (id, stream) in &self.streams {
            let Some(ledger) = self.sockets.ledgers.get(stream.number) else { continue };
            let stalled = ledger.script.role == Role::Stalled && ledger.opened && self.plane.is_running(*id);
            assert!(
                !stalled || ledger.up.bytes_said <= self.highest,
                "more was sent than fits, and nobody says so: {stream:?} {ledger:?}"
            );
        }
    }

    /// With everybody gone nothing is left of anybody.
    pub fn judge_peace(&self) {
        let streams = self.tunnel.streams();
        assert!(streams.is_empty() && streams.budget().used() == 0, "somebody is left: {} exchanges", streams.len());
        for (id, stream) in &self.streams {
            let exec = self.ledger(*id).is_some_and(|ledger| ledger.script.entry == Entry::Exec);
            let over = self.plane.wire_id_of(*id).is_none();
            assert!(over || !exec || !stream.hung_up || stream.swallowed, "a stream that was closed is not echoed: {stream:?}");
            assert!(over || stream.cancelled, "a stream without an end: {stream:?}");
        }
    }

    pub(super) fn stream_part(&mut self, id: ExchangeId, part: Part) {
        let now = self.now;
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Some(ledger) = self.sockets.ledgers.get_mut(stream.number) else { return };
        assert!(stream.ended.is_none(), "contract 13: something after the end of a stream: {part:?}");
        let script = &ledger.script;
        let started = stream.head == Some(101) || script.entry == Entry::Exec;
        match &part {
            Part::Head { status, headers } => {
                assert!(stream.head.is_none() && script.entry != Entry::Exec, "one head, where there is one");
                assert_eq!(*status, if script.role == Role::Refuse { 403 } else { 101 }, "the backend's answer");
                let upgrade = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("upgrade"));
                assert_eq!(*status == 101, upgrade.is_some(), "an upgrade says to what");
                stream.head = Some(*status);
                self.counts.upgraded += u64::from(*status == 101);
            }
            Part::Chunk(_) | Part::End => assert_eq!(stream.head, Some(403), "an answer where there is none: {part:?}"),
            Part::Frame { opcode, data } => {
                assert!(started, "a frame before the answer");
                self.counts.frames += 1;
                match script.raw {
                    // The agent's own, which says how far the backend is.
                    true if *opcode == 10 => {}
                    true => {
                        assert_eq!(*opcode, 2, "raw bytes are binary");
                        ledger.down.hear_raw(data);
                    }
                    false => ledger.plane_hears(*opcode, data),
                }
            }
            Part::Backpressure(_) => {
                assert!(!stream.warned, "said once");
                stream.warned = true;
                self.counts.pressed += 1;
            }
            Part::Closed { code, reason } => {
                ledger.down.close_heard = code.map(|code| (code, reason.clone()));
                let whole = judge_end(ledger, *code, reason, stream.warned);
                self.counts.whole += u64::from(whole);
            }
            Part::Abort(_) | Part::Error(_) => {}
        }
        if part.is_last() {
            stream.ended = Some(part);
            stream.ended_at = now;
        }
    }
}

/// Whether the end is the backend's own, which must come behind everything that it said.
fn judge_end(ledger: &Ledger, code: Option<u16>, reason: &str, warned: bool) -> bool {
    let own = ledger.down.closed.as_ref().is_some_and(|(own, text)| code == Some(*own) && reason == text);
    let silent = if ledger.script.raw { 1000 } else { 1006 };
    let dropped = ledger.dropped && code == Some(silent) && reason.is_empty();
    if own || dropped {
        assert!(ledger.down.is_complete(), "an end before everything was said: {ledger:?}");
        assert!(!warned, "too slow, and yet its own end");
        return true;
    }
    assert!(REASONS.iter().any(|start| reason.starts_with(start)), "an end of nobody's: {code:?} {reason:?}; {ledger:?}");
    let pressed = reason.starts_with("backpressure");
    assert!(pressed == warned && (!pressed || code == Some(1013)), "backpressure: warned {warned}, {code:?} {reason} {ledger:?}");
    false
}
