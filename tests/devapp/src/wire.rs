//! One connection as bytes: the stream, with what has been read from it and not been used yet. Knows no HTTP.

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What is read while an answer is under way, to notice that the client leaves.
const AHEAD_LIMIT: usize = 64 * 1024;
/// How much of what nobody wants to read is still taken after the answer, so that the answer is not lost to a reset.
const LINGER_LIMIT: usize = 64 * 1024 * 1024;
const LINGER: Duration = Duration::from_secs(5);

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

pub(crate) struct Wire {
    stream: Box<dyn Duplex>,
    ahead: BytesMut,
}

impl Wire {
    pub(crate) fn new(stream: Box<dyn Duplex>) -> Wire {
        Wire { stream, ahead: BytesMut::new() }
    }

    /// What was read and not used.
    pub(crate) fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    pub(crate) fn used(&mut self, count: usize) {
        self.ahead.advance(count.min(self.ahead.len()));
    }

    /// Reads once more; `false` at the end. Nothing is lost when the future is dropped.
    pub(crate) async fn fill(&mut self) -> io::Result<bool> {
        self.ahead.reserve(16 * 1024);
        Ok(self.stream.read_buf(&mut self.ahead).await? > 0)
    }

    /// Up to `limit` bytes, at least one; `None` at the end.
    pub(crate) async fn take(&mut self, limit: usize) -> io::Result<Option<Bytes>> {
        if self.ahead.is_empty() && !self.fill().await? {
            return Ok(None);
        }
        let count = limit.min(self.ahead.len());
        Ok(Some(self.ahead.split_to(count).freeze()))
    }

    /// A line without its end; `None` at the end of the stream. A longer one than `limit` is an error.
    pub(crate) async fn line(&mut self, limit: usize) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(end) = self.ahead.iter().position(|byte| *byte == b'\n') {
                let mut line = self.ahead.split_to(end + 1);
                line.truncate(end);
                if line.last() == Some(&b'\r') {
                    line.truncate(end.saturating_sub(1));
                }
                return Ok(Some(line.freeze()));
            }
            if self.ahead.len() > limit {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is too long"));
            }
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Ends when the client has gone. What it sends meanwhile is kept.
    pub(crate) async fn gone(&mut self) {
        while self.ahead.len() < AHEAD_LIMIT {
            if !matches!(self.fill().await, Ok(true)) {
                return;
            }
        }
        std::future::pending().await
    }

    /// Says that nothing more comes, and gives the other side time to hear it.
    pub(crate) async fn close(mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let drain = async {
            let mut taken = 0;
            while taken < LINGER_LIMIT {
                match self.take(LINGER_LIMIT).await {
                    Ok(Some(bytes)) => taken += bytes.len(),
                    Ok(None) | Err(_) => return,
                }
            }
        };
        // Late or not, the connection ends here.
        let _ = tokio::time::timeout(LINGER, drain).await;
    }

    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    pub(crate) fn into_parts(self) -> (Box<dyn Duplex>, BytesMut) {
        (self.stream, self.ahead)
    }
}
