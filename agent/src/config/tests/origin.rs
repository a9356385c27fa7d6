//! Which source wins, and how it is remembered.

use super::*;

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let level = |world: &World, words: &[&str]| load(world, words).unwrap().0.logging.level;
    let world = world_with_required();
    assert_eq!(level(&world, &[]), LevelFilter::Info);
    let world = world.file(FILE, "logging: {level: debug}\n");
    assert_eq!(level(&world, &["--config", FILE]), LevelFilter::Debug);
    let world = world.set("PIPEOPS_LOG_LEVEL", "error");
    assert_eq!(level(&world, &["--config", FILE]), LevelFilter::Error);
    let world = world.set("LOG_LEVEL", "warn");
    assert_eq!(level(&world, &["--config", FILE]), LevelFilter::Warn, "the first variable of a setting wins");
    assert_eq!(level(&world, &["--config", FILE, "--log-level=trace"]), LevelFilter::Trace);
    assert_eq!(level(&world, &["--config", FILE, "--log-level=trace", "--log-level=info"]), LevelFilter::Info);
    let world = world.set("LOG_LEVEL", "").set("PIPEOPS_LOG_LEVEL", " ");
    assert_eq!(level(&world, &["--config", FILE]), LevelFilter::Debug, "an empty variable counts as unset");

    let world = world_with_required().file(FILE, "agent: {enable_ingress_sync: true}\n");
    assert!(load(&world, &["--config", FILE]).unwrap().0.agent.enable_ingress_sync);
    let world = world.set("ENABLE_INGRESS_SYNC", "false");
    assert!(!load(&world, &["--config", FILE]).unwrap().0.agent.enable_ingress_sync);
}

/// A value that is not the default, as one writes it.
pub(super) fn another_value(key: &Key) -> &'static str {
    match key.kind {
        Kind::Boolean if key.default == Some("true") => "false",
        Kind::Boolean => "true",
        Kind::Integer { .. } => "7",
        Kind::Duration { .. } | Kind::Seconds { .. } => "11s",
        Kind::Bytes { .. } => "2MiB",
        Kind::Choice(words) if key.default == Some(words[0]) => words[1],
        Kind::Choice(words) => words[0],
        Kind::Url => "https://other.example",
        Kind::Proxy => "http://proxy.example:3128",
        Kind::Pem => "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t",
        Kind::Path => "/exists",
        Kind::Address => "::1",
        Kind::List(example) => example,
        Kind::Text | Kind::Secret | Kind::Labels => "word",
    }
}

/// A world in which the value can be given: what it needs beside it is there, what it excludes is not, and neither is what would
/// set it already.
fn world_for(key: &Key) -> World {
    let mut world = world_with_required().file("/exists", "abc");
    for (one, other) in [(Setting::TlsCertFile, "PIPEOPS_TLS_KEY_FILE"), (Setting::TlsKeyFile, "PIPEOPS_TLS_CERT_FILE")] {
        if key.setting == one {
            world = world.set(other, "/exists");
        }
    }
    if key.setting == Setting::TokenFile {
        world.variables.remove("PIPEOPS_TOKEN");
    }
    for name in key.environment {
        world.variables.remove(*name);
    }
    world
}

/// The file that sets a setting and nothing else.
pub(super) fn file_with(key: &Key, value: &str) -> String {
    let (section, name) = key.path.rsplit_once('.').unwrap();
    let closing = "}".repeat(section.matches('.').count() + 1);
    let value = if key.kind == Kind::Labels { format!("{{a: {value}}}") } else { format!("\"{value}\"") };
    format!("{}: {{{name}: {value}{closing}\n", section.replace('.', ": {"))
}

