//! The configuration file: which one, and what it says.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::ignored;
use crate::config::keys::{KEYS, Key, Kind, Setting};
use crate::config::nearest::nearest;
use crate::config::source::{Notes, Problem, Source, Warning};
use crate::config::sources::{Environment, Files};
use crate::config::token::looks_like_token;
use crate::yaml;
use crate::yaml::{Entry, Node, Value};

/// Names that are looked for in each folder of the search.
const NAMES: [&str; 4] = [".pipeops-agent.yaml", ".pipeops-agent.yml", ".pipeops-agent.json", ".pipeops-agent"];
/// The file that charts and packages install, looked for last.
const SYSTEM_FILE: &str = "/etc/pipeops/config.yaml";

/// The text of one setting and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Without white space around it, never empty.
    pub(crate) text: String,
    pub(crate) source: Source,
}

/// Everything a file says.
#[derive(Debug, Default)]
pub(crate) struct FileContent {
    pub(crate) path: Option<PathBuf>,
    pub(crate) values: BTreeMap<Setting, Found>,
    /// The items of settings that are written as a list, each with its place. Their text in `values` is for show.
    pub(crate) lists: BTreeMap<Setting, Vec<Found>>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) labels_source: Option<Source>,
    pub(crate) problems: Notes,
    pub(crate) warnings: Notes,
    /// Files of the search that exist and may not be read: worth a word if something is missing in the end.
    pub(crate) unreadable: Notes,
}

impl FileContent {
    /// Reads the file that was named with `--config`, else the first one the search finds. No file is fine.
    pub(crate) fn load(named: Option<&Path>, environment: &dyn Environment, files: &dyn Files) -> FileContent {
        let mut content = FileContent::default();
        if let Some(path) = named {
            match files.read(path) {
                Ok(bytes) => content.read(path, &bytes),
                Err(error) => content.problems.push(Problem {
                    source: Source::Flag("--config"),
                    message: format!("cannot read {}: {error}", path.display()),
                }),
            }
            return content;
        }
        for path in candidates(environment) {
            match files.read(&path) {
                Ok(bytes) => {
                    content.read(&path, &bytes);
                    break;
                }
                Err(error) if is_absent(&error) => {}
                Err(error) => content
                    .unreadable
                    .push(Warning { source: Source::Default, message: format!("cannot read {}: {error}", path.display()) }),
            }
        }
        content
    }

    fn read(&mut self, path: &Path, bytes: &[u8]) {
        self.path = Some(path.to_owned());
        let shared: Arc<Path> = Arc::from(path);
        let place = |line, column| Source::File { path: Arc::clone(&shared), line, column };
        let Ok(text) = core::str::from_utf8(bytes) else {
            let wide = matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
            let message = if wide { "the file is UTF-16: save it as UTF-8" } else { "the file is not UTF-8" };
            self.problems.push(Problem { source: place(1, 1), message: message.to_owned() });
            return;
        };
        if text.contains('\0') {
            let message = "the file holds NUL characters: it is UTF-16, which must be saved as UTF-8, or no text".to_owned();
            self.problems.push(Problem { source: place(1, 1), message });
            return;
        }
        match yaml::parse(text) {
            Ok(root) => self.section(&root, "", &place),
            Err(error) => {
                self.problems.push(Problem { source: place(error.line, error.column), message: error.message });
            }
        }
    }

    /// Takes in one section; `prefix` is its path with a dot at the end, or empty for the whole file.
    fn section(&mut self, node: &Node, prefix: &str, place: &dyn Fn(u32, u32) -> Source) {
        if !matches!(node.value, Value::Mapping(_) | Value::Null) {
            let name = if prefix.is_empty() { "the file" } else { prefix.trim_end_matches('.') };
            let message = format!("{name}: a mapping is expected, found {}", node.kind_name());
            self.problems.push(Problem { source: place(node.line, node.column), message });
            return;
        }
        for entry in node.entries() {
            // Keys were never case-sensitive in this file, and "agent.port: 1" always meant the same as the nested form.
            let path = format!("{prefix}{}", entry.key.to_ascii_lowercase());
            let source = place(entry.line, entry.column);
            if let Some(key) = KEYS.iter().find(|key| key.path == path) {
                if key.kind == Kind::Labels {
                    self.labels(&entry.node, source, place);
                } else {
                    self.value(key.setting, entry, place);
                }
            } else if ignored::KEYS.contains(&path.as_str()) {
                self.warnings.push(Warning { source, message: format!("{path}: {}", ignored::MESSAGE) });
            } else if is_section(&path) {
                self.section(&entry.node, &format!("{path}."), place);
            } else {
                self.unknown(&path, source);
            }
        }
    }

    fn value(&mut self, setting: Setting, entry: &Entry, place: &dyn Fn(u32, u32) -> Source) {
        let path = setting.key().path;
        let node = &entry.node;
        if node.is_null() {
            return;
        }
        let source = place(node.line, node.column);
        if let (Kind::List(_), Value::Sequence(items)) = (setting.key().kind, &node.value) {
            self.list(setting, items, source, place);
            return;
        }
        let Some(text) = node.as_text() else {
            let expected = if matches!(setting.key().kind, Kind::List(_)) { "a list" } else { "one value" };
            let message = format!("{path}: {expected} is expected, found {}", node.kind_name());
            self.problems.push(Problem { source, message });
            return;
        };
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        self.insert(setting, text.to_owned(), source);
    }

