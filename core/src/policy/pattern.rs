//! Patterns for names and for paths.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A name, the beginning of names (`team-*`), or every name (`*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    /// Whether more may follow the text.
    open: bool,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// Nothing, or nothing between two slashes.
    Empty,
    /// A `*` elsewhere than at the end.
    Star,
    /// A character that can never be part of what is matched.
    Character,
    /// The path does not begin with a slash.
    NoSlash,
    /// A `.` or `..` segment.
    Dots,
    /// `**` elsewhere than as the last segment.
    DoubleStar,
    /// A service that is not written as `namespace/name` or `namespace/name:port`.
    Service,
    /// A port that is neither `*` nor 1 to 65535.
    Port,
}

impl fmt::Display for PatternError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Empty => "is empty, or has an empty part",
            Self::Star => "has a * elsewhere than at the end of a name",
            Self::Character => "holds a character that never matches",
            Self::NoSlash => "does not begin with a slash",
            Self::Dots => "holds a . or .. segment",
            Self::DoubleStar => "has a ** elsewhere than as the last segment",
            Self::Service => "is not namespace/name or namespace/name:port",
            Self::Port => "has a port that is neither * nor 1 to 65535",
        })
    }
}

impl core::error::Error for PatternError {}

impl Pattern {
    /// Reads a pattern for names of Kubernetes: lower case letters, digits, `-`, `.`, and a `*` at the end.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let pattern = Self::parse_any(text)?;
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
        if pattern.text.bytes().all(fits) { Ok(pattern) } else { Err(PatternError::Character) }
    }

    fn parse_any(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        let (start, open) = text.strip_suffix('*').map_or((text, false), |start| (start, true));
        if start.contains('*') {
            return Err(PatternError::Star);
        }
        Ok(Self { text: start.into(), open })
    }

    /// Whether the name fits.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        if self.open { name.starts_with(self.text.as_str()) } else { name == self.text }
    }

    /// Whether it is the name itself, not a beginning.
    pub(super) fn is(&self, name: &str) -> bool {
        !self.open && self.text == name
    }
}

/// A path and everything below it, in whole segments. Each segment is a [`Pattern`] of its own, so `*` stands for one segment and
/// `web-*` for one that begins so; `/api/v1/nodes` does not match `/api/v1/nodesx`. A last segment `**` is allowed and means the same
/// as its absence. Upper and lower case differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    segments: Vec<Pattern>,
}

impl PathPattern {
    /// Reads a pattern for decoded paths. A slash at the end means nothing.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        let relative = text.strip_prefix('/').ok_or(PatternError::NoSlash)?;
        if relative.chars().any(|c| c.is_control() || matches!(c, '%' | '\\' | '?' | '#')) {
            return Err(PatternError::Character);
        }
        if relative == "**" {
            return Ok(Self { segments: Vec::new() });
        }
        let relative = relative.strip_suffix("/**").or_else(|| relative.strip_suffix('/')).unwrap_or(relative);
        let segment = |segment: &str| match segment {
            "." | ".." => Err(PatternError::Dots),
            "**" => Err(PatternError::DoubleStar),
            _ => Pattern::parse_any(segment),
        };
        Ok(Self { segments: relative.split('/').map(segment).collect::<Result<_, _>>()? })
    }

    /// Whether the path, given as its segments, is this one or below it.
    pub(super) fn matches(&self, path: &[&str]) -> bool {
        path.len() >= self.segments.len() && self.segments.iter().zip(path).all(|(pattern, segment)| pattern.matches(segment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (pattern, name, expected) in [
            ("default", "default", true),
            ("default", "default2", false),
            ("default", "Default", false),
            ("team-*", "team-", true),
            ("team-*", "team-a", true),
            ("team-*", "team", false),
            ("*", "anything", true),
            ("*", "", true),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(name), expected, "{pattern} {name}");
        }
        for (text, error) in [
            ("", PatternError::Empty),
            ("*a", PatternError::Star),
            ("a*b*", PatternError::Star),
            ("**", PatternError::Star),
            ("Team", PatternError::Character),
            ("a/b", PatternError::Character),
            ("a b", PatternError::Character),
        ] {
            assert_eq!(Pattern::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn paths() {
        for (pattern, path, expected) in [
            ("/api/v1/nodes", "api/v1/nodes", true),
            ("/api/v1/nodes", "api/v1/nodes/x/proxy", true),
            ("/api/v1/nodes", "api/v1/nodesx", false),
            ("/api/v1/nodes/x", "api/v1/nodes", false),
            ("/api/v1/nodes/**", "api/v1/nodes", true),
            ("/api/v1/nodes/", "api/v1/nodes/x", true),
            ("/api/v1/namespaces/*/secrets", "api/v1/namespaces/a/secrets/b", true),
            ("/api/v1/namespaces/*/secrets", "api/v1/namespaces/secrets", false),
            ("/api/v1/namespaces/team-*/pods", "api/v1/namespaces/team-a/pods", true),
            ("/api/v1/namespaces/team-*/pods", "api/v1/namespaces/other/pods", false),
            ("/**", "version", true),
            ("/*", "version", true),
            ("/API", "api", false),
        ] {
            let segments: Vec<&str> = path.split('/').collect();
            assert_eq!(PathPattern::parse(pattern).unwrap().matches(&segments), expected, "{pattern} {path}");
        }
        for (text, error) in [
            ("", PatternError::Empty),
            ("/", PatternError::Empty),
            ("//api", PatternError::Empty),
            ("/api//v1", PatternError::Empty),
            ("api", PatternError::NoSlash),
            ("/api/**/pods", PatternError::DoubleStar),
            ("/api/*x", PatternError::Star),
            ("/api/..", PatternError::Dots),
            ("/api/%2e", PatternError::Character),
            ("/api?x", PatternError::Character),
        ] {
            assert_eq!(PathPattern::parse(text), Err(error), "{text:?}");
        }
    }
}
