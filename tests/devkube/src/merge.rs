//! Merging patches into objects: JSON merge patch and the strategic form. Knows which lists are maps in disguise;
//! does not know kinds.

use serde_json::{Map, Value};

/// RFC 7386.
pub(crate) fn merge_patch(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    let mut fields = take_map(target);
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(name);
        } else {
            merge_patch(fields.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
    *target = fields.into();
}

/// A strategic merge patch; also what server-side apply does with a configuration.
pub(crate) fn strategic(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            let mut whole = patch.clone();
            whole.remove("$patch");
            *target = whole.into();
            return;
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return;
        }
        Some(_) | None => {}
    }
    let mut fields = take_map(target);
    if let Some(kept) = patch.get("$retainKeys").and_then(Value::as_array) {
        fields.retain(|name, _| kept.iter().any(|k| k == name));
    }
    for (name, value) in patch {
        if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
            let gone = value.as_array().map_or(&[][..], Vec::as_slice);
            if let Some(items) = fields.get_mut(list).and_then(Value::as_array_mut) {
                items.retain(|item| !gone.contains(item));
            }
        } else if name.starts_with('$') {
            // Orders come last, below; the others have been read above.
        } else if value.is_null() {
            fields.remove(name);
        } else {
            merge_field(fields.entry(name.clone()).or_insert(Value::Null), name, value);
        }
    }
    for (name, order) in patch {
        if let (Some(list), Some(order)) = (name.strip_prefix("$setElementOrder/"), order.as_array()) {
            reorder(fields.get_mut(list), list, order);
        }
    }
    *target = fields.into();
}

/// The fields of an object, taken out; anything else counts as an empty object.
fn take_map(value: &mut Value) -> Map<String, Value> {
    if let Value::Object(map) = std::mem::take(value) { map } else { Map::new() }
}

fn merge_field(target: &mut Value, name: &str, value: &Value) {
    let Some(items) = value.as_array() else {
        strategic(target, value);
        return;
    };
    if name == "finalizers" {
        let mut all = target.as_array().cloned().unwrap_or_default();
        all.extend(items.iter().filter(|item| !target.as_array().is_some_and(|old| old.contains(item))).cloned());
        *target = all.into();
        return;
    }
    match merge_key(name, items) {
        Some(key) => merge_list(target, key, items),
        None => *target = value.clone(),
    }
}

/// The field that tells elements of a list apart, where lists of that name are merged rather than replaced.
fn merge_key(list: &str, items: &[Value]) -> Option<&'static str> {
    let all_have = |key: &str| !items.is_empty() && items.iter().all(|item| !item[key].is_null() || is_replace(item));
    match list {
        "conditions" | "addresses" => Some("type").filter(|key| all_have(key)),
        "hostAliases" => Some("ip"),
        "ownerReferences" => Some("uid"),
        "ports" => ["containerPort", "port"].into_iter().find(|key| all_have(key)),
        "taints" => Some("key").filter(|key| all_have(key)),
        "topologySpreadConstraints" => Some("topologyKey"),
        "volumeDevices" => Some("devicePath"),
        "volumeMounts" => Some("mountPath"),
        "args" | "command" | "items" | "managedFields" | "rules" | "subjects" | "tls" | "tolerations" => None,
        _ => Some("name").filter(|key| all_have(key)),
    }
}

fn is_replace(item: &Value) -> bool {
    item["$patch"] == "replace"
}

fn merge_list(target: &mut Value, key: &str, items: &[Value]) {
    let mut merged = target.as_array().cloned().unwrap_or_default();
    if items.iter().any(is_replace) {
        merged.clear();
    }
    for item in items.iter().filter(|item| !is_replace(item)) {
        let place = merged.iter().position(|old| old[key] == item[key]);
        if item["$patch"] == "delete" {
            merged.retain(|old| old[key] != item[key]);
        } else if let Some(old) = place.and_then(|place| merged.get_mut(place)) {
            strategic(old, item);
        } else {
            let mut new = Value::Null;
            strategic(&mut new, item);
            merged.push(new);
        }
    }
    *target = merged.into();
}

