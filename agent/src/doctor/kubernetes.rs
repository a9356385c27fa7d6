//! The API server: how it is found, whether it answers, and the path that a command in a pod takes.

use std::path::Path;

use hyper::Method;
use hyper::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE};
use miniserde::json::{Object, Value};

use super::report::Finding;
use crate::cluster::{Answer, Cluster, OwnClient, OwnError};
use crate::config::Config;
use crate::connect::ConnectError;
use crate::kubeconfig::{ClusterAccess, K3S_KUBECONFIG, Source};
use crate::start;
use crate::upstream::RequestError;

/// A pod that there is not.
const NO_POD: &str = "/api/v1/namespaces/default/pods/pipeops-agent-doctor/exec?command=true&stdout=true";

/// For a server that does not answer, or not well.
const DOWN: &str = "is it running? K3s: systemctl status k3s; journalctl -u k3s -n 50";

/// A cluster that the agent has access to.
pub(super) struct Found {
    pub(super) access: ClusterAccess,
    pub(super) cluster: Cluster,
}

impl Found {
    fn described(&self) -> String {
        let kind = if self.access.source == Source::InCluster { "" } else { "kubeconfig " };
        format!("{kind}{}", self.source())
    }

    /// Where the credentials come from.
    fn source(&self) -> String {
        match &self.access.source {
            Source::InCluster => "the pod's service account".to_owned(),
            Source::Kubeconfig(path) => path.display().to_string(),
        }
    }
}

/// Finds the cluster as the agent does at its start.
pub(super) fn find(config: &Config) -> (Finding, Option<Found>) {
    let failed = |error: &start::StartError| {
        let mut seen = error.to_string();
        if let Some(cause) = core::error::Error::source(error) {
            seen.push_str(&format!(": {cause}"));
        }
        (Finding::fail(seen).cure("kubernetes.kubeconfig (KUBECONFIG): a file that is readable for the agent's user"), None)
    };
    let access = match start::find_cluster(config) {
        Ok(Some(access)) => access,
        Ok(None) => return (nothing(), None),
        Err(error) => return failed(&error),
    };
    match Cluster::new(&access, config.services_insecure_skip_verify) {
        Ok(cluster) => {
            let found = Found { access, cluster };
            (Finding::pass(found.described()), Some(found))
        }
        Err(error) => failed(&start::StartError::ClusterTls(error)),
    }
}

fn nothing() -> Finding {
    let finding = Finding::fail("no kubeconfig and no service account: the tunnel would carry no requests");
    if Path::new(K3S_KUBECONFIG).exists() {
        return finding
            .cure(format!(
                "{K3S_KUBECONFIG} is there and cannot be read: sudo install -o pipeops-agent -m 600 {K3S_KUBECONFIG} FILE"
            ))
            .cure("then kubernetes.kubeconfig (KUBECONFIG): FILE");
    }
    finding.cure("kubernetes.kubeconfig (KUBECONFIG), --kubeconfig, or in a pod kubernetes.in_cluster (--in-cluster)")
}

/// Asks for the version.
pub(super) async fn reach(found: &Found) -> Finding {
    let server = &found.access.server;
    let scheme = if server.secure { "https" } else { "http" };
    let address = format!("{scheme}://{}", crate::connect::authority(&server.host, server.port, server.secure));
    let own = &found.cluster.own;
    let answer = match own.request(Method::GET, "/version", None).await {
        Ok(answer) => answer,
        Err(error) => return failure(&address, &error, found),
    };
    // The version is for everybody. This only those may ask who are known.
    match own.request(Method::GET, "/api", None).await {
        Ok(Answer { status: 401, .. }) => answered(&address, &Answer { status: 401, body: Vec::new() }, found),
        Ok(_) | Err(_) => answered(&address, &answer, found),
    }
}

fn answered(address: &str, answer: &Answer, found: &Found) -> Finding {
    match answer.status {
        200 => {
            let version = answer.object().and_then(|object| text(&object, &["gitVersion"]).map(str::to_owned));
            match version {
                Some(version) => Finding::pass(format!("{version} at {address}")),
                None => Finding::fail(format!("what answers at {address} is not a Kubernetes API server")).cure(check(found)),
            }
        }
        401 => Finding::fail(format!("{address} does not accept the credentials of {} (status 401)", found.source()))
            .cure(format!("they have run out or are of another cluster: renew {}", found.source())),
        // Whoever may not ask for the version has reached the server nonetheless.
        403 => Finding::pass(format!("{address}, which does not tell its version")),
        status => Finding::fail(format!("{address} answers with status {status}")).cure(DOWN),
    }
}

fn check(found: &Found) -> String {
    match found.access.source {
        Source::InCluster => "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT, which Kubernetes sets".to_owned(),
        Source::Kubeconfig(_) => format!("\"server\" in {}", found.source()),
    }
}

