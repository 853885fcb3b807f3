//! Clients that take their time: cut by the gateway's rules, blamed for it, and nobody else suffers.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};

use crate::support::{
    client::{get, raw},
    gateway::{GATEWAY, Gateway, route, service},
    origin::{Answer, Origin, json},
};

/// An answer without an end, in pieces that no socket's buffers hold for long.
fn endless(ended: &Arc<Notify>) -> Answer {
    struct Says(Arc<Notify>);
    impl Drop for Says {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let says = Says(Arc::clone(ended));
    let pieces = stream::repeat_with(move || {
        let _ = &says;
        Ok(Frame::data(Bytes::from_static(&[0; 65_536])))
    });
    Response::new(StreamBody::new(pieces).boxed())
}

/// The value of a series, 0 when it is not there.
async fn metric(gateway: &Gateway, series: &str) -> f64 {
    let page = get(gateway.admin, "/metrics").await;
    let line = page.text().lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_slow_is_cut_answered_408_and_blamed_on_the_client() {
    let origin = Origin::start(|request: Request<hyper::body::Incoming>| async move {
        let _ = request.into_body().collect().await;
        json("{}")
    })
    .await;
    let gateway = Gateway::start(&[
        service("back", origin.address, ""),
        route("pass", "match: {path: /pass}\nproxy: {service: back}"),
        route("read", "match: {path: /read}\nrespond: {body: {got: '${ request.body.a }'}}"),
    ]);
    let http1 = |path: &str| {
        let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n");
        format!("{head}content-length: 1000\r\n\r\n{{\"a\":")
    };
    let http2 = async {
        let stream = TcpStream::connect(gateway.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let body = StreamBody::new(stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
        let request = Request::post("http://a/pass").body(body).unwrap();
        let response = sender.send_request(request).await.unwrap();
        (response.status(), response.into_body().collect().await.unwrap().to_bytes())
    };
    let (pass, read) = (http1("/pass"), http1("/read"));
    let (pass, read, http2) =
        tokio::join!(raw(gateway.address, pass.as_bytes()), raw(gateway.address, read.as_bytes()), http2);
    for answer in [pass, read] {
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert!(answer.contains(r#""code":"request_timeout""#), "{answer}");
    }
    assert_eq!(http2.0, 408);
    let series =
        r#"segue_failures_total{unit="shop",route="shop/pass",code="request_timeout",fault="client"}"#;
    assert_eq!(metric(&gateway, series).await, 2.0);
    assert_eq!(metric(&gateway, r#"segue_upstream_failures_total{service="shop/back"}"#).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rule_ends_with_the_answers_head_so_that_both_sides_may_be_quiet() {
    // The origin answers at once and echoes what comes.
    let origin = Origin::start(|request: Request<hyper::body::Incoming>| async move {
        let body = request.into_body().map_err(std::io::Error::other).boxed();
        Response::new(body)
    })
    .await;
    let gateway = Gateway::start_with(
        &GATEWAY.replace("workers: 2", "workers: 1\nlimits: {bodyRate: 4000000000}"),
        &[service("back", origin.address, ""), route("pass", "match: {path: /}\nproxy: {service: back}")],
    );
    let mut client = TcpStream::connect(gateway.address).await.unwrap();
    client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    for byte in [b'a', b'b', b'c'] {
        client.write_all(&[b'1', b'\r', b'\n', byte, b'\r', b'\n']).await.unwrap();
        while !answer.contains(&byte) || !answer.ends_with(&[byte, b'\r', b'\n']) {
            assert_ne!(client.read_buf(&mut answer).await.unwrap(), 0);
        }
    }
    client.write_all(b"0\r\n\r\n").await.unwrap();
    while !answer.ends_with(b"0\r\n\r\n") {
        assert_ne!(client.read_buf(&mut answer).await.unwrap(), 0);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_of_its_answer_is_reset_and_the_upstream_let_go() {
    let ended = Arc::new(Notify::new());
    let signal = Arc::clone(&ended);
    let origin = Origin::start(move |_| {
        let answer = endless(&signal);
        async move { answer }
    })
    .await;
    let gateway = Gateway::start_with(
        &GATEWAY.replace("workers: 2", "workers: 1\nlimits: {writeStall: 300ms}"),
        &[service("back", origin.address, ""), route("pass", "match: {path: /}\nproxy: {service: back}")],
    );
    for preface in [false, true] {
        let mut client = TcpStream::connect(gateway.address).await.unwrap();
        if preface {
            // HTTP/2 with windows so large that only the socket holds anything back.
            client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
            client.write_all(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff]).await.unwrap();
            client.write_all(&[0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0, 0, 0]).await.unwrap();
            // `:method GET`, `:scheme http`, `:path /` of the static table, `:authority a`.
            let block = [0x82, 0x86, 0x84, 0x01, 0x01, b'a'];
            client.write_all(&[0, 0, 6, 1, 5, 0, 0, 0, 1]).await.unwrap();
            client.write_all(&block).await.unwrap();
        } else {
            client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        }
        ended.notified().await;
        let mut rest = Vec::new();
        let error = client.read_to_end(&mut rest).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    let told = r#"segue_aborted_total{unit="shop",route="shop/pass",code="write_stall",fault="client"}"#;
    while metric(&gateway, told).await < 2.0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(metric(&gateway, r#"segue_upstream_failures_total{service="shop/back"}"#).await, 0.0);
}
