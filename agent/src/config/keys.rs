//! The one table of settings. Parsing, messages and help read it; nothing else names a variable or a flag.

mod table;

use core::fmt;
use core::time::Duration;

use crate::go_duration;

pub(crate) use table::KEYS;

/// The settings that mean something, in the order of [`KEYS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Setting {
    ApiUrl,
    Token,
    TokenFile,
    AllowPlaintext,
    TlsEnabled,
    TlsCaFile,
    TlsCertFile,
    TlsKeyFile,
    TlsInsecureSkipVerify,
    TlsServerName,
    TlsMinVersion,
    HttpsProxy,
    HttpProxy,
    NoProxy,
    ProxyCaFile,
    ClusterName,
    AgentId,
    Labels,
    Port,
    ListenAddress,
    EnableIngressSync,
    AutoInstallComponents,
    HeartbeatInterval,
    StateDir,
    Kubeconfig,
    InCluster,
    Namespace,
    ServiceToken,
    ServiceTokenFile,
    CaCertData,
    LogLevel,
    LogFormat,
    WebsocketHandshake,
    WebsocketPing,
    WebsocketRead,
    WebsocketReconnect,
    WebsocketReconnectMax,
    Registration,
    Shutdown,
    BufferBytes,
    MaxExchanges,
    AllowImpersonation,
    ReadOnly,
    Verbs,
    Namespaces,
    DenyNamespaces,
    Paths,
    DenyPaths,
    Services,
    AllowServices,
    DenyServices,
    AllowAddresses,
    ServicesInsecureSkipVerify,
    ServicesPing,
    ServicesSilence,
    StateConfigmapName,
    StateSecretName,
    StateNamespace,
    PodNamespace,
}

/// What a value must look like. Bounds are included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// A text that is never shown.
    Secret,
    Url,
    /// The URL of a proxy, shown without user name and password.
    Proxy,
    Path,
    /// An IP address.
    Address,
    Boolean,
    Integer {
        minimum: u64,
        maximum: u64,
    },
    /// In Go's notation, see [`go_duration`].
    Duration {
        minimum: Duration,
        maximum: Duration,
    },
    /// A bare number counts seconds; Go's notation is taken too.
    Seconds {
        minimum: Duration,
        maximum: Duration,
    },
    /// A number of bytes, or one with a unit such as `8MiB`.
    Bytes {
        minimum: u64,
        maximum: u64,
    },
    Choice(&'static [&'static str]),
    /// Base64 of a PEM file.
    Pem,
    /// A mapping of texts; only the file can hold it.
    Labels,
    /// Texts, in the file as a list or joined by commas, elsewhere joined by commas. Holds an example.
    List(&'static str),
}

/// For help and tables: what to write.
impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |from: &Duration, to: &Duration| format!("{} to {}", go_duration::format(*from), go_duration::format(*to));
        match self {
            Self::Text | Self::Secret => formatter.write_str("text"),
            Self::Url | Self::Proxy => formatter.write_str("URL"),
            Self::Path => formatter.write_str("path"),
            Self::Address => formatter.write_str("IP address"),
            Self::Boolean => formatter.write_str("true or false"),
            Self::Integer { minimum, maximum } => {
                write!(formatter, "number, {minimum} to {maximum}")
            }
            Self::Duration { minimum, maximum } => {
                write!(formatter, "duration, {}", span(minimum, maximum))
            }
            Self::Seconds { minimum, maximum } => {
                write!(formatter, "seconds, {}", span(minimum, maximum))
            }
            Self::Bytes { minimum, maximum } => write!(formatter, "bytes, {minimum} to {maximum}"),
            Self::Choice(words) => formatter.write_str(&words.join(", ")),
            Self::Pem => formatter.write_str("base64 of PEM"),
            Self::Labels => formatter.write_str("mapping of texts"),
            Self::List(example) => write!(formatter, "list, such as {example}"),
        }
    }
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) setting: Setting,
    /// Where it stands in the file, sections joined by dots.
    pub(crate) path: &'static str,
    /// Variables that set it; the first that is set and not empty wins.
    pub(crate) environment: &'static [&'static str],
    /// The flag that sets it, with its dashes.
    pub(crate) flag: Option<&'static str>,
    pub(crate) kind: Kind,
    /// Converted like any other value; `None`: unset.
    pub(crate) default: Option<&'static str>,
    /// What the message about its absence calls it, for the settings that must be given.
    pub(crate) required_as: Option<&'static str>,
    /// One line for help and tables.
    pub(crate) meaning: &'static str,
}

impl Setting {
    /// The row of this setting.
    pub(crate) fn key(self) -> &'static Key {
        // A test proves that the table has the order of the enum.
        &KEYS[self as usize]
    }
}

impl Key {
    /// How the setting can be given, as the end of a sentence: "set a.b in the configuration file, A_B or --a-b".
    pub(crate) fn how_to_set(&self) -> String {
        let mut ways = vec![format!("{} in the configuration file", self.path)];
        ways.extend(self.environment.iter().map(|name| (*name).to_owned()));
        ways.extend(self.flag.map(str::to_owned));
        let last = ways.pop().unwrap_or_default();
        if ways.is_empty() { format!("set {last}") } else { format!("set {} or {last}", ways.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_has_the_order_of_the_enum_and_no_name_twice() {
        let mut names = BTreeSet::new();
        for (index, key) in KEYS.iter().enumerate() {
            assert_eq!(key.setting as usize, index, "{}", key.path);
            assert_eq!(key.setting.key().path, key.path);
            assert!(names.insert(key.path), "{}", key.path);
            for name in key.environment.iter().chain(key.flag.iter()) {
                assert!(names.insert(name), "{name}");
            }
            assert_eq!(key.path, key.path.to_lowercase());
            assert!(!key.meaning.is_empty() && !key.meaning.ends_with('.'), "{}", key.path);
        }
        assert_eq!(Setting::PodNamespace as usize + 1, KEYS.len());
    }

    #[test]
    fn says_how_to_set() {
        assert_eq!(
            Setting::Token.key().how_to_set(),
            "set pipeops.token in the configuration file, PIPEOPS_TOKEN, AGENT_TOKEN or --token"
        );
        assert_eq!(Setting::Labels.key().how_to_set(), "set agent.labels in the configuration file");
        assert_eq!(Setting::HeartbeatInterval.key().kind.to_string(), "seconds, 5s to 5m0s");
    }
}
