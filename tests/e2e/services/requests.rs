//! What a service is asked: its headers, its path, its query.

use devplane::plane::ProxyRequest;

use crate::rig::{CONFIG_MAPS, get, json};
use crate::site::Site;

/// The headers as the application saw them.
#[track_caller]
fn headers(site: &Site, request: ProxyRequest) -> Vec<(String, String)> {
    let answer = site.rig.ask(request);
    assert_eq!((answer.status, &answer.error), (200, &None), "{answer:?}");
    serde_json::from_value(json(&answer)).unwrap()
}

fn values<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
}

#[test]
fn must8_host_authorization_and_cookies_pass() {
    let site = Site::start();
    for host in ["Host", "host", "HOST"] {
        let request = site
            .get("/headers")
            .header(host, "shop.example.com:8080")
            .header("Authorization", "Basic eDp5")
            .header("Cookie", "session=1; theme=dark")
            .header("Origin", "https://shop.example.com")
            .header("X-Forwarded-For", "203.0.113.9");
        for request in [request.clone(), request.buffered()] {
            let headers = headers(&site, request);
            for (name, value) in [
                ("host", "shop.example.com:8080"),
                ("authorization", "Basic eDp5"),
                ("cookie", "session=1; theme=dark"),
                ("origin", "https://shop.example.com"),
                ("x-forwarded-for", "203.0.113.9"),
            ] {
                assert_eq!(values(&headers, name), [value], "{name}");
            }
        }
    }
    let plain = headers(&site, site.get("/headers"));
    assert_eq!(values(&plain, "host"), [format!("app.default.svc:{}", site.app.addr().port()).as_str()]);
    site.finish();
}

#[test]
fn headers_of_the_hop_do_not_pass_and_none_are_added() {
    let site = Site::start();
    let request = site
        .get("/headers")
        .header("Connection", "close, X-Secret")
        .header("X-Secret", "1")
        .header("Keep-Alive", "timeout=5")
        .header("TE", "trailers")
        .header("Transfer-Encoding", "chunked")
        .header("Proxy-Authorization", "Basic eDp5")
        .header("Content-Length", "7")
        .header("Expect", "100-continue")
        .header("X-Kept", "kept");
    let headers = headers(&site, request);
    let mut names: Vec<String> = headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    assert_eq!(names, ["host", "x-kept"], "{headers:?}");
    site.finish();
}

#[test]
fn b25_the_scheme_is_the_clients_and_says_nothing_about_the_port() {
    let site = Site::start();
    let with = |scheme: Option<&str>, proto: Option<&str>| {
        let request = ProxyRequest { scheme: scheme.map(Into::into), ..site.get("/headers") };
        let request = if let Some(proto) = proto { request.header("X-Forwarded-Proto", proto) } else { request };
        headers(&site, request)
    };
    for (scheme, proto, expected) in [
        (Some("https"), None, &["https"][..]),
        (Some("HTTPS"), Some("http"), &["https"]),
        (Some("http"), None, &[]),
        (None, None, &[]),
        (Some("http"), Some("https"), &["https"]),
    ] {
        assert_eq!(values(&with(scheme, proto), "x-forwarded-proto"), expected, "{scheme:?} {proto:?}");
    }
    assert!(site.app.requests().iter().all(|seen| !seen.tls));
    site.finish();
}

#[test]
fn a_query_passes_as_it_is() {
    let site = Site::start();
    for query in ["a;b=c", "z=1&a=2&z=0", "x=%2F%zz&y", "q=1+2%20%2B", "&&=", "a=b?c=d/e"] {
        let answer = site.rig.ask(site.get("/headers").query(query));
        assert_eq!(answer.status, 200, "{query}");
        assert_eq!(site.app.last("/headers").unwrap().query, query);
    }
    let answer = site.rig.ask(site.get("/headers").query("name=gr\u{fc}n"));
    assert_eq!(answer.status, 200);
    assert_eq!(site.app.last("/headers").unwrap().query, "name=gr%C3%BCn");
    site.finish();
}

