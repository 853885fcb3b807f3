//! Client certificates at TLS listeners: asked for, optional or required, and never resumed.

use rustls::{HandshakeKind, ProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    gateway::{Gateway, route},
    secure::{Authority, Client, Issued, document, put, start},
};

struct Scene {
    servers: Authority,
    clients: Authority,
    edge: Issued,
}

impl Scene {
    fn new() -> Self {
        let servers = Authority::new();
        let edge = servers.issue(&["localhost"]);
        Self { servers, clients: Authority::new(), edge }
    }

    fn gateway(&self, mode: &str) -> Gateway {
        let folder = crate::support::secure::folder(&[("edge", &self.edge)]);
        put(folder.path(), "certs/clients.pem", &self.clients.pem);
        let more = format!("clientAuth: {{ca: certs/clients.pem{mode}}}");
        let here = route("here", "match: {path: /here}\nstatic: {body: here}");
        Gateway::try_start_in(folder, &document(&["edge"], &more, ""), &[here])
            .unwrap_or_else(|error| panic!("{error:#?}"))
    }

    /// Whether a client is answered. In TLS 1.3 it learns only after its handshake that it is refused.
    async fn answers(&self, gateway: &Gateway, client: &Client) -> bool {
        matches!(client.get(gateway.address, "/here").await, Ok(got) if got.status == 200)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn optional_and_required_do_what_they_say() {
    let scene = Scene::new();
    let good = scene.clients.client("spiffe://example/team/pay");
    let foreign = Authority::new().client("spiffe://example/team/pay");
    let expired = scene.clients.expired("old.example.com");
    let optional = scene.gateway(", mode: optional");
    let required = scene.gateway(", mode: required");
    let by_default = scene.gateway("");
    for version in [ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3] {
        let with = |own| Client::with(&scene.servers, Some(version), own);
        for (gateway, own, expected) in [
            (&optional, None, true),
            (&optional, Some(&good), true),
            (&optional, Some(&foreign), false),
            (&optional, Some(&expired), false),
            (&required, None, false),
            (&required, Some(&good), true),
            (&required, Some(&foreign), false),
            (&by_default, None, false),
            (&by_default, Some(&good), true),
        ] {
            let answered = scene.answers(gateway, &with(own)).await;
            assert_eq!(answered, expected, "{version:?} {}", own.is_some());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_a_certificate_is_verified_each_time() {
    let scene = Scene::new();
    let good = scene.clients.client("spiffe://example/team/pay");
    let gateway = scene.gateway(", mode: optional");
    for version in [ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3] {
        for own in [None, Some(&good)] {
            let client = Client::with(&scene.servers, Some(version), own).resuming();
            for _ in 0..4 {
                let mut stream = client.connect(gateway.address, "localhost").await.unwrap();
                stream
                    .write_all(b"GET /here HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
                    .await
                    .unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.unwrap();
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full), "{version:?}");
                assert_eq!(stream.get_ref().1.tls13_tickets_received(), 0);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_from_before_is_worth_nothing_once_certificates_are_asked_for() {
    let scene = Scene::new();
    let here = route("here", "match: {path: /here}\nstatic: {body: here}");
    let gateway = start(&document(&["edge"], "", ""), &[("edge", &scene.edge)], &[here]);
    let client = Client::new(&scene.servers).resuming();
    assert!(scene.answers(&gateway, &client).await);
    put(gateway.folder.path(), "certs/clients.pem", &scene.clients.pem);
    let asks = document(&["edge"], "clientAuth: {ca: certs/clients.pem, mode: required}", "");
    put(gateway.folder.path(), "gateway.yaml", &asks);
    let _ = gateway.running().reload();
    // The control thread hands it to the workers a moment later.
    while scene.answers(&gateway, &Client::new(&scene.servers)).await {
        tokio::task::yield_now().await;
    }
    assert!(!scene.answers(&gateway, &client).await);
}
