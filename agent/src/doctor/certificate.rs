//! What a certificate says of itself: who signed it, and how long it is valid. Whether it is to be trusted the TLS library says.

use std::time::Duration;

use pipeops_agent_core::timestamp;

use super::clock;
use super::report::Finding;

/// Less than this is worth a warning.
const SOON: Duration = Duration::from_secs(14 * 86_400);
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// Texts in bytes that UTF-8 reads: `UTF8String`, `PrintableString`, `IA5String`.
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];
/// The object identifiers of `commonName` and `organizationName`, the better one first.
const NAMES: [&[u8]; 2] = [&[0x55, 4, 3], &[0x55, 4, 10]];

/// What is worth saying about a certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    /// The issuer's common name, else its organisation.
    pub(super) issuer: Option<String>,
    /// When it ends to be valid, since 1970.
    pub(super) not_after: Duration,
}

impl Certificate {
    /// Reads the DER form. `None` for what is no X.509 certificate.
    pub(super) fn parse(der: &[u8]) -> Option<Self> {
        let (certificate, _) = inside(der, SEQUENCE)?;
        let (mut rest, _) = inside(certificate, SEQUENCE)?;
        if let Some((_, behind)) = inside(rest, VERSION) {
            rest = behind;
        }
        // Serial number and algorithm.
        let (_, _, rest) = element(rest)?;
        let (_, _, rest) = element(rest)?;
        let (issuer, rest) = inside(rest, SEQUENCE)?;
        let (validity, _) = inside(rest, SEQUENCE)?;
        let (_, _, not_after) = element(validity)?;
        let (tag, time, _) = element(not_after)?;
        Some(Self { issuer: name(issuer), not_after: self::time(tag, time)? })
    }

    /// In words.
    pub(super) fn describe(&self) -> String {
        let issuer = self.issuer.as_deref().unwrap_or("somebody without a name");
        let end = clock::time(self.not_after);
        format!("signed by \"{issuer}\", valid until {}", end.split('T').next().unwrap_or_default())
    }
}

/// Judges a certificate that the TLS library accepts.
pub(super) fn judge(certificate: Option<&Certificate>, now: Duration) -> Finding {
    let Some(certificate) = certificate else { return Finding::pass("the certificate is valid") };
    let seen = certificate.describe();
    if certificate.not_after.saturating_sub(now) < SOON {
        return Finding::warn(format!("{seen}, which is soon"))
            .cure("have the control plane's certificate renewed: ask who runs it");
    }
    Finding::pass(seen)
}

/// The next element: its tag, what is in it, and what stands behind it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        // More than two bytes of length no certificate of a handshake has.
        let (length, rest) =
            rest.split_at_checked(usize::from(first & 0x7f)).filter(|(length, _)| matches!(length.len(), 1 | 2))?;
        (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// What is in the next element if it is of this kind, and what stands behind it.
fn inside(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(bytes)?;
    (tag == wanted).then_some((content, rest))
}

fn name(name: &[u8]) -> Option<String> {
    NAMES.iter().find_map(|wanted| {
        let mut rest = name;
        while let Some((_, set, behind)) = element(rest) {
            rest = behind;
            let Some((attribute, _)) = inside(set, SEQUENCE) else { continue };
            let Some((_, identifier, value)) = element(attribute) else { continue };
            let Some((tag, text, _)) = element(value) else { continue };
            if identifier == *wanted && TEXTS.contains(&tag) {
                return core::str::from_utf8(text).ok().map(str::to_owned);
            }
        }
        None
    })
}

fn time(tag: u8, text: &[u8]) -> Option<Duration> {
    let text = core::str::from_utf8(text).ok()?;
    let century = match tag {
        // The first half of a century is this one (RFC 5280, section 4.1.2.5.1).
        UTC_TIME => {
            if text.as_bytes().first()? < &b'5' {
                "20"
            } else {
                "19"
            }
        }
        GENERALIZED_TIME => "",
        _ => return None,
    };
    let text = format!("{century}{text}");
    let part = |from: usize, to: usize| text.get(from..to);
    let (day, clock) = (format!("{}-{}-{}", part(0, 4)?, part(4, 6)?, part(6, 8)?), (part(8, 10)?, part(10, 12)?, part(12, 15)?));
    let millis = timestamp::parse(&format!("{day}T{}:{}:{}", clock.0, clock.1, clock.2))?;
    Some(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(change: impl FnOnce(&mut rcgen::CertificateParams)) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["plane.example".to_owned()]).unwrap();
        change(&mut params);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_issuer_and_the_end_are_read() {
        let der = made(|params| {
            params.not_after = rcgen::date_time_ymd(2031, 5, 6);
            params.distinguished_name.push(rcgen::DnType::OrganizationName, "Plant");
            params.distinguished_name.push(rcgen::DnType::CommonName, "Plant Root 7");
        });
        let read = Certificate::parse(&der).unwrap();
        assert_eq!(read.issuer.as_deref(), Some("Plant Root 7"));
        assert_eq!(read.not_after, Duration::from_secs(1_935_792_000));
    }

    #[test]
    fn far_away_ends_are_read_too() {
        let der = made(|params| {
            params.not_after = rcgen::date_time_ymd(2055, 1, 1);
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(rcgen::DnType::OrganizationName, "Plant");
        });
        let read = Certificate::parse(&der).unwrap();
        assert_eq!((read.issuer.as_deref(), read.not_after), (Some("Plant"), Duration::from_secs(2_682_374_400)));
    }

    #[test]
    fn broken_certificates_are_none() {
        let der = made(|_| {});
        assert!(Certificate::parse(&der).is_some());
        for end in 0..der.len() {
            // Until the signature begins, nothing that is cut off makes sense.
            let _ = Certificate::parse(&der[..end]);
        }
        for position in 0..der.len() {
            for value in [0, 0x30, 0x7f, 0x80, 0x82, 0xff] {
                let mut broken = der.clone();
                broken[position] = value;
                let _ = Certificate::parse(&broken);
            }
        }
        assert_eq!(Certificate::parse(&[]), None);
        assert_eq!(Certificate::parse(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0]), None);
        assert_eq!(Certificate::parse(&der[..der.len() / 2]), None);
    }
}
