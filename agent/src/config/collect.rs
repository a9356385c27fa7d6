//! Merges flags, environment and file into one text per setting.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::arguments::Arguments;
use crate::config::file::{FileContent, Found};
use crate::config::ignored;
use crate::config::keys::{KEYS, Key, Setting};
use crate::config::nearest::nearest;
use crate::config::source::{Problem, Source, Warning};
use crate::config::sources::{Environment, Files};

/// The variable in which systemd hands over the folder of `StateDirectory=`.
const STATE_DIRECTORY: &str = "STATE_DIRECTORY";
/// The variable in which systemd hands over the folder of `LoadCredential=` and its relatives.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
/// The names of a credential that is looked for, the setting that it stands for, and the one that it would compete with.
const CREDENTIALS: [(&[&str], Setting, Setting); 2] = [
    (&["token", "pipeops-token", "pipeops.token"], Setting::TokenFile, Setting::Token),
    (&["service-token", "pipeops-service-token"], Setting::ServiceTokenFile, Setting::ServiceToken),
];
/// What kubelet sets in every pod.
const IN_POD: &str = "KUBERNETES_SERVICE_HOST";
/// What the variables of this program begin with.
const PREFIX: &str = "PIPEOPS_";

/// What was set, each setting once, the strongest source winning.
#[derive(Debug)]
pub(crate) struct Collected {
    pub(crate) values: BTreeMap<Setting, Found>,
    /// The file with its own values taken out; labels, problems and warnings are still in it.
    pub(crate) file: FileContent,
    /// Whether this is a pod, where all files are the agent's alone whatever their permissions say.
    pub(crate) in_pod: bool,
}

/// Reads all three sources. Problems and warnings are gathered in [`Collected::file`].
pub(crate) fn collect(arguments: &Arguments, environment: &dyn Environment, files: &dyn Files) -> Collected {
    let mut file = FileContent::load(arguments.config.as_deref(), environment, files);
    let mut values = core::mem::take(&mut file.values);
    for key in KEYS {
        if let Some(found) = from_environment(key, environment, &mut file) {
            values.insert(key.setting, found);
        }
    }
    for value in &arguments.settings {
        let text = value.text.trim();
        if !text.is_empty() {
            values.insert(value.setting, Found { text: text.to_owned(), source: Source::Flag(value.flag) });
        }
    }
    if !values.contains_key(&Setting::StateDir)
        && let Some(folders) = environment.text(STATE_DIRECTORY)
        && let Some(folder) = folders.split(':').find(|folder| !folder.is_empty())
    {
        let found = Found { text: folder.to_owned(), source: Source::Environment(STATE_DIRECTORY) };
        values.insert(Setting::StateDir, found);
    }
    credentials(&mut values, environment, files);
    for flag in &arguments.ignored {
        file.warnings.push(Warning { source: Source::Flag(flag), message: ignored::MESSAGE.to_owned() });
    }
    for name in ignored::ENVIRONMENT {
        if environment.get(name).is_some_and(|value| !value.is_empty()) {
            file.warnings.push(Warning { source: Source::Environment(name), message: ignored::MESSAGE.to_owned() });
        }
    }
    mistyped(environment, &mut file);
    Collected { values, file, in_pod: environment.get(IN_POD).is_some() }
}

/// Credentials of systemd stand in for what nobody set.
fn credentials(values: &mut BTreeMap<Setting, Found>, environment: &dyn Environment, files: &dyn Files) {
    let Some(folder) = environment.text(CREDENTIALS_DIRECTORY).map(PathBuf::from) else { return };
    for (names, setting, other) in CREDENTIALS {
        if values.contains_key(&setting) || values.contains_key(&other) {
            continue;
        }
        let found = names.iter().map(|name| (*name, folder.join(name))).find(|(_, path)| exists(files, path));
        if let Some((name, path)) = found {
            let text = path.to_string_lossy().into_owned();
            values.insert(setting, Found { text, source: Source::Credential(name) });
        }
    }
}

fn exists(files: &dyn Files, path: &Path) -> bool {
    files.mode(path).is_ok()
}

/// Variables that nobody reads and that look like one of ours. Those that Kubernetes makes up for services are none.
fn mistyped(environment: &dyn Environment, file: &mut FileContent) {
    let known = || KEYS.iter().flat_map(|key| key.environment).copied();
    for name in environment.names(PREFIX) {
        let meant = || known().chain(ignored::ENVIRONMENT.iter().copied()).any(|known| known == name);
        if name.contains("_SERVICE_") || name.contains("_PORT_") || name.ends_with("_PORT") || meant() {
            continue;
        }
        if let Some(close) = nearest(&name, known()) {
            let name: String = name.chars().take(64).flat_map(char::escape_debug).collect();
            let message = format!("environment variable {name}: no such setting: did you mean {close}?");
            file.warnings.push(Warning { source: Source::Default, message });
        }
    }
}

/// The first variable of a setting that is set and not empty. Another one that says something else is worth a word.
fn from_environment(key: &Key, environment: &dyn Environment, file: &mut FileContent) -> Option<Found> {
    let mut first: Option<(&'static str, Found)> = None;
    for name in key.environment {
        let Some(value) = environment.get(name) else {
            continue;
        };
        let source = Source::Environment(name);
        let Ok(text) = value.into_string() else {
            file.problems.push(Problem { source, message: format!("{}: the value is not UTF-8", key.path) });
            continue;
        };
        let mut text = text.trim();
        if text.is_empty() {
            continue;
        }
        if key.setting == Setting::Port && text.starts_with("tcp://") {
            // Kubernetes sets NAME_PORT for every service; one that is called "agent" collides with ours.
            let service = name.trim_end_matches("_PORT").to_ascii_lowercase();
            let message = format!("ignored: this is the address of a service named \"{service}\", not a port");
            file.warnings.push(Warning { source, message });
            continue;
        }
        if let Some((winner, found)) = &first {
            if found.text != text {
                let message = format!("{}: ignored: {winner} is set as well and goes first", key.path);
                file.warnings.push(Warning { source, message });
            }
            continue;
        }
        if let Some(inner) = unquoted(text) {
            // Files of variables for containers are not read by a shell, which would have taken the quotes off.
            let message = format!("{}: the value stands in quotes: leave them out", key.path);
            file.problems.push(Problem { source: source.clone(), message });
            text = inner;
        }
        first = Some((name, Found { text: text.to_owned(), source }));
    }
    first.map(|(_, found)| found)
}

/// What stands between quotation marks that enclose the whole text.
fn unquoted(text: &str) -> Option<&str> {
    let mark = text.chars().next().filter(|mark| matches!(mark, '"' | '\''))?;
    text.strip_prefix(mark)?.strip_suffix(mark)
}
