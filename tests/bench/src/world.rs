//! The surroundings: a control plane and a Kubernetes API on threads of their own, and the files that lead an agent to them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use devkube::{DevKube, Token};
use devplane::{DevPlane, DevPlaneHandle, Identity, Options};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::Failure;
use crate::backend::Backend;
use crate::freight::noise;

/// Paths of the two answers.
pub(crate) const SMALL: &str = "/api/v1/bench/small";
pub(crate) const LARGE: &str = "/api/v1/bench/large";
pub(crate) const SMALL_SIZE: usize = 1024;
pub(crate) const LARGE_SIZE: usize = 10_000_000;

/// Room for all idle WebSockets.
const EXCHANGES: usize = 1024;

/// The token of requests through the plane and of direct ones.
const USER: &str = "bench-user";
const AGENT: &str = "bench-agent";

pub(crate) struct World {
    pub(crate) plane: Arc<DevPlaneHandle>,
    pub(crate) kube: std::net::SocketAddr,
    /// The authority of the Kubernetes API.
    pub(crate) kube_ca: String,
    files: TempDir,
    kubeconfig: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl World {
    pub(crate) fn start() -> Result<Self, Failure> {
        let files = TempDir::with_prefix("pipeops-bench-").map_err(Failure::of("temporary folder"))?;
        let plane = DevPlane::spawn_thread(Options { ca_file: Some(files.path().join("plane-ca.pem")), ..Options::default() })
            .map_err(Failure::of("control plane"))?;
        let identity = Identity::make(&[]).map_err(Failure::of("certificate"))?;
        let kube_ca = identity.ca_pem.clone();
        let (kube, stop, thread) = start_kube(identity)?;
        let kubeconfig = files.path().join("kubeconfig");
        write_kubeconfig(&kubeconfig, &format!("https://{kube}"), Some(&kube_ca))?;
        Ok(Self { plane: Arc::new(plane), kube, kube_ca, files, kubeconfig, stop: Some(stop), thread: Some(thread) })
    }

    /// `Authorization` of requests to the Kubernetes API.
    pub(crate) fn authorization() -> String {
        format!("Bearer {USER}")
    }

    /// Where a file may be put that goes with this.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// A new folder for an agent, with a configuration in it and no state.
    pub(crate) fn new_home(&self, name: &str) -> Result<PathBuf, Failure> {
        self.home(name, &self.kubeconfig, json!({}))
    }

    /// The same, for an agent whose Kubernetes API is a backend.
    pub(crate) fn new_home_before(&self, name: &str, backend: &Backend) -> Result<PathBuf, Failure> {
        let kubeconfig = self.file(&format!("{name}.kubeconfig"));
        write_kubeconfig(&kubeconfig, &backend.url(), backend.ca.as_deref())?;
        self.home(name, &kubeconfig, json!({"max_exchanges": EXCHANGES}))
    }

    fn home(&self, name: &str, kubeconfig: &Path, limits: serde_json::Value) -> Result<PathBuf, Failure> {
        let home = self.files.path().join(name);
        fs::create_dir(&home).map_err(Failure::of("agent's folder"))?;
        let config = json!({
            "pipeops": {
                "api_url": self.plane.api_url(), "token": self.plane.token(),
                "tls": {"ca_file": self.plane.ca_file()},
            },
            "agent": {"cluster_name": "bench", "state_dir": &home, "port": 0},
            "kubernetes": {"kubeconfig": kubeconfig},
            "limits": limits,
            // Fifty reconnections are to be measured, not the waits between them.
            "timeouts": {"websocket_reconnect": "10ms", "websocket_reconnect_max": "50ms"},
        });
        fs::write(config_of(&home), config.to_string()).map_err(Failure::of("configuration"))?;
        Ok(home)
    }
}

fn write_kubeconfig(path: &Path, server: &str, ca: Option<&str>) -> Result<(), Failure> {
    let mut cluster = json!({"server": server});
    if let (Some(ca), Some(fields)) = (ca, cluster.as_object_mut()) {
        fields.insert("certificate-authority-data".into(), STANDARD.encode(ca).into());
    }
    // JSON is YAML.
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "bench",
        "clusters": [{"name": "bench", "cluster": cluster}],
        "users": [{"name": "agent", "user": {"token": AGENT}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "agent"}}],
    });
    fs::write(path, text.to_string()).map_err(Failure::of("kubeconfig"))
}

pub(crate) fn config_of(home: &Path) -> PathBuf {
    home.join("config.yaml")
}

type Kube = (std::net::SocketAddr, oneshot::Sender<()>, JoinHandle<()>);

fn start_kube(identity: Identity) -> Result<Kube, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::of("runtime"))?;
    let (stop, stopped) = oneshot::channel();
    let (report, started) = mpsc::channel();
    let thread = thread::Builder::new().name("devkube".into()).spawn(move || {
        runtime.block_on(async {
            let options = devkube::Options {
                tls: Some(identity.config),
                tokens: vec![Token::admin(USER, "bench-user"), Token::read_only(AGENT, "pipeops-agent")],
                ..devkube::Options::default()
            };
            match DevKube::start(options).await {
                Err(error) => {
                    let _ = report.send(Err(error));
                }
                Ok(kube) => {
                    let put = kube.put_blob(SMALL, "application/octet-stream", noise(SMALL_SIZE))
                        && kube.put_blob(LARGE, "application/octet-stream", noise(LARGE_SIZE));
                    let _ = report.send(if put { Ok(kube.addr()) } else { Err(std::io::Error::other("no blobs")) });
                    let _ = stopped.await;
                }
            }
        });
    });
    let thread = thread.map_err(Failure::of("thread"))?;
    let started = started.recv().map_err(Failure::of("Kubernetes API"))?;
    Ok((started.map_err(Failure::of("Kubernetes API"))?, stop, thread))
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
