//! How to reach the kube-apiserver, and as whom: from the pod's service account or from a kubeconfig file.
//!
//! Nothing is executed and nobody is asked: `exec` and `auth-provider` entries are refused by name. So are the parts
//! of a kubeconfig that would silently change what happens if they were left out: proxies, impersonation, and the
//! user name with password that kube-apiservers dropped in 1.19. Unknown keys are ignored, as kubectl does.

mod context;
mod error;
mod in_cluster;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub(crate) use error::KubeconfigError;

use crate::config::{ApiUrl, Environment, Files};
use crate::secret::Secret;

/// Where Kubernetes mounts a pod's service account.
pub(crate) const SERVICE_ACCOUNT_FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The kubeconfig that K3s writes for its administrator.
pub(crate) const K3S_KUBECONFIG: &str = "/etc/rancher/k3s/k3s.yaml";

/// Everything that is needed to talk to a kube-apiserver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClusterAccess {
    pub(crate) server: ApiServer,
    /// The name that the server's certificate must hold, where it is not `server.host`.
    pub(crate) tls_server_name: Option<String>,
    /// The only certificates to trust; `None`: the public ones.
    pub(crate) ca_pem: Option<Vec<u8>>,
    /// Never true together with `ca_pem`.
    pub(crate) insecure_skip_verify: bool,
    pub(crate) credentials: Credentials,
    pub(crate) namespace: Option<String>,
    pub(crate) source: Source,
}

#[cfg(test)]
impl ClusterAccess {
    /// What a pod has beside an API server without TLS on this machine.
    pub(crate) fn of_a_pod(port: u16, token: &str, namespace: Option<&str>) -> Self {
        Self {
            server: ApiServer { secure: false, host: "127.0.0.1".into(), port, base_path: String::new() },
            tls_server_name: None,
            ca_pem: None,
            insecure_skip_verify: false,
            credentials: Credentials { token: Some(Secret::new(token)), ..Credentials::default() },
            namespace: namespace.map(str::to_owned),
            source: Source::InCluster,
        }
    }
}

/// The address of a kube-apiserver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiServer {
    /// HTTPS, else HTTP.
    pub(crate) secure: bool,
    /// Name or IP address; IPv6 without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Empty, or a path that begins with a slash and does not end with one.
    pub(crate) base_path: String,
}

/// Who the agent is to the kube-apiserver. A certificate can be there together with a token; then the certificate
/// counts in the TLS handshake and the token in every request. Nothing at all is anonymous.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) token: Option<Secret>,
    /// To be read again when the file changes. Never set together with `token`.
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) certificate: Option<ClientCertificate>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientCertificate {
    pub(crate) certificate_pem: Vec<u8>,
    pub(crate) key_pem: Secret,
}

/// Where the access was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    InCluster,
    Kubeconfig(PathBuf),
}

/// What the configuration says about the cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selection<'config> {
    /// Named kubeconfig files, in order; empty: none was named.
    pub(crate) kubeconfig: &'config [PathBuf],
    /// Use the service account or fail.
    pub(crate) in_cluster: bool,
    /// Usually [`SERVICE_ACCOUNT_FOLDER`].
    pub(crate) service_account_folder: &'config Path,
}

impl From<ApiUrl> for ApiServer {
    fn from(url: ApiUrl) -> ApiServer {
        ApiServer { secure: url.secure, host: url.host, port: url.port, base_path: url.base_path }
    }
}

/// Finds the cluster: the files that were named, else the service account where there is one, else the file of K3s,
/// else `~/.kube/config`. `None` if there is nothing of all that. Files that nobody named and that may not be read
/// count as absent.
pub(crate) fn find(
    selection: &Selection<'_>,
    environment: &dyn Environment,
    files: &dyn Files,
) -> Result<Option<ClusterAccess>, KubeconfigError> {
    if !selection.kubeconfig.is_empty() {
        return context::load(selection.kubeconfig, files).map(Some);
    }
    let folder = selection.service_account_folder;
    if selection.in_cluster || in_cluster::is_there(folder, environment, files) {
        return in_cluster::load(folder, environment, files).map(Some);
    }
    let mut candidates = vec![PathBuf::from(K3S_KUBECONFIG)];
    candidates.extend(environment.text("HOME").map(|home| Path::new(&home).join(".kube/config")));
    for path in candidates {
        if files.read(&path).is_ok() {
            return context::load(&[path], files).map(Some);
        }
    }
    Ok(None)
}
