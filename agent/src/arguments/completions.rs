//! Scripts that make a shell complete commands, flags and their values, made from the tables of commands and settings.
//!
//! The three have one shape: what stands before the cursor is reduced to the words of the command, then a table says what can
//! follow. Nothing is asked of the agent while completing.

use crate::arguments::commands::{self, COMMANDS, CommandRow};
use crate::arguments::{Arguments, UsageError};
use crate::config::{KEYS, Kind};

/// The shells there is a script for.
pub(super) const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];
/// The methods that `policy explain` is asked about.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// The script for the shell that the command line names.
pub(crate) fn completions(arguments: &Arguments) -> Result<String, UsageError> {
    match arguments.operands.first().map(String::as_str) {
        Some("bash") => Ok(bash()),
        Some("zsh") => Ok(zsh()),
        Some("fish") => Ok(fish()),
        Some(_) | None => Err(UsageError::UnknownShell),
    }
}

/// What can follow a flag.
enum Value {
    File,
    Words(&'static [&'static str]),
    /// Something that nobody can guess.
    Text,
}

/// The flags that take a value, all but those of the previous agent.
fn flags_with_value() -> Vec<(&'static str, Value)> {
    let mut flags = vec![("--config", Value::File)];
    for key in KEYS {
        let Some(flag) = key.flag else { continue };
        if key.kind == Kind::Boolean {
            continue;
        }
        let value = if let Kind::Choice(words) = key.kind {
            Value::Words(words)
        } else if key.kind == Kind::Path {
            Value::File
        } else {
            Value::Text
        };
        flags.push((flag, value));
    }
    flags
}

/// The flags that can stand anywhere, and those of a command.
fn flags(row: Option<&CommandRow>) -> Vec<&'static str> {
    let mut flags = vec!["--help"];
    flags.extend(row.iter().flat_map(|row| row.switches).map(|switch| switch.name));
    if row.is_none_or(|row| row.settings.is_some()) {
        flags.push("--config");
        flags.extend(KEYS.iter().filter_map(|key| key.flag));
    }
    if row.is_none() {
        flags.push("--version");
    }
    flags
}

/// Every beginning of a command line, with the words that can follow and, where they are complete, the row.
fn places() -> Vec<(String, Vec<&'static str>, Option<&'static CommandRow>)> {
    let mut places = vec![(String::new(), commands::next_words(""), None)];
    for row in COMMANDS {
        if let Some((group, _)) = row.words.split_once(' ')
            && places.iter().all(|(words, ..)| words != group)
        {
            places.push((group.to_owned(), commands::next_words(group), None));
        }
        let next = row.operands.first().map_or(&[][..], |operand| choices(operand));
        places.push((row.words.to_owned(), next.to_vec(), Some(row)));
    }
    places
}

fn choices(operand: &str) -> &'static [&'static str] {
    match operand {
        "SHELL" => &SHELLS,
        "METHOD" => &METHODS,
        _ => &[],
    }
}

fn with_values(separator: &str) -> String {
    flags_with_value().iter().map(|(flag, _)| *flag).collect::<Vec<_>>().join(separator)
}

