//! Removing: delete, deletecollection, finalizers, and what goes with an object (a namespace's contents, a pod's log).

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::list::{key, selector};
use crate::request::Head;
use crate::resources::Resource;
use crate::route::Target;
use crate::shared::Shared;
use crate::status::Refusal;
use crate::store::{Key, Store};
use crate::time::stamp;
use crate::view::ListMeta;
use crate::write::{dry_run, parse};

struct Options {
    dry: bool,
    uid: Option<String>,
    version: Option<String>,
}

fn options(head: &Head, body: &Bytes) -> Result<Options, Refusal> {
    let given = if body.is_empty() { Value::Null } else { parse(head, body)? };
    let text = |field: &str| given["preconditions"][field].as_str().map(str::to_owned);
    let dry = dry_run(head)? || given["dryRun"].as_array().is_some_and(|list| list.iter().any(|v| v == "All"));
    Ok(Options { dry, uid: text("uid"), version: text("resourceVersion") })
}

pub(crate) fn delete(shared: &Shared, head: &Head, target: &Target, body: &Bytes) -> Result<Value, Refusal> {
    let options = options(head, body)?;
    let key = key(target);
    let object = shared.store().get(&key).cloned().ok_or_else(|| Refusal::not_found(key.resource(), &key.name))?;
    let metadata = &object["metadata"];
    for (given, field) in [(&options.uid, "uid"), (&options.version, "resourceVersion")] {
        if let Some(given) = given.as_deref().filter(|given| metadata[field] != *given) {
            let why = format!("Precondition failed: {field} in precondition: {given}, in object meta: {}", metadata[field]);
            return Err(Refusal::conflict(key.resource(), &key.name, &why));
        }
    }
    if options.dry {
        return Ok(success(key.resource(), &object));
    }
    match remove(shared, &key) {
        Some(waiting) => Ok((*waiting).clone()),
        None => Ok(success(key.resource(), &object)),
    }
}

fn success(resource: &Resource, object: &Value) -> Value {
    let mut details = json!({
        "name": object["metadata"]["name"],
        "kind": resource.plural,
        "uid": object["metadata"]["uid"],
    });
    if !resource.group.is_empty() {
        details["group"] = resource.group.into();
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}

pub(crate) fn collection(shared: &Shared, head: &Head, target: &Target, body: &Bytes) -> Result<Value, Refusal> {
    let options = options(head, body)?;
    let selector = selector(&head.query, target)?;
    let all = shared.store().list(target.resource, target.namespace.as_deref());
    let chosen: Vec<(Key, Arc<Value>)> = all.into_iter().filter(|(_, object)| selector.matches(object)).collect();
    if !options.dry {
        for (key, _) in &chosen {
            remove(shared, key);
        }
    }
    let items: Vec<Arc<Value>> = chosen.into_iter().map(|(_, object)| object).collect();
    let meta = ListMeta { version: shared.store().version().to_string(), ..ListMeta::default() };
    Ok(crate::view::View::Whole.list(target.kind(), &items, &meta, SystemTime::now()))
}

/// Removes an object and what belongs to it. The object comes back when finalizers keep it for now.
pub(crate) fn remove(shared: &Shared, key: &Key) -> Option<Arc<Value>> {
    let (removed, waiting) = shared.change(|store| {
        let mut removed = Vec::new();
        if key.resource().is("", "namespaces") {
            for inside in store.all_in(&key.name) {
                store.remove(&inside);
                removed.push(inside);
            }
        }
        let waiting = finish(store, key);
        removed.push(key.clone());
        (removed, waiting)
    });
    let mut logs = shared.logs();
    for key in removed.iter().filter(|key| key.resource().is("", "pods")) {
        logs.forget(&key.namespace, &key.name);
    }
    waiting
}

fn finish(store: &mut Store, key: &Key) -> Option<Arc<Value>> {
    let object = store.get(key)?;
    if object["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty) {
        store.remove(key);
        return None;
    }
    if object["metadata"]["deletionTimestamp"].is_string() {
        return Some(Arc::clone(object));
    }
    let mut marked = (**object).clone();
    marked["metadata"]["deletionTimestamp"] = stamp(SystemTime::now()).into();
    store.write(key.clone(), marked).ok()
}

/// Marked for deletion, and nothing holds it any more.
pub(crate) fn is_released(object: &Value) -> bool {
    let metadata = &object["metadata"];
    metadata["deletionTimestamp"].is_string() && metadata["finalizers"].as_array().is_none_or(Vec::is_empty)
}
