//! Reading: get, list and its pages.

use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::request::{Head, Query};
use crate::route::Target;
use crate::selector::Selector;
use crate::shared::Shared;
use crate::status::Refusal;
use crate::store::Key;
use crate::view::{ListMeta, View};

pub(crate) fn key(target: &Target) -> Key {
    Key {
        resource: target.resource,
        namespace: target.namespace.clone().unwrap_or_default(),
        name: target.name.clone().unwrap_or_default(),
    }
}

pub(crate) fn find(shared: &Shared, key: &Key) -> Result<Arc<Value>, Refusal> {
    shared.store().get(key).cloned().ok_or_else(|| Refusal::not_found(key.resource(), &key.name))
}

pub(crate) fn get(shared: &Shared, head: &Head, target: &Target) -> Result<Value, Refusal> {
    let object = find(shared, &key(target))?;
    Ok(View::wanted(head).single(target.kind(), &object, SystemTime::now()))
}

pub(crate) fn selector(query: &Query, target: &Target) -> Result<Selector, Refusal> {
    Selector::parse(target.kind(), query.get("labelSelector"), query.get("fieldSelector"))
}

/// A version out of a query; zero means "any", like none.
pub(crate) fn version(query: &Query) -> Result<Option<u64>, Refusal> {
    let Some(text) = query.get("resourceVersion") else {
        return Ok(None);
    };
    let version: u64 = text.parse().map_err(|_| {
        Refusal::bad_request(format!("resourceVersion: Invalid value: {text:?}: strconv.ParseUint: invalid syntax"))
    })?;
    Ok(Some(version).filter(|v| *v > 0))
}

pub(crate) fn list(shared: &Shared, head: &Head, target: &Target) -> Result<Value, Refusal> {
    let selector = selector(&head.query, target)?;
    let page = page(shared, head, target, &selector)?;
    Ok(View::wanted(head).list(target.kind(), &page.0, &page.1, SystemTime::now()))
}

type Page = (Vec<Arc<Value>>, ListMeta);

fn page(shared: &Shared, head: &Head, target: &Target, selector: &Selector) -> Result<Page, Refusal> {
    let query = &head.query;
    let namespace = target.namespace.as_deref();
    let asked = version(query)?;
    let limit = query.number("limit").filter(|n| *n > 0).and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    let store = shared.store();
    if let Some(asked) = asked.filter(|asked| *asked > store.version()) {
        return Err(Refusal::from_the_future(asked, store.version()));
    }
    let (at, after) = match query.get("continue") {
        Some(token) => {
            let (at, after) = open_token(token)?;
            if at < store.oldest() {
                return Err(Refusal::continue_expired());
            }
            (at, Some(after))
        }
        None if query.get("resourceVersionMatch") == Some("Exact") => {
            let asked = asked.ok_or_else(|| {
                Refusal::bad_request(
                    "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
                )
            })?;
            if asked < store.oldest() {
                return Err(Refusal::too_old(asked, store.oldest()));
            }
            (asked, None)
        }
        None => (store.version(), None),
    };
    let objects = store.list_at(target.resource, namespace, at);
    drop(store);
    let mut rest = objects
        .into_iter()
        .filter(|(key, _)| after.as_ref().is_none_or(|after| (&key.namespace, &key.name) > (&after.0, &after.1)))
        .filter(|(_, object)| selector.matches(object));
    let mut items = Vec::new();
    let mut last = None;
    for (key, object) in rest.by_ref().take(limit) {
        items.push(object);
        last = Some(key);
    }
    let remaining = rest.count();
    let mut meta = ListMeta { version: at.to_string(), ..ListMeta::default() };
    if let Some(last) = last.filter(|_| remaining > 0) {
        meta.next = Some(make_token(at, &last));
        // The real server cannot count what a selector would leave, and says nothing.
        meta.remaining = Some(remaining).filter(|_| selector.is_empty());
    }
    Ok((items, meta))
}

fn make_token(version: u64, last: &Key) -> String {
    let token = json!({"v": "meta.k8s.io/v1", "rv": version, "start": [last.namespace, last.name]});
    URL_SAFE_NO_PAD.encode(token.to_string())
}

fn open_token(token: &str) -> Result<(u64, (String, String)), Refusal> {
    let invalid = || Refusal::bad_request("continue key is not valid");
    let json = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
    let token: Value = serde_json::from_slice(&json).map_err(|_| invalid())?;
    let text = |n: usize| token["start"][n].as_str().map(str::to_owned).ok_or_else(invalid);
    Ok((token["rv"].as_u64().ok_or_else(invalid)?, (text(0)?, text(1)?)))
}
