//! Container logs: bounded lines for each pod, and their readers. Does not know when a pod writes, except for
//! `default/logger-0`, whose pen it moves.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::body::{Item, Source};
use crate::request::Query;
use crate::shared::Shared;
use crate::status::Refusal;
use crate::store::Key;
use crate::time::{stamp, stamp_nanos};

const KEEP_LINES: usize = 10_000;
const KEEP_PODS: usize = 1_000;
const LINE_LIMIT: usize = 16 * 1024;
const BATCH: usize = 256;

pub(crate) const LOGGER: (&str, &str) = ("default", "logger-0");

type Pod = (String, String);

#[derive(Debug, Default)]
pub(crate) struct Logs {
    pods: BTreeMap<Pod, Lines>,
    followers: BTreeMap<Pod, usize>,
    written: u64,
}

#[derive(Debug, Default)]
struct Lines {
    /// The number of the first line that is still kept.
    first: u64,
    lines: VecDeque<(SystemTime, String)>,
}

impl Lines {
    fn end(&self) -> u64 {
        self.first.saturating_add(self.lines.len() as u64)
    }
}

impl Logs {
    pub(crate) fn push(&mut self, namespace: &str, pod: &str, line: &str, now: SystemTime) {
        let pod = (namespace.to_owned(), pod.to_owned());
        if self.pods.len() >= KEEP_PODS && !self.pods.contains_key(&pod) {
            return;
        }
        let cut = (0..=LINE_LIMIT.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap_or_default();
        let log = self.pods.entry(pod).or_default();
        log.lines.push_back((now, line.get(..cut).unwrap_or_default().to_owned()));
        if log.lines.len() > KEEP_LINES {
            log.lines.pop_front();
            log.first = log.first.saturating_add(1);
        }
    }

    /// The next numbered line of the logger.
    pub(crate) fn write_line(&mut self, now: SystemTime) {
        self.written = self.written.saturating_add(1);
        let line = format!("line {} {}", self.written, stamp(now));
        self.push(LOGGER.0, LOGGER.1, &line, now);
    }

    pub(crate) fn forget(&mut self, namespace: &str, pod: &str) {
        self.pods.remove(&(namespace.to_owned(), pod.to_owned()));
    }

    pub(crate) fn followers(&self, namespace: &str, pod: &str) -> usize {
        self.followers.get(&(namespace.to_owned(), pod.to_owned())).copied().unwrap_or_default()
    }

    /// Where to begin so that at most `tail` lines come.
    fn start(&self, pod: &Pod, tail: Option<u64>) -> u64 {
        let Some(log) = self.pods.get(pod) else {
            return 0;
        };
        tail.map_or(log.first, |tail| log.end().saturating_sub(tail).max(log.first))
    }

    /// The text from a line on, bounded in lines, and the number after it.
    fn read(&self, pod: &Pod, from: u64, timestamps: bool) -> (String, u64) {
        let Some(log) = self.pods.get(pod) else {
            return (String::new(), from);
        };
        let from = from.max(log.first);
        let skip = usize::try_from(from.saturating_sub(log.first)).unwrap_or(usize::MAX);
        let mut text = String::new();
        let mut next = from;
        for (time, line) in log.lines.iter().skip(skip).take(BATCH) {
            if timestamps {
                text.push_str(&stamp_nanos(*time));
                text.push(' ');
            }
            text.push_str(line);
            text.push('\n');
            next = next.saturating_add(1);
        }
        (text, next)
    }
}

/// Counts a follower for as long as it lives.
struct Follower {
    shared: Arc<Shared>,
    pod: Pod,
}

impl Follower {
    fn begin(shared: &Arc<Shared>, pod: &Pod) -> Follower {
        *shared.logs().followers.entry(pod.clone()).or_default() += 1;
        shared.log_changed();
        Follower { shared: Arc::clone(shared), pod: pod.clone() }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut logs = self.shared.logs();
        if let Some(count) = logs.followers.get_mut(&self.pod) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                logs.followers.remove(&self.pod);
            }
        }
        drop(logs);
        self.shared.log_changed();
    }
}

/// The answer to `pods/log`.
pub(crate) fn read(shared: &Arc<Shared>, key: &Key, pod: &Value, query: &Query) -> Result<Source, Refusal> {
    check_container(key, pod, query)?;
    let id: Pod = (key.namespace.clone(), key.name.clone());
    let timestamps = query.flag("timestamps");
    let room = query.number("limitBytes").and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    let next = shared.logs().start(&id, query.number("tailLines"));
    let (sender, receiver) = mpsc::channel(4);
    let follower = query.flag("follow").then(|| Follower::begin(shared, &id));
    let reader = Reader {
        shared: Arc::clone(shared),
        key: key.clone(),
        uid: pod["metadata"]["uid"].clone(),
        id,
        timestamps,
        next,
        room,
        follower,
        sender,
    };
    tokio::spawn(reader.run());
    Ok(Source::Stream(receiver))
}