#[test]
fn a_path_is_text_and_arrives_as_that_text() {
    let site = Site::start();
    for (path, expected) in [
        ("/a b", "/a%20b"),
        ("/100%", "/100%25"),
        ("/%2e%2e/x", "/%252e%252e/x"),
        ("/gr\u{fc}n/\u{1f600}", "/gr%C3%BCn/%F0%9F%98%80"),
        ("/a?b#c", "/a%3Fb%23c"),
        ("//double//slashes/", "//double//slashes/"),
        ("/a:b@c;d=e,f", "/a:b@c;d=e,f"),
        ("/...", "/..."),
        ("/http://x", "/http://x"),
    ] {
        let answer = site.rig.ask(site.get(path));
        assert_eq!((answer.status, &answer.error), (404, &None), "{path}");
        assert_eq!(site.app.requests().last().unwrap().path, expected);
    }
    assert_eq!(site.rig.ask(site.get("")).status, 200);
    assert_eq!(site.app.requests().last().unwrap().path, "/");
    site.finish();
}

#[test]
fn paths_and_methods_that_lead_elsewhere_are_refused_by_name_of_the_rule() {
    let site = Site::start();
    for (path, rule) in [
        ("/..", "path-segment"),
        ("/a/../b", "path-segment"),
        ("/./a", "path-segment"),
        ("relative", "path-relative"),
        ("http://elsewhere.example/", "path-relative"),
        ("/a\r\nX-Injected: 1", "path-character"),
        ("/a\0", "path-character"),
    ] {
        for request in [site.get(path), site.get(path).buffered()] {
            let answer = site.rig.ask(request);
            assert_eq!((answer.status, &answer.error), (403, &None), "{path:?}");
            let message = json(&answer)["message"].to_string();
            assert!(message.contains(&format!("(rule {rule})")), "{path:?}: {message}");
        }
    }
    for (request, rule) in [
        (site.get("/x").query("a\r\nX-Injected: 1"), "query-character"),
        (site.get("/x").header("X-Bad", "a\r\nX-Injected: 1"), "header"),
        (site.get("/x").header("Host", "a/b"), "header"),
        (ProxyRequest { method: "CONNECT".into(), ..site.get("/x") }, "method"),
        (ProxyRequest { method: "GET /x".into(), ..site.get("/x") }, "method"),
    ] {
        let answer = site.rig.ask(request);
        assert_eq!(answer.status, 403, "{rule}");
        assert!(json(&answer)["message"].to_string().contains(&format!("(rule {rule})")), "{answer:?}");
    }
    site.rig.settle();
    assert_eq!(site.app.requests().len(), 0);
    site.finish();
}

#[test]
fn b67_a_kubernetes_path_with_a_host_stays_with_the_api_server() {
    let site = Site::start();
    for name in ["Host", "host", "X-Forwarded-Host"] {
        let answer = site.rig.ask(get(CONFIG_MAPS).header(name, "shop.example.com"));
        assert_eq!(answer.status, 200, "{name}");
        assert_eq!(json(&answer)["kind"], "ConfigMapList");
    }
    assert_eq!(site.rig.proxied().len(), 3);
    assert_eq!(site.app.requests().len(), 0);
    // And a service that is named gets what looks like the API's path.
    assert_eq!(site.rig.ask(site.get("/api/v1/nodes")).status, 404);
    assert_eq!(site.app.last("/api/v1/nodes").map(|seen| seen.method).as_deref(), Some("GET"));
    assert_eq!(site.rig.proxied().len(), 3);
    site.finish();
}

#[test]
fn every_method_passes() {
    let site = Site::start();
    for method in ["GET", "get", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        let answer = site.rig.ask(ProxyRequest { method: method.into(), ..site.get("/headers") });
        assert_eq!((answer.status, &answer.error), (200, &None), "{method}");
        assert_eq!(site.app.last("/headers").unwrap().method, method.to_ascii_uppercase());
    }
    let answer = site.rig.ask(ProxyRequest { method: "HEAD".into(), ..site.get("/headers") });
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    let unnamed = ProxyRequest { method: String::new(), ..site.get("/headers") };
    assert_eq!(site.rig.ask(unnamed).status, 200);
    assert_eq!(site.app.last("/headers").unwrap().method, "GET");
    site.finish();
}
