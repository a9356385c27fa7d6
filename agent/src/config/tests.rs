//! The configuration as a whole: strength of sources, bad configurations with their messages, warnings.

mod bad;
mod credentials;
mod edges;
mod fuzz;
mod origin;
mod policy;
mod proxy;
mod readme;
mod schema;

use core::time::Duration;
use std::path::{Path, PathBuf};

use log::LevelFilter;

use super::fake::World;
use super::*;
use crate::arguments::Arguments;
use crate::logger::Format;
use crate::secret::Secret;

const FULL: Features = Features { ingress_sync: true };
const LITE: Features = Features { ingress_sync: false };
const FILE: &str = "/c.yaml";

/// The three settings that must be there.
const REQUIRED: &str = "pipeops: {api_url: https://plane.example, token: abc}\nagent: {cluster_name: east}\n";

fn load(world: &World, words: &[&str]) -> Result<(Config, Notes), ConfigError> {
    Config::load(&Arguments::parse(words).unwrap(), world, world, FULL)
}

/// Loads a file with the required settings in the environment, so that the text under test is all the file holds.
fn load_file(text: &str) -> Result<(Config, Notes), ConfigError> {
    load(&world_with_required().file(FILE, text), &["--config", FILE])
}

fn world_with_required() -> World {
    World::default()
        .set("PIPEOPS_API_URL", "https://plane.example")
        .set("PIPEOPS_TOKEN", "abc")
        .set("PIPEOPS_CLUSTER_NAME", "east")
}

fn warnings(result: Result<(Config, Notes), ConfigError>) -> Vec<String> {
    result.unwrap().1.iter().map(ToString::to_string).collect()
}

#[test]
fn the_defaults() {
    let (config, warnings) = load(&world_with_required(), &[]).unwrap();
    assert!(warnings.is_empty());
    assert_eq!(config.pipeops.api_url.to_string(), "https://plane.example");
    assert_eq!(config.pipeops.token, TokenSource::Value(Secret::new("abc")));
    assert!(!config.pipeops.allow_plaintext);
    let tls = Tls { enabled: true, ..Tls::default() };
    assert_eq!(config.pipeops.tls, tls);
    assert_eq!((config.agent.cluster_name.as_str(), config.agent.id.as_deref()), ("east", None));
    assert_eq!((config.agent.port, config.agent.heartbeat_interval), (8080, Duration::from_secs(30)));
    assert!(!config.agent.enable_ingress_sync && !config.agent.auto_install_components);
    assert_eq!(config.agent.state_dir, Path::new("/var/lib/pipeops-agent"));
    assert!(config.kubernetes.kubeconfig.is_empty() && !config.kubernetes.in_cluster);
    assert_eq!(config.logging, Logging { level: LevelFilter::Info, format: Format::Json });
    assert_eq!(
        config.timeouts,
        Timeouts {
            websocket_handshake: Duration::from_secs(30),
            websocket_ping: Duration::from_secs(10),
            websocket_read: Duration::from_secs(60),
            websocket_reconnect: Duration::from_millis(500),
            websocket_reconnect_max: Duration::from_secs(15),
            registration: Duration::from_secs(30),
            shutdown: Duration::from_secs(5),
        }
    );
    assert_eq!(config.limits, Limits { buffer_bytes: 8 << 20, max_exchanges: 1024 });
    assert_eq!(config.policy, Policy::default());
    assert!(!config.services_insecure_skip_verify);
    assert_eq!(config.state.configmap_name, "pipeops-agent-state");
    assert_eq!(config.state.secret_name, "pipeops-agent-secrets");
    assert_eq!(config.file, None);
}

#[test]
fn every_default_of_the_table_converts() {
    for key in KEYS {
        let Some(default) = key.default else { continue };
        let (section, name) = key.path.rsplit_once('.').unwrap();
        let section = section.replace('.', ": {");
        let closing = "}".repeat(section.matches('{').count() + 1);
        let (config, _) = load_file(&format!("{section}: {{{name}: \"{default}\"{closing}\n")).unwrap();
        let effective = &config.effective()[key.setting as usize];
        assert_eq!(effective.text.as_deref(), Some(default), "{}", key.path);
        assert!(matches!(effective.source, Source::File { .. }), "{}", key.path);
    }
}

