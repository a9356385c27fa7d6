//! A certificate authority of its own, and a server certificate for the loopback names.

use std::fmt;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::StartError;

/// A fresh authority, and a server that it vouches for.
#[derive(Clone)]
pub struct Identity {
    /// The authority's certificate.
    pub ca_pem: String,
    pub config: Arc<ServerConfig>,
}

impl Identity {
    /// For the loopback names and addresses, and for `extra_names`.
    ///
    /// # Errors
    /// If a name is not one that a certificate can have.
    pub fn make(extra_names: &[String]) -> Result<Self, StartError> {
        let authority_key = KeyPair::generate().map_err(certificate)?;
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "devplane authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_pem = authority.self_signed(&authority_key).map_err(certificate)?.pem();
        let issuer = Issuer::new(authority, authority_key);

        let key = KeyPair::generate().map_err(certificate)?;
        let mut names: Vec<String> = ["localhost", "*.localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
        names.extend_from_slice(extra_names);
        let mut server = CertificateParams::new(names).map_err(certificate)?;
        server.distinguished_name.push(DnType::CommonName, "devplane");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        let chain = vec![server.signed_by(&key, &issuer).map_err(certificate)?.der().clone()];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(StartError::Tls)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(StartError::Tls)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { ca_pem, config: Arc::new(config) })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Identity").finish_non_exhaustive()
    }
}

fn certificate(error: rcgen::Error) -> StartError {
    StartError::Certificate(error.to_string())
}
