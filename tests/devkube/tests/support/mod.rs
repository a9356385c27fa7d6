//! The server over TLS with a kubectl that knows it and nothing else.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use devkube::{DevKube, Options, Token};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(60);

/// The server, and kubectl with a configuration for each right.
pub struct Bench {
    pub kube: DevKube,
    pub home: tempfile::TempDir,
}

/// What a finished command said.
pub struct Said {
    pub success: bool,
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.success, "kubectl failed: {}{}", self.out, self.err);
        self.out
    }

    #[track_caller]
    pub fn refused(self) -> String {
        assert!(!self.success, "kubectl succeeded: {}", self.out);
        self.err
    }
}

impl Bench {
    pub async fn start() -> Option<Bench> {
        if Command::new("kubectl").arg("version").arg("--client").output().is_err() {
            println!("SKIPPED kubectl: not found");
            return None;
        }
        let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let options = Options {
            tls: Some(Arc::new(tls)),
            tokens: vec![Token::admin("a-token", "root"), Token::read_only("v-token", "alice")],
            log_interval: Duration::from_millis(5),
            ..Options::default()
        };
        let kube = DevKube::start(options).await.unwrap();
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("ca.pem"), cert.pem()).unwrap();
        for (who, token) in [("admin", "a-token"), ("viewer", "v-token")] {
            let config = json!({
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": kube.url(), "certificate-authority": "ca.pem"}}],
                "users": [{"name": "u", "user": {"token": token}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            });
            std::fs::write(home.path().join(who), config.to_string()).unwrap();
        }
        Some(Bench { kube, home })
    }

    pub async fn run(&self, who: &str, arguments: &[&str]) -> Said {
        self.run_with(who, arguments, Vec::new()).await
    }

    /// With something to read.
    pub async fn run_with(&self, who: &str, arguments: &[&str], stdin: Vec<u8>) -> Said {
        let mut command = command(self.home.path(), who, arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let finished = tokio::task::spawn_blocking(move || {
            let mut child = command.spawn().unwrap();
            let mut pipe = child.stdin.take().unwrap();
            // One that reads nothing may be gone before all is written.
            let writer = std::thread::spawn(move || drop(pipe.write_all(&stdin)));
            let output = child.wait_with_output().unwrap();
            writer.join().unwrap();
            output
        });
        let output = tokio::time::timeout(PATIENCE, finished).await.expect("kubectl does not end").unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said {
            success: output.status.success(),
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    pub async fn admin(&self, arguments: &[&str]) -> Said {
        self.run("admin", arguments).await
    }

    pub fn follow(&self, arguments: &[&str]) -> Following {
        let mut child = command(self.home.path(), "admin", arguments).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Following { child, lines }
    }

    pub async fn until(&self, condition: impl FnMut(&DevKube) -> bool) {
        tokio::time::timeout(PATIENCE, self.kube.wait_for(condition)).await.expect("it never comes to that");
    }
}

fn command(home: &Path, who: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("kubectl");
    command.args(arguments).current_dir(home).stdin(Stdio::null());
    // Nothing of the caller's own clusters or proxies may leak in.
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", home).env("KUBECONFIG", home.join(who));
    command
}

/// A kubectl that runs until this is dropped.
pub struct Following {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Following {
    pub async fn line_with(&mut self, part: &str) -> String {
        let find = async {
            loop {
                let line = self.lines.recv().await.expect("kubectl ended");
                if line.contains(part) {
                    return line;
                }
            }
        };
        tokio::time::timeout(PATIENCE, find).await.expect("the line never comes")
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
