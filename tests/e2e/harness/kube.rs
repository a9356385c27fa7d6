//! The miniature Kubernetes API on a thread of its own.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use devkube::{DevKube, Seen, Token};
use devplane::Identity;
use serde_json::json;
use tokio::sync::oneshot;

/// A user's token with all rights, for requests through the plane.
pub const ADMIN_TOKEN: &str = "kube-user-token-1a2b3c4d";
/// The agent's own token, in its kubeconfig; it may read only.
pub const AGENT_TOKEN: &str = "kube-agent-token-5e6f7a8b";

/// A running API with TLS. It ends when this is dropped.
pub struct Kube {
    api: Arc<DevKube>,
    ca_pem: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Kube {
    pub fn start(change: impl FnOnce(&mut devkube::Options)) -> Self {
        let identity = Identity::make(&[]).unwrap();
        let mut options = devkube::Options {
            tls: Some(identity.config),
            tokens: vec![Token::admin(ADMIN_TOKEN, "demo-user"), Token::read_only(AGENT_TOKEN, "pipeops-agent")],
            ..devkube::Options::default()
        };
        change(&mut options);
        let (stop, stopped) = oneshot::channel::<()>();
        let (sender, started) = mpsc::channel();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let api = Arc::new(DevKube::start(options).await.unwrap());
                sender.send(Arc::clone(&api)).unwrap();
                // An error is the owner's end, which means the same.
                let _ = stopped.await;
                api.shutdown().await;
            });
        };
        let thread = std::thread::Builder::new().name("devkube".into()).spawn(run).unwrap();
        Self { api: started.recv().unwrap(), ca_pem: identity.ca_pem, stop: Some(stop), thread: Some(thread) }
    }

    pub fn api(&self) -> &DevKube {
        &self.api
    }

    pub fn url(&self) -> String {
        self.api.url()
    }

    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    pub fn requests(&self) -> Vec<Seen> {
        self.api.requests()
    }

    /// Whether the condition came true in time.
    #[must_use]
    pub fn wait_for(&self, condition: impl FnMut(&DevKube) -> bool, limit: Duration) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { tokio::time::timeout(limit, self.api.wait_for(condition)).await.is_ok() })
    }

    /// Waits until nothing is being answered any more.
    #[must_use]
    pub fn wait_idle(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        self.wait_for(|api| api.live_requests() == 0, until.saturating_duration_since(Instant::now()))
    }

    /// Closes the port and every connection.
    pub fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server's thread has been printed already.
            let _ = thread.join();
        }
    }

    /// Writes a kubeconfig with the agent's token.
    pub fn write_kubeconfig(&self, folder: &Path, token: &str) -> PathBuf {
        let path = folder.join("kubeconfig");
        // JSON is YAML.
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "mini",
            "clusters": [{"name": "mini", "cluster": {
                "server": self.url(), "certificate-authority-data": STANDARD.encode(&self.ca_pem),
            }}],
            "users": [{"name": "agent", "user": {"token": token}}],
            "contexts": [{"name": "mini", "context": {"cluster": "mini", "user": "agent"}}],
        });
        std::fs::write(&path, format!("{text:#}\n")).unwrap();
        path
    }
}

impl Drop for Kube {
    fn drop(&mut self) {
        self.stop();
    }
}
