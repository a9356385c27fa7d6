//! What the control plane, or whatever stands in its place, makes of the upgrade and of the token.

use super::report::Finding;

/// Upgrade and token, judged by the status of the answer.
pub(super) fn judge(status: u16) -> (Finding, Finding) {
    let skip = || Finding::skip("the answer says nothing about it");
    match status {
        101 => (Finding::pass("accepted (status 101)"), Finding::pass("accepted; nothing was registered")),
        401 | 403 => {
            let token = Finding::fail(format!("refused (status {status})"))
                .cure("pipeops.token (PIPEOPS_TOKEN) or pipeops.token_file: the token that PipeOps shows for this cluster")
                .cure("a token of another control plane, or one that was withdrawn, is refused too");
            (Finding::pass("the control plane answers"), token)
        }
        429 | 500..=599 => {
            let finding = Finding::fail(format!("the control plane is busy or broken (status {status})"))
                .cure("wait: the agent tries again by itself");
            (finding, skip())
        }
        _ => (elsewhere(format!("status {status} in place of a WebSocket: this is not the control plane")), skip()),
    }
}

/// A failure after which the address is to be looked at.
pub(super) fn elsewhere(seen: String) -> Finding {
    Finding::fail(seen)
        .cure("pipeops.api_url (PIPEOPS_API_URL): the address that PipeOps shows, with its path")
        .cure("or let WebSocket through: a firewall, login page or proxy may answer in its place")
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;

    #[test]
    fn the_status_says_which_of_the_two_failed() {
        use Verdict::{Fail, Pass, Skip};
        for (status, upgrade, token) in
            [(101, Pass, Pass), (401, Pass, Fail), (403, Pass, Fail), (404, Fail, Skip), (200, Fail, Skip), (503, Fail, Skip)]
        {
            let (first, second) = judge(status);
            assert_eq!((first.verdict, second.verdict), (upgrade, token), "{status}");
        }
    }
}
