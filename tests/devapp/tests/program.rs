//! The program, with TLS, from its line to its end.

// The exemption for tests covers test functions only, not what they share; and not every file uses all of that.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code, unreachable_pub)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;

use devapp::{DevApp, Options, tls_from_pem, tls_self_signed};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};

fn client(certificate: &str) -> rustls::ClientConnection {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    rustls::ClientConnection::new(Arc::new(config), ServerName::try_from("app.example").unwrap()).unwrap()
}

#[test]
fn requests_over_tls_are_recorded_as_such() {
    let (tls, certificate) = tls_self_signed(&["app.example"]).unwrap();
    let app = DevApp::spawn(Options { tls: Some(tls), ..Options::default() }).unwrap();
    let mut stream = rustls::StreamOwned::new(client(&certificate), support::connect(&app));
    stream.write_all(b"GET /status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(support::whole(&mut stream).text(), "status 200\n");
    assert!(support::seen(&app, "/status", |_| true).tls);
    assert!(app.url().starts_with("https://127.0.0.1:"));
    assert!(tls_from_pem(certificate.as_bytes(), b"no key").is_err());
}

#[test]
fn the_program_says_where_it_is_and_ends_on_a_signal() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_devapp")).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let mut stream = TcpStream::connect(line["addr"].as_str().unwrap()).unwrap();
    stream.write_all(b"GET /headers HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(support::whole(&mut stream).text(), "[]");
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert!(child.wait().unwrap().success());
}

#[test]
fn dropping_the_handle_ends_every_connection() {
    let app = support::start();
    let mut stream = support::connect(&app);
    stream.write_all(b"POST /stall HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n").unwrap();
    support::seen(&app, "/stall", |_| true);
    drop(app);
    assert!(std::io::Read::read(&mut stream, &mut [0]).unwrap_or_default() == 0);
}
