//! How long a quiet connection lasts. Firewalls and proxies on the way forget connections that say nothing, and tell nobody.

use std::io::Write as _;
use std::time::Duration;

use pipeops_agent_core::session::Failure;
use tungstenite::Message;

use super::report::Finding;
use crate::go_duration;
use crate::link::{Link, Turn};

/// Silences, in multiples of the time between pings.
const MULTIPLES: [u32; 4] = [1, 2, 4, 6];
/// No silence is longer.
const LONGEST: Duration = Duration::from_secs(60);
/// How long the answer to a ping may take.
const PONG: Duration = Duration::from_secs(10);

/// Why a connection is over.
enum Lost {
    /// Closed in good order, by whom only the control plane can be.
    Closed(u16),
    /// Without a word.
    Silently,
}

/// The silences that are tried.
fn silences(ping: Duration) -> impl Iterator<Item = Duration> {
    MULTIPLES.into_iter().map(move |multiple| ping.saturating_mul(multiple).min(LONGEST))
}

/// Lets the connection be silent for longer and longer, and asks each time whether it is still there.
pub(super) async fn check(mut link: Link, ping: Duration) -> Finding {
    let total: Duration = silences(ping).sum();
    tell(&format!("Watching an idle connection; this takes up to {}.", words(total)));
    let mut survived = Duration::ZERO;
    for silence in silences(ping) {
        tokio::time::sleep(silence).await;
        match ask(&mut link).await {
            Ok(()) => {
                survived = silence;
                tell(&format!("Still there after {} of silence.", words(silence)));
            }
            Err(lost) => return judge(ping, survived, silence, &lost),
        }
    }
    let _ = tokio::time::timeout(PONG, link.close(1000)).await;
    Finding::pass(format!("lasts {} of silence; the agent pings every {}", words(survived), words(ping)))
}

/// Pings, and waits for the answer.
async fn ask(link: &mut Link) -> Result<(), Lost> {
    link.push_ping();
    let answered = async {
        loop {
            loop {
                match link.next_message() {
                    Ok(Some(Message::Pong(_))) => return Ok(()),
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(failure) => return Err(lost(&failure)),
                }
            }
            match link.turn().await {
                Turn::Arrived | Turn::Room => {}
                Turn::Ended(failure) => return Err(lost(&failure)),
            }
        }
    };
    tokio::time::timeout(PONG, answered).await.unwrap_or(Err(Lost::Silently))
}

fn lost(failure: &Failure) -> Lost {
    match failure {
        Failure::Closed { code, .. } if *code != 1006 => Lost::Closed(*code),
        Failure::Closed { .. }
        | Failure::Transport { .. }
        | Failure::Refused { .. }
        | Failure::TimedOut(_)
        | Failure::RegistrationRefused(_)
        | Failure::NotRegistered(_)
        | Failure::Silent
        | Failure::HeartbeatsFailed => Lost::Silently,
    }
}

fn judge(ping: Duration, survived: Duration, silence: Duration, lost: &Lost) -> Finding {
    if let Lost::Closed(code) = lost {
        // It waits for a registration, which the doctor must not send.
        return Finding::pass(format!(
            "lasts at least {} of silence; then the control plane itself closed it (code {code})",
            words(survived)
        ));
    }
    let half = words(ping / 2);
    if survived < ping {
        return Finding::warn(format!(
            "broke within {} of silence, and the agent pings only every {}",
            words(silence),
            words(ping)
        ))
        .cure(format!("timeouts.websocket_ping: {half} (TIMEOUTS_WEBSOCKET_PING), or shorter"))
        .cure("or a longer idle time-out in the firewall or proxy on the way");
    }
    Finding::pass(format!(
        "lasts {} of silence and breaks before {}; the agent pings every {}",
        words(survived),
        words(silence),
        words(ping)
    ))
}

fn words(duration: Duration) -> String {
    go_duration::format(duration)
}

/// A line for whoever waits. Not part of the result.
fn tell(line: &str) {
    // Where standard error is gone nobody waits.
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;

    #[test]
    fn a_silence_that_pings_do_not_reach_is_no_trouble() {
        let seconds = Duration::from_secs;
        assert_eq!(silences(seconds(10)).collect::<Vec<_>>(), [seconds(10), seconds(20), seconds(40), seconds(60)]);
        assert_eq!(silences(seconds(600)).max(), Some(LONGEST));
        for (survived, silence, lost, verdict) in [
            (0, 10, Lost::Silently, Verdict::Warn),
            (10, 20, Lost::Silently, Verdict::Pass),
            (40, 60, Lost::Silently, Verdict::Pass),
            (0, 10, Lost::Closed(1008), Verdict::Pass),
        ] {
            let finding = judge(seconds(10), seconds(survived), seconds(silence), &lost);
            assert_eq!(finding.verdict, verdict, "{}", finding.seen);
            assert_eq!(finding.cure.is_empty(), verdict == Verdict::Pass);
        }
        assert!(judge(seconds(10), seconds(0), seconds(10), &Lost::Silently).cure[0].contains("timeouts.websocket_ping: 5s"));
    }
}
