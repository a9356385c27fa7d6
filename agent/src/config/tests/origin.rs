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

#[test]
fn every_variable_and_flag_of_the_table_is_read() {
    for key in KEYS {
        let value = match key.kind {
            Kind::Boolean => "true",
            Kind::Integer { .. } => "7",
            Kind::Duration { .. } | Kind::Seconds { .. } => "11s",
            Kind::Bytes { .. } => "2MiB",
            Kind::Choice(words) => words[0],
            Kind::Url => "https://other.example",
            Kind::Pem => "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t",
            Kind::Path => "/exists",
            Kind::Address => "::1",
            Kind::List(example) => example,
            Kind::Text | Kind::Secret | Kind::Labels => "word",
        };
        for name in key.environment {
            let mut world = world_with_required().file("/exists", "abc").set(name, value);
            if key.setting == Setting::TlsCertFile {
                world = world.set("PIPEOPS_TLS_KEY_FILE", "/exists");
            }
            if key.setting == Setting::TlsKeyFile {
                world = world.set("PIPEOPS_TLS_CERT_FILE", "/exists");
            }
            if key.setting == Setting::TokenFile || *name == "AGENT_TOKEN" {
                world.variables.remove("PIPEOPS_TOKEN");
            }
            if *name == "AGENT_CLUSTER_NAME" {
                world.variables.remove("PIPEOPS_CLUSTER_NAME");
            }
            let (config, _) = load(&world, &[]).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(*config.source_of(key.setting), Source::Environment(name));
        }
        if let Some(flag) = key.flag {
            let (config, _) = load(&world_with_required(), &[&format!("{flag}={value}")]).unwrap();
            assert_eq!(*config.source_of(key.setting), Source::Flag(flag));
        }
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
