//! In what form the caller wants objects: whole, as a table, or only their metadata. Owns the choice and the framing
//! of single objects and lists; rows are `table`'s.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::request::Head;
use crate::resources::Resource;
use crate::table::{self, Include};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Whole,
    Metadata,
    Table(Include),
}

/// What accompanies the items of a list.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListMeta {
    pub(crate) version: String,
    pub(crate) next: Option<String>,
    pub(crate) remaining: Option<usize>,
}

impl ListMeta {
    pub(crate) fn to_json(&self) -> Value {
        let mut meta = json!({"resourceVersion": self.version});
        if let Some(next) = &self.next {
            meta["continue"] = next.as_str().into();
        }
        if let Some(remaining) = self.remaining {
            meta["remainingItemCount"] = remaining.into();
        }
        meta
    }
}

impl View {
    pub(crate) fn wanted(head: &Head) -> View {
        let include = Include::parse(head.query.get("includeObject"));
        for choice in head.accept().split(',') {
            let mut parts = choice.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            if media != "application/json" && media != "*/*" && media != "application/*" {
                continue;
            }
            return match parts.find_map(|p| p.strip_prefix("as=")) {
                Some("Table") => View::Table(include),
                Some("PartialObjectMetadata" | "PartialObjectMetadataList") => View::Metadata,
                Some(_) => continue,
                None => View::Whole,
            };
        }
        View::Whole
    }

    pub(crate) fn single(self, resource: &Resource, object: &Value, now: SystemTime) -> Value {
        match self {
            View::Whole => object.clone(),
            View::Metadata => metadata_only(object),
            View::Table(include) => {
                let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
                let meta = ListMeta { version, ..ListMeta::default() };
                table::table(resource, &[object], &meta, include, true, now)
            }
        }
    }

    /// An object inside a watch event; a table repeats its head only once.
    pub(crate) fn event(self, resource: &Resource, object: &Value, first: bool, now: SystemTime) -> Value {
        match self {
            View::Whole | View::Metadata => self.single(resource, object, now),
            View::Table(include) => table::table(resource, &[object], &ListMeta::default(), include, first, now),
        }
    }

    pub(crate) fn list(self, resource: &Resource, items: &[Arc<Value>], meta: &ListMeta, now: SystemTime) -> Value {
        match self {
            View::Whole => json!({
                "kind": format!("{}List", resource.kind),
                "apiVersion": resource.api_version(),
                "metadata": meta.to_json(),
                "items": items.iter().map(|item| without_type(item)).collect::<Vec<_>>(),
            }),
            View::Metadata => json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": meta.to_json(),
                "items": items.iter().map(|item| metadata_only(item)).collect::<Vec<_>>(),
            }),
            View::Table(include) => {
                let items: Vec<&Value> = items.iter().map(Arc::as_ref).collect();
                table::table(resource, &items, meta, include, true, now)
            }
        }
    }
}

/// Items of a list carry no type of their own; clients must take it from the list.
fn without_type(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    object
}

pub(crate) fn metadata_only(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}
