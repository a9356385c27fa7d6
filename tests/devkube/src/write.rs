//! Writing: create, update and the write after a patch, also for the owner's handle. Owns what the
//! server decides about an object (identity, generation, what a write may touch); what is stored
//! where is the store's.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::defaults;
use crate::delete;
use crate::list::key;
use crate::protobuf;
use crate::request::Head;
use crate::resources::{RESOURCES, Resource, by_kind, position};
use crate::route::Target;
use crate::shared::Shared;
use crate::status::Refusal;
use crate::store::{Key, Store};
use crate::time::stamp;

/// The places that must be objects (or absent) for the rest of the code to walk on.
const OBJECTS: &[&str] = &[
    "/metadata",
    "/metadata/labels",
    "/metadata/annotations",
    "/spec",
    "/spec/template",
    "/spec/template/spec",
    "/status",
    "/data",
    "/stringData",
];

/// The object in a request's body.
pub(crate) fn parse(head: &Head, body: &Bytes) -> Result<Value, Refusal> {
    match head.content_type().as_str() {
        binary if protobuf::is(binary) => protobuf::parse(body),
        "" | "*/*" | "application/json" => parse_json(body),
        other => Err(Refusal::media_type(format!("the body of the request is {other}, only JSON is read"))),
    }
}

pub(crate) fn parse_json(body: &Bytes) -> Result<Value, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::bad_request(format!("the body of the request could not be read as JSON: {error}")))
}

pub(crate) fn check_shape(object: &mut Value) -> Result<(), Refusal> {
    let fields = object.as_object_mut().ok_or_else(|| Refusal::bad_request("the body of the request is not an object"))?;
    let metadata = fields.entry("metadata").or_insert(Value::Null);
    if metadata.is_null() {
        *metadata = json!({});
    }
    for place in OBJECTS {
        if object.pointer(place).is_some_and(|value| !value.is_object() && !value.is_null()) {
            return Err(Refusal::bad_request(format!("json: {place} is not an object")));
        }
    }
    Ok(())
}

pub(crate) fn check_type(resource: &Resource, object: &mut Value) -> Result<(), Refusal> {
    let expected = [("apiVersion", resource.api_version()), ("kind", resource.kind.to_owned())];
    for (field, expected) in expected {
        match object[field].as_str() {
            Some(given) if given != expected => {
                return Err(Refusal::bad_request(format!(
                    "the {field} in the data ({given}) does not match the expected one ({expected})"
                )));
            }
            Some(_) => {}
            None => object[field] = expected.into(),
        }
    }
    Ok(())
}

fn check_name(resource: &Resource, name: &str) -> Result<(), Refusal> {
    let valid = !name.is_empty()
        && name.len() <= 253
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.')
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric());
    if valid {
        return Ok(());
    }
    let why = if name.is_empty() {
        "Required value: name or generateName is required".to_owned()
    } else {
        format!(
            "Invalid value: {name:?}: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"
        )
    };
    Err(Refusal::invalid(resource.kind, name, "metadata.name", &why))
}

pub(crate) fn dry_run(head: &Head) -> Result<bool, Refusal> {
    match head.query.get("dryRun") {
        None => Ok(false),
        Some("All") => Ok(true),
        Some(other) => Err(Refusal::invalid("Options", "", "dryRun", &format!("Unsupported value: {other:?}"))),
    }
}

/// Sets what the server alone decides about a new object.
fn identify(store: &mut Store, resource: &Resource, object: &mut Value) {
    let uid = store.new_uid();
    let metadata = &mut object["metadata"];
    metadata["uid"] = uid.into();
    metadata["creationTimestamp"] = stamp(SystemTime::now()).into();
    if resource.status {
        metadata["generation"] = 1.into();
    }
    for field in ["managedFields", "deletionTimestamp", "resourceVersion"] {
        remove_field(metadata, field);
    }
}

fn remove_field(value: &mut Value, field: &str) {
    if let Some(fields) = value.as_object_mut() {
        fields.remove(field);
    }
}

pub(crate) fn create(shared: &Shared, head: &Head, target: &Target, object: Value) -> Result<Arc<Value>, Refusal> {
    let resource = target.kind();
    if resource.namespaced && target.namespace.is_none() {
        return Err(Refusal::bad_request("an empty namespace may not be set during creation"));
    }
    let dry = dry_run(head)?;
    shared.change(|store| create_in(store, target, object, dry))
}

pub(crate) fn create_in(store: &mut Store, target: &Target, mut object: Value, dry: bool) -> Result<Arc<Value>, Refusal> {
    let resource = target.kind();
    check_shape(&mut object)?;
    check_type(resource, &mut object)?;
    place(&mut object, target)?;
    if let Some(version) = object["metadata"]["resourceVersion"].as_str().filter(|v| !v.is_empty()) {
        let why = format!("resourceVersion should not be set on objects to be created, it is {version:?}");
        return Err(Refusal::bad_request(why));
    }
    let metadata = &mut object["metadata"];
    let name = match (metadata["name"].as_str().filter(|n| !n.is_empty()), metadata["generateName"].as_str()) {
        (Some(name), _) => name.to_owned(),
        (None, Some(prefix)) => format!("{prefix}{}", store.new_suffix()),
        (None, None) => String::new(),
    };
    check_name(resource, &name)?;
    metadata["name"] = name.as_str().into();
    if resource.status {
        remove_field(&mut object, "status");
    }
    let key = Key { resource: target.resource, namespace: target.namespace.clone().unwrap_or_default(), name };
    if resource.namespaced {
        check_namespace(store, &key.namespace)?;
    }
    if store.get(&key).is_some() {
        return Err(Refusal::already_exists(resource, &key.name));
    }
    defaults::fill(resource, &mut object, store.version());
    identify(store, resource, &mut object);
    if dry { Ok(Arc::new(object)) } else { store.write(key, object) }
}

