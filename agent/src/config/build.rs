//! From the texts of the settings to the typed [`Config`], with every mistake noted.

mod effective;
mod local;
mod pipeops;
mod policy;
mod proxy;

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use log::LevelFilter;

use crate::config::collect::Collected;
use crate::config::convert;
use crate::config::file::Found;
use crate::config::keys::{Kind, Setting};
use crate::config::source::{ConfigError, Notes, Problem, Source, Warning};
use crate::config::sources::Files;
use crate::config::token::{TokenSource, looks_like_token, parse_token, read_token};
use crate::config::{Agent, Config, Features, Kubernetes, Limits, Logging, State, Timeouts};
use crate::logger::Format;
use crate::secret::Secret;

pub(crate) use local::{LocalAccess, build_local};
pub(crate) use policy::{LoadedPolicy, build_policy};

/// Longest name or identity in bytes.
const MAXIMUM_NAME_BYTES: usize = 253;
/// Longest path in bytes (`PATH_MAX`).
const MAXIMUM_PATH_BYTES: usize = 4096;

/// Converts, checks, and gives the configuration or everything that is wrong with it.
pub(crate) fn build(collected: Collected, files: &dyn Files, features: Features) -> Result<(Config, Notes), ConfigError> {
    let effective = effective::rows(&collected);
    let Collected { values, mut file, in_pod } = collected;
    let (problems, warnings) = (core::mem::take(&mut file.problems), core::mem::take(&mut file.warnings));
    let lists = core::mem::take(&mut file.lists);
    let mut builder = Builder { values, lists, files, in_pod, problems, warnings };

    let pipeops = builder.pipeops();
    let proxy = builder.proxies();
    let cluster_name = builder.text(Setting::ClusterName);
    if cluster_name.is_none() {
        builder.require(Setting::ClusterName);
    }
    let agent = Agent {
        cluster_name: cluster_name.unwrap_or_default(),
        id: builder.text(Setting::AgentId),
        labels: core::mem::take(&mut file.labels),
        port: builder.port(),
        listen_address: builder.listen_address(),
        enable_ingress_sync: builder.boolean(Setting::EnableIngressSync),
        auto_install_components: builder.boolean(Setting::AutoInstallComponents),
        heartbeat_interval: builder.duration(Setting::HeartbeatInterval),
        state_dir: builder.path(Setting::StateDir).unwrap_or_default(),
    };
    let kubernetes = builder.kubernetes();
    let logging = Logging {
        level: builder.convert(Setting::LogLevel, convert::level).unwrap_or(LevelFilter::Info),
        format: builder.convert(Setting::LogFormat, format).unwrap_or(Format::Json),
    };
    let timeouts = builder.timeouts();
    let limits = Limits {
        buffer_bytes: usize::try_from(builder.bytes(Setting::BufferBytes)).unwrap_or(usize::MAX),
        max_exchanges: usize::try_from(builder.integer(Setting::MaxExchanges)).unwrap_or(usize::MAX),
    };
    let policy = builder.policy();
    let services_insecure_skip_verify = builder.boolean(Setting::ServicesInsecureSkipVerify);
    if services_insecure_skip_verify {
        builder.warning(
            Setting::ServicesInsecureSkipVerify,
            "the certificates of services are not verified: anyone on the way can read and change their traffic",
        );
    }
    let (services_ping, services_silence) = (builder.duration(Setting::ServicesPing), builder.duration(Setting::ServicesSilence));
    let state = State {
        configmap_name: builder.text(Setting::StateConfigmapName).unwrap_or_default(),
        secret_name: builder.text(Setting::StateSecretName).unwrap_or_default(),
        namespace: builder.text(Setting::StateNamespace),
        pod_namespace: builder.text(Setting::PodNamespace),
    };
    if agent.enable_ingress_sync && !features.ingress_sync {
        builder.problem(
            Setting::EnableIngressSync,
            "this build lacks the feature \"ingress-sync\": use a full build or set it to false",
        );
    }

    let Builder { mut problems, mut warnings, .. } = builder;
    let Some(pipeops) = pipeops.filter(|_| problems.is_empty()) else {
        problems.append(file.unreadable);
        return Err(ConfigError { problems, warnings, effective, file: file.path });
    };
    warnings.append(file.unreadable);
    let file = file.path;
    let config = Config {
        pipeops,
        proxy,
        agent,
        kubernetes,
        logging,
        timeouts,
        limits,
        policy,
        services_insecure_skip_verify,
        services_ping,
        services_silence,
        state,
        file,
        effective,
    };
    Ok((config, warnings))
}

