//! Reading WebSocket messages from a stream. Answers nothing by itself.

use bytes::BytesMut;
use devapp::{Message, Messages};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Of a message; clients send some tens of KiB at a time.
const LIMIT: usize = 1024 * 1024;
const READ: usize = 32 * 1024;

pub(crate) struct Incoming<R> {
    reader: R,
    messages: Messages,
}

/// Why nothing more comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The connection is gone.
    Gone,
    /// What came is not the protocol; the code to close with.
    Wrong(u16),
}

impl<R: AsyncRead + Unpin> Incoming<R> {
    pub(crate) fn new(reader: R, ahead: &[u8]) -> Incoming<R> {
        let mut messages = Messages::from_client(LIMIT);
        messages.push(ahead);
        Incoming { reader, messages }
    }

    /// Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Result<Message, End> {
        loop {
            match self.messages.next_message() {
                Ok(Some(message)) => return Ok(message),
                Ok(None) => {}
                Err(error) => return Err(End::Wrong(error.close_code())),
            }
            let mut bytes = BytesMut::with_capacity(READ);
            match self.reader.read_buf(&mut bytes).await {
                Ok(0) | Err(_) => return Err(End::Gone),
                Ok(_) => self.messages.push(&bytes),
            }
        }
    }

    pub(crate) fn reader(&mut self) -> &mut R {
        &mut self.reader
    }
}
