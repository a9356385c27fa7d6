//! `policy explain`: what the policy makes of a request, in one line, without anybody to ask.

use core::fmt;

use pipeops_agent_core::policy::{self, KubernetesCall, Refusal};

use crate::arguments::Arguments;
use crate::config::LoadedPolicy;

/// How the address of a service begins.
const SERVICE: &str = "service://";

/// A request that the control plane might send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) method: String,
    /// A path of the Kubernetes API or a `service://` address, with or without a query.
    pub(crate) target: String,
    /// Whether it asks for another protocol.
    pub(crate) upgrade: bool,
}

impl Question {
    /// What the command line asks.
    pub(crate) fn of(arguments: &Arguments) -> Self {
        let operand = |index: usize| arguments.operands.get(index).cloned().unwrap_or_default();
        Self { method: operand(0), target: operand(1), upgrade: arguments.has("--upgrade") }
    }
}

/// The answer to a question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) allowed: bool,
    /// With a line feed at the end.
    pub(crate) line: String,
}

/// A question that cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QuestionError {
    /// Neither a path nor the address of a service.
    Target,
    /// A service without a namespace, a name and a port of 1 to 65535.
    Service,
}

impl fmt::Display for QuestionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Target => "PATH must begin with a slash or with service://",
            Self::Service => "a service is written as service://NAMESPACE/NAME:PORT/path",
        })?;
        formatter.write_str("; see pipeops-agent policy explain --help")
    }
}

/// Asks the rules in the order in which a request meets them.
pub(crate) fn explain(loaded: &LoadedPolicy, question: &Question) -> Result<Answer, QuestionError> {
    let (path, query) = question.target.split_once('?').unwrap_or((&question.target, ""));
    let method = policy::method(&question.method);
    let spelled = method.as_deref().unwrap_or(&question.method);
    let (verb, verdict) = if let Some(rest) = path.strip_prefix(SERVICE) {
        let (service, path) = Service::parse(rest).ok_or(QuestionError::Service)?;
        let spelling = method.as_ref().map_err(|refusal| *refusal).and_then(|method| {
            policy::service_path(path)?;
            policy::query(query)?;
            Ok(method)
        });
        let ask = |method: &String| {
            loaded.policy.explain_service(service.namespace, service.name, service.port, method, question.upgrade)
        };
        (None, spelling.and_then(ask))
    } else if path.starts_with('/') {
        let spelling = method.as_ref().map_err(|refusal| *refusal).and_then(|_| {
            policy::kubernetes_path(path)?;
            policy::query(query)
        });
        match spelling {
            Err(refusal) => (None, Err(refusal)),
            Ok(_) => {
                let call = KubernetesCall { method: spelled, path, query, upgrade: question.upgrade };
                let explanation = loaded.policy.explain_kubernetes(&call);
                (Some(explanation.verb), explanation.verdict)
            }
        }
    } else {
        return Err(QuestionError::Target);
    };
    let rule = verdict.unwrap_or_else(Refusal::rule);
    let allowed = verdict.is_ok();
    let decision = if allowed { "allow" } else { "deny" };
    // What was typed goes to a terminal.
    let shown = |text: &str| text.escape_debug().to_string();
    let verb = verb.map(|verb| format!("verb {}, ", verb.name())).unwrap_or_default();
    let setting = loaded.setting_of(rule).map(|(path, source)| format!(" ({path} in {source})")).unwrap_or_default();
    let line = format!("{decision} {} {}: {verb}rule {rule}{setting}\n", shown(spelled), shown(&question.target));
    Ok(Answer { allowed, line })
}

struct Service<'a> {
    namespace: &'a str,
    name: &'a str,
    port: u16,
}

