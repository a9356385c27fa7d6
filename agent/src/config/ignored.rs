//! Settings of the previous agent that are accepted and mean nothing here, so that its configuration files and
//! manifests keep working.

/// Keys of the file. Each stands for itself and everything below it.
pub(crate) const KEYS: &[&str] = &[
    "agent.compatibility",
    "agent.debug",
    "agent.gateway_route_refresh_interval",
    "agent.grafana_sub_path",
    "agent.heartbeat_interval_disconnected",
    "agent.heartbeat_interval_reconnecting",
    "agent.name",
    "agent.truthful_readiness_probe",
    "agent.version",
    "cluster",
    "encryption",
    "gateway",
    "logging.output",
    "monitoring",
    "networking",
    "pipeops.reconnect",
    "pipeops.timeout",
    "registration",
    "timeouts.heartbeat",
    "timeouts.helm_install",
    "timeouts.helm_upgrade",
    "timeouts.k8s_deployment",
    "timeouts.k8s_operation",
    "timeouts.k8s_resource_watch",
    "timeouts.proxy_dial",
    "timeouts.proxy_idle",
    "timeouts.proxy_request",
    "tunnel",
    "tunnels",
    "upgrade",
];

/// Sections in which keys of other programs were documented: what is unknown there is an error only if it looks like
/// a mistyped key of ours.
pub(crate) const OPEN_SECTIONS: &[&str] = &["state"];

/// Environment variables.
pub(crate) const ENVIRONMENT: &[&str] = &[
    "AGENT_DEBUG",
    "AGENT_ENABLE_L4_TUNNEL",
    "AGENT_HEARTBEAT_INTERVAL_DISCONNECTED",
    "AGENT_HEARTBEAT_INTERVAL_RECONNECTING",
    "AGENT_MAX_WS_FRAME_BYTES",
    "AGENT_TRUTHFUL_READINESS_PROBE",
    "AGENT_VERSION",
    "AGENT_WS_CHANNEL_CAPACITY",
    "GATEWAY_ENABLED",
    "GATEWAY_ENVIRONMENT_MODE",
    "GATEWAY_ENVIRONMENT_VM_IP",
    "GATEWAY_GATEWAY_API_ENABLED",
    "GATEWAY_GATEWAY_API_GATEWAY_CLASS",
    "GATEWAY_GWAPI_LISTENERS_JSON",
    "GATEWAY_GWAPI_TCP_ROUTES_JSON",
    "GATEWAY_GWAPI_UDP_ROUTES_JSON",
    "GATEWAY_ISTIO_ENABLED",
    "GATEWAY_ISTIO_SERVERS_JSON",
    "GATEWAY_ISTIO_SERVICE_CREATE",
    "GATEWAY_ISTIO_SERVICE_NAMESPACE",
    "GATEWAY_ISTIO_TCP_ROUTES_JSON",
    "GATEWAY_ISTIO_TLS_ROUTES_JSON",
    "GATEWAY_NAMESPACE",
    "GATEWAY_RELEASE_NAME",
    "GATEWAY_ROUTE_REFRESH_INTERVAL",
    "PIPEOPS_AGENT_GRAFANA_SUB_PATH",
    "PIPEOPS_HEARTBEAT_INTERVAL_DISCONNECTED",
    "PIPEOPS_HEARTBEAT_INTERVAL_RECONNECTING",
    "PIPEOPS_RECONNECT_BACKOFF",
    "PIPEOPS_RECONNECT_ENABLED",
    "PIPEOPS_RECONNECT_INTERVAL",
    "PIPEOPS_RECONNECT_MAX_ATTEMPTS",
    "PIPEOPS_TIMEOUT",
    "PIPEOPS_TRUTHFUL_READINESS_PROBE",
    "TUNNELS_ROUTING_FORCE_TUNNEL_MODE",
];

/// Flags, with whether a value may follow as the next argument.
pub(crate) const FLAGS: &[(&str, bool)] = &[
    ("--gateway-enabled", false),
    ("--gateway-env-mode", true),
    ("--gateway-env-vm-ip", true),
    ("--gateway-gwapi-enabled", false),
    ("--gateway-gwapi-gateway-class", true),
    ("--gateway-gwapi-listeners-json", true),
    ("--gateway-gwapi-tcp-routes-json", true),
    ("--gateway-gwapi-udp-routes-json", true),
    ("--gateway-istio-enabled", false),
    ("--gateway-istio-servers-json", true),
    ("--gateway-istio-service-create", false),
    ("--gateway-istio-service-namespace", true),
    ("--gateway-istio-tcp-routes-json", true),
    ("--gateway-istio-tls-routes-json", true),
    ("--gateway-namespace", true),
    ("--gateway-release-name", true),
];

/// What a warning says about all of them.
pub(crate) const MESSAGE: &str = "ignored: this setting has no effect";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_ignored_name_means_something() {
        for path in KEYS {
            for key in super::super::keys::KEYS {
                assert_ne!(key.path, *path);
                assert!(!key.path.starts_with(&format!("{path}.")), "{path} hides {}", key.path);
            }
        }
        for name in ENVIRONMENT {
            assert!(super::super::keys::KEYS.iter().all(|key| !key.environment.contains(name)), "{name}");
        }
        assert!(KEYS.is_sorted() && ENVIRONMENT.is_sorted() && FLAGS.is_sorted());
    }
}
