//! Command lines that are understood, and ones that are not.

use super::*;

fn parse(words: &[&str]) -> Result<Arguments, UsageError> {
    Arguments::parse(words)
}

fn command(words: &[&str]) -> Command {
    parse(words).unwrap().command
}

#[test]
fn commands() {
    let cases: [(&[&str], Command); 28] = [
        (&[], Command::Run),
        (&["run"], Command::Run),
        (&["version"], Command::Version),
        (&["--version"], Command::Version),
        (&["run", "--version"], Command::Version),
        (&["help"], Command::Help("")),
        (&["--help"], Command::Help("")),
        (&["-h"], Command::Help("")),
        (&["help", "run"], Command::Help("run")),
        (&["run", "-h"], Command::Help("run")),
        (&["run", "--token=x", "--help"], Command::Help("run")),
        (&["version", "--help"], Command::Help("version")),
        (&["help", "help"], Command::Help("help")),
        (&["policy", "explain", "GET", "/api"], Command::ExplainPolicy),
        (&["policy", "--help"], Command::Help("policy")),
        (&["policy", "explain", "--help"], Command::Help("policy explain")),
        (&["policy", "explain", "GET", "/api", "-h"], Command::Help("policy explain")),
        (&["help", "policy"], Command::Help("policy")),
        (&["help", "policy", "explain"], Command::Help("policy explain")),
        (&["help", "--help"], Command::Help("")),
        (&["config", "check"], Command::ConfigCheck),
        (&["config", "show", "--json"], Command::ConfigShow),
        (&["config", "--json", "show"], Command::ConfigShow),
        (&["config", "schema"], Command::ConfigSchema),
        (&["config", "-h"], Command::Help("config")),
        (&["completions", "bash"], Command::Completions),
        (&["man"], Command::Manual),
        (&["version", "--json"], Command::Version),
    ];
    for (words, expected) in cases {
        assert_eq!(command(words), expected, "{words:?}");
    }
}

#[test]
fn both_spellings_of_a_value() {
    for words in [
        &["--token=abc", "--in-cluster"][..],
        &["--token", "abc", "--in-cluster=true"],
        &["--in-cluster=true", "run", "--token", "abc"],
    ] {
        let arguments = parse(words).unwrap();
        let value = |setting| arguments.settings.iter().find(|value| value.setting == setting).map(|value| value.text.as_str());
        assert_eq!((value(Setting::Token), value(Setting::InCluster)), (Some("abc"), Some("true")), "{words:?}");
    }
    let arguments = parse(&["--config", "/a b/c.yaml", "--token=-x=y", "--log-level", "debug"]).unwrap();
    assert_eq!(arguments.config.as_deref(), Some(std::path::Path::new("/a b/c.yaml")));
    assert_eq!(arguments.settings[0].text, "-x=y");
}

#[test]
fn operands_and_switches_of_a_command() {
    for (words, operands, upgrade) in [
        (&["policy", "explain", "GET", "/api?watch=1"][..], ["GET", "/api?watch=1"], false),
        (&["policy", "--upgrade", "explain", "GET", "--log-level=debug", "/x"], ["GET", "/x"], true),
        (&["policy", "explain", "GET", "service://a/b:80/", "--upgrade"], ["GET", "service://a/b:80/"], true),
        (&["--config", "/c", "policy", "explain", "--", "GET", "--upgrade"], ["GET", "--upgrade"], false),
    ] {
        let arguments = parse(words).unwrap();
        assert_eq!(
            (&arguments.operands[..], arguments.has("--upgrade")),
            (&operands.map(String::from)[..], upgrade),
            "{words:?}"
        );
    }
    assert!(parse(&["run"]).unwrap().operands.is_empty());
}

#[test]
fn flags_of_the_previous_agent_are_swallowed() {
    let arguments = parse(&[
        "--gateway-enabled",
        "--gateway-namespace",
        "x",
        "--gateway-istio-servers-json=[]",
        "--gateway-istio-enabled=true",
        "--agent-id",
        "7",
    ])
    .unwrap();
    assert_eq!(
        arguments.ignored,
        ["--gateway-enabled", "--gateway-namespace", "--gateway-istio-servers-json", "--gateway-istio-enabled"]
    );
    assert_eq!(arguments.settings.len(), 1);
}

