//! What a person sees who asks the binary itself: checks of the configuration, versions, completions, the manual page.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_pipeops-agent");

/// Runs the binary in a folder with these variables and no others.
fn agent_in(folder: &Path, variables: &[(&str, &str)], words: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.current_dir(folder).env_clear().env("HOME", folder).envs(variables.iter().copied()).args(words);
    command.output().unwrap()
}

fn agent(words: &[&str]) -> Output {
    agent_in(Path::new("/"), &[], words)
}

fn texts(output: &Output) -> (String, String, Option<i32>) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

/// A folder with a configuration file that only its owner can read.
fn folder_with(file: &str) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.yaml");
    std::fs::write(&path, file).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    folder
}

const GOOD: &str =
    "pipeops: {api_url: https://plane.example, token: CANARY}\nagent: {cluster_name: east, labels: {site: north}}\n";

/// Whether a program is there; says so where it is not.
fn is_there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").stdin(Stdio::null()).output().is_ok();
    if !there {
        eprintln!("SKIPPED: {program} is not installed");
    }
    there
}

/// Gives a program a text on standard input.
fn pipe(program: &str, words: &[&str], text: &[u8]) -> Output {
    let mut child =
        Command::new(program).args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn config_check_says_everything_at_once_and_where() {
    let text = "\
pipeops:
  api_url: plane.example
  token: Bearer CANARY
agent:
  cluster_nam: east
  port: 80800
  enable_ingress_sync: yes
gateway: {enabled: true}
timeouts: {shutdown: 30}
";
    let folder = folder_with(text);
    let variables = [("PIPEOPS_CLUSTER_NAME", "east"), ("LOG_LEVEL", "loud")];
    let (output, complaints, code) = texts(&agent_in(folder.path(), &variables, &["config", "check", "--config", "c.yaml"]));
    let expected = "\
c.yaml:5:3: unknown key agent.cluster_nam: did you mean agent.cluster_name?
c.yaml:2:12: pipeops.api_url: a URL needs a scheme: write https://plane.example
c.yaml:3:10: pipeops.token: the token begins with \"Bearer\": leave that word out
c.yaml:6:9: agent.port: \"80800\" is outside 0 to 65535
c.yaml:7:24: agent.enable_ingress_sync: \"yes\" is neither true nor false: write true
environment variable LOG_LEVEL: logging.level: \"loud\" is not one of error, warn, info, debug, trace
c.yaml:9:22: timeouts.shutdown: \"30\" needs a unit: write 30s, 30ms or 30m
warning: c.yaml:8:1: gateway: ignored: this setting has no effect
not valid: 7 problems (file: c.yaml)
";
    assert_eq!((output.as_str(), complaints.as_str(), code), ("", expected, Some(78)));
    // The agent itself says the same and does not start.
    let (_, complaints, code) = texts(&agent_in(folder.path(), &variables, &["run", "--config", "c.yaml"]));
    assert_eq!(code, Some(78));
    assert!(expected.starts_with(&complaints), "{complaints}");
}

#[test]
fn config_check_is_content_with_a_valid_file() {
    let folder = folder_with(GOOD);
    let check =
        |variables: &[(&str, &str)]| texts(&agent_in(folder.path(), variables, &["config", "check", "--config", "c.yaml"]));
    assert_eq!(check(&[]), ("ok: the configuration is valid (file: c.yaml)\n".to_owned(), String::new(), Some(0)));
    let expected = (
        "ok: the configuration is valid, with 1 warning (file: c.yaml)\n".to_owned(),
        "warning: environment variable PIPEOPS_ENDPOINT: ignored: this setting has no effect\n".to_owned(),
        Some(0),
    );
    assert_eq!(check(&[("PIPEOPS_ENDPOINT", "x")]), expected);
    // What only the start would find: files that hold something else.
    let path = folder.path().join("c.yaml").display().to_string();
    let (output, complaints, code) = check(&[("PIPEOPS_TLS_CA_FILE", &path), ("KUBECONFIG", "/nowhere")]);
    assert_eq!((output.as_str(), code), ("", Some(78)));
    assert!(complaints.contains("TLS to the control plane cannot be set up") && complaints.contains("/nowhere"), "{complaints}");
    assert!(complaints.ends_with("not valid: 2 problems (file: c.yaml)\n"), "{complaints}");
}

#[test]
fn config_check_and_run_refuse_the_same_files() {
    let folder = folder_with(&format!("{GOOD}proxy: {{https_proxy: 'https://proxy.example', ca_file: ca.pem}}\n"));
    std::fs::write(folder.path().join("ca.pem"), "no certificate\n").unwrap();
    for words in [&["config", "check", "--config", "c.yaml"][..], &["run", "--config", "c.yaml"]] {
        let (_, complaints, code) = texts(&agent_in(folder.path(), &[], words));
        assert_eq!(code, Some(78), "{words:?}: {complaints}");
        assert!(complaints.contains("ca.pem holds no usable certificate"), "{words:?}: {complaints}");
    }
}

#[test]
fn config_show_gives_every_value_with_its_origin_and_no_secret() {
    let folder = folder_with(GOOD);
    let variables = [("AGENT_PORT", "9"), ("PIPEOPS_K8S_SERVICE_TOKEN", "CANARY")];
    let words = ["config", "show", "--config", "c.yaml", "--log-level=warn"];
    let (table, complaints, code) = texts(&agent_in(folder.path(), &variables, &words));
    assert_eq!((complaints.as_str(), code), ("", Some(0)));
    let row = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(table.lines().next(), Some("# file: c.yaml"));
    assert_eq!(row("pipeops.api_url"), ["pipeops.api_url", "https://plane.example", "c.yaml:1:20"]);
    assert_eq!(row("pipeops.token "), ["pipeops.token", "***", "c.yaml:1:50"]);
    assert_eq!(row("agent.port"), ["agent.port", "9", "environment", "variable", "AGENT_PORT"]);
    assert_eq!(row("logging.level"), ["logging.level", "warn", "flag", "--log-level"]);
    assert_eq!(row("logging.format"), ["logging.format", "json", "default"]);
    assert_eq!(row("agent.id"), ["agent.id", "(unset)"]);
    assert_eq!(row("agent.labels"), ["agent.labels", "site=north", "c.yaml:2:29"]);
    assert!(!table.contains("CANARY") && table.lines().all(|line| line.len() <= 120), "{table}");

    let (json, _, code) = texts(&agent_in(folder.path(), &variables, &["config", "show", "--json", "--config", "c.yaml"]));
    let value: Value = serde_json::from_str(&json).unwrap();
    let settings = value["settings"].as_array().unwrap();
    assert_eq!((settings.len() + 1, code), (table.lines().count(), Some(0)));
    let port = settings.iter().find(|row| row["key"] == "agent.port").unwrap();
    assert_eq!((&port["value"], &port["source"]), (&"9".into(), &"environment variable AGENT_PORT".into()));
    assert!(!json.contains("CANARY"));
}

#[test]
fn config_show_shows_what_there_is_of_an_invalid_configuration() {
    let folder = folder_with("pipeops: {token: CANARY}\nagent: {port: x, cluster_name: east}\n");
    let (table, complaints, code) = texts(&agent_in(folder.path(), &[], &["config", "show", "--config", "c.yaml"]));
    assert!(table.contains("agent.cluster_name") && table.contains("east"), "{table}");
    assert!(complaints.contains("c.yaml:2:15: agent.port: \"x\" is not a whole number\n"), "{complaints}");
    assert!(complaints.ends_with("not valid: 2 problems (file: c.yaml)\n") && code == Some(78), "{complaints}");
    let (json, complaints, code) = texts(&agent_in(folder.path(), &[], &["config", "show", "--config", "c.yaml", "--json"]));
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((value["problems"].as_array().unwrap().len(), complaints.as_str(), code), (2, "", Some(78)));
    assert!(!(table + &json).contains("CANARY"));
}

#[test]
fn a_credential_of_systemd_is_found_and_named() {
    let folder = folder_with("pipeops: {api_url: https://plane.example}\nagent: {cluster_name: east}\n");
    std::fs::write(folder.path().join("token"), "CANARY\n").unwrap();
    let variables = [("CREDENTIALS_DIRECTORY", folder.path().to_str().unwrap())];
    let (table, complaints, code) = texts(&agent_in(folder.path(), &variables, &["config", "show", "--config", "c.yaml"]));
    assert_eq!((complaints.as_str(), code), ("", Some(0)));
    let row = table.lines().find(|line| line.starts_with("pipeops.token_file")).unwrap();
    assert!(row.contains("/token ") && row.ends_with("  systemd credential token"), "{row}");
}

#[test]
fn version_names_the_build() {
    let (text, _, code) = texts(&agent(&["version"]));
    assert_eq!(code, Some(0));
    assert!(text.starts_with("pipeops-agent ") && text.contains("(commit ") && text.lines().count() == 2, "{text}");
    assert_eq!(texts(&agent(&["--version"])).0, text);
    let value: Value = serde_json::from_slice(&agent(&["version", "--json"]).stdout).unwrap();
    assert!(text.starts_with(&format!(
        "pipeops-agent {} (commit {}",
        value["version"].as_str().unwrap(),
        value["commit"].as_str().unwrap()
    )));
    assert!(value["features"].is_array() && value["target"].is_string());
}

#[test]
fn the_schema_is_json() {
    let value: Value = serde_json::from_slice(&agent(&["config", "schema"]).stdout).unwrap();
    assert_eq!(value["properties"]["agent"]["properties"]["port"]["maximum"], 65535);
}

/// What bash would offer for a line whose last word is being written.
fn offered(script: &str, line: &[&str]) -> Vec<String> {
    let words: Vec<String> = line.iter().map(|word| format!("'{word}'")).collect();
    let program = format!(
        "source /dev/stdin <<'SCRIPT'\n{script}\nSCRIPT\nCOMP_WORDS=({})\nCOMP_CWORD={}\n_pipeops_agent\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        words.join(" "),
        line.len() - 1
    );
    let output = pipe("bash", &["--norc", "-s"], program.as_bytes());
    let (text, complaints, _) = texts(&output);
    assert!(complaints.is_empty(), "{complaints}");
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_and_values() {
    if !is_there("bash") {
        return;
    }
    let (script, _, code) = texts(&agent(&["completions", "bash"]));
    assert_eq!(code, Some(0));
    let cases: [(&[&str], &[&str]); 14] = [
        (&["pipeops-agent", "con"], &["config"]),
        (&["pipeops-agent", "config", ""], &["check", "show", "schema"]),
        (&["pipeops-agent", "config", "s"], &["show", "schema"]),
        (&["pipeops-agent", "--config", "/x", "config", "c"], &["check"]),
        (&["pipeops-agent", "--log-level", ""], &["error", "warn", "info", "debug", "trace"]),
        (&["pipeops-agent", "run", "--log-level", "d"], &["debug"]),
        (&["pipeops-agent", "run", "--log-level", "=", "d"], &["debug"]),
        (&["pipeops-agent", "run", "--log-format", "="], &["json", "text"]),
        (&["pipeops-agent", "completions", ""], &["bash", "zsh", "fish"]),
        (&["pipeops-agent", "policy", "explain", "P"], &["POST", "PUT", "PATCH"]),
        (&["pipeops-agent", "policy", "explain", "--u"], &["--upgrade"]),
        (&["pipeops-agent", "version", "--j"], &["--json"]),
        (&["pipeops-agent", "--to"], &["--token", "--token-file"]),
        (&["pipeops-agent", "--token", ""], &[]),
    ];
    for (line, words) in cases {
        assert_eq!(offered(&script, line), words, "{line:?}");
    }
    let folder = folder_with("");
    let path = format!("{}/c", folder.path().display());
    assert_eq!(offered(&script, &["pipeops-agent", "--config", &path]), [format!("{path}.yaml")]);
}

#[test]
fn zsh_and_fish_can_read_their_scripts() {
    for (shell, check) in [("zsh", "-n"), ("fish", "-n")] {
        let script = agent(&["completions", shell]).stdout;
        assert!(String::from_utf8_lossy(&script).contains("policy explain"));
        if is_there(shell) {
            let (_, complaints, code) = texts(&pipe(shell, &[check, "/dev/stdin"], &script));
            assert_eq!((complaints.as_str(), code), ("", Some(0)), "{shell}");
        }
    }
    if is_there("fish") {
        let script = String::from_utf8(agent(&["completions", "fish"]).stdout).unwrap();
        let offers = |line: &str| {
            let (text, ..) = texts(&pipe("fish", &["--no-config"], format!("{script}\ncomplete -C '{line}'\n").as_bytes()));
            text.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(offers("pipeops-agent con"), ["config"]);
        assert_eq!(offers("pipeops-agent --log-level debug config s"), ["schema", "show"]);
        assert_eq!(offers("pipeops-agent --log-level d"), ["debug"]);
        assert_eq!(offers("pipeops-agent completions z"), ["zsh"]);
    }
    assert_eq!(agent(&["completions", "tcsh"]).status.code(), Some(64));
}

#[test]
fn the_manual_page_is_valid_and_whole() {
    let page = agent(&["man"]).stdout;
    let mut rendered = String::from_utf8(page.clone()).unwrap().replace("\\-", "-");
    for (program, words) in [("groff", &["-man", "-ww", "-z"][..]), ("mandoc", &["-Tlint", "-Wwarning"])] {
        if is_there(program) {
            let (output, complaints, code) = texts(&pipe(program, words, &page));
            assert_eq!((output.as_str(), complaints.as_str(), code), ("", "", Some(0)), "{program}");
        }
    }
    if is_there("groff") {
        rendered = texts(&pipe("groff", &["-man", "-Tascii", "-rLL=400n", "-P-cbou"], &page)).0;
    }
    for part in [
        "config check",
        "--token-file PATH",
        "pipeops.api_url",
        "PIPEOPS_K8S_SERVICE_TOKEN_FILE",
        "EXIT STATUS",
        "78",
        "/etc/pipeops/config.yaml",
    ] {
        assert!(rendered.contains(part), "{part}");
    }
}
