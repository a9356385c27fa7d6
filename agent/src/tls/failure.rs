//! Why a TLS handshake failed, in words, and what cures it.

use core::fmt;
use std::io;
use std::time::{Duration, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use crate::version;

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// The address in the configuration.
    Plane,
    /// An address that the plane gave.
    Gateway,
    /// A proxy.
    Proxy,
}

/// The kinds of failures that have different cures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsReason {
    UnknownAuthority,
    WrongName,
    Expired,
    NotYetValid,
    /// The clock shows a time before this program was made.
    WrongClock,
    NoTls,
    /// The server wants a client certificate, or another one.
    ClientCertificate,
    Version,
    Revoked,
    /// A certificate that is none for a server, or none at all.
    BadCertificate,
    /// The server ended the connection without a word.
    Ended,
    TimedOut,
    Other,
}

/// A failed handshake.
#[derive(Debug)]
pub(crate) struct TlsFailure {
    pub(crate) reason: TlsReason,
    text: String,
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// The longest list of a certificate's names in a message.
const MAXIMUM_NAMES: usize = 200;

/// Whether the error is one of TLS and not of the connection below it.
pub(crate) fn is_tls(error: &io::Error) -> bool {
    tls_error(error).is_some()
}

fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the enums of rustls, which grow: what is new there has its own words")]
impl TlsFailure {
    /// What a stream's error says about TLS.
    pub(crate) fn of(error: &io::Error) -> Self {
        if let Some(error) = tls_error(error) {
            return Self::of_tls(error);
        }
        let kind = error.kind();
        let (reason, text) = if kind == io::ErrorKind::TimedOut {
            (TlsReason::TimedOut, "the server did not answer in time".to_owned())
        } else if matches!(kind, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) {
            (TlsReason::Ended, "the server ended the connection".to_owned())
        } else {
            (TlsReason::Other, error.to_string())
        };
        Self { reason, text }
    }

