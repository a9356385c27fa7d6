//! The one table of commands. Parsing and help read it; nothing else names a command or a flag of one.

/// What the program is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Run,
    Version,
    /// Look at everything that the agent depends on.
    Doctor,
    /// Say what the policy makes of a request.
    ExplainPolicy,
    /// Say what is wrong with the configuration.
    ConfigCheck,
    /// Print the settings as they hold.
    ConfigShow,
    /// Print the JSON Schema of the configuration file.
    ConfigSchema,
    /// Print a script for a shell.
    Completions,
    /// Print the manual page.
    Manual,
    /// Ask the running agent how it is.
    Status,
    /// Print help about the command of these words, or the group of commands that they begin; empty: about all.
    Help(&'static str),
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct CommandRow {
    pub(crate) command: Command,
    /// The words that stand for it, one space apart.
    pub(crate) words: &'static str,
    /// Names of the words that must follow.
    pub(crate) operands: &'static [&'static str],
    /// Flags of this command alone. They take no value.
    pub(crate) switches: &'static [Switch],
    /// One line for lists of commands.
    pub(crate) meaning: &'static str,
    /// What help says about it, lines of at most 110 characters, the last one with a line feed.
    pub(crate) description: &'static str,
    /// Which settings help shows: those whose paths begin so; [`FLAGS_ONLY`] shows their flags and a pointer. `None`: neither.
    pub(crate) settings: Option<&'static str>,
    /// The meaning of each exit code, as one line.
    pub(crate) exit_codes: &'static str,
}

/// A flag without a value.
#[derive(Debug)]
pub(crate) struct Switch {
    /// With its dashes.
    pub(crate) name: &'static str,
    pub(crate) meaning: &'static str,
}

/// A beginning that no path has, for [`CommandRow::settings`].
pub(crate) const FLAGS_ONLY: Option<&str> = Some("-");

/// What the codes mean for all commands, for the manual page.
pub(crate) static EXIT_CODES: [(u8, &str); 5] = [
    (0, "all is well, or the agent was stopped by a signal"),
    (1, "the answer is no, as that of policy explain, or something failed that is neither usage nor configuration"),
    (3, "no agent answers, said by status alone"),
    (64, "wrong usage: a flag, a command or a word that is not known"),
    (78, "wrong configuration: the messages name the place and the cure; starting again without a change is of no use"),
];

