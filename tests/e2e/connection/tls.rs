//! TLS to the plane: each way to fail, what is said about it, and what heals it.

use devplane::plane::ProxyRequest;

use crate::authority::{Authority, Shown};
use crate::harness::{ADMIN_TOKEN, Bed, LIMIT, Setup};
use crate::server::Server;
use crate::{bed, failure, path, place};

const TLS12: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];

#[test]
fn f37_each_failure_of_tls_is_told_apart_with_its_cure() {
    let (ours, theirs) = (Authority::new("one"), Authority::new("one"));
    let name = || Shown { name: "a.example", ..Shown::default() };
    for (shown, setting, error, hint) in [
        (theirs.server(&Shown::default()), None, "authority that is not known", "pipeops.tls.ca_file"),
        (ours.server(&name()), None, "not for 127.0.0.1 but for a.example", "pipeops.tls.server_name"),
        (
            ours.server(&name()),
            Some(("pipeops.tls.server_name", "b.example")),
            "not for b.example but for a.example",
            "pipeops.tls.server_name",
        ),
        (
            ours.server(&Shown { years: (2020, 2021), ..Shown::default() }),
            None,
            "expired at 2021-01-01T00:00:00Z",
            "must renew its certificate",
        ),
        (
            ours.server(&Shown { years: (2080, 2090), ..Shown::default() }),
            None,
            "valid from 2080-01-01T00:00:00Z on",
            "clock of this machine",
        ),
        (
            ours.server(&Shown { clients: Some(&ours), ..Shown::default() }),
            None,
            "wants a client certificate",
            "pipeops.tls.cert_file",
        ),
        (
            ours.server(&Shown { clients: Some(&ours), versions: TLS12, ..Shown::default() }),
            None,
            "wants a client certificate",
            "pipeops.tls.cert_file",
        ),
        (
            ours.server(&Shown { versions: TLS12, ..Shown::default() }),
            Some(("pipeops.tls.min_version", "1.3")),
            "no version of TLS",
            "pipeops.tls.min_version",
        ),
        (
            ours.server(&Shown { is_authority: true, ..Shown::default() }),
            None,
            "the certificate cannot be accepted",
            "made for servers",
        ),
    ] {
        let bed = bed(false, false);
        let front = Server::before(place(bed.plane.api_url()), shown);
        let ca_file = bed.folder().join("ca.pem");
        std::fs::write(&ca_file, &ours.pem).unwrap();
        let launch = bed.agent().set("pipeops.api_url", front.url()).set("pipeops.tls.ca_file", path(&ca_file));
        let launch = match setting {
            Some((key, value)) => launch.set(key, value),
            None => launch,
        };
        let agent = launch.start();
        let (found, cure) = failure(&agent);
        assert!(found.contains("TLS handshake failed: ") && found.contains(error), "{found}");
        assert!(cure.contains(hint), "{found}: {cure}");
        // It goes on trying, and never with less.
        agent.wait_msgs("Failed to connect to the control plane, will keep trying", 2, LIMIT);
        assert!(bed.records().upgrades.is_empty(), "{found}");
        agent.stop();
    }
}

#[test]
fn f37_servers_without_tls_and_servers_that_hang_up() {
    let bed = bed(false, false);
    let agent = bed.agent().set("pipeops.api_url", bed.plane.api_url().replacen("http:", "https:", 1)).start();
    let (error, hint) = failure(&agent);
    assert!(error.contains("does not speak TLS on this port") && hint.contains("port in PIPEOPS_API_URL"), "{error}: {hint}");
    agent.stop();
    let mute = Server::start(None, |stream| async move { drop(stream) });
    let agent = bed.agent().set("pipeops.api_url", mute.url()).start();
    let (error, hint) = failure(&agent);
    assert!(error.contains("TLS handshake failed: the server ended the connection") && hint.contains("firewall"), "{error}");
    agent.stop();
    let hanging = Server::start(None, |stream| async move {
        let _held = stream;
        core::future::pending::<()>().await;
    });
    let agent = bed.agent().set("pipeops.api_url", hanging.url()).set("timeouts.websocket_handshake", "1s").start();
    let (error, _) = failure(&agent);
    assert!(error.contains("TLS handshake failed: the server did not answer in time"), "{error}");
    agent.stop();
}

