//! What the owner decides before the start. Owns no behaviour.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::recorder::Seen;

/// Called once for each request, when its status is known. Must not block: it runs on the server's own tasks.
pub type Audit = Arc<dyn Fn(&Seen) + Send + Sync>;

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Everything.
    Admin,
    /// `get`, `list` and `watch` of everything but secrets, and nothing inside pods.
    ReadOnly,
    /// Nothing but to ask about itself, which is open to everybody who is known.
    Nothing,
}

/// One bearer token and who it stands for.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub token: String,
    pub user: String,
    pub groups: Vec<String>,
    pub rights: Rights,
}

impl Token {
    pub fn admin(token: impl Into<String>, user: impl Into<String>) -> Token {
        Token { token: token.into(), user: user.into(), groups: vec!["system:masters".into()], rights: Rights::Admin }
    }

    pub fn read_only(token: impl Into<String>, user: impl Into<String>) -> Token {
        Token { token: token.into(), user: user.into(), groups: vec!["devkube:viewers".into()], rights: Rights::ReadOnly }
    }

    pub fn powerless(token: impl Into<String>, user: impl Into<String>) -> Token {
        Token { token: token.into(), user: user.into(), groups: Vec::new(), rights: Rights::Nothing }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The secret stays out: options end up in the output of failed tests.
        f.debug_struct("Token").field("user", &self.user).field("rights", &self.rights).finish_non_exhaustive()
    }
}

#[derive(Clone)]
pub struct Options {
    /// Plain HTTP without it. The ALPN list is replaced by `http/1.1`.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    pub bind: SocketAddr,
    pub tokens: Vec<Token>,
    pub audit: Option<Audit>,
    /// What `/version` says.
    pub git_version: String,
    /// The pace of the pod `default/logger-0`; it writes only while somebody follows it.
    pub log_interval: Duration,
    pub bookmark_interval: Duration,
    /// How many changes a watch can resume over.
    pub history_limit: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            tls: None,
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tokens: vec![
                Token::admin("devkube-admin-token", "devkube-admin"),
                Token::read_only("devkube-viewer-token", "devkube-viewer"),
            ],
            audit: None,
            git_version: "v1.34.4+devkube".into(),
            log_interval: Duration::from_secs(1),
            bookmark_interval: Duration::from_secs(60),
            history_limit: 1000,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("tls", &self.tls.is_some())
            .field("bind", &self.bind)
            .field("tokens", &self.tokens)
            .field("git_version", &self.git_version)
            .finish_non_exhaustive()
    }
}