/// Puts the namespace of the path into the object, or finds that they contradict.
fn place(object: &mut Value, target: &Target) -> Result<(), Refusal> {
    let Some(namespace) = &target.namespace else {
        return Ok(());
    };
    let metadata = &mut object["metadata"];
    match metadata["namespace"].as_str() {
        Some(given) if !given.is_empty() && given != namespace => {
            Err(Refusal::bad_request("the namespace of the provided object does not match the namespace sent on the request"))
        }
        Some(_) | None => {
            metadata["namespace"] = namespace.as_str().into();
            Ok(())
        }
    }
}

fn check_namespace(store: &Store, namespace: &str) -> Result<(), Refusal> {
    let Some(resource) = position("", "namespaces") else {
        return Ok(());
    };
    let key = Key { resource, namespace: String::new(), name: namespace.to_owned() };
    match store.get(&key) {
        Some(_) => Ok(()),
        None => Err(Refusal::not_found(key.resource(), namespace)),
    }
}

pub(crate) fn update(shared: &Shared, head: &Head, target: &Target, object: Value) -> Result<Arc<Value>, Refusal> {
    let dry = dry_run(head)?;
    let key = key(target);
    shared.change(|store| {
        let old = store.get(&key).cloned().ok_or_else(|| Refusal::not_found(key.resource(), &key.name))?;
        replace(store, &key, target, &old, object, dry)
    })
}

/// Puts a new state in the place of an old one, within what a write may touch.
pub(crate) fn replace(
    store: &mut Store,
    key: &Key,
    target: &Target,
    old: &Arc<Value>,
    mut new: Value,
    dry: bool,
) -> Result<Arc<Value>, Refusal> {
    let resource = key.resource();
    check_shape(&mut new)?;
    check_type(resource, &mut new)?;
    place(&mut new, target)?;
    let metadata = &mut new["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    if name != key.name {
        let message = format!("the name of the object ({name}) does not match the name on the URL ({})", key.name);
        return Err(Refusal::bad_request(message));
    }
    let was = &old["metadata"];
    if metadata["uid"].as_str().is_some_and(|uid| !uid.is_empty() && was["uid"] != uid) {
        let why = format!("Precondition failed: UID in precondition: {}, UID in object meta: {}", metadata["uid"], was["uid"]);
        return Err(Refusal::conflict(resource, &key.name, &why));
    }
    if metadata["resourceVersion"].as_str().is_some_and(|v| !v.is_empty() && was["resourceVersion"] != v) {
        return Err(Refusal::stale(resource, &key.name));
    }
    for field in ["uid", "creationTimestamp", "deletionTimestamp", "generation", "resourceVersion"] {
        match was.get(field) {
            Some(value) => metadata[field] = value.clone(),
            None => remove_field(metadata, field),
        }
    }
    remove_field(metadata, "managedFields");
    if target.sub.is_some() {
        let status = new["status"].take();
        new = (**old).clone();
        new["status"] = status;
    } else if resource.status {
        match old.get("status") {
            Some(status) => new["status"] = status.clone(),
            None => remove_field(&mut new, "status"),
        }
    }
    if resource.is("", "services") && new["spec"]["clusterIP"].is_null() && new["spec"].is_object() {
        new["spec"]["clusterIP"] = old["spec"]["clusterIP"].clone();
    }
    defaults::fill(resource, &mut new, store.version());
    if let Some(generation) = was["generation"].as_u64().filter(|_| new["spec"] != old["spec"]) {
        new["metadata"]["generation"] = generation.saturating_add(1).into();
    }
    if new == **old {
        return Ok(Arc::clone(old));
    }
    if dry {
        return Ok(Arc::new(new));
    }
    let written = store.write(key.clone(), new)?;
    if delete::is_released(&written) {
        store.remove(key);
    }
    Ok(written)
}

/// The owner's own write: creates or replaces, status and all, without asking for versions or namespaces.
pub(crate) fn put(shared: &Shared, mut object: Value) -> Result<Arc<Value>, Refusal> {
    check_shape(&mut object)?;
    let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
    let resource = by_kind(&text("apiVersion"), &text("kind")).ok_or_else(Refusal::no_such_path)?;
    let kind = RESOURCES.get(resource).ok_or_else(Refusal::no_such_path)?;
    let metadata = &mut object["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default().to_owned();
    check_name(kind, &name)?;
    let namespace = if kind.namespaced {
        let namespace = metadata["namespace"].as_str().filter(|n| !n.is_empty()).unwrap_or("default").to_owned();
        metadata["namespace"] = namespace.as_str().into();
        namespace
    } else {
        remove_field(metadata, "namespace");
        String::new()
    };
    let key = Key { resource, namespace, name };
    shared.change(|store| {
        defaults::fill(kind, &mut object, store.version());
        let old = store.get(&key).cloned();
        match old {
            Some(old) => {
                let (was, metadata) = (&old["metadata"], &mut object["metadata"]);
                metadata["uid"] = was["uid"].clone();
                metadata["creationTimestamp"] = was["creationTimestamp"].clone();
                if let Some(generation) = was["generation"].as_u64() {
                    let changed = u64::from(old["spec"] != object["spec"]);
                    object["metadata"]["generation"] = generation.saturating_add(changed).into();
                }
            }
            None => {
                let created = object["metadata"]["creationTimestamp"].clone();
                identify(store, kind, &mut object);
                // A given time stays: seeds and tests make things look old.
                if created.is_string() {
                    object["metadata"]["creationTimestamp"] = created;
                }
            }
        }
        store.write(key, object)
    })
}
