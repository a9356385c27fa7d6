//! What the agent does not let pass, and with whose credentials it asks.

use devplane::plane::{Part, ProxyRequest};

use crate::harness::{ADMIN_TOKEN, AGENT_TOKEN};
use crate::rig::{CONFIG_MAPS, Rig, bare, get, json, parts};

fn bearer() -> String {
    format!("Bearer {ADMIN_TOKEN}")
}

#[test]
fn b14_without_a_single_authorization_nothing_is_asked() {
    let rig = Rig::start();
    let two = |request: ProxyRequest| {
        let mut request = request;
        let values = vec![bearer(), bearer()];
        request.headers.push(("Authorization".into(), values));
        request
    };
    let requests = [
        bare("GET", CONFIG_MAPS),
        bare("GET", CONFIG_MAPS).header("Authorization", ""),
        two(bare("GET", CONFIG_MAPS)),
        get(CONFIG_MAPS).header("authorization", bearer()),
    ];
    for request in requests {
        for request in [request.clone(), request.buffered()] {
            let answer = rig.ask(request);
            assert_eq!((answer.status, &answer.error), (401, &None), "{answer:?}");
            let status = json(&answer);
            assert_eq!((&status["kind"], &status["code"]), (&"Status".into(), &401.into()));
            assert_eq!(status["reason"], "Unauthorized");
            assert!(!String::from_utf8_lossy(&answer.body).contains(ADMIN_TOKEN));
        }
    }
    rig.settle();
    assert!(rig.proxied().is_empty(), "{:?}", rig.proxied());
    rig.finish();
}

#[test]
fn b14_the_planes_credential_passes_once_and_the_agents_never() {
    let rig = Rig::start();
    for name in ["authorization", "Authorization", "AUTHORIZATION"] {
        let answer = rig.ask(bare("GET", CONFIG_MAPS).header(name, bearer()));
        assert_eq!(answer.status, 200, "{name}");
    }
    // A Connection header cannot take it away.
    let request = get(CONFIG_MAPS).header("Connection", "Authorization");
    assert_eq!(rig.ask(request).status, 200);
    let wrong = bare("GET", CONFIG_MAPS).header("Authorization", "Bearer nobody");
    assert_eq!(rig.ask(wrong).status, 401);
    let seen = rig.proxied();
    assert_eq!(seen.len(), 5);
    for seen in &seen {
        let values: Vec<_> = seen.headers.iter().filter(|(name, _)| name == "authorization").collect();
        assert_eq!(values.len(), 1, "{seen:?}");
        let own = seen.headers.iter().any(|(_, value)| value.contains(AGENT_TOKEN));
        assert!(!own, "the agent's own token");
    }
    // The agent's own requests do use it, so the search above would find it.
    let own = format!("Bearer {AGENT_TOKEN}");
    rig.until("a request of the agent", |kube| {
        let all = kube.requests();
        all.iter().any(|seen| seen.header("authorization") == Some(own.as_str()))
    });
    assert!(!rig.agent.text().contains(ADMIN_TOKEN));
    rig.finish();
}

#[test]
fn b36_paths_are_refused_by_name_of_the_rule() {
    let rig = Rig::start();
    for (path, rule) in [
        ("/api/../metrics", "path-segment"),
        ("/api/v1/../../logs", "path-segment"),
        ("/api/v1/./pods", "path-segment"),
        ("/api/v1/..", "path-segment"),
        ("/api//v1/pods", "path-segment"),
        ("/api/v1/pods//", "path-segment"),
        ("/api/v1/%2e%2e/x", "path-character"),
        ("/api/v1/%2E%2E%2Fx", "path-character"),
        ("/api/v1/pods%2f..", "path-character"),
        ("/api/v1\\..\\x", "path-character"),
        ("/api/v1/a\\b", "path-character"),
        ("/api/v1/x\r\nX-Injected: 1", "path-character"),
        ("/api/v1/x\ny", "path-character"),
        ("/api/v1/x\0", "path-character"),
        ("/api/v1/x?watch=true", "path-character"),
        ("/api/v1/x#y", "path-character"),
    ] {
        for request in [get(path), get(path).buffered()] {
            let answer = rig.ask(request);
            assert_eq!((answer.status, &answer.error), (403, &None), "{path:?}");
            let status = json(&answer);
            assert_eq!(status["reason"], "Forbidden", "{path:?}");
            let message = status["message"].as_str().unwrap();
            assert!(message.contains(&format!("(rule {rule})")), "{message}");
        }
    }
    let answer = rig.ask(get(CONFIG_MAPS).query("a=b\r\nX-Injected: 1"));
    assert_eq!(answer.status, 403);
    assert!(String::from_utf8_lossy(&answer.body).contains("(rule query-character)"));
    for method in ["GET /x", "CONNECT", "TRACE", "G\r\nT"] {
        let answer = rig.ask(crate::rig::request(method, CONFIG_MAPS));
        assert_eq!(answer.status, 403, "{method:?}");
        assert!(String::from_utf8_lossy(&answer.body).contains("(rule method)"));
    }
    let answer = rig.ask(get(CONFIG_MAPS).header("X-Bad", "a\r\nX-Injected: 1"));
    assert_eq!(answer.status, 403);
    assert!(String::from_utf8_lossy(&answer.body).contains("(rule header)"));
    rig.settle();
    assert!(rig.proxied().is_empty(), "{:?}", rig.proxied());
    rig.finish();
}

