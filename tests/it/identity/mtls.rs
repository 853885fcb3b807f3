//! Client certificates as a method of a policy, over real TLS.

use http::Request;
use http_body_util::Full;
use rustls::ProtocolVersion;

use super::{hash, policy};
use crate::support::{
    client::{self, Got},
    gateway::{Gateway, route},
    secure::{Authority, Client, Issued, ask, folder, put},
};

const PAY: &str = "spiffe://example/team/pay";

struct Scene {
    servers: Authority,
    clients: Authority,
    gateway: Gateway,
}

impl Scene {
    /// A listener that asks for certificates, and one in the clear beside it.
    fn new(mode: &str) -> Self {
        let (servers, clients) = (Authority::new(), Authority::new());
        let edge = servers.issue(&["localhost"]);
        let folder = folder(&[("edge", &edge)]);
        put(folder.path(), "certs/clients.pem", &clients.pem);
        let document = format!(
            "apiVersion: segue/v1\nkind: Gateway\nmetadata: {{name: edge, owner: platform}}\nlisteners:\n  - {{name: https, address: \"127.0.0.1:0\", tls: {{certificates: [{{cert: certs/edge.pem, key: certs/edge.key}}], clientAuth: {{ca: certs/clients.pem, mode: {mode}}}}}}}\n  - {{name: http, address: \"127.0.0.1:0\"}}\nadmin: {{address: \"127.0.0.1:0\"}}\nworkers: 2\n"
        );
        let consumer = |name: &str, shows: &str| {
            format!(
                "apiVersion: segue/v1\nkind: Consumer\nmetadata: {{name: {name}, owner: it}}\nplan: gold\n{shows}\n"
            )
        };
        let policies = [
            policy("internal", "authenticate: {mtls: {subjects: [\"spiffe://example/team/*\"]}}\n"),
            policy("either", "authenticate: {mtls: {subjects: [\"spiffe://example/team/*\"]}, apiKey: {}}\n"),
            consumer("pay-team", &format!("mtls: {{subject: \"{PAY}\"}}")),
            consumer("app", &format!("apiKeys: [{{sha256: {}}}]", hash())),
        ];
        put(folder.path(), "access.yaml", &policies.join("---\n"));
        let who = |name: &str| {
            let body =
                "{id: '${ principal.?id }', kind: '${ principal.kind }', plan: '${ principal.?plan }'}";
            route(name, &format!("match: {{path: /{name}}}\npolicies: [{name}]\nrespond: {{body: {body}}}"))
        };
        let gateway = Gateway::try_start_in(folder, &document, &[who("internal"), who("either")]);
        let gateway = gateway.unwrap_or_else(|error| panic!("{error:#?}"));
        Self { servers, clients, gateway }
    }

    /// A client for each version of TLS and of HTTP.
    fn clients(&self, own: Option<&Issued>) -> impl Iterator<Item = (String, Client)> {
        let made = |version, protocol| {
            let client = Client::with(&self.servers, Some(version), own).offering(&[protocol]);
            (format!("{version:?} {protocol}"), client)
        };
        let versions = [ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3];
        versions
            .map(|version| ["h2", "http/1.1"].map(|protocol| made(version, protocol)))
            .into_iter()
            .flatten()
    }
}

fn said(got: &Got) -> (u16, serde_json::Value) {
    let json = got.json();
    let wanted = if got.status == 200 { json } else { json["code"].clone() };
    (got.status.as_u16(), wanted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_says_who_calls_over_every_version() {
    let scene = Scene::new("optional");
    let address = scene.gateway.address;
    let known = serde_json::json!({"id": PAY, "kind": "mtls", "plan": "gold"});
    let ops = serde_json::json!({"id": "spiffe://example/team/ops", "kind": "mtls"});
    let no = serde_json::json!("unauthenticated");
    for (uris, status, expected) in [
        (&[PAY][..], 200, &known),
        (&["spiffe://example/team/ops"], 200, &ops),
        (&["spiffe://example/team/ops/two"], 401, &no),
        (&["spiffe://example/team/"], 401, &no),
        (&["spiffe://example/team/.."], 401, &no),
        (&["spiffe://example/team/p%61y"], 401, &no),
        (&["spiffe://other/team/pay"], 401, &no),
        (&["spiffe://EXAMPLE/team/pay"], 401, &no),
        (&["https://example/team/pay"], 401, &no),
        // Exactly one: not none, and not two of which one would do.
        (&[], 401, &no),
        (&[PAY, "spiffe://other/team/pay"], 401, &no),
        (&[PAY, PAY], 401, &no),
    ] {
        let own = scene.clients.client_of(uris);
        for (what, client) in scene.clients(Some(&own)) {
            let got = client.get(address, "/internal").await.unwrap();
            assert_eq!(said(&got), (status, expected.clone()), "{what} {uris:?}");
            let challenge = (status == 401).then_some("ClientCertificate");
            assert_eq!(got.header("www-authenticate"), challenge, "{what} {uris:?}");
        }
    }
    // Nobody says so in a field.
    for (what, client) in scene.clients(None) {
        let stream = client.connect(address, "localhost").await.unwrap();
        let request = Request::get("https://localhost/internal")
            .header("x-forwarded-client-cert", format!("URI={PAY}"))
            .header("x-client-cert", "MIIB")
            .header("ssl-client-verify", "SUCCESS")
            .header("client-cert", ":MIIB:");
        let got = ask(stream, request.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!(said(&got), (401, no.clone()), "{what}");
    }
    // Nor where no certificate is asked for.
    let clear = scene.gateway.running().listeners[1].1;
    assert_eq!(said(&client::get(clear, "/internal").await), (401, no));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_others_or_of_the_past_gets_no_connection() {
    for mode in ["optional", "required"] {
        let scene = Scene::new(mode);
        let foreign = Authority::new().client(PAY);
        let old = scene.clients.old_client(PAY);
        // A server's authority is none for clients.
        let confused = scene.servers.client(PAY);
        for own in [&foreign, &old, &confused] {
            for (what, client) in scene.clients(Some(own)) {
                let got = client.get(scene.gateway.address, "/internal").await;
                assert!(got.is_err(), "{mode} {what}: {got:?}");
            }
        }
        let good = scene.clients.client(PAY);
        for (what, client) in scene.clients(Some(&good)) {
            let got = client.get(scene.gateway.address, "/internal").await.unwrap();
            assert_eq!(got.status, 200, "{mode} {what}");
        }
        for (what, client) in scene.clients(None) {
            let got = client.get(scene.gateway.address, "/internal").await;
            match mode {
                "required" => assert!(got.is_err(), "{what}: {got:?}"),
                _ => assert_eq!(got.unwrap().status, 401, "{what}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_certificate_a_key_is_enough_and_the_name_asked_for_changes_nothing() {
    let scene = Scene::new("optional");
    for (what, client) in scene.clients(None) {
        let stream = client.connect(scene.gateway.address, "localhost").await.unwrap();
        let request = Request::get("https://localhost/either").header("x-api-key", "key-of-the-app");
        let got = ask(stream, request.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!(said(&got).1["id"], "app", "{what}");
    }
    // A connection for one name asks for another: certificates are the listener's, whatever the name is.
    let good = scene.clients.client(PAY);
    for (own, status) in [(Some(&good), 200), (None, 401)] {
        for (what, client) in scene.clients(own) {
            let stream = client.connect(scene.gateway.address, "localhost").await.unwrap();
            let request = Request::get("https://other.example.com/internal").body(Full::default()).unwrap();
            assert_eq!(ask(stream, request).await.unwrap().status, status, "{what}");
        }
    }
}
