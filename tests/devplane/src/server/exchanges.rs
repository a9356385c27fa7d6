//! What a caller says about an exchange under way: pieces of a body, frames, ends.

use serde_json::{Map, Value};

use super::speaker::Speaker;
use super::{DevPlane, Stopped};
use crate::plane::{ExchangeId, Plane};

/// All but `body_end` return once the message is on the wire, and fail if the exchange is over or the server has stopped.
impl DevPlane {
    /// The next piece of a request's body.
    ///
    /// # Errors
    /// If the exchange is over, or the server has stopped.
    pub async fn body_chunk(&self, exchange: ExchangeId, bytes: Vec<u8>) -> Result<(), Stopped> {
        self.speaker(exchange).body_chunk(bytes).await
    }

    /// The end of a request's body.
    ///
    /// # Errors
    /// If the server has stopped.
    pub async fn body_end(&self, exchange: ExchangeId) -> Result<(), Stopped> {
        self.speaker(exchange).body_end().await
    }

    /// A frame on an upgraded connection: 1 text, 2 binary, 8 close, 9 ping, 10 pong.
    ///
    /// # Errors
    /// If the exchange is over, or the server has stopped.
    pub async fn send_frame(&self, exchange: ExchangeId, opcode: u8, bytes: Vec<u8>) -> Result<(), Stopped> {
        self.speaker(exchange).frame(opcode, bytes).await
    }

    /// A frame in a message of this type (`ws_data`, `proxy_websocket_data`, `proxy_stream_data`, or any other). What
    /// `change` holds replaces the usual payload fields (`stream_id`, `request_id`, `data`, `message_type`); null takes
    /// a field out.
    ///
    /// # Errors
    /// If the exchange is over, or the server has stopped.
    pub async fn send_frame_as(
        &self,
        exchange: ExchangeId,
        kind: &str,
        opcode: u8,
        bytes: Vec<u8>,
        change: Map<String, Value>,
    ) -> Result<(), Stopped> {
        let kind = kind.to_owned();
        self.say(exchange, move |plane| plane.websocket_data_as(exchange, &kind, opcode, &bytes, &change)).await
    }

    /// `ws_close`. The answer stream ends with an abort; what the agent still sends is judged, but not handed on.
    ///
    /// # Errors
    /// If the exchange is over, or the server has stopped.
    pub async fn close_stream(&self, exchange: ExchangeId) -> Result<(), Stopped> {
        self.say(exchange, move |plane| plane.websocket_close(exchange)).await
    }

    /// The same in a message of this type, with other payload fields as for `send_frame_as`.
    ///
    /// # Errors
    /// If the exchange is over, or the server has stopped.
    pub async fn close_stream_as(&self, exchange: ExchangeId, kind: &str, change: Map<String, Value>) -> Result<(), Stopped> {
        let kind = kind.to_owned();
        self.say(exchange, move |plane| plane.websocket_close_as(exchange, &kind, &change)).await
    }

    /// `proxy_cancel`. The answer stream ends with an abort.
    ///
    /// # Errors
    /// If the exchange is over, or the server has stopped.
    pub async fn cancel(&self, exchange: ExchangeId) -> Result<(), Stopped> {
        self.say(exchange, move |plane| plane.cancel(exchange)).await
    }

    /// Any text, well-formed or not, on the connection of an exchange. `make` is given the id on the wire.
    ///
    /// # Errors
    /// If the exchange is over, or the server has stopped.
    pub async fn send_text(
        &self,
        exchange: ExchangeId,
        make: impl FnOnce(&str) -> String + Send + 'static,
    ) -> Result<(), Stopped> {
        self.say(exchange, move |plane| {
            let text = plane.wire_id_of(exchange).map(make);
            if let Some(text) = text {
                plane.send_raw_for(exchange, text);
            }
        })
        .await
    }

    async fn say(&self, exchange: ExchangeId, say: impl FnOnce(&mut Plane) + Send + 'static) -> Result<(), Stopped> {
        self.speaker(exchange).say(say).await
    }

    fn speaker(&self, exchange: ExchangeId) -> Speaker {
        Speaker { exchange, events: self.events.clone() }
    }
}
