//! The plane's side of one upgraded connection, and what the plane counts about all of them.

#![allow(dead_code, reason = "shared by targets that need different parts of it")]

use std::time::Duration;

use devplane::AnswerStream;
use devplane::plane::{ExchangeId, Part, Plane};
use serde_json::{Map, Value};

use crate::rig::{PATIENCE, Rig};

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// Headers as the plane hands them on.
pub(crate) type Headers = Vec<(String, Vec<String>)>;

pub(crate) struct Socket<'rig> {
    pub(crate) rig: &'rig Rig,
    pub(crate) stream: AnswerStream,
}

impl<'rig> Socket<'rig> {
    pub(crate) fn new(rig: &'rig Rig, stream: AnswerStream) -> Self {
        Self { rig, stream }
    }

    pub(crate) fn exchange(&self) -> ExchangeId {
        self.stream.exchange()
    }

    /// The id that the exchange has on the wire.
    pub(crate) fn wire_id(&self) -> String {
        let exchange = self.exchange();
        self.rig.bed.with_plane(move |plane| plane.wire_id_of(exchange).unwrap().to_owned())
    }

    /// The next part.
    #[track_caller]
    pub(crate) fn part(&mut self) -> Part {
        match self.stream.next_within(PATIENCE) {
            Some(part) => part,
            None => panic!("nothing comes; the agent's log:\n{}", self.rig.agent.text()),
        }
    }

    /// The head, which must be a 101.
    #[track_caller]
    pub(crate) fn accepted(&mut self) -> Headers {
        let part = self.part();
        let Part::Head { status: 101, headers } = part else { self.unexpected("101", &part) };
        headers
    }

    #[track_caller]
    pub(crate) fn frame(&mut self) -> (u8, Vec<u8>) {
        let part = self.part();
        let Part::Frame { opcode, data } = part else { self.unexpected("frame", &part) };
        (opcode, data)
    }

    /// How it was closed, which must come next and as the last.
    #[track_caller]
    pub(crate) fn closed(&mut self) -> (Option<u16>, String) {
        let part = self.part();
        let Part::Closed { code, reason } = part else { self.unexpected("close", &part) };
        (code, reason)
    }

    #[track_caller]
    fn unexpected(&self, wanted: &str, part: &Part) -> ! {
        panic!("no {wanted} but {part:?}; the agent's log:\n{}", self.rig.agent.text())
    }

    #[track_caller]
    pub(crate) fn send(&self, opcode: u8, bytes: impl AsRef<[u8]>) {
        self.rig.bed.plane.send_frame(self.exchange(), opcode, bytes.as_ref().to_vec()).unwrap();
    }

    #[track_caller]
    pub(crate) fn send_as(&self, kind: &str, opcode: u8, bytes: &[u8], change: Value) {
        let change: Map<String, Value> = serde_json::from_value(change).unwrap();
        self.rig.bed.plane.send_frame_as(self.exchange(), kind, opcode, bytes.to_vec(), change).unwrap();
    }

    /// Sends a text and waits for it to come back.
    #[track_caller]
    pub(crate) fn round_trip(&mut self, text: &str) {
        self.send(TEXT, text);
        assert_eq!(self.frame(), (TEXT, text.as_bytes().to_vec()));
    }

    /// `ws_close`; the socket is over for the plane.
    #[track_caller]
    pub(crate) fn close(self) {
        self.rig.bed.plane.close_stream(self.exchange()).unwrap();
    }

    /// Reads raw bytes or texts until there are `length` of them.
    #[track_caller]
    pub(crate) fn read(&mut self, length: usize) -> Vec<u8> {
        let mut read = Vec::new();
        while read.len() < length {
            read.extend(self.frame().1);
        }
        assert_eq!(read.len(), length, "more came than expected");
        read
    }

    /// Whether anything comes within `limit`.
    pub(crate) fn nothing_within(&mut self, limit: Duration) -> bool {
        self.stream.next_within(limit).is_none()
    }
}

/// Messages of the agent about exchanges: all but those of its session and complaints.
pub(crate) fn exchange_messages(rig: &Rig) -> u64 {
    rig.bed.with_plane(|plane: &mut Plane| {
        let records = plane.records();
        records.messages - records.heartbeats.total() - records.registers.total() - records.others.total()
    })
}

/// Closes that came for upgraded requests after the plane had closed them.
pub(crate) fn late_closes(rig: &Rig) -> u64 {
    rig.bed.with_plane(|plane: &mut Plane| plane.records().late_closes.total())
}
