//! Durations in the notation of Go's `time` package: `1m30s`, `500ms`, `1h2m3.5s`.
//!
//! Configuration files and log lines of the agent have always used it, so both directions follow Go: the parser takes
//! what `time.ParseDuration` takes (without negative values), the printer gives what `Duration.String` gives.

use core::fmt;
use core::fmt::Write as _;
use core::time::Duration;

/// The longest duration: Go counts nanoseconds in a signed 64-bit number (about 292 years).
const MAXIMUM_NANOSECONDS: u128 = i64::MAX as u128;

/// Units with their length in nanoseconds. Longer names come before their own prefixes.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GoDurationError {
    /// Nothing, or something that does not begin with a number.
    Malformed,
    /// A number without a unit; only `0` may stand alone.
    MissingUnit,
    /// A unit that Go does not know, such as `d`.
    UnknownUnit(String),
    Negative,
    TooLong,
}

impl fmt::Display for GoDurationError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => formatter.write_str("not a duration such as 30s, 500ms or 1m30s"),
            Self::MissingUnit => formatter.write_str("a duration needs a unit: ns, us, ms, s, m or h"),
            Self::UnknownUnit(unit) => {
                write!(formatter, "unknown unit \"{unit}\" in a duration: use ns, us, ms, s, m or h")
            }
            Self::Negative => formatter.write_str("a duration must not be negative"),
            Self::TooLong => formatter.write_str("the duration is too long"),
        }
    }
}

impl core::error::Error for GoDurationError {}

/// Reads a duration as Go's `time.ParseDuration` does. A fraction below one nanosecond is cut off.
pub(crate) fn parse(text: &str) -> Result<Duration, GoDurationError> {
    let mut rest = text;
    let mut negative = false;
    if let Some(after) = rest.strip_prefix('-') {
        (rest, negative) = (after, true);
    } else if let Some(after) = rest.strip_prefix('+') {
        rest = after;
    }
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(GoDurationError::Malformed);
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (nanoseconds, after) = parse_term(rest)?;
        total = total.saturating_add(nanoseconds);
        if total > MAXIMUM_NANOSECONDS {
            return Err(GoDurationError::TooLong);
        }
        rest = after;
    }
    if negative && total > 0 {
        return Err(GoDurationError::Negative);
    }
    let nanoseconds = u64::try_from(total).map_err(|_| GoDurationError::TooLong)?;
    Ok(Duration::from_nanos(nanoseconds))
}

/// One number with its unit; gives nanoseconds and what follows.
fn parse_term(text: &str) -> Result<(u128, &str), GoDurationError> {
    let (whole, rest) = split_digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(after) => split_digits(after),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(GoDurationError::Malformed);
    }
    let end = rest.find(|character: char| character == '.' || character.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(end);
    if unit.is_empty() {
        return Err(GoDurationError::MissingUnit);
    }
    let Some((_, length)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(GoDurationError::UnknownUnit(unit.to_owned()));
    };
    let length = u128::from(*length);
    let whole: u128 = match whole {
        "" => 0,
        digits => digits.parse().map_err(|_| GoDurationError::TooLong)?,
    };
    let mut nanoseconds = whole.saturating_mul(length);
    // Twenty digits are finer than a nanosecond for every unit and cannot overflow.
    let mut scale: u128 = 1;
    let mut numerator: u128 = 0;
    for digit in fraction.bytes().take(20) {
        numerator = numerator * 10 + u128::from(digit - b'0');
        scale *= 10;
    }
    nanoseconds = nanoseconds.saturating_add(numerator.saturating_mul(length) / scale);
    Ok((nanoseconds, rest))
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len()))
}

