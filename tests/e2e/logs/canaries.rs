//! Secrets of every kind in every place they can be in, TRACE, and no byte of them in what is written.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::backend;
use crate::harness::{Bed, LIMIT, Setup};
use crate::raw::Raw;

const SERVICE_TOKEN: &str = "cAnary-service-token-0a1b2c";
const KUBECONFIG_TOKEN: &str = "cAnary-kubeconfig-token-1b2c3d";
const PROXY_PASSWORD: &str = "cAnary-proxy-password-2c3d4e";
const USER_TOKEN: &str = "cAnary-user-token-3d4e5f";
const COOKIE: &str = "cAnary-cookie-4e5f6a";
const API_KEY: &str = "cAnary-api-key-5f6a7b";
const QUERY: &str = "cAnary-query-6a7b8c";
const BODY: &str = "cAnary-body+of/a?request 7b8c9d";
const ANSWER: &str = "cAnary-answer+of/a?backend 8c9d0e";
const PLANE: &str = "cAnary-of-the-plane-9d0e1f";

/// All but the agent's own token, which the plane chooses.
const CANARIES: [&str; 10] =
    [SERVICE_TOKEN, KUBECONFIG_TOKEN, PROXY_PASSWORD, USER_TOKEN, COOKIE, API_KEY, QUERY, BODY, ANSWER, PLANE];

/// The forms in which a secret could be read off.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    let bytes = secret.as_bytes();
    for before in 0..3 {
        let shifted = [vec![b'x'; before], bytes.to_vec()].concat();
        // Without the characters that depend on what stands beside it.
        for encoded in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            forms.push(encoded[(before * 8).div_ceil(6)..encoded.len() - 1].to_owned());
        }
    }
    let hexadecimal: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    forms.push(hexadecimal.to_uppercase());
    forms.push(hexadecimal);
    for upper in [true, false] {
        let escape = |byte: &u8| match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) => char::from(*byte).to_string(),
            byte if upper => format!("%{byte:02X}"),
            byte => format!("%{byte:02x}"),
        };
        forms.push(bytes.iter().map(escape).collect());
    }
    // A part of it is as good as none, half of it is not.
    forms.push(secret[..secret.len() * 2 / 3].to_owned());
    forms
}

#[track_caller]
fn assert_without(bytes: &[u8], secrets: &[&str]) {
    let text = String::from_utf8_lossy(bytes);
    for secret in secrets {
        for form in forms(secret) {
            if let Some(line) = text.lines().find(|line| line.contains(&form)) {
                panic!("{secret} is readable as {form} in\n{line}");
            }
        }
    }
}

/// The answer to everything: a head with secrets, and a body in two chunks that cut one in half.
fn answer() -> Vec<u8> {
    let kubeconfig =
        format!("users:\n- name: a\n  user:\n    token: {ANSWER}\n    client-key-data: {}\n", STANDARD.encode(ANSWER));
    let secret = json!({"kind": "Secret", "data": {"a": STANDARD.encode(ANSWER)}, "stringData": {"b": ANSWER}});
    let body = format!(
        "{{\"gitVersion\":\"v1.33.1\",\"config\":{},\"secret\":{secret},\"plain\":\"{ANSWER}\"}}",
        Value::from(kubeconfig)
    );
    let middle = body.find(ANSWER).unwrap() + ANSWER.len() / 2;
    let (first, second) = body.split_at(middle);
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nSet-Cookie: session={ANSWER}; Path=/\r\nX-Vault-Token: {ANSWER}\r\n\
         Www-Authenticate: Bearer {ANSWER}\r\nLocation: https://user:{ANSWER}@host/?code={ANSWER}\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    )
    .into_bytes()
}

