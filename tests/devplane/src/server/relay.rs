//! What both kinds of relay have in common: the stream to the agent, and careful writing to the client.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::answer::AnswerStream;
use super::speaker::{Speaker, Valve};

/// How long the end of a connection may take.
const FAREWELL_LIMIT: Duration = Duration::from_secs(2);

/// One upgraded connection, as the plane sees it.
pub(super) struct Stream {
    pub(super) answer: AnswerStream,
    pub(super) speaker: Speaker,
    pub(super) valve: Valve,
    /// The client has been given up.
    pub(super) hangup: Arc<Notify>,
}

/// The way to the client. Writing can be left at any point and taken up again, so nothing is written twice or in part.
pub(super) struct ToClient<T> {
    write: WriteHalf<T>,
    /// What is to be written, and how much of it has been.
    pub(super) pending: Vec<u8>,
    written: usize,
}

impl<T: AsyncRead + AsyncWrite> ToClient<T> {
    pub(super) fn new(write: WriteHalf<T>) -> Self {
        Self { write, pending: Vec::new(), written: 0 }
    }

    pub(super) async fn flush(&mut self) -> io::Result<()> {
        loop {
            let rest = self.pending.get(self.written..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            let written = self.write.write(rest).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.written += written;
        }
        self.pending.clear();
        self.written = 0;
        self.write.flush().await
    }

    /// Writes what is left, then nothing more.
    pub(super) async fn finish(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.write.shutdown().await
    }

    /// The orderly end: all is written, and the client has the time to take it, as closing a connection with unread
    /// bytes would throw it away.
    pub(super) async fn farewell(mut self, mut read: ReadHalf<T>) {
        let _ = timeout(FAREWELL_LIMIT, async {
            self.finish().await?;
            drain(&mut read).await;
            io::Result::Ok(())
        })
        .await;
    }
}

/// Reads to the end, for nothing.
pub(super) async fn drain<T: AsyncRead>(read: &mut ReadHalf<T>) {
    let mut buffer = vec![0; 4 * 1024];
    while matches!(read.read(&mut buffer).await, Ok(1..)) {}
}
