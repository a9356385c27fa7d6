//! Whether the agent can keep its state.

use super::report::Finding;
use crate::config::Config;
use crate::state::{StateError, Store};

/// Whether it can be read and written. `forbidden` says that rights are missing, which was said already.
pub(super) async fn check(config: &Config, store: &Store, forbidden: bool) -> Finding {
    match (store.rehearse().await, store) {
        (Err(StateError::Status(403)), _) if forbidden => Finding::skip(format!("{store}: needs the rights that are missing")),
        (Ok(true), _) => Finding::pass(format!("{store} can be written")),
        (Ok(false), _) => {
            Finding::warn(format!("{store}: the Secret may not be written, so the control plane's Kubernetes token is not kept"))
                .cure("allow get, create and update of Secrets in that namespace (see \"rights needed\")")
        }
        (Err(error), Store::File(_)) => file(config, &error),
        (Err(error), Store::Objects(objects)) => {
            let finding = Finding::fail(format!("{store}: {error}"));
            match error {
                StateError::Status(404) => finding.cure(format!("kubectl create namespace {}", objects.namespace)),
                StateError::Status(_) | StateError::Request(_) | StateError::Content | StateError::File(_) => {
                    finding.cure("allow get, create and update of ConfigMaps in that namespace (see \"rights needed\")")
                }
            }
        }
    }
}

fn file(config: &Config, error: &StateError) -> Finding {
    let folder = config.agent.state_dir.display();
    let finding = Finding::fail(format!("{folder}: {error}"));
    match error {
        StateError::Content => finding.cure(format!("move {folder}/state.json away; the agent registers anew without it")),
        StateError::File(_) | StateError::Request(_) | StateError::Status(_) => finding
            .cure(format!("sudo install -d -o pipeops-agent -m 700 {folder}    (df -h {folder} shows the room there)"))
            .cure("or another folder: agent.state_dir (PIPEOPS_STATE_DIR)"),
    }
}