fn reorder(list: Option<&mut Value>, name: &str, order: &[Value]) {
    let Some(items) = list.and_then(Value::as_array_mut) else {
        return;
    };
    let key = merge_key(name, order);
    let place = |item: &Value| {
        let same = |wanted: &Value| key.map_or(wanted == item, |key| wanted[key] == item[key]);
        order.iter().position(same).unwrap_or(usize::MAX)
    };
    items.sort_by_key(place);
}

/// Takes out of `target` what `before` had configured and `after` no longer does.
pub(crate) fn prune(target: &mut Value, before: &Value, after: &Value) {
    let (Some(fields), Some(before), Some(after)) = (target.as_object_mut(), before.as_object(), after.as_object()) else {
        return;
    };
    for (name, old) in before {
        let Some(new) = after.get(name) else {
            fields.remove(name);
            continue;
        };
        let Some(live) = fields.get_mut(name) else {
            continue;
        };
        if old.is_object() {
            prune(live, old, new);
        } else if let (Some(items), Some(old), Some(new)) = (live.as_array_mut(), old.as_array(), new.as_array())
            && let Some(key) = merge_key(name, old)
        {
            let in_new = |element: &Value| new.iter().find(|n| n[key] == element[key]);
            items.retain(|item| in_new(item).is_some() || !old.iter().any(|o| o[key] == item[key]));
            for item in items {
                let was = old.iter().find(|o| o[key] == item[key]);
                if let (Some(was), Some(is)) = (was, new.iter().find(|n| n[key] == item[key])) {
                    prune(item, was, is);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn after(merge: fn(&mut Value, &Value), mut target: Value, patch: &Value) -> Value {
        merge(&mut target, patch);
        target
    }

    #[test]
    fn merge_patch_removes_nulls_and_replaces_lists() {
        let out = after(
            merge_patch,
            json!({"a": {"b": 1, "c": 2}, "l": [1, 2]}),
            &json!({"a": {"b": null, "d": {"e": null}}, "l": [3]}),
        );
        assert_eq!(out, json!({"a": {"c": 2, "d": {}}, "l": [3]}));
    }

    #[test]
    fn containers_are_merged_by_name() {
        let out = after(
            strategic,
            json!({"containers": [{"name": "a", "image": "x", "env": [{"name": "K", "value": "1"}]}, {"name": "b"}]}),
            &json!({
                "containers": [{"name": "a", "image": "y"}, {"name": "b", "$patch": "delete"}, {"name": "c"}],
                "$setElementOrder/containers": [{"name": "c"}, {"name": "a"}],
            }),
        );
        assert_eq!(
            out,
            json!({"containers": [{"name": "c"}, {"name": "a", "image": "y", "env": [{"name": "K", "value": "1"}]}]})
        );
    }

    #[test]
    fn primitive_lists_and_directives() {
        let out = after(
            strategic,
            json!({"finalizers": ["a", "b"], "args": ["x"], "strategy": {"type": "RollingUpdate", "rollingUpdate": {}}}),
            &json!({
                "$deleteFromPrimitiveList/finalizers": ["a"],
                "args": ["y"],
                "strategy": {"$retainKeys": ["type"], "type": "Recreate"},
            }),
        );
        assert_eq!(out, json!({"finalizers": ["b"], "args": ["y"], "strategy": {"type": "Recreate"}}));
        assert_eq!(
            after(strategic, json!({"a": {"b": 1}}), &json!({"a": {"$patch": "replace", "c": 2}})),
            json!({"a": {"c": 2}})
        );
    }

    #[test]
    fn pruning_removes_only_what_was_configured() {
        let mut live = json!({"data": {"a": "1", "b": "2", "other": "3"}, "containers": [{"name": "x"}, {"name": "y"}]});
        let before = json!({"data": {"a": "1", "b": "2"}, "containers": [{"name": "x"}]});
        prune(&mut live, &before, &json!({"data": {"a": "1"}, "containers": [{"name": "z"}]}));
        assert_eq!(live, json!({"data": {"a": "1", "other": "3"}, "containers": [{"name": "y"}]}));
    }
}
