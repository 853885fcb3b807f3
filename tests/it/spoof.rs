//! What clients may never bring: every spelling of an identity header, over raw sockets, in heads and trailers.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use http::HeaderMap;
use http_body_util::BodyExt;

use crate::support::{
    client::raw,
    frames::{self, END_HEADERS, END_STREAM, End, HEADERS, Raw, WHOLE, block},
    gateway::{GATEWAY, Gateway, route, service, write},
    origin::{Origin, json},
};

/// Fields that only the gateway, or a policy, may write.
const NAMES: [&str; 20] = [
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-client-cert",
    "x-forwarded-user",
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "remote-user",
    "x-segue-deadline-ms",
    "x-segue-principal",
    "x-tenant",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-groups",
    "x-segue-degraded",
];

const EVIL: &str = "evil.203.0.113.66";

/// Every way to write a name that some server reads as that name.
fn spellings() -> Vec<String> {
    let mut all = BTreeSet::new();
    for name in NAMES {
        let title: Vec<String> =
            name.split('-').map(|word| format!("{}{}", word[..1].to_ascii_uppercase(), &word[1..])).collect();
        all.insert(name.to_owned());
        all.insert(name.to_ascii_uppercase());
        all.insert(title.join("-"));
        if name.contains('-') {
            all.insert(name.replace('-', "_"));
            all.insert(name.replace('-', "_").to_ascii_uppercase());
            all.insert(title.join("_"));
            all.insert(name.replacen('-', "_", 1));
            all.insert(
                name.rsplitn(2, '-').collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("_"),
            );
        }
    }
    all.into_iter().collect()
}

async fn gateway(origin: &Origin) -> Gateway {
    let folder = tempfile::tempdir().unwrap();
    let policy = "apiVersion: segue/v1\nkind: Policy\nmetadata: {name: tenant, owner: platform}\nauthenticate: {anonymous: true}\nheaders: {request: {set: {x-tenant: \"${ request.headers[?'x-nothing'] }\"}}}\n";
    write(folder.path(), "policies/tenant.yaml", policy);
    let documents = [
        service("back", origin.address, ""),
        route("pass", "match: {path: '/{rest...}'}\npolicies: [tenant]\nproxy: {service: back}"),
    ];
    match Gateway::try_start_in(folder, GATEWAY, &documents) {
        Ok(gateway) => gateway,
        Err(segue::serve::StartError::Findings(findings, _)) => panic!("{:#?}", findings.items()),
        Err(error) => panic!("{error}"),
    }
}

/// An origin, and the trailers that reached it.
async fn listening() -> (Origin, Arc<Mutex<Vec<HeaderMap>>>) {
    let trailers: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
    let seen = Arc::clone(&trailers);
    let origin = Origin::start(move |request| {
        let seen = Arc::clone(&seen);
        async move {
            let body = request.into_body().collect().await;
            seen.lock().unwrap().extend(body.ok().and_then(|body| body.trailers().cloned()));
            json("{}")
        }
    });
    (origin.await, trailers)
}

/// No field that reached the origin says what only the client said.
fn check(origin: &Origin, trailers: &Mutex<Vec<HeaderMap>>, what: &str) {
    let heads = origin.seen().into_iter().map(|seen| seen.headers);
    for fields in heads.chain(trailers.lock().unwrap().iter().cloned()) {
        for (name, value) in &fields {
            let said = String::from_utf8_lossy(value.as_bytes());
            assert!(!said.contains(EVIL), "{what}: {name}: {said}");
            assert!(!name.as_str().contains('_'), "{what}: {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_an_identity_header_reaches_an_upstream_over_http1() {
    let (origin, trailers) = listening().await;
    let gateway = gateway(&origin).await;
    let spellings = spellings();
    assert!(spellings.len() >= 120, "{}", spellings.len());
    for name in &spellings {
        for connection in ["close", &format!("close, {name}")] {
            let request = format!(
                "GET /a HTTP/1.1\r\nhost: a.example\r\nconnection: {connection}\r\n{name}: {EVIL}\r\n{name}: {EVIL}\r\n\r\n"
            );
            let answer = raw(gateway.address, request.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 "), "{name}: {answer}");
        }
        // In trailers, announced and not.
        for announced in [format!("trailer: x-sum, {name}\r\n"), String::new()] {
            let request = format!(
                "POST /a HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\nte: trailers\r\n{announced}transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nx-sum: 1\r\n{name}: {EVIL}\r\n\r\n"
            );
            let answer = raw(gateway.address, request.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 "), "{name}: {answer}");
        }
        check(&origin, &trailers, name);
    }
    assert!(origin.seen().len() >= 2 * spellings.len(), "most are let in without the field");
    assert!(trailers.lock().unwrap().iter().any(|fields| fields.contains_key("x-sum")), "trailers do arrive");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_connection_names_is_no_trailer_either() {
    let (origin, trailers) = listening().await;
    let gateway = gateway(&origin).await;
    let request = "POST /a HTTP/1.1\r\nhost: a.example\r\nconnection: close, X-Hop\r\ntrailer: x-sum, x-hop, www-authenticate\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nx-sum: 1\r\nx-hop: 1\r\nwww-authenticate: 1\r\n\r\n";
    let answer = raw(gateway.address, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let seen = trailers.lock().unwrap().clone();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].keys().collect::<Vec<_>>(), ["x-sum"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_an_identity_header_reaches_an_upstream_over_http2() {
    let (origin, trailers) = listening().await;
    let gateway = gateway(&origin).await;
    let pseudo = |method| {
        block(&[(":method", method), (":scheme", "http"), (":authority", "a.example"), (":path", "/a")])
    };
    let mut passed = 0;
    for name in spellings() {
        let mut raw = Raw::connect(gateway.address, &[]).await;
        let head = [pseudo("GET"), block(&[(&*name, EVIL), (&*name, EVIL)])].concat();
        raw.send(&frames::frame(HEADERS, WHOLE, 1, &head)).await;
        let end = raw.end(1).await;
        // Upper case is malformed there (RFC 9113 §8.2.1).
        let upper = name.bytes().any(|byte| byte.is_ascii_uppercase());
        assert_eq!(end == End::Status(200), !upper, "{name}: {end:?}");
        passed += usize::from(end == End::Status(200));
        let mut raw = Raw::connect(gateway.address, &[]).await;
        raw.send(&frames::frame(HEADERS, END_HEADERS, 1, &pseudo("POST"))).await;
        raw.send(&frames::frame(frames::DATA, 0, 1, b"x")).await;
        let last = block(&[(&*name, EVIL)]);
        raw.send(&frames::frame(HEADERS, END_HEADERS | END_STREAM, 1, &last)).await;
        raw.end(1).await;
        check(&origin, &trailers, &name);
    }
    assert!(passed > 50, "{passed}");
}
