//! Upgrades to protocols that are nobody's: bytes both ways, on any path.
//!
//! | Token | What happens after 101 |
//! |---|---|
//! | `raw-echo` | bytes come back; after the client's end, `BYE` and the end |
//! | `raw-count` | `?bytes=N` of the pattern and the end; what comes is counted |

use std::io;

use crate::pattern::pattern;
use crate::reply::{Answer, Length};
use crate::routes::Request;
use crate::wire::Wire;

const PIECE: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Raw {
    Echo,
    Count,
}

impl Raw {
    pub(crate) fn of(token: &str) -> Option<Raw> {
        [Raw::Echo, Raw::Count].into_iter().find(|raw| raw.token().eq_ignore_ascii_case(token))
    }

    fn token(self) -> &'static str {
        match self {
            Raw::Echo => "raw-echo",
            Raw::Count => "raw-count",
        }
    }

    pub(crate) async fn run(self, request: &Request<'_>, mut wire: Wire) -> io::Result<()> {
        let fields = [("Connection", "Upgrade"), ("Upgrade", self.token())];
        request.status(101);
        Answer::begin(&mut wire, &request.head, 101, &fields, Length::Never).await?;
        match self {
            Raw::Echo => {
                while let Some(bytes) = wire.take(PIECE).await? {
                    count(request, bytes.len());
                    wire.write(&bytes).await?;
                }
                wire.write(b"BYE").await?;
                wire.shutdown().await
            }
            Raw::Count => {
                let total = request.head.query.number("bytes", 1024);
                let mut buffer = vec![0; PIECE];
                let mut sent = 0;
                while sent < total {
                    let size = usize::try_from(total - sent).unwrap_or(PIECE).min(PIECE);
                    let bytes = buffer.get_mut(..size).unwrap_or_default();
                    pattern(sent, bytes);
                    wire.write(bytes).await?;
                    sent += u64::try_from(size).unwrap_or(total);
                }
                wire.shutdown().await?;
                while let Some(bytes) = wire.take(PIECE).await? {
                    count(request, bytes.len());
                }
                Ok(())
            }
        }
    }
}

fn count(request: &Request<'_>, bytes: usize) {
    request.recorder.update(request.id, |seen| seen.body_bytes += u64::try_from(bytes).unwrap_or_default());
}