const BASH_HEAD: &str = "\
# bash completion for pipeops-agent
_pipeops_agent() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} place= word index
    COMPREPLY=()
    if [ \"$current\" = '=' ]; then current=; elif [ \"$previous\" = '=' ]; then previous=${COMP_WORDS[COMP_CWORD-2]}; fi
    case $previous in
";

fn bash() -> String {
    let mut text = String::from(BASH_HEAD);
    for (flag, value) in flags_with_value() {
        let reply = match value {
            Value::File => "compopt -o filenames 2> /dev/null; COMPREPLY=($(compgen -f -- \"$current\"))".to_owned(),
            Value::Words(words) => format!("COMPREPLY=($(compgen -W '{}' -- \"$current\"))", words.join(" ")),
            Value::Text => ":".to_owned(),
        };
        push_all(&mut text, &["        ", flag, ") ", &reply, "; return ;;\n"]);
    }
    text.push_str("    esac\n    for ((index = 1; index < COMP_CWORD; index++)); do\n        word=${COMP_WORDS[index]}\n");
    text.push_str("        case $word in\n");
    let skip = ") [ \"${COMP_WORDS[index+1]}\" = '=' ] && ((index++)); ((index++)) ;;\n";
    push_all(&mut text, &["            ", &with_values("|"), skip]);
    text.push_str("            -*) ;;\n            *) place=\"${place:+$place }$word\" ;;\n        esac\n    done\n    word=\n");
    text.push_str("    case $place in\n");
    for (place, next, row) in places() {
        let words = next.into_iter().chain(flags(row)).collect::<Vec<_>>().join(" ");
        push_all(&mut text, &["        '", &place, "') word='", &words, "' ;;\n"]);
    }
    text.push_str(
        "    esac\n    case $current in\n        -*) ;;\n        *) word=\" $word\"; word=${word%% --*} ;;\n    esac\n",
    );
    text.push_str("    COMPREPLY=($(compgen -W \"$word\" -- \"$current\"))\n}\ncomplete -F _pipeops_agent pipeops-agent\n");
    text
}

fn zsh() -> String {
    let mut text = String::from("#compdef pipeops-agent\n_pipeops_agent() {\n    local place= word index\n");
    text.push_str("    case ${words[CURRENT-1]} in\n");
    for (flag, value) in flags_with_value() {
        let reply = match value {
            Value::File => "_files".to_owned(),
            Value::Words(words) => format!("compadd -- {}", words.join(" ")),
            Value::Text => ":".to_owned(),
        };
        push_all(&mut text, &["        ", flag, ") ", &reply, "; return ;;\n"]);
    }
    text.push_str("    esac\n    for ((index = 2; index < CURRENT; index++)); do\n        word=${words[index]}\n");
    text.push_str("        case $word in\n");
    push_all(&mut text, &["            ", &with_values("|"), ") ((index++)) ;;\n"]);
    text.push_str("            -*) ;;\n            *) place=\"${place:+$place }$word\" ;;\n        esac\n    done\n");
    text.push_str("    case \"$place;${words[CURRENT]}\" in\n");
    for (place, next, row) in places() {
        push_all(&mut text, &["        '", &place, ";-'*) compadd -- ", &flags(row).join(" "), " ;;\n"]);
        if !next.is_empty() {
            push_all(&mut text, &["        '", &place, ";'*) compadd -- ", &next.join(" "), " ;;\n"]);
        }
    }
    text.push_str("    esac\n}\nif [ \"$funcstack[1]\" = _pipeops-agent ]; then\n    _pipeops_agent\nelse\n");
    text.push_str("    compdef _pipeops_agent pipeops-agent\nfi\n");
    text
}

fn fish() -> String {
    let mut text = String::from("function __pipeops_agent_place\n    set -l words (commandline -opc)\n    set -l place\n");
    text.push_str(
        "    set -l skip 1\n    for word in $words\n        if test $skip = 1\n            set skip 0\n            continue\n",
    );
    push_all(
        &mut text,
        &["        end\n        switch $word\n            case ", &with_values(" "), "\n                set skip 1\n"],
    );
    text.push_str("            case '-*'\n            case '*'\n                set -a place $word\n        end\n    end\n");
    text.push_str("    test \"$place\" = \"$argv\"\nend\ncomplete -c pipeops-agent -f\n");
    for (flag, value) in flags_with_value() {
        let name = flag.trim_start_matches('-');
        let reply = match value {
            Value::File => "-r -F".to_owned(),
            Value::Words(words) => format!("-x -a '{}'", words.join(" ")),
            Value::Text => "-x".to_owned(),
        };
        push_all(&mut text, &["complete -c pipeops-agent -l ", name, " ", &reply, "\n"]);
    }
    for (place, next, row) in places() {
        let condition = format!("-n '__pipeops_agent_place {place}'");
        if !next.is_empty() {
            push_all(&mut text, &["complete -c pipeops-agent ", &condition, " -a '", &next.join(" "), "'\n"]);
        }
        for switch in row.iter().flat_map(|row| row.switches) {
            let name = switch.name.trim_start_matches('-');
            push_all(&mut text, &["complete -c pipeops-agent ", &condition, " -l ", name, " -d '", switch.meaning, "'\n"]);
        }
    }
    for key in KEYS.iter().filter(|key| key.kind == Kind::Boolean) {
        if let Some(flag) = key.flag {
            push_all(&mut text, &["complete -c pipeops-agent -l ", flag.trim_start_matches('-'), "\n"]);
        }
    }
    text.push_str("complete -c pipeops-agent -s h -l help\n");
    text
}

/// Appends pieces; what formatting would do in several times the code.
pub(super) fn push_all(text: &mut String, pieces: &[&str]) {
    for piece in pieces {
        text.push_str(piece);
    }
}