#[test]
fn mistakes_are_named_without_repeating_values() {
    let cases: [(&[&str], &str); 27] = [
        (&["--tokn=canary"], "unknown flag --tokn: did you mean --token?; see pipeops-agent --help"),
        (&["--cluster_name", "canary"], "unknown flag --cluster_name: did you mean --cluster-name?; see pipeops-agent --help"),
        (&["--loglevel=x"], "unknown flag --loglevel: did you mean --log-level?; see pipeops-agent --help"),
        (&["--frobnicate"], "unknown flag --frobnicate; see pipeops-agent --help"),
        (&["-x"], "unknown flag -x; see pipeops-agent --help"),
        (&["-token", "canary"], "unknown flag -t; see pipeops-agent --help"),
        (&["config"], "check or show or schema is missing; see pipeops-agent --help"),
        (&["config", "chekc"], "unknown command \"chekc\": did you mean check?; see pipeops-agent --help"),
        (&["completions"], "SHELL is missing; see pipeops-agent --help"),
        (&["rnu"], "unknown command \"rnu\": did you mean run?; see pipeops-agent --help"),
        (&["start"], "unknown command \"start\"; see pipeops-agent --help"),
        (&["run", "canary"], "an argument too many: values belong behind their flag; see pipeops-agent --help"),
        (&["--in-cluster", "false", "run"], "unknown command \"false\"; see pipeops-agent --help"),
        (&["--token"], "--token needs a value; see pipeops-agent --help"),
        (&["--config"], "--config needs a value; see pipeops-agent --help"),
        (&["--help=canary"], "--help takes no value; see pipeops-agent --help"),
        (&["policy"], "explain is missing; see pipeops-agent --help"),
        (&["policy", "explain"], "METHOD is missing; see pipeops-agent --help"),
        (&["policy", "explain", "GET"], "PATH is missing; see pipeops-agent --help"),
        (&["policy", "explian"], "unknown command \"explian\": did you mean explain?; see pipeops-agent --help"),
        (&["policy", "list"], "unknown command \"list\"; see pipeops-agent --help"),
        (&["polciy", "explain"], "unknown command \"polciy\": did you mean policy?; see pipeops-agent --help"),
        (
            &["policy", "explain", "GET", "/api", "canary"],
            "an argument too many: values belong behind their flag; see pipeops-agent --help",
        ),
        (&["policy", "explain", "--upgrade=canary", "GET", "/"], "--upgrade takes no value; see pipeops-agent --help"),
        (&["run", "--upgrade"], "unknown flag --upgrade; see pipeops-agent --help"),
        (&["help", "policy", "explian"], "unknown command \"explian\": did you mean explain?; see pipeops-agent --help"),
        (&["help", "run", "canary"], "an argument too many: values belong behind their flag; see pipeops-agent --help"),
    ];
    for (words, message) in cases {
        let error = parse(words).unwrap_err();
        assert_eq!(error.to_string(), message, "{words:?}");
        assert!(!message.contains("canary") && !format!("{error:?}").contains("canary"));
    }
    let bad = <OsString as std::os::unix::ffi::OsStringExt>::from_vec(vec![0xff]);
    assert_eq!(Arguments::parse([OsString::from("--token"), bad]), Err(UsageError::NotUnicode("--token".to_owned())));
}

#[test]
fn a_token_is_not_in_the_debug_output() {
    assert!(!format!("{:?}", parse(&["--token", "canary"]).unwrap()).contains("canary"));
}

#[test]
fn help_names_every_command_flag_and_setting() {
    let (general, run) = (help(""), help("run"));
    for key in KEYS {
        assert!(run.contains(key.path), "{}", key.path);
        if let Some(flag) = key.flag {
            assert!(general.contains(flag) && run.contains(flag), "{flag}");
        }
        for name in key.environment {
            assert!(run.contains(name), "{name}");
        }
    }
    let mut texts = vec![general.clone(), help("policy")];
    for row in commands::COMMANDS {
        assert!(general.contains(row.words) && general.contains(row.meaning), "{}", row.words);
        let text = help(row.words);
        for word in row.operands.iter().chain(row.switches.iter().map(|switch| &switch.name)).chain([&row.exit_codes]) {
            assert!(text.contains(word), "{}: {word}", row.words);
        }
        texts.push(text);
    }
    for text in texts {
        assert!(text.lines().all(|line| line.len() <= 120 && !line.ends_with(' ')), "{text}");
    }
}

#[test]
fn the_exit_codes_of_every_command_are_explained() {
    let explained: Vec<String> = commands::EXIT_CODES.iter().map(|(code, _)| code.to_string()).collect();
    for row in commands::COMMANDS {
        let codes =
            row.exit_codes.split(", ").filter_map(|part| part.split(' ').next()).filter(|word| word.parse::<u8>().is_ok());
        assert!(
            codes.clone().count() > 1 && codes.clone().all(|code| explained.iter().any(|known| known == code)),
            "{}",
            row.words
        );
    }
}

#[test]
fn there_are_completions_for_three_shells() {
    let script = |shell| completions(&parse(&["completions", shell]).unwrap());
    for shell in ["bash", "zsh", "fish"] {
        let script = script(shell).unwrap();
        for flag in KEYS.iter().filter_map(|key| key.flag) {
            assert!(script.contains(flag.trim_start_matches('-')), "{shell} {flag}");
        }
    }
    let error = script("tcsh").unwrap_err().to_string();
    assert_eq!(error, "there are completions for bash, zsh, fish only; see pipeops-agent --help");
}
