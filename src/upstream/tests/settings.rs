use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use http::{HeaderName, Request, Version};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::origin::{Given, build, build_with, call, get, kind, ok, place, service, text};
use crate::{
    config::{
        Spanned,
        service::{HeaderSource, Protocol, SecretTemplate, TlsTemplate, UrlTemplate},
    },
    diagnostic::{Code, Diagnostic},
    plan::Service,
    problem::Kind,
    upstream::{Network, Upstream, Upstreams},
};

/// An authority, and a server's and a client's certificate of it.
struct Authority {
    ca: String,
    cert: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(params, ca_key);
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        Self { ca: ca.pem(), cert, key }
    }

    fn given(&self) -> Given {
        let files = [
            ("ca.pem", self.ca.clone()),
            ("cert.pem", self.cert.pem()),
            ("key.pem", self.key.serialize_pem()),
        ];
        Given { files: files.into(), ..Given::default() }
    }
}

/// Answers with the version that was spoken; counts its connections.
async fn secure(authority: &Authority, alpn: &[&str], client_auth: bool) -> (String, Arc<AtomicUsize>) {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if client_auth {
        let mut roots = RootCertStore::empty();
        let pem = <CertificateDer<'_> as rustls::pki_types::pem::PemObject>::from_pem_slice(
            authority.ca.as_bytes(),
        );
        roots.add(pem.unwrap()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::try_from(authority.key.serialize_der()).unwrap();
    let mut config = builder.with_single_cert(vec![authority.cert.der().clone()], key).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, SeqCst);
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let service = service_fn(|request: Request<hyper::body::Incoming>| async move {
                    let http2 = request.version() == Version::HTTP_2;
                    Ok::<_, Infallible>(ok(if http2 { "h2" } else { "h1" }))
                });
                let io = TokioIo::new(stream);
                if http2 {
                    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(io, service).await;
                } else {
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                }
            });
        }
    });
    (url, accepted)
}

fn at(path: &str) -> Option<Spanned<String>> {
    Some(Spanned { value: path.to_owned(), place: place(12) })
}

fn trusting(url: &str) -> Service {
    let mut template = service(&[url]);
    template.tls.ca = at("ca.pem");
    template
}

#[tokio::test]
async fn alpn_decides_what_is_spoken() {
    let authority = Authority::new("localhost");
    let both: &[&str] = &["h2", "http/1.1"];
    for (protocol, offered, expected) in [
        (Protocol::Auto, both, "h2"),
        (Protocol::Auto, &["http/1.1"], "h1"),
        (Protocol::Auto, &[], "h1"),
        (Protocol::Http1, both, "h1"),
        (Protocol::Http2, both, "h2"),
    ] {
        let (url, accepted) = secure(&authority, offered, false).await;
        let mut template = trusting(&url);
        template.protocol = protocol;
        let (upstreams, upstream) = (Upstreams::new(), build_with(&template, &authority.given()));
        for _ in 0..3 {
            assert_eq!(text(&upstreams, &upstream, "/").await, expected, "{protocol:?} {offered:?}");
        }
        assert_eq!(accepted.load(SeqCst), 1);
    }
}

#[tokio::test]
async fn an_upgrade_goes_over_http1_though_http2_is_spoken() {
    let authority = Authority::new("localhost");
    let (url, accepted) = secure(&authority, &["h2", "http/1.1"], false).await;
    let (upstreams, upstream) = (Upstreams::new(), build_with(&trusting(&url), &authority.given()));
    for _ in 0..2 {
        assert_eq!(text(&upstreams, &upstream, "/").await, "h2");
        let mut upgrade = get("/");
        upgrade.request.headers_mut().insert("upgrade", "websocket".parse().unwrap());
        assert_eq!(call(&upstreams, &upstream, upgrade).await.unwrap().1, "h1");
    }
    assert_eq!(accepted.load(SeqCst), 2);
}

