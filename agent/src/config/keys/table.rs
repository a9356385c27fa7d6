//! The rows.

use core::time::Duration;

use crate::config::keys::{Key, Kind, Setting};

/// A row without environment names, flag, default; the builder methods below add them.
const fn key(setting: Setting, path: &'static str, kind: Kind, meaning: &'static str) -> Key {
    Key { setting, path, environment: &[], flag: None, kind, default: None, required_as: None, meaning }
}

impl Key {
    const fn environment(mut self, names: &'static [&'static str]) -> Key {
        self.environment = names;
        self
    }

    const fn flag(mut self, flag: &'static str) -> Key {
        self.flag = Some(flag);
        self
    }

    const fn default(mut self, text: &'static str) -> Key {
        self.default = Some(text);
        self
    }

    const fn required_as(mut self, name: &'static str) -> Key {
        self.required_as = Some(name);
        self
    }
}

/// Limits of all time-outs: nothing useful happens in less than 10 ms, nothing waits longer than an hour.
const TIMEOUT: Kind = Kind::Duration { minimum: Duration::from_millis(10), maximum: Duration::from_secs(3600) };
/// A quiet time in seconds.
const SECONDS: Kind = Kind::Seconds { minimum: Duration::from_secs(1), maximum: Duration::from_secs(3600) };
/// The smallest buffer that carries one message of the largest size, and the largest that is still a limit.
const BUFFER: Kind = Kind::Bytes { minimum: 1 << 20, maximum: 1 << 30 };

/// The words for `logging.level`; `warning`, `fatal` and `panic` are taken for the sake of older configurations.
const LEVELS: Kind = Kind::Choice(&["error", "warn", "info", "debug", "trace"]);