fn request(id: &str, streamed: bool, change: Value) -> String {
    let mut payload = json!({
        "method": "POST", "supports_response_streaming": streamed,
        "path": "/api/v1/namespaces/default/secrets",
        "query": format!("watch=false&access_code={QUERY}&token={QUERY}&code={}", STANDARD.encode(QUERY)),
        "headers": {
            "Authorization": [format!("Bearer {USER_TOKEN}")],
            "Proxy-Authorization": format!("Basic {}", STANDARD.encode(format!("user:{USER_TOKEN}"))),
            "Cookie": [format!("session={COOKIE}; other={COOKIE}")],
            "X-Api-Key": [API_KEY], "X-Something": [API_KEY],
            "Sec-WebSocket-Protocol": [format!("base64url.bearer.authorization.k8s.io.{}, v5.channel.k8s.io", URL_SAFE_NO_PAD.encode(USER_TOKEN))],
        },
    });
    for (key, value) in change.as_object().unwrap() {
        payload[key] = value.clone();
    }
    json!({"type": "proxy_request", "request_id": id, "payload": payload, "timestamp": "2026-01-01T00:00:00Z"}).to_string()
}

/// What the plane sends to an agent that is online.
fn messages(agent_token: &str) -> Vec<String> {
    let secret = json!({"kind": "Secret", "stringData": {"password": BODY}}).to_string();
    let half = BODY.len() / 2;
    let mut all = vec![
        request("plain", true, json!({"body": secret})),
        request("object", false, json!({"body": {"kind": "Secret", "stringData": {"a": BODY}}})),
        request("base64", false, json!({"body": STANDARD.encode(&secret), "body_encoding": "base64"})),
        request("chunks", true, json!({"streaming": true})),
    ];
    for part in [&BODY[..half], &BODY[half..]] {
        all.push(
            json!({"type": "proxy_request_chunk", "request_id": "chunks", "payload": {"chunk": STANDARD.encode(part)}})
                .to_string(),
        );
    }
    all.push(json!({"type": "proxy_request_stream_end", "request_id": "chunks", "payload": {}}).to_string());
    all.extend(
        [
            // An answer to a registration that was not asked for, with a token.
            json!({"type": "register_success", "request_id": "x", "payload": {"cluster_id": "c", "token": PLANE, "gateway_ws_url": format!("wss://user:{PLANE}@host/ws?ticket={PLANE}")}}),
            json!({"type": "future_message", "payload": {"credentials": {"user": PLANE, "list": [PLANE]}, "nested": format!("{{\"token\":\"{PLANE}\"}}")}}),
            json!({"type": "future_message", "payload": {"client_secret": PLANE, "text": format!("Authorization: Bearer {PLANE}")}}),
            json!({"type": "ws_data", "request_id": "nobody", "payload": {"data": STANDARD.encode(BODY)}}),
            // Whoever knows the secrets may say them in any words.
            json!({"type": "error", "payload": {"error": format!("the agent with {agent_token} is not welcome")}}),
            json!({"type": "error", "payload": {"error": format!("{SERVICE_TOKEN} and {KUBECONFIG_TOKEN} are odd")}}),
            json!({"type": "error", "payload": {"error": format!("got {}", STANDARD.encode(format!("u:{agent_token}")))}}),
            json!({"type": format!("unknown {agent_token}"), "payload": {}}),
        ]
        .map(|message| message.to_string()),
    );
    all
}

