//! tokio's streams in hyper's clothes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::link::socket::Socket;

/// Reads through a buffer of its own: hyper hands out memory that may be uninitialised, which safe code cannot give to tokio.
pub(crate) struct HyperStream {
    socket: Socket,
    buffer: Box<[u8]>,
}

/// One read: what a TLS record holds.
const READ: usize = 16 * 1024;

impl HyperStream {
    pub(crate) fn new(socket: Socket) -> Self {
        Self { socket, buffer: Box::default() }
    }

    /// The stream without the clothes. Nothing is held here between two reads.
    pub(super) fn into_socket(self) -> Socket {
        self.socket
    }
}

impl Read for HyperStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, mut cursor: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.buffer.is_empty() {
            this.buffer = vec![0; READ].into_boxed_slice();
        }
        let room = cursor.remaining().min(this.buffer.len());
        let mut buffer = ReadBuf::new(this.buffer.get_mut(..room).unwrap_or_default());
        let result = Pin::new(&mut this.socket).poll_read(context, &mut buffer);
        let filled = buffer.filled().len();
        match ready!(result) {
            Ok(()) => {
                cursor.put_slice(this.buffer.get(..filled).unwrap_or_default());
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Write for HyperStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(context)
    }
}