#[test]
fn f47_the_name_of_the_certificate_can_be_set() {
    let authority = Authority::new("one");
    let bed = bed(false, false);
    let front = Server::before(place(bed.plane.api_url()), authority.server(&Shown { name: "a.example", ..Shown::default() }));
    let ca_file = bed.folder().join("ca.pem");
    std::fs::write(&ca_file, &authority.pem).unwrap();
    let agent = bed
        .agent()
        .set("pipeops.api_url", front.url())
        .set("pipeops.tls.ca_file", path(&ca_file))
        .set("pipeops.tls.server_name", "a.example")
        .online();
    agent.stop();
}

#[test]
fn b55_a_renewed_authority_heals_without_a_restart() {
    let (old, new) = (Authority::new("one"), Authority::new("one"));
    let bed = bed(false, false);
    let front = Server::before(place(bed.plane.api_url()), new.server(&Shown::default()));
    let ca_file = bed.folder().join("ca.pem");
    std::fs::write(&ca_file, &old.pem).unwrap();
    let agent = bed.agent().set("pipeops.api_url", front.url()).set("pipeops.tls.ca_file", path(&ca_file)).start();
    failure(&agent);
    std::fs::write(&ca_file, &new.pem).unwrap();
    agent.online(&bed);
    agent.stop();
}

#[test]
fn b55_a_renewed_client_certificate_heals_without_a_restart() {
    let (authority, stranger) = (Authority::new("one"), Authority::new("two"));
    let bed = bed(false, false);
    let shown = Shown { clients: Some(&authority), ..Shown::default() };
    let front = Server::before(place(bed.plane.api_url()), authority.server(&shown));
    let file = |name: &str| bed.folder().join(name);
    std::fs::write(file("ca.pem"), &authority.pem).unwrap();
    let write = |(certificate, key): (String, String)| {
        std::fs::write(file("client.pem"), certificate).unwrap();
        std::fs::write(file("client.key"), key).unwrap();
    };
    write(stranger.client());
    let agent = bed
        .agent()
        .set("pipeops.api_url", front.url())
        .set("pipeops.tls.ca_file", path(&file("ca.pem")))
        .set("pipeops.tls.cert_file", path(&file("client.pem")))
        .set("pipeops.tls.key_file", path(&file("client.key")))
        .start();
    let (error, hint) = failure(&agent);
    assert!(error.contains("client certificate") && hint.contains("pipeops.tls.cert_file"), "{error}: {hint}");
    write(authority.client());
    agent.online(&bed);
    agent.stop();
}

#[test]
fn b40_nothing_of_the_planes_tls_is_for_the_kubernetes_api() {
    let bed = Bed::new(Setup::default());
    // The kubeconfig trusts an authority that is not the API server's.
    let kubeconfig = bed.folder().join("kubeconfig");
    let text = std::fs::read_to_string(&kubeconfig).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    let wrong = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, Authority::new("other").pem);
    config["clusters"][0]["cluster"]["certificate-authority-data"] = wrong.into();
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    // Both would make the connection succeed, if they were used for it.
    let both = bed.folder().join("both.pem");
    std::fs::write(&both, format!("{}{}", bed.plane.ca_pem(), bed.kube().ca_pem())).unwrap();
    for skip in [true, false] {
        let agent = bed
            .agent()
            .set("pipeops.tls.insecure_skip_verify", skip)
            .set("pipeops.tls.ca_file", path(&both))
            .set("proxy.ca_file", path(&both))
            .online();
        let request = ProxyRequest::get("/api/v1/pods").header("Authorization", format!("Bearer {ADMIN_TOKEN}"));
        let answer = bed.plane.request(request).unwrap().collect_within(LIMIT).unwrap();
        assert!(format!("{answer:?}").contains("TLS to the Kubernetes API failed"), "{answer:?}");
        assert_eq!(bed.kube().requests().len(), 0);
        agent.stop();
    }
}
