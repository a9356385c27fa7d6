//! What this binary is. The one source for everything that names the version: the plane, the probes, the command line.

use std::time::Duration;

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

/// What `version` prints, with a line feed at the end.
pub(crate) fn line() -> String {
    let time = humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + commit_time());
    format!("pipeops-agent {VERSION} (commit {COMMIT} of {time}, {TARGET})\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_knows_what_it_was_made_from() {
        assert!(COMMIT == "unknown" || (COMMIT.len() == 12 && COMMIT.bytes().all(|byte| byte.is_ascii_hexdigit())), "{COMMIT}");
        assert!(TARGET.split('-').count() >= 3, "{TARGET}");
        assert!(commit_time() >= Duration::from_secs(1_700_000_000));
        assert!(commit_time() < std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap());
    }
}
