//! A process over WebSocket, by the remote command protocol of Kubernetes: channels, sizes, the end of stdin, and the status
//! at the end. What the process does is in `programs`.

use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, Bytes};
use devapp::Message;
use devapp::frame::{BINARY, PING, PONG, encode, encode_close};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::mpsc;

use crate::programs::{Outcome, Program};
use crate::socket::{End, Incoming};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
/// With the fifth version: the channel named by the next byte ends.
const CLOSE: u8 = 255;

/// Pieces under way in each direction. Few: whoever is slow is to be felt by the other side.
const QUEUE: usize = 8;
/// How long the client may take to close after the status, or to read what it has asked for before it closed.
const LINGER: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// `channel.k8s.io`: the status is a text, and there is none when all went well.
    V1,
    V4,
    /// The client can end stdin.
    V5,
}

/// What the client wants to have connected.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Channels {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    pub(crate) tty: bool,
}

pub(crate) struct Session {
    pub(crate) version: Version,
    pub(crate) channels: Channels,
    pub(crate) program: Program,
}

/// Who ended first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Process,
    Client,
}

enum Out {
    Bytes(Vec<u8>),
    /// Nothing follows.
    End,
}

/// What a process sees of its client.
pub(crate) struct Console {
    /// Ends with the client's stdin; at once when it has none.
    pub(crate) stdin: mpsc::Receiver<Bytes>,
    /// Rows and columns.
    pub(crate) sizes: mpsc::Receiver<(u64, u64)>,
    pub(crate) tty: bool,
    channels: Channels,
    out: mpsc::Sender<Out>,
}

/// The client is gone, so there is nobody to write to.
#[derive(Debug)]
pub(crate) struct Gone;

impl Console {
    pub(crate) async fn stdout(&self, bytes: &[u8]) -> Result<(), Gone> {
        if self.channels.stdout { self.channel(STDOUT, bytes).await } else { Ok(()) }
    }

    pub(crate) async fn stderr(&self, bytes: &[u8]) -> Result<(), Gone> {
        if self.channels.stderr { self.channel(STDERR, bytes).await } else { Ok(()) }
    }

    /// To find out whether the client is still there without reading what it sends.
    pub(crate) async fn ping(&self) -> Result<(), Gone> {
        self.send(encode(true, PING, b"", None)).await
    }

    async fn channel(&self, channel: u8, bytes: &[u8]) -> Result<(), Gone> {
        let mut payload = Vec::with_capacity(bytes.len().saturating_add(1));
        payload.push(channel);
        payload.extend_from_slice(bytes);
        self.send(encode(true, BINARY, &payload, None)).await
    }

    async fn send(&self, frame: Vec<u8>) -> Result<(), Gone> {
        self.out.send(Out::Bytes(frame)).await.map_err(|_| Gone)
    }
}

impl Session {
    pub(crate) async fn run<T: AsyncRead + AsyncWrite + Unpin>(self, stream: T, ahead: &[u8]) {
        let (reading, writing) = split(stream);
        let (out, outgoing) = mpsc::channel(QUEUE);
        let (stdin, stdin_of_process) = mpsc::channel(QUEUE);
        let (sizes, sizes_of_process) = mpsc::channel(QUEUE);
        let console = Console {
            stdin: stdin_of_process,
            sizes: sizes_of_process,
            tty: self.channels.tty,
            channels: self.channels,
            out: out.clone(),
        };
        let inputs = Inputs { version: self.version, stdin: Some(stdin).filter(|_| self.channels.stdin), sizes, out };
        let mut reader = pin!(inputs.read(Incoming::new(reading, ahead)));
        let mut writer = pin!(write(outgoing, writing));
        let ended = tokio::select! {
            // If it could not write, neither can the writer.
            _ = process(self.version, self.program, console) => Ended::Process,
            () = &mut writer => return,
            () = &mut reader => Ended::Client,
        };
        if ended == Ended::Process {
            tokio::select! {
                () = &mut writer => {
                    // Whoever still sends should not lose the status to a reset.
                    let _ = tokio::time::timeout(LINGER, &mut reader).await;
                    return;
                }
                () = &mut reader => {}
            }
        }
        let _ = tokio::time::timeout(LINGER, &mut writer).await;
    }
}

