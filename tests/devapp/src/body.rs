//! The body of a request: how it is framed, and its pieces as they come.

use std::io;

use bytes::Bytes;

use crate::head::Head;
use crate::wire::Wire;

const PIECE: usize = 64 * 1024;
const LINE_LIMIT: usize = 4096;
const MAX_TRAILERS: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailers,
    Done,
}

/// What a body is read with.
#[derive(Debug)]
pub(crate) struct Body {
    framing: Framing,
    /// The client waits to be told before it sends.
    asks_first: bool,
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl Body {
    /// An error if the head does not say clearly where the body ends.
    pub(crate) fn of(head: &Head) -> io::Result<Body> {
        let coded = head.first("transfer-encoding").is_some();
        let mut lengths = head.members("content-length").peekable();
        let framing = match (coded, lengths.peek()) {
            (true, Some(_)) => return Err(invalid("both a length and chunks")),
            (true, None) if head.members("transfer-encoding").eq(["chunked"]) => Framing::ChunkSize,
            (true, None) => return Err(invalid("an unknown transfer coding")),
            (false, Some(first)) => {
                let first = *first;
                if !first.bytes().all(|byte| byte.is_ascii_digit()) || lengths.any(|other| other != first) {
                    return Err(invalid("not a length"));
                }
                Framing::Length(first.parse().map_err(|_| invalid("not a length"))?)
            }
            (false, None) => Framing::Length(0),
        };
        let asks_first = head.minor == 1 && head.has_member("expect", "100-continue") && framing != Framing::Length(0);
        Ok(Body { framing, asks_first })
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.framing, Framing::Length(0) | Framing::Done)
    }

    /// The next piece, `None` at the end of the body. The stream's end before that is an error.
    pub(crate) async fn next(&mut self, wire: &mut Wire) -> io::Result<Option<Bytes>> {
        if std::mem::take(&mut self.asks_first) {
            wire.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        loop {
            match self.framing {
                Framing::Length(0) | Framing::Done => return Ok(None),
                Framing::Length(left) => {
                    let (piece, left) = piece(wire, left).await?;
                    self.framing = Framing::Length(left);
                    return Ok(Some(piece));
                }
                Framing::Chunk(left) => {
                    let (piece, left) = piece(wire, left).await?;
                    self.framing = if left == 0 { Framing::ChunkEnd } else { Framing::Chunk(left) };
                    return Ok(Some(piece));
                }
                Framing::ChunkSize => {
                    let size = size(&line(wire).await?)?;
                    self.framing = if size == 0 { Framing::Trailers } else { Framing::Chunk(size) };
                }
                Framing::ChunkEnd => {
                    if !line(wire).await?.is_empty() {
                        return Err(invalid("a chunk is longer than it said"));
                    }
                    self.framing = Framing::ChunkSize;
                }
                Framing::Trailers => {
                    let mut count = 0;
                    while !line(wire).await?.is_empty() {
                        count += 1;
                        if count > MAX_TRAILERS {
                            return Err(invalid("too many trailers"));
                        }
                    }
                    self.framing = Framing::Done;
                }
            }
        }
    }
}

async fn piece(wire: &mut Wire, left: u64) -> io::Result<(Bytes, u64)> {
    let limit = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
    let piece = wire.take(limit).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let left = left.saturating_sub(u64::try_from(piece.len()).unwrap_or(left));
    Ok((piece, left))
}

async fn line(wire: &mut Wire) -> io::Result<Bytes> {
    wire.line(LINE_LIMIT).await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Of a chunk, from its first line; extensions are ignored.
fn size(line: &[u8]) -> io::Result<u64> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let text = std::str::from_utf8(digits).map_err(|_| invalid("not a chunk size"))?;
    if text.starts_with('+') {
        return Err(invalid("not a chunk size"));
    }
    u64::from_str_radix(text, 16).map_err(|_| invalid("not a chunk size"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_chunks_are_read_strictly() {
        assert_eq!(size(b"1f;name=value").ok(), Some(31));
        for wrong in [&b""[..], b"+1", b"-1", b"0x1", b"\xff", b"11111111111111111"] {
            assert!(size(wrong).is_err(), "{wrong:?}");
        }
    }
}
