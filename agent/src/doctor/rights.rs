//! What the agent's own credentials may do: what it needs, and what it has beyond that.

use hyper::Method;
use miniserde::json::{self, Object, Value};

use super::kubernetes::{at, name};
use super::report::Finding;
use crate::cluster::OwnClient;
use crate::config::Config;
use crate::state::Store;

/// What everything beyond the agent's needs is compared with.
const ALL: Right = right("*", "*", "*", "");

/// Rights that make whoever has them the master of the cluster, or nearly, and that the agent has no use for.
static DANGEROUS: [(Right, &str); 10] = [
    (right("list", "", "secrets", ""), "read all Secrets"),
    (right("create", "", "pods/exec", ""), "run commands in pods"),
    (Right { namespace: "kube-system", ..right("create", "", "pods", "") }, "start pods in kube-system"),
    (right("create", "", "serviceaccounts/token", ""), "make tokens of service accounts"),
    (right("impersonate", "", "users", ""), "act as other users"),
    (right("escalate", "rbac.authorization.k8s.io", "clusterroles", ""), "give roles more rights (escalate)"),
    (right("bind", "rbac.authorization.k8s.io", "clusterroles", ""), "give anybody any role (bind)"),
    (right("create", "rbac.authorization.k8s.io", "clusterrolebindings", ""), "create ClusterRoleBindings"),
    (right("update", "", "nodes", ""), "change nodes"),
    (
        right("create", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", ""),
        "change every object as it is written",
    ),
];

#[derive(Clone, Copy, Debug)]
struct Right<'a> {
    verb: &'a str,
    group: &'a str,
    /// With its subresource behind a slash.
    resource: &'a str,
    /// Empty: in all.
    namespace: &'a str,
    /// Empty: of any.
    name: &'a str,
}

const fn right<'a>(verb: &'a str, group: &'a str, resource: &'a str, name: &'a str) -> Right<'a> {
    Right { verb, group, resource, namespace: "", name }
}

impl Right<'_> {
    /// What it is about, as kubectl spells resources.
    fn object(&self) -> String {
        let mut words = self.resource.to_owned();
        for (sign, part) in [("/", self.name), (" in ", self.namespace)] {
            if !part.is_empty() {
                words.push_str(sign);
                words.push_str(part);
            }
        }
        words
    }

    /// The question that the API server answers, as it wants to be asked.
    fn review(&self) -> Vec<u8> {
        let string = |text: &str| Value::String(text.into());
        let (resource, subresource) = self.resource.split_once('/').unwrap_or((self.resource, ""));
        let mut attributes = Object::new();
        let fields = [
            ("verb", self.verb),
            ("group", self.group),
            ("resource", resource),
            ("subresource", subresource),
            ("namespace", self.namespace),
            ("name", self.name),
        ];
        for (key, value) in fields {
            if !value.is_empty() {
                attributes.insert(key.into(), string(value));
            }
        }
        let mut spec = Object::new();
        spec.insert("resourceAttributes".into(), Value::Object(attributes));
        let mut review = Object::new();
        review.insert("apiVersion".into(), string("authorization.k8s.io/v1"));
        review.insert("kind".into(), string("SelfSubjectAccessReview"));
        review.insert("spec".into(), Value::Object(spec));
        json::to_string(&review).into_bytes()
    }
}

