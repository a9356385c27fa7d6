//! Tokens in files: credentials of systemd, relative paths, permissions.

use super::*;

const FOLDER: &str = "/run/credentials/pipeops-agent.service";

fn without_token() -> World {
    let mut world = world_with_required();
    world.variables.remove("PIPEOPS_TOKEN");
    world
}

#[test]
fn a_credential_of_systemd_is_the_token_where_nobody_gives_one() {
    for (names, setting) in [
        (&["token", "pipeops-token", "pipeops.token"][..], Setting::TokenFile),
        (&["service-token", "pipeops-service-token"], Setting::ServiceTokenFile),
    ] {
        for name in names {
            let path = format!("{FOLDER}/{name}");
            // systemd gives the file to the service alone; its group may read it all the same.
            let mut world = without_token().set("CREDENTIALS_DIRECTORY", FOLDER).file_with_mode(&path, "canary\n", 0o440);
            if setting == Setting::ServiceTokenFile {
                world = world.set("PIPEOPS_TOKEN", "abc");
            }
            let (config, warnings) = load(&world, &[]).unwrap();
            assert_eq!(warnings.to_string(), "");
            let row = &config.effective()[setting as usize];
            assert_eq!(row.text.as_deref(), Some(path.as_str()));
            assert_eq!(row.source.to_string(), format!("systemd credential {name}"));
            let source =
                if setting == Setting::TokenFile { config.pipeops.token } else { config.kubernetes.service_token.unwrap() };
            assert_eq!(source.read(&world).unwrap().expose(), "canary");
        }
    }
}

#[test]
fn every_other_source_beats_a_credential() {
    let token = |world: &World, words: &[&str]| load(world, words).unwrap().0.pipeops.token;
    let world = without_token().set("CREDENTIALS_DIRECTORY", FOLDER).file(&format!("{FOLDER}/token"), "weak");
    let file = world.file(FILE, "pipeops: {token: strong}");
    assert_eq!(token(&file, &["--config", FILE]), TokenSource::Value(Secret::new("strong")));
    let file = file.file("/t", "strong");
    assert_eq!(token(&file, &["--token-file", "/t"]), TokenSource::File("/t".into()));
    assert_eq!(token(&file.set("PIPEOPS_TOKEN", "strong"), &[]), TokenSource::Value(Secret::new("strong")));
    let empty = without_token().set("CREDENTIALS_DIRECTORY", FOLDER);
    assert!(load(&empty, &[]).unwrap_err().to_string().starts_with("PipeOps token is required"));
    let mut denied = empty.file(&format!("{FOLDER}/token"), "x");
    denied.denied.push(format!("{FOLDER}/token").into());
    assert_eq!(
        load(&denied, &[]).unwrap_err().to_string(),
        format!("systemd credential token: pipeops.token_file: {FOLDER}/token: the token file cannot be read: permission denied")
    );
}

#[test]
fn a_path_in_the_file_is_beside_the_file() {
    let text = "pipeops: {token_file: secrets/token}\nagent: {state_dir: state}\n";
    let world = without_token().file("/etc/pipeops/config.yaml", text).file("/etc/pipeops/secrets/token", "abc");
    let (config, _) = load(&world, &[]).unwrap();
    assert_eq!(config.pipeops.token, TokenSource::File("/etc/pipeops/secrets/token".into()));
    assert_eq!(config.agent.state_dir, Path::new("/etc/pipeops/state"));
    assert_eq!(config.effective()[Setting::StateDir as usize].text.as_deref(), Some("/etc/pipeops/state"));
    // A variable and a flag have no file to be beside of.
    let world = without_token().file("t", "abc").set("PIPEOPS_TOKEN_FILE", "t");
    assert_eq!(load(&world, &[]).unwrap().0.pipeops.token, TokenSource::File("t".into()));
}

#[test]
fn files_with_a_token_that_others_can_read_deserve_a_warning() {
    let world = without_token().file_with_mode(FILE, "pipeops: {token: canary}\nkubernetes: {service_token: canary}\n", 0o644);
    let expected = [
        "/c.yaml:1:18: pipeops.token: other users can read /c.yaml: use mode 0600",
        "/c.yaml:2:29: kubernetes.service_token: other users can read /c.yaml: use mode 0600",
    ];
    assert_eq!(warnings(load(&world, &["--config", FILE])), expected);
    let harmless = world_with_required().file_with_mode(FILE, "agent: {port: 9}", 0o644);
    assert_eq!(warnings(load(&harmless, &["--config", FILE])), Vec::<String>::new());
    let mounted = without_token().file_with_mode("/t", "canary", 0o644).set("PIPEOPS_TOKEN_FILE", "/t");
    assert_eq!(warnings(load(&mounted, &[])).len(), 1);
    // In a pod there is nobody else, and a Secret is mounted with mode 0644.
    let mounted = mounted.set("KUBERNETES_SERVICE_HOST", "10.43.0.1");
    assert_eq!(warnings(load(&mounted, &[])), Vec::<String>::new());
}

#[test]
fn a_service_token_can_stand_in_a_file() {
    let world = world_with_required().file("/t", "first\n").set("PIPEOPS_K8S_SERVICE_TOKEN_FILE", "/t");
    let source = load(&world, &[]).unwrap().0.kubernetes.service_token.unwrap();
    assert_eq!(source.read(&world).unwrap().expose(), "first");
    assert_eq!(source.read(&world.file("/t", "second")).unwrap().expose(), "second");
}

#[test]
fn a_token_in_the_wrong_place_is_not_repeated() {
    let token = "CANARYCANARYCANARYCANARY";
    for setting in ["pipeops.token_file", "kubernetes.service_token_file"] {
        let (section, name) = setting.split_once('.').unwrap();
        let text = format!("{section}: {{{name}: {token}}}\n");
        let world = if section == "pipeops" { without_token() } else { world_with_required() };
        let error = load(&world.file(FILE, &text), &["--config", FILE]).unwrap_err();
        let message = error.problems.to_string();
        assert!(
            message.ends_with(&format!("{setting}: this looks like a token: the name of a file is expected, with a slash in it"))
        );
        assert!(!message.contains("CANARY") && !format!("{error:?}").contains("CANARY"), "{message}");
    }
}

#[test]
fn secrets_in_labels_and_addresses_are_masked() {
    let text =
        "pipeops: {api_url: 'https://user:CANARY@plane.example'}\nagent: {labels: {api_token: CANARY123456, site: north}}\n";
    let error = load(&World::default().file(FILE, text), &["--config", FILE]).unwrap_err();
    let shown = |setting: Setting| error.effective[setting as usize].text.clone().unwrap();
    assert_eq!(shown(Setting::Labels), "api_token=***,site=north");
    assert_eq!(shown(Setting::ApiUrl), "https://***@plane.example");
    assert!(!format!("{error:?}").contains("CANARY"));
}