pub(crate) static COMMANDS: &[CommandRow] = &[
    CommandRow {
        command: Command::Run,
        words: "run",
        operands: &[],
        switches: &[],
        meaning: "join the cluster to the control plane; this is the default",
        description: "Joins the cluster to the control plane and stays until it is stopped by a signal.\n",
        settings: Some(""),
        exit_codes: "0 stopped by a signal, 64 wrong usage, 78 wrong configuration, 1 anything else",
    },
    CommandRow {
        command: Command::Doctor,
        words: "doctor",
        operands: &[],
        switches: &[
            Switch { name: "--json", meaning: "print one JSON object, at the end" },
            Switch { name: "--slow", meaning: "find out too how long a quiet connection lasts; takes minutes" },
        ],
        meaning: "find out what is wrong, and what mends it",
        description: "\
Looks at all that the agent depends on, and says what is wrong and what mends it: configuration, clock,
the way to the control plane, the token, the Kubernetes API, rights, state, monitoring, the machine.

One line for each check: PASS, INFO (worth knowing), WARN (the agent works, but), FAIL, or SKIP
(pointless after an earlier failure). Lines with -> say what to do. Takes at most a minute.

Reads the configuration as run does; run it as the user and with the variables of the agent. It
registers nothing, changes nothing, and may run beside a running agent.
",
        settings: Some(""),
        exit_codes: "0 nothing failed, 1 something failed, 64 wrong usage, 78 wrong configuration",
    },
    CommandRow {
        command: Command::Status,
        words: "status",
        operands: &[],
        switches: &[Switch { name: "--json", meaning: "print what the agent answers, as JSON" }],
        meaning: "ask the running agent how it is",
        description: "\
Asks the agent that runs on this machine how it is, and prints a page about it.

It is asked through the socket agent.sock in the folder agent.state_dir, or else through agent.port.
Both are read from the same configuration as run reads; no token is needed. Gives up after 3 seconds.
",
        settings: Some("agent."),
        exit_codes: "0 the agent is ready, 1 it runs and is not ready, 3 no agent answers, 64 wrong usage",
    },
    CommandRow {
        command: Command::ExplainPolicy,
        words: "policy explain",
        operands: &["METHOD", "PATH"],
        switches: &[Switch { name: "--upgrade", meaning: "the request asks for another protocol, such as WebSocket" }],
        meaning: "say whether the control plane may send a request, and by which rule",
        description: "\
Says whether the control plane may send a request through this agent, and by which rule.

PATH is a path of the Kubernetes API, decoded, with or without ?QUERY, or a service:
  pipeops-agent policy explain GET '/api/v1/pods?watch=true'
  pipeops-agent policy explain POST /api/v1/namespaces/default/pods/web/exec --upgrade
  pipeops-agent policy explain GET service://shop/web:8080/cart

Reads the configuration as run does, but needs neither a token nor a connection. Whether RBAC allows
the request, and which address a service has, is not looked at.
",
        settings: Some("policy."),
        exit_codes: "0 allowed, 1 denied, 64 wrong usage, 78 wrong configuration",
    },
    CommandRow {
        command: Command::ConfigCheck,
        words: "config check",
        operands: &[],
        switches: &[],
        meaning: "say everything that is wrong with the configuration",
        description: "\
Reads the configuration as run does and says everything that is wrong with it, one line each: place,
setting, what was meant. Then warnings. Certificates, keys, tokens and the kubeconfig are read too.
Nothing is sent: whether the control plane takes the token is not looked at.
",
        settings: FLAGS_ONLY,
        exit_codes: "0 valid, also with warnings, 64 wrong usage, 78 wrong configuration",
    },
    CommandRow {
        command: Command::ConfigShow,
        words: "config show",
        operands: &[],
        switches: &[Switch { name: "--json", meaning: "print JSON" }],
        meaning: "print every setting with its value and where that comes from",
        description: "\
Prints every setting with its value and where that comes from. Secrets are shown as ***.
Of a configuration that is not valid it shows what there is, then what is wrong.
",
        settings: FLAGS_ONLY,
        exit_codes: "0 printed, 64 wrong usage, 78 wrong configuration",
    },
    CommandRow {
        command: Command::ConfigSchema,
        words: "config schema",
        operands: &[],
        switches: &[],
        meaning: "print the JSON Schema of the configuration file",
        description: "\
Prints the JSON Schema (draft 2020-12) of the configuration file, for editors and checks:
  pipeops-agent config schema > pipeops-agent.schema.json
The first line of the file then says where it is:
  # yaml-language-server: $schema=pipeops-agent.schema.json
The agent itself takes a little more: keys in any case, and a.b: c for a nested key.
",
        settings: None,
        exit_codes: "0 printed, 64 wrong usage",
    },
    CommandRow {
        command: Command::Completions,
        words: "completions",
        operands: &["SHELL"],
        switches: &[],
        meaning: "print a script that completes commands and flags: bash, zsh or fish",
        description: "\
Prints a script that makes a shell complete commands, flags and their values. SHELL is bash, zsh or fish.
  bash: pipeops-agent completions bash > /etc/bash_completion.d/pipeops-agent
  zsh:  pipeops-agent completions zsh > /usr/local/share/zsh/site-functions/_pipeops-agent
  fish: pipeops-agent completions fish > /etc/fish/completions/pipeops-agent.fish
Sourcing it in a running shell works too, in zsh after compinit.
",
        settings: None,
        exit_codes: "0 printed, 64 wrong usage",
    },
    CommandRow {
        command: Command::Manual,
        words: "man",
        operands: &[],
        switches: &[],
        meaning: "print the manual page",
        description: "\
Prints the manual page, to read or to install:
  pipeops-agent man | man -l -
  pipeops-agent man > /usr/local/share/man/man1/pipeops-agent.1
It holds every command, flag, setting and exit code.
",
        settings: None,
        exit_codes: "0 printed, 64 wrong usage",
    },
    CommandRow {
        command: Command::Version,
        words: "version",
        operands: &[],
        switches: &[Switch { name: "--json", meaning: "print JSON" }],
        meaning: "print the version",
        description: "Prints the version, the commit it was built from, the target and the optional features.\n",
        settings: None,
        exit_codes: "0 printed, 64 wrong usage",
    },
    CommandRow {
        command: Command::Help(""),
        words: "help",
        operands: &[],
        switches: &[],
        meaning: "print this help, or that of a command",
        description: "Prints help about all, or about the command whose words follow.\n",
        settings: None,
        exit_codes: "0 printed, 64 wrong usage",
    },
];

/// The row of these words.
pub(crate) fn row(words: &str) -> Option<&'static CommandRow> {
    COMMANDS.iter().find(|row| row.words == words)
}

/// The rows whose words begin with these; not the row of exactly these words. Empty: all rows.
pub(crate) fn below(words: &str) -> impl Iterator<Item = &'static CommandRow> {
    let prefix = if words.is_empty() { String::new() } else { format!("{words} ") };
    COMMANDS.iter().filter(move |row| row.words.starts_with(&prefix))
}

/// The words that can come next after these.
pub(crate) fn next_words(words: &str) -> Vec<&'static str> {
    let skipped = if words.is_empty() { 0 } else { words.len() + 1 };
    let mut next: Vec<&'static str> = below(words).filter_map(|row| row.words.get(skipped..)?.split(' ').next()).collect();
    next.dedup();
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_hides_another_and_each_says_enough() {
        for (index, row) in COMMANDS.iter().enumerate() {
            assert!(COMMANDS.iter().skip(index + 1).all(|other| other.words != row.words), "{}", row.words);
            // A command with operands could not tell them from the words of one below.
            assert!(row.operands.is_empty() || below(row.words).next().is_none(), "{}", row.words);
            assert!(!row.meaning.ends_with('.') && row.description.ends_with(".\n"), "{}", row.words);
            assert!(row.switches.iter().all(|switch| switch.name.starts_with("--")), "{}", row.words);
        }
        assert_eq!(next_words("policy"), ["explain"]);
        assert!(next_words("").contains(&"policy") && next_words("run").is_empty());
    }
}
