//! From the text of a setting to its value. Messages say what is expected; they repeat the text, so none of these
//! functions is for secrets.

use core::time::Duration;
use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use log::LevelFilter;

use crate::go_duration;
use crate::go_duration::GoDurationError;
use crate::logger::mask;

/// What a text stands for, or what is expected instead.
type Converted<T> = Result<T, String>;

/// The words that Go's `strconv.ParseBool` takes.
pub(crate) fn boolean(text: &str) -> Converted<bool> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => {
            let meant = match text.to_ascii_lowercase().as_str() {
                "yes" | "y" | "on" | "enabled" => ": write true",
                "no" | "n" | "off" | "disabled" => ": write false",
                _ => "",
            };
            Err(format!("{} is neither true nor false{meant}", shown(text)))
        }
    }
}

/// A whole number within bounds, both included.
pub(crate) fn integer(text: &str, minimum: u64, maximum: u64) -> Converted<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let negative = text.strip_prefix('-').is_some_and(|rest| rest.parse::<u64>().is_ok());
    if !digits && !negative {
        return Err(format!("{} is not a whole number", shown(text)));
    }
    let range = || format!("{} is outside {minimum} to {maximum}", shown(text));
    let number: u64 = text.parse().map_err(|_| range())?;
    if (minimum..=maximum).contains(&number) { Ok(number) } else { Err(range()) }
}

/// A duration as Go writes it, within bounds, both included.
pub(crate) fn duration(text: &str, minimum: Duration, maximum: Duration) -> Converted<Duration> {
    match go_duration::parse(text) {
        Ok(duration) => within(text, duration, minimum, maximum),
        Err(GoDurationError::MissingUnit) => Err(format!("{} needs a unit: write {text}s, {text}ms or {text}m", shown(text))),
        Err(error) => Err(format!("{} is {}", shown(text), duration_trouble(&error))),
    }
}

/// A number of seconds, or a duration as Go writes it, within bounds, both included.
pub(crate) fn seconds(text: &str, minimum: Duration, maximum: Duration) -> Converted<Duration> {
    if let Ok(number) = text.parse::<u64>() {
        return within(text, Duration::from_secs(number), minimum, maximum);
    }
    duration(text, minimum, maximum)
}

fn within(text: &str, duration: Duration, minimum: Duration, maximum: Duration) -> Converted<Duration> {
    if (minimum..=maximum).contains(&duration) {
        return Ok(duration);
    }
    let (minimum, maximum) = (go_duration::format(minimum), go_duration::format(maximum));
    Err(format!("{} is outside {minimum} to {maximum}", shown(text)))
}

/// The parser's reason as the end of a sentence.
fn duration_trouble(error: &GoDurationError) -> String {
    match error {
        GoDurationError::Malformed | GoDurationError::MissingUnit => error.to_string(),
        GoDurationError::UnknownUnit(unit) => {
            format!("not a duration: unknown unit {}, use ns, us, ms, s, m or h", shown(unit))
        }
        GoDurationError::Negative => "negative".to_owned(),
        GoDurationError::TooLong => "too long".to_owned(),
    }
}

/// A number of bytes, alone or with a unit (`KiB`, `Ki`, `MiB`, `MB`, …), within bounds, both included.
pub(crate) fn bytes(text: &str, minimum: u64, maximum: u64) -> Converted<u64> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let factor: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "KiB" | "Ki" => 1 << 10,
        "MiB" | "Mi" => 1 << 20,
        "GiB" | "Gi" => 1 << 30,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => 0,
    };
    if digits.is_empty() || factor == 0 {
        return Err(format!("{} is not a number of bytes such as 8388608 or 8MiB", shown(text)));
    }
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    match number {
        Some(number) if (minimum..=maximum).contains(&number) => Ok(number),
        Some(_) | None => Err(format!("{} is outside {minimum} to {maximum} bytes", shown(text))),
    }
}

/// A name or address for people: no control characters, at most `maximum` bytes.
pub(crate) fn plain(text: &str, maximum: usize) -> Converted<String> {
    if text.chars().any(char::is_control) {
        return Err("control characters are not allowed".to_owned());
    }
    if text.len() > maximum {
        return Err(format!("longer than {maximum} bytes"));
    }
    Ok(text.to_owned())
}

