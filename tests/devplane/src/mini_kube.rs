//! A small Kubernetes API beside the plane, and the kubeconfig with which an agent reaches it.

use std::net::SocketAddr;
use std::path::PathBuf;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use devkube::{DevKube, Token};
use devplane::Identity;
use serde_json::json;

pub(crate) struct MiniKube {
    /// Serves until this is dropped.
    _server: DevKube,
    pub(crate) kubeconfig: PathBuf,
    /// A user's token with all rights, for requests through the plane.
    pub(crate) token: String,
}

impl MiniKube {
    /// Starts the API and writes the agent's kubeconfig, whose own token may read only.
    pub(crate) async fn start(bind: SocketAddr, kubeconfig: PathBuf, names: &[String]) -> Result<Self, String> {
        let identity = Identity::make(names).map_err(|error| error.to_string())?;
        let secret = |name: &str| format!("{name}-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let (user, agent) = (secret("user"), secret("agent"));
        let tokens = vec![Token::admin(&user, "demo-user"), Token::read_only(&agent, "pipeops-agent")];
        let options = devkube::Options { tls: Some(identity.config), bind, tokens, ..devkube::Options::default() };
        let server = DevKube::start(options).await.map_err(|error| format!("mini Kubernetes API: {error}"))?;
        // JSON is YAML.
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "mini",
            "clusters": [{"name": "mini", "cluster": {
                "server": server.url(), "certificate-authority-data": STANDARD.encode(&identity.ca_pem),
            }}],
            "users": [{"name": "agent", "user": {"token": agent}}],
            "contexts": [{"name": "mini", "context": {"cluster": "mini", "user": "agent"}}],
        });
        std::fs::write(&kubeconfig, format!("{text:#}\n"))
            .map_err(|error| format!("cannot write {}: {error}", kubeconfig.display()))?;
        Ok(Self { _server: server, kubeconfig, token: user })
    }
}
