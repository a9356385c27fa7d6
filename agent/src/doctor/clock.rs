//! Whether the clock can be right. Certificates are judged by it.

use std::time::{Duration, UNIX_EPOCH};

use super::report::Finding;

/// A difference that nobody minds: what certificates and tokens allow for.
const TOLERATED: Duration = Duration::from_secs(60);

/// Judges the clock by itself: nothing can run before it was made. Both times are since 1970.
pub(super) fn judge(now: Duration, built: Duration) -> Finding {
    let shown = time(now);
    if now < built {
        let seen = format!("{shown}, which is before this program was made ({}): the clock is wrong", time(built));
        return set(Finding::fail(seen));
    }
    Finding::pass(shown)
}

/// Compares it with the time that the control plane's answer names.
pub(super) fn compare(now: Duration, there: Duration) -> Finding {
    let difference = now.abs_diff(there);
    let direction = if now > there { "ahead of" } else { "behind" };
    let seen = match difference.as_secs() {
        0 | 1 => "this clock and the control plane's agree".to_owned(),
        seconds => format!("{seconds} s {direction} the control plane's clock"),
    };
    if difference > TOLERATED { set(Finding::warn(seen)) } else { Finding::pass(seen) }
}

fn set(finding: Finding) -> Finding {
    finding
        .cure("timedatectl set-ntp true    (or: chronyc makestep; or: date -u -s 'YYYY-MM-DD hh:mm:ss')")
        .cure("a board without a battery forgets the time: let the agent start after time-sync.target")
}

/// A time in words.
pub(super) fn time(since_1970: Duration) -> String {
    // A time that the calendar does not reach is not one.
    let seconds = Duration::from_secs(since_1970.as_secs().min(253_402_300_799));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + seconds).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;

    const BUILT: Duration = Duration::from_secs(1_760_000_000);

    #[test]
    fn a_clock_before_the_build_is_wrong() {
        for (now, verdict) in [
            (Duration::ZERO, Verdict::Fail),
            (Duration::from_secs(86_400), Verdict::Fail),
            (BUILT - Duration::from_secs(1), Verdict::Fail),
            (BUILT, Verdict::Pass),
            (Duration::MAX, Verdict::Pass),
        ] {
            assert_eq!(judge(now, BUILT).verdict, verdict, "{now:?}");
        }
        let finding = judge(Duration::ZERO, BUILT);
        assert!(finding.seen.starts_with("1970-01-01T00:00:00Z, which is before"), "{}", finding.seen);
        assert!(finding.cure[0].contains("set-ntp"));
    }

    #[test]
    fn a_minute_of_difference_is_tolerated() {
        for (ahead, verdict) in [(0, Verdict::Pass), (60, Verdict::Pass), (61, Verdict::Warn), (86_400, Verdict::Warn)] {
            let ahead = Duration::from_secs(ahead);
            assert_eq!(compare(BUILT + ahead, BUILT).verdict, verdict, "{ahead:?}");
            assert_eq!(compare(BUILT, BUILT + ahead).verdict, verdict, "{ahead:?}");
        }
        assert_eq!(compare(BUILT + Duration::from_secs(90), BUILT).seen, "90 s ahead of the control plane's clock");
        assert_eq!(compare(BUILT, BUILT + Duration::from_secs(90)).seen, "90 s behind the control plane's clock");
    }
}