#[test]
fn a_full_file() {
    let text = "\
pipeops:
  api_url: wss://plane.example/base/
  token: abc
  tls: {enabled: true, ca_file: /ca, cert_file: /cert, key_file: /key}
agent:
  cluster_name: 123
  ID: a-1
  labels: {app.kubernetes.io/name: agent, Zone: 7, empty: }
  port: \"9\"
  enable_ingress_sync: \"true\"
  auto_install_components: 1
  heartbeat_interval_connected: 45s
  state_dir: /s
kubernetes: {kubeconfig: /k, namespace: ns, service_token: def, ca_cert_data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==}
logging: {level: Warning, format: text}
timeouts: {websocket_ping: 1s, websocket_read: 1m30s, shutdown: 0s}
limits: {buffer_bytes: 16MiB, max_exchanges: 4096}
policy: {allow_impersonation: true}
state: {configmap_name: c, secret_name: s, namespace: n, pod_namespace: p}
";
    let world = World::default().file(FILE, text).file("/ca", "").file("/cert", "").file("/key", "");
    let (config, warnings) = load(&world, &["--config", FILE]).unwrap();
    assert!(warnings.is_empty());
    assert_eq!(load_file("agent.port: 9").unwrap().0.agent.port, 9, "a path may stand for the nested form");
    assert_eq!(config.agent.cluster_name, "123");
    assert_eq!(config.agent.id.as_deref(), Some("a-1"), "keys are not case-sensitive");
    let labels: Vec<_> = config.agent.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(labels, [("Zone", "7"), ("app.kubernetes.io/name", "agent"), ("empty", "")]);
    assert!(config.agent.enable_ingress_sync && config.agent.auto_install_components);
    assert_eq!((config.agent.port, config.agent.heartbeat_interval), (9, Duration::from_secs(45)));
    assert_eq!(config.kubernetes.kubeconfig, [PathBuf::from("/k")]);
    assert_eq!(config.kubernetes.ca_cert_pem.as_deref(), Some(&b"-----BEGIN CERTIFICATE-----\n"[..]));
    assert_eq!(config.logging, Logging { level: LevelFilter::Warn, format: Format::Text });
    assert_eq!(config.timeouts.websocket_read, Duration::from_secs(90));
    assert_eq!(config.limits, Limits { buffer_bytes: 16 << 20, max_exchanges: 4096 });
    assert_eq!(config.pipeops.tls.key_file.as_deref(), Some(Path::new("/key")));
    assert_eq!(config.file.as_deref(), Some(Path::new(FILE)));
}

#[test]
fn what_has_no_effect_is_named_once() {
    let text = "\
gateway: {enabled: true, istio: {enabled: true}}
tunnels: [whatever]
agent:
  debug: true
  compatibility: {ingress: {websocket: {ensure_upgrade_support: true}}}
timeouts: {proxy_dial: 30s}
state: {enabled: true}
";
    let world = world_with_required().file(FILE, text).set("GATEWAY_ENABLED", "true").set("AGENT_DEBUG", "");
    let expected = [
        "/c.yaml:1:1: gateway: ignored: this setting has no effect",
        "/c.yaml:2:1: tunnels: ignored: this setting has no effect",
        "/c.yaml:4:3: agent.debug: ignored: this setting has no effect",
        "/c.yaml:5:3: agent.compatibility: ignored: this setting has no effect",
        "/c.yaml:6:12: timeouts.proxy_dial: ignored: this setting has no effect",
        "/c.yaml:7:9: state.enabled: ignored: this setting has no effect",
        "flag --gateway-namespace: ignored: this setting has no effect",
        "environment variable GATEWAY_ENABLED: ignored: this setting has no effect",
    ];
    assert_eq!(warnings(load(&world, &["--config", FILE, "--gateway-namespace", "x"])), expected);
}

#[test]
fn every_ignored_key_is_accepted_with_one_warning() {
    for path in ignored::KEYS {
        let text = match path.split_once('.') {
            Some((section, name)) => format!("{section}:\n  {name}:\n    below: [1]\n"),
            None => format!("{path}:\n  below: {{a: 1}}\n"),
        };
        assert_eq!(warnings(load_file(&text)).len(), 1, "{path}");
    }
}

