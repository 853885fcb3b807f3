//! A certificate for `localhost`, and one for a client, that live as long as one run of the demo.
//!
//! Their authority signs these two certificates, and the authority's key is never written: whoever trusts it trusts
//! nothing else by that.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use jiff::{Span, Timestamp, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

use super::folder::Folder;
use crate::{
    config::{
        Spanned,
        gateway::AddressTemplate,
        listener::{CertificateTemplate, ClientAuth, ListenerTls},
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

/// The client that the other certificate is for: a system of the sample's operations.
pub(super) const CLIENT: &str = "spiffe://rail.example.com/operations/control-room";

/// The certificates and their keys in a folder of their own, removed in the end.
pub(super) struct Development {
    folder: Folder,
}

/// Where HTTPS is served, and whom to trust for it.
pub(super) struct Secure {
    pub(super) url: String,
    pub(super) authority: PathBuf,
    /// The client's certificate and its key.
    pub(super) client: (PathBuf, PathBuf),
}

/// Everything as PEM.
struct Issued {
    authority: String,
    /// A certificate and its key each.
    server: (String, String),
    client: (String, String),
}

// === impl Development ===

impl Development {
    /// Makes it.
    pub(super) fn make() -> io::Result<Self> {
        let folder = Folder::make("tls")?;
        let Issued { authority, server, client } = issue().map_err(io::Error::other)?;
        for (name, text) in [
            ("ca.pem", authority),
            ("localhost.pem", server.0),
            ("localhost.key", server.1),
            ("client.pem", client.0),
            ("client.key", client.1),
        ] {
            folder.write(name, &text)?;
        }
        Ok(Self { folder })
    }

    /// A listener on loopback that shows the one and asks for the other.
    pub(super) fn listener(&self, port: u16) -> Listener {
        let place = Place { file: "segue demo".into(), line: 1, column: 1, width: 1 };
        let path = |name: &str| self.folder.file(name).display().to_string();
        let key = SecretTemplate::File { path: path("localhost.key"), prefix: String::new() };
        let certificate = CertificateTemplate {
            cert: Spanned { value: path("localhost.pem"), place: place.clone() },
            key: Spanned { value: key, place: place.clone() },
        };
        let ca = Spanned { value: path("ca.pem"), place: place.clone() };
        Listener {
            name: NAME.to_owned(),
            address: AddressTemplate::Socket(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            place,
            tls: Some(ListenerTls {
                certificates: vec![certificate],
                only_tls13: false,
                client_auth: Some(ClientAuth { ca, required: false }),
            }),
        }
    }

    /// Where it is shown.
    pub(super) fn served(&self, running: &Running) -> Option<Secure> {
        let (_, address) = running.listeners.iter().find(|(name, _)| name == NAME)?;
        let url = format!("https://localhost:{}", address.port());
        let file = |name| self.folder.file(name);
        Some(Secure { url, authority: file("ca.pem"), client: (file("client.pem"), file("client.key")) })
    }
}

fn issue() -> Result<Issued, rcgen::Error> {
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

    let signed = |mut params: CertificateParams, name: &str, purpose| {
        params.extended_key_usages = vec![purpose];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = (day(-1), day(DAYS));
        let key = KeyPair::generate()?;
        Ok::<_, rcgen::Error>((params.signed_by(&key, &issuer)?.pem(), key.serialize_pem()))
    };
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let server = signed(CertificateParams::new(names)?, "localhost", ExtendedKeyUsagePurpose::ServerAuth)?;
    let mut params = CertificateParams::default();
    params.subject_alt_names.push(SanType::URI(CLIENT.try_into()?));
    let client = signed(params, "control room", ExtendedKeyUsagePurpose::ClientAuth)?;
    Ok(Issued { authority, server, client })
}
