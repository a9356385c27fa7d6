//! Watches: which events a caller gets and when. The history is the store's; a watch keeps only its place in it, so a
//! slow reader costs nothing and falls out of the history instead.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

use crate::body::{Item, Source};
use crate::list::{selector, version};
use crate::request::Head;
use crate::route::Target;
use crate::selector::Selector;
use crate::shared::Shared;
use crate::status::Refusal;
use crate::store::Change;
use crate::view::View;

const FAR_AWAY: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

struct Watch {
    shared: Arc<Shared>,
    sender: mpsc::Sender<Item>,
    cuts: watch::Receiver<u64>,
    target: Target,
    selector: Selector,
    view: View,
    bookmarks: bool,
    /// Everything up to here has been sent.
    version: u64,
    first: bool,
}

/// Ends the watch: cut, or nobody reads it any more.
struct Over;

pub(crate) fn start(shared: &Arc<Shared>, head: &Head, target: Target) -> Result<Source, Refusal> {
    let query = &head.query;
    let selector = selector(query, &target)?;
    let asked = version(query)?;
    let bookmarks = query.flag("allowWatchBookmarks");
    let initial_events = query.flag("sendInitialEvents");
    if initial_events && query.get("resourceVersionMatch") != Some("NotOlderThan") {
        let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        return Err(Refusal::invalid("ListOptions", "", "resourceVersionMatch", why));
    }
    let (sender, receiver) = mpsc::channel(16);
    let store = shared.store();
    let now = store.version();
    if let Some(asked) = asked.filter(|asked| *asked > now) {
        return Err(Refusal::from_the_future(asked, now));
    }
    let too_old = asked.filter(|asked| !initial_events && *asked < store.oldest());
    let too_old = too_old.map(|asked| Refusal::too_old(asked, store.oldest()));
    let (version, initial) = match asked {
        Some(asked) if !initial_events => (asked, Vec::new()),
        Some(_) | None => (now, store.list(target.resource, target.namespace.as_deref())),
    };
    drop(store);
    let deadline = query.number("timeoutSeconds").filter(|n| *n > 0).map_or(FAR_AWAY, Duration::from_secs);
    let mut watch = Watch {
        cuts: shared.cuts.subscribe(),
        shared: Arc::clone(shared),
        sender,
        target,
        selector,
        view: View::wanted(head),
        bookmarks,
        version,
        first: true,
    };
    let initial: Vec<Arc<Value>> = initial.into_iter().map(|(_, object)| object).collect();
    tokio::spawn(async move {
        let begun = Instant::now();
        let deadline = begun.checked_add(deadline.min(FAR_AWAY)).unwrap_or(begun);
        // Over means that nobody is left to tell.
        let _ = watch.run(too_old, initial, initial_events, deadline).await;
    });
    Ok(Source::Stream(receiver))
}

impl Watch {
    async fn run(
        &mut self,
        too_old: Option<Refusal>,
        initial: Vec<Arc<Value>>,
        mark_initial: bool,
        deadline: Instant,
    ) -> Result<(), Over> {
        if let Some(refusal) = too_old {
            return self.fail(&refusal).await;
        }
        for object in initial {
            if self.selector.matches(&object) {
                self.event("ADDED", &object).await?;
            }
        }
        if mark_initial && self.bookmarks {
            self.bookmark(true).await?;
        }
        let interval = self.shared.options.bookmark_interval.max(Duration::from_millis(1));
        let mut bookmark = tokio::time::interval_at(Instant::now() + interval, interval);
        bookmark.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut versions = self.shared.versions.subscribe();
        loop {
            self.catch_up().await?;
            tokio::select! {
                biased;
                () = self.sender.closed() => return Err(Over),
                _ = self.cuts.changed() => return Err(Over),
                () = tokio::time::sleep_until(deadline) => return self.send(Item::End).await,
                _ = versions.changed() => {}
                _ = bookmark.tick(), if self.bookmarks => self.bookmark(false).await?,
            }
        }
    }

    async fn catch_up(&mut self) -> Result<(), Over> {
        let (changes, version) = {
            let store = self.shared.store();
            let changes = store.since(self.target.resource, self.target.namespace.as_deref(), self.version);
            (changes, store.version())
        };
        match changes {
            Ok(changes) => {
                for change in changes {
                    if let Some((kind, object)) = classify(&self.selector, &change) {
                        self.event(kind, object).await?;
                    }
                }
                self.version = version;
                Ok(())
            }
            Err(refusal) => {
                self.fail(&refusal).await?;
                Err(Over)
            }
        }
    }

    async fn event(&mut self, kind: &str, object: &Value) -> Result<(), Over> {
        let object = self.view.event(self.target.kind(), object, self.first, SystemTime::now());
        self.first = false;
        self.line(kind, &object).await
    }

    async fn bookmark(&mut self, initial: bool) -> Result<(), Over> {
        let kind = self.target.kind();
        let mut object = json!({
            "kind": kind.kind,
            "apiVersion": kind.api_version(),
            "metadata": {"resourceVersion": self.version.to_string(), "creationTimestamp": null},
        });
        if initial {
            object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        self.event("BOOKMARK", &object).await
    }

    async fn fail(&mut self, refusal: &Refusal) -> Result<(), Over> {
        self.line("ERROR", &refusal.to_status()).await?;
        self.send(Item::End).await
    }

    async fn line(&mut self, kind: &str, object: &Value) -> Result<(), Over> {
        // By hand, so that the type comes first as it does from a real server.
        let line = format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n");
        self.send(Item::Data(Bytes::from(line))).await
    }

    async fn send(&mut self, item: Item) -> Result<(), Over> {
        tokio::select! {
            biased;
            _ = self.cuts.changed() => Err(Over),
            sent = self.sender.send(item) => sent.map_err(|_| Over),
        }
    }
}

/// What a change means to somebody who sees only what the selector lets through.
fn classify<'a>(selector: &Selector, change: &'a Change) -> Option<(&'static str, &'a Value)> {
    let seen = |object: &'a Option<Arc<Value>>| object.as_deref().filter(|object| selector.matches(object));
    match (seen(&change.before), seen(&change.after)) {
        (None, Some(after)) => Some(("ADDED", after)),
        (Some(_), Some(after)) => Some(("MODIFIED", after)),
        // An object that left the selection is shown as it is now, so that its version is the change's.
        (Some(before), None) => Some(("DELETED", change.after.as_deref().unwrap_or(before))),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::{RESOURCES, position};
    use crate::store::Key;

    fn pod(app: &str) -> Option<Arc<Value>> {
        Some(Arc::new(json!({"metadata": {"labels": {"app": app}}})))
    }

    #[test]
    fn leaving_and_entering_a_selection_are_deletion_and_addition() {
        let pods = position("", "pods").unwrap();
        let selector = Selector::parse(&RESOURCES[pods], Some("app=web"), None).unwrap();
        let kind = |before, after| {
            let key = Key { resource: pods, namespace: "a".into(), name: "b".into() };
            let change = Change { version: 2, key, before, after };
            classify(&selector, &change).map(|(kind, _)| kind)
        };
        assert_eq!(kind(None, pod("web")), Some("ADDED"));
        assert_eq!(kind(pod("db"), pod("web")), Some("ADDED"));
        assert_eq!(kind(pod("web"), pod("web")), Some("MODIFIED"));
        assert_eq!(kind(pod("web"), pod("db")), Some("DELETED"));
        assert_eq!(kind(pod("web"), None), Some("DELETED"));
        assert_eq!(kind(pod("db"), None), None);
    }
}