/// Rights in words; verbs of one object that follow each other are joined.
fn list(rights: &[Right<'_>]) -> String {
    let mut words = String::new();
    let mut rest = rights.iter().peekable();
    while let Some(right) = rest.next() {
        let object = right.object();
        words.push_str(right.verb);
        let next = rest.peek();
        if next.is_some_and(|next| next.object() == object) {
            words.push('+');
            continue;
        }
        words.push_str(&format!(" {object}"));
        if let Some(next) = next {
            words.push_str(if next.namespace == right.namespace { ", " } else { "\n" });
        }
    }
    words
}

/// Whether the API server says that the agent may; `None` where it does not say.
async fn may(client: &OwnClient, right: &Right<'_>) -> Option<bool> {
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let answer = client.request(Method::POST, path, Some(right.review())).await.ok()?;
    if answer.status != 201 && answer.status != 200 {
        return None;
    }
    match at(&answer.object()?, &["status", "allowed"]) {
        Some(Value::Bool(allowed)) => Some(*allowed),
        Some(_) | None => None,
    }
}

/// Under which name the API server knows the agent, where it tells.
async fn own_name(client: &OwnClient) -> Option<String> {
    let body = br#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#.to_vec();
    let answer = client.request(Method::POST, "/apis/authentication.k8s.io/v1/selfsubjectreviews", Some(body)).await.ok()?;
    name(&answer.object()?, &["status", "userInfo", "username"]).map(str::to_owned)
}

/// How kubectl is told whom a role is for.
fn subject(name: Option<&str>) -> String {
    let Some(name) = name else { return "--user=NAME".to_owned() };
    match name.strip_prefix("system:serviceaccount:") {
        Some(account) => format!("--serviceaccount={account}"),
        None => format!("--user={name}"),
    }
}

/// Each right that the agent uses.
pub(super) async fn needed(client: &OwnClient, config: &Config, store: &Store) -> Finding {
    let mut needs = vec![
        (right("get", "", "services", ""), true),
        (right("list", "discovery.k8s.io", "endpointslices", ""), true),
        (right("list", "", "nodes", ""), false),
        (right("list", "", "pods", ""), false),
    ];
    // Without services nobody asks where they are.
    if !config.policy.services {
        needs.retain(|(_, needed)| !needed);
    }
    let mut state = "";
    if let Store::Objects(objects) = store {
        state = &objects.namespace;
        for (resource, name, needed) in [("configmaps", &objects.configmap, true), ("secrets", &objects.secret, false)] {
            for verb in ["get", "update"] {
                needs.push((Right { namespace: state, ..right(verb, "", resource, name) }, needed));
            }
            needs.push((Right { namespace: state, ..right("create", "", resource, "") }, needed));
        }
    }
    let mut missing = Vec::new();
    let mut failed = false;
    for (right, needed) in &needs {
        match may(client, right).await {
            Some(true) => {}
            Some(false) => {
                missing.push(*right);
                failed |= needed;
            }
            None => {
                return Finding::warn("the API server does not tell which rights the agent has").cure(
                    "kubectl auth can-i create selfsubjectaccessreviews.authorization.k8s.io, with the agent's kubeconfig",
                );
            }
        }
    }
    if missing.is_empty() {
        return Finding::pass(list(&needs.iter().map(|(right, _)| *right).collect::<Vec<_>>()));
    }
    let seen = format!("missing: {}", list(&missing));
    let mut finding = if failed { Finding::fail(seen) } else { Finding::warn(seen) };
    let subject = subject(own_name(client).await.as_deref());
    if missing.iter().any(|right| right.namespace.is_empty()) {
        for line in role(&subject) {
            finding = finding.cure(line);
        }
    }
    if missing.iter().any(|right| !right.namespace.is_empty()) {
        let role = "pipeops-agent-state";
        finding = finding
            .cure(format!("kubectl -n {state} create role {role} --verb=get,create,update --resource=configmaps,secrets"))
            .cure(format!("kubectl -n {state} create rolebinding {role} --role={role} {subject}"));
    }
    finding
}

/// The commands that give the rights that concern the whole cluster.
fn role(subject: &str) -> [String; 2] {
    let role = "pipeops-agent";
    [
        format!(
            "kubectl create clusterrole {role} --verb=get,list --resource=services,endpointslices.discovery.k8s.io,nodes,pods"
        ),
        format!("kubectl create clusterrolebinding {role} --clusterrole={role} {subject}"),
    ]
}

/// Each dangerous right that it has all the same.
pub(super) async fn excess(client: &OwnClient, config: &Config) -> Finding {
    let (mut has, everything) = match may(client, &ALL).await {
        None => return Finding::skip("the API server does not tell which rights the agent has"),
        Some(true) => (vec!["everything (cluster-admin)"], true),
        Some(false) => (Vec::new(), false),
    };
    for (right, words) in DANGEROUS.iter().filter(|_| !everything) {
        if may(client, right).await == Some(true) {
            has.push(words);
        }
    }
    if has.is_empty() {
        return Finding::pass("none that would be dangerous");
    }
    let mut seen = format!("the agent may: {}", has.join(", "));
    if config.kubernetes.service_token.is_none() && client.token().is_some() {
        seen.push_str("; the control plane is given the same token, unless kubernetes.service_token names another");
    }
    let finding = Finding::warn(seen);
    if !everything {
        let name = own_name(client).await.unwrap_or_else(|| "NAME".into());
        let name = name.rsplit(':').next().unwrap_or_default().to_owned();
        return finding.cure(format!("kubectl get clusterrolebindings -o wide | grep {name}    shows where they come from"));
    }
    let account = "-n pipeops-system create serviceaccount pipeops-agent";
    let mut finding = finding.cure(format!("kubectl create namespace pipeops-system; kubectl {account}"));
    for line in role("--serviceaccount=pipeops-system:pipeops-agent") {
        finding = finding.cure(line);
    }
    finding
        .cure("kubectl -n pipeops-system create token pipeops-agent --duration=8760h")
        .cure("put that token into a kubeconfig of the agent's own, and name the file in kubernetes.kubeconfig")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_is_asked_for_as_kubernetes_wants_it() {
        let exec = right("create", "", "pods/exec", "");
        assert_eq!(
            String::from_utf8(exec.review()).unwrap(),
            r#"{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"resource":"pods","subresource":"exec","verb":"create"}}}"#
        );
        let state = Right { namespace: "ns", ..right("get", "", "configmaps", "a\"b") };
        let review: serde_json::Value = serde_json::from_slice(&state.review()).unwrap();
        assert_eq!(review["spec"]["resourceAttributes"]["name"], "a\"b");
        assert_eq!(review["spec"]["resourceAttributes"]["namespace"], "ns");
        assert_eq!(state.object(), "configmaps/a\"b in ns");
        let update = Right { verb: "update", ..state };
        assert_eq!(list(&[exec, state, update, exec]), "create pods/exec\nget+update configmaps/a\"b in ns\ncreate pods/exec");
        assert_eq!(list(&[]), "");
    }

    #[test]
    fn a_role_is_given_to_an_account_or_a_user() {
        assert_eq!(subject(Some("system:serviceaccount:ns:agent")), "--serviceaccount=ns:agent");
        assert_eq!(subject(Some("alice")), "--user=alice");
        assert_eq!(subject(None), "--user=NAME");
    }
}
