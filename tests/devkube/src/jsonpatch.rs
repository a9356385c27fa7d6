//! JSON patch, RFC 6902. Pure.

use serde_json::Value;

use crate::status::Refusal;

/// Applies all operations or none of them counts: the caller throws the object away on an error.
pub(crate) fn apply(object: &mut Value, patch: &Value) -> Result<(), Refusal> {
    let operations = patch.as_array().ok_or_else(|| Refusal::bad_request("a JSON patch is a list of operations"))?;
    operations.iter().try_for_each(|operation| one(object, operation))
}

fn one(object: &mut Value, operation: &Value) -> Result<(), Refusal> {
    let text = |field: &str| operation[field].as_str();
    let path = text("path").ok_or_else(|| failed("an operation without a path"))?;
    let value = || operation.get("value").cloned().ok_or_else(|| failed("an operation without a value"));
    let from = || text("from").ok_or_else(|| failed("an operation without from"));
    match text("op") {
        Some("add") => add(object, path, value()?),
        Some("remove") => remove(object, path).map(drop),
        Some("replace") => {
            *object.pointer_mut(path).ok_or_else(|| missing("replace", path))? = value()?;
            Ok(())
        }
        Some("move") => {
            let moved = remove(object, from()?)?;
            add(object, path, moved)
        }
        Some("copy") => {
            let copied = object.pointer(from()?).cloned().ok_or_else(|| missing("copy", path))?;
            add(object, path, copied)
        }
        Some("test") => {
            let same = object.pointer(path) == Some(&value()?);
            if same { Ok(()) } else { Err(failed(&format!("testing value {path} failed"))) }
        }
        Some(_) | None => Err(failed("an operation that is unknown")),
    }
}

fn failed(why: &str) -> Refusal {
    Refusal::invalid("JSONPatch", "", "patch", why)
}

fn missing(operation: &str, path: &str) -> Refusal {
    failed(&format!("{operation} operation does not apply: doc is missing path: {path}"))
}

/// The parent and the last token, unescaped.
fn split<'a>(object: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (parent, last) = path.rsplit_once('/')?;
    Some((object.pointer_mut(parent)?, last.replace("~1", "/").replace("~0", "~")))
}

fn add(object: &mut Value, path: &str, value: Value) -> Result<(), Refusal> {
    if path.is_empty() {
        *object = value;
        return Ok(());
    }
    let (parent, last) = split(object, path).ok_or_else(|| missing("add", path))?;
    if let Some(items) = parent.as_array_mut() {
        let place = if last == "-" { Some(items.len()) } else { last.parse().ok() };
        let place = place.filter(|place| *place <= items.len()).ok_or_else(|| missing("add", path))?;
        items.insert(place, value);
    } else {
        let fields = parent.as_object_mut().ok_or_else(|| missing("add", path))?;
        fields.insert(last, value);
    }
    Ok(())
}

fn remove(object: &mut Value, path: &str) -> Result<Value, Refusal> {
    let (parent, last) = split(object, path).ok_or_else(|| missing("remove", path))?;
    let removed = if let Some(items) = parent.as_array_mut() {
        let place = last.parse().ok().filter(|place: &usize| *place < items.len());
        place.map(|place| items.remove(place))
    } else {
        parent.as_object_mut().and_then(|fields| fields.remove(&last))
    };
    removed.ok_or_else(|| missing("remove", path))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_operation() {
        let mut object = json!({"a": {"x/y": 1}, "l": [1, 3]});
        let patch = json!([
            {"op": "test", "path": "/a/x~1y", "value": 1},
            {"op": "add", "path": "/l/1", "value": 2},
            {"op": "add", "path": "/l/-", "value": 4},
            {"op": "replace", "path": "/l/0", "value": 0},
            {"op": "copy", "from": "/l", "path": "/m"},
            {"op": "move", "from": "/a/x~1y", "path": "/b"},
            {"op": "remove", "path": "/l/0"},
        ]);
        apply(&mut object, &patch).unwrap();
        assert_eq!(object, json!({"a": {}, "b": 1, "l": [2, 3, 4], "m": [0, 2, 3, 4]}));
    }

    #[test]
    fn what_does_not_apply_is_refused() {
        for bad in [
            json!({}),
            json!([{"op": "remove", "path": "/nope"}]),
            json!([{"op": "add", "path": "/l/9", "value": 1}]),
            json!([{"op": "test", "path": "/l", "value": 1}]),
            json!([{"op": "sing", "path": "/l"}]),
            json!([{"op": "add", "path": "/l/0"}]),
        ] {
            assert!(apply(&mut json!({"l": []}), &bad).is_err(), "{bad}");
        }
    }
}
