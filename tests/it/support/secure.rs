//! Gateways that speak TLS, with certificates made for the test, and clients of them.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::{
    ClientConfig, ProtocolVersion, RootCertStore,
    client::{Resumption, WebPkiServerVerifier},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    client::Got,
    gateway::{Gateway, write},
};

/// Whom certificates of a test lead to.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Mutex<Issuer<'static, KeyPair>>,
}

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("root {}", fastrand::u64(..)));
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Mutex::new(Issuer::new(params, key)) }
    }

    /// A certificate for these DNS names.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.make(
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap(),
        )
    }

    /// A certificate for a client of this URI.
    pub(crate) fn client(&self, uri: &str) -> Issued {
        self.client_of(&[uri])
    }

    /// The same with several, or none.
    pub(crate) fn client_of(&self, uris: &[&str]) -> Issued {
        let mut params = CertificateParams::new(["client.example.com".to_owned()]).unwrap();
        params.subject_alt_names.extend(uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())));
        self.make(params)
    }

    /// A client's that was valid once.
    pub(crate) fn old_client(&self, uri: &str) -> Issued {
        let mut params = CertificateParams::default();
        params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 2, 1);
        self.make(params)
    }

    /// One that was valid once.
    pub(crate) fn expired(&self, name: &str) -> Issued {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 2, 1);
        self.make(params)
    }

    fn make(&self, params: CertificateParams) -> Issued {
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer.lock().unwrap()).unwrap();
        Issued { cert: cert.pem(), key: key.serialize_pem() }
    }
}

impl Issued {
    /// Writes `policies/certs/NAME.pem` and `.key`, each beside and renamed.
    pub(crate) fn write(&self, root: &Path, name: &str) {
        put(root, &format!("certs/{name}.key"), &self.key);
        put(root, &format!("certs/{name}.pem"), &self.cert);
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.cert.as_bytes()).unwrap()
    }
}

/// Writes a file below `policies/` as careful tools do.
pub(crate) fn put(root: &Path, path: &str, text: &str) {
    write(root, "policies/.new", text);
    let path = root.join("policies").join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::rename(root.join("policies/.new"), path).unwrap();
}

/// A Gateway document with one TLS listener; `more` are keys of its `tls` besides `certificates`, `limits` of the
/// gateway.
pub(crate) fn document(certificates: &[&str], more: &str, limits: &str) -> String {
    let pairs: Vec<String> = certificates
        .iter()
        .map(|name| format!("{{cert: certs/{name}.pem, key: certs/{name}.key}}"))
        .collect();
    let pairs = pairs.join(", ");
    format!(
        "apiVersion: segue/v1\nkind: Gateway\nmetadata: {{name: edge, owner: platform}}\nlisteners: [{{name: https, \
         address: \"127.0.0.1:0\", tls: {{certificates: [{pairs}], {more}}}}}]\nadmin: {{address: \
         \"127.0.0.1:0\"}}\nlimits: {{{limits}}}\nworkers: 2\n"
    )
}

/// Starts a gateway with a document and files `certs/NAME.pem` and `.key`.
pub(crate) fn start(document: &str, certificates: &[(&str, &Issued)], documents: &[String]) -> Gateway {
    let folder = folder(certificates);
    Gateway::try_start_in(folder, document, documents).unwrap_or_else(|error| panic!("{error}: {error:#?}"))
}

pub(crate) fn folder(certificates: &[(&str, &Issued)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, issued) in certificates {
        issued.write(folder.path(), name);
    }
    folder
}

/// A client that trusts one authority.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) config: ClientConfig,
}

impl Client {
    pub(crate) fn new(authority: &Authority) -> Self {
        Self::with(authority, None, None)
    }

    /// The same with TLS 1.2 or 1.3 alone.
    pub(crate) fn only(authority: &Authority, version: ProtocolVersion) -> Self {
        Self::with(authority, Some(version), None)
    }

    /// The same, perhaps with a certificate of its own.
    pub(crate) fn with(
        authority: &Authority,
        version: Option<ProtocolVersion>,
        own: Option<&Issued>,
    ) -> Self {
        let versions = match version {
            None => vec![&TLS12, &TLS13],
            Some(ProtocolVersion::TLSv1_2) => vec![&TLS12],
            Some(_) => vec![&TLS13],
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .unwrap()
            .with_webpki_verifier(verifier.build().unwrap());
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![own.der()], key).unwrap()
            }
        };
        config.resumption = Resumption::disabled();
        Self { config }
    }

    /// Remembers tickets from now on.
    pub(crate) fn resuming(mut self) -> Self {
        self.config.resumption = Resumption::in_memory_sessions(32);
        self
    }

    pub(crate) fn offering(mut self, protocols: &[&str]) -> Self {
        self.config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self
    }

    /// A connection for a name.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        name: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(self.config.clone())).connect(name, stream).await
    }

    /// GETs a path on a connection of its own, by what was agreed on.
    pub(crate) async fn get(&self, address: SocketAddr, path: &str) -> std::io::Result<Got> {
        let stream = self.connect(address, "localhost").await?;
        let request = Request::get(format!("https://localhost{path}")).body(Full::default()).unwrap();
        ask(stream, request).await
    }
}

/// Sends a request by what the connection's ends have agreed on.
pub(crate) async fn ask(
    stream: TlsStream<TcpStream>,
    mut request: Request<Full<Bytes>>,
) -> std::io::Result<Got> {
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let io = TokioIo::new(stream);
    let response = if http2 {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.map_err(other)?;
        tokio::spawn(connection);
        sender.send_request(request).await
    } else {
        let host = request.uri().authority().unwrap().to_string();
        request.headers_mut().insert("host", host.parse().unwrap());
        *request.uri_mut() = request.uri().path_and_query().unwrap().as_str().parse().unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(other)?;
        tokio::spawn(connection);
        sender.send_request(request).await
    };
    let (head, body) = response.map_err(other)?.into_parts();
    let body = body.collect().await.map_err(other)?.to_bytes();
    Ok(Got { status: head.status, headers: head.headers, body })
}

fn other(error: hyper::Error) -> std::io::Error {
    std::io::Error::other(error)
}