    fn of_tls(error: &Error) -> Self {
        let (reason, text) = match error {
            Error::InvalidCertificate(error) => return Self::of_certificate(error),
            Error::InvalidMessage(_) => (TlsReason::NoTls, "the server does not speak TLS on this port".to_owned()),
            Error::AlertReceived(alert) => return Self::of_alert(*alert),
            Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            ) => (TlsReason::Version, "the server offers no version of TLS that is accepted here".to_owned()),
            Error::NoCertificatesPresented => (TlsReason::BadCertificate, "the server showed no certificate".to_owned()),
            other => (TlsReason::Other, other.to_string()),
        };
        Self { reason, text }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        let (reason, text) = match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                (TlsReason::UnknownAuthority, "the certificate comes from an authority that is not known here".to_owned())
            }
            CertificateError::NotValidForNameContext { expected, presented } => {
                (TlsReason::WrongName, format!("the certificate is not for {} but for {}", expected.to_str(), names(presented)))
            }
            CertificateError::NotValidForName => (TlsReason::WrongName, "the certificate is for another name".to_owned()),
            CertificateError::ExpiredContext { time, .. } | CertificateError::NotValidYetContext { time, .. }
                if Duration::from_secs(time.as_secs()) < version::commit_time() =>
            {
                let text =
                    format!("the clock of this machine is wrong: it says {}, when this program was not made yet", date(*time));
                (TlsReason::WrongClock, text)
            }
            CertificateError::ExpiredContext { time, not_after } => {
                (TlsReason::Expired, format!("the certificate expired at {}; here it is {}", date(*not_after), date(*time)))
            }
            CertificateError::NotValidYetContext { time, not_before } => (
                TlsReason::NotYetValid,
                format!("the certificate is valid from {} on; here it is {}", date(*not_before), date(*time)),
            ),
            CertificateError::Expired => (TlsReason::Expired, "the certificate has expired".to_owned()),
            CertificateError::NotValidYet => (TlsReason::NotYetValid, "the certificate is not valid yet".to_owned()),
            CertificateError::Revoked => (TlsReason::Revoked, "the certificate was revoked".to_owned()),
            other => (TlsReason::BadCertificate, format!("the certificate cannot be accepted: {other}")),
        };
        Self { reason, text }
    }

    fn of_alert(alert: AlertDescription) -> Self {
        let (reason, text) = match alert {
            AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
                (TlsReason::ClientCertificate, "the server wants a client certificate".to_owned())
            }
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError => {
                (TlsReason::ClientCertificate, format!("the server does not accept the client certificate ({alert:?})"))
            }
            AlertDescription::ProtocolVersion | AlertDescription::InsufficientSecurity => {
                (TlsReason::Version, "the server offers no version of TLS that is accepted here".to_owned())
            }
            AlertDescription::HandshakeFailure => (
                TlsReason::Version,
                "the server refused the handshake: it wants other versions or ciphers, or a client certificate".to_owned(),
            ),
            AlertDescription::UnrecognisedName => {
                (TlsReason::WrongName, "the server has no certificate for this name".to_owned())
            }
            other => (TlsReason::Other, format!("the server refused it ({other:?})")),
        };
        Self { reason, text }
    }

    /// What the operator can do about it.
    pub(crate) const fn hint(&self, peer: Peer) -> &'static str {
        match (self.reason, peer) {
            (TlsReason::WrongClock, _) => "set the clock of this machine (timedatectl set-ntp true); the certificate may be good",
            (TlsReason::UnknownAuthority, Peer::Plane | Peer::Gateway) => {
                "name the authority's certificate in pipeops.tls.ca_file; where a firewall or proxy opens TLS, that is its authority"
            }
            (TlsReason::UnknownAuthority, Peer::Proxy) => "name the certificate of the proxy's authority in proxy.ca_file",
            (TlsReason::WrongName, Peer::Plane) => {
                "check the host in PIPEOPS_API_URL, or set pipeops.tls.server_name to a name that the certificate is for"
            }
            (TlsReason::WrongName, Peer::Gateway) => {
                "the control plane named this gateway: whoever runs it must give it a certificate for its name"
            }
            (TlsReason::WrongName, Peer::Proxy) => "write the proxy into HTTPS_PROXY by the name that its certificate is for",
            (TlsReason::Expired, Peer::Plane | Peer::Gateway) => {
                "whoever runs the control plane must renew its certificate, unless the clock of this machine is wrong: check it"
            }
            (TlsReason::Expired, Peer::Proxy) => {
                "whoever runs the proxy must renew its certificate, unless the clock of this machine is wrong: check it"
            }
            (TlsReason::NotYetValid, _) => {
                "check the clock of this machine (timedatectl); if it is right, the certificate is too new"
            }
            (TlsReason::NoTls, Peer::Plane | Peer::Gateway) => {
                "check the port in PIPEOPS_API_URL: what answers there does not speak TLS"
            }
            (TlsReason::NoTls, Peer::Proxy) => "the proxy does not speak TLS: write http:// instead of https:// in HTTPS_PROXY",
            (TlsReason::ClientCertificate, Peer::Plane | Peer::Gateway) => {
                "check pipeops.tls.cert_file and key_file: the control plane wants a client certificate that it knows"
            }
            (TlsReason::ClientCertificate, Peer::Proxy) => {
                "the proxy wants a client certificate, which the agent does not show to proxies"
            }
            (TlsReason::Version, Peer::Plane | Peer::Gateway) => {
                "the server must offer TLS 1.2 or 1.3, and not less than pipeops.tls.min_version; it may want pipeops.tls.cert_file"
            }
            (TlsReason::Version, Peer::Proxy) => "the proxy must offer TLS 1.2 or 1.3",
            (TlsReason::Revoked | TlsReason::BadCertificate, _) => {
                "the server needs another certificate, made for servers (not an authority's own): tell whoever runs it"
            }
            (TlsReason::Ended, Peer::Plane | Peer::Gateway) => {
                "check PIPEOPS_API_URL, and that no firewall or proxy on the way ends connections"
            }
            (TlsReason::Ended | TlsReason::TimedOut | TlsReason::Other, Peer::Proxy) => {
                "check HTTPS_PROXY (proxy.https_proxy): https:// is for proxies that speak TLS"
            }
            (TlsReason::TimedOut, Peer::Plane | Peer::Gateway) => {
                "check that the firewall lets outbound connections to the control plane through, and what opens TLS on the way"
            }
            (TlsReason::Other, Peer::Plane | Peer::Gateway) => {
                "check PIPEOPS_API_URL, the clock of this machine and, with a private CA, pipeops.tls.ca_file"
            }
        }
    }
}

/// The names of a certificate as people write them.
fn names(presented: &[String]) -> String {
    if presented.is_empty() {
        return "no name at all".to_owned();
    }
    let mut list = String::new();
    for name in presented {
        // `DnsName("a")` and `IpAddress(10.0.0.1)`.
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name).trim_matches('"');
        if list.len() + inner.len() > MAXIMUM_NAMES {
            list.push_str(if list.is_empty() { "names too long to show" } else { ", …" });
            break;
        }
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(inner);
    }
    list
}