#[test]
fn b61_every_setting_takes_effect_from_every_source_it_has() {
    for key in KEYS {
        let value = another_value(key);
        assert_ne!(key.default, Some(value), "{}", key.path);
        let shown = [(Kind::Secret, "***"), (Kind::Labels, "a=word")].into_iter().find(|(kind, _)| *kind == key.kind);
        let shown = shown.map_or(value, |(_, shown)| shown);
        let check = |world: &World, words: &[&str]| {
            let (config, _) = load(world, words).unwrap_or_else(|error| panic!("{} {words:?}: {error}", key.path));
            assert_eq!(config.effective()[key.setting as usize].text.as_deref(), Some(shown), "{}", key.path);
            config.source_of(key.setting).clone()
        };
        let world = world_for(key).file(FILE, &file_with(key, value));
        assert!(matches!(check(&world, &["--config", FILE]), Source::File { .. }), "{}", key.path);
        for name in key.environment {
            assert_eq!(check(&world_for(key).set(name, value), &[]), Source::Environment(name));
        }
        if let Some(flag) = key.flag {
            assert_eq!(check(&world_for(key), &[&format!("{flag}={value}")]), Source::Flag(flag));
        }
    }
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_for_every_setting() {
    for key in KEYS.iter().filter(|key| key.kind != Kind::Labels) {
        let value = another_value(key);
        let mut world = world_for(key).file(FILE, &file_with(key, value));
        let mut words = vec!["--config".to_owned(), FILE.to_owned()];
        let source = |world: &World, words: &[String]| {
            let (config, warnings) = load(world, &words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
            (config.source_of(key.setting).clone(), warnings)
        };
        for (index, name) in key.environment.iter().enumerate().rev() {
            world = world.set(name, value);
            assert_eq!(source(&world, &words).0, Source::Environment(name), "{}", key.path);
            // Set to something else, the ones behind it are named as being without effect.
            let other = source(&world, &words).1;
            assert!(!other.iter().any(|note| note.message.contains("goes first")), "{index} {other}");
        }
        if let Some(flag) = key.flag {
            words.push(format!("{flag}={value}"));
            assert_eq!(source(&world, &words).0, Source::Flag(flag), "{}", key.path);
        }
    }
}

#[test]
fn b61_every_setting_of_the_previous_agent_answers_to_its_automatic_name() {
    let old = "pipeops.api_url pipeops.token pipeops.tls.enabled pipeops.tls.insecure_skip_verify pipeops.tls.ca_file \
        pipeops.tls.cert_file pipeops.tls.key_file agent.id agent.cluster_name agent.port agent.enable_ingress_sync \
        agent.auto_install_components agent.heartbeat_interval_connected kubernetes.kubeconfig kubernetes.in_cluster \
        kubernetes.namespace kubernetes.service_token kubernetes.ca_cert_data logging.level logging.format \
        timeouts.websocket_handshake timeouts.websocket_ping timeouts.websocket_read timeouts.websocket_reconnect \
        timeouts.websocket_reconnect_max timeouts.registration timeouts.shutdown";
    for path in old.split_whitespace() {
        let key = KEYS.iter().find(|key| key.path == path).unwrap_or_else(|| panic!("{path}"));
        let name = path.to_uppercase().replace('.', "_");
        assert!(key.environment.contains(&name.as_str()), "{path} has no {name}");
    }
}

#[test]
fn b61_a_variable_that_is_named_like_a_section_hides_nothing() {
    let mut world = world_with_required().file(FILE, "agent: {port: 9}\ntimeouts: {shutdown: 7s}\n");
    for name in ["AGENT", "PIPEOPS", "PIPEOPS_TLS", "TIMEOUTS", "KUBERNETES", "LOGGING", "GATEWAY", "TUNNELS"] {
        world = world.set(name, "x");
    }
    let (config, warnings) = load(&world, &["--config", FILE]).unwrap();
    assert_eq!((config.agent.port, config.timeouts.shutdown), (9, Duration::from_secs(7)));
    assert_eq!(warnings.to_string(), "");
}

#[test]
fn b61_what_has_no_effect_is_said() {
    let world = world_with_required().set("AGENT_CLUSTER_NAME", "west").set("PIPEOPS_CLUSTERNAME", "x").set("LOG_LEVEL", "debug");
    let world = world.set("LOGGING_LEVEL", "debug").set("PIPEOPS_AGENT_SERVICE_HOST", "10.43.0.7").set("PIPEOPS_SOMETHING", "x");
    let expected = [
        "environment variable AGENT_CLUSTER_NAME: agent.cluster_name: ignored: PIPEOPS_CLUSTER_NAME is set as well and goes first",
        "environment variable PIPEOPS_CLUSTERNAME: no such setting: did you mean PIPEOPS_CLUSTER_NAME?",
    ];
    assert_eq!(warnings(load(&world, &[])), expected);
    for name in ignored::ENVIRONMENT {
        let message = format!("environment variable {name}: ignored: this setting has no effect");
        assert_eq!(warnings(load(&world_with_required().set(name, "x"), &[])), [message]);
    }
    for name in ["CI", "METADATA_TIMEOUT_MS", "SKIP_GEOIP", "SKIP_METADATA"] {
        assert_eq!(warnings(load(&world_with_required().set(name, "1"), &[])), Vec::<String>::new());
    }
}

#[test]
fn every_value_knows_its_source_and_secrets_stay_hidden() {
    let world = World::default().file(FILE, REQUIRED).set("AGENT_PORT", "9").set("KUBERNETES_SERVICE_TOKEN", "canary");
    let (config, _) = load(&world, &["--config", FILE, "--agent-id", "x"]).unwrap();
    let shown = |setting: Setting| {
        let row = &config.effective()[setting as usize];
        (row.text.as_deref().unwrap_or("unset"), row.source.to_string())
    };
    assert_eq!(shown(Setting::ApiUrl), ("https://plane.example", "/c.yaml:1:20".to_owned()));
    assert_eq!(shown(Setting::Token), ("***", "/c.yaml:1:50".to_owned()));
    assert_eq!(shown(Setting::Port), ("9", "environment variable AGENT_PORT".to_owned()));
    assert_eq!(shown(Setting::AgentId), ("x", "flag --agent-id".to_owned()));
    assert_eq!(shown(Setting::MaxExchanges), ("1024", "default".to_owned()));
    assert_eq!(shown(Setting::Namespace), ("unset", "default".to_owned()));
    assert!(!format!("{config:?}").contains("canary"));
}

#[test]
fn the_search_takes_the_first_file() {
    let places = [
        "/home/a/.pipeops-agent.yaml",
        "/home/a/.pipeops-agent.yml",
        "/home/a/.pipeops-agent.json",
        "/home/a/.pipeops-agent",
        "/etc/pipeops/.pipeops-agent.yaml",
        "/etc/pipeops/.pipeops-agent",
        "./.pipeops-agent.yml",
        "/etc/pipeops/config.yaml",
    ];
    for (index, place) in places.iter().enumerate() {
        let mut world = world_with_required().set("HOME", "/home/a");
        for later in &places[index..] {
            world = world.file(later, &format!("{{\"agent\": {{\"id\": \"{later}\"}}}}"));
        }
        assert_eq!(load(&world, &[]).unwrap().0.agent.id.as_deref(), Some(*place));
        assert_eq!(
            load(&world, &["--config", "/etc/pipeops/config.yaml"]).unwrap().0.agent.id.as_deref(),
            Some("/etc/pipeops/config.yaml")
        );
    }
}

#[test]
fn an_unreadable_file_of_the_search_is_a_warning_until_something_is_missing() {
    let mut world = world_with_required();
    world.denied.push("/etc/pipeops/config.yaml".into());
    assert_eq!(warnings(load(&world, &[])), ["cannot read /etc/pipeops/config.yaml: permission denied"]);
    world.variables.remove("PIPEOPS_TOKEN");
    let error = load(&world, &[]).unwrap_err().to_string();
    assert!(error.contains("PipeOps token is required"), "{error}");
    assert!(error.ends_with("\ncannot read /etc/pipeops/config.yaml: permission denied"), "{error}");
}
