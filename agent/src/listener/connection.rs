//! One connection: one request, one answer, the end.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::answer::{Answer, answer};
use super::head::{MOST_BYTES, Parsed, is_own_host, parse};
use super::{Front, Stream};

/// For the head of the request.
const HEAD_LIMIT: Duration = Duration::from_secs(5);
/// For the answer to be made and taken.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// For the client to end as well. Closing a socket that holds unread bytes would take the answer back.
const END_LIMIT: Duration = Duration::from_secs(1);
/// The most that is still read and thrown away then.
const MOST_IGNORED: usize = 64 * 1024;

/// Answers one request. Everything that takes time is bounded; a client that does not keep to it is left without a word.
pub(super) async fn serve(mut stream: Box<dyn Stream>, front: Front, guarded: bool) {
    let mut bytes = Vec::with_capacity(1024);
    let Ok(Some((answer, with_body))) =
        tokio::time::timeout(HEAD_LIMIT + ANSWER_LIMIT, read_and_answer(&mut stream, &mut bytes, &front, guarded)).await
    else {
        return;
    };
    let _ = tokio::time::timeout(ANSWER_LIMIT, async {
        stream.write_all(&answer.into_bytes(with_body)).await?;
        stream.shutdown().await
    })
    .await;
    let _ = tokio::time::timeout(END_LIMIT, ignore_rest(&mut stream, &mut bytes)).await;
}

/// The answer, and whether its body is wanted; `None` when the client left or took too long.
async fn read_and_answer(
    stream: &mut Box<dyn Stream>,
    bytes: &mut Vec<u8>,
    front: &Front,
    guarded: bool,
) -> Option<(Answer, bool)> {
    let refusal = tokio::time::timeout(HEAD_LIMIT, read_head(stream, bytes)).await.ok()??;
    if let Some(refusal) = refusal {
        return Some((refusal, true));
    }
    let Parsed::Complete(head) = parse(bytes, 0) else { return Some((Answer::MALFORMED, true)) };
    if guarded && head.host.is_some_and(|host| !is_own_host(host)) {
        return Some((Answer::MISDIRECTED, true));
    }
    Some((answer(front, head.method, head.path).await, head.method != "HEAD"))
}

/// Reads until the head is complete: `Some(None)`. `Some(Some(_))` is what is answered instead.
async fn read_head(stream: &mut Box<dyn Stream>, bytes: &mut Vec<u8>) -> Option<Option<Answer>> {
    loop {
        let seen = bytes.len();
        let room = u64::try_from(MOST_BYTES - seen).unwrap_or(0);
        if stream.take(room).read_buf(bytes).await.ok()? == 0 {
            return None;
        }
        match parse(bytes, seen) {
            Parsed::Complete(_) => return Some(None),
            Parsed::Malformed => return Some(Some(Answer::MALFORMED)),
            Parsed::Partial if bytes.len() >= MOST_BYTES => return Some(Some(Answer::TOO_LARGE)),
            Parsed::Partial => {}
        }
    }
}

async fn ignore_rest(stream: &mut Box<dyn Stream>, bytes: &mut Vec<u8>) {
    let mut ignored = 0;
    while ignored < MOST_IGNORED {
        bytes.clear();
        match stream.read_buf(bytes).await {
            Ok(0) | Err(_) => return,
            Ok(count) => ignored += count,
        }
    }
}
