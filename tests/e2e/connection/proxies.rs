//! Proxies of every kind on the way to the plane.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use devplane::plane::ProxyRequest;
use socket2::{Domain, Socket, Type};

use crate::authority::{Authority, Shown};
use crate::harness::{ADMIN_TOKEN, LIMIT, Setup};
use crate::proxy::{Behaviour, Options, Proxy};
use crate::server::Server;
use crate::{Bed, bed, failure, path, place};

const CREDENTIALS: &str = "anna:c@n:ary";
/// The same as a URL holds it.
const USER_INFORMATION: &str = "anna:c%40n%3Aary";

/// An address that nobody listens on, for as long as the socket is held.
fn dead() -> (Socket, String) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address.to_string())
}

#[test]
fn f47_admin_access_through_every_kind_of_proxy() {
    for (plane_tls, proxy_tls, log_in, slowly) in [
        (true, false, false, false),
        (true, false, true, true),
        (true, true, false, true),
        (true, true, true, false),
        (false, false, true, false),
        (false, true, false, false),
    ] {
        let case = format!("plane with TLS: {plane_tls}, proxy: {proxy_tls}, log-in: {log_in}, slowly: {slowly}");
        let bed = Bed::new(Setup { tls: plane_tls, ..Setup::default() });
        let authority = Authority::new("of the proxy");
        let ca_file = bed.folder().join("proxy-ca.pem");
        std::fs::write(&ca_file, &authority.pem).unwrap();
        let proxy = Proxy::start(Options {
            tls: proxy_tls.then(|| authority.server(&Shown::default())),
            credentials: log_in.then_some(CREDENTIALS),
            behaviour: if slowly { Behaviour::ForwardSlowly } else { Behaviour::Forward },
        });
        let (used, unused) = if plane_tls { ("HTTPS_PROXY", "HTTP_PROXY") } else { ("HTTP_PROXY", "HTTPS_PROXY") };
        let agent = bed
            .agent()
            .set("logging.level", "trace")
            .env(used, proxy.url(if log_in { USER_INFORMATION } else { "" }))
            .env(unused, "http://127.0.0.1:1")
            .env("PIPEOPS_PROXY_CA_FILE", &ca_file)
            .online();
        let request =
            ProxyRequest::get("/api/v1/namespaces/default/pods").header("Authorization", format!("Bearer {ADMIN_TOKEN}"));
        let answer = bed.plane.request(request).unwrap().collect_within(LIMIT).unwrap();
        assert_eq!((answer.status, answer.error), (200, None), "{case}");
        // Controller and gateway, and not the Kubernetes API.
        assert_eq!(proxy.targets(), [place(bed.plane.api_url()), place(bed.plane.gateway_url().unwrap())], "{case}");
        let log = agent.text();
        for secret in ["c@n:ary", USER_INFORMATION, &STANDARD.encode(CREDENTIALS)] {
            assert!(!log.contains(secret), "{case}: {secret}");
        }
        agent.stop();
        bed.assert_clean();
    }
}

#[test]
fn f47_the_proxy_resolves_the_planes_name() {
    let bed = bed(true, false);
    let proxy = Proxy::start(Options::default());
    let port = place(bed.plane.api_url()).rsplit(':').next().unwrap().to_owned();
    let agent = bed
        .agent()
        .set("pipeops.api_url", format!("https://plane.invalid:{port}"))
        .set("pipeops.tls.server_name", "localhost")
        .set("proxy.https_proxy", proxy.url(""))
        .online();
    assert_eq!(proxy.targets(), [format!("plane.invalid:{port}")]);
    agent.stop();
}

#[test]
fn b55_a_proxy_that_fails_is_an_error_and_never_gone_around() {
    let answer = |text: &str| Behaviour::Answer(text.to_owned());
    let page = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(33));
    for (behaviour, credentials, user, error, hint) in [
        (
            Behaviour::Forward,
            Some(CREDENTIALS),
            "",
            "wants a user name and password (status 407)",
            "into HTTPS_PROXY, before the host",
        ),
        (Behaviour::Forward, Some(CREDENTIALS), "anna:no", "did not accept the user name", "the password in HTTPS_PROXY"),
        (
            answer("HTTP/1.1 407 x\r\nProxy-Authenticate: Negotiate\r\n\r\n"),
            None,
            "",
            "other than user name and password",
            "Basic only",
        ),
        (answer("HTTP/1.1 403 Forbidden\r\n\r\nno"), None, "", "refused the connection with status 403", "rules"),
        (answer("HTTP/1.1 405 No\r\n\r\n"), None, "", "status 405", "no proxy"),
        (answer("HTTP/1.1 502 Bad Gateway\r\n\r\n"), None, "", "cannot reach the server (status 502)", "PIPEOPS_API_URL"),
        (answer("HTTP/1.1 504 x\r\n\r\n"), None, "", "cannot reach the server (status 504)", "PIPEOPS_API_URL"),
        (answer("SSH-2.0-x\r\n\r\n"), None, "", "did not answer as an HTTP proxy", "no HTTP proxy"),
        (answer(&page), None, "", "too large", "no HTTP proxy"),
        (answer(&many), None, "", "too large", "no HTTP proxy"),
        (Behaviour::Close, None, "", "closed the connection without an answer", "HTTPS_PROXY"),
        (Behaviour::Hang, None, "", "did not answer in time", "HTTPS_PROXY"),
    ] {
        let bed = bed(true, false);
        let plane = Server::start(None, |_| core::future::pending());
        let proxy = Proxy::start(Options { credentials, behaviour, ..Options::default() });
        let agent = bed
            .agent()
            .set("pipeops.api_url", plane.url())
            .set("timeouts.websocket_handshake", "1s")
            .set("timeouts.websocket_reconnect", "10ms")
            .set("timeouts.websocket_reconnect_max", "10ms")
            .env("HTTPS_PROXY", proxy.url(user))
            .start();
        let (found, cure) = failure(&agent);
        assert!(found.contains(error) && found.contains(&proxy.server.address.to_string()), "{found}");
        assert!(cure.contains(hint) && !cure.contains("***"), "{found}: {cure}");
        agent.wait_msgs("Failed to connect to the control plane, will keep trying", 3, LIMIT);
        assert_eq!(plane.visitors(), 0, "{found}");
        agent.stop();
    }
}

