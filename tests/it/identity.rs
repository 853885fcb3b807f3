//! Who a request is from, over real listeners: tokens, keys and what of them reaches an upstream.

mod https;
mod mtls;

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Request;
use http_body_util::Full;

use crate::support::{
    client::{Got, get, send, send_http2},
    gateway::{GATEWAY, Gateway, route, service, write},
    origin::{Origin, json},
};

struct Key(EcdsaKeyPair);

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Key {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn set(&self, kid: &str) -> String {
        let point = self.0.public_key().as_ref();
        let (x, y) = (base64url(&point[1..33]), base64url(&point[33..]));
        format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"{kid}","x":"{x}","y":"{y}"}}]}}"#)
    }

    /// A token for `orders` with more claims, each after a comma.
    fn token(&self, kid: &str, more: &str) -> String {
        let claims = format!(
            r#"{{"iss":"https://id.example.com","aud":"orders","sub":"ann","exp":9999999999{more}}}"#
        );
        self.sign(&format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#), &claims)
    }

    fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", base64url(header), base64url(claims));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", base64url(signature))
    }
}

/// SHA-256 of `key-of-the-app`.
fn hash() -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"key-of-the-app");
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn policy(name: &str, body: &str) -> String {
    format!("apiVersion: segue/v1\nkind: Policy\nmetadata: {{name: {name}, owner: platform}}\n{body}\n")
}

fn jwt(jwks: &str) -> String {
    format!(
        "authenticate:\n  jwt:\n    issuers:\n      - {{issuer: \"https://id.example.com\", audiences: [orders], algorithms: [ES256], jwks: {jwks}}}\n    from: [{{header: authorization, scheme: Bearer}}, {{cookie: session}}, {{query: token}}]\n"
    )
}

/// A gateway with these documents of IT and of the unit, and a file of keys.
fn start(keys: &str, policies: &[String], documents: &[String]) -> Gateway {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "policies/keys.json", keys);
    write(folder.path(), "policies/access.yaml", &policies.join("---\n"));
    match Gateway::try_start_in(folder, GATEWAY, documents) {
        Ok(gateway) => gateway,
        Err(segue::serve::StartError::Findings(findings, _)) => panic!("{:#?}", findings.items()),
        Err(error) => panic!("{error}"),
    }
}

fn whoami(policies: &str) -> String {
    let body = "{id: '${ principal.?id }', kind: '${ principal.kind }', consumer: '${ principal.?consumer }', plan: '${ principal.?plan }', scopes: '${ principal.scopes }', tenant: '${ principal.claims.?tenant }', sent: '${ request.headers[?\"authorization\"] }'}";
    route(
        "whoami",
        &format!("match: {{path: /whoami}}\npolicies: [{policies}]\nsteps: {{}}\nrespond: {{body: {body}}}")
            .replace("steps: {}\n", ""),
    )
}

