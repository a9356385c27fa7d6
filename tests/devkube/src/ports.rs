//! Port forwarding over WebSocket: two channels for each port, which say their port first; then data comes back.

use devapp::Message;
use devapp::frame::{BINARY, PONG, encode, encode_close};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::socket::{End, Incoming};
use crate::status::Refusal;

/// Channels are bytes, two for each port.
const MAX_PORTS: usize = 64;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ports(Vec<u16>);

impl Ports {
    /// Of the query, where ports come one by one or in a list.
    pub(crate) fn parse<'a>(values: impl Iterator<Item = &'a str>) -> Result<Ports, Refusal> {
        let words = values.flat_map(|value| value.split(',')).filter(|word| !word.is_empty());
        let ports = words
            .map(|word| match word.parse() {
                Ok(port @ 1..) => Ok(port),
                Ok(0) | Err(_) => Err(Refusal::bad_request(format!("invalid port {word:?}"))),
            })
            .collect::<Result<Vec<u16>, Refusal>>()?;
        if ports.is_empty() {
            return Err(Refusal::bad_request("query parameter \"ports\" is required"));
        }
        if ports.len() > MAX_PORTS {
            return Err(Refusal::bad_request(format!("more than {MAX_PORTS} ports")));
        }
        Ok(Ports(ports))
    }

    pub(crate) async fn run<T: AsyncRead + AsyncWrite + Unpin>(self, stream: T, ahead: &[u8]) {
        let mut incoming = Incoming::new(stream, ahead);
        let mut frames = Vec::new();
        for (place, port) in (0_u8..).step_by(2).zip(&self.0) {
            let [low, high] = port.to_le_bytes();
            frames.extend(encode(true, BINARY, &[place, low, high], None));
            frames.extend(encode(true, BINARY, &[place.saturating_add(1), low, high], None));
        }
        loop {
            let stream = incoming.reader();
            if stream.write_all(&frames).await.is_err() || stream.flush().await.is_err() {
                return;
            }
            frames = match incoming.next().await {
                Ok(Message::Binary(payload)) if self.is_data(&payload) => encode(true, BINARY, &payload, None),
                Ok(Message::Ping(payload)) => encode(true, PONG, &payload, None),
                Ok(Message::Binary(_) | Message::Text(_) | Message::Pong(_)) => Vec::new(),
                Ok(Message::Close(close)) => {
                    return end(incoming.reader(), close.map_or(1000, |(code, _)| code)).await;
                }
                Err(End::Wrong(code)) => return end(incoming.reader(), code).await,
                Err(End::Gone) => return,
            };
        }
    }

    fn is_data(&self, payload: &[u8]) -> bool {
        payload.first().is_some_and(|channel| channel % 2 == 0 && usize::from(channel / 2) < self.0.len())
    }
}

async fn end(stream: &mut (impl AsyncWrite + Unpin), code: u16) {
    // The connection ends in any case.
    let _ = stream.write_all(&encode_close(code, "", None)).await;
    let _ = stream.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_come_one_by_one_or_in_a_list() {
        assert_eq!(Ports::parse(["80", "81,82"].into_iter()), Ok(Ports(vec![80, 81, 82])));
        for wrong in [&[][..], &["0"], &["65536"], &["80", "x"], &[""]] {
            assert_eq!(Ports::parse(wrong.iter().copied()).map_err(|refusal| refusal.code), Err(400), "{wrong:?}");
        }
        let many = vec!["1"; MAX_PORTS + 1];
        assert!(Ports::parse(many.into_iter()).is_err());
    }
}
