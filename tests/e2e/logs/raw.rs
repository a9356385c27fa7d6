//! A run of the binary whose two outputs are files, byte for byte.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::Bed;

pub(crate) struct Raw {
    child: Child,
    errors: PathBuf,
    output: PathBuf,
}

impl Raw {
    /// Runs the binary with this configuration. `environment` is told the device and the inode of standard error.
    pub(crate) fn start(
        bed: &Bed,
        config: &Value,
        arguments: &[&str],
        environment: impl FnOnce(u64, u64) -> Vec<(&'static str, String)>,
    ) -> Self {
        let folder = bed.folder();
        let (file, errors, output) = (folder.join("raw.yaml"), folder.join("stderr"), folder.join("stdout"));
        // JSON is YAML.
        std::fs::write(&file, format!("{config:#}\n")).unwrap();
        let stderr = File::create(&errors).unwrap();
        let metadata = stderr.metadata().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_pipeops-agent"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(environment(metadata.dev(), metadata.ino()))
            .arg("run")
            .arg("--config")
            .arg(file)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(File::create(&output).unwrap())
            .stderr(stderr)
            .spawn()
            .unwrap();
        Self { child, errors, output }
    }

    /// Everything on standard error so far.
    pub(crate) fn errors(&self) -> String {
        String::from_utf8(std::fs::read(&self.errors).unwrap()).expect("what is written is UTF-8")
    }

    /// Everything on both outputs so far.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut all = std::fs::read(&self.errors).unwrap();
        all.extend(std::fs::read(&self.output).unwrap());
        all
    }

    /// Waits until standard error has this text.
    #[track_caller]
    pub(crate) fn until(&self, text: &str) {
        let until = Instant::now() + crate::harness::LIMIT;
        while !self.errors().contains(text) {
            assert!(Instant::now() < until, "never written: {text}; the log:\n{}", self.errors());
            // A file tells nobody when it grows.
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it in good order; everything is written when this returns.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        let sent = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
        assert!(self.child.wait().unwrap().success(), "{}", self.errors());
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
