//! The secrets that this process has held, so that their very characters are found in whatever is written.
//!
//! The shapes in [`super::mask`] do not find a token that a server repeats in the words of an error. This does, also where it was
//! encoded on the way.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::secret::MASK;

/// The most that are remembered. Tokens of service accounts change every hour, and an old one is worth nothing.
const MOST: usize = 16;
/// So many are never forgotten: those that were there at the start. Nobody can push them out with others.
const KEPT: usize = 8;
/// Shorter ones are no secrets, and occur by chance. Longer ones are keys, which have a shape of their own.
const LENGTHS: core::ops::RangeInclusive<usize> = 6..=8192;
/// So much of an encoded form identifies it; what follows belongs to it as far as its alphabet goes.
const TRACE_LENGTH: usize = 24;

static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

struct Known {
    value: String,
    /// How its encoded forms begin.
    traces: Vec<String>,
}

/// From now on `value` is not written any more. Of too many, the oldest that came after the start are forgotten.
pub(crate) fn remember(value: &str) {
    if !LENGTHS.contains(&value.len()) {
        return;
    }
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if known.iter().any(|known| known.value == value) {
        return;
    }
    if known.len() >= MOST {
        known.remove(KEPT);
    }
    known.push(Known { value: value.into(), traces: traces(value) });
}

/// The text without the secrets that are known.
pub(super) fn hide(text: Cow<'_, str>) -> Cow<'_, str> {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.iter().fold(text, |text, known| without(text, known))
}

fn without<'text>(mut text: Cow<'text, str>, known: &Known) -> Cow<'text, str> {
    if text.contains(&known.value) {
        text = Cow::Owned(text.replace(&known.value, MASK));
    }
    for trace in &known.traces {
        let mut from = 0;
        while let Some(start) = text.get(from..).and_then(|rest| rest.find(trace.as_str())).map(|found| from + found) {
            let rest = text.get(start + trace.len()..).unwrap_or_default();
            let tail = rest.find(|character| !is_encoded(character)).unwrap_or(rest.len());
            let mut masked = text.into_owned();
            masked.replace_range(start..start + trace.len() + tail, MASK);
            text = Cow::Owned(masked);
            // Never looked at again, whatever the secret is made of.
            from = start + MASK.len();
        }
    }
    text
}

/// The characters of base64, hexadecimal and percent-encoded text, and the backslash of escaped text.
fn is_encoded(character: char) -> bool {
    character.is_ascii_alphanumeric() || "+/=_-%.~\\".contains(character)
}

fn traces(value: &str) -> Vec<String> {
    let mut traces = Vec::new();
    let mut add = |form: &str| {
        let trace: String = form.chars().take(TRACE_LENGTH).collect();
        if !trace.is_empty() && form != value && !traces.contains(&trace) {
            traces.push(trace);
        }
    };
    let bytes = value.as_bytes();
    // In the middle of encoded text a secret has three forms, by how many bytes stand before it.
    for shift in 0..3 {
        let mut shifted = vec![0; shift];
        shifted.extend_from_slice(bytes);
        for form in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            // The first characters hold bits of what stands before, the last one may hold bits of what follows.
            let foreign = (shift * 8).div_ceil(6);
            let end = form.len().saturating_sub(usize::from(shifted.len() % 3 != 0));
            add(form.get(foreign..end).unwrap_or_default());
        }
    }
    let hexadecimal = bytes.iter().fold(String::new(), |mut form, byte| {
        let _ = write!(form, "{byte:02x}");
        form
    });
    add(&hexadecimal);
    add(&hexadecimal.to_uppercase());
    for upper in [true, false] {
        let mut form = String::new();
        for byte in bytes {
            match byte {
                b'-' | b'.' | b'_' | b'~' => form.push(char::from(*byte)),
                byte if byte.is_ascii_alphanumeric() => form.push(char::from(*byte)),
                byte if upper => drop(write!(form, "%{byte:02X}")),
                byte => drop(write!(form, "%{byte:02x}")),
            }
        }
        add(&form);
    }
    add(&value.escape_debug().to_string());
    traces
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn hidden(value: &str, text: &str) -> String {
        let known = Known { value: value.into(), traces: traces(value) };
        without(Cow::Borrowed(text), &known).into_owned()
    }

    #[test]
    fn a_secret_is_found_in_every_form() {
        let secret = "caNAry+tok/en 0123456789 of some length";
        assert_eq!(hidden(secret, &format!("no: {secret}, {secret}")), "no: ***, ***");
        let hexadecimal: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        let percent = "caNAry%2Btok%2Fen%200123456789%20of%20some%20length";
        for form in [hexadecimal.clone(), hexadecimal.to_uppercase(), percent.into(), percent.to_lowercase()] {
            let form = if form == percent.to_lowercase() { form.replace("canary", "caNAry") } else { form };
            assert_eq!(hidden(secret, &format!("[{form}]")), "[***]", "{form}");
        }
        for before in ["", "a", "ab", "abc", "user:"] {
            for after in ["", "x", "xy", "xyz"] {
                let encoded = STANDARD.encode(format!("{before}{secret}{after}"));
                let text = hidden(secret, &format!("Basic {encoded}, next"));
                let shown = encoded.chars().zip(text.chars().skip(6)).take_while(|(one, other)| one == other).count();
                assert!(shown <= before.len() * 4 / 3 + 2, "{text}");
                assert!(text.ends_with("***, next"), "{text}");
            }
        }
    }

    #[test]
    fn a_secret_of_strange_characters_is_found_and_ends_the_search() {
        for secret in ["\"quoted\" secret", "*** *** ***", "\u{e9}\u{e9}\u{e9}\u{e9}\n\t  ", "''", "%%%%%%%%"] {
            let escaped = secret.escape_debug().to_string();
            let text = hidden(secret, &format!("a {secret} b {escaped} c"));
            assert!(text.len() < 200 && text.ends_with('c'), "{text}");
            assert!(secret == "*** *** ***" || !text.contains(secret), "{text}");
        }
    }

    #[test]
    fn what_is_not_secret_stays_borrowed() {
        let known = Known { value: "canary-0123456789".into(), traces: traces("canary-0123456789") };
        assert!(matches!(without(Cow::Borrowed("canary-012345678 is short of it"), &known), Cow::Borrowed(_)));
    }

    #[test]
    fn short_and_endless_values_are_not_remembered() {
        remember("abc");
        remember(&"k".repeat(100_000));
        assert_eq!(hide(Cow::Borrowed("abc")), "abc");
        assert_eq!(hide(Cow::Owned("k".repeat(100_000))).len(), 100_000);
    }
}
