//! Writes down what the binary is made from: the commit, the target, and the time of the commit.
//!
//! `SOURCE_DATE_EPOCH` (reproducible-builds.org) and `PIPEOPS_COMMIT` go before what git says; where neither is at hand, as in an
//! unpacked archive, the commit is unknown and the time is that of the release's beginning.

use std::process::Command;

/// 2026-11-01: no build of this version is older.
const EARLIEST: &str = "1793491200";

fn main() {
    let commit = variable("PIPEOPS_COMMIT").or_else(|| git(&["rev-parse", "--short=12", "HEAD"]));
    let time = variable("SOURCE_DATE_EPOCH").or_else(|| git(&["log", "-1", "--format=%ct"]));
    let time = time.filter(|time| time.parse::<u64>().is_ok());
    println!("cargo:rustc-env=PIPEOPS_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    println!("cargo:rustc-env=PIPEOPS_COMMIT_TIME={}", time.as_deref().unwrap_or(EARLIEST));
    println!("cargo:rustc-env=PIPEOPS_TARGET={}", variable("TARGET").unwrap_or_default());
    println!("cargo:rerun-if-changed=build.rs");
    // Where HEAD points to, and what that branch points to.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--path-format=absolute", "--git-path", name]) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
}

fn variable(name: &str) -> Option<String> {
    println!("cargo:rerun-if-env-changed={name}");
    std::env::var(name).ok().filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()))
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}
