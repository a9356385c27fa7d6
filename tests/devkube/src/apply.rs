//! Patches: which form a patch has, and server-side apply. How a merge works is `merge`'s and `jsonpatch`'s; what a
//! write may touch is `write`'s.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::jsonpatch;
use crate::list::key;
use crate::merge;
use crate::request::Head;
use crate::route::Target;
use crate::shared::Shared;
use crate::status::Refusal;
use crate::store::Key;
use crate::write::{check_shape, check_type, create_in, dry_run, parse_json, replace};

/// The answer's status and the object: an apply may create.
pub(crate) fn patch(shared: &Shared, head: &Head, target: &Target, body: &Bytes) -> Result<(u16, Arc<Value>), Refusal> {
    let dry = dry_run(head)?;
    let key = key(target);
    let content_type = head.content_type();
    if content_type == "application/apply-patch+yaml" {
        return apply(shared, head, target, &key, body, dry);
    }
    let patch = parse_json(body)?;
    shared.change(|store| {
        let old = store.get(&key).cloned().ok_or_else(|| Refusal::not_found(key.resource(), &key.name))?;
        let mut new = (*old).clone();
        match content_type.as_str() {
            "application/json-patch+json" => jsonpatch::apply(&mut new, &patch)?,
            "application/merge-patch+json" => merge::merge_patch(&mut new, &patch),
            "application/strategic-merge-patch+json" => merge::strategic(&mut new, &patch),
            other => {
                return Err(Refusal::media_type(format!(
                    "the body of the request was in an unknown format - accepted media types include: \
                     application/json-patch+json, application/merge-patch+json, \
                     application/strategic-merge-patch+json, application/apply-patch+yaml (not {other})"
                )));
            }
        }
        Ok((200, replace(store, &key, target, &old, new, dry)?))
    })
}

/// Server-side apply without ownership of fields: fields are merged, and what the same manager applied before and
/// leaves out now is removed. There are no conflicts between managers.
fn apply(
    shared: &Shared,
    head: &Head,
    target: &Target,
    key: &Key,
    body: &Bytes,
    dry: bool,
) -> Result<(u16, Arc<Value>), Refusal> {
    let manager = head.query.get("fieldManager").unwrap_or_default();
    if manager.is_empty() {
        let why = "Required value: is required for apply patch";
        return Err(Refusal::invalid("PatchOptions", "", "fieldManager", why));
    }
    let mut wanted = serde_json::from_slice(body).map_err(|error| {
        Refusal::media_type(format!("an apply configuration must be written as JSON, which is YAML too: {error}"))
    })?;
    check_shape(&mut wanted)?;
    check_type(key.resource(), &mut wanted)?;
    let configuration = wanted.clone();
    let (status, object) = shared.change(|store| {
        let Some(old) = store.get(key).cloned() else {
            if target.sub.is_some() {
                return Err(Refusal::not_found(key.resource(), &key.name));
            }
            wanted["metadata"]["name"] = key.name.as_str().into();
            return Ok((201, create_in(store, target, wanted, dry)?));
        };
        let mut new = (*old).clone();
        if let Some(before) = store.applied(key, manager) {
            merge::prune(&mut new, before, &wanted);
        }
        merge::strategic(&mut new, &wanted);
        Ok((200, replace(store, key, target, &old, new, dry)?))
    })?;
    if !dry {
        shared.store().remember_applied(key, manager, configuration);
    }
    Ok((status, object))
}
