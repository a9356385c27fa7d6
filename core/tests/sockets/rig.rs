//! The table with nobody around it: what goes in and out is looked at directly.

use std::collections::VecDeque;

use bytes::Bytes;
use pipeops_agent_core::message::{Header, Inbound};
use pipeops_agent_core::policy::Policy;
use pipeops_agent_core::streams::{Input, Key, Limits, Open, Output, Streams};
use pipeops_agent_core::time::Instant;
use pipeops_agent_core::wire::{Base64, decode};
use serde_json::{Value, json};

pub(crate) const EXEC: &str = "/api/v1/namespaces/a/pods/b/exec";

pub(crate) struct Rig {
    streams: Streams,
    now: u64,
    wall: VecDeque<Output>,
    fed: Vec<(Key, Vec<u8>)>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with_ceiling(Limits::default().ceiling)
    }

    pub(crate) fn with_ceiling(ceiling: usize) -> Self {
        let limits = Limits { ceiling, ..Limits::default() };
        let streams = Streams::new(limits, Policy::default(), 7, Base64::PORTABLE);
        Self { streams, now: 0, wall: VecDeque::new(), fed: Vec::new() }
    }

    pub(crate) fn plane(&mut self, message: &Value) {
        match decode(message.to_string().as_bytes(), Base64::PORTABLE) {
            Ok(Inbound::Exchange(message)) => self.backend(Input::FromPlane(message)),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn backend(&mut self, input: Input) {
        self.streams.handle(Instant::from_millis(self.now), input);
        while let Some(output) = self.streams.poll_output() {
            match output {
                Output::Event(_) => {}
                Output::Feed { key, data } => self.fed.push((key, data.to_vec())),
                output => self.wall.push_back(output),
            }
        }
    }

    pub(crate) fn data(&mut self, key: Key, bytes: &[u8]) {
        self.backend(Input::Data { key, data: Bytes::copy_from_slice(bytes) });
    }

    pub(crate) fn later(&mut self, millis: u64) {
        self.now += millis;
    }

    pub(crate) fn used(&self) -> usize {
        self.streams.budget().used()
    }

    pub(crate) fn outputs(&mut self) -> Vec<Output> {
        self.wall.drain(..).collect()
    }

    /// The permissions to read that were given since the last look.
    pub(crate) fn reads(&mut self) -> Vec<(Key, usize)> {
        let read = |output| match output {
            Output::Read { key, limit } => Some((key, limit)),
            _ => None,
        };
        self.outputs().into_iter().filter_map(read).collect()
    }

    pub(crate) fn opened(&mut self) -> Open {
        let open = self.outputs().into_iter().find_map(|output| match output {
            Output::Open(open) => Some(*open),
            _ => None,
        });
        open.unwrap_or_else(|| panic!("nothing was opened"))
    }

    pub(crate) fn upgraded(&mut self, key: Key, protocol: &str) {
        let mut headers = vec![header("Upgrade", "websocket"), header("Connection", "Upgrade")];
        if !protocol.is_empty() {
            headers.push(header("Sec-WebSocket-Protocol", protocol));
        }
        self.backend(Input::Head { key, status: 101, headers });
    }

    pub(crate) fn switched(&mut self, key: Key, token: &str) {
        let headers = vec![header("Upgrade", token), header("Connection", "Upgrade")];
        self.backend(Input::Head { key, status: 101, headers });
    }

    /// A faithful upgrade that is open.
    pub(crate) fn open_exec(&mut self, id: &str, protocol: &str) -> Key {
        self.plane(&upgrade(id, EXEC, json!({})));
        let key = self.opened().key;
        self.upgraded(key, protocol);
        let _ = self.sent();
        key
    }

    /// A WebSocket to a service.
    pub(crate) fn open_service(&mut self, id: &str) -> Key {
        let mut request = upgrade(id, "/chat", json!({}));
        for (key, value) in [("namespace", json!("shop")), ("service_name", json!("web")), ("service_port", json!(80))] {
            request["payload"][key] = value;
        }
        self.plane(&request);
        let key = self.opened().key;
        self.upgraded(key, "");
        let _ = self.sent();
        key
    }

    /// What the plane got.
    pub(crate) fn sent(&mut self) -> Vec<Value> {
        let (mut messages, mut text) = (Vec::new(), Vec::new());
        while let Some(piece) = self.streams.poll_transmit("2026-11-23T00:21:49.411Z", Base64::PORTABLE, &mut text) {
            if piece.last {
                messages.push(serde_json::from_slice(&text).unwrap());
                text.clear();
            }
        }
        self.backend(Input::WallClock(0));
        messages
    }

    pub(crate) fn take_fed(&mut self) -> Vec<(Key, Vec<u8>)> {
        std::mem::take(&mut self.fed)
    }

    /// The frames that the backend got, unmasked.
    pub(crate) fn fed(&mut self) -> Vec<(u8, Vec<u8>)> {
        let mut frames = Vec::new();
        for (_, bytes) in self.take_fed() {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                assert!(rest[0] & 0xf0 == 0x80 && rest[1] & 0x80 != 0, "one masked frame");
                let (length, start) = match rest[1] & 0x7f {
                    126 => (usize::from(u16::from_be_bytes([rest[2], rest[3]])), 4),
                    127 => (usize::try_from(u64::from_be_bytes(rest[2..10].try_into().unwrap())).unwrap(), 10),
                    short => (usize::from(short), 2),
                };
                let key = &rest[start..start + 4];
                let payload = &rest[start + 4..start + 4 + length];
                let payload = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
                frames.push((rest[0] & 0x0f, payload));
                rest = &rest[start + 4 + length..];
            }
        }
        frames
    }
}

fn header(name: &str, value: &str) -> Header {
    Header { name: name.into(), value: value.into() }
}

pub(crate) fn upgrade(id: &str, path: &str, more: Value) -> Value {
    let mut headers = json!({"Authorization": "Bearer user", "Connection": "Upgrade", "Upgrade": "websocket"});
    for (name, value) in more.as_object().unwrap() {
        headers[name] = value.clone();
    }
    json!({"type":"proxy_request","request_id":id,
        "payload":{"path":path,"headers":headers,"supports_response_streaming":true}})
}

pub(crate) fn start(id: &str, path: &str, protocol: &str) -> Value {
    json!({"type":"ws_start","request_id":id,"payload":{"stream_id":id,"path":path,"protocol":protocol,
        "headers":{"Authorization":["Bearer user"]}}})
}

pub(crate) fn ws_data(id: &str, framed: &[u8]) -> Value {
    json!({"type":"ws_data","request_id":id,"payload":{"stream_id":id,"data":base64(framed)}})
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    Base64::PORTABLE.push(bytes, &mut out);
    String::from_utf8(out).unwrap()
}

pub(crate) fn bytes_of(message: &Value) -> Vec<u8> {
    (Base64::PORTABLE.decode)(message["payload"]["data"].as_str().unwrap().as_bytes()).unwrap()
}

pub(crate) fn server_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first, u8::try_from(payload.len()).unwrap()];
    assert!(payload.len() < 126);
    out.extend_from_slice(payload);
    out
}

pub(crate) fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 1, 2, 3, 4];
    out.extend(payload.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}
