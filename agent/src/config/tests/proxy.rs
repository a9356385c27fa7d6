//! Proxies, and which addresses go by which.

use super::*;

fn way(config: &Config, url: &str) -> Option<String> {
    config.proxy.to(&ApiUrl::parse(url).unwrap()).map(ToString::to_string)
}

#[test]
fn f47_the_scheme_of_the_plane_chooses_the_proxy() {
    let world = world_with_required().set("HTTPS_PROXY", "http://a.example:1").set("HTTP_PROXY", "b.example:2");
    let (config, warnings) = load(&world, &[]).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    for (url, proxy) in [
        ("https://plane.example", "http://a.example:1"),
        ("wss://plane.example", "http://a.example:1"),
        ("http://plane.example", "http://b.example:2"),
        ("ws://plane.example", "http://b.example:2"),
        // This machine is no exception.
        ("ws://127.0.0.1", "http://b.example:2"),
        ("https://localhost", "http://a.example:1"),
    ] {
        assert_eq!(way(&config, url).as_deref(), Some(proxy), "{url}");
    }
}

#[test]
fn f47_upper_case_lower_case_file_and_their_order() {
    let file = "proxy: {https_proxy: 'http://file.example:1', no_proxy: [a.example, .b.example]}\n";
    let lower = world_with_required().file(FILE, file);
    let (config, _) = load(&lower, &["--config", FILE]).unwrap();
    assert_eq!(way(&config, "https://plane.example").as_deref(), Some("http://file.example:1"));
    assert_eq!(way(&config, "https://x.b.example"), None);
    let lower = lower.set("https_proxy", "http://lower.example:2").set("no_proxy", "c.example");
    let (config, _) = load(&lower, &["--config", FILE]).unwrap();
    assert_eq!(way(&config, "https://x.b.example").as_deref(), Some("http://lower.example:2"));
    assert_eq!(way(&config, "https://c.example"), None);
    let both = lower.set("HTTPS_PROXY", "http://upper.example:3").set("NO_PROXY", "*");
    let (config, _) = load(&both, &["--config", FILE]).unwrap();
    assert_eq!(config.proxy.https.as_ref().map(ToString::to_string).as_deref(), Some("http://upper.example:3"));
    assert_eq!(way(&config, "https://plane.example"), None);
}

#[test]
fn b55_a_list_made_for_other_programs_is_read_as_far_as_it_goes() {
    let world = world_with_required().set("NO_PROXY", " a.example , ,b.example:8443 10.0.0.0/8,<local>,10.0.0.0/99,");
    let loaded = load(&world, &[]);
    let (config, _) = loaded.as_ref().unwrap();
    assert_eq!(config.proxy.bypass.len(), 3);
    let expected = ["\"<local>\"", "\"10.0.0.0/99\""].map(|entry| {
        format!(
            "environment variable NO_PROXY: proxy.no_proxy: {entry} is no host, domain, address or block of addresses: it is not used"
        )
    });
    assert_eq!(warnings(loaded), expected);
    let many = world_with_required().set("NO_PROXY", &"a.example,".repeat(300));
    let loaded = load(&many, &[]);
    assert_eq!(loaded.as_ref().unwrap().0.proxy.bypass.len(), 256);
    assert_eq!(warnings(loaded).len(), 1);
}

#[test]
fn f47_the_password_of_a_proxy_is_never_shown() {
    for text in ["http://canary:canary@proxy.example:3128", "canary:canary@proxy.example:3128"] {
        let (config, _) = load(&world_with_required().set("HTTPS_PROXY", text), &[]).unwrap();
        let row = &config.effective()[Setting::HttpsProxy as usize];
        assert_eq!(row.text.as_deref(), Some("http://***@proxy.example:3128"));
        assert!(!format!("{config:?}").contains("canary"));
    }
    for text in ["socks5://canary:canary@proxy.example", "http://canary:ca/nary@proxy.example", "http://canary:canary@"] {
        let message = load(&world_with_required().set("HTTPS_PROXY", text), &[]).unwrap_err().to_string();
        assert!(message.starts_with("environment variable HTTPS_PROXY: proxy.https_proxy: "), "{message}");
        assert!(!message.contains("canary"), "{message}");
    }
    let message = load(&world_with_required().set("HTTPS_PROXY", "socks5://a"), &[]).unwrap_err().to_string();
    assert!(message.contains("http:// and https:// only"), "{message}");
}

#[test]
fn what_tls_to_the_plane_must_be() {
    for (file, expected) in [
        ("server_name: plane.internal, min_version: '1.3'", Ok((Some("plane.internal"), true))),
        ("server_name: 10.0.0.1, min_version: 1.2", Ok((Some("10.0.0.1"), false))),
        ("server_name: 'a b'", Err("pipeops.tls.server_name: \"a b\" is neither a host name nor an IP address")),
        ("min_version: '1.1'", Err("pipeops.tls.min_version: \"1.1\" is not one of 1.2, 1.3")),
        // Nothing of it holds where it is turned off.
        ("enabled: false, server_name: plane.internal, min_version: '1.3'", Ok((None, false))),
    ] {
        let loaded = load_file(&format!("pipeops: {{tls: {{{file}}}}}\n"));
        match (loaded, expected) {
            (Ok((config, _)), Ok(expected)) => {
                let tls = &config.pipeops.tls;
                assert_eq!((tls.server_name.as_deref(), tls.only_tls13), expected, "{file}");
            }
            (Err(error), Err(expected)) => assert!(error.to_string().ends_with(expected), "{error}"),
            (loaded, _) => panic!("{file}: {loaded:?}"),
        }
    }
    let message = load(&world_with_required().set("PIPEOPS_PROXY_CA_FILE", "/missing"), &[]).unwrap_err().to_string();
    assert!(message.contains("proxy.ca_file: cannot read /missing"), "{message}");
}
