//! The wire: the plane's JSON envelopes in, the agent's out.
//!
//! Owns the words of the protocol and nothing else. Lenient in: a field of the wrong type is a field that is not there, keys of
//! the envelope are read without case, numbers may be doubles, every known spelling is taken. Strict out: one compact envelope
//! with `type`, `request_id`, `payload`, `timestamp`. Does not own the transport, and does not know the time: the caller hands
//! in the time stamp.
//!
//! Messages are read into miniserde's value tree and not into derived structs: a derived struct refuses the whole message when
//! one optional field has an odd type, and the planes in the field do send such fields.

mod base64;
mod binary;
mod decode;
mod encode;
mod fields;
mod json;
mod socket;
mod writer;

pub use self::base64::Base64;
pub use self::binary::split_body as split_binary_body;
pub use self::decode::{DecodeError, decode};
pub use self::encode::encode;
pub(crate) use self::json::push_string as push_json_string;
pub(crate) use self::socket::OPCODES;
pub use self::writer::{BLOCK, MessageWriter, Piece};

/// The types of message that this version understands, as it tells the plane.
pub const SUPPORTED_TYPES: [&str; 18] = [
    "register_success",
    "register_in_progress",
    "heartbeat_ack",
    "gateway_hello",
    "ping",
    "pong",
    "proxy_request",
    "proxy_request_chunk",
    "proxy_request_stream_end",
    "proxy_cancel",
    "proxy_stream_data",
    "proxy_websocket_start",
    "proxy_websocket_data",
    "proxy_websocket_close",
    "ws_start",
    "ws_data",
    "ws_close",
    "error",
];

/// The most bytes in one `proxy_response_chunk`, by the protocol.
pub const MAX_CHUNK: usize = 32 * 1024;

/// The most values that one message may hold. A value costs up to sixteen times its text in memory, so the size of a message
/// alone does not bound what reading it takes.
pub const MAX_VALUES: usize = 65_536;
