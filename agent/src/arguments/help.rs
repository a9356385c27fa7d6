//! The help texts, made from the table of settings.

use core::fmt::Write as _;

use crate::arguments::{COMMANDS, Topic};
use crate::config::{KEYS, Key, Kind};

/// Flags that are no settings, with their help.
const OTHER_FLAGS: [(&str, &str); 3] = [
    ("--config PATH", "configuration file; without it the usual places are searched"),
    ("-h, --help", "print help"),
    ("--version", "print the version"),
];

/// The help text of a topic, with a line feed at the end.
pub(crate) fn help(topic: Topic) -> String {
    let mut text = String::new();
    match topic {
        Topic::General => {
            text.push_str("Joins a private Kubernetes cluster to the PipeOps control plane.\n\n");
            text.push_str("Usage: pipeops-agent [COMMAND] [FLAGS]\n\nCommands:\n");
            push_rows(&mut text, &COMMANDS.map(|(name, _, _, meaning)| (name.to_owned(), meaning.to_owned())));
            text.push_str("\nFlags:\n");
            push_rows(&mut text, &flag_rows());
            text.push_str("\nEvery setting, with its variable: pipeops-agent run --help\n");
            text.push_str("Exit codes: 0 stopped by a signal, 64 wrong usage, 78 wrong configuration, 1 anything else.\n");
        }
        Topic::Run => {
            text.push_str("Joins the cluster to the control plane and stays until it is stopped by a signal.\n\n");
            text.push_str("Usage: pipeops-agent [run] [FLAGS]\n\nFlags:\n");
            push_rows(&mut text, &flag_rows());
            text.push_str("\nSettings of the configuration file; a variable beats the file, a flag beats both:\n");
            for key in &KEYS {
                push_setting(&mut text, key);
            }
        }
        Topic::Policy => {
            text.push_str("Says whether the control plane may send a request through this agent, and by which rule.\n\n");
            text.push_str("Usage: pipeops-agent policy explain METHOD PATH [FLAGS]\n\n");
            text.push_str("PATH is a path of the Kubernetes API, decoded, with or without ?QUERY, or a service:\n");
            text.push_str("  pipeops-agent policy explain GET '/api/v1/pods?watch=true'\n");
            text.push_str("  pipeops-agent policy explain POST /api/v1/namespaces/default/pods/web/exec --upgrade\n");
            text.push_str("  pipeops-agent policy explain GET service://shop/web:8080/cart\n\n");
            text.push_str(
                "Reads the configuration as run does, but needs neither a token nor a connection. Whether RBAC allows\n",
            );
            text.push_str("the request, and which address a service has, is not looked at.\n\nFlags:\n");
            let mut rows = vec![("--upgrade".to_owned(), "the request asks for another protocol, such as WebSocket".to_owned())];
            rows.extend(flag_rows());
            push_rows(&mut text, &rows);
            text.push_str("\nSettings of the policy:\n");
            for key in KEYS.iter().filter(|key| key.path.starts_with("policy.")) {
                push_setting(&mut text, key);
            }
            text.push_str("\nExit codes: 0 allowed, 1 denied, 64 wrong usage, 78 wrong configuration.\n");
        }
        Topic::Version => {
            text.push_str("Prints the version.\n\nUsage: pipeops-agent version\n");
        }
    }
    text
}

fn flag_rows() -> Vec<(String, String)> {
    let mut rows: Vec<(String, String)> = OTHER_FLAGS.map(|(flag, meaning)| (flag.to_owned(), meaning.to_owned())).into();
    for key in &KEYS {
        let Some(flag) = key.flag else { continue };
        let name = match key.kind {
            Kind::Boolean => format!("{flag}[=BOOL]"),
            Kind::Path => format!("{flag} PATH"),
            Kind::Url => format!("{flag} URL"),
            Kind::Choice(words) => format!("{flag} {}", words.join("|")),
            Kind::Text
            | Kind::Secret
            | Kind::Integer { .. }
            | Kind::Duration { .. }
            | Kind::Seconds { .. }
            | Kind::Bytes { .. }
            | Kind::Pem
            | Kind::List(_)
            | Kind::Labels => format!("{flag} TEXT"),
        };
        rows.push((name, key.meaning.to_owned()));
    }
    rows
}

fn push_rows(text: &mut String, rows: &[(String, String)]) {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0).min(30);
    for (name, meaning) in rows {
        if name.len() > width {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {name}\n  {:width$}  {meaning}", "");
        } else {
            let _ = writeln!(text, "  {name:width$}  {meaning}");
        }
    }
}

fn push_setting(text: &mut String, key: &Key) {
    let _ = writeln!(text, "  {}\n      {}", key.path, key.meaning);
    let _ = write!(text, "      {}", key.kind);
    if let Some(default) = key.default {
        let _ = write!(text, "; default {default}");
    }
    if key.required_as.is_some() {
        text.push_str("; required");
    }
    if !key.environment.is_empty() {
        let _ = write!(text, "; {}", key.environment.join(", "));
    }
    text.push('\n');
}
