//! The texts of log records that people and their scripts look for. Changing one is a breaking change.
//!
//! Every record at INFO, WARN and ERROR has its text here; a test looks for others in the source.

// The start.
pub(crate) const STARTING: &str = "Starting PipeOps Agent";
pub(crate) const CONFIGURATION_FILE: &str = "Using configuration file";
pub(crate) const INGRESS_SYNC_DISABLED: &str = "Ingress sync disabled - agent will not expose cluster via gateway proxy";
pub(crate) const NO_COMPONENTS: &str =
    "Components are not installed by this version: agent.auto_install_components has no effect";
pub(crate) const NO_RUNTIME: &str = "The runtime cannot be set up";
pub(crate) const CANNOT_START: &str = "The agent cannot start";
pub(crate) const KUBERNETES_FOUND: &str = "Kubernetes access found";
pub(crate) const NO_KUBERNETES: &str = "No access to a Kubernetes API found: the tunnel will carry no requests";
pub(crate) const NO_SERVICE_TOKEN: &str = "No Kubernetes token to give to the control plane";
pub(crate) const NEW_AGENT_ID: &str = "Made a new agent ID";

// The state.
pub(crate) const CLUSTER_ID_LOADED: &str = "Loaded cluster ID from state";
pub(crate) const NO_CLUSTER_ID: &str = "No existing cluster ID found in state, will register as new cluster";
pub(crate) const STATE_UNREADABLE: &str = "State cannot be read, starting without it";
pub(crate) const STATE_UNSAVED: &str = "State cannot be saved, trying on";
pub(crate) const STATE_SAVED_AFTER_ALL: &str = "State saved after all";
pub(crate) const TOKEN_KEPT: &str = "Kept the Kubernetes token from the control plane";
pub(crate) const TOKEN_IGNORED: &str = "Ignored a Kubernetes token from the control plane: it may not create namespaces here";

// The connection to the control plane.
pub(crate) const REGISTERED: &str = "Agent registered successfully via WebSocket";
pub(crate) const CLUSTER_REGISTERED: &str = "Cluster registered successfully";
pub(crate) const STATE_CHANGED: &str = "Connection state changed";
pub(crate) const CONNECT_FAILED: &str = "Failed to connect to the control plane, will keep trying";
/// What follows after a number of [`CONNECT_FAILED`], at most every ten minutes.
pub(crate) const STILL_AWAY: &str = "Still not connected to the control plane, trying on";
pub(crate) const CONNECTION_LOST: &str = "WebSocket connection closed unexpectedly";
pub(crate) const RECONNECTING: &str = "Attempting to reconnect to WebSocket";
pub(crate) const RECONNECTED: &str = "Reconnected to the control plane";
pub(crate) const HEARTBEAT_SENT: &str = "Heartbeat sent successfully";
pub(crate) const HEARTBEAT_FAILED: &str = "Heartbeat failed, retrying with backoff...";
pub(crate) const HEARTBEATS_EXHAUSTED: &str = "Failed to send heartbeat after retries";
pub(crate) const LAST_KNOWN_ADDRESS: &str = "The name server does not answer, using the last known address";
/// The beginning of the `error` field when the socket cannot be established.
pub(crate) const VIA_WEBSOCKET: &str = "failed to connect via WebSocket";

// The local listener.
pub(crate) const LISTENER_STARTED: &str = "Local listener started";
pub(crate) const LISTENER_FAILED: &str = "Local listener cannot be opened, going on without it and trying again";

pub(crate) const STATUS_SOCKET_FAILED: &str = "Status socket cannot be opened: another agent or program uses agent.state_dir";