async fn process(version: Version, program: Program, mut console: Console) -> Result<(), Gone> {
    // The real server's sign that the stream is open: nothing, on the first channel that can be written.
    let first = match console.channels {
        Channels { stdout: true, .. } => STDOUT,
        Channels { stderr: true, .. } => STDERR,
        Channels { .. } => STATUS,
    };
    console.channel(first, b"").await?;
    let outcome = program.run(&mut console).await?;
    if let Some(status) = status(version, &outcome) {
        console.channel(STATUS, status.as_bytes()).await?;
    }
    console.send(encode_close(1000, "", None)).await?;
    console.out.send(Out::End).await.map_err(|_| Gone)
}

async fn write(mut outgoing: mpsc::Receiver<Out>, mut writer: impl AsyncWrite + Unpin) {
    while let Some(Out::Bytes(bytes)) = outgoing.recv().await {
        let written = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        if written.await.is_err() {
            return;
        }
    }
    // The connection ends in any case.
    let _ = writer.shutdown().await;
}

struct Inputs {
    version: Version,
    /// `None` once it has ended, or was never asked for.
    stdin: Option<mpsc::Sender<Bytes>>,
    sizes: mpsc::Sender<(u64, u64)>,
    out: mpsc::Sender<Out>,
}

impl Inputs {
    /// Until the client closes or is gone.
    async fn read<R: AsyncRead + Unpin>(mut self, mut incoming: Incoming<R>) {
        let close = loop {
            match incoming.next().await {
                Ok(Message::Binary(payload)) => self.take(payload).await,
                Ok(Message::Text(text)) => self.take(Bytes::from(text)).await,
                Ok(Message::Ping(payload)) => {
                    // Where the way back is full, the client sees life enough.
                    let _ = self.out.try_send(Out::Bytes(encode(true, PONG, &payload, None)));
                }
                Ok(Message::Pong(_)) => {}
                Ok(Message::Close(close)) => break encode_close(close.map_or(1000, |(code, _)| code), "", None),
                Err(End::Wrong(code)) => break encode_close(code, "", None),
                Err(End::Gone) => return,
            }
        };
        // When the writer has ended, so has the connection.
        let _ = self.out.send(Out::Bytes(close)).await;
        let _ = self.out.send(Out::End).await;
    }

    async fn take(&mut self, mut payload: Bytes) {
        let Some(channel) = payload.first().copied() else {
            return;
        };
        payload.advance(1);
        match channel {
            STDIN if !payload.is_empty() => {
                // A process that has ended reads no more, and the client need not know yet.
                if let Some(stdin) = &self.stdin {
                    let _ = stdin.send(payload).await;
                }
            }
            RESIZE => {
                let size: Value = serde_json::from_slice(&payload).unwrap_or_default();
                if let (Some(rows), Some(columns)) = (size["Height"].as_u64(), size["Width"].as_u64()) {
                    // As with a real terminal, sizes that come too fast for the process are lost.
                    let _ = self.sizes.try_send((rows, columns));
                }
            }
            CLOSE if self.version == Version::V5 && payload.first() == Some(&STDIN) => self.stdin = None,
            _ => {}
        }
    }
}

fn status(version: Version, outcome: &Outcome) -> Option<String> {
    let (message, reason, cause) = match outcome {
        Outcome::Exit(0) => {
            return Some(json!({"metadata": {}, "status": "Success"}).to_string()).filter(|_| version != Version::V1);
        }
        Outcome::Exit(code) => {
            let message = format!("command terminated with non-zero exit code: exit status {code}");
            (message, "NonZeroExitCode", json!([{"reason": "ExitCode", "message": code.to_string()}]))
        }
        Outcome::NotStarted(why) => {
            let message = format!("Internal error occurred: error executing command in container: {why}");
            (message, "InternalError", json!([{"message": why}]))
        }
    };
    if version == Version::V1 {
        return Some(message);
    }
    let mut status = json!({
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "details": {"causes": cause},
    });
    if reason == "InternalError" {
        status["code"] = 500.into();
    }
    Some(status.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_version_says_nothing_when_all_went_well() {
        assert_eq!(status(Version::V1, &Outcome::Exit(0)), None);
        assert_eq!(status(Version::V4, &Outcome::Exit(0)).as_deref(), Some(r#"{"metadata":{},"status":"Success"}"#));
    }

    #[test]
    fn an_exit_code_is_a_cause() {
        let status: Value = serde_json::from_str(&status(Version::V5, &Outcome::Exit(3)).unwrap()).unwrap();
        assert_eq!((status["reason"].as_str(), status["status"].as_str()), (Some("NonZeroExitCode"), Some("Failure")));
        assert_eq!(status["details"]["causes"], json!([{"reason": "ExitCode", "message": "3"}]));
    }
}
