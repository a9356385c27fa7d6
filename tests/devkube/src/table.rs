//! Tables for server-side printing: head, rows and what comes with each row. The columns are `columns`'.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::columns::columns;
use crate::resources::Resource;
use crate::view::{ListMeta, metadata_only};

/// What a row carries besides its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Include {
    Nothing,
    Metadata,
    Object,
}

impl Include {
    pub(crate) fn parse(text: Option<&str>) -> Include {
        match text {
            Some("None") => Include::Nothing,
            Some("Object") => Include::Object,
            Some(_) | None => Include::Metadata,
        }
    }
}

pub(crate) fn table(
    resource: &Resource,
    items: &[&Value],
    meta: &ListMeta,
    include: Include,
    with_head: bool,
    now: SystemTime,
) -> Value {
    let columns = columns(resource);
    let head: Vec<Value> = columns
        .iter()
        .map(|column| {
            json!({
                "name": column.name,
                "type": column.kind,
                "format": if column.name == "Name" { "name" } else { "" },
                "description": "",
                "priority": column.priority,
            })
        })
        .collect();
    let rows: Vec<Value> = items
        .iter()
        .map(|item| {
            let cells: Vec<Value> = columns.iter().map(|column| (column.cell)(item, now)).collect();
            match include {
                Include::Nothing => json!({"cells": cells}),
                Include::Metadata => json!({"cells": cells, "object": metadata_only(item)}),
                Include::Object => json!({"cells": cells, "object": item}),
            }
        })
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta.to_json(),
        "columnDefinitions": if with_head { Value::from(head) } else { Value::Null },
        "rows": rows,
    })
}