/// Prints a duration as Go's `Duration.String` does: `0s`, `892ms`, `4.892s`, `1m30s`, `1h0m0.5s`.
pub(crate) fn format(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    let mut text = String::new();
    if nanoseconds == 0 {
        text.push_str("0s");
    } else if nanoseconds < 1_000 {
        push_decimal(&mut text, nanoseconds, 1, "ns");
    } else if nanoseconds < 1_000_000 {
        push_decimal(&mut text, nanoseconds, 1_000, "\u{b5}s");
    } else if nanoseconds < 1_000_000_000 {
        push_decimal(&mut text, nanoseconds, 1_000_000, "ms");
    } else {
        let minutes = duration.as_secs() / 60;
        let hours = minutes / 60;
        if hours > 0 {
            push_decimal(&mut text, u128::from(hours), 1, "h");
        }
        if minutes > 0 {
            push_decimal(&mut text, u128::from(minutes % 60), 1, "m");
        }
        push_decimal(&mut text, nanoseconds - u128::from(minutes) * 60_000_000_000, 1_000_000_000, "s");
    }
    text
}

/// `value / unit` with as many decimal places as it needs.
fn push_decimal(text: &mut String, value: u128, unit: u128, name: &str) {
    // Writing to a String cannot fail.
    let _ = write!(text, "{}", value / unit);
    let rest = value % unit;
    if rest != 0 {
        let places = unit.ilog10() as usize;
        let digits = std::format!("{rest:0places$}");
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
    }
    text.push_str(name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        let cases: [(&str, u64); 20] = [
            ("0", 0),
            ("+0", 0),
            ("-0s", 0),
            ("0s", 0),
            ("5s", 5_000_000_000),
            ("+5s", 5_000_000_000),
            ("500ms", 500_000_000),
            ("1m30s", 90_000_000_000),
            ("1h2m3.5s", 3_723_500_000_000),
            ("10ns", 10),
            ("11us", 11_000),
            ("12\u{b5}s", 12_000),
            ("12\u{3bc}s", 12_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("30s1m", 90_000_000_000),
            ("0.3333333333333333333h", 1_199_999_999_999),
            ("0.0000000001s", 0),
            ("9223372036854775807ns", i64::MAX as u64),
        ];
        for (text, nanoseconds) in cases {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        let cases = [
            ("", GoDurationError::Malformed),
            ("-", GoDurationError::Malformed),
            (".", GoDurationError::Malformed),
            ("s", GoDurationError::Malformed),
            (".s", GoDurationError::Malformed),
            (" 3s", GoDurationError::Malformed),
            ("3", GoDurationError::MissingUnit),
            ("3.5", GoDurationError::MissingUnit),
            ("1m3", GoDurationError::MissingUnit),
            ("3d", GoDurationError::UnknownUnit("d".to_owned())),
            ("3s ", GoDurationError::UnknownUnit("s ".to_owned())),
            ("3S", GoDurationError::UnknownUnit("S".to_owned())),
            ("1e3s", GoDurationError::UnknownUnit("e".to_owned())),
            ("-3s", GoDurationError::Negative),
            ("9223372036854775808ns", GoDurationError::TooLong),
            ("3000000h", GoDurationError::TooLong),
            ("999999999999999999999999999999999999999999s", GoDurationError::TooLong),
        ];
        for (text, error) in cases {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn prints_as_go_prints() {
        let cases = [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1\u{b5}s"),
            (2_200_000, "2.2ms"),
            (892_000_000, "892ms"),
            (4_000_000_000, "4s"),
            (4_892_000_000, "4.892s"),
            (90_000_000_000, "1m30s"),
            (245_000_000_000, "4m5s"),
            (245_001_000_000, "4m5.001s"),
            (3_600_000_000_000, "1h0m0s"),
            (18_367_001_000_000, "5h6m7.001s"),
            (480_000_000_001, "8m0.000000001s"),
        ];
        for (nanoseconds, text) in cases {
            let duration = Duration::from_nanos(nanoseconds);
            assert_eq!(format(duration), text);
            assert_eq!(parse(text), Ok(duration), "{text} reads back");
        }
    }
}
