//! From a path to what it means. Knows the table of resources, not what is stored.

use crate::request::decode;
use crate::resources::{RESOURCES, Resource, groups, position};
use crate::status::Refusal;

#[derive(Debug)]
pub(crate) enum Route {
    CoreVersions,
    Groups,
    Group(&'static str),
    Resources(&'static str),
    Object(Target),
}

/// A resource path: a collection when there is no name.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) resource: usize,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) sub: Option<String>,
}

impl Target {
    pub(crate) fn kind(&self) -> &'static Resource {
        RESOURCES.get(self.resource).unwrap_or(&RESOURCES[0])
    }
}

pub(crate) fn route(path: &str) -> Result<Route, Refusal> {
    let segments: Vec<String> = path.split('/').filter(|s| !s.is_empty()).map(decode).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["api"] => Ok(Route::CoreVersions),
        ["apis"] => Ok(Route::Groups),
        ["api", "v1", rest @ ..] => below("", rest),
        ["apis", group] => Ok(Route::Group(known(group)?)),
        ["apis", group, "v1", rest @ ..] => below(known(group)?, rest),
        _ => Err(Refusal::no_such_path()),
    }
}

fn known(group: &str) -> Result<&'static str, Refusal> {
    groups().into_iter().find(|g| *g == group).ok_or_else(Refusal::no_such_path)
}

fn below(group: &'static str, rest: &[&str]) -> Result<Route, Refusal> {
    let (namespace, rest) = match rest {
        [] => return Ok(Route::Resources(group)),
        // Only a subresource of the namespace itself has this form and is not a resource inside it.
        ["namespaces", _, "status" | "finalize"] => (None, rest),
        ["namespaces", namespace, inside @ ..] if !inside.is_empty() => (Some((*namespace).to_owned()), inside),
        _ => (None, rest),
    };
    let (plural, name, sub) = match rest {
        [plural] => (*plural, None, None),
        [plural, name] => (*plural, Some((*name).to_owned()), None),
        [plural, name, sub] => (*plural, Some((*name).to_owned()), Some((*sub).to_owned())),
        _ => return Err(Refusal::no_such_path()),
    };
    let resource = position(group, plural).ok_or_else(Refusal::no_such_path)?;
    let target = Target { resource, namespace, name, sub };
    let misplaced =
        if target.kind().namespaced { target.name.is_some() && target.namespace.is_none() } else { target.namespace.is_some() };
    if misplaced { Err(Refusal::no_such_path()) } else { Ok(Route::Object(target)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(path: &str) -> (String, Option<String>, Option<String>, Option<String>) {
        let Ok(Route::Object(target)) = route(path) else { panic!("{path} is not an object path") };
        (target.kind().qualified(), target.namespace, target.name, target.sub)
    }

    #[test]
    fn paths_find_their_resource() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(object("/api/v1/pods"), ("pods".into(), None, None, None));
        assert_eq!(object("/api/v1/namespaces/a"), ("namespaces".into(), None, some("a"), None));
        assert_eq!(object("/api/v1/namespaces/a/status"), ("namespaces".into(), None, some("a"), some("status")));
        assert_eq!(object("/api/v1/namespaces/a/pods/b/log"), ("pods".into(), some("a"), some("b"), some("log")));
        assert_eq!(
            object("/apis/apps/v1/namespaces/a/deployments/b%2Dc"),
            ("deployments.apps".into(), some("a"), some("b-c"), None)
        );
    }

    #[test]
    fn what_does_not_exist_is_not_found() {
        for path in ["/", "/api/v2", "/apis/nope", "/api/v1/pods/x", "/api/v1/namespaces/a/nodes", "/api/v1/widgets"] {
            assert_eq!(route(path).unwrap_err().code, 404, "{path}");
        }
    }
}
