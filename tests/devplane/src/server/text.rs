//! Words and names: header spelling, and how an answer ended.

use crate::plane::Part;

/// `content-type` becomes `Content-Type`, as control planes send it.
pub(super) fn canonical(name: &str) -> String {
    let mut start = true;
    name.chars()
        .map(|letter| {
            let upper = std::mem::replace(&mut start, letter == '-');
            if upper { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
        })
        .collect()
}

/// One word or sentence about a last part.
pub(super) fn ending(part: &Part) -> String {
    match part {
        Part::Abort(text) => format!("aborted: {text}"),
        Part::Error(text) => format!("error: {text}"),
        Part::Closed { code, reason } => format!("closed: {} {reason}", code.unwrap_or(0)),
        Part::Head { .. } | Part::Chunk(_) | Part::End | Part::Frame { .. } | Part::Backpressure(_) => "answered".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn header_names() {
        assert_eq!(super::canonical("x-forwarded-FOR"), "X-Forwarded-For");
        assert_eq!(super::canonical("te"), "Te");
    }
}
