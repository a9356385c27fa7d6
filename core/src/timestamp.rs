//! The notations of time on the wire: RFC 3339, the dates of HTTP, and Go's durations. Pure text; nobody here knows what time it is.

use core::time::Duration;

/// Reads an RFC 3339 time stamp as milliseconds since 1970, rounding fractions down. `None` before 1970 and for what is none.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<u64> {
        let digits = text.get(from..to)?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        digits.parse().ok()
    };
    let at = |position: usize, allowed: &[u8]| bytes.get(position).is_some_and(|byte| allowed.contains(byte));
    if !(at(4, b"-") && at(7, b"-") && at(10, b"Tt ") && at(13, b":") && at(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 || year < 1970 {
        return None;
    }
    let mut rest = 19;
    let mut millis = 0;
    if at(rest, b".") {
        let start = rest + 1;
        let length = text.get(start..)?.bytes().take_while(u8::is_ascii_digit).count();
        if length == 0 {
            return None;
        }
        let mut scale = 100;
        for digit in text.get(start..start + length.min(3))?.bytes() {
            millis += u64::from(digit - b'0') * scale;
            scale /= 10;
        }
        rest = start + length;
    }
    let offset_minutes: i64 = match *bytes.get(rest)? {
        b'Z' | b'z' if rest + 1 == bytes.len() => 0,
        sign @ (b'+' | b'-') if rest + 6 == bytes.len() && at(rest + 3, b":") => {
            let (hours, minutes) = (number(rest + 1, rest + 3)?, number(rest + 4, rest + 6)?);
            let minutes = i64::try_from(hours * 60 + minutes).ok()?;
            if sign == b'-' { -minutes } else { minutes }
        }
        _ => return None,
    };
    let seconds = days_from_1970(year, month, day)? * 86_400 + hour * 3600 + minute * 60 + second;
    seconds.checked_add_signed(-offset_minutes * 60)?.checked_mul(1000)?.checked_add(millis)
}

/// Reads the date of an HTTP header in its only current form, `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7), as
/// milliseconds since 1970.
#[must_use]
pub fn parse_http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.trim().split_once(", ")?;
    let mut words = rest.split(' ');
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    if words.next() != Some("GMT") || words.next().is_some() || day.len() != 2 || year.len() != 4 {
        return None;
    }
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    parse(&alloc::format!("{year}-{month:02}-{day}T{time}Z"))
}

/// Days between 1970-01-01 and a date of the Gregorian calendar, counted in years that begin in March.
fn days_from_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let leaps = year / 4 - year / 100 + year / 400;
    (year * 365 + leaps + (month * 153 + 2) / 5 + day).checked_sub(719_469)
}

/// Reads a duration as Go writes it: `1h2m3.5s`, `500ms`, `2us`. `None` for negative ones and for what is none.
#[must_use]
pub fn parse_go_duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let length = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, tail) = rest.split_at_checked(length)?;
        let unit_length = tail.chars().take_while(|c| !c.is_ascii_digit() && *c != '.').map(char::len_utf8).sum();
        let (unit, tail) = tail.split_at_checked(unit_length)?;
        let nanos: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || whole.len() > 18 || fraction.len() > 18 || fraction.contains('.') {
            return None;
        }
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total += whole * nanos;
        if !fraction.is_empty() {
            let scale = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
            total += fraction.parse::<u128>().ok()? * nanos / scale;
        }
        rest = tail;
    }
    u64::try_from(total).ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stamps() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-23T00:21:49.411912789Z", Some(1_795_393_309_411)),
            ("2026-11-23T01:21:49.4+01:00", Some(1_795_393_309_400)),
            ("2000-02-29t12:00:00z", Some(951_825_600_000)),
            ("2024-12-31T23:59:60Z", Some(1_735_689_600_000)),
            ("1969-12-31T23:59:59Z", None),
            ("2026-11-23", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-11-23T00:21:49", None),
            ("2026-11-23T00:21:49.Z", None),
            ("2026-11-23T00:21:49Zx", None),
            ("", None),
        ] {
            assert_eq!(parse(text), millis, "{text}");
        }
    }

    #[test]
    fn http_dates() {
        for (text, millis) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777_000)),
            ("Sun, 6 Nov 1994 08:49:37 GMT", None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("soon", None),
        ] {
            assert_eq!(parse_http_date(text), millis, "{text}");
        }
    }

    #[test]
    fn go_durations() {
        for (text, expected) in [
            ("30s", Some(Duration::from_secs(30))),
            ("1h2m3.5s", Some(Duration::from_millis(3_723_500))),
            ("500ms", Some(Duration::from_millis(500))),
            ("2µs", Some(Duration::from_micros(2))),
            ("0", Some(Duration::ZERO)),
            ("-1s", None),
            ("30", None),
            ("s", None),
            ("1.2.3s", None),
            ("", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(parse_go_duration(text), expected, "{text}");
        }
    }
}
