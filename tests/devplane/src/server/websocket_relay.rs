//! A client's WebSocket: messages both ways with their opcodes, pings and pongs among them.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadHalf};
use tokio::time::timeout;

use super::frames::{Broken, CLOSE, ClientFrames, PING, PONG, push_close, push_frame};
use super::pace::Pace;
use super::relay::{Stream, ToClient, drain};
use super::speaker::{Speaker, Valve};
use crate::plane::Part;

/// How long a backend may take to answer a client's close.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);
/// For a close without a code.
const NO_CODE: u16 = 1005;
/// For a stream that ends without having been closed.
const FAILED: u16 = 1011;

enum End {
    /// With this code.
    Closed(u16, String),
    /// The client is gone or was given up, or its close was never answered.
    Gone,
}

pub(super) async fn run<T: AsyncRead + AsyncWrite>(io: T, stream: Stream) {
    let Stream { mut answer, speaker, valve, hangup } = stream;
    let (mut read, write) = tokio::io::split(io);
    let mut client = ToClient::new(write);
    let pace = Pace::default();
    // A close frame is the last that may be sent.
    let mut closed = false;
    let end = {
        let down = async {
            while let Some(part) = answer.next().await {
                match part {
                    Part::Frame { opcode: PONG, data } if pace.pong(&data) => {}
                    Part::Frame { .. } if closed => {}
                    Part::Frame { opcode, data } => {
                        closed = opcode == CLOSE;
                        push_frame(&mut client.pending, opcode, &data);
                        if client.flush().await.is_err() {
                            return End::Gone;
                        }
                    }
                    Part::Closed { code, reason } => return End::Closed(code.unwrap_or(NO_CODE), reason),
                    Part::Abort(reason) | Part::Error(reason) => return End::Closed(FAILED, reason),
                    Part::Head { .. } | Part::Chunk(_) | Part::End | Part::Backpressure(_) => {}
                }
            }
            End::Gone
        };
        tokio::select! {
            end = down => end,
            end = up(&mut read, &speaker, &pace, valve) => end,
            () = hangup.notified() => End::Gone,
        }
    };
    // Tells the agent, if it does not know.
    drop(answer);
    match end {
        End::Closed(code, reason) => {
            if closed || push_close(&mut client.pending, code, &reason) {
                client.farewell(read).await;
            }
        }
        End::Gone => {}
    }
}

/// Returns when nothing more can come from the client.
async fn up<T: AsyncRead>(read: &mut ReadHalf<T>, speaker: &Speaker, pace: &Pace, mut valve: Valve) -> End {
    let mut buffer = vec![0; 16 * 1024];
    let mut frames = ClientFrames::default();
    loop {
        valve.open().await;
        pace.open().await;
        match read.read(&mut buffer).await {
            Ok(0) | Err(_) => return End::Gone,
            Ok(length) => frames.feed(buffer.get(..length).unwrap_or_default()),
        }
        loop {
            let (opcode, payload) = match frames.next() {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(Broken { code, reason }) => return End::Closed(code, reason.to_owned()),
            };
            let length = payload.len();
            let mut sent = speaker.frame(opcode, payload).await;
            if opcode == CLOSE && sent.is_ok() {
                // The answer ends the stream; if none comes, this does.
                let _ = timeout(CLOSE_LIMIT, async {
                    drain(read).await;
                    std::future::pending::<()>().await;
                })
                .await;
                return End::Gone;
            }
            if let (Ok(()), Some(ping)) = (sent, pace.sent(length)) {
                sent = speaker.frame(PING, ping).await;
            }
            if sent.is_err() {
                // The stream is over, of which the other direction hears.
                return std::future::pending().await;
            }
        }
    }
}
