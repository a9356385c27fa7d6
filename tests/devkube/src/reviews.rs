//! Questions about identity and rights, answered from the same table that decides. Nothing is stored.

use serde_json::{Value, json};

use crate::auth::{Attempt, groups, identify, may, may_read_path, rules};
use crate::options::{Options, Rights, Token};
use crate::resources::Resource;
use crate::status::Refusal;

pub(crate) fn answer(options: &Options, asker: &Token, resource: &Resource, review: &Value) -> Result<Value, Refusal> {
    let spec = &review["spec"];
    let status = match resource.plural {
        "selfsubjectaccessreviews" => access(Some(asker.rights), spec)?,
        "subjectaccessreviews" => {
            let subject = options.tokens.iter().find(|token| spec["user"] == token.user.as_str());
            access(subject.map(|token| token.rights), spec)?
        }
        "selfsubjectrulesreviews" => {
            let (resources, paths) = rules(asker.rights);
            json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
        }
        "selfsubjectreviews" => json!({"userInfo": user_info(asker)}),
        "tokenreviews" => match identify(&options.tokens, spec["token"].as_str()) {
            Some(token) => json!({"authenticated": true, "user": user_info(token)}),
            None => json!({"authenticated": false, "error": "the token is not known"}),
        },
        _ => return Err(Refusal::no_such_path()),
    };
    Ok(json!({
        "kind": resource.kind,
        "apiVersion": resource.api_version(),
        "metadata": {"creationTimestamp": null},
        "spec": if spec.is_null() { json!({}) } else { spec.clone() },
        "status": status,
    }))
}

fn user_info(token: &Token) -> Value {
    json!({"username": token.user, "groups": groups(token)})
}

fn access(rights: Option<Rights>, spec: &Value) -> Result<Value, Refusal> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let allowed = if spec["resourceAttributes"].is_object() {
        let asked = &spec["resourceAttributes"];
        let (verb, group, plural, sub) =
            (text(&asked["verb"]), text(&asked["group"]), text(&asked["resource"]), text(&asked["subresource"]));
        let resource = if sub.is_empty() { plural } else { format!("{plural}/{sub}") };
        rights.is_some_and(|rights| may(rights, Attempt { verb: &verb, group: &group, resource: &resource }))
    } else if spec["nonResourceAttributes"].is_object() {
        rights.is_some_and(|rights| may_read_path(rights, &text(&spec["nonResourceAttributes"]["verb"])))
    } else {
        let why = "Invalid value: exactly one of nonResourceAttributes or resourceAttributes must be specified";
        return Err(Refusal::invalid("SubjectAccessReview", "", "spec.resourceAttributes", why));
    };
    let reason = match (allowed, rights) {
        (true, Some(Rights::Admin)) => "devkube: the token may do everything",
        (true, Some(Rights::ReadOnly | Rights::Nothing) | None) => "devkube: the token may read",
        (false, _) => "",
    };
    Ok(json!({"allowed": allowed, "reason": reason}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_what_would_happen() {
        let ask = |verb: &str, resource: &str| {
            let spec = json!({"resourceAttributes": {"verb": verb, "resource": resource, "namespace": "default"}});
            access(Some(Rights::ReadOnly), &spec).unwrap()["allowed"] == true
        };
        assert!(ask("list", "pods"));
        assert!(!ask("list", "secrets"));
        assert!(!ask("create", "pods"));
        assert!(!ask("*", "*"));
        assert!(access(Some(Rights::Admin), &json!({})).is_err());
    }
}