async fn with(gateway: &Gateway, path: &str, fields: &[(&str, &str)]) -> Got {
    let mut request = Request::get(path);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    send(gateway.address, request.body(Full::default()).unwrap()).await
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_and_a_key_say_who_calls() {
    let key = Key::new();
    let consumer = format!(
        "apiVersion: segue/v1\nkind: Consumer\nmetadata: {{name: app, owner: platform}}\nplan: gold\napiKeys: [{{sha256: {}}}]\n",
        hash()
    );
    let both = format!("{}  apiKey: {{from: [{{header: x-api-key}}]}}\n", jwt("{file: keys.json}"));
    let gateway = start(&key.set("1"), &[policy("access", &both), consumer], &[whoami("access")]);
    let good = key.token("1", r#","scope":"a b","tenant":"t-1""#);
    let got = with(&gateway, "/whoami", &[("authorization", &bearer(&good))]).await;
    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!(
        got.json(),
        serde_json::json!({"id": "ann", "kind": "jwt", "scopes": ["a", "b"], "tenant": "t-1", "sent": bearer(&good)})
    );
    let got = with(&gateway, "/whoami", &[("x-api-key", "key-of-the-app")]).await;
    assert_eq!(
        got.json(),
        serde_json::json!({"id": "app", "kind": "apiKey", "consumer": "app", "plan": "gold", "scopes": []})
    );
    let got = get(gateway.address, "/whoami").await;
    assert_eq!((got.status.as_u16(), &got.json()["code"]), (401, &"unauthenticated".into()));
    assert_eq!(got.header("www-authenticate"), Some("Bearer"));
    assert_eq!(got.header("content-type"), Some("application/problem+json"));
    for (name, value) in [("authorization", bearer("x.y.z")), ("x-api-key", "wrong".to_owned())] {
        let got = with(&gateway, "/whoami", &[(name, &value)]).await;
        assert_eq!(got.status, 401);
        let challenge = got.header("www-authenticate").unwrap();
        assert_eq!(challenge.contains("error=\"invalid_token\""), name == "authorization", "{challenge}");
        assert!(!got.text().contains(&value), "{}", got.text());
    }
    let got = with(&gateway, "/whoami?token=a&token=b", &[]).await;
    assert_eq!(got.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_credential_that_authenticated_goes_no_further() {
    let key = Key::new();
    let origin = Origin::start(|_| async { json("{}") }).await;
    let keep = "match: {path: '/keep/{rest...}'}\npolicies: [access]\nproxy: {service: back, forwardCredentials: true}";
    let pass = "match: {path: '/pass/{rest...}'}\npolicies: [access]\nproxy: {service: back}";
    let gateway = start(
        &key.set("1"),
        &[policy("access", &jwt("{file: keys.json}"))],
        &[service("back", origin.address, ""), route("keep", keep), route("pass", pass)],
    );
    let token = key.token("1", "");
    let cases: [(String, Vec<(&str, String)>); 4] = [
        (
            "/pass/a?x=1&y=%20".to_owned(),
            vec![("authorization", bearer(&token)), ("cookie", "a=1".to_owned())],
        ),
        ("/pass/a?x=1&y=%20".to_owned(), vec![("cookie", format!("a=1; session={token}"))]),
        (format!("/pass/a?x=1&token={token}&y=%20"), vec![("cookie", "a=1".to_owned())]),
        (format!("/pass/a?x=1&y=%20&to%6ben={token}"), vec![("cookie", "a=1".to_owned())]),
    ];
    for (path, fields) in cases {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(with(&gateway, &path, &fields).await.status, 200, "{path}");
        let seen = origin.seen().pop().unwrap();
        assert_eq!(seen.target, "/pass/a?x=1&y=%20");
        assert_eq!(seen.headers.get("cookie").unwrap(), "a=1");
        assert!(!format!("{:?}", seen.headers).contains(&token));
    }
    let got = with(&gateway, "/keep/a", &[("authorization", &bearer(&token))]).await;
    assert_eq!(got.status, 200);
    assert_eq!(origin.seen().pop().unwrap().headers["authorization"], bearer(&token));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_method_would_have_read_goes_no_further_either() {
    let key = Key::new();
    let origin = Origin::start(|_| async { json("{}") }).await;
    let consumer = format!(
        "apiVersion: segue/v1\nkind: Consumer\nmetadata: {{name: app, owner: platform}}\nplan: gold\napiKeys: [{{sha256: {}}}]\n",
        hash()
    );
    let both =
        format!("{}  apiKey: {{from: [{{header: x-api-key}}, {{query: key}}]}}\n", jwt("{file: keys.json}"));
    let keep = "match: {path: '/keep/{rest...}'}\npolicies: [access]\nproxy: {service: back, forwardCredentials: true}";
    let gateway = start(
        &key.set("1"),
        &[policy("access", &both), consumer],
        &[
            service("back", origin.address, ""),
            route("keep", keep),
            route("pass", "match: {path: '/pass/{rest...}'}\npolicies: [access]\nproxy: {service: back}"),
        ],
    );
    let token = bearer(&key.token("1", ""));
    for (fields, path) in [
        (&[("authorization", &*token), ("x-api-key", "key-of-the-app")][..], "/pass/a?x=1"),
        // A bad one too: who knows for whom it is good.
        (&[("authorization", &token), ("x-api-key", "of somebody else")], "/pass/a?x=1"),
        (&[("authorization", &token)], "/pass/a?key=key-of-the-app&x=1"),
        (&[("authorization", "Bearer bad"), ("x-api-key", "key-of-the-app")], "/pass/a?x=1"),
        (&[("cookie", "session=bad"), ("x-api-key", "key-of-the-app")], "/pass/a?x=1&key=b"),
    ] {
        assert_eq!(with(&gateway, path, fields).await.status, 200, "{fields:?}");
        let seen = origin.seen().pop().unwrap();
        assert_eq!(seen.target, "/pass/a?x=1");
        for name in ["authorization", "x-api-key", "cookie"] {
            assert!(!seen.headers.contains_key(name), "{fields:?}: {:?}", seen.headers);
        }
    }
    // Another scheme is for somebody else.
    let fields = [("authorization", "Basic YTpi"), ("x-api-key", "key-of-the-app")];
    assert_eq!(with(&gateway, "/pass/a", &fields).await.status, 200);
    assert_eq!(origin.seen().pop().unwrap().headers["authorization"], "Basic YTpi");
    let fields = [("authorization", &*token), ("x-api-key", "key-of-the-app")];
    assert_eq!(with(&gateway, "/keep/a", &fields).await.status, 200);
    let seen = origin.seen().pop().unwrap().headers;
    assert_eq!(
        (&seen["authorization"], &seen["x-api-key"]),
        (&token.parse().unwrap(), &"key-of-the-app".parse().unwrap())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_may_put_its_own_in_the_place_of_a_credential() {
    let key = Key::new();
    let origin = Origin::start(|_| async { json("{}") }).await;
    let own = "headers: {request: {set: {authorization: '${ principal.id }'}}}\n";
    let gateway = start(
        &key.set("1"),
        &[policy("access", &format!("{}{own}", jwt("{file: keys.json}")))],
        &[
            service("back", origin.address, ""),
            route("pass", "match: {path: '/{rest...}'}\npolicies: [access]\nproxy: {service: back}"),
        ],
    );
    let token = bearer(&key.token("1", ""));
    assert_eq!(with(&gateway, "/a", &[("authorization", &token)]).await.status, 200);
    assert_eq!(origin.seen().pop().unwrap().headers["authorization"], "ann");
    assert_eq!(get(gateway.address, "/a").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_decide_and_say_why() {
    let key = Key::new();
    let rules = "authorize:\n  - {deny: '${ principal.claims.?suspended.orValue(false) }', message: account suspended}\n  - {allow: '${ \"orders:read\" in principal.scopes }'}\n";
    let gateway = start(
        &key.set("1"),
        &[policy("access", &format!("{}{rules}", jwt("{file: keys.json}")))],
        &[whoami("access")],
    );
    for (claims, status, detail) in [
        (r#","scope":"orders:read""#, 200, None),
        (r#","scope":"orders:write""#, 403, Some("Forbidden: the caller may not do this")),
        (r#","scope":"orders:read","suspended":true"#, 403, Some("account suspended")),
        (r#","scope":"orders:read","suspended":"no""#, 403, Some("account suspended")),
    ] {
        let token = bearer(&key.token("1", claims));
        let got = with(&gateway, "/whoami", &[("authorization", &token)]).await;
        assert_eq!(got.status, status, "{claims}: {}", got.text());
        if let Some(detail) = detail {
            let said = got.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(&said) || said.contains(detail), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_keys_is_read_again_when_it_changes() {
    let (old, new) = (Key::new(), Key::new());
    let gateway = start(&old.set("1"), &[policy("access", &jwt("{file: keys.json}"))], &[whoami("access")]);
    let by = |key: &Key, kid: &str| bearer(&key.token(kid, ""));
    assert_eq!(with(&gateway, "/whoami", &[("authorization", &by(&old, "1"))]).await.status, 200);
    write(gateway.folder.path(), "policies/keys.json", &new.set("2"));
    gateway.running().reload();
    assert_eq!(with(&gateway, "/whoami", &[("authorization", &by(&new, "2"))]).await.status, 200);
    assert_eq!(with(&gateway, "/whoami", &[("authorization", &by(&old, "1"))]).await.status, 401);
    // A file without a usable key changes nothing.
    write(gateway.folder.path(), "policies/keys.json", r#"{"keys":[]}"#);
    gateway.running().reload();
    assert_eq!(with(&gateway, "/whoami", &[("authorization", &by(&new, "2"))]).await.status, 200);
}

/// An endpoint of keys whose answer can be changed; counts what it was asked.
fn endpoint(answer: &Arc<Mutex<String>>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let (answer, hits) = (Arc::clone(answer), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&hits);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            count.fetch_add(1, SeqCst);
            let _ = stream.read(&mut [0; 4096]);
            let body = answer.lock().unwrap().clone();
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    (url, hits)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_unknown_keys_asks_once_and_stalls_nobody() {
    let (key, stranger) = (Key::new(), Key::new());
    let set = Arc::new(Mutex::new(key.set("1")));
    let (url, hits) = endpoint(&set);
    let fixed = route("fixed", "match: {path: /fixed}\nstatic: {body: 1}");
    let gateway =
        start("{}", &[policy("access", &jwt(&format!("{{uri: \"{url}\"}}")))], &[whoami("access"), fixed]);
    let good = bearer(&key.token("1", ""));
    assert_eq!(with(&gateway, "/whoami", &[("authorization", &good)]).await.status, 200);
    *set.lock().unwrap() = "<html>".to_owned();
    let flood: Vec<_> = (0..200).map(|number| bearer(&stranger.token(&format!("x{number}"), ""))).collect();
    let begun = Instant::now();
    for chunk in flood.chunks(50) {
        let asked = chunk.iter().map(|token| {
            let request = Request::get(format!("http://{}/whoami", gateway.address));
            send_http2(gateway.address, request.header("authorization", token).body(Full::default()).unwrap())
        });
        let got = futures_util::future::join_all(asked).await;
        assert!(got.iter().all(|got| got.status == 401));
        assert_eq!(get(gateway.address, "/fixed").await.status, 200);
        assert_eq!(with(&gateway, "/whoami", &[("authorization", &good)]).await.status, 200);
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(hits.load(SeqCst), 2, "one fetch at the start, one for unknown keys");
    let page = get(gateway.admin, "/metrics").await;
    assert!(page.text().contains("segue_key_fetches_total"), "{}", page.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_in_no_page_and_no_problem() {
    let key = Key::new();
    let gateway = start(&key.set("1"), &[policy("access", &jwt("{file: keys.json}"))], &[whoami("access")]);
    let (good, bad) = (key.token("1", ""), key.token("2", ""));
    let mut said = String::new();
    for token in [&good, &bad] {
        with(&gateway, "/whoami", &[("authorization", &bearer(token))]).await;
        let got = with(&gateway, &format!("/whoami?token={token}x"), &[]).await;
        said += got.text();
        said += &format!("{:?}", got.headers);
    }
    for page in ["/metrics", "/status"] {
        said += get(gateway.admin, page).await.text();
    }
    for token in [&good, &bad] {
        let signature = token.rsplit('.').next().unwrap();
        assert!(!said.contains(signature));
    }
}
