//! What this binary is. The one source for everything that names the version: the plane, the probes, the command line.

use std::time::Duration;

use crate::config::Features;

/// The version of the package.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit it was built from, twelve hexadecimal digits, or `unknown`.
pub(crate) const COMMIT: &str = env!("PIPEOPS_COMMIT");
/// The target triple.
pub(crate) const TARGET: &str = env!("PIPEOPS_TARGET");

/// When the commit was made, since 1970. A clock that shows an earlier time is wrong.
pub(crate) fn commit_time() -> Duration {
    Duration::from_secs(env!("PIPEOPS_COMMIT_TIME").parse().unwrap_or_default())
}

/// When the commit was made, as a date with a time.
pub(crate) fn commit_date() -> String {
    humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + commit_time()).to_string()
}

/// The version in full, as one line without a line feed.
pub(crate) fn full() -> String {
    format!("pipeops-agent {VERSION} (commit {COMMIT} of {}, {TARGET})", commit_date())
}

/// What `version` prints, with a line feed at the end.
pub(crate) fn text(features: Features) -> String {
    let names = features.names();
    let features = if names.is_empty() { "no optional features".to_owned() } else { format!("features: {}", names.join(", ")) };
    format!("{}\n{features}\n", full())
}

/// What `version --json` prints, with a line feed at the end. None of the texts holds what JSON would escape.
pub(crate) fn json(features: Features) -> String {
    let names: Vec<String> = features.names().iter().map(|name| format!("\"{name}\"")).collect();
    format!(
        "{{\"version\":\"{VERSION}\",\"commit\":\"{COMMIT}\",\"commit_time\":\"{}\",\"target\":\"{TARGET}\",\"features\":[{}]}}\n",
        commit_date(),
        names.join(",")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_knows_what_it_was_made_from() {
        assert!(COMMIT == "unknown" || (COMMIT.len() == 12 && COMMIT.bytes().all(|byte| byte.is_ascii_hexdigit())), "{COMMIT}");
        assert!(TARGET.split('-').count() >= 3, "{TARGET}");
        let (none, all) = (Features { ingress_sync: false }, Features { ingress_sync: true });
        assert!(text(none).ends_with("\nno optional features\n") && text(all).ends_with("\nfeatures: ingress-sync\n"));
        for (features, names) in [(none, &[][..]), (all, &["ingress-sync"])] {
            let value: serde_json::Value = serde_json::from_str(&json(features)).unwrap();
            assert_eq!((&value["version"], &value["commit"]), (&VERSION.into(), &COMMIT.into()));
            assert_eq!(value["features"], serde_json::json!(names));
        }
        assert!(commit_time() >= Duration::from_secs(1_700_000_000));
        assert!(commit_time() < std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap());
    }
}
