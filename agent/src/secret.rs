//! Text that must not appear in a log line, a message or a report.

use core::fmt;

/// What is printed where a secret would stand.
pub(crate) const MASK: &str = "***";

/// A token, key or password. It can be used, compared and cloned, but it has no way to be printed: `Debug` and
/// `Display` give [`MASK`], whatever the value and its length.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// From here on the text is masked in every log line, wherever it comes from.
    pub(crate) fn new(text: impl Into<String>) -> Secret {
        let text = text.into();
        crate::logger::remember(&text);
        Secret(text)
    }

    /// A token that the control plane offers. It is masked in log lines only if it looks like one: otherwise whoever offers words
    /// instead of tokens could blot out what the log says.
    pub(crate) fn offered(text: impl Into<String>) -> Secret {
        let text = text.into();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if text.len() >= 20 && text.bytes().all(plain) && text.bytes().any(|byte| byte.is_ascii_digit()) {
            crate::logger::remember(&text);
        }
        Secret(text)
    }

    /// The value itself, for the one place that sends it. Never for a message.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_the_mask_only() {
        let secret = Secret::new("canary");
        assert_eq!(format!("{secret} {secret:?} {:#?}", Some(&secret)), "*** *** Some(\n    ***,\n)");
        assert_eq!(secret.expose(), "canary");
    }

    #[test]
    fn whoever_offers_words_cannot_blot_them_out() {
        for words in ["reconnecting", "websocket: close 1006 (abnormal closure)", "0123456789", "Connection.state.changed"] {
            assert_eq!(Secret::offered(words).expose(), words);
            assert_eq!(crate::logger::mask(words), words);
        }
        let _ = Secret::offered("offered-0123456789-token");
        assert_eq!(crate::logger::mask("got offered-0123456789-token."), "got ***.");
    }
}
