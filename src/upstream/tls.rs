//! TLS to services: what is trusted, what is shown, which HTTP is offered.
//!
//! Every rustls type of the upstream side stays in this module and in `connect`.

use std::{
    fmt,
    hash::{Hash, Hasher},
    io,
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{endpoint::Endpoint, secret::Sources};
use crate::{
    config::{
        Spanned,
        service::{Protocol, TlsTemplate},
    },
    diagnostic::{Code, Diagnostic, Place},
};

/// What a service's `https` endpoints are spoken to with.
pub(super) struct Settings {
    /// Offers what the service's `protocol` says.
    connector: TlsConnector,
    /// Offers HTTP/1.1 alone, for upgrades.
    http1: TlsConnector,
    server_name: Option<ServerName<'static>>,
}

impl Settings {
    /// Reads certificates and keys.
    pub(super) fn load(
        template: &TlsTemplate,
        protocol: Protocol,
        service: &Place,
        sources: &dyn Sources,
        hash: &mut impl Hasher,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut findings = Vec::new();
        let mut read = |key: &str, path: &Option<Spanned<String>>| {
            let path = path.as_ref()?;
            match sources.file(path) {
                Ok(bytes) => {
                    (key, &bytes).hash(hash);
                    Some((bytes, path.place.clone()))
                }
                Err(error) => {
                    let message = format!("`tls.{key}` needs the file `{}`: {error}", path.value);
                    findings.push(Diagnostic::new(Code::Unreadable, path.place.clone(), message));
                    None
                }
            }
        };
        let ca = read("ca", &template.ca);
        let cert = read("clientCert.cert", &template.cert);
        let key = read("clientCert.key", &template.key);
        let mut wrong = |place: &Place, message: String| {
            findings.push(Diagnostic::new(Code::InvalidValue, place.clone(), message));
        };
        let roots = match (&ca, &template.ca) {
            (Some((pem, place)), _) => {
                own_roots(pem).map_err(|why| wrong(place, format!("`tls.ca` is not usable: {why}"))).ok()
            }
            (None, Some(_)) => None,
            (None, None) => system_roots()
                .map_err(|why| wrong(service, format!("the system's certificates cannot be read: {why}")))
                .ok(),
        };
        let identity = match (&cert, &key) {
            (Some((cert, place)), Some((key, _))) => identity(cert, key)
                .map_err(|why| wrong(place, format!("`tls.clientCert` is not usable: {why}")))
                .ok(),
            (None, None) => None,
            (Some((_, place)), None) | (None, Some((_, place))) => {
                if template.cert.is_none() || template.key.is_none() {
                    wrong(place, "`tls.clientCert` needs both `cert` and `key`".to_owned());
                }
                None
            }
        };
        let server_name = template.server_name.as_ref().and_then(|name| {
            name.value.hash(hash);
            let parsed = ServerName::try_from(name.value.clone()).ok();
            if parsed.is_none() {
                wrong(&name.place, format!("`tls.serverName` is no host name: `{}`", name.value));
            }
            parsed
        });
        let Some(roots) = roots else {
            return Err(findings);
        };
        let config = configure(roots, identity).map_err(|why| {
            let place = cert.as_ref().map_or(service, |(_, place)| place);
            wrong(place, format!("`tls` is not usable: {why}"));
        });
        let Ok(config) = config else {
            return Err(findings);
        };
        if !findings.is_empty() {
            return Err(findings);
        }
        let offering = |names: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
            TlsConnector::from(Arc::new(config))
        };
        let connector = match protocol {
            Protocol::Auto => offering(&[b"h2", b"http/1.1"]),
            Protocol::Http1 => offering(&[b"http/1.1"]),
            Protocol::Http2 => offering(&[b"h2"]),
        };
        Ok(Self { connector, http1: offering(&[b"http/1.1"]), server_name })
    }

    /// What to connect with.
    pub(super) const fn connector(&self, http1_only: bool) -> &TlsConnector {
        if http1_only { &self.http1 } else { &self.connector }
    }

    /// The name that the certificate must have.
    pub(super) fn server_name(&self, endpoint: &Endpoint) -> Option<ServerName<'static>> {
        if let Some(name) = &self.server_name {
            return Some(name.clone());
        }
        let host = endpoint.authority.host();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        ServerName::try_from(bare.to_owned()).ok()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

/// Whether the peer ended the connection by a TLS alert: in TLS 1.3 a refused client certificate shows
/// only after the handshake.
pub(super) fn is_alert(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    matches!(cause, Some(rustls::Error::AlertReceived(_)))
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn configure(roots: Arc<RootCertStore>, identity: Option<Identity>) -> Result<ClientConfig, rustls::Error> {
    // The provider is named, because a dependency that enables another one would make the default panic.
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key),
        None => Ok(builder.with_no_client_auth()),
    }
}

fn own_roots(pem: &[u8]) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() { Err("it holds no certificate".to_owned()) } else { Ok(Arc::new(roots)) }
}

fn identity(cert: &[u8], key: &[u8]) -> Result<Identity, String> {
    let chain = CertificateDer::pem_slice_iter(cert)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    if chain.is_empty() {
        return Err("`cert` holds no certificate".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("`key`: {error}"))?;
    Ok((chain, key))
}

/// Speaks TLS to a host that the system's certificates vouch for. For control traffic, which is HTTP/1.1.
pub async fn secure(host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let roots = system_roots().map_err(io::Error::other)?;
    let mut config = configure(roots, None).map_err(io::Error::other)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// Loaded once, when the first service needs them.
fn system_roots() -> Result<Arc<RootCertStore>, String> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(roots) = ROOTS.get() {
        return Ok(Arc::clone(roots));
    }
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
        return Err(why);
    }
    Ok(Arc::clone(ROOTS.get_or_init(|| Arc::new(roots))))
}