#[test]
fn b39_no_secret_is_written_at_any_level_in_any_form() {
    for (format, level) in [("json", "trace"), ("text", "trace"), ("json", "debug"), ("text", "info")] {
        let bed = Bed::new(Setup { kube: false, ..Setup::default() });
        let url = backend::serve(answer());
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "a",
            "clusters": [{"name": "a", "cluster": {"server": url}}],
            "users": [{"name": "a", "user": {"token": KUBECONFIG_TOKEN}}],
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        });
        std::fs::write(bed.folder().join("kubeconfig"), kubeconfig.to_string()).unwrap();
        let token = bed.plane.token().to_owned();
        let token_file = bed.folder().join("token");
        std::fs::write(&token_file, format!("{token}\n")).unwrap();
        std::fs::set_permissions(&token_file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let mut config = json!({
            "pipeops": {"api_url": bed.plane.api_url(), "tls": {"ca_file": bed.plane.ca_file()}},
            "agent": {"cluster_name": "e2e", "state_dir": bed.state_dir(), "port": 0},
            "kubernetes": {"kubeconfig": bed.folder().join("kubeconfig"), "service_token": SERVICE_TOKEN},
            "logging": {"level": level, "format": format},
        });
        // In the environment once, and once in a file.
        let by_file = format == "text";
        if by_file {
            config["pipeops"]["token_file"] = json!(token_file);
        }
        let mut raw = Raw::start(&bed, &config, &[], |_, _| {
            let proxy = format!("http://user:{PROXY_PASSWORD}@127.0.0.1:9");
            let mut all = vec![("HTTPS_PROXY", proxy), ("NO_PROXY", "127.0.0.1,localhost,::1".into())];
            if !by_file {
                all.push(("PIPEOPS_TOKEN", token.clone()));
            }
            all
        });
        assert!(bed.wait_until(|plane| plane.records().heartbeats.total() > 0, LIMIT), "{}", raw.errors());
        let all = messages(&token);
        let requests = all.iter().filter(|text| text.contains("\"proxy_request\"")).count();
        bed.with_plane(move |plane| {
            let connection = plane.connections().last().unwrap().0;
            for text in all {
                plane.send_raw(connection, text);
            }
            plane.send_json_ping(connection);
        });
        assert!(bed.wait_until(|plane| plane.records().others.iter().any(|it| it.kind == "pong"), LIMIT), "{}", raw.errors());
        raw.until("unknown ");
        if level == "trace" {
            let ends = |text: &str| text.matches("HTTP answer of a backend").count() >= requests;
            let until = std::time::Instant::now() + LIMIT;
            while !ends(&raw.errors()) {
                assert!(std::time::Instant::now() < until, "not {requests} answers in\n{}", raw.errors());
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
        bed.plane.drop_agents().unwrap();
        raw.until("Reconnected to the control plane");
        raw.stop();
        let written = raw.bytes();
        let mut secrets = CANARIES.to_vec();
        secrets.push(&token);
        assert_without(&written, &secrets);
        let text = String::from_utf8(written).unwrap();
        if level == "trace" {
            // It was the traffic that was shown.
            for shown in [
                "Upgrade request to the control plane",
                "WebSocket message",
                "HTTP request to a backend",
                "HTTP answer of a backend",
                "/api/v1/namespaces/default/secrets?watch=false&access_code=***",
                "proxy_request_chunk",
                "proxy_response_chunk",
                " bytes>",
                "X-Api-Key",
                "content-type: application/json",
            ] {
                assert!(text.contains(shown), "{shown} is not in\n{text}");
            }
        }
        assert!(!text.contains('\u{1b}'));
    }
}

#[test]
fn b63_nothing_is_written_for_the_pieces_of_a_body_but_at_trace() {
    let bed = Bed::new(Setup::default());
    let agent = bed.agent().set("logging.level", "debug").online();
    let path = "/api/v1/devkube/blob";
    assert!(bed.kube().api().put_blob(path, "application/octet-stream", vec![7_u8; 4 * 1024 * 1024].into()));
    let request =
        devplane::plane::ProxyRequest::get(path).header("Authorization", format!("Bearer {}", crate::harness::ADMIN_TOKEN));
    let before = agent.text().lines().count();
    let answer = bed.plane.request(request).unwrap().collect_within(LIMIT).unwrap();
    assert_eq!(answer.body.len(), 4 * 1024 * 1024);
    let after = agent.text().lines().count();
    // It came in more than a hundred pieces; other things go on beside it.
    assert!(after - before <= 20, "{}", agent.text());
    agent.stop();
}
