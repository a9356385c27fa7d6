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
    "AGENT_ALLOWED_WS_ORIGINS",
    "AGENT_COMPATIBILITY_INGRESS_AUTO_FIX_CONFIGMAPS",
    "AGENT_COMPATIBILITY_INGRESS_BACKUP_BEFORE_MODIFY",
    "AGENT_COMPATIBILITY_INGRESS_REQUIRE_ANNOTATION",
    "AGENT_COMPATIBILITY_INGRESS_SWITCH_EXISTING_TO_TRAEFIK",
    "AGENT_COMPATIBILITY_MODE",
    "AGENT_DEBUG",
    "AGENT_ENABLE_L4_TUNNEL",
    "AGENT_GATEWAY_ROUTE_REFRESH_INTERVAL",
    "AGENT_GRAFANA_SUB_PATH",
    "AGENT_HEARTBEAT_INTERVAL_DISCONNECTED",
    "AGENT_HEARTBEAT_INTERVAL_RECONNECTING",
    "AGENT_MAX_WS_FRAME_BYTES",
    "AGENT_NAME",
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
    "INSTALL_GATEWAY_API",
    "INSTALL_MONITORING",
    "LOGGING_OUTPUT",
    "PIPEOPS_AGENT_GRAFANA_SUB_PATH",
    "PIPEOPS_CPU_LIMIT",
    "PIPEOPS_ENABLE_SSE",
    "PIPEOPS_ENABLE_STATE_PERSISTENCE",
    "PIPEOPS_ENDPOINT",
    "PIPEOPS_GRAFANA_ENABLED",
    "PIPEOPS_HEARTBEAT_INTERVAL_DISCONNECTED",
    "PIPEOPS_HEARTBEAT_INTERVAL_RECONNECTING",
    "PIPEOPS_MEMORY_LIMIT",
    "PIPEOPS_MONITORING_ENABLED",
    "PIPEOPS_NODE_NAME",
    "PIPEOPS_POD_NAME",
    "PIPEOPS_PROMETHEUS_ENABLED",
    "PIPEOPS_RBAC_ENABLED",
    "PIPEOPS_RECONNECT_BACKOFF",
    "PIPEOPS_RECONNECT_ENABLED",
    "PIPEOPS_RECONNECT_INTERVAL",
    "PIPEOPS_RECONNECT_MAX_ATTEMPTS",
    "PIPEOPS_REGISTRATION_DEDUPLICATE",
    "PIPEOPS_REGISTRATION_MAX_ATTEMPTS",
    "PIPEOPS_REGISTRATION_RETRY_INTERVAL",
    "PIPEOPS_TIMEOUT",
    "PIPEOPS_TRUTHFUL_READINESS_PROBE",
    "PIPEOPS_WS_PROTOCOL",
    "TIMEOUTS_HEARTBEAT",
    "TIMEOUTS_HELM_INSTALL",
    "TIMEOUTS_HELM_UPGRADE",
    "TIMEOUTS_K8S_DEPLOYMENT",
    "TIMEOUTS_K8S_OPERATION",
    "TIMEOUTS_K8S_RESOURCE_WATCH",
    "TIMEOUTS_PROXY_DIAL",
    "TIMEOUTS_PROXY_IDLE",
    "TIMEOUTS_PROXY_REQUEST",
    "TUNNELS_ENABLED",
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
        for path in KEYS.iter().filter(|path| path.contains('.')) {
            let name = path.to_uppercase().replace('.', "_");
            let known = ENVIRONMENT.iter().any(|known| *known == name || known.starts_with(&format!("{name}_")));
            assert!(known, "{name}: once, the variable set the key of that name");
        }
        // A later version reads these: nothing is said about them.
        for name in ["CI", "METADATA_TIMEOUT_MS", "SKIP_GEOIP", "SKIP_METADATA"] {
            assert!(!ENVIRONMENT.contains(&name), "{name}");
        }
        assert!(KEYS.is_sorted() && ENVIRONMENT.is_sorted() && FLAGS.is_sorted());
    }
}
