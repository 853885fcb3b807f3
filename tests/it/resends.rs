//! Calls that are sent again, because an origin closes connections that were kept: no request reaches it more
//! often than `segue plan` says.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use segue::cli;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{
    client::{get, send},
    gateway::{GATEWAY, Gateway, route, service},
};

const STEPS: &str = r#"
match: {path: /r}
steps:
  one: {http: {service: a, path: /one}, optional: true}
  two: {http: {service: a, path: /two}, optional: true}
  three: {http: {service: a, path: /three}, optional: true}
respond: {body: ["${ steps.one.outcome }", "${ steps.two.outcome }", "${ steps.three.outcome }"]}
"#;

/// Answers the first request of each connection, reads the second, and closes without a word.
async fn origin() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                if head(&mut stream).await {
                    count.fetch_add(1, SeqCst);
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                }
                if head(&mut stream).await {
                    count.fetch_add(1, SeqCst);
                }
            });
        }
    });
    (address, seen)
}

/// Reads one request without a body; false if the connection ended before.
async fn head(stream: &mut TcpStream) -> bool {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => read.push(byte),
            Err(_) => return false,
        }
    }
    true
}

/// `calls` and `onTheWire` of the route's plan.
fn planned(gateway: &Gateway) -> (u64, u64) {
    let mut out = Vec::new();
    let folder = gateway.folder.path().to_str().unwrap();
    let arguments = ["plan", "shop/r", "--format", "json", "--config", folder];
    let arguments = std::iter::once("segue").chain(arguments).map(Into::into);
    cli::run_with(arguments, &mut out, &mut Vec::new()).unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&out).unwrap();
    (plan["worst"]["calls"].as_u64().unwrap(), plan["onTheWire"].as_u64().unwrap())
}

async fn twice(limits: &str) -> (Vec<String>, [u64; 2], (u64, u64)) {
    let (address, seen) = origin().await;
    let text = format!("{}{limits}", GATEWAY.replace("workers: 2", "workers: 1"));
    let gateway = Gateway::start_with(&text, &[service("a", address, ""), route("r", STEPS)]);
    let (mut answers, mut counts) = (Vec::new(), [0; 2]);
    for count in &mut counts {
        let before = seen.load(SeqCst);
        answers.push(get(gateway.address, "/r").await.text().to_owned());
        *count = seen.load(SeqCst) - before;
    }
    (answers, counts, planned(&gateway))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_closes_kept_connections_sees_no_more_than_the_plan_says() {
    let (answers, counts, (calls, wire)) = twice("").await;
    assert_eq!(answers, [r#"["ok","ok","ok"]"#; 2]);
    // The second request finds three connections that are closed under it.
    assert_eq!((counts, calls, wire), ([3, 6], 3, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_things_reaches_an_origin_once() {
    for method in ["PUT", "DELETE", "POST"] {
        let (address, seen) = origin().await;
        let gateway = Gateway::start_with(
            &GATEWAY.replace("workers: 2", "workers: 1"),
            &[
                service("a", address, ""),
                route("warm", "match: {path: /warm}\nproxy: {service: a}"),
                route("proxied", "match: {path: /proxied}\nproxy: {service: a}"),
                route(
                    "composed",
                    &format!(
                        "match: {{path: /composed}}\nsteps: {{one: {{http: {{service: a, method: {method}, path: /one}}}}}}\nrespond: {{status: 204}}"
                    ),
                ),
            ],
        );
        for path in ["/proxied", "/composed"] {
            assert_eq!(get(gateway.address, "/warm").await.status, 200);
            let before = seen.load(SeqCst);
            let request = http::Request::builder().method(method).uri(path).body(Default::default()).unwrap();
            assert_eq!(send(gateway.address, request).await.status, 502, "{method} {path}");
            assert_eq!(seen.load(SeqCst) - before, 1, "{method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_sent_again_stay_within_the_calls_that_a_request_may_make() {
    let (answers, counts, (calls, wire)) = twice("limits: {maxCalls: 4}\n").await;
    assert_eq!((counts, calls, wire), ([3, 4], 3, 4));
    assert_eq!(answers[0], r#"["ok","ok","ok"]"#);
    assert_eq!(answers[1].matches("failed").count(), 2, "{}", answers[1]);
}