#[test]
fn warnings_about_what_is_risky() {
    let world = world_with_required();
    assert_eq!(
        warnings(load(&world, &["--token", "canary"])),
        [
            "flag --token: pipeops.token: every user of this machine can see the command line: use --token-file, the environment or a file"
        ]
    );
    let mut world = world.file_with_mode("/t", "canary\n", 0o640).set("PIPEOPS_TOKEN_FILE", "/t");
    world.variables.remove("PIPEOPS_TOKEN");
    assert_eq!(
        warnings(load(&world, &[])),
        ["environment variable PIPEOPS_TOKEN_FILE: pipeops.token_file: other users can read /t: use mode 0600"]
    );
    let world = world.file("/t", "canary\n");
    assert_eq!(load(&world, &[]).unwrap().0.pipeops.token, TokenSource::File("/t".into()));
    assert_eq!(warnings(load(&world, &[])), Vec::<String>::new());
    assert!(warnings(load_file("pipeops: {tls: {insecure_skip_verify: true}}"))[0].contains("is not verified"));
    assert_eq!(warnings(load_file("pipeops: {tls: {enabled: false, insecure_skip_verify: true}}")), Vec::<String>::new());
}

#[test]
fn a_service_called_agent_does_not_set_the_port() {
    let world = world_with_required().set("AGENT_PORT", "tcp://10.43.0.7:80");
    let (config, warnings) = load(&world, &[]).unwrap();
    assert_eq!((config.agent.port, warnings.len()), (8080, 1));
}

#[test]
fn the_folder_of_systemd_replaces_the_default_only() {
    let folder = |world: &World| load(world, &[]).unwrap().0.agent.state_dir;
    let world = world_with_required().set("STATE_DIRECTORY", "/var/lib/a:/var/lib/b");
    assert_eq!(folder(&world), Path::new("/var/lib/a"));
    assert_eq!(folder(&world.set("PIPEOPS_STATE_DIR", "/x")), Path::new("/x"));
}

#[test]
fn plaintext_needs_loopback_or_consent() {
    for url in ["http://localhost:9", "ws://127.0.0.1", "http://[::1]"] {
        assert!(load(&world_with_required().set("PIPEOPS_API_URL", url), &[]).is_ok(), "{url}");
    }
    let world = world_with_required().set("PIPEOPS_API_URL", "ws://plane.example");
    assert!(load(&world, &[]).is_err());
    assert!(load(&world.set("PIPEOPS_ALLOW_PLAINTEXT", "true"), &[]).unwrap().0.pipeops.allow_plaintext);
}

#[test]
fn of_two_that_exclude_each_other_the_stronger_source_wins() {
    let world = world_with_required().file("/t", "x").file(FILE, "pipeops: {token_file: /t}");
    assert_eq!(load(&world, &["--config", FILE]).unwrap().0.pipeops.token, TokenSource::Value(Secret::new("abc")));
    let world = world_with_required().set("KUBECONFIG", "/a::/b").file(FILE, "kubernetes: {in_cluster: true}");
    let kubernetes = load(&world, &["--config", FILE]).unwrap().0.kubernetes;
    assert_eq!((kubernetes.in_cluster, kubernetes.kubeconfig), (false, vec!["/a".into(), "/b".into()]));
    let kubernetes = load(&world, &["--in-cluster"]).unwrap().0.kubernetes;
    assert_eq!((kubernetes.in_cluster, kubernetes.kubeconfig), (true, Vec::<PathBuf>::new()));
    let kubernetes = load(&world, &["--kubeconfig", "/a:b"]).unwrap().0.kubernetes;
    assert_eq!(kubernetes.kubeconfig, [PathBuf::from("/a:b")], "only the variable is a list");
}

#[test]
fn a_part_that_is_not_built_in_is_an_error_that_names_the_feature() {
    let world = world_with_required().set("PIPEOPS_ENABLE_INGRESS_SYNC", "true");
    let arguments = Arguments::parse::<[&str; 0]>([]).unwrap();
    assert!(Config::load(&arguments, &world, &world, FULL).is_ok());
    let error = Config::load(&arguments, &world, &world, LITE).unwrap_err().to_string();
    assert!(
        error.contains("PIPEOPS_ENABLE_INGRESS_SYNC: agent.enable_ingress_sync: this build lacks the feature \"ingress-sync\""),
        "{error}"
    );
}

#[test]
fn white_space_around_values_is_dropped() {
    let world = world_with_required().set("PIPEOPS_TOKEN", "abc\n").set("AGENT_PORT", " 9 ");
    let (config, _) = load(&world, &[]).unwrap();
    assert_eq!((config.pipeops.token, config.agent.port), (TokenSource::Value(Secret::new("abc")), 9));
}
