//! TLS listeners: which certificate, which protocol, which version; tickets; and those who come without.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use rustls::{HandshakeKind, ProtocolVersion};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    client::{get, raw},
    frames::PATIENCE,
    gateway::{Gateway, route, service, write},
    origin::{Origin, json, status},
    secure::{Authority, Client, Issued, ask, document, start},
};

/// A route that says how it was reached.
fn scheme() -> String {
    route("scheme", "match: {path: /scheme}\nrespond: {body: {scheme: '${ request.scheme }'}}")
}

fn local() -> (Authority, Issued) {
    let authority = Authority::new();
    let issued = authority.issue(&["localhost"]);
    (authority, issued)
}

/// A gateway with a certificate for `localhost` and the `scheme` route.
fn plain(issued: &Issued, more: &str, limits: &str) -> Gateway {
    start(&document(&["edge"], more, limits), &[("edge", issued)], &[scheme()])
}

/// Waits until a metric, which is written a moment after what it counts, has a value.
async fn until_counted(gateway: &Gateway, series: &str, wanted: f64) {
    let mut last = String::new();
    let reached = async {
        loop {
            last = get(gateway.admin, "/metrics").await.text().to_owned();
            let line = last.lines().find(|line| line.starts_with(series));
            if line.and_then(|line| line.rsplit(' ').next()?.parse().ok()) == Some(wanted) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, reached).await.is_ok(), "{series} is not {wanted}\n{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_is_chosen_by_the_name_asked_for() {
    let authority = Authority::new();
    let issued = [
        authority.issue(&["first.example.com"]),
        authority.issue(&["shop.example.com", "*.apps.example.com"]),
        authority.issue(&["deep.apps.example.com"]),
    ];
    let names = [("a", &issued[0]), ("b", &issued[1]), ("c", &issued[2])];
    let gateway = start(&document(&["a", "b", "c"], "", ""), &names, &[scheme()]);
    // Whatever the name: what is asked here is what is shown.
    let mut client = Client::new(&authority);
    let shown = Arc::new(std::sync::Mutex::new(Vec::new()));
    client.config.dangerous().set_certificate_verifier(Arc::new(Any(Arc::clone(&shown))));
    for (name, expected) in [
        ("first.example.com", 0),
        ("shop.example.com", 1),
        ("SHOP.Example.COM", 1),
        ("x.apps.example.com", 1),
        ("deep.apps.example.com", 2),
        // A wildcard is one label.
        ("y.x.apps.example.com", 0),
        ("apps.example.com", 0),
        ("unknown.example.org", 0),
        // An address is never sent as a name.
        ("127.0.0.1", 0),
    ] {
        client.connect(gateway.address, name).await.unwrap();
        let shown = shown.lock().unwrap().pop().unwrap();
        assert_eq!(shown, issued[expected].der(), "{name}");
    }
}

/// Accepts every certificate and remembers it.
#[derive(Debug)]
struct Any(Arc<std::sync::Mutex<Vec<rustls::pki_types::CertificateDer<'static>>>>);

impl rustls::client::danger::ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        leaf: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        self.0.lock().unwrap().push(leaf.clone().into_owned());
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alpn_decides_which_http_is_spoken() {
    let (authority, issued) = local();
    let gateway = plain(&issued, "", "");
    for (offered, agreed) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&["http/1.0"], Some("http/1.0")),
        (&["spdy/3", "h2"], Some("h2")),
        (&[], None),
    ] {
        let client = Client::new(&authority).offering(offered);
        let stream = client.connect(gateway.address, "localhost").await.unwrap();
        let chosen = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        assert_eq!(chosen.as_deref(), agreed.map(str::as_bytes), "{offered:?}");
        let request = Request::get("https://localhost/scheme").body(Full::default()).unwrap();
        let got = ask(stream, request).await.unwrap();
        assert_eq!((got.status.as_u16(), got.text()), (200, r#"{"scheme":"https"}"#), "{offered:?}");
    }
    // RFC 7301 §3.2: nothing in common is no handshake.
    let client = Client::new(&authority).offering(&["spdy/3"]);
    let error = client.connect(gateway.address, "localhost").await.unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    let failures = "segue_tls_handshake_failures_total{reason=\"no_protocol_in_common\",fault=\"client\"}";
    until_counted(&gateway, failures, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_alpn_has_agreed_on_is_what_is_spoken() {
    let (authority, issued) = local();
    let gateway = plain(&issued, "", "");
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    // The preface of HTTP/2 on a connection of HTTP/1.1, and the other way around.
    for (offered, sent) in [("http/1.1", &preface[..]), ("h2", b"GET /scheme HTTP/1.1\r\nhost: a\r\n\r\n")] {
        let client = Client::new(&authority).offering(&[offered]);
        let mut stream = client.connect(gateway.address, "localhost").await.unwrap();
        stream.write_all(sent).await.unwrap();
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "{offered}: not closed");
        assert!(!answer.windows(8).any(|bytes| bytes == b"\"scheme\""), "{offered}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_version_holds() {
    let (authority, issued) = local();
    let both = plain(&issued, "", "");
    let new = plain(&issued, "minVersion: '1.3'", "");
    for version in [ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3] {
        let stream = Client::only(&authority, version).connect(both.address, "localhost").await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version));
    }
    Client::new(&authority).connect(new.address, "localhost").await.unwrap();
    let old = Client::only(&authority, ProtocolVersion::TLSv1_2);
    old.connect(new.address, "localhost").await.unwrap_err();
    let failures = "segue_tls_handshake_failures_total{reason=\"nothing_in_common\",fault=\"client\"}";
    until_counted(&new, failures, 1.0).await;
    until_counted(&both, "segue_tls_handshakes_total{version=\"1.2\",resumed=\"false\"}", 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_learn_that_the_client_came_over_tls() {
    let (authority, issued) = local();
    let origin = Origin::start(|_| async { json("{}") }).await;
    let documents = [
        service("back", origin.address, ""),
        route("pass", "match: {path: /pass}\nproxy: {service: back}"),
        route(
            "step",
            "match: {path: /step}\nsteps: {a: {http: {service: back, path: /}}}\nrespond: {body: '${ steps.a.body }'}",
        ),
    ];
    let gateway = start(&document(&["edge"], "", ""), &[("edge", &issued)], &documents);
    for (protocol, via) in [("http/1.1", "1.1 segue"), ("h2", "2 segue")] {
        let client = Client::new(&authority).offering(&[protocol]);
        assert_eq!(client.get(gateway.address, "/pass").await.unwrap().status, 200);
        let seen = origin.seen().pop().unwrap();
        assert_eq!(seen.headers["x-forwarded-proto"], "https");
        assert_eq!(seen.headers["x-forwarded-for"], "127.0.0.1");
        assert_eq!(seen.headers["via"], via);
        assert_eq!(client.get(gateway.address, "/step").await.unwrap().status, 200);
        assert_eq!(origin.seen().pop().unwrap().headers["x-forwarded-proto"], "https");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_reaches_an_own_listener_of_tls() {
    let (authority, issued) = local();
    let gateway = plain(&issued, "", "");
    let itself = format!(
        "{}tls: {{ca: ca.pem}}\n",
        service("itself", gateway.address, "").replace("http://127.0.0.1", "https://localhost")
    );
    write(gateway.folder.path(), "routes/shop/ca.pem", &authority.pem);
    gateway.replace(&[itself, route("loop", "match: {path: '/{rest...}'}\nproxy: {service: itself}")]);
    let _ = gateway.running().reload();
    let got = Client::new(&authority).get(gateway.address, "/a").await.unwrap();
    assert_eq!((got.status.as_u16(), &got.json()["code"]), (502, &"upstream_unreachable".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_pass_both_ways() {
    let (authority, issued) = local();
    let origin = Origin::start(|request| async move {
        json(http_body_util::BodyExt::collect(request.into_body()).await.unwrap().to_bytes())
    })
    .await;
    let documents =
        [service("back", origin.address, ""), route("pass", "match: {path: /pass}\nproxy: {service: back}")];
    let gateway = start(&document(&["edge"], "", ""), &[("edge", &issued)], &documents);
    let body: Bytes = (0..5_000_000u32).map(|n| (n % 251) as u8).collect();
    for protocol in ["http/1.1", "h2"] {
        let client = Client::new(&authority).offering(&[protocol]);
        let stream = client.connect(gateway.address, "localhost").await.unwrap();
        let request = Request::post("https://localhost/pass").body(Full::new(body.clone())).unwrap();
        let got = ask(stream, request).await.unwrap();
        assert!(got.body == body, "{protocol}: {} bytes", got.body.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_tunnelled_over_tls() {
    let (authority, issued) = local();
    let origin = Origin::start(|mut request| async move {
        tokio::spawn(async move {
            let mut io = TokioIo::new(hyper::upgrade::on(&mut request).await.unwrap());
            let mut buffer = vec![0; 100_000];
            io.read_exact(&mut buffer).await.unwrap();
            buffer.reverse();
            io.write_all(&buffer).await.unwrap();
        });
        let mut answer = status(101);
        answer.headers_mut().insert("connection", "upgrade".parse().unwrap());
        answer.headers_mut().insert("upgrade", "websocket".parse().unwrap());
        answer
    })
    .await;
    let documents =
        [service("back", origin.address, ""), route("chat", "match: {path: /chat}\nproxy: {service: back}")];
    let gateway = start(&document(&["edge"], "", ""), &[("edge", &issued)], &documents);
    let mut stream = Client::new(&authority).connect(gateway.address, "localhost").await.unwrap();
    let ask = b"GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
    stream.write_all(ask).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    let sent: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
    stream.write_all(&sent).await.unwrap();
    stream.flush().await.unwrap();
    let mut back = vec![0; sent.len()];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut back)).await.unwrap().unwrap();
    back.reverse();
    assert!(back == sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_resume_at_every_worker_and_after_a_reload() {
    let (authority, issued) = local();
    let gateway = plain(&issued, "", "");
    for version in [ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3] {
        let client = Client::only(&authority, version).resuming();
        let mut kinds = Vec::new();
        for round in 0..16 {
            if round == 8 {
                gateway.replace(&[scheme(), route("more", "match: {path: /more}\nstatic: {status: 204}")]);
                let _ = gateway.running().reload();
            }
            // The answer comes after the tickets.
            let mut stream = client.connect(gateway.address, "localhost").await.unwrap();
            stream.write_all(b"GET /scheme HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            kinds.push(stream.get_ref().1.handshake_kind().unwrap());
        }
        // Two workers share the port: 15 times at the same one is chance of 1 in 16 000.
        assert_eq!(kinds[0], HandshakeKind::Full);
        assert_eq!(kinds[1..], [HandshakeKind::Resumed; 15], "{version:?}");
    }
    until_counted(&gateway, "segue_tls_handshakes_total{version=\"1.3\",resumed=\"true\"}", 15.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_http_without_tls_is_told() {
    let (authority, issued) = local();
    let gateway = plain(&issued, "", "");
    let answer = raw(gateway.address, b"GET /scheme HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(
        answer.contains("application/problem+json") && answer.contains("this address speaks TLS"),
        "{answer}"
    );
    assert!(!answer.contains("\"scheme\""), "{answer}");
    // What is neither is closed without a word.
    assert_eq!(raw(gateway.address, b"\x80\x2e\x01\x00\x02").await, "");
    // And the other way around: TLS to a listener in the clear.
    let clear = Gateway::start(&[scheme()]);
    let error =
        tokio::time::timeout(PATIENCE, Client::new(&authority).connect(clear.address, "localhost")).await;
    error.expect("cut in time").unwrap_err();
    assert_eq!(Client::new(&authority).get(gateway.address, "/scheme").await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_does_not_go_on_is_cut() {
    let (_, issued) = local();
    let gateway = plain(&issued, "", "headerTimeout: 300ms");
    // Nothing, the beginning of a record, and half a hello.
    for sent in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "{sent:?}");
    }
    until_counted(&gateway, "segue_tls_handshake_failures_total{reason=\"timeout\"", 3.0).await;
    until_counted(&gateway, "segue_connections", 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_nothing_after_its_handshake_is_cut() {
    let (authority, issued) = local();
    let gateway = plain(&issued, "", "headerTimeout: 300ms");
    let mut stream = Client::new(&authority).connect(gateway.address, "localhost").await.unwrap();
    let mut answer = Vec::new();
    // The end is said, so that it is no attack.
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert_eq!(ended.expect("in time").expect("a close_notify"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_handshakes_stops_nobody() {
    let (authority, issued) = local();
    let gateway = plain(&issued, "", "headerTimeout: 60s");
    let mut open = Client::new(&authority).connect(gateway.address, "localhost").await.unwrap();
    // More than two workers begin, none of which goes on.
    let mut held = Vec::new();
    for _ in 0..1400 {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await.unwrap();
        held.push(stream);
    }
    let asked = async {
        for _ in 0..20 {
            let got = Client::new(&authority).get(gateway.address, "/scheme").await.unwrap();
            assert_eq!(got.status, 200);
        }
        open.write_all(b"GET /scheme HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        open.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    };
    tokio::time::timeout(Duration::from_secs(20), asked).await.expect("served meanwhile");
    let crowded = "segue_tls_handshake_failures_total{reason=\"crowded\",fault=\"client\"}";
    // Per worker 512 may have begun; the rest, and one for each honest client that found no room, were given up.
    let metrics = get(gateway.admin, "/metrics").await;
    let line = metrics.text().lines().find(|line| line.starts_with(crowded)).unwrap().to_owned();
    assert!(line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() >= 300.0, "{line}");
    drop(held);
}
