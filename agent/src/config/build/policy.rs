//! The part of the configuration that is about what the control plane may do.

use std::collections::BTreeMap;

use pipeops_agent_core::policy::{Cidr, PathPattern, Pattern, PatternError, Policy, ServicePattern, Verb, Verbs};

use crate::config::build::{Builder, effective};
use crate::config::collect::Collected;
use crate::config::convert::shown;
use crate::config::file::Found;
use crate::config::keys::{KEYS, Setting};
use crate::config::nearest::nearest;
use crate::config::source::{ConfigError, Notes, Problem, Source};
use crate::config::sources::Files;

/// The policy, and where each of its settings comes from.
#[derive(Debug)]
pub(crate) struct LoadedPolicy {
    pub(crate) policy: Policy,
    sources: BTreeMap<Setting, Source>,
}

impl LoadedPolicy {
    /// The setting behind a rule, with its place, if it is one that the operator sets and has set.
    pub(crate) fn setting_of(&self, rule: &str) -> Option<(&'static str, &Source)> {
        let path = format!("policy.{}", rule.replace('-', "_"));
        let key = KEYS.iter().find(|key| key.path == path)?;
        self.sources.get(&key.setting).map(|source| (key.path, source))
    }
}

/// Reads the policy alone.
pub(crate) fn build_policy(collected: Collected, files: &dyn Files) -> Result<LoadedPolicy, ConfigError> {
    let effective = effective::rows(&collected);
    let Collected { values, mut file, in_pod } = collected;
    let sources = values.iter().map(|(setting, found)| (*setting, found.source.clone())).collect();
    let lists = core::mem::take(&mut file.lists);
    let mut builder = Builder { values, lists, files, in_pod, problems: file.problems, warnings: Notes::default() };
    let policy = builder.policy();
    let mut problems = builder.problems;
    // Whoever may not read the file would be told of another policy than the agent's.
    problems.append(file.unreadable);
    if problems.is_empty() {
        Ok(LoadedPolicy { policy, sources })
    } else {
        Err(ConfigError { problems, warnings: Notes::default(), effective, file: file.path })
    }
}

impl Builder<'_> {
    pub(super) fn policy(&mut self) -> Policy {
        Policy {
            allow_impersonation: self.boolean(Setting::AllowImpersonation),
            read_only: self.boolean(Setting::ReadOnly),
            verbs: self.allowed(Setting::Verbs, verb).map(Verbs::from_iter),
            namespaces: self.allowed(Setting::Namespaces, name),
            deny_namespaces: self.list(Setting::DenyNamespaces, name).unwrap_or_default(),
            paths: self.allowed(Setting::Paths, path),
            deny_paths: self.list(Setting::DenyPaths, path).unwrap_or_default(),
            services: self.boolean(Setting::Services),
            allow_services: self.allowed(Setting::AllowServices, service),
            deny_services: self.list(Setting::DenyServices, service).unwrap_or_default(),
            allow_addresses: self.list(Setting::AllowAddresses, block).unwrap_or_default(),
        }
    }

    /// A list of what is allowed. An empty one would allow nothing, or everything to those who read it so: it must not be.
    fn allowed<T>(&mut self, setting: Setting, convert: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        if self.lists.get(&setting).is_some_and(Vec::is_empty) && matches!(self.source(setting), Source::File { .. }) {
            self.problem(setting, "an empty list would allow nothing: leave the setting out to allow everything");
        }
        self.list(setting, convert)
    }

    /// The items of a list, `None` if it is not set. What is wrong with one is noted at its place.
    pub(super) fn list<T>(&mut self, setting: Setting, convert: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        let found = self.values.get(&setting)?;
        let written = self.lists.remove(&setting).filter(|_| matches!(found.source, Source::File { .. }));
        let items = written.unwrap_or_else(|| {
            let item = |text: &str| Found { text: text.trim().to_owned(), source: found.source.clone() };
            found.text.split(',').map(item).collect()
        });
        let mut converted = Vec::with_capacity(items.len());
        for item in items {
            match convert(&item.text) {
                Ok(value) => converted.push(value),
                Err(message) => {
                    let message = format!("{}: {message}", setting.key().path);
                    self.problems.push(Problem { source: item.source, message });
                }
            }
        }
        Some(converted)
    }
}

fn verb(text: &str) -> Result<Verb, String> {
    Verb::parse(text).ok_or_else(|| {
        let names = Verb::ALL.map(Verb::name);
        let mut message = format!("{} is not one of {}", shown(text), names.join(", "));
        if let Some(name) = nearest(&text.to_ascii_lowercase(), names) {
            message.push_str(&format!(": did you mean {name}?"));
        }
        message
    })
}

fn name(text: &str) -> Result<Pattern, String> {
    pattern(text, Pattern::parse)
}

fn path(text: &str) -> Result<PathPattern, String> {
    pattern(text, PathPattern::parse)
}

fn service(text: &str) -> Result<ServicePattern, String> {
    pattern(text, ServicePattern::parse)
}

fn block(text: &str) -> Result<Cidr, String> {
    Cidr::parse(text).map_err(|error| format!("{} {error}", shown(text)))
}

/// Names what was probably meant, where that is a pattern.
fn pattern<T>(text: &str, parse: impl Fn(&str) -> Result<T, PatternError>) -> Result<T, String> {
    parse(text).map_err(|error| {
        let guesses = [text.to_ascii_lowercase(), text.replace("**", "*"), format!("/{text}"), format!("*/{text}")];
        let guess = guesses.iter().find(|guess| parse(guess).is_ok());
        let suggestion = guess.map(|guess| format!(": did you mean {guess}?")).unwrap_or_default();
        format!("{} {error}{suggestion}", shown(text))
    })
}
