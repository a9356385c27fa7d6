//! The manual page, made from the tables of commands and settings.

use crate::arguments::commands::{COMMANDS, CommandRow, EXIT_CODES};
use crate::arguments::completions::push_all;
use crate::arguments::help::{details, flag_rows};
use crate::config::KEYS;
use crate::version;

const DESCRIPTION: &str = "\
.SH NAME
pipeops\\-agent \\- joins a private Kubernetes cluster to the PipeOps control plane
.SH SYNOPSIS
.B pipeops\\-agent
[\\fICOMMAND\\fR] [\\fIFLAGS\\fR]
.SH DESCRIPTION
Keeps one outbound connection to the control plane and carries its requests to the Kubernetes API and to services of the cluster.
Without a command it does what \\fBrun\\fR does.
";

const FILES: &str = "\
.SH FILES
The configuration file is the one that \\fB\\-\\-config\\fR names, else the first of these. It is YAML or JSON.
.PP
.nf
~/.pipeops\\-agent.yaml, .yml, .json, or without an ending
/etc/pipeops/.pipeops\\-agent.yaml and so on
\\&./.pipeops\\-agent.yaml and so on
/etc/pipeops/config.yaml
.fi
.PP
A relative path in the file is looked for in the folder of the file.
";

const SETTINGS: &str = "\
.SH SETTINGS
A dot is one level of the configuration file. A flag beats a variable, a variable beats the file, the file beats a credential of
systemd. Of several variables the first that is set and not empty counts. Sizes take units, such as 8MiB; durations are written
as 30s, 500ms or 1m30s.
.PP
Where nobody sets them, the files \\fItoken\\fR and \\fIservice\\-token\\fR in the folder that systemd names in CREDENTIALS_DIRECTORY
stand in for pipeops.token_file and kubernetes.service_token_file.
";

/// The page in roff, with a line feed at the end.
pub(crate) fn manual() -> String {
    let date = version::commit_date();
    let date = date.get(..10).unwrap_or_default();
    let mut text = format!(".TH PIPEOPS\\-AGENT 1 {date} \"pipeops-agent {}\" \"User Commands\"\n", version::VERSION);
    text.push_str(DESCRIPTION);
    text.push_str(".SH COMMANDS\n");
    for row in COMMANDS {
        push_command(&mut text, row);
    }
    text.push_str(".SH FLAGS\n");
    for (flag, meaning) in flag_rows() {
        push_item(&mut text, &flag, &meaning);
    }
    text.push_str(SETTINGS);
    for key in KEYS {
        push_item(&mut text, key.path, &format!("{}; {}", key.meaning, details(key)));
    }
    text.push_str(FILES);
    text.push_str(".SH EXIT STATUS\n");
    for (code, meaning) in EXIT_CODES {
        push_item(&mut text, &code.to_string(), meaning);
    }
    text
}

fn push_command(text: &mut String, row: &CommandRow) {
    push_all(text, &[".SS ", &escaped(row.words)]);
    for operand in row.operands {
        push_all(text, &[" ", operand]);
    }
    text.push('\n');
    let (mut verbatim, mut apart) = (false, true);
    for line in row.description.lines() {
        if line.starts_with("  ") != verbatim {
            verbatim = !verbatim;
            text.push_str(match (verbatim, apart) {
                (true, true) => ".nf\n",
                (true, false) => ".PP\n.nf\n",
                (false, _) => ".fi\n.PP\n",
            });
            apart = !verbatim;
        }
        if !line.is_empty() {
            push_all(text, &[&escaped(line.trim_start()), "\n"]);
            apart = false;
        } else if !apart {
            text.push_str(".PP\n");
            apart = true;
        }
    }
    if verbatim {
        text.push_str(".fi\n");
    }
    for switch in row.switches {
        push_item(text, switch.name, switch.meaning);
    }
    push_all(text, &[".PP\nExit codes: ", &escaped(row.exit_codes), ".\n"]);
}

fn push_item(text: &mut String, name: &str, meaning: &str) {
    push_all(text, &[".TP\n\\fB", &escaped(name), "\\fR\n", &escaped(meaning), "\n"]);
}

/// Text in which roff finds nothing to act on.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    if text.starts_with(['.', '\'']) {
        escaped.push_str("\\&");
    }
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\e"),
            '-' => escaped.push_str("\\-"),
            '\'' => escaped.push_str("\\(aq"),
            '~' => escaped.push_str("\\(ti"),
            character => escaped.push(character),
        }
    }
    escaped
}