    fn list(&mut self, setting: Setting, items: &[Node], source: Source, place: &dyn Fn(u32, u32) -> Source) {
        let mut found = Vec::with_capacity(items.len());
        for item in items {
            let source = place(item.line, item.column);
            match item.as_text() {
                Some(text) => found.push(Found { text: text.trim().to_owned(), source }),
                None => {
                    let message = format!("{}: a list of texts is expected, found {}", setting.key().path, item.kind_name());
                    self.problems.push(Problem { source, message });
                }
            }
        }
        let shown: Vec<&str> = found.iter().map(|item| item.text.as_str()).collect();
        self.insert(setting, format!("[{}]", shown.join(", ")), source);
        self.lists.insert(setting, found);
    }

    fn insert(&mut self, setting: Setting, mut text: String, source: Source) {
        // What a file names is looked for beside it, wherever the agent was started.
        let folder = self.path.as_deref().and_then(Path::parent).filter(|_| setting.key().kind == Kind::Path);
        if let Some(folder) = folder.filter(|_| !text.starts_with('~') && !looks_like_token(setting, &text)) {
            text = folder.join(&text).to_string_lossy().into_owned();
        }
        if self.values.insert(setting, Found { text, source: source.clone() }).is_some() {
            let message = format!("{} is set twice, in different spellings", setting.key().path);
            self.problems.push(Problem { source, message });
        }
    }

    fn labels(&mut self, node: &Node, source: Source, place: &dyn Fn(u32, u32) -> Source) {
        let path = Setting::Labels.key().path;
        if !matches!(node.value, Value::Mapping(_) | Value::Null) {
            let message = format!("{path}: a mapping is expected, found {}", node.kind_name());
            self.problems.push(Problem { source: place(node.line, node.column), message });
            return;
        }
        for entry in node.entries() {
            if entry.node.is_null() {
                self.labels.insert(entry.key.clone(), String::new());
            } else if let Some(text) = entry.node.as_text() {
                self.labels.insert(entry.key.clone(), text.to_owned());
            } else {
                let message = format!("{path}: a label's value must be a text, found {}", entry.node.kind_name());
                self.problems.push(Problem { source: place(entry.node.line, entry.node.column), message });
            }
        }
        self.labels_source = Some(source);
    }

    fn unknown(&mut self, path: &str, source: Source) {
        if self.problems.is_full() {
            self.problems.push(Problem { source, message: String::new() });
            return;
        }
        let open = path.split_once('.').is_some_and(|(section, _)| ignored::OPEN_SECTIONS.contains(&section));
        let suggestion = suggestion(path).filter(|(_, close)| *close || !open).map(|(known, _)| known);
        if open && suggestion.is_none() {
            self.warnings.push(Warning { source, message: format!("{path}: {}", ignored::MESSAGE) });
            return;
        }
        let shown: String = path.chars().take(128).flat_map(char::escape_debug).collect();
        let message = match suggestion {
            Some(known) => format!("unknown key {shown}: did you mean {known}?"),
            None => format!("unknown key {shown}"),
        };
        self.problems.push(Problem { source, message });
    }
}

/// Every path of the search, in order: home, `/etc/pipeops`, the working directory, then the system file.
fn candidates(environment: &dyn Environment) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    folders.extend(environment.text("HOME").map(PathBuf::from));
    folders.push(PathBuf::from("/etc/pipeops"));
    folders.push(PathBuf::from("."));
    let mut paths: Vec<PathBuf> = folders.iter().flat_map(|folder| NAMES.map(|name| folder.join(name))).collect();
    paths.push(PathBuf::from(SYSTEM_FILE));
    paths
}

/// True if there is no such file; a folder of that name is none either.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory)
}

/// True if some known key, or an ignored one, stands below the path.
fn is_section(path: &str) -> bool {
    known_paths().any(|known| known.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

fn known_paths() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.path).chain(ignored::KEYS.iter().copied())
}

/// The key or section that was probably meant: the most similar one (then true), else one with the same last part.
fn suggestion(path: &str) -> Option<(&'static str, bool)> {
    let sections = KEYS.iter().filter_map(|key| key.path.split_once('.').map(|(section, _)| section));
    let last = path.rsplit('.').next();
    if let Some(key) = KEYS.iter().find(|key| is_name_of(key, path)) {
        return Some((key.path, true));
    }
    let close = nearest(path, KEYS.iter().map(|key| key.path)).or_else(|| nearest(path, sections));
    let namesake = || KEYS.iter().map(|key| key.path).find(|known| known.rsplit('.').next() == last);
    close.map(|known| (known, true)).or_else(|| namesake().map(|known| (known, false)))
}

/// True for the variable or the flag of a setting, which some write into the file.
fn is_name_of(key: &Key, path: &str) -> bool {
    let flag = key.flag.and_then(|flag| flag.strip_prefix("--"));
    key.environment.iter().copied().chain(flag).any(|name| name.eq_ignore_ascii_case(path))
}
