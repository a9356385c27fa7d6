//! Merges flags, environment and file into one text per setting.

use std::collections::BTreeMap;

use crate::arguments::Arguments;
use crate::config::file::{FileContent, Found};
use crate::config::ignored;
use crate::config::keys::{KEYS, Key, Setting};
use crate::config::source::{Problem, Source, Warning};
use crate::config::sources::{Environment, Files};

/// The variable in which systemd hands over the folder of `StateDirectory=`.
const STATE_DIRECTORY: &str = "STATE_DIRECTORY";

/// What was set, each setting once, the strongest source winning.
#[derive(Debug)]
pub(crate) struct Collected {
    pub(crate) values: BTreeMap<Setting, Found>,
    /// The file with its own values taken out; labels, problems and warnings are still in it.
    pub(crate) file: FileContent,
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
    for flag in &arguments.ignored {
        file.warnings.push(Warning { source: Source::Flag(flag), message: ignored::MESSAGE.to_owned() });
    }
    for name in ignored::ENVIRONMENT {
        if environment.get(name).is_some_and(|value| !value.is_empty()) {
            file.warnings.push(Warning { source: Source::Environment(name), message: ignored::MESSAGE.to_owned() });
        }
    }
    Collected { values, file }
}

/// The first variable of a setting that is set and not empty.
fn from_environment(key: &Key, environment: &dyn Environment, file: &mut FileContent) -> Option<Found> {
    for name in key.environment {
        let Some(value) = environment.get(name) else {
            continue;
        };
        let source = Source::Environment(name);
        let Ok(text) = value.into_string() else {
            file.problems.push(Problem { source, message: format!("{}: the value is not UTF-8", key.path) });
            continue;
        };
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        if key.setting == Setting::Port && text.starts_with("tcp://") {
            // Kubernetes sets NAME_PORT for every service; one that is called "agent" collides with ours.
            let message = "ignored: this is the address of a service named \"agent\", not a port".to_owned();
            file.warnings.push(Warning { source, message });
            continue;
        }
        return Some(Found { text: text.to_owned(), source });
    }
    None
}
