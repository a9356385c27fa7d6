//! Reading ahead under TLS: rustls asks for 4 KiB at a time, which would be a system call each.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// One read from the network.
const READ: usize = 32 * 1024;

/// A TCP stream whose reads are large. The memory for them is there only while something is coming in.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    stream: TcpStream,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl ReadAhead {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Box::default(), start: 0, end: 0 }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Moves what is here on; true when there was something.
    fn give(&mut self, to: &mut ReadBuf<'_>) -> bool {
        let waiting = self.buffer.get(self.start..self.end).unwrap_or_default();
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
        loop {
            match this.stream.poll_read_ready(context) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => {
                    this.buffer = Box::default();
                    (this.start, this.end) = (0, 0);
                    return Poll::Pending;
                }
            }
            if this.buffer.is_empty() {
                this.buffer = vec![0; READ].into_boxed_slice();
            }
            match this.stream.try_read(&mut this.buffer) {
                Ok(count) => {
                    (this.start, this.end) = (0, count);
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