// What the control plane asks for.
pub(crate) const PLANE_ERROR: &str = "Error message from control plane";
pub(crate) const UNKNOWN_TYPE: &str = "Unknown message type received from control plane";
pub(crate) const UNREADABLE: &str = "Dropped a message from the control plane that cannot be read";
pub(crate) const REFUSED: &str = "Refused a request of the control plane";
pub(crate) const REFUSED_BY_POLICY: &str = "Refused a request of the control plane by policy";
pub(crate) const DUPLICATE: &str = "Dropped a request whose id is in use";
pub(crate) const KUBERNETES_AWAY: &str = "The Kubernetes API gives no answer that can be used, trying on";
pub(crate) const KUBERNETES_BACK: &str = "The Kubernetes API answers again";

// What the operator changes while the agent runs.
pub(crate) const MORE_WARNINGS: &str = "More settings deserve a warning: see pipeops-agent config check";
pub(crate) const RELOADED: &str = "Configuration read again";
pub(crate) const NOT_RELOADED: &str = "Configuration is wrong, going on with the one before";
pub(crate) const RESTART_NEEDED: &str = "Changed settings that need a restart to have an effect";

// The end.
pub(crate) const SHUTDOWN: &str = "Received shutdown signal";
pub(crate) const STOPPED: &str = "PipeOps agent stopped gracefully";

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Calls `found` with every source file of the agent and its text, this one apart.
    fn sources(folder: &Path, found: &mut dyn FnMut(&Path, &str)) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("src/messages.rs") {
                found(&path, &std::fs::read_to_string(&path).unwrap());
            }
        }
    }

    /// The constants of this file: name and text.
    fn constants() -> Vec<(&'static str, &'static str)> {
        let text = include_str!("messages.rs").split("#[cfg(test)]").next().unwrap();
        let declared = text.split("pub(crate) const ").skip(1);
        let parts = declared.map(|it| (it.split(':').next().unwrap(), it.split('"').nth(1).unwrap()));
        parts.collect()
    }

    #[test]
    fn no_record_that_operators_see_has_a_text_of_its_own() {
        let mut literals = Vec::new();
        let mut calls = 0;
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut |path, text| {
            for name in ["info!(", "warn!(", "error!(", "log!("] {
                for (at, _) in text.match_indices(name) {
                    if text[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
                        continue;
                    }
                    calls += 1;
                    // Everything to the end of the call; the format stands behind the fields.
                    let mut depth = 1;
                    let call = &text[at + name.len()..];
                    let end = call.find(|character| {
                        depth += i32::from(character == '(') - i32::from(character == ')');
                        depth == 0
                    });
                    let call = &call[..end.unwrap()];
                    if !call.contains("\"{}\"") {
                        literals.push(format!("{}: {name}{call})", path.display()));
                    }
                }
            }
        });
        assert!(calls > 20, "the search finds no calls any more");
        assert!(literals.is_empty(), "{literals:#?}");
    }

    #[test]
    fn every_text_is_used_and_none_is_there_twice() {
        let constants = constants();
        assert!(constants.len() > 30);
        let mut all = String::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut |_, text| all.push_str(text));
        for (index, (name, text)) in constants.iter().enumerate() {
            assert!(all.contains(&format!("messages::{name}")), "nothing uses {name}");
            assert!(!constants[..index].iter().any(|(_, other)| other == text), "{text} is there twice");
        }
    }

    #[test]
    fn every_message_that_the_readme_shows_exists() {
        let readme = include_str!("../../README.md");
        let constants = constants();
        let known = |text: &str| constants.iter().any(|(_, known)| *known == text);
        let mut shown = 0;
        // Records in full.
        for (at, _) in readme.match_indices("\"msg\":\"") {
            let text = readme[at + 7..].split('"').next().unwrap();
            assert!(known(text), "README shows a record that no release writes: {text}");
            shown += 1;
        }
        // Tables whose first column is a message.
        let mut in_table = false;
        for line in readme.lines() {
            in_table = line.starts_with("| Message |") || (in_table && line.starts_with('|'));
            if in_table && let Some(text) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) {
                assert!(known(text), "README explains a message that no release writes: {text}");
                shown += 1;
            }
        }
        assert!(shown >= 10, "README shows {shown} messages only");
    }
}