fn date(time: UnixTime) -> String {
    // The last second of the year 9999: what comes after it cannot be written.
    let since_1970 = Duration::from_secs(time.as_secs().min(253_402_300_799));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since_1970).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::InvalidMessage;
    use rustls::pki_types::ServerName;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    fn now() -> u64 {
        version::commit_time().as_secs() + 1000
    }

    #[test]
    fn f37_each_failure_has_its_text_and_its_cure() {
        let expected = ServerName::try_from("plane.example").unwrap();
        let presented = vec!["DnsName(\"a.example\")".to_owned(), "IpAddress(10.0.0.1)".to_owned()];
        let certificate = |error| Error::InvalidCertificate(error);
        for (error, text, hint) in [
            (certificate(CertificateError::UnknownIssuer), "authority that is not known", "pipeops.tls.ca_file"),
            (certificate(CertificateError::BadSignature), "authority that is not known", "pipeops.tls.ca_file"),
            (
                certificate(CertificateError::NotValidForNameContext { expected, presented }),
                "not for plane.example but for a.example, 10.0.0.1",
                "pipeops.tls.server_name",
            ),
            (
                certificate(CertificateError::ExpiredContext { time: at(now()), not_after: at(now() - 1) }),
                "the certificate expired at 20",
                "renew",
            ),
            (
                certificate(CertificateError::NotValidYetContext { time: at(now()), not_before: at(now() + 1) }),
                "the certificate is valid from 20",
                "timedatectl",
            ),
            (
                certificate(CertificateError::NotValidYetContext { time: at(5), not_before: at(now()) }),
                "clock of this machine is wrong: it says 1970-01-01T00:00:05Z",
                "timedatectl set-ntp true",
            ),
            (
                certificate(CertificateError::ExpiredContext { time: at(5), not_after: at(1) }),
                "clock of this machine is wrong",
                "timedatectl set-ntp true",
            ),
            (certificate(CertificateError::Revoked), "revoked", "another certificate"),
            (certificate(CertificateError::InvalidPurpose), "cannot be accepted", "made for servers"),
            (Error::InvalidMessage(InvalidMessage::InvalidContentType), "does not speak TLS", "the port in PIPEOPS_API_URL"),
            (Error::AlertReceived(AlertDescription::CertificateRequired), "wants a client certificate", "pipeops.tls.cert_file"),
            (
                Error::AlertReceived(AlertDescription::UnknownCA),
                "does not accept the client certificate",
                "pipeops.tls.cert_file",
            ),
            (Error::AlertReceived(AlertDescription::ProtocolVersion), "no version of TLS", "pipeops.tls.min_version"),
            (
                Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
                "no version of TLS",
                "pipeops.tls.min_version",
            ),
            (Error::AlertReceived(AlertDescription::UnrecognisedName), "no certificate for this name", "pipeops.tls.server_name"),
            (Error::AlertReceived(AlertDescription::InternalError), "refused it (InternalError)", "PIPEOPS_API_URL"),
        ] {
            let failure = TlsFailure::of(&io::Error::new(io::ErrorKind::InvalidData, error));
            assert!(failure.to_string().contains(text), "{failure}");
            assert!(failure.hint(Peer::Plane).contains(hint), "{failure}: {}", failure.hint(Peer::Plane));
        }
        for (kind, reason) in [
            (io::ErrorKind::UnexpectedEof, TlsReason::Ended),
            (io::ErrorKind::ConnectionReset, TlsReason::Ended),
            (io::ErrorKind::TimedOut, TlsReason::TimedOut),
            (io::ErrorKind::HostUnreachable, TlsReason::Other),
        ] {
            assert_eq!(TlsFailure::of(&kind.into()).reason, reason, "{kind}");
        }
    }

    #[test]
    fn a_certificate_with_many_names_fills_no_log() {
        let many: Vec<String> = (0..1000).map(|number| format!("DnsName(\"name-{number}.example\")")).collect();
        let list = names(&many);
        assert!(list.len() <= MAXIMUM_NAMES + 30 && list.starts_with("name-0.example, ") && list.ends_with(", …"), "{list}");
        assert_eq!(names(&["x".repeat(1000)]), "names too long to show");
        assert_eq!(names(&[]), "no name at all");
    }

    #[test]
    fn a_time_after_the_last_year_can_be_written() {
        assert_eq!(date(at(u64::MAX)), "9999-12-31T23:59:59Z");
    }
}
