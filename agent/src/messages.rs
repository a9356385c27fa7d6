//! The texts of log records that people and their scripts look for. Changing one is a breaking change.

pub(crate) const STARTING: &str = "Starting PipeOps Agent";
pub(crate) const INGRESS_SYNC_DISABLED: &str = "Ingress sync disabled - agent will not expose cluster via gateway proxy";
pub(crate) const REGISTERED: &str = "Agent registered successfully via WebSocket";
pub(crate) const CLUSTER_REGISTERED: &str = "Cluster registered successfully";
pub(crate) const STATE_CHANGED: &str = "Connection state changed";
pub(crate) const CONNECT_FAILED: &str = "Failed to connect to the control plane, will keep trying";
pub(crate) const CONNECTION_LOST: &str = "WebSocket connection closed unexpectedly";
pub(crate) const RECONNECTING: &str = "Attempting to reconnect to WebSocket";
pub(crate) const HEARTBEAT_SENT: &str = "Heartbeat sent successfully";
pub(crate) const HEARTBEAT_FAILED: &str = "Heartbeat failed, retrying with backoff...";
pub(crate) const HEARTBEATS_EXHAUSTED: &str = "Failed to send heartbeat after retries";
pub(crate) const PLANE_ERROR: &str = "Error message from control plane";
pub(crate) const UNKNOWN_TYPE: &str = "Unknown message type received from control plane";
pub(crate) const REFUSED_BY_POLICY: &str = "Refused a request of the control plane by policy";
pub(crate) const RELOADED: &str = "Configuration read again";
pub(crate) const NOT_RELOADED: &str = "Configuration is wrong, going on with the one before";
pub(crate) const RESTART_NEEDED: &str = "Changed settings that need a restart to have an effect";
pub(crate) const LAST_KNOWN_ADDRESS: &str = "The name server does not answer, using the last known address";
pub(crate) const SHUTDOWN: &str = "Received shutdown signal";
pub(crate) const STOPPED: &str = "PipeOps agent stopped gracefully";
pub(crate) const LISTENER_STARTED: &str = "Local listener started";
pub(crate) const LISTENER_FAILED: &str = "Local listener cannot be opened, going on without it and trying again";
/// The beginning of the `error` field when the socket cannot be established.
pub(crate) const VIA_WEBSOCKET: &str = "failed to connect via WebSocket";
