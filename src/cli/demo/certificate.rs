//! A certificate for `localhost` that lives as long as one run of the demo.
//!
//! Its authority signs this one certificate, and the authority's key is never written: whoever trusts it trusts
//! nothing else by that.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use jiff::{Span, Timestamp, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::folder::Folder;
use crate::{
    config::{
        Spanned,
        gateway::AddressTemplate,
        listener::{CertificateTemplate, ListenerTls},
        service::SecretTemplate,
    },
    diagnostic::Place,
    plan::Listener,
    serve::Running,
};

/// The listener's name, which no template is likely to have.
const NAME: &str = "demo-https";
/// How long it is valid, for whoever leaves the demo running.
const DAYS: i64 = 30;

/// The certificate and its key in a folder of their own, removed in the end.
pub(super) struct Development {
    folder: Folder,
}

/// Where HTTPS is served, and whom to trust for it.
pub(super) struct Secure {
    pub(super) url: String,
    pub(super) authority: PathBuf,
}

// === impl Development ===

impl Development {
    /// Makes it.
    pub(super) fn make() -> io::Result<Self> {
        let folder = Folder::make("tls")?;
        let (authority, certificate, key) = issue().map_err(io::Error::other)?;
        for (name, text) in [("ca.pem", authority), ("localhost.pem", certificate), ("localhost.key", key)] {
            folder.write(name, &text)?;
        }
        Ok(Self { folder })
    }

    /// A listener on loopback that shows it.
    pub(super) fn listener(&self, port: u16) -> Listener {
        let place = Place { file: "segue demo".into(), line: 1, column: 1, width: 1 };
        let path = |name: &str| self.folder.file(name).display().to_string();
        let key = SecretTemplate::File { path: path("localhost.key"), prefix: String::new() };
        let certificate = CertificateTemplate {
            cert: Spanned { value: path("localhost.pem"), place: place.clone() },
            key: Spanned { value: key, place: place.clone() },
        };
        Listener {
            name: NAME.to_owned(),
            address: AddressTemplate::Socket(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            place,
            tls: Some(ListenerTls { certificates: vec![certificate], only_tls13: false, client_auth: None }),
        }
    }

    /// Where it is shown.
    pub(super) fn served(&self, running: &Running) -> Option<Secure> {
        let (_, address) = running.listeners.iter().find(|(name, _)| name == NAME)?;
        let url = format!("https://localhost:{}", address.port());
        Some(Secure { url, authority: self.folder.file("ca.pem") })
    }
}

/// Authority, certificate and the certificate's key, as PEM.
fn issue() -> Result<(String, String, String), rcgen::Error> {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let day = |days: i64| {
        let date = today.saturating_add(Span::new().days(days));
        date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, "Segue demo, for this run alone");
    (params.not_before, params.not_after) = (day(-1), day(DAYS));
    let key = KeyPair::generate()?;
    let authority = params.self_signed(&key)?.pem();
    let issuer = Issuer::new(params, key);

    let mut params =
        CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()])?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.distinguished_name.push(DnType::CommonName, "localhost");
    (params.not_before, params.not_after) = (day(-1), day(DAYS));
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    Ok((authority, certificate.pem(), key.serialize_pem()))
}
