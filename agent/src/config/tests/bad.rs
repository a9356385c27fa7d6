//! Bad configurations, each with the whole message.

use super::*;

fn refused(result: Result<(Config, Notes), ConfigError>) -> String {
    let message = result.unwrap_err().to_string();
    assert!(!message.contains("CANARY"), "{message}");
    message
}

#[test]
fn bad_files() {
    let cases = [
        // Not YAML, or YAML that is refused.
        ("agent: {port: 1", "1:8: the bracket '{' is never closed"),
        ("agent:\n\tport: 1\n", "2:2: a tab where spaces are needed"),
        ("agent: &a {port: 1}\n", "1:11: anchors (&name) are not supported: write the value out"),
        ("agent: {port: 1}\nagent: {id: x}\n", "2:1: duplicate key \"agent\", first on line 1"),
        ("agent: {port: 1}\n---\nagent: {port: 2}\n", "3:1: a second document: only one is allowed"),
        ("agent:\n  <<: {port: 1}\n", "2:3: merge keys (<<) are not supported: write the keys out"),
        ("- agent\n", "1:1: the file: a mapping is expected, found a list"),
        ("just words", "1:1: the file: a mapping is expected, found a text"),
        // Keys.
        ("agent: {prot: 1}", "1:9: unknown key agent.prot: did you mean agent.port?"),
        ("agnet:\n  port: 1\n", "1:1: unknown key agnet: did you mean agent?"),
        ("pipeops:\n  token_fil: x\n", "2:3: unknown key pipeops.token_fil: did you mean pipeops.token_file?"),
        ("pipeops: {cluster_name: x}", "1:11: unknown key pipeops.cluster_name: did you mean agent.cluster_name?"),
        ("api_url: https://a", "1:1: unknown key api_url: did you mean pipeops.api_url?"),
        ("pipeops: {tls: {cafile: x}}", "1:17: unknown key pipeops.tls.cafile: did you mean pipeops.tls.ca_file?"),
        ("state: {configmapname: x}", "1:9: unknown key state.configmapname: did you mean state.configmap_name?"),
        ("plugins: {vault: x}", "1:1: unknown key plugins"),
        ("agent: {\"a\\nb\": x}", "1:9: unknown key agent.a\\nb"),
        ("agent.port: 1\nagent: {port: 2}", "2:15: agent.port is set twice, in different spellings"),
        ("agent: {port: 1, Port: 2}", "1:24: agent.port is set twice, in different spellings"),
        // Shapes.
        ("agent: 5", "1:8: agent: a mapping is expected, found a text"),
        ("agent: [port]", "1:8: agent: a mapping is expected, found a list"),
        ("pipeops: {tls: yes}", "1:16: pipeops.tls: a mapping is expected, found a text"),
        ("agent: {port: [1]}", "1:15: agent.port: one value is expected, found a list"),
        ("agent: {port: {a: 1}}", "1:15: agent.port: one value is expected, found a mapping"),
        ("pipeops: {token: [CANARY]}", "1:18: pipeops.token: one value is expected, found a list"),
        ("agent: {labels: x}", "1:17: agent.labels: a mapping is expected, found a text"),
        ("agent: {labels: {a: [b]}}", "1:21: agent.labels: a label's value must be a text, found a list"),
        // Truth values and numbers.
        ("agent: {enable_ingress_sync: yes}", "1:30: agent.enable_ingress_sync: \"yes\" is neither true nor false: write true"),
        ("policy: {allow_impersonation: 2}", "1:31: policy.allow_impersonation: \"2\" is neither true nor false"),
        ("agent: {port: abc}", "1:15: agent.port: \"abc\" is not a whole number"),
        ("agent: {port: 65536}", "1:15: agent.port: \"65536\" is outside 0 to 65535"),
        ("agent: {port: -1}", "1:15: agent.port: \"-1\" is outside 0 to 65535"),
        ("agent: {port: 80.5}", "1:15: agent.port: \"80.5\" is not a whole number"),
        (
            "agent: {listen_address: localhost}",
            "1:25: agent.listen_address: \"localhost\" is not an IP address: write 127.0.0.1 for this machine alone, \
             0.0.0.0 for all of its addresses",
        ),
        (
            "agent: {listen_address: \"0.0.0.0:8080\"}",
            "1:25: agent.listen_address: \"0.0.0.0:8080\" holds a port: write the address alone, and the port in agent.port",
        ),
        (
            "agent: {listen_address: \"[::1]\"}",
            "1:25: agent.listen_address: \"[::1]\" has brackets: write the address without them",
        ),
        ("limits: {max_exchanges: 0}", "1:25: limits.max_exchanges: \"0\" is outside 1 to 4096"),
        ("limits: {max_exchanges: 4097}", "1:25: limits.max_exchanges: \"4097\" is outside 1 to 4096"),
        ("limits: {buffer_bytes: 1000}", "1:24: limits.buffer_bytes: \"1000\" is outside 1048576 to 1073741824 bytes"),
        ("limits: {buffer_bytes: 2GiB}", "1:24: limits.buffer_bytes: \"2GiB\" is outside 1048576 to 1073741824 bytes"),
        (
            "limits: {buffer_bytes: 8 megabytes}",
            "1:24: limits.buffer_bytes: \"8 megabytes\" is not a number of bytes such as 8388608 or 8MiB",
        ),
        // Lists.
        ("policy: {verbs: {get: yes}}", "1:17: policy.verbs: a list is expected, found a mapping"),
        ("policy: {verbs: [get, [list]]}", "1:23: policy.verbs: a list of texts is expected, found a list"),
        ("policy: {verbs: [get, ~]}", "1:23: policy.verbs: a list of texts is expected, found nothing"),
        ("policy: {read_only: [true]}", "1:21: policy.read_only: one value is expected, found a list"),
        ("policy: {services: [a/b]}", "1:20: policy.services: one value is expected, found a list"),
        (
            "policy:\n  verbs:\n  - get\n  - portforwrd\n",
            "4:5: policy.verbs: \"portforwrd\" is not one of get, list, watch, create, update, patch, delete, deletecollection, \
             exec, attach, port-forward, proxy: did you mean port-forward?",
        ),
        (
            "policy: {verbs: \"get, Lsit\"}",
            "1:17: policy.verbs: \"Lsit\" is not one of get, list, watch, create, update, patch, delete, deletecollection, \
             exec, attach, port-forward, proxy: did you mean list?",
        ),
        (
            "policy: {verbs: []}",
            "1:17: policy.verbs: an empty list would allow nothing: leave the setting out to allow everything",
        ),
        (
            "policy: {allow_services: []}",
            "1:26: policy.allow_services: an empty list would allow nothing: leave the setting out to allow everything",
        ),
        ("policy: {namespaces: [\"\"]}", "1:23: policy.namespaces: \"\" is empty, or has an empty part"),
        (
            "policy: {namespaces: [a, Team]}",
            "1:26: policy.namespaces: \"Team\" holds a character that never matches: did you mean team?",
        ),
        (
            "policy: {deny_namespaces: ['*-system']}",
            "1:28: policy.deny_namespaces: \"*-system\" has a * elsewhere than at the end of a name",
        ),
        ("policy: {paths: [api/v1]}", "1:18: policy.paths: \"api/v1\" does not begin with a slash: did you mean /api/v1?"),
        (
            "policy: {deny_paths: [/api/**/pods]}",
            "1:23: policy.deny_paths: \"/api/**/pods\" has a ** elsewhere than as the last segment: did you mean /api/*/pods?",
        ),
        (
            "policy: {allow_services: [web]}",
            "1:27: policy.allow_services: \"web\" is not namespace/name or namespace/name:port: did you mean */web?",
        ),
        (
            "policy: {deny_services: ['a/b:http']}",
            "1:26: policy.deny_services: \"a/b:http\" has a port that is neither * nor 1 to 65535",
        ),
        (
            "policy: {allow_addresses: [10.0.0.0/8, 10.1.2.3/8]}",
            "1:40: policy.allow_addresses: \"10.1.2.3/8\" has bits behind its prefix: did you mean 10.0.0.0/8?",
        ),
        (
            "policy: {allow_addresses: [web.example]}",
            "1:28: policy.allow_addresses: \"web.example\" is not a block of addresses such as 10.0.0.0/8 or fd00::/8",
        ),
        ("policy: {readonly: true}", "1:10: unknown key policy.readonly: did you mean policy.read_only?"),
        ("policy: {verbs: [get], Verbs: list}", "1:31: policy.verbs is set twice, in different spellings"),
        (
            "services: {insecure_skip_verfy: true}",
            "1:12: unknown key services.insecure_skip_verfy: did you mean services.insecure_skip_verify?",
        ),
        // Durations.
        ("timeouts: {shutdown: 5}", "1:22: timeouts.shutdown: \"5\" needs a unit: write 5s, 5ms or 5m"),
        (
            "timeouts: {registration: 1d}",
            "1:26: timeouts.registration: \"1d\" is not a duration: unknown unit \"d\", use ns, us, ms, s, m or h",
        ),
        ("timeouts: {registration: soon}", "1:26: timeouts.registration: \"soon\" is not a duration such as 30s, 500ms or 1m30s"),
        ("timeouts: {registration: -3s}", "1:26: timeouts.registration: \"-3s\" is negative"),
        ("timeouts: {registration: 9999999h}", "1:26: timeouts.registration: \"9999999h\" is too long"),
        ("timeouts: {websocket_read: 2h}", "1:28: timeouts.websocket_read: \"2h\" is outside 10ms to 1h0m0s"),
        ("timeouts: {websocket_ping: 1ms}", "1:28: timeouts.websocket_ping: \"1ms\" is outside 10ms to 1h0m0s"),
        ("timeouts: {websocket_ping: 60s}", "1:28: timeouts.websocket_ping: must be shorter than timeouts.websocket_read"),
        ("timeouts: {websocket_read: 5s}", "1:28: timeouts.websocket_read: must be longer than timeouts.websocket_ping"),
        (
            "timeouts: {websocket_reconnect: 1m}",
            "1:33: timeouts.websocket_reconnect: must be shorter than timeouts.websocket_reconnect_max",
        ),
        ("agent: {heartbeat_interval_connected: 4}", "1:39: agent.heartbeat_interval_connected: \"4\" is outside 5s to 5m0s"),
        (
            "agent: {heartbeat_interval_connected: 301s}",
            "1:39: agent.heartbeat_interval_connected: \"301s\" is outside 5s to 5m0s",
        ),
        // Words.
        ("logging: {level: loud}", "1:18: logging.level: \"loud\" is not one of error, warn, info, debug, trace"),
        ("logging: {format: xml}", "1:19: logging.format: \"xml\" is not one of json, text"),
        ("agent: {id: \"a\\tb\"}", "1:13: agent.id: control characters are not allowed"),
        // Files, keys, exclusions.
        ("pipeops: {tls: {ca_file: /no}}", "1:26: pipeops.tls.ca_file: cannot read /no: entity not found"),
        ("pipeops: {tls: {cert_file: /c.yaml}}", "1:28: pipeops.tls.cert_file: pipeops.tls.key_file is missing: both or neither"),
        ("pipeops: {tls: {key_file: /c.yaml}}", "1:27: pipeops.tls.key_file: pipeops.tls.cert_file is missing: both or neither"),
        (
            "kubernetes: {in_cluster: true, kubeconfig: /k}",
            "1:26: kubernetes.in_cluster: kubernetes.kubeconfig is set as well (/c.yaml:1:44): keep one of the two",
        ),
        ("kubernetes: {ca_cert_data: \"CANARY*\"}", "1:28: kubernetes.ca_cert_data: not valid base64"),
        ("kubernetes: {ca_cert_data: aGVsbG8=}", "1:28: kubernetes.ca_cert_data: base64 of something that is no PEM certificate"),
        (
            "kubernetes: {service_token: two CANARY}",
            "1:29: kubernetes.service_token: the token holds white space or a character outside printable ASCII",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(refused(load_file(text)), format!("/c.yaml:{message}"), "{text}");
    }
}

#[test]
fn bad_variables() {
    let cases = [
        ("PIPEOPS_API_URL", "plane.example", "pipeops.api_url: a URL needs a scheme: write https://plane.example"),
        ("PIPEOPS_API_URL", "ftp://plane.example", "pipeops.api_url: the URL's scheme must be https, http, wss or ws"),
        ("PIPEOPS_API_URL", "https://", "pipeops.api_url: the URL has no host"),
        ("PIPEOPS_API_URL", "https://u:CANARY@a", "pipeops.api_url: a URL must not hold a user name or password"),
        ("PIPEOPS_API_URL", "https://a:99999", "pipeops.api_url: the URL's port must be a number from 1 to 65535"),
        ("PIPEOPS_API_URL", "https://a b/", "pipeops.api_url: the URL's host is not a valid name or IP address"),
        ("PIPEOPS_API_URL", "https://a/#x", "pipeops.api_url: a URL must not hold a fragment (#)"),
        (
            "PIPEOPS_API_URL",
            "http://plane.example",
            "pipeops.api_url: the token would travel unencrypted to plane.example: use https, or set \
             pipeops.allow_plaintext to true",
        ),
        ("PIPEOPS_TOKEN", "CANARY two", "pipeops.token: the token holds white space or a character outside printable ASCII"),
        (
            "PIPEOPS_TOKEN_FILE",
            "/no",
            "pipeops.token: pipeops.token_file is set as well (environment variable PIPEOPS_TOKEN_FILE): keep one of the two",
        ),
        ("AGENT_PORT", "http", "agent.port: \"http\" is not a whole number"),
        ("PIPEOPS_LISTEN_ADDRESS", "[::1]", "agent.listen_address: \"[::1]\" has brackets: write the address without them"),
        ("PIPEOPS_ENABLE_INGRESS_SYNC", "on", "agent.enable_ingress_sync: \"on\" is neither true nor false: write true"),
        ("LOG_LEVEL", "verbose", "logging.level: \"verbose\" is not one of error, warn, info, debug, trace"),
        ("PIPEOPS_BUFFER_BYTES", "lots", "limits.buffer_bytes: \"lots\" is not a number of bytes such as 8388608 or 8MiB"),
        (
            "PIPEOPS_POLICY_DENY_SERVICES",
            "a/b,c",
            "policy.deny_services: \"c\" is not namespace/name or namespace/name:port: did you mean */c?",
        ),
        ("PIPEOPS_POLICY_NAMESPACES", "a,", "policy.namespaces: \"\" is empty, or has an empty part"),
        ("TIMEOUTS_SHUTDOWN", "30", "timeouts.shutdown: \"30\" needs a unit: write 30s, 30ms or 30m"),
    ];
    for (name, value, message) in cases {
        let place = if name == "PIPEOPS_TOKEN_FILE" { "PIPEOPS_TOKEN" } else { name };
        let expected = format!("environment variable {place}: {message}");
        assert_eq!(refused(load(&world_with_required().set(name, value), &[])), expected, "{name}={value}");
    }
}

#[test]
fn bad_token_files() {
    let mut world = world_with_required();
    world.variables.remove("PIPEOPS_TOKEN");
    let world = world.set("PIPEOPS_TOKEN_FILE", "/t");
    let prefix = "environment variable PIPEOPS_TOKEN_FILE: pipeops.token_file: /t: ";
    assert_eq!(refused(load(&world, &[])), format!("{prefix}the token file cannot be read: entity not found"));
    let world = world.file("/t", "\n");
    assert_eq!(refused(load(&world, &[])), format!("{prefix}the token is empty"));
    let world = world.file("/t", "CANARY\nCANARY\n");
    assert!(refused(load(&world, &[])).starts_with(&format!("{prefix}the token holds white space")));
}

#[test]
fn bad_flags_and_a_missing_file() {
    let world = world_with_required();
    assert_eq!(refused(load(&world, &["--config", "/no.yaml"])), "flag --config: cannot read /no.yaml: entity not found");
    assert_eq!(
        refused(load(&world, &["--in-cluster=maybe"])),
        "flag --in-cluster: kubernetes.in_cluster: \"maybe\" is neither true nor false"
    );
    let mut world = world.file(FILE, "");
    world.files.insert(FILE.into(), (vec![0xff], 0o600));
    assert_eq!(refused(load(&world, &["--config", FILE])), "/c.yaml:1:1: the file is not UTF-8");
    let bad = <std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(vec![0xff]);
    let mut world = world_with_required();
    world.variables.insert("AGENT_ID".to_owned(), bad);
    assert_eq!(refused(load(&world, &[])), "environment variable AGENT_ID: agent.id: the value is not UTF-8");
}

#[test]
fn what_is_missing_comes_with_the_way_to_set_it() {
    assert_eq!(
        refused(load(&World::default(), &[])),
        "PipeOps API URL is required: set pipeops.api_url in the configuration file, PIPEOPS_API_URL or --pipeops-url\n\
         PipeOps token is required: set pipeops.token in the configuration file, PIPEOPS_TOKEN, AGENT_TOKEN or --token, \
         or name a file that holds it in pipeops.token_file\n\
         cluster name is required: set agent.cluster_name in the configuration file, PIPEOPS_CLUSTER_NAME, \
         AGENT_CLUSTER_NAME or --cluster-name"
    );
    let empty = "pipeops: {api_url: \"\", token: }\nagent: {cluster_name: \"  \"}\n";
    let world = World::default().file(FILE, empty);
    assert_eq!(load(&world, &["--config", FILE]).unwrap_err().problems.len(), 3, "empty counts as unset");
}

#[test]
fn all_mistakes_come_at_once() {
    let text = "agent: {port: x, labels: 5, prot: 1}\ntimeouts: {shutdown: 5}\nlogging: {level: loud}\n";
    let world = World::default().file(FILE, text).set("PIPEOPS_API_URL", "nonsense");
    let error = load(&world, &["--config", FILE, "--in-cluster=x"]).unwrap_err();
    let message = error.to_string();
    assert_eq!((error.problems.len(), message.lines().count()), (9, 9), "{message}");
    for part in [
        "agent.port",
        "agent.labels",
        "agent.prot",
        "timeouts.shutdown",
        "logging.level",
        "pipeops.api_url",
        "token is required",
        "cluster name is required",
        "--in-cluster",
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
}
