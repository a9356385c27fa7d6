//! A permissive OpenAPI v3: just enough for clients that ask it whether the server validates fields by itself (it
//! says so, and accepts everything). There are no schemas of kinds.

use serde_json::{Map, Value, json};

use crate::resources::{Access, RESOURCES, groups};
use crate::status::Refusal;

fn path_of(group: &str) -> String {
    if group.is_empty() { "api/v1".into() } else { format!("apis/{group}/v1") }
}

/// `/openapi/v3` and below; the path without that prefix.
pub(crate) fn answer(rest: &str) -> Result<Value, Refusal> {
    let rest = rest.trim_matches('/');
    let mut all = groups();
    all.insert(0, "");
    if rest.is_empty() {
        let entry = |group: &&str| {
            let path = path_of(group);
            let url = json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash=1")});
            (path, url)
        };
        return Ok(json!({"paths": all.iter().map(entry).collect::<Map<String, Value>>()}));
    }
    let group = all.into_iter().find(|group| path_of(group) == rest).ok_or_else(Refusal::no_such_path)?;
    Ok(document(group))
}

fn document(group: &str) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for resource in RESOURCES.iter().filter(|r| r.group == group && r.access != Access::Review) {
        let kind = json!({"group": resource.group, "version": resource.version, "kind": resource.kind});
        let base = path_of(group);
        let path = if resource.namespaced {
            format!("/{base}/namespaces/{{namespace}}/{}/{{name}}", resource.plural)
        } else {
            format!("/{base}/{}/{{name}}", resource.plural)
        };
        let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
        paths.insert(
            path,
            json!({"patch": {
                "operationId": format!("patch{}", resource.kind),
                "parameters": [parameter("dryRun"), parameter("fieldManager"), parameter("fieldValidation"), parameter("force")],
                "responses": {"200": {"description": "OK"}},
                "x-kubernetes-action": "patch",
                "x-kubernetes-group-version-kind": kind,
            }}),
        );
        schemas.insert(
            format!("devkube.{}", resource.kind),
            json!({
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": true,
                "x-kubernetes-group-version-kind": [kind],
            }),
        );
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "devkube", "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}
