//! An upgraded connection of any protocol but WebSocket: bytes, and an end of each direction.
//!
//! Bytes have no pings, but the agent answers those of the plane once the backend has taken everything before them: by these the client
//! is held to the pace of its backend.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadHalf};

use super::frames::{BINARY, CLOSE, PING, PONG};
use super::pace::Pace;
use super::relay::{Stream, ToClient};
use super::speaker::{Speaker, Valve};
use crate::plane::Part;

/// Largest piece in one message.
const PIECE: usize = 32 * 1024;

enum End {
    /// The agent has closed the stream.
    Closed,
    /// The agent or the client is gone, or the client was given up.
    Lost,
}

/// `skip` of the client's bytes have gone with its request.
pub(super) async fn run<T: AsyncRead + AsyncWrite>(io: T, stream: Stream, skip: usize) {
    let Stream { mut answer, speaker, valve, hangup } = stream;
    let (mut read, write) = tokio::io::split(io);
    let mut client = ToClient::new(write);
    let pace = Pace::default();
    let end = {
        let down = async {
            while let Some(part) = answer.next().await {
                let written = match part {
                    Part::Frame { opcode: 1 | BINARY, data } => {
                        client.pending.extend_from_slice(&data);
                        client.flush().await
                    }
                    Part::Frame { opcode: CLOSE, .. } => client.finish().await,
                    Part::Frame { opcode: PONG, data } => {
                        pace.pong(&data);
                        Ok(())
                    }
                    Part::Closed { .. } => return End::Closed,
                    Part::Abort(_) | Part::Error(_) => return End::Lost,
                    Part::Frame { .. } | Part::Head { .. } | Part::Chunk(_) | Part::End | Part::Backpressure(_) => Ok(()),
                };
                if written.is_err() {
                    return End::Lost;
                }
            }
            End::Lost
        };
        tokio::select! {
            end = down => end,
            () = up(&mut read, &speaker, &pace, valve, skip) => End::Lost,
            () = hangup.notified() => End::Lost,
        }
    };
    drop(answer);
    match end {
        End::Closed => client.farewell(read).await,
        End::Lost => {}
    }
}

/// Returns when the client is gone. After the end of its bytes only the other direction can tell.
async fn up<T: AsyncRead>(read: &mut ReadHalf<T>, speaker: &Speaker, pace: &Pace, mut valve: Valve, mut skip: usize) {
    let mut buffer = vec![0; PIECE];
    loop {
        valve.open().await;
        pace.open().await;
        let piece = match read.read(&mut buffer).await {
            Ok(length) => buffer.get(..length).unwrap_or_default(),
            Err(_) => return,
        };
        let ended = piece.is_empty();
        let skipped = skip.min(piece.len());
        skip -= skipped;
        let piece = piece.get(skipped..).unwrap_or_default();
        if piece.is_empty() && !ended {
            continue;
        }
        let opcode = if ended { CLOSE } else { BINARY };
        let mut sent = speaker.frame(opcode, piece.to_vec()).await;
        if let (Ok(()), Some(ping)) = (&sent, pace.sent(piece.len())) {
            sent = speaker.frame(PING, ping).await;
        }
        // An error means that the stream is over, of which the other direction hears.
        if sent.is_err() || ended {
            return std::future::pending().await;
        }
    }
}
