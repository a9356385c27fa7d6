//! TLS clients: whom to trust and what to show.
//!
//! The control plane is trusted by the public roots and the operator's own CA; the API server by the cluster's CA alone.

mod failure;
mod pinned;

use core::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use self::pinned::Pinned;
pub(crate) use failure::{Peer, TlsFailure, is_tls};

use crate::config::Tls;
use crate::proxy::Proxies;

/// Why a TLS client cannot be set up. Each says which file it speaks of.
#[derive(Debug)]
pub(crate) enum TlsError {
    Read {
        path: PathBuf,
        source: io::Error,
    },
    /// No certificate in it, or one that cannot be parsed.
    Certificates(String),
    Key(String),
    /// Certificate and key do not fit, or rustls does not like them.
    Client(rustls::Error),
    Protocol(rustls::Error),
}

impl fmt::Display for TlsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => write!(formatter, "cannot read {}: {source}", path.display()),
            Self::Certificates(place) => write!(formatter, "{place} holds no usable certificate in PEM form"),
            Self::Key(place) => write!(formatter, "{place} holds no usable private key in PEM form"),
            Self::Client(error) => write!(formatter, "the client certificate cannot be used: {error}"),
            Self::Protocol(error) => write!(formatter, "TLS cannot be set up: {error}"),
        }
    }
}

impl core::error::Error for TlsError {}

/// The client for everything that goes to the control plane. Files are read anew, so that a renewed certificate is used by the
/// next dial.
pub(crate) fn for_plane(settings: &Tls) -> Result<Arc<ClientConfig>, TlsError> {
    let roots = roots_of([settings.ca_file.as_ref()])?;
    let identity = match (&settings.cert_file, &settings.key_file) {
        (Some(certificate), Some(key)) => {
            Some(Identity { certificate_pem: read(certificate)?, key_pem: read(key)?, place: certificate.display().to_string() })
        }
        _ => None,
    };
    build(roots, identity, settings.insecure_skip_verify, settings.only_tls13)
}

/// The client for proxies that are spoken to over TLS. The plane's authority is trusted for them, nothing else of its settings holds:
/// a proxy is verified always and shown no certificate.
pub(crate) fn for_proxy(settings: &Tls, proxies: &Proxies) -> Result<Arc<ClientConfig>, TlsError> {
    let roots = roots_of([settings.ca_file.as_ref(), proxies.ca_file.as_ref()])?;
    build(roots, None, false, false)
}

/// The public roots and those of the files.
fn roots_of<const COUNT: usize>(files: [Option<&PathBuf>; COUNT]) -> Result<Roots, TlsError> {
    let mut roots = Roots::public();
    for path in files.into_iter().flatten() {
        roots.add(&read(path)?, &path.display().to_string())?;
    }
    Ok(roots)
}

/// Whom to trust: authorities, and the certificates that were named, as they are.
struct Roots {
    store: RootCertStore,
    named: Vec<CertificateDer<'static>>,
}

impl Roots {
    fn public() -> Self {
        Self { store: RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }, named: Vec::new() }
    }

    fn add(&mut self, pem: &[u8], place: &str) -> Result<(), TlsError> {
        let found = certificates(pem, place)?;
        let (added, _) = self.store.add_parsable_certificates(found.iter().cloned());
        self.named.extend(found);
        if added == 0 { Err(TlsError::Certificates(place.into())) } else { Ok(()) }
    }
}

/// A client certificate and its key.
pub(crate) struct Identity {
    pub(crate) certificate_pem: Vec<u8>,
    pub(crate) key_pem: Vec<u8>,
    pub(crate) place: String,
}

/// The client for the API server. `identity` is for the agent's own requests only: a connection that carries the plane's
/// requests must not show it, or they would be authenticated as the agent.
pub(crate) fn for_cluster(
    ca_pem: Option<&[u8]>,
    identity: Option<Identity>,
    insecure: bool,
) -> Result<Arc<ClientConfig>, TlsError> {
    let roots = match ca_pem {
        Some(pem) => {
            let mut roots = Roots { store: RootCertStore::empty(), named: Vec::new() };
            roots.add(pem, "the cluster's CA")?;
            roots
        }
        None => Roots::public(),
    };
    build(roots, identity, insecure, false)
}

/// The client for services of the cluster: their certificates may come from the cluster's CA or from a public one.
pub(crate) fn for_services(ca_pem: Option<&[u8]>, insecure: bool) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = Roots::public();
    if let Some(pem) = ca_pem {
        roots.add(pem, "the cluster's CA")?;
    }
    build(roots, None, insecure, false)
}

fn build(roots: Roots, identity: Option<Identity>, insecure: bool, only_tls13: bool) -> Result<Arc<ClientConfig>, TlsError> {
    let versions: &[&rustls::SupportedProtocolVersion] =
        if only_tls13 { &[&rustls::version::TLS13] } else { rustls::DEFAULT_VERSIONS };
    // Never `ClientConfig::builder()`: it panics as soon as some crate turns a second provider on.
    let provider = Arc::new(ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).map_err(TlsError::Protocol)?;
    let builder = if insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider)))
    } else {
        let rules = WebPkiServerVerifier::builder_with_provider(Arc::new(roots.store), provider).build();
        let rules = rules.map_err(|error| TlsError::Protocol(rustls::Error::General(error.to_string())))?;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Pinned { rules, named: roots.named }))
    };
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(Identity { certificate_pem, key_pem, place }) => {
            let chain = certificates(&certificate_pem, &place)?;
            let key = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|_| TlsError::Key(place))?;
            builder.with_client_auth_cert(chain, key).map_err(TlsError::Client)?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A handful of servers: tickets for all of them, and no more memory than that.
    config.resumption = rustls::client::Resumption::in_memory_sessions(8);
    Ok(Arc::new(config))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn certificates(pem: &[u8], place: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err(TlsError::Certificates(place.into())),
    }
}

/// What `insecure_skip_verify` asks for: the connection is encrypted, and nobody knows with whom.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