fn failure(address: &str, error: &OwnError, found: &Found) -> Finding {
    let finding = Finding::fail(format!("{address}: {error}"));
    match error {
        OwnError::Request(RequestError::Connect(error)) => match error {
            ConnectError::Resolve { .. } => finding.cure(check(found)),
            ConnectError::Tcp { .. } => finding.cure(DOWN).cure(format!("or correct {}", check(found))),
            ConnectError::Name(_) | ConnectError::Tls(_) => finding
                .cure(format!("the certificate authority in {} must be that of this server", found.source()))
                .cure("after a new installation of K3s: copy /etc/rancher/k3s/k3s.yaml again"),
        },
        OwnError::Token(_) => finding.cure(format!("make the token file readable for the agent: {}", found.source())),
        OwnError::Request(RequestError::ConnectTimeout | RequestError::Http(_)) | OwnError::Timeout | OwnError::Body(_) => {
            finding.cure(DOWN).cure(format!("or correct {}", check(found)))
        }
        OwnError::TooLarge | OwnError::Invalid => finding.cure(check(found)),
    }
}

/// Asks for a command in a pod that there is not: the same way and the same headers that a command takes, up to the answer of the
/// API server.
pub(super) async fn exec(client: &OwnClient) -> Finding {
    let key = HeaderValue::try_from(tungstenite::handshake::client::generate_key());
    let headers = [
        (CONNECTION, HeaderValue::from_static("Upgrade")),
        (UPGRADE, HeaderValue::from_static("websocket")),
        (SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
        (SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("v4.channel.k8s.io")),
        (SEC_WEBSOCKET_KEY, key.unwrap_or(HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAA=="))),
    ];
    match client.ask_to_upgrade(NO_POD, &headers).await {
        Ok(answer) => judge(&answer),
        Err(error) => Finding::fail(format!("no answer to the request for a command: {error}")).cure(DOWN),
    }
}

fn judge(answer: &Answer) -> Finding {
    let status = answer.object().filter(|object| text(object, &["kind"]) == Some("Status"));
    let reason = status.as_ref().and_then(|status| text(status, &["reason"]));
    match (answer.status, reason) {
        (404, Some("NotFound")) => Finding::pass("the API server was asked for one in a pod that is not there, and said so"),
        (403, Some("Forbidden")) => {
            Finding::pass("the API server answers; the agent itself may run none, which it need not: users bring their own token")
        }
        (status, _) => {
            Finding::fail(format!("the answer to the request for a command is not the API server's (status {status})"))
                .cure("let the agent reach the API server without a proxy or gateway between them")
        }
    }
}

/// The value at a path of keys.
pub(super) fn at<'a>(object: &'a Object, path: &[&str]) -> Option<&'a Value> {
    let (last, above) = path.split_last()?;
    let mut object = object;
    for key in above {
        let Some(Value::Object(inner)) = object.get(*key) else { return None };
        object = inner;
    }
    object.get(*last)
}

/// The text there.
pub(super) fn text<'a>(object: &'a Object, path: &[&str]) -> Option<&'a str> {
    let Some(Value::String(text)) = at(object, path) else { return None };
    Some(text)
}

/// A name there that may stand in a command for people to copy: nothing in it means anything to a shell.
pub(super) fn name<'a>(object: &'a Object, path: &[&str]) -> Option<&'a str> {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:@".contains(&byte);
    text(object, path).filter(|name| (1..=253).contains(&name.len()) && name.bytes().all(harmless) && !name.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;

    #[test]
    fn names_that_would_do_something_in_a_shell_are_none() {
        for (given, harmless) in [
            ("system:serviceaccount:ns:agent", true),
            ("alice@plant.example", true),
            ("a;reboot", false),
            ("$(reboot)", false),
            ("a b", false),
            ("-rf", false),
            ("", false),
        ] {
            let mut object = Object::new();
            object.insert("name".into(), Value::String(given.into()));
            assert_eq!(name(&object, &["name"]).is_some(), harmless, "{given}");
        }
    }

    #[test]
    fn only_the_api_server_can_say_that_the_pod_is_not_there() {
        let not_found = r#"{"kind":"Status","reason":"NotFound","message":"pods \"pipeops-agent-doctor\" not found"}"#;
        let forbidden = r#"{"kind":"Status","reason":"Forbidden"}"#;
        for (status, body, verdict) in [
            (404, not_found, Verdict::Pass),
            (403, forbidden, Verdict::Pass),
            (404, "<html>404</html>", Verdict::Fail),
            (403, not_found, Verdict::Fail),
            (404, r#"{"reason":"NotFound"}"#, Verdict::Fail),
            (400, r#"{"kind":"Status","reason":"BadRequest"}"#, Verdict::Fail),
            (101, "", Verdict::Fail),
        ] {
            let answer = Answer { status, body: body.into() };
            assert_eq!(judge(&answer).verdict, verdict, "{status} {body}");
        }
    }
}