/// The address of an interface of this machine.
pub(crate) fn address(text: &str) -> Converted<IpAddr> {
    text.parse().map_err(|_| {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if bare.is_some_and(|bare| bare.parse::<IpAddr>().is_ok()) {
            return format!("{} has brackets: write the address without them", shown(text));
        }
        if text.parse::<SocketAddr>().is_ok() {
            return format!("{} holds a port: write the address alone, and the port in agent.port", shown(text));
        }
        format!("{} is not an IP address: write 127.0.0.1 for this machine alone, 0.0.0.0 for all of its addresses", shown(text))
    })
}

/// A level as this agent and its predecessor name it; `fatal` and `panic` mean error.
pub(crate) fn level(text: &str) -> Converted<LevelFilter> {
    match text.to_ascii_lowercase().as_str() {
        "error" | "fatal" | "panic" => Ok(LevelFilter::Error),
        "warn" | "warning" => Ok(LevelFilter::Warn),
        "info" => Ok(LevelFilter::Info),
        "debug" => Ok(LevelFilter::Debug),
        "trace" => Ok(LevelFilter::Trace),
        _ => Err(format!("{} is not one of error, warn, info, debug, trace", shown(text))),
    }
}

/// Base64 (RFC 4648, padded) with white space allowed between the characters, as kubeconfig files wrap it.
pub(crate) fn base64(text: &str) -> Converted<Vec<u8>> {
    let packed: String = text.split_ascii_whitespace().collect();
    BASE64_STANDARD.decode(packed).map_err(|_| "not valid base64".to_owned())
}

/// A value in quotes, cut to a bearable length, control characters escaped.
pub(crate) fn shown(text: &str) -> String {
    let text = &*mask(text);
    let mut quoted: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    if text.chars().nth(64).is_some() {
        quoted.push('\u{2026}');
    }
    format!("\"{quoted}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(integer("8080", 0, 65535), Ok(8080));
        assert_eq!(integer("-1", 0, 9).unwrap_err(), "\"-1\" is outside 0 to 9");
        assert_eq!(integer("99999999999999999999", 0, 9).unwrap_err(), "\"99999999999999999999\" is outside 0 to 9");
        for text in ["", "x", "1.0", "+1", "0x10", "1_000", " 1", "-"] {
            assert!(integer(text, 0, 9).unwrap_err().ends_with("is not a whole number"), "{text}");
        }
    }

    #[test]
    fn sizes() {
        let cases: [(&str, u64); 9] = [
            ("8388608", 8_388_608),
            ("1024B", 1024),
            ("8MiB", 8_388_608),
            ("8 MiB", 8_388_608),
            ("8Mi", 8_388_608),
            ("1GiB", 1 << 30),
            ("64KiB", 65536),
            ("64kB", 64_000),
            ("2MB", 2_000_000),
        ];
        for (text, number) in cases {
            assert_eq!(bytes(text, 0, u64::MAX), Ok(number), "{text}");
        }
        for text in ["", "MiB", "8mb", "8.5MiB", "-1", "8 parsecs"] {
            assert!(bytes(text, 0, u64::MAX).unwrap_err().contains("is not a number of bytes"), "{text}");
        }
        assert!(bytes("99999999999GiB", 0, u64::MAX).unwrap_err().contains("is outside"));
    }

    #[test]
    fn addresses() {
        assert_eq!(address("0.0.0.0"), Ok(IpAddr::from([0, 0, 0, 0])));
        assert_eq!(address("::1").map(|address| address.is_loopback()), Ok(true));
        for (text, part) in [
            ("[::1]", "brackets"),
            ("0.0.0.0:8080", "agent.port"),
            ("[::]:80", "agent.port"),
            ("localhost", "is not an IP address: write 127.0.0.1"),
            (":8080", "is not an IP address"),
            ("127.1", "is not an IP address"),
            ("", "is not an IP address"),
        ] {
            assert!(address(text).unwrap_err().contains(part), "{text}");
        }
    }

    #[test]
    fn levels_and_base64() {
        assert_eq!(level("WARNING"), Ok(LevelFilter::Warn));
        assert_eq!(level("panic"), Ok(LevelFilter::Error));
        assert_eq!(base64("aGVs\n  bG8="), Ok(b"hello".to_vec()));
        assert!(base64("aGVs*").is_err());
    }

    #[test]
    fn long_and_strange_values_are_cut_and_escaped() {
        assert_eq!(shown("a\n\u{1b}[31m"), "\"a\\n\\u{1b}[31m\"");
        assert_eq!(shown(&"x".repeat(70)), format!("\"{}\u{2026}\"", "x".repeat(64)));
    }
}
