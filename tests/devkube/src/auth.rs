//! Who asks, and whether they may. Owns the two rights; does not parse paths.

use serde_json::{Value, json};

use crate::options::{Rights, Token};
use crate::resources::{Access, Resource};
use crate::route::Target;
use crate::status::Refusal;

const READING: [&str; 3] = ["get", "list", "watch"];
/// To reach into a pod is more than to read, whichever method asks for it.
const REACHING: [&str; 3] = ["pods/exec", "pods/attach", "pods/portforward"];

/// What is asked for, in the words of a rule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    /// With its subresource: `pods/log`.
    pub(crate) resource: &'a str,
}

pub(crate) fn identify<'a>(tokens: &'a [Token], bearer: Option<&str>) -> Option<&'a Token> {
    let bearer = bearer?;
    tokens.iter().find(|known| known.token == bearer)
}

pub(crate) fn groups(token: &Token) -> Vec<String> {
    let mut groups = token.groups.clone();
    groups.push("system:authenticated".into());
    groups
}

pub(crate) fn may(rights: Rights, attempt: Attempt<'_>) -> bool {
    let own_question = attempt.resource.starts_with("selfsubject") && attempt.verb == "create";
    match rights {
        Rights::Admin => true,
        Rights::Nothing => own_question,
        Rights::ReadOnly => {
            let secret = attempt.group.is_empty() && attempt.resource.split('/').next() == Some("secrets");
            let everything = attempt.resource == "*" || attempt.group == "*";
            let reaching = attempt.group.is_empty() && REACHING.contains(&attempt.resource);
            own_question || (READING.contains(&attempt.verb) && !secret && !reaching && !everything)
        }
    }
}

/// Reading anything that is not a resource is open to everybody who is known.
pub(crate) fn may_read_path(rights: Rights, verb: &str) -> bool {
    matches!(rights, Rights::Admin) || READING.contains(&verb)
}

pub(crate) fn check(token: &Token, verb: &str, target: &Target) -> Result<(), Refusal> {
    let kind = target.kind();
    let resource = full_name(kind, target.sub.as_deref());
    if may(token.rights, Attempt { verb, group: kind.group, resource: &resource }) {
        return Ok(());
    }
    let name = target.name.as_deref().unwrap_or_default();
    let subject = if name.is_empty() { kind.qualified() } else { format!("{} {name:?}", kind.qualified()) };
    let place = match (&target.namespace, kind.namespaced) {
        (Some(namespace), true) => format!("in the namespace {namespace:?}"),
        (None, _) | (_, false) => "at the cluster scope".into(),
    };
    let message = format!(
        "{subject} is forbidden: User {user:?} cannot {verb} resource {resource:?} in API group {group:?} {place}",
        user = token.user,
        group = kind.group,
    );
    Err(Refusal::forbidden(Some((kind, name)), message))
}

fn full_name(kind: &Resource, sub: Option<&str>) -> String {
    match sub {
        Some(sub) => format!("{}/{sub}", kind.plural),
        None => kind.plural.to_owned(),
    }
}

/// The rules that a rules review lists; they say exactly what `may` does.
pub(crate) fn rules(rights: Rights) -> (Value, Value) {
    let paths = |verbs: &[&str]| json!([{"verbs": verbs, "nonResourceURLs": ["*"]}]);
    match rights {
        Rights::Admin => (json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]), paths(&["*"])),
        Rights::Nothing => (json!([own_questions()]), paths(&["get"])),
        Rights::ReadOnly => {
            let mut rules = vec![own_questions()];
            let mut by_group: Vec<(&str, Vec<&str>)> = Vec::new();
            for resource in crate::resources::RESOURCES {
                if resource.access == Access::Review || resource.is("", "secrets") {
                    continue;
                }
                match by_group.last_mut() {
                    Some((group, plurals)) if *group == resource.group => plurals.push(resource.plural),
                    Some(_) | None => by_group.push((resource.group, vec![resource.plural])),
                }
                if resource.is("", "pods") {
                    by_group.last_mut().into_iter().for_each(|(_, plurals)| plurals.push("pods/log"));
                }
            }
            rules.extend(
                by_group
                    .into_iter()
                    .map(|(group, plurals)| json!({"verbs": READING, "apiGroups": [group], "resources": plurals})),
            );
            (rules.into(), paths(&["get"]))
        }
    }
}

fn own_questions() -> Value {
    json!({
        "verbs": ["create"],
        "apiGroups": ["authentication.k8s.io", "authorization.k8s.io"],
        "resources": ["selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Route, route};

    fn refusal(verb: &str, path: &str) -> Option<String> {
        let Ok(Route::Object(target)) = route(path) else { panic!("{path}") };
        check(&Token::read_only("t", "alice"), verb, &target).err().map(|refusal| refusal.message)
    }

    #[test]
    fn a_reader_reads_everything_but_secrets() {
        assert_eq!(refusal("list", "/api/v1/pods"), None);
        assert_eq!(refusal("get", "/api/v1/namespaces/default/pods/web-0/log"), None);
        assert!(refusal("list", "/api/v1/secrets").is_some());
        assert_eq!(
            refusal("get", "/api/v1/namespaces/default/pods/web-0/exec").as_deref(),
            Some(
                r#"pods "web-0" is forbidden: User "alice" cannot get resource "pods/exec" in API group "" in the namespace "default""#
            ),
        );
        assert_eq!(refusal("create", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"), None);
        assert!(refusal("create", "/apis/authorization.k8s.io/v1/subjectaccessreviews").is_some());
    }

    #[test]
    fn the_wording_is_the_real_one() {
        assert_eq!(
            refusal("create", "/api/v1/namespaces/default/pods").as_deref(),
            Some(r#"pods is forbidden: User "alice" cannot create resource "pods" in API group "" in the namespace "default""#),
        );
        assert_eq!(
            refusal("delete", "/apis/apps/v1/namespaces/a/deployments/b").as_deref(),
            Some(
                r#"deployments.apps "b" is forbidden: User "alice" cannot delete resource "deployments" in API group "apps" in the namespace "a""#
            ),
        );
        assert_eq!(
            refusal("list", "/api/v1/secrets").as_deref(),
            Some(r#"secrets is forbidden: User "alice" cannot list resource "secrets" in API group "" at the cluster scope"#),
        );
    }

    #[test]
    fn tokens_are_looked_up_whole() {
        let tokens = [Token::admin("abc", "root")];
        assert!(identify(&tokens, Some("abc")).is_some());
        assert!(identify(&tokens, Some("ab")).is_none());
        assert!(identify(&tokens, None).is_none());
    }
}
