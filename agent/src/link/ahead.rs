//! Reading ahead under TLS: rustls asks for 4 KiB at a time, which would be a system call each.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::socket::Socket;

/// One read from the network.
const READ: usize = 32 * 1024;

/// A stream whose reads from TCP are large. The memory for them is there only while something is coming in. TLS through a proxy that
/// itself speaks TLS has been read ahead below already and passes through.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    stream: Socket,
    buffer: Vec<u8>,
    /// What of it has been given on.
    start: usize,
}

impl ReadAhead {
    pub(crate) fn new(stream: Socket) -> Self {
        Self { stream, buffer: Vec::new(), start: 0 }
    }

    pub(crate) fn stream(&self) -> &Socket {
        &self.stream
    }

    /// Moves what is here on; true when there was something.
    fn give(&mut self, to: &mut ReadBuf<'_>) -> bool {
        let waiting = self.buffer.get(self.start..).unwrap_or_default();
        let count = waiting.len().min(to.remaining());
        to.put_slice(waiting.get(..count).unwrap_or_default());
        self.start += count;
        count > 0
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if to.remaining() == 0 || this.give(to) {
            return Poll::Ready(Ok(()));
        }
        let stream = match &mut this.stream {
            Socket::Plain(stream) => stream,
            Socket::Tls(stream) => return Pin::new(stream).poll_read(context, to),
        };
        loop {
            match stream.poll_read_ready(context) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => {
                    this.buffer = Vec::new();
                    this.start = 0;
                    return Poll::Pending;
                }
            }
            this.buffer.clear();
            this.buffer.reserve(READ);
            this.start = 0;
            match stream.try_read_buf(&mut this.buffer) {
                Ok(_) => {
                    this.give(to);
                    return Poll::Ready(Ok(()));
                }
                // It looked readable and was not.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for ReadAhead {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
