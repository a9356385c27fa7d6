//! Several addresses, and whichever answers first (RFC 8305, "happy eyeballs").

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How long an attempt has for itself before the next one begins beside it.
const HEAD_START: Duration = Duration::from_millis(250);
/// The most addresses of one name that are tried.
const MOST: usize = 8;

/// The order in which addresses are tried: that of the name server's, with the two families by turns.
pub(super) fn by_turns(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first = addresses.first().is_none_or(SocketAddr::is_ipv4);
    let (mut ones, mut others) =
        (addresses.iter().filter(|it| it.is_ipv4() == first), addresses.iter().filter(|it| it.is_ipv4() != first));
    let mut ordered = Vec::new();
    while ordered.len() < MOST {
        let pair = (ones.next(), others.next());
        if pair == (None, None) {
            break;
        }
        ordered.extend(pair.0);
        ordered.extend(pair.1);
    }
    ordered.truncate(MOST);
    ordered
}

/// Begins with the first address, with the next one when the one before has failed or had its head start, and gives what succeeds
/// first. All others are dropped. The error is that of the last that failed, or `None` where there was no address.
pub(super) async fn first<T, E, F: Future<Output = Result<T, E>>>(
    addresses: &[SocketAddr],
    mut begin: impl FnMut(SocketAddr) -> F,
) -> Result<(SocketAddr, T), Option<(SocketAddr, E)>> {
    let mut waiting = addresses.iter().take(MOST);
    let mut running: Vec<(SocketAddr, Pin<Box<F>>)> = Vec::new();
    let mut head_start = pin!(sleep_until(Instant::now()));
    let mut due = true;
    let mut failed = None;
    core::future::poll_fn(move |context| {
        loop {
            if due && let Some(address) = waiting.next() {
                running.push((*address, Box::pin(begin(*address))));
                head_start.as_mut().reset(Instant::now() + HEAD_START);
            }
            due = false;
            let mut winner = None;
            running.retain_mut(|(address, attempt)| match attempt.as_mut().poll(context) {
                Poll::Pending => true,
                Poll::Ready(Ok(stream)) => {
                    winner.get_or_insert((*address, stream));
                    false
                }
                Poll::Ready(Err(error)) => {
                    failed = Some((*address, error));
                    due = true;
                    false
                }
            });
            if let Some(winner) = winner {
                return Poll::Ready(Ok(winner));
            }
            if running.is_empty() && waiting.len() == 0 {
                return Poll::Ready(Err(failed.take()));
            }
            due |= running.is_empty() || (waiting.len() > 0 && head_start.as_mut().poll(context).is_ready());
            if !due || waiting.len() == 0 {
                return Poll::Pending;
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 443)).collect()
    }

    #[test]
    fn the_families_take_turns_and_eight_are_enough() {
        for (given, expected) in [
            (vec!["::1", "::2", "::3", "10.0.0.1", "10.0.0.2"], vec!["::1", "10.0.0.1", "::2", "10.0.0.2", "::3"]),
            (vec!["10.0.0.1", "10.0.0.2", "::1"], vec!["10.0.0.1", "::1", "10.0.0.2"]),
            (vec!["10.0.0.1", "10.0.0.2"], vec!["10.0.0.1", "10.0.0.2"]),
            (vec![], vec![]),
        ] {
            assert_eq!(by_turns(&addresses(&given)), addresses(&expected), "{given:?}");
        }
        let many: Vec<String> = (1..20).map(|number| format!("::{number}")).chain(["10.0.0.1".into()]).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let ordered = by_turns(&addresses(&many));
        assert_eq!(ordered.len(), MOST);
        assert_eq!(ordered.get(1), addresses(&["10.0.0.1"]).first());
    }

    /// What each attempt does: answers after so many milliseconds, well or not; `None`: never.
    type Script = [Option<(u64, bool)>];

    /// Who won, and when each attempt began, in milliseconds.
    fn play(script: &Script) -> (Result<u16, Option<u16>>, Vec<u64>, u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let all: Vec<SocketAddr> =
            (0..script.len()).map(|index| SocketAddr::from(([10, 0, 0, 1], u16::try_from(index).unwrap()))).collect();
        let begun = Mutex::new(Vec::new());
        runtime.block_on(async {
            let start = Instant::now();
            let attempt = |address: SocketAddr| {
                begun.lock().unwrap().push(u64::try_from(start.elapsed().as_millis()).unwrap());
                let step = script[usize::from(address.port())];
                async move {
                    match step {
                        None => core::future::pending().await,
                        Some((after, well)) => {
                            tokio::time::sleep(Duration::from_millis(after)).await;
                            if well { Ok(()) } else { Err(()) }
                        }
                    }
                }
            };
            let result = first(&all, attempt).await;
            let result = result.map(|(address, ())| address.port()).map_err(|failed| failed.map(|(address, ())| address.port()));
            let took = u64::try_from(start.elapsed().as_millis()).unwrap();
            (result, begun.lock().unwrap().clone(), took)
        })
    }

    #[test]
    fn the_next_begins_after_a_head_start_or_a_failure() {
        let all: [(&Script, _); 9] = [
            (&[Some((10, true)), None], (Ok(0), vec![0], 10)),
            (&[None, Some((10, true))], (Ok(1), vec![0, 250], 260)),
            (&[Some((5, false)), Some((10, true))], (Ok(1), vec![0, 5], 15)),
            (&[Some((0, false)), Some((0, false)), Some((10, true))], (Ok(2), vec![0, 0, 0], 10)),
            // The slow first one still wins where the second does not answer.
            (&[Some((300, true)), None, None], (Ok(0), vec![0, 250], 300)),
            // A failure beside others that go on brings the next one forward.
            (&[None, Some((50, false)), Some((10, true))], (Ok(2), vec![0, 250, 300], 310)),
            (&[Some((400, false)), Some((700, false))], (Err(Some(1)), vec![0, 250], 950)),
            (&[Some((10, false))], (Err(Some(0)), vec![0], 10)),
            (&[], (Err(None), vec![], 0)),
        ];
        for (script, expected) in all {
            assert_eq!(play(script), expected, "{script:?}");
        }
    }

    #[test]
    fn no_more_than_eight_are_tried() {
        let (result, begun, _) = play(&[Some((0, false)); 12]);
        assert_eq!((result, begun.len()), (Err(Some(7)), 8));
    }
}