struct Reader {
    shared: Arc<Shared>,
    key: Key,
    uid: Value,
    id: Pod,
    timestamps: bool,
    next: u64,
    room: usize,
    follower: Option<Follower>,
    sender: mpsc::Sender<Item>,
}

impl Reader {
    async fn run(mut self) {
        let mut ticks = self.shared.log_ticks.subscribe();
        let mut versions = self.shared.versions.subscribe();
        loop {
            let (mut text, next) = self.shared.logs().read(&self.id, self.next, self.timestamps);
            self.next = next;
            if !text.is_empty() {
                let cut = (0..=self.room.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
                text.truncate(cut.unwrap_or_default());
                self.room = self.room.saturating_sub(text.len());
                if self.sender.send(Item::Data(Bytes::from(text))).await.is_err() {
                    return;
                }
                if self.room > 0 {
                    continue;
                }
            }
            if self.room == 0 || self.follower.is_none() || !self.exists() {
                let _ = self.sender.send(Item::End).await;
                return;
            }
            tokio::select! {
                () = self.sender.closed() => return,
                _ = ticks.changed() => {}
                _ = versions.changed() => {}
            }
        }
    }

    fn exists(&self) -> bool {
        self.shared.store().get(&self.key).is_some_and(|pod| pod["metadata"]["uid"] == self.uid)
    }
}

fn check_container(key: &Key, pod: &Value, query: &Query) -> Result<(), Refusal> {
    let list = |field: &str| pod["spec"][field].as_array().cloned().unwrap_or_default();
    let names: Vec<String> = ["initContainers", "containers"]
        .iter()
        .flat_map(|field| list(field))
        .filter_map(|container| container["name"].as_str().map(str::to_owned))
        .collect();
    let name = match query.get("container") {
        Some(name) if names.iter().any(|n| n == name) => name.to_owned(),
        Some(name) => {
            return Err(Refusal::bad_request(format!("container {name} is not valid for pod {}", key.name)));
        }
        None if names.len() > 1 => {
            let message =
                format!("a container name must be specified for pod {}, choose one of: [{}]", key.name, names.join(" "));
            return Err(Refusal::bad_request(message));
        }
        None => names.into_iter().next().unwrap_or_default(),
    };
    if query.flag("previous") {
        let message = format!("previous terminated container {name:?} in pod {:?} not found", key.name);
        return Err(Refusal::bad_request(message));
    }
    Ok(())
}

/// Writes the logger's lines while somebody follows it, for ever.
pub(crate) async fn write_while_followed(shared: Arc<Shared>) {
    let mut ticks = shared.log_ticks.subscribe();
    loop {
        while shared.logs().followers(LOGGER.0, LOGGER.1) == 0 {
            if ticks.changed().await.is_err() {
                return;
            }
        }
        tokio::time::sleep(shared.options.log_interval).await;
        let mut logs = shared.logs();
        if logs.followers(LOGGER.0, LOGGER.1) > 0 {
            logs.write_line(SystemTime::now());
            drop(logs);
            shared.log_changed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_numbered_through() {
        let mut logs = Logs::default();
        for n in 0..KEEP_LINES + 5 {
            logs.push("a", "b", &format!("{n}"), SystemTime::UNIX_EPOCH);
        }
        let pod = ("a".to_owned(), "b".to_owned());
        let start = logs.start(&pod, Some(2));
        assert_eq!(logs.read(&pod, start, false).0, format!("{}\n{}\n", KEEP_LINES + 3, KEEP_LINES + 4));
        assert_eq!(logs.read(&pod, 0, false).0.lines().next(), Some("5"));
    }

    #[test]
    fn timestamps_come_first() {
        let mut logs = Logs::default();
        logs.push("a", "b", "x", SystemTime::UNIX_EPOCH);
        let pod = ("a".to_owned(), "b".to_owned());
        assert_eq!(logs.read(&pod, 0, true).0, "1970-01-01T00:00:00.000000000Z x\n");
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let mut logs = Logs::default();
        logs.push("a", "b", &"é".repeat(LINE_LIMIT), SystemTime::UNIX_EPOCH);
        let pod = ("a".to_owned(), "b".to_owned());
        assert_eq!(logs.read(&pod, 0, false).0.len(), LINE_LIMIT + 1);
    }
}