pub(crate) static KEYS: &[Key] = &[
    key(Setting::ApiUrl, "pipeops.api_url", Kind::Url, "address of the control plane: https, http, wss or ws")
        .environment(&["PIPEOPS_API_URL"])
        .flag("--pipeops-url")
        .required_as("PipeOps API URL"),
    key(Setting::Token, "pipeops.token", Kind::Secret, "token that admits this agent to the control plane")
        .environment(&["PIPEOPS_TOKEN", "AGENT_TOKEN"])
        .flag("--token")
        .required_as("PipeOps token"),
    key(Setting::TokenFile, "pipeops.token_file", Kind::Path, "file that holds the token instead")
        .environment(&["PIPEOPS_TOKEN_FILE"])
        .flag("--token-file"),
    key(Setting::AllowPlaintext, "pipeops.allow_plaintext", Kind::Boolean, "allow http and ws to a host other than this one")
        .environment(&["PIPEOPS_ALLOW_PLAINTEXT"])
        .default("false"),
    key(
        Setting::TlsEnabled,
        "pipeops.tls.enabled",
        Kind::Boolean,
        "use the other pipeops.tls settings; TLS itself follows the URL",
    )
    .environment(&["PIPEOPS_TLS_ENABLED"])
    .default("true"),
    key(Setting::TlsCaFile, "pipeops.tls.ca_file", Kind::Path, "certificates (PEM) to trust besides the public ones")
        .environment(&["PIPEOPS_TLS_CA_FILE"]),
    key(Setting::TlsCertFile, "pipeops.tls.cert_file", Kind::Path, "client certificate (PEM)")
        .environment(&["PIPEOPS_TLS_CERT_FILE"]),
    key(Setting::TlsKeyFile, "pipeops.tls.key_file", Kind::Path, "key of the client certificate (PEM)")
        .environment(&["PIPEOPS_TLS_KEY_FILE"]),
    key(
        Setting::TlsInsecureSkipVerify,
        "pipeops.tls.insecure_skip_verify",
        Kind::Boolean,
        "do not verify the control plane's certificate",
    )
    .environment(&["PIPEOPS_TLS_INSECURE_SKIP_VERIFY"])
    .default("false"),
    key(
        Setting::TlsServerName,
        "pipeops.tls.server_name",
        Kind::Text,
        "name that the control plane's certificate must be for; unset: the host of the URL",
    )
    .environment(&["PIPEOPS_TLS_SERVER_NAME"]),
    key(Setting::TlsMinVersion, "pipeops.tls.min_version", Kind::Choice(&["1.2", "1.3"]), "oldest version of TLS to accept")
        .environment(&["PIPEOPS_TLS_MIN_VERSION"])
        .default("1.2"),
    key(
        Setting::HttpsProxy,
        "proxy.https_proxy",
        Kind::Proxy,
        "proxy to a control plane with https or wss: http://[user:password@]host:port",
    )
    .environment(&["HTTPS_PROXY", "https_proxy"]),
    key(Setting::HttpProxy, "proxy.http_proxy", Kind::Proxy, "the same for a control plane with http or ws")
        .environment(&["HTTP_PROXY", "http_proxy"]),
    key(
        Setting::NoProxy,
        "proxy.no_proxy",
        Kind::List(".example.com,10.0.0.0/8"),
        "hosts, domains, addresses and blocks that are reached without a proxy; *: all",
    )
    .environment(&["NO_PROXY", "no_proxy"]),
    key(Setting::ProxyCaFile, "proxy.ca_file", Kind::Path, "certificates (PEM) to trust as well for a proxy whose URL is https")
        .environment(&["PIPEOPS_PROXY_CA_FILE"]),
    key(Setting::ClusterName, "agent.cluster_name", Kind::Text, "name of this cluster")
        .environment(&["PIPEOPS_CLUSTER_NAME", "AGENT_CLUSTER_NAME"])
        .flag("--cluster-name")
        .required_as("cluster name"),
    key(Setting::AgentId, "agent.id", Kind::Text, "identity of this agent; unset: generated and kept")
        .environment(&["PIPEOPS_AGENT_ID", "AGENT_ID"])
        .flag("--agent-id"),
    key(Setting::Labels, "agent.labels", Kind::Labels, "labels that are sent at registration"),
    key(
        Setting::Port,
        "agent.port",
        Kind::Integer { minimum: 0, maximum: 65535 },
        "port for probes, metrics and `status`; 0: listen on no port",
    )
    .environment(&["AGENT_PORT", "PIPEOPS_PORT"])
    .default("8080"),
    key(
        Setting::ListenAddress,
        "agent.listen_address",
        Kind::Address,
        "address that `agent.port` is opened on; in a pod `0.0.0.0`, so that kubelet and Prometheus reach it",
    )
    .environment(&["AGENT_LISTEN_ADDRESS", "PIPEOPS_LISTEN_ADDRESS"])
    .default("127.0.0.1"),
    key(
        Setting::EnableIngressSync,
        "agent.enable_ingress_sync",
        Kind::Boolean,
        "announce the cluster's ingresses to the control plane",
    )
    .environment(&["PIPEOPS_ENABLE_INGRESS_SYNC", "ENABLE_INGRESS_SYNC", "AGENT_ENABLE_INGRESS_SYNC"])
    .default("false"),
    key(
        Setting::AutoInstallComponents,
        "agent.auto_install_components",
        Kind::Boolean,
        "install monitoring components into the cluster",
    )
    .environment(&["PIPEOPS_AUTO_INSTALL_COMPONENTS", "AGENT_AUTO_INSTALL_COMPONENTS"])
    .default("false"),
    key(
        Setting::HeartbeatInterval,
        "agent.heartbeat_interval_connected",
        Kind::Seconds { minimum: Duration::from_secs(5), maximum: Duration::from_secs(300) },
        "time between heartbeats",
    )
    .environment(&["PIPEOPS_HEARTBEAT_INTERVAL_CONNECTED", "AGENT_HEARTBEAT_INTERVAL_CONNECTED"])
    .default("30"),
    key(
        Setting::StateDir,
        "agent.state_dir",
        Kind::Path,
        "folder for the agent's state; STATE_DIRECTORY, which systemd sets, replaces the default",
    )
    .environment(&["PIPEOPS_STATE_DIR"])
    .default("/var/lib/pipeops-agent"),
    key(
        Setting::Kubeconfig,
        "kubernetes.kubeconfig",
        Kind::Path,
        "kubeconfig file; a variable may hold several, joined by colons",
    )
    .environment(&["KUBERNETES_KUBECONFIG", "KUBECONFIG"])
    .flag("--kubeconfig"),
    key(Setting::InCluster, "kubernetes.in_cluster", Kind::Boolean, "use the pod's service account and nothing else")
        .environment(&["KUBERNETES_IN_CLUSTER"])
        .flag("--in-cluster")
        .default("false"),
    key(Setting::Namespace, "kubernetes.namespace", Kind::Text, "the agent's own namespace")
        .environment(&["KUBERNETES_NAMESPACE"]),
    key(Setting::ServiceToken, "kubernetes.service_token", Kind::Secret, "service account token for the control plane")
        .environment(&["PIPEOPS_K8S_SERVICE_TOKEN", "KUBERNETES_SERVICE_TOKEN"]),
    key(
        Setting::ServiceTokenFile,
        "kubernetes.service_token_file",
        Kind::Path,
        "file that holds the service account token instead",
    )
    .environment(&["PIPEOPS_K8S_SERVICE_TOKEN_FILE"]),
    key(Setting::CaCertData, "kubernetes.ca_cert_data", Kind::Pem, "certificate authority of the cluster")
        .environment(&["PIPEOPS_K8S_CERT_DATA", "KUBERNETES_CA_CERT_DATA"]),
    key(Setting::LogLevel, "logging.level", LEVELS, "least important messages that are written")
        .environment(&["LOG_LEVEL", "PIPEOPS_LOG_LEVEL", "LOGGING_LEVEL"])
        .flag("--log-level")
        .default("info"),
    key(Setting::LogFormat, "logging.format", Kind::Choice(&["json", "text"]), "one JSON object per line, or text for people")
        .environment(&["LOG_FORMAT", "LOGGING_FORMAT"])
        .flag("--log-format")
        .default("json"),
    key(
        Setting::WebsocketHandshake,
        "timeouts.websocket_handshake",
        TIMEOUT,
        "longest wait for a connection to the control plane",
    )
    .environment(&["TIMEOUTS_WEBSOCKET_HANDSHAKE"])
    .default("30s"),
    key(Setting::WebsocketPing, "timeouts.websocket_ping", TIMEOUT, "time between pings")
        .environment(&["TIMEOUTS_WEBSOCKET_PING"])
        .default("10s"),
    key(Setting::WebsocketRead, "timeouts.websocket_read", TIMEOUT, "silence after which the connection counts as dead")
        .environment(&["TIMEOUTS_WEBSOCKET_READ"])
        .default("60s"),
    key(Setting::WebsocketReconnect, "timeouts.websocket_reconnect", TIMEOUT, "first wait before a new connection")
        .environment(&["TIMEOUTS_WEBSOCKET_RECONNECT"])
        .default("500ms"),
    key(Setting::WebsocketReconnectMax, "timeouts.websocket_reconnect_max", TIMEOUT, "longest wait before a new connection")
        .environment(&["TIMEOUTS_WEBSOCKET_RECONNECT_MAX"])
        .default("15s"),
    key(Setting::Registration, "timeouts.registration", TIMEOUT, "longest wait for the answer to a registration")
        .environment(&["TIMEOUTS_REGISTRATION"])
        .default("30s"),
    key(
        Setting::Shutdown,
        "timeouts.shutdown",
        Kind::Duration { minimum: Duration::ZERO, maximum: Duration::from_secs(3600) },
        "time that open requests get at the end",
    )
    .environment(&["TIMEOUTS_SHUTDOWN"])
    .default("5s"),
    key(Setting::BufferBytes, "limits.buffer_bytes", BUFFER, "most memory for data in transit")
        .environment(&["PIPEOPS_BUFFER_BYTES"])
        .default("8388608"),
    key(
        Setting::MaxExchanges,
        "limits.max_exchanges",
        Kind::Integer { minimum: 1, maximum: 4096 },
        "most requests and connections carried at once",
    )
    .environment(&["PIPEOPS_MAX_EXCHANGES"])
    .default("1024"),
    key(
        Setting::AllowImpersonation,
        "policy.allow_impersonation",
        Kind::Boolean,
        "let the control plane send Kubernetes impersonation headers",
    )
    .environment(&["PIPEOPS_ALLOW_IMPERSONATION"])
    .default("false"),
    key(Setting::ReadOnly, "policy.read_only", Kind::Boolean, "let the control plane read and do nothing else")
        .environment(&["PIPEOPS_POLICY_READ_ONLY"])
        .default("false"),
    key(Setting::Verbs, "policy.verbs", Kind::List("get,list,watch"), "Kubernetes verbs that are allowed; unset: all")
        .environment(&["PIPEOPS_POLICY_VERBS"]),
    key(
        Setting::Namespaces,
        "policy.namespaces",
        Kind::List("team-*,shared"),
        "namespaces that are allowed, and nothing outside of namespaces; unset: all",
    )
    .environment(&["PIPEOPS_POLICY_NAMESPACES"]),
    key(Setting::DenyNamespaces, "policy.deny_namespaces", Kind::List("kube-*"), "namespaces that are denied")
        .environment(&["PIPEOPS_POLICY_DENY_NAMESPACES"]),
    key(
        Setting::Paths,
        "policy.paths",
        Kind::List("/apis/apps/v1,/api/v1/namespaces/*/pods"),
        "paths of the Kubernetes API that are allowed, with all below; unset: all",
    )
    .environment(&["PIPEOPS_POLICY_PATHS"]),
    key(
        Setting::DenyPaths,
        "policy.deny_paths",
        Kind::List("/api/v1/secrets,/api/v1/namespaces/*/secrets"),
        "paths of the Kubernetes API that are denied, with all below",
    )
    .environment(&["PIPEOPS_POLICY_DENY_PATHS"]),
    key(Setting::Services, "policy.services", Kind::Boolean, "let the control plane send requests to services")
        .environment(&["PIPEOPS_POLICY_SERVICES"])
        .default("true"),
    key(
        Setting::AllowServices,
        "policy.allow_services",
        Kind::List("shop/*,monitoring/grafana:3000"),
        "services that are allowed; unset: all but default/kubernetes",
    )
    .environment(&["PIPEOPS_POLICY_ALLOW_SERVICES"]),
    key(Setting::DenyServices, "policy.deny_services", Kind::List("shop/database,*/*:22"), "services that are denied")
        .environment(&["PIPEOPS_POLICY_DENY_SERVICES"]),
    key(
        Setting::AllowAddresses,
        "policy.allow_addresses",
        Kind::List("192.0.2.0/24,2001:db8::7"),
        "addresses that services may have although they are not the cluster's",
    )
    .environment(&["PIPEOPS_POLICY_ALLOW_ADDRESSES"]),
    key(
        Setting::ServicesInsecureSkipVerify,
        "services.insecure_skip_verify",
        Kind::Boolean,
        "do not verify the certificates of services that are reached over TLS",
    )
    .environment(&["PIPEOPS_SERVICES_INSECURE_SKIP_VERIFY"])
    .default("false"),
    key(Setting::ServicesPing, "services.websocket_ping", SECONDS, "quiet time after which a WebSocket to a service is pinged")
        .environment(&["AGENT_WS_PING_INTERVAL_SECONDS"])
        .default("30"),
    key(Setting::ServicesSilence, "services.websocket_silence", SECONDS, "silence after which such a WebSocket is given up")
        .environment(&["AGENT_WS_PONG_TIMEOUT_SECONDS"])
        .default("90"),
    key(Setting::StateConfigmapName, "state.configmap_name", Kind::Text, "ConfigMap for the agent's state in a cluster")
        .environment(&["PIPEOPS_STATE_CONFIGMAP_NAME"])
        .default("pipeops-agent-state"),
    key(Setting::StateSecretName, "state.secret_name", Kind::Text, "Secret for the agent's state in a cluster")
        .environment(&["PIPEOPS_STATE_SECRET_NAME"])
        .default("pipeops-agent-secrets"),
    key(Setting::StateNamespace, "state.namespace", Kind::Text, "namespace of both; unset: the pod's own")
        .environment(&["PIPEOPS_STATE_NAMESPACE"]),
    key(Setting::PodNamespace, "state.pod_namespace", Kind::Text, "the pod's namespace, where its service account does not tell")
        .environment(&["PIPEOPS_POD_NAMESPACE"]),
];