#[test]
fn b55_a_dead_proxy_is_named_and_one_that_recovers_is_used() {
    let bed = bed(true, false);
    let plane = Server::start(None, |_| core::future::pending());
    let (_held, nobody) = dead();
    let agent = bed.agent().set("pipeops.api_url", plane.url()).env("https_proxy", nobody.clone()).start();
    let (error, hint) = failure(&agent);
    assert!(error.contains(&format!("the proxy {nobody} cannot be used: cannot connect to {nobody}")), "{error}");
    assert!(hint.contains("HTTPS_PROXY"), "{hint}");
    assert_eq!(plane.visitors(), 0);
    agent.stop();
    let proxy = Proxy::start(Options { behaviour: Behaviour::Close, ..Options::default() });
    let agent = bed.agent().env("HTTPS_PROXY", proxy.url("")).start();
    failure(&agent);
    proxy.behave(Behaviour::Forward);
    agent.online(&bed);
    agent.stop();
}

#[test]
fn b55_no_proxy_is_judged_by_the_address_of_each_socket() {
    let (_held, nobody) = dead();
    let bed = bed(true, true);
    let (api, gateway) = (place(bed.plane.api_url()), place(bed.plane.gateway_url().unwrap()));
    for (name, list) in [
        ("NO_PROXY", "*".to_owned()),
        ("no_proxy", "127.0.0.1".to_owned()),
        ("NO_PROXY", "example.com, 127.0.0.0/8".to_owned()),
        ("NO_PROXY", format!("{api},{gateway}")),
    ] {
        let agent = bed.agent().env("HTTPS_PROXY", &nobody).env(name, &list).online();
        agent.stop();
    }
    for list in ["localhost", "127.0.0.1:1", "10.0.0.0/8", ".0.0.1"] {
        let agent = bed.agent().env("HTTPS_PROXY", &nobody).env("NO_PROXY", list).start();
        assert!(failure(&agent).0.contains(&nobody), "{list}");
        agent.stop();
    }
    let proxy = Proxy::start(Options::default());
    let agent = bed.agent().env("HTTPS_PROXY", proxy.url("")).env("NO_PROXY", &gateway).online();
    assert_eq!(proxy.targets(), [api]);
    agent.stop();
}

#[test]
fn f47_the_environment_goes_before_the_file() {
    let bed = bed(true, false);
    let (_held, nobody) = dead();
    let proxy = Proxy::start(Options::default());
    let agent = bed.agent().set("proxy.https_proxy", nobody).env("https_proxy", proxy.url("")).online();
    assert_eq!(proxy.targets().len(), 1);
    agent.stop();
}

#[test]
fn f37_tls_to_the_proxy_has_its_own_cures() {
    let bed = bed(true, false);
    let authority = Authority::new("of the proxy");
    for (shown, trusted, error, hint) in [
        (Some(Shown::default()), false, "authority that is not known", "proxy.ca_file"),
        (Some(Shown { name: "other.example", ..Shown::default() }), true, "but for other.example", "HTTPS_PROXY by the name"),
        (None, true, "does not speak TLS", "http:// instead of https://"),
    ] {
        let tls = shown.map(|shown| authority.server(&shown));
        let proxy = match tls {
            Some(tls) => Server::start(Some(tls), |_| core::future::pending()),
            None => Server::start(None, |mut stream| async move {
                let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
                core::future::pending::<()>().await;
            }),
        };
        let ca_file = bed.folder().join("proxy-ca.pem");
        std::fs::write(&ca_file, &authority.pem).unwrap();
        let launch = bed.agent().env("HTTPS_PROXY", proxy.url()).set("pipeops.tls.insecure_skip_verify", true);
        let launch = if trusted { launch.set("proxy.ca_file", path(&ca_file)) } else { launch };
        let agent = launch.start();
        let (found, cure) = failure(&agent);
        assert!(found.contains(error) && found.contains("the proxy 127.0.0.1:"), "{found}");
        assert!(cure.contains(hint), "{cure}");
        agent.stop();
    }
}