impl<'a> Service<'a> {
    /// Reads `NAMESPACE/NAME:PORT/path`; what remains is the path. Whether the names are good is a rule's business.
    fn parse(text: &'a str) -> Option<(Self, &'a str)> {
        let (namespace, rest) = text.split_once('/')?;
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let (name, port) = authority.split_once(':')?;
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| digits && *port != 0)?;
        Some((Self { namespace, name, port }, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::fake::World;

    fn ask(file: &str, words: &[&str]) -> Result<Answer, QuestionError> {
        let world = World::default().file("/c.yaml", file);
        let words = [&["policy", "explain", "--config", "/c.yaml"], words].concat();
        let arguments = Arguments::parse(words).unwrap();
        explain(&Config::load_policy(&arguments, &world, &world).unwrap(), &Question::of(&arguments))
    }

    #[test]
    fn one_line_says_it_all_and_no_token_is_needed() {
        let file = "policy:\n  verbs: [get, list]\n  deny_namespaces: [kube-system]\n  deny_services:\n  - shop/database\n";
        for (words, line) in [
            (&["GET", "/api/v1/nodes"][..], "allow GET /api/v1/nodes: verb list, rule verbs (policy.verbs in /c.yaml:2:10)"),
            (&["get", "/version"], "allow GET /version: verb get, rule verbs (policy.verbs in /c.yaml:2:10)"),
            (
                &["GET", "/api/v1/nodes?watch=true"],
                "deny GET /api/v1/nodes?watch=true: verb watch, rule verbs (policy.verbs in /c.yaml:2:10)",
            ),
            (
                &["POST", "/api/v1/namespaces/default/pods/x/exec"],
                "deny POST /api/v1/namespaces/default/pods/x/exec: verb exec, rule verbs (policy.verbs in /c.yaml:2:10)",
            ),
            (
                &["GET", "/api/v1/namespaces/kube-system/pods"],
                "deny GET /api/v1/namespaces/kube-system/pods: verb list, rule deny-namespaces \
                 (policy.deny_namespaces in /c.yaml:3:20)",
            ),
            (
                &["--upgrade", "GET", "/apis/g/v1/namespaces/a/things/x/console"],
                "deny GET /apis/g/v1/namespaces/a/things/x/console: verb exec, rule verbs (policy.verbs in /c.yaml:2:10)",
            ),
            (&["GET", "/metrics"], "deny GET /metrics: rule path-root"),
            (&["GET", "/api/../x"], "deny GET /api/../x: rule path-segment"),
            (&["GET", "/api/%2e"], "deny GET /api/%2e: rule path-character"),
            (&["CONNECT", "/api"], "deny CONNECT /api: rule method"),
            (&["GET", "/api\u{1b}[0m"], "deny GET /api\\u{1b}[0m: rule path-character"),
            (&["POST", "service://shop/web:80/cart?a=b"], "allow POST service://shop/web:80/cart?a=b: rule default"),
            (&["GET", "service://shop/web:80"], "allow GET service://shop/web:80: rule default"),
            (
                &["GET", "service://shop/database:80/"],
                "deny GET service://shop/database:80/: rule deny-services (policy.deny_services in /c.yaml:5:5)",
            ),
            (&["GET", "service://Shop/web:80/"], "deny GET service://Shop/web:80/: rule service-name"),
            (
                &["GET", "service://default/kubernetes:443/api"],
                "deny GET service://default/kubernetes:443/api: rule service-kubernetes",
            ),
            (&["GET", "service://shop/web:80/../x"], "deny GET service://shop/web:80/../x: rule path-segment"),
        ] {
            let answer = ask(file, words).unwrap();
            assert_eq!((answer.line.trim_end(), answer.allowed), (line, line.starts_with("allow")), "{words:?}");
        }
        assert_eq!(ask("", &["GET", "/api/v1/pods"]).unwrap().line, "allow GET /api/v1/pods: verb list, rule default\n");
    }

    #[test]
    fn a_setting_from_the_environment_is_named_too() {
        let world = World::default().set("PIPEOPS_POLICY_READ_ONLY", "true");
        let arguments = Arguments::parse(["policy", "explain", "DELETE", "/api/v1/nodes/x"]).unwrap();
        let answer = explain(&Config::load_policy(&arguments, &world, &world).unwrap(), &Question::of(&arguments)).unwrap();
        let line = "deny DELETE /api/v1/nodes/x: verb delete, rule read-only \
                    (policy.read_only in environment variable PIPEOPS_POLICY_READ_ONLY)\n";
        assert_eq!(answer, Answer { allowed: false, line: line.to_owned() });
    }

    #[test]
    fn questions_that_are_none() {
        for (target, error) in [
            ("api/v1/pods", QuestionError::Target),
            ("https://a/b", QuestionError::Target),
            ("?watch", QuestionError::Target),
            ("service://shop", QuestionError::Service),
            ("service://shop/web", QuestionError::Service),
            ("service://shop/web:0/", QuestionError::Service),
            ("service://shop/web:+1/", QuestionError::Service),
            ("service://shop/web:http", QuestionError::Service),
        ] {
            assert_eq!(ask("", &["GET", target]), Err(error), "{target}");
        }
    }

    #[test]
    fn a_file_that_is_wrong_or_cannot_be_read_is_no_ground_for_an_answer() {
        let arguments = Arguments::parse(["policy", "explain", "GET", "/api"]).unwrap();
        let mut world = World::default();
        world.denied.push("/etc/pipeops/config.yaml".into());
        let error = Config::load_policy(&arguments, &world, &world).unwrap_err().to_string();
        assert_eq!(error, "cannot read /etc/pipeops/config.yaml: permission denied");
        let world = World::default().file("/etc/pipeops/config.yaml", "policy: {verbs: [exce], readonly: true}");
        let error = Config::load_policy(&arguments, &world, &world).unwrap_err().to_string();
        assert_eq!(error.lines().count(), 2, "{error}");
    }
}
