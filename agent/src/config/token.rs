//! The token that admits the agent, and the file it may stand in.

use core::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::keys::Setting;
use crate::config::sources::Files;
use crate::secret::Secret;

/// Longest token in bytes; it travels in one HTTP header.
const MAXIMUM_TOKEN_BYTES: usize = 16 * 1024;

/// Where the token stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenSource {
    Value(Secret),
    /// To be read again when the file changes, with [`read_token`].
    File(PathBuf),
}

impl TokenSource {
    /// The token as it is now.
    pub(crate) fn read(&self, files: &dyn Files) -> Result<Secret, TokenError> {
        match self {
            Self::Value(token) => Ok(token.clone()),
            Self::File(path) => read_token(files, path),
        }
    }
}

/// Why a text or a file is not a token. None of the variants holds the token.
#[derive(Debug)]
pub(crate) enum TokenError {
    Unreadable(io::Error),
    Empty,
    /// The value of a header instead of the token in it.
    Bearer,
    Quoted,
    /// What documentation or a template says instead of a token.
    Placeholder,
    /// White space, a control character or something outside ASCII: no HTTP header can carry it.
    Character,
    TooLong,
}

impl fmt::Display for TokenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(_) => formatter.write_str("the token file cannot be read"),
            Self::Empty => formatter.write_str("the token is empty"),
            Self::Bearer => formatter.write_str("the token begins with \"Bearer\": leave that word out"),
            Self::Quoted => formatter.write_str("the token stands in quotes: leave them out"),
            Self::Placeholder => formatter.write_str("this stands for a token and is none: put the token itself here"),
            Self::Character => formatter.write_str("the token holds white space or a character outside printable ASCII"),
            Self::TooLong => write!(formatter, "the token is longer than {MAXIMUM_TOKEN_BYTES} bytes"),
        }
    }
}

impl core::error::Error for TokenError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Unreadable(error) => Some(error),
            Self::Empty | Self::Bearer | Self::Quoted | Self::Placeholder | Self::Character | Self::TooLong => None,
        }
    }
}

/// Takes a token with white space around it off, as files and Kubernetes Secrets often have it.
pub(crate) fn parse_token(text: &str) -> Result<Secret, TokenError> {
    let token = text.trim();
    if token.is_empty() {
        return Err(TokenError::Empty);
    }
    if token.len() > MAXIMUM_TOKEN_BYTES {
        return Err(TokenError::TooLong);
    }
    if token.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer ")) {
        return Err(TokenError::Bearer);
    }
    let enclosed = |open: char, close: char| token.len() > 1 && token.starts_with(open) && token.ends_with(close);
    if enclosed('"', '"') || enclosed('\'', '\'') {
        return Err(TokenError::Quoted);
    }
    if enclosed('<', '>') || token.starts_with("${") || token.starts_with("{{") {
        return Err(TokenError::Placeholder);
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenError::Character);
    }
    Ok(Secret::new(token))
}

/// True where a token was put in place of the file that holds it. Such a text must not be repeated.
pub(crate) fn looks_like_token(setting: Setting, text: &str) -> bool {
    matches!(setting, Setting::TokenFile | Setting::ServiceTokenFile) && text.len() >= 24 && !text.contains('/')
}

/// Reads a token from a file that holds nothing else.
pub(crate) fn read_token(files: &dyn Files, path: &Path) -> Result<Secret, TokenError> {
    let content = files.read(path).map_err(TokenError::Unreadable)?;
    parse_token(core::str::from_utf8(&content).map_err(|_| TokenError::Character)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sources::fake::World;

    #[test]
    fn a_token_is_one_printable_word() {
        assert_eq!(parse_token(" abc.def-_~\r\n").unwrap().expose(), "abc.def-_~");
        assert!(matches!(parse_token("\n"), Err(TokenError::Empty)));
        assert!(matches!(parse_token("a b"), Err(TokenError::Character)));
        assert!(matches!(parse_token("a\u{e9}"), Err(TokenError::Character)));
        assert!(matches!(parse_token(&"x".repeat(16 * 1024 + 1)), Err(TokenError::TooLong)));
    }

    #[test]
    fn a_token_file_holds_the_token_only() {
        let world = World::default().file("/token", "canary\n");
        assert_eq!(read_token(&world, Path::new("/token")).unwrap().expose(), "canary");
        assert!(matches!(read_token(&world, Path::new("/none")), Err(TokenError::Unreadable(_))));
    }
}