#[tokio::test]
async fn many_first_calls_wait_for_one_handshake() {
    let authority = Authority::new("localhost");
    let (url, accepted) = secure(&authority, &["h2"], false).await;
    let (upstreams, upstream) = (Upstreams::new(), build_with(&trusting(&url), &authority.given()));
    let calls = (0..10).map(|_| text(&upstreams, &upstream, "/"));
    assert!(futures_util::future::join_all(calls).await.iter().all(|body| body == "h2"));
    assert_eq!(accepted.load(SeqCst), 1);
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_unreachable() {
    let authority = Authority::new("elsewhere.example");
    let (url, _) = secure(&authority, &[], false).await;
    let upstreams = Upstreams::new();
    // The right authority, another name.
    let template = trusting(&url);
    let error = call(&upstreams, &build_with(&template, &authority.given()), get("/")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::UpstreamUnreachable);
    assert!(error.private_cause().unwrap().starts_with("TLS"));
    // The name by `serverName`.
    let mut template = trusting(&url);
    template.tls.server_name = at("elsewhere.example");
    assert_eq!(text(&upstreams, &build_with(&template, &authority.given()), "/").await, "h1");
    // The name, but of another authority.
    let other = Authority::new("elsewhere.example").given();
    assert_eq!(kind(&upstreams, &build_with(&template, &other), "/").await, Kind::UpstreamUnreachable);
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let authority = Authority::new("localhost");
    let (url, _) = secure(&authority, &["http/1.1"], true).await;
    let upstreams = Upstreams::new();
    let mut template = trusting(&url);
    let error = call(&upstreams, &build_with(&template, &authority.given()), get("/")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::UpstreamUnreachable, "{error:?}");
    template.tls.cert = at("cert.pem");
    template.tls.key = at("key.pem");
    assert_eq!(text(&upstreams, &build_with(&template, &authority.given()), "/").await, "h1");
}

fn findings(template: &Service, given: &Given) -> Vec<Diagnostic> {
    Upstream::build(template, given, &Arc::new(Network::system(crate::descriptors::Descriptors::unbounded())))
        .unwrap_err()
}

#[test]
fn every_thing_that_is_missing_is_found_with_its_place_and_key() {
    let mut template = service(&["http://127.0.0.1:1"]);
    let env = |name: &str| UrlTemplate::Env { name: name.to_owned(), default: None };
    template.endpoints.push((env("ORDERS_URL"), 1, 0, place(8)));
    template.endpoints.push((env("BAD_URL"), 1, 0, place(9)));
    template.endpoints.push((UrlTemplate::Text("https://h".to_owned()), 1, 0, place(10)));
    template.tls = TlsTemplate { ca: at("gone.pem"), ..TlsTemplate::default() };
    let token = SecretTemplate::Env { name: "CRM_TOKEN".to_owned(), prefix: "Bearer ".to_owned() };
    let header = HeaderName::from_static("authorization");
    template.headers.push((header, HeaderSource::Secret(token), place(20)));
    let given = Given { variables: [("BAD_URL", "ftp://x")].into(), ..Given::default() };
    let found: Vec<_> = findings(&template, &given)
        .into_iter()
        .map(|finding| (finding.code, finding.place.line, finding.message))
        .collect();
    let expected = [
        (Code::InvalidUrl, 8, "`ORDERS_URL`"),
        (Code::InvalidUrl, 9, "`ftp://x`"),
        (Code::MissingSecret, 20, "`CRM_TOKEN`"),
        (Code::Unreadable, 12, "`gone.pem`"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((code, line, message), (expected, at, part)) in found.iter().zip(expected) {
        assert_eq!((*code, *line), (expected, at));
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn what_is_no_certificate_is_found() {
    let given = Given { files: [("x", "no PEM".to_owned())].into(), ..Given::default() };
    let with = |change: fn(&mut TlsTemplate)| {
        let mut template = service(&["https://h"]);
        change(&mut template.tls);
        findings(&template, &given).into_iter().map(|finding| finding.message).collect::<Vec<_>>().join("; ")
    };
    assert!(with(|tls| tls.ca = at("x")).contains("`tls.ca` is not usable"));
    assert!(with(|tls| (tls.cert, tls.key) = (at("x"), at("x"))).contains("`tls.clientCert` is not usable"));
    assert!(with(|tls| tls.cert = at("x")).contains("needs both `cert` and `key`"));
    assert!(with(|tls| tls.server_name = at("a b")).contains("`tls.serverName`"));
}

#[test]
fn a_secret_stays_out_of_findings_and_debug_output() {
    let mut template = service(&["http://127.0.0.1:1"]);
    let file = SecretTemplate::File { path: "token".to_owned(), prefix: String::new() };
    template.headers.push((HeaderName::from_static("x-token"), HeaderSource::Secret(file), place(20)));
    let given = |text: &str| Given { files: [("token", text.to_owned())].into(), ..Given::default() };
    let upstream = build_with(&template, &given("s3cret\n"));
    assert_eq!(upstream.headers[0].1, "s3cret");
    assert!(!format!("{upstream:?} {:?}", upstream.headers).contains("s3cret"));
    let found = findings(&template, &given("s3cret\n\0"));
    assert_eq!(found[0].code, Code::InvalidValue);
    assert!(!found[0].message.contains("s3cret"));
}

#[test]
fn an_upstream_is_the_same_until_something_of_it_changes() {
    let template = service(&["http://127.0.0.1:1"]);
    let upstream = build(&template);
    assert!(upstream.same(&build(&template)));
    let mut moved = template.clone();
    moved.place = place(99);
    assert!(upstream.same(&build(&moved)), "a place is no change");
    let mut other = template.clone();
    other.in_flight = 1;
    assert!(!upstream.same(&build(&other)));
    let mut secret = template;
    let token = SecretTemplate::Env { name: "T".to_owned(), prefix: String::new() };
    secret.headers.push((HeaderName::from_static("x"), HeaderSource::Secret(token), place(3)));
    let given = |value| Given { variables: [("T", value)].into(), ..Given::default() };
    let one = build_with(&secret, &given("1"));
    assert!(one.same(&build_with(&secret, &given("1"))));
    assert!(!one.same(&build_with(&secret, &given("2"))));
}
