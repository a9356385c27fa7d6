//! The rules an agent can break, one variant each.

use std::fmt;

use super::{ConnectionId, Role};

/// A rule broken by an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Milliseconds of the plane's time.
    pub at: u64,
    pub connection: Option<ConnectionId>,
    pub breach: Breach,
}

/// What was broken. `message` is the envelope's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breach {
    /// The gateway's address lacks a parameter.
    QueryParameterMissing(&'static str),
    QueryParameterWrong {
        name: &'static str,
        value: String,
    },
    /// The bearer token appears in an address.
    TokenInQuery,
    SubProtocolAsked(String),
    ExtensionsAsked(String),
    /// The WebSocket protocol itself: masks, opcodes, sizes, UTF-8.
    FramingWrong(String),
    /// A REST request that no endpoint takes.
    RestUnknown {
        method: String,
        path: String,
    },
    /// The token went where none is asked for.
    TokenSentNeedlessly,
    NotJson(String),
    NotAnObject,
    EnvelopeKeyUnknown(String),
    TypeMissing,
    TypeUnknown(String),
    PayloadNotAnObject {
        message: String,
    },
    TimestampWrong {
        message: String,
        value: String,
    },
    RequestIdWrong {
        message: String,
    },
    RequestIdMissing {
        message: String,
    },
    RequestIdUnexpected {
        message: String,
    },
    RequestIdUsedTwice {
        id: String,
    },
    FieldMissing {
        message: String,
        field: String,
    },
    FieldUnknown {
        message: String,
        field: String,
    },
    FieldType {
        message: String,
        field: String,
        expected: &'static str,
    },
    FieldValue {
        message: String,
        field: String,
        value: String,
    },
    WrongSocket {
        message: String,
        role: Role,
    },
    HeartbeatBeforeRegister,
    /// An answer to something the plane did not ask.
    Unasked {
        message: String,
    },
    /// A second `protocol_fallback` for one type on one connection.
    FallbackRepeated {
        unknown_type: String,
    },
    AfterClose,
    ExchangeUnknown {
        message: String,
        id: String,
    },
    /// The answer came on another connection than the request went out on.
    ExchangeElsewhere {
        message: String,
        id: String,
    },
    AfterEnd {
        message: String,
        id: String,
    },
    /// A buffered answer to a streaming request, or the other way round.
    AnswerForm {
        message: String,
        id: String,
    },
    HeadTwice {
        id: String,
    },
    BeforeHead {
        message: String,
        id: String,
    },
    StatusWrong {
        id: String,
        status: i64,
    },
    Base64Wrong {
        message: String,
        id: String,
    },
    GzipWrong {
        id: String,
    },
    SizeWrong {
        id: String,
        size: u64,
        decoded: u64,
    },
    ChunkEmpty {
        id: String,
    },
    /// More than 32 KiB in one chunk.
    ChunkTooLarge {
        id: String,
        decoded: u64,
    },
    /// A binary message that is no binary answer.
    BinaryWrong(&'static str),
    /// A proxied WebSocket frame without a known opcode in front.
    FrameWrong {
        id: String,
    },
    /// `message_type` is not the opcode in front of the frame.
    MessageTypeWrong {
        id: String,
        opcode: u8,
        announced: u64,
    },
    /// A close, ping or pong with more than 125 bytes.
    ControlFrameTooLarge {
        id: String,
        length: usize,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ms", self.at)?;
        if let Some(connection) = self.connection {
            write!(formatter, ", connection {}", connection.0)?;
        }
        write!(formatter, ": {:?}", self.breach)
    }
}
