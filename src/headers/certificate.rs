//! What a client's certificate says of it, once TLS has verified the chain.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

/// Tag of a URI among the general names (RFC 5280 §4.2.1.6).
const URI: u32 = 6;

/// The leaf of a verified chain, read once per connection.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Every URI among its subject alternative names. One that is not ASCII is here too, with U+FFFD in it, so
    /// that whoever wants exactly one sees that there are more.
    pub uris: Box<[Box<str>]>,
    /// Its DNS names, as they are spelt.
    pub dns_names: Box<[Box<str>]>,
    /// Its subject, for people to read. Never compare it: certificates can spell one name in many ways.
    pub subject: Box<str>,
    /// SHA-256 over all of it.
    pub fingerprint: [u8; 32],
    /// The last second of its validity, after 1970. A connection may outlive it.
    pub not_after: i64,
    /// All of it.
    pub der: Bytes,
}

// === impl ClientCertificate ===

impl ClientCertificate {
    /// Reads a certificate. Nothing when it is not one, has anything behind it, or has its names twice.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let (mut uris, mut dns_names) = (Vec::new(), Vec::new());
        if let Some(names) = certificate.subject_alternative_name().ok()? {
            for name in &names.value.general_names {
                match name {
                    GeneralName::URI(uri) => uris.push((*uri).into()),
                    GeneralName::Invalid(tag, bytes) if tag.0 == URI => {
                        uris.push(format!("\u{fffd}{}", String::from_utf8_lossy(bytes)).into());
                    }
                    GeneralName::DNSName(name) => dns_names.push((*name).into()),
                    _ => {}
                }
            }
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest(&SHA256, der).as_ref());
        Some(Self {
            uris: uris.into(),
            dns_names: dns_names.into(),
            subject: certificate.subject().to_string().into(),
            fingerprint,
            not_after: certificate.validity().not_after.timestamp(),
            der: Bytes::copy_from_slice(der),
        })
    }
}

impl std::fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("uris", &self.uris)
            .field("dns_names", &self.dns_names)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn made(names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.distinguished_name.push(DnType::CommonName, "till 7");
        params.not_after = rcgen::date_time_ymd(2031, 5, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn says_who_the_client_is() {
        let der = made(vec![
            SanType::URI("spiffe://example/team/pay".try_into().unwrap()),
            SanType::DnsName("till-7.example.com".try_into().unwrap()),
            SanType::URI("urn:second".try_into().unwrap()),
        ]);
        let read = ClientCertificate::read(&der).unwrap();
        assert_eq!(*read.uris, ["spiffe://example/team/pay".into(), "urn:second".into()]);
        assert_eq!(*read.dns_names, ["till-7.example.com".into()]);
        assert!(read.subject.contains("till 7"), "{}", read.subject);
        assert_eq!(read.not_after, 1_935_360_000);
        assert_eq!(read.fingerprint, digest(&SHA256, &der).as_ref());
        assert_eq!(read.der, der);
    }

    #[test]
    fn a_uri_that_is_not_ascii_counts_as_one() {
        let mut der = made(vec![SanType::URI("spiffe://example/a".try_into().unwrap())]);
        let at = der.windows(18).position(|bytes| bytes == b"spiffe://example/a").unwrap();
        der[at + 17] = 0xff;
        let read = ClientCertificate::read(&der).unwrap();
        assert_eq!(read.uris.len(), 1);
        assert!(read.uris[0].contains('\u{fffd}'));
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        let mut der = made(Vec::new());
        assert!(ClientCertificate::read(&der).unwrap().uris.is_empty());
        assert_eq!(ClientCertificate::read(&der[..der.len() - 1]), None);
        der.push(0);
        assert_eq!(ClientCertificate::read(&der), None);
        assert_eq!(ClientCertificate::read(b""), None);
    }
}
