//! Clients that mean no good, or know no better.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::door::{connect, exchange, get, listening, raw, series};
use crate::harness::{ADMIN_TOKEN, AGENT_TOKEN, Agent, Bed, LIMIT, Setup};
use crate::rig::{Rig, get as proxied};

fn quiet_bed() -> Bed {
    Bed::new(Setup { listening: false, kube: false, ..Setup::default() })
}

/// An online agent with a listener.
fn rig() -> (Rig, SocketAddr) {
    let bed = Bed::new(Setup::default());
    let (agent, address) = listening(|| bed.agent());
    agent.online(&bed);
    agent.wait_msg("Heartbeat sent successfully", LIMIT);
    (Rig { bed, agent }, address)
}

fn open_files(agent: &Agent) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap().count()
}

#[test]
fn b41_nothing_is_proxied_and_nothing_is_told() {
    let (rig, address) = rig();
    let before = rig.kube().requests().len();
    let mark = "X-Exchange: 1\r\nAuthorization: Bearer kube-user-token-1a2b3c4d";
    let mut all = String::new();
    for target in [
        "/api/v1/nodes",
        "/api/v1/namespaces/default/secrets",
        "/api/v1/",
        "/api",
        "/apis",
        "/apis/apps/v1/deployments",
        "/ws",
        "/dashboard",
        "/static/dashboard.html",
        "/static/../../etc/passwd",
        "/api/health/detailed",
        "/api/realtime/logs",
        "/healthz/../api/v1/nodes",
        "/healthz%2f..%2fapi/v1/nodes",
        "/metrics/api/v1/nodes",
        "//api/v1/nodes",
        "/version/",
        "/debug/pprof/heap",
        "/config",
        "http://kubernetes.default.svc/api/v1/nodes",
        "/",
        "*",
    ] {
        for method in ["GET", "POST", "DELETE", "CONNECT", "OPTIONS"] {
            let request = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\n{mark}\r\n\r\n");
            let reply = raw(address, request.as_bytes());
            assert_eq!((reply.status, reply.body.as_str()), (404, "404 page not found\n"), "{method} {target}");
        }
    }
    let upgrade = format!("GET /ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{mark}\r\n\r\n");
    assert_eq!(raw(address, upgrade.as_bytes()).status, 404);
    for path in ["/healthz", "/readyz", "/metrics", "/status", "/health", "/ready", "/version"] {
        let reply = get(address, path);
        assert_eq!(reply.status, 200, "{path}");
        all.push_str(&reply.head);
        all.push_str(&reply.body);
    }
    for secret in [rig.bed.plane.token(), ADMIN_TOKEN, AGENT_TOKEN, "Bearer", "BEGIN"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    assert!(rig.proxied().is_empty(), "{:?}", rig.proxied());
    // Its own looks at the cluster go on; they are known by their paths.
    let own = |path: &str| ["/version", "/api/v1/nodes", "/api/v1/pods"].contains(&path);
    assert!(rig.kube().requests().iter().skip(before).all(|seen| own(&seen.path)));
    rig.finish();
}

#[test]
fn b41_a_name_that_is_not_this_machines_is_not_answered() {
    let bed = quiet_bed();
    let (agent, address) = listening(|| bed.agent());
    for (host, status) in
        [("evil.example", 421), ("evil.example:8080", 421), ("localhost:1", 200), ("127.0.0.1", 200), ("[::1]:1", 200)]
    {
        let reply = raw(address, format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert_eq!(reply.status, status, "{host}");
    }
    assert_eq!(raw(address, b"GET /healthz HTTP/1.0\r\n\r\n").status, 200);
    agent.stop();
    // Whoever opens it to others expects to be asked by other names.
    let (agent, address) = listening(|| bed.agent().set("agent.listen_address", "0.0.0.0"));
    let address = SocketAddr::from(([127, 0, 0, 1], address.port()));
    assert_eq!(raw(address, b"GET /healthz HTTP/1.1\r\nHost: agent.pipeops-system.svc\r\n\r\n").status, 200);
    agent.stop();
}

#[test]
fn methods_heads_and_connections() {
    let bed = quiet_bed();
    let (agent, address) = listening(|| bed.agent());
    let ask = |text: &str| exchange(connect(address), text.as_bytes());
    let answer = ask("HEAD /healthz HTTP/1.1\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert!(answer.contains("\r\nContent-Length: 3\r\n"), "{answer}");
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"] {
        let reply = raw(address, format!("{method} /metrics HTTP/1.1\r\n\r\n").as_bytes());
        assert!(reply.status == 405 && reply.head.contains("\r\nAllow: GET, HEAD\r\n"), "{reply:?}");
    }
    // One request, one answer, whatever the client would like.
    let answer = ask("GET /healthz HTTP/1.1\r\nConnection: keep-alive\r\n\r\nGET /version HTTP/1.1\r\n\r\n");
    assert!(answer.ends_with("ok\n") && answer.contains("\r\nConnection: close\r\n"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    // A body is not read, and does not keep the answer from arriving.
    let body = "x".repeat(40_000);
    let reply = raw(address, format!("POST /status HTTP/1.1\r\nContent-Length: 40000\r\n\r\n{body}").as_bytes());
    assert_eq!(reply.status, 405);
    agent.stop();
}

#[test]
fn garbage_and_heads_without_end() {
    let bed = quiet_bed();
    let (agent, address) = listening(|| bed.agent());
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0\0\0\0",
        b"GET /healthz\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"{\"type\":\"register\"}",
        b"\r\n\r\n",
    ] {
        assert_eq!(raw(address, garbage).status, 400, "{}", String::from_utf8_lossy(garbage));
    }
    let long = format!("GET /healthz HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(9000));
    assert_eq!(raw(address, long.as_bytes()).status, 431);
    let fits = format!("GET /healthz?{} HTTP/1.1\r\n\r\n", "x".repeat(8000));
    assert_eq!(raw(address, fits.as_bytes()).status, 200);
    // Byte by byte is fine.
    let mut stream = connect(address);
    stream.set_nodelay(true).unwrap();
    for byte in b"GET /healthz HTTP/1.1\r\n\r\n" {
        stream.write_all(&[*byte]).unwrap();
    }
    assert!(exchange(stream, b"").ends_with("ok\n"));
    agent.stop();
}

#[test]
fn whoever_says_nothing_is_left_in_time() {
    let bed = quiet_bed();
    let (agent, address) = listening(|| bed.agent());
    let started = Instant::now();
    for begun in [&b""[..], b"GET /healthz HTTP/1.1\r\nX: "] {
        let mut stream = connect(address);
        stream.write_all(begun).unwrap();
        let mut rest = Vec::new();
        assert_eq!(stream.read_to_end(&mut rest).unwrap(), 0, "{begun:?}");
    }
    let took = started.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(18)).contains(&took), "{took:?}");
    agent.stop();
}

#[test]
fn a_hundred_silent_connections_keep_nobody_out() {
    let (rig, address) = rig();
    let before = open_files(&rig.agent);
    let mut crowd: Vec<_> = (0..100).map(|_| connect(address)).collect();
    for stream in &mut crowd {
        // Those that were left already say so.
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nX: ");
    }
    let started = Instant::now();
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(get(address, path).status, 200, "{path}");
    }
    assert_eq!(rig.ask(proxied("/version")).status, 200);
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}: as if the crowd had been waited for", started.elapsed());
    let now = open_files(&rig.agent);
    assert!(now <= before + 24, "{before} open files before, {now} with a hundred connections");
    drop(crowd);
    assert!(series(address)["process_open_fds"] > 0.0);
    rig.finish();
}

#[test]
fn a_hundred_at_once_are_answered_or_left_and_the_tunnel_goes_on() {
    let (rig, address) = rig();
    let answered = std::thread::scope(|scope| {
        let ask = || {
            let mut stream = connect(address);
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n");
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            usize::from(answer.starts_with(b"HTTP/1.1 200 "))
        };
        let all: Vec<_> = (0..100).map(|_| scope.spawn(ask)).collect();
        for _ in 0..10 {
            assert_eq!(rig.ask(proxied("/version")).status, 200);
        }
        all.into_iter().map(|one| one.join().unwrap()).sum::<usize>()
    });
    assert!(answered >= 16, "{answered} of a hundred were answered");
    assert_eq!(get(address, "/healthz").status, 200);
    rig.agent.wait_msg("Heartbeat sent successfully", LIMIT);
    rig.finish();
}
