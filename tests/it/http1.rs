//! HTTP/1 at the edge: what is refused, what the client is told, and that nothing of it gets further.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    client::{get, raw},
    gateway::{GATEWAY, Gateway, route, service},
    origin::Origin,
};

const PASS: &str = "match: {path: '/p/{rest...}'}\nproxy: {service: back}";
const MADE: &str = "match: {path: '/made/{rest...}'}\nrespond: {body: {n: '${ request.body.n }'}}";

async fn gateway() -> (Gateway, Origin) {
    let origin = Origin::json("{}").await;
    let documents = [service("back", origin.address, ""), route("pass", PASS), route("made", MADE)];
    (Gateway::start(&documents), origin)
}

/// The answers in what came back, each from its status line on.
fn answers(text: &str) -> Vec<&str> {
    text.split("HTTP/1.1 ").skip(1).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_head_is_answered_in_its_turn_with_a_problem_document() {
    let (gateway, origin) = gateway().await;
    let good = "GET /p/1 HTTP/1.1\r\nhost: a\r\n\r\n";
    let bad = "GET /p/2 HTTP/1.1\r\nhost : a\r\n\r\n";
    let text = raw(gateway.address, format!("{good}{good}{bad}{good}").as_bytes()).await;
    let answers = answers(&text);
    assert_eq!(answers.len(), 3, "{text}");
    assert!(answers[0].starts_with("200") && answers[1].starts_with("200"), "{text}");
    let (head, body) = answers[2].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("400") && head.contains("connection: close"), "{text}");
    assert!(head.contains("content-type: application/problem+json"), "{text}");
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem["code"], "bad_request");
    assert!(problem["instance"].as_str().unwrap().starts_with("urn:segue:request:"));
    assert_eq!(origin.calls(), ["GET /p/1", "GET /p/1"]);
    let metrics = get(gateway.admin, "/metrics").await;
    let failures: Vec<&str> =
        metrics.text().lines().filter(|l| l.starts_with("segue_failures_total")).collect();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].contains("code=\"bad_request\"") && failures[0].contains("fault=\"client\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_slow_is_told_so() {
    let document = GATEWAY.to_owned() + "limits: {headerTimeout: 200ms}\n";
    let (_, origin) = gateway().await;
    let gateway = Gateway::start_with(&document, &[service("back", origin.address, ""), route("pass", PASS)]);
    for begun in ["GET /p/1 HT", "GET /p/1 HTTP/1.1\r\nhost: a\r\n", "P"] {
        let text = raw(gateway.address, begun.as_bytes()).await;
        assert!(
            text.starts_with("HTTP/1.1 408 ") && text.contains("\"request_timeout\""),
            "{begun:?}: {text}"
        );
    }
    let text = raw(gateway.address, b"GET /p/1 HTTP/1.1\r\nhost: a\r\n\r\nGET").await;
    let answers = answers(&text);
    assert!(answers[0].starts_with("200") && answers[1].starts_with("408"), "{text}");
    assert_eq!(origin.calls(), ["GET /p/1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_its_framing_is_the_clients_fault() {
    let (gateway, origin) = gateway().await;
    for path in ["/p/1", "/made/1"] {
        for body in
            ["5\r\nhello!\r\n0\r\n\r\n", "5;\r\nhello\r\n0\r\n\r\n", "g\r\n", "0\r\nx : y\r\n\r\n", "0\n\r\n"]
        {
            let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}");
            let text =
                raw(gateway.address, format!("{head}GET /p/2 HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await;
            assert!(
                text.starts_with("HTTP/1.1 400 ") && text.contains("connection: close"),
                "{body:?}: {text}"
            );
            assert_eq!(answers(&text).len(), 1, "{text}");
        }
    }
    assert!(!origin.calls().contains(&"GET /p/2".to_owned()));
    let metrics = get(gateway.admin, "/metrics").await;
    let blamed = |line: &str| line.starts_with("segue_failures_total") && line.contains("fault=\"upstream\"");
    assert!(!metrics.text().lines().any(blamed), "{}", metrics.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_an_upgrade_that_was_not_granted_is_the_next_request() {
    let (gateway, origin) = gateway().await;
    let upgrade = "GET /p/ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let next = "GET /p/next HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let text = raw(gateway.address, format!("{upgrade}{next}").as_bytes()).await;
    assert_eq!(answers(&text).len(), 2, "{text}");
    let text = raw(gateway.address, format!("{upgrade}\u{1}\u{2}tunnel bytes").as_bytes()).await;
    let answers = answers(&text);
    assert!(answers[0].starts_with("200") && answers[1].starts_with("400"), "{text}");
    assert_eq!(origin.calls(), ["GET /p/next", "GET /p/ws", "GET /p/ws"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_still_sending_gets_to_see_why_it_was_refused() {
    let (gateway, _origin) = gateway().await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = format!("GET /p/1 HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(300_000));
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 431 "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_exact() {
    let document = GATEWAY.to_owned() + "limits: {uriBytes: 100, headers: 5, headerBytes: 200}\n";
    let (_, origin) = gateway().await;
    let gateway = Gateway::start_with(&document, &[service("back", origin.address, ""), route("pass", PASS)]);
    let status = async |head: String| raw(gateway.address, head.as_bytes()).await[9..12].to_owned();
    let close = "connection: close\r\n";
    for (len, expected) in [(100, "200"), (101, "414")] {
        let path = format!("/p/{}", "a".repeat(len - 3));
        assert_eq!(status(format!("GET {path} HTTP/1.1\r\nhost: a\r\n{close}\r\n")).await, expected, "{len}");
        let query = format!("/p/?{}", "a".repeat(len - 4));
        assert_eq!(
            status(format!("GET {query} HTTP/1.1\r\nhost: a\r\n{close}\r\n")).await,
            expected,
            "{len}"
        );
        let absolute = format!("http://a/p/{}", "a".repeat(len - 11));
        assert_eq!(
            status(format!("GET {absolute} HTTP/1.1\r\nhost: a\r\n{close}\r\n")).await,
            expected,
            "{len}"
        );
    }
    for (count, expected) in [(5, "200"), (6, "431")] {
        let more = "x: y\r\n".repeat(count - 2);
        assert_eq!(
            status(format!("GET /p/ HTTP/1.1\r\nhost: a\r\n{close}{more}\r\n")).await,
            expected,
            "{count}"
        );
    }
    for (bytes, expected) in [(200, "200"), (201, "431")] {
        // `host: a` counts 9, `connection: close` 19, and `x` 5 with its value.
        let value = "y".repeat(bytes - 9 - 19 - 5);
        assert_eq!(
            status(format!("GET /p/ HTTP/1.1\r\nhost: a\r\n{close}x:  {value} \r\n\r\n")).await,
            expected
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_line_before_a_request_is_no_request() {
    let (gateway, _origin) = gateway().await;
    let text = raw(gateway.address, b"\r\nGET /p/1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
}