fn format(text: &str) -> Result<Format, String> {
    match text.to_ascii_lowercase().as_str() {
        "json" => Ok(Format::Json),
        "text" => Ok(Format::Text),
        _ => Err(format!("{} is not one of json, text", convert::shown(text))),
    }
}

struct Builder<'files> {
    values: BTreeMap<Setting, Found>,
    /// The items of what the file writes as a list.
    lists: BTreeMap<Setting, Vec<Found>>,
    files: &'files dyn Files,
    in_pod: bool,
    problems: Notes,
    warnings: Notes,
}

impl Builder<'_> {
    fn source(&self, setting: Setting) -> Source {
        self.values.get(&setting).map_or(Source::Default, |found| found.source.clone())
    }

    fn problem(&mut self, setting: Setting, message: impl AsRef<str>) {
        let message = format!("{}: {}", setting.key().path, message.as_ref());
        self.problems.push(Problem { source: self.source(setting), message });
    }

    fn warning(&mut self, setting: Setting, message: &str) {
        let message = format!("{}: {message}", setting.key().path);
        self.warnings.push(Warning { source: self.source(setting), message });
    }

    fn require(&mut self, setting: Setting) {
        // A value that is there and wrong has its own message.
        if self.values.contains_key(&setting) {
            return;
        }
        let key = setting.key();
        let mut message = format!("{} is required: {}", key.required_as.unwrap_or(key.path), key.how_to_set());
        if setting == Setting::Token {
            message.push_str(", or name a file that holds it in ");
            message.push_str(Setting::TokenFile.key().path);
        }
        self.problems.push(Problem { source: Source::Default, message });
    }

    /// The value of a setting, or its default. After a mistake the default stands in, so that checks can go on.
    fn convert<T>(&mut self, setting: Setting, convert: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        if let Some(found) = self.values.get(&setting) {
            match convert(&found.text) {
                Ok(value) => return Some(value),
                Err(message) => self.problem(setting, message),
            }
        }
        setting.key().default.and_then(|text| convert(text).ok())
    }

    fn text(&mut self, setting: Setting) -> Option<String> {
        self.convert(setting, |text| convert::plain(text, MAXIMUM_NAME_BYTES))
    }

    fn path(&mut self, setting: Setting) -> Option<PathBuf> {
        self.convert(setting, |text| {
            if looks_like_token(setting, text) {
                return Err("this looks like a token: the name of a file is expected, with a slash in it".to_owned());
            }
            if text == "~" || text.starts_with("~/") {
                return Err("~ means nothing here: write the whole path".to_owned());
            }
            convert::plain(text, MAXIMUM_PATH_BYTES).map(PathBuf::from)
        })
    }

    /// A token that is given itself or in a file, the stronger of the two; `None`: neither, or a mistake.
    fn token_source(&mut self, value: Setting, file: Setting) -> Option<TokenSource> {
        if self.source(value) == Source::Default && self.source(file) == Source::Default {
            return None;
        }
        if self.first_wins(value, file) {
            if let Source::File { path, .. } = self.source(value) {
                self.check_private(value, &path);
            }
            return self.secret(value).map(TokenSource::Value);
        }
        let path = self.path(file)?;
        if let Err(error) = read_token(self.files, &path) {
            let reason = core::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            self.problem(file, format!("{}: {error}{reason}", path.display()));
        } else if !matches!(self.source(file), Source::Credential(_)) {
            self.check_private(file, &path);
        }
        Some(TokenSource::File(path))
    }

    /// Warns where other users of this machine can read a file that holds a token.
    fn check_private(&mut self, setting: Setting, path: &Path) {
        if !self.in_pod && self.files.mode(path).is_ok_and(|mode| mode & 0o077 != 0) {
            let message = format!("other users can read {}: use mode 0600", path.display());
            self.warning(setting, &message);
        }
    }

    fn boolean(&mut self, setting: Setting) -> bool {
        self.convert(setting, convert::boolean).unwrap_or(false)
    }

    fn secret(&mut self, setting: Setting) -> Option<Secret> {
        self.convert(setting, |text| parse_token(text).map_err(|error| error.to_string()))
    }

    fn integer(&mut self, setting: Setting) -> u64 {
        let Kind::Integer { minimum, maximum } = setting.key().kind else {
            return 0;
        };
        self.convert(setting, |text| convert::integer(text, minimum, maximum)).unwrap_or(minimum)
    }

    fn bytes(&mut self, setting: Setting) -> u64 {
        let Kind::Bytes { minimum, maximum } = setting.key().kind else {
            return 0;
        };
        self.convert(setting, |text| convert::bytes(text, minimum, maximum)).unwrap_or(minimum)
    }

    fn duration(&mut self, setting: Setting) -> Duration {
        if let Kind::Seconds { minimum, maximum } = setting.key().kind {
            return self.convert(setting, |text| convert::seconds(text, minimum, maximum)).unwrap_or(minimum);
        }
        let Kind::Duration { minimum, maximum } = setting.key().kind else {
            return Duration::ZERO;
        };
        self.convert(setting, |text| convert::duration(text, minimum, maximum)).unwrap_or(minimum)
    }

    /// Of two settings that exclude each other, the one from the stronger source; from equal sources it is a mistake.
    /// True for the first.
    fn first_wins(&mut self, first: Setting, second: Setting) -> bool {
        let (left, right) = (self.source(first), self.source(second));
        if left.rank() == right.rank() && left != Source::Default {
            let other = second.key().path;
            self.problem(first, format!("{other} is set as well ({right}): keep one of the two"));
        }
        left.rank() >= right.rank()
    }

    fn kubernetes(&mut self) -> Kubernetes {
        let in_cluster = self.boolean(Setting::InCluster);
        let listed = matches!(self.source(Setting::Kubeconfig), Source::Environment(_));
        let mut kubeconfig: Vec<PathBuf> = match self.path(Setting::Kubeconfig) {
            Some(path) if listed => std::env::split_paths(&path).filter(|path| !path.as_os_str().is_empty()).collect(),
            Some(path) => vec![path],
            None => Vec::new(),
        };
        let mut in_cluster_wins = in_cluster;
        if in_cluster && !kubeconfig.is_empty() {
            in_cluster_wins = self.first_wins(Setting::InCluster, Setting::Kubeconfig);
            if in_cluster_wins {
                kubeconfig.clear();
            }
        }
        Kubernetes {
            kubeconfig,
            in_cluster: in_cluster_wins,
            namespace: self.text(Setting::Namespace),
            service_token: self.token_source(Setting::ServiceToken, Setting::ServiceTokenFile),
            ca_cert_pem: self.convert(Setting::CaCertData, pem),
        }
    }

    fn timeouts(&mut self) -> Timeouts {
        let timeouts = Timeouts {
            websocket_handshake: self.duration(Setting::WebsocketHandshake),
            websocket_ping: self.duration(Setting::WebsocketPing),
            websocket_read: self.duration(Setting::WebsocketRead),
            websocket_reconnect: self.duration(Setting::WebsocketReconnect),
            websocket_reconnect_max: self.duration(Setting::WebsocketReconnectMax),
            registration: self.duration(Setting::Registration),
            shutdown: self.duration(Setting::Shutdown),
        };
        self.check_order(Setting::WebsocketPing, timeouts.websocket_ping < timeouts.websocket_read, Setting::WebsocketRead);
        self.check_order(
            Setting::WebsocketReconnect,
            timeouts.websocket_reconnect <= timeouts.websocket_reconnect_max,
            Setting::WebsocketReconnectMax,
        );
        timeouts
    }

    /// Notes the mistake at whichever of the two settings was set by someone.
    fn check_order(&mut self, smaller: Setting, holds: bool, larger: Setting) {
        if holds {
            return;
        }
        if self.source(smaller).rank() >= self.source(larger).rank() {
            self.problem(smaller, format!("must be shorter than {}", larger.key().path));
        } else {
            self.problem(larger, format!("must be longer than {}", smaller.key().path));
        }
    }
}

/// Base64 of at least one PEM certificate.
fn pem(text: &str) -> Result<Vec<u8>, String> {
    let bytes = convert::base64(text)?;
    let marker = b"-----BEGIN CERTIFICATE-----";
    if bytes.windows(marker.len()).any(|window| window == marker) {
        Ok(bytes)
    } else {
        Err("base64 of something that is no PEM certificate".to_owned())
    }
}
