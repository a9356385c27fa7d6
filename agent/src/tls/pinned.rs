//! Servers whose own certificate the operator has named.
//!
//! Whoever makes a certificate for one server by one command (`openssl req -x509`) makes one that may sign others, and shows it as the
//! server's own. The rules for chains refuse that; an operator who names this very certificate as trusted means it.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

/// The usual rules, but for certificates that were named themselves: those may be authorities.
#[derive(Debug)]
pub(super) struct Pinned {
    pub(super) rules: Arc<WebPkiServerVerifier>,
    pub(super) named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.rules.verify_server_cert(certificate, intermediates, name, ocsp, now);
        if let Err(Error::InvalidCertificate(CertificateError::Other(other))) = &verified
            && other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
            && self.named.contains(certificate)
        {
            // Its dates were found good before this was looked at; its name has not been looked at yet.
            verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.rules.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.rules.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.rules.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use rustls::RootCertStore;
    use rustls::crypto::ring;

    use super::*;

    /// A self-signed certificate that may sign others, as one command makes them, valid in these years.
    fn authority(names: &[&str], from: i32, to: i32) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn verify(named: &[CertificateDer<'static>], shown: &CertificateDer<'static>, name: &str) -> Result<(), Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(named.iter().cloned());
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()));
        let pinned = Pinned { rules: builder.build().unwrap(), named: named.to_vec() };
        // 2026-11-25.
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_795_564_800));
        pinned.verify_server_cert(shown, &[], &ServerName::try_from(name.to_owned()).unwrap(), &[], now).map(|_| ())
    }

    #[test]
    fn f47_a_servers_own_authority_is_accepted_where_it_is_named_itself() {
        let own = authority(&["plane.example"], 2020, 2040);
        let other = authority(&["plane.example"], 2020, 2040);
        verify(std::slice::from_ref(&own), &own, "plane.example").unwrap();
        for (named, shown, name, reason) in
            [(&other, &own, "plane.example", "another one is named"), (&own, &own, "other.example", "it is for another name")]
        {
            assert!(verify(std::slice::from_ref(named), shown, name).is_err(), "{reason}");
        }
        for (from, to) in [(2010, 2020), (2030, 2040)] {
            let stale = authority(&["plane.example"], from, to);
            let error = verify(std::slice::from_ref(&stale), &stale, "plane.example").unwrap_err();
            assert!(!format!("{error:?}").contains("CaUsed"), "its dates come first: {error:?}");
        }
    }
}