#[test]
fn b36_paths_outside_of_the_kubernetes_api_are_refused() {
    let rig = Rig::start();
    for (path, rule) in [
        ("/metrics", "path-root"),
        ("/apifoo", "path-root"),
        ("/apis2/x", "path-root"),
        ("/versionx", "path-root"),
        ("/logs/x", "path-root"),
        ("/debug/pprof", "path-root"),
        ("//api/v1", "path-root"),
        ("/../api/v1", "path-root"),
        ("/%61pi/v1", "path-root"),
        ("\\api\\v1", "path-root"),
        ("", "path-empty"),
    ] {
        for request in [get(path), get(path).buffered()] {
            let answer = rig.ask(request);
            assert_eq!((answer.status, &answer.error), (403, &None), "{path:?}");
            let message = json(&answer)["message"].to_string();
            assert!(message.contains(&format!("(rule {rule})")), "{message}");
        }
    }
    rig.settle();
    assert!(rig.proxied().is_empty(), "{:?}", rig.proxied());
    rig.finish();
}

/// A service that is named by halves becomes no call of the Kubernetes API, whatever the path looks like.
#[test]
fn b22_half_a_target_is_refused_with_an_answer() {
    let rig = Rig::start();
    let service = |namespace: Option<&str>, name: Option<&str>, port| ProxyRequest {
        namespace: namespace.map(str::to_owned),
        service_name: name.map(str::to_owned),
        service_port: port,
        ..get("/api/v1/nodes")
    };
    for request in [
        service(None, Some("web"), None),
        service(Some("default"), None, None),
        service(None, None, Some(80)),
        service(Some("default"), Some("web"), None),
    ] {
        let streamed = parts(rig.open(request.clone()));
        let [Part::Abort(text)] = streamed.as_slice() else {
            panic!("{streamed:?}");
        };
        assert!(text.starts_with("bad_request: "), "{text}");
        let buffered = parts(rig.open(request.buffered()));
        let [Part::Error(text)] = buffered.as_slice() else {
            panic!("{buffered:?}");
        };
        assert!(text.starts_with("bad_request: "), "{text}");
    }
    rig.settle();
    assert!(rig.proxied().is_empty(), "{:?}", rig.proxied());
    rig.finish();
}

/// An API server may ignore an upgrade. Then its answer is the answer.
#[test]
fn b66_an_upgrade_that_the_api_server_ignores_is_an_answer() {
    let rig = Rig::start();
    let websocket = ProxyRequest { is_websocket: true, ..get(CONFIG_MAPS) };
    for request in [get(CONFIG_MAPS).header("Upgrade", "any"), websocket] {
        for request in [request.clone(), request.buffered()] {
            let answer = rig.ask(request);
            assert_eq!((answer.status, &answer.error), (200, &None), "{answer:?}");
            assert_eq!(json(&answer)["kind"], "ConfigMapList");
        }
    }
    rig.finish();
}

#[test]
fn b36_headers_of_the_hop_and_of_the_front_proxy_do_not_pass() {
    let rig = Rig::start();
    let request = get(CONFIG_MAPS)
        .header("Connection", "close, X-Secret ,x-other")
        .header("X-Secret", "1")
        .header("X-Other", "1")
        .header("Keep-Alive", "timeout=5")
        .header("TE", "trailers")
        .header("Trailer", "X-T")
        .header("Transfer-Encoding", "chunked")
        .header("HTTP2-Settings", "AAMAAABkAAQAAP__")
        .header("Proxy-Authorization", "Basic eDp5")
        .header("Proxy-Connection", "keep-alive")
        .header("Content-Length", "7")
        .header("Host", "elsewhere.example")
        .header("X-Remote-User", "admin")
        .header("x-remote-group", "system:masters")
        .header("X-Remote-Extra-Scopes", "all")
        .header("X-Kept", "kept")
        .header("Accept", "application/json;as=Table");
    let answer = rig.ask(request);
    assert_eq!(answer.status, 200, "{answer:?}");
    for name in ["connection", "keep-alive", "transfer-encoding"] {
        assert_eq!(answer.header(name), None, "{answer:?}");
    }
    let seen = rig.proxied().pop().unwrap();
    let mut names: Vec<&str> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let expected = ["accept", "authorization", "host", "x-exchange", "x-kept"];
    assert_eq!(names, expected);
    assert_eq!(seen.header("host"), Some(rig.kube().addr().to_string().as_str()));
    rig.finish();
}

#[test]
fn b36_impersonation_is_refused_by_default() {
    let rig = Rig::start();
    for name in ["Impersonate-User", "impersonate-group", "Impersonate-Extra-X"] {
        let answer = rig.ask(get(CONFIG_MAPS).header(name, "bob"));
        assert_eq!((answer.status, &answer.error), (403, &None), "{name}");
        let message = json(&answer)["message"].to_string();
        assert!(message.contains("(rule impersonation)"), "{message}");
    }
    rig.settle();
    assert!(rig.proxied().is_empty());
    rig.finish();
}

#[test]
fn b36_impersonation_passes_where_the_operator_wants_it() {
    let rig = Rig::with(|launch| launch.set("policy.allow_impersonation", true));
    let answer = rig.ask(get(CONFIG_MAPS).header("Impersonate-User", "bob"));
    assert_eq!(answer.status, 200);
    let seen = rig.proxied().pop().unwrap();
    assert_eq!(seen.header("impersonate-user"), Some("bob"));
    rig.finish();
}
