//! Any head that the reader lets pass: admission takes it or refuses it, and what it takes has one host, one
//! framing and a canonical path, and says nothing of where it comes from.
#![no_main]

use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock},
};

use http::{Request, header};
use libfuzzer_sys::fuzz_target;
use segue::{
    body::Body,
    compile,
    config::Tree,
    gateway::{admission, path},
    headers::Peer,
    plan::Plan,
    server::http1::{Limits, head::Head},
};

const GATEWAY: &str = "apiVersion: segue/v1
kind: Gateway
metadata: {name: g, owner: t}
listeners: [{name: http, address: '127.0.0.1:0'}]
";

/// The settings that a Gateway document has which says nothing of limits.
static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    let tree = Tree::from_texts([("policies/gateway.yaml", GATEWAY)]);
    compile::compile(&tree).0.unwrap()
});

const LIMITS: Limits = Limits { target: 8192, fields: 60, field_bytes: 32_768 };

fn request(bytes: &[u8]) -> Option<Request<Body>> {
    let len = Head::default().read(bytes, &LIMITS).ok()??;
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut fields);
    head.parse(&bytes[..len]).unwrap();
    let version = if head.version == Some(1) { http::Version::HTTP_11 } else { http::Version::HTTP_10 };
    let mut builder = Request::builder().method(head.method?).uri(head.path?).version(version);
    for field in head.headers.iter() {
        builder = builder.header(field.name, field.value);
    }
    Some(builder.body(Body::empty()).unwrap())
}

fuzz_target!(|input: &[u8]| {
    let Some(mut request) = request(input) else { return };
    let address: SocketAddr = ([192, 0, 2, 1], 1).into();
    let peer = Arc::new(Peer::new(address));
    let settings = &PLAN.gateway;
    let exchange = admission::exchange(&request, &peer, settings);
    assert_eq!(exchange.client, address.ip());
    let old = request.version() == http::Version::HTTP_10;
    let Ok(host) = admission::admit(&mut request, &exchange, settings) else { return };
    assert!(old || !host.is_empty());
    assert_eq!(host, host.to_ascii_lowercase());
    let headers = request.headers();
    assert!(headers.get_all(header::HOST).iter().count() == usize::from(!host.is_empty()));
    for gone in [
        "connection",
        "transfer-encoding",
        "upgrade",
        "keep-alive",
        "forwarded",
        "x-forwarded-for",
        "x-real-ip",
    ] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    assert!(headers.keys().all(|name| !name.as_str().contains('_')));
    assert!(headers.get_all(header::CONTENT_LENGTH).iter().count() <= 1);
    assert!(request.uri().authority().is_none());
    let target = request.uri().path();
    assert!(target == "*" || path::canonical(target).as_deref() == Ok(target), "{target}");
});
