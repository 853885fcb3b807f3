//! Any bytes as an upstream's answer: the client gets an answer of its own, soon, and nothing of the
//! upstream's words when it failed.

use std::net::SocketAddr;

use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::{
    client::{get, raw},
    gateway::{Gateway, route, service},
};

/// An origin that answers every connection with these bytes and closes.
async fn bytes(answer: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = [0u8; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(&answer).await;
            });
        }
    });
    address
}

/// Heads that begin well and bodies that do not, besides plain noise.
fn answers() -> impl Strategy<Value = Vec<u8>> {
    let noise = proptest::collection::vec(any::<u8>(), 0..200);
    let json = proptest::collection::vec(any::<u8>(), 0..200).prop_map(|body| {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), &body].concat()
    });
    let chunked = proptest::collection::vec(any::<u8>(), 0..200).prop_map(|body| {
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        [&head[..], &body].concat()
    });
    let head =
        "[ -~\r\n]{0,120}".prop_map(|text| format!("HTTP/1.1 200 OK\r\n{text}\r\n\r\n{{}}").into_bytes());
    prop_oneof![noise, json, chunked, head]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_as_an_answer_give_an_answer(answer in answers()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let origin = bytes(answer.clone()).await;
            let gateway = Gateway::start(&[
                service("back", origin, "timeout: 2s"),
                route("made", "match: {path: /made}\nsteps: {one: {http: {service: back, path: /}}}\nrespond: {body: {one: '${ steps.one.body }'}}"),
            ]);
            let made = get(gateway.address, "/made").await;
            // Bytes that are a good answer after all pass; everything else is a problem of ours.
            if made.status == 200 {
                let _ = made.json();
            } else {
                prop_assert!([500, 502, 503, 504].contains(&made.status.as_u16()), "{}", made.text());
                let problem = made.json();
                // An answer without a content type is bytes, which fail where they are written: in `respond`.
                let written = problem["code"] == "expression_error";
                prop_assert!(written || problem["step"] == "one", "{}", problem);
                prop_assert!(problem["code"].is_string());
            }
            Ok(())
        })?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_upstream_does_not_make_the_answer_an_old_one() {
    let origin = bytes(b"HTTP/1.0 200 OK\r\n\r\nold".to_vec()).await;
    let gateway = Gateway::start(&[
        service("old", origin, ""),
        route("pass", "match: {path: /pass}\nproxy: {service: old}"),
    ]);
    let answer = raw(gateway.address, b"GET /pass HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("3\r\nold\r\n0\r\n\r\n"), "{answer}");
}
