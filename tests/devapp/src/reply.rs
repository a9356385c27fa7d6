//! Answers: the head, and a body of known length, in chunks, or until the end of the connection.

use std::io;

use crate::head::Head;
use crate::wire::Wire;

/// How an answer's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    Known(u64),
    Unknown,
    /// No body, and nothing said about one: 101, 204, 304.
    Never,
}

/// An answer whose head has been sent.
pub(crate) struct Answer {
    chunked: bool,
    /// A HEAD request: everything but the body is said.
    mute: bool,
    /// The connection can take another request when this is complete.
    pub(crate) reusable: bool,
}

pub(crate) type Field<'a> = (&'a str, &'a str);

impl Answer {
    pub(crate) async fn begin(
        wire: &mut Wire,
        head: &Head,
        status: u16,
        fields: &[Field<'_>],
        length: Length,
    ) -> io::Result<Answer> {
        let (answer, text) = Answer::compose(head, status, fields, length);
        wire.write(text.as_bytes()).await?;
        Ok(answer)
    }

    /// A whole answer, in one write; whether the connection can take another request.
    pub(crate) async fn whole(wire: &mut Wire, head: &Head, status: u16, fields: &[Field<'_>], body: &[u8]) -> io::Result<bool> {
        let never = matches!(status, 204 | 304);
        let length = if never { Length::Never } else { Length::Known(u64::try_from(body.len()).unwrap_or(u64::MAX)) };
        let (answer, text) = Answer::compose(head, status, fields, length);
        let mut bytes = text.into_bytes();
        if !never && !answer.mute {
            bytes.extend_from_slice(body);
        }
        wire.write(&bytes).await?;
        Ok(answer.reusable)
    }

    fn compose(head: &Head, status: u16, fields: &[Field<'_>], length: Length) -> (Answer, String) {
        let chunked = length == Length::Unknown && head.minor == 1;
        let reusable = head.keeps_alive() && (length != Length::Unknown || chunked);
        let mut text = format!("HTTP/1.1 {status} {}\r\n", reason(status));
        let mut field = |name: &str, value: &str| text.extend([name, ": ", value, "\r\n"]);
        fields.iter().for_each(|(name, value)| field(name, value));
        match length {
            Length::Known(length) => field("Content-Length", &length.to_string()),
            Length::Unknown if chunked => field("Transfer-Encoding", "chunked"),
            Length::Unknown | Length::Never => {}
        }
        if status != 101 && !reusable {
            field("Connection", "close");
        } else if head.minor == 0 {
            field("Connection", "keep-alive");
        }
        text.push_str("\r\n");
        (Answer { chunked, mute: head.method == "HEAD", reusable }, text)
    }

    pub(crate) async fn send(&self, wire: &mut Wire, piece: &[u8]) -> io::Result<()> {
        // An empty chunk would be the end.
        if self.mute || piece.is_empty() {
            return Ok(());
        }
        if !self.chunked {
            return wire.write(piece).await;
        }
        let mut bytes = format!("{:x}\r\n", piece.len()).into_bytes();
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
        wire.write(&bytes).await
    }

    /// Whether the connection can take another request.
    pub(crate) async fn end(self, wire: &mut Wire) -> io::Result<bool> {
        if self.chunked && !self.mute {
            wire.write(b"0\r\n\r\n").await?;
        }
        Ok(self.reusable)
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        204 => "No Content",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        426 => "Upgrade Required",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
