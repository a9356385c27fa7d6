//! Access with the service account of the pod this runs in.

use std::path::Path;

use crate::config::{ApiUrl, Environment, Files};
use crate::kubeconfig::{ApiServer, ClusterAccess, Credentials, KubeconfigError, Source};

const HOST_VARIABLE: &str = "KUBERNETES_SERVICE_HOST";
const PORT_VARIABLE: &str = "KUBERNETES_SERVICE_PORT";

/// True if Kubernetes has set its variables and mounted a token.
pub(super) fn is_there(folder: &Path, environment: &dyn Environment, files: &dyn Files) -> bool {
    environment.text(HOST_VARIABLE).is_some()
        && environment.text(PORT_VARIABLE).is_some()
        && files.mode(&folder.join("token")).is_ok()
}

/// Reads the service account. Its token is renewed by the kubelet, so only its path is kept.
pub(super) fn load(folder: &Path, environment: &dyn Environment, files: &dyn Files) -> Result<ClusterAccess, KubeconfigError> {
    let host = environment.text(HOST_VARIABLE).ok_or(KubeconfigError::NotInCluster(HOST_VARIABLE))?;
    let port = environment.text(PORT_VARIABLE).ok_or(KubeconfigError::NotInCluster(PORT_VARIABLE))?;
    let port: u16 = port.parse().map_err(|_| KubeconfigError::NotInCluster(PORT_VARIABLE))?;
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let url = ApiUrl::parse(&format!("https://{host}:{port}")).map_err(|_| KubeconfigError::NotInCluster(HOST_VARIABLE))?;
    let read = |name: &str| {
        let path = folder.join(name);
        files.read(&path).map_err(|error| KubeconfigError::Unreadable { path, error })
    };
    read("token")?;
    let ca_pem = read("ca.crt")?;
    let namespace = read("namespace").ok().and_then(|content| String::from_utf8(content).ok());
    Ok(ClusterAccess {
        server: ApiServer::from(url),
        tls_server_name: None,
        ca_pem: Some(ca_pem),
        insecure_skip_verify: false,
        credentials: Credentials { token_file: Some(folder.join("token")), ..Credentials::default() },
        namespace: namespace.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()),
        source: Source::InCluster,
    })
}
