//! What the monitoring stack needs of the cluster: somewhere to store data, somebody to install charts, the types and the namespace.

use std::path::{Path, PathBuf};

use hyper::Method;
use miniserde::json::{Object, Value};

use super::kubernetes::{name, text};
use super::report::{Finding, Verdict};
use crate::cluster::OwnClient;
use crate::config::Environment;

pub(super) const NAMESPACE: &str = "pipeops-monitoring";
/// What the older spelling of the annotation is still used for.
const DEFAULT_CLASS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

/// The checks of this kind.
pub(super) struct Monitoring<'run> {
    client: &'run OwnClient,
    /// How bad it is when something is missing: a warning where the agent is to install monitoring.
    missing: Verdict,
}

/// What the API server says when it is asked for something.
enum Said {
    There(Object),
    Absent,
    /// Status 403 or nothing that makes sense.
    Hidden,
}

impl<'run> Monitoring<'run> {
    pub(super) fn new(client: &'run OwnClient, wanted: bool) -> Self {
        Self { client, missing: if wanted { Verdict::Warn } else { Verdict::Info } }
    }

    fn missing(&self, what: &str) -> Finding {
        let note = if self.missing == Verdict::Warn { "" } else { "; only monitoring needs it" };
        Finding::new(self.missing, format!("{what}{note}"))
    }

    fn hidden(&self, what: &str, command: &str) -> Finding {
        Finding::new(Verdict::Info, format!("the agent may not look for {what}")).cure(command)
    }

    async fn ask(&self, path: &str) -> Said {
        match self.client.request(Method::GET, path, None).await {
            Ok(answer) if answer.status == 404 => Said::Absent,
            Ok(answer) if answer.status == 200 => answer.object().map_or(Said::Hidden, Said::There),
            Ok(_) | Err(_) => Said::Hidden,
        }
    }

    /// A default storage class, so that claims find a volume.
    pub(super) async fn storage_class(&self) -> Finding {
        let list = match self.ask("/apis/storage.k8s.io/v1/storageclasses?limit=100").await {
            Said::There(list) => list,
            Said::Absent => Object::new(),
            Said::Hidden => return self.hidden("storage classes", "kubectl get storageclass"),
        };
        let mut names = Vec::new();
        if let Some(Value::Array(items)) = list.get("items") {
            for item in items {
                let Value::Object(class) = item else { continue };
                let Some(name) = name(class, &["metadata", "name"]) else { continue };
                let is_default = |key: &&str| text(class, &["metadata", "annotations", key]) == Some("true");
                if DEFAULT_CLASS.iter().any(is_default) {
                    return Finding::pass(format!("{name}, the default"));
                }
                names.push(name);
            }
        }
        match names.first() {
            Some(name) => self.missing(&format!("{}: none of them is the default", names.join(", "))).cure(format!(
                "kubectl annotate storageclass {name} {}=true",
                DEFAULT_CLASS.first().copied().unwrap_or_default()
            )),
            None => self
                .missing("there is none")
                .cure("K3s: start the server without --disable=local-storage; elsewhere: install a provisioner of volumes"),
        }
    }

    /// Somebody who installs charts: the controller of K3s, or the program on this machine.
    pub(super) async fn helm(&self, environment: &dyn Environment) -> Finding {
        match self.ask("/apis/helm.cattle.io/v1").await {
            Said::There(_) => return Finding::pass("the Helm controller of K3s"),
            Said::Absent | Said::Hidden => {}
        }
        match program("helm", environment) {
            Some(path) => Finding::pass(path.display().to_string()),
            None => self
                .missing("neither the Helm controller of K3s nor a helm program in PATH")
                .cure("K3s: start the server without --disable-helm-controller; elsewhere: helm.sh/docs/intro/install"),
        }
    }

    /// The types of the Prometheus operator.
    pub(super) async fn types(&self) -> Finding {
        match self.ask("/apis/monitoring.coreos.com/v1").await {
            Said::There(_) => Finding::pass("monitoring.coreos.com/v1"),
            Said::Absent => self
                .missing("monitoring.coreos.com is missing")
                .cure("helm repo add prometheus-community https://prometheus-community.github.io/helm-charts")
                .cure(format!(
                    "helm install kube-prometheus-stack prometheus-community/kube-prometheus-stack -n {NAMESPACE} --create-namespace"
                )),
            Said::Hidden => self.hidden("custom resources", "kubectl get crd | grep monitoring.coreos.com"),
        }
    }

    pub(super) async fn namespace(&self) -> Finding {
        match self.ask(&format!("/api/v1/namespaces/{NAMESPACE}")).await {
            Said::There(_) => Finding::pass(NAMESPACE),
            Said::Absent => {
                self.missing(&format!("{NAMESPACE} is missing")).cure(format!("kubectl create namespace {NAMESPACE}"))
            }
            Said::Hidden => self.hidden("namespaces", &format!("kubectl get namespace {NAMESPACE}")),
        }
    }
}

/// A program in `PATH`.
fn program(name: &str, environment: &dyn Environment) -> Option<PathBuf> {
    let path = environment.get("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
