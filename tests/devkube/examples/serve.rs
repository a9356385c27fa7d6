//! Serves until it is killed. Prints one line of JSON: where it is, a token for each right, and the certificate.
//!
//! `cargo run -p devkube --example serve [ADDRESS:PORT]`

use std::error::Error;
use std::io::Write;
use std::sync::Arc;

use devkube::{DevKube, Options};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut options = Options::default();
    if let Some(address) = std::env::args().nth(1) {
        options.bind = address.parse()?;
    }
    let names = vec!["localhost".to_owned(), options.bind.ip().to_string()];
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)?;
    options.tls = Some(Arc::new(tls));
    let tokens = options.tokens.clone();
    let kube = DevKube::start(options).await?;
    let token = |place: usize| tokens.get(place).map(|token| token.token.clone());
    let line = serde_json::json!({"url": kube.url(), "token": token(0), "viewer": token(1), "ca": cert.pem()});
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    out.flush()?;
    std::future::pending().await
}
