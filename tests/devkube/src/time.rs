//! Times as Kubernetes writes them. Owns no clock: callers say what time it is.

use std::time::{Duration, SystemTime};

pub(crate) fn stamp(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

pub(crate) fn stamp_micros(time: SystemTime) -> String {
    humantime::format_rfc3339_micros(time).to_string()
}

pub(crate) fn stamp_nanos(time: SystemTime) -> String {
    humantime::format_rfc3339_nanos(time).to_string()
}

/// The age column: `<unknown>` where there is no time, never negative.
pub(crate) fn age(stamp: Option<&str>, now: SystemTime) -> String {
    let Some(then) = stamp.and_then(|s| humantime::parse_rfc3339(s).ok()) else {
        return "<unknown>".into();
    };
    human(now.duration_since(then).unwrap_or_default())
}

/// The server's own shortening of durations: two units while they are small, one when they are not.
fn human(age: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    const YEAR: u64 = 365 * DAY;
    let two = |big: u64, unit: &str, small: u64, small_unit: &str| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{small_unit}") }
    };
    let s = age.as_secs();
    if s < 2 * MINUTE {
        format!("{s}s")
    } else if s < 10 * MINUTE {
        two(s / MINUTE, "m", s % MINUTE, "s")
    } else if s < 3 * HOUR {
        format!("{}m", s / MINUTE)
    } else if s < 8 * HOUR {
        two(s / HOUR, "h", s % HOUR / MINUTE, "m")
    } else if s < 2 * DAY {
        format!("{}h", s / HOUR)
    } else if s < 8 * DAY {
        two(s / DAY, "d", s % DAY / HOUR, "h")
    } else if s < 2 * YEAR {
        format!("{}d", s / DAY)
    } else if s < 8 * YEAR {
        two(s / YEAR, "y", s % YEAR / DAY, "d")
    } else {
        format!("{}y", s / YEAR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_shortened_the_way_kubectl_users_know() {
        for (seconds, text) in [(0, "0s"), (119, "119s"), (150, "2m30s"), (1200, "20m"), (18_060, "5h1m"), (86_400, "24h")] {
            assert_eq!(human(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_time_ahead_of_the_clock_is_zero_old() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        assert_eq!(age(Some("2200-01-01T00:00:00Z"), now), "0s");
        assert_eq!(age(None, now), "<unknown>");
    }
}
