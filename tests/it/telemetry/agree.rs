//! Ten thousand requests, told the same by every signal.

use std::{collections::HashSet, sync::Arc};

use futures_util::{future::join_all, stream};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
};

use super::{
    collector::{Collector, Mood, Seen, exporting, orphans},
    counts::{from_log, from_otlp, from_prometheus, from_spans, only},
};
use crate::support::{
    client::get,
    gateway::{GATEWAY, Gateway, route, service},
    origin::{Answer, Origin, json, status},
};

const REQUESTS: usize = 10_000;

/// Of each way in which steps are left, calls cut, and streams broken.
const LEFT: usize = 50;
/// How many such ways there are.
const WAYS: usize = 16;

/// A body that says hello; then it ends, breaks off when that is allowed, or goes on for ever.
fn streamed(how: &str, broken: Arc<Semaphore>) -> Answer {
    let how = how.to_owned();
    let pieces = stream::unfold(0, move |at| {
        let (how, broken) = (how.clone(), Arc::clone(&broken));
        async move {
            match (at, &*how) {
                (0, _) => Some((Ok(Frame::data("hello".into())), 1)),
                (_, "whole") => None,
                (_, "short") => {
                    broken.acquire().await.unwrap().forget();
                    Some((Err(std::io::Error::other("broken")), 2))
                }
                _ => std::future::pending().await,
            }
        }
    });
    Response::new(BodyExt::boxed(StreamBody::new(pieces)))
}

fn documents(origin: &Origin) -> Vec<String> {
    let composed = "
match: {path: \"/c/{n}\"}
steps:
  one: {http: {service: back, path: \"/one/${ request.path.n }\"}}
  two: {http: {service: back, path: \"/two/${ request.path.n }\"}, optional: true, after: [one]}
  three: {when: '${ request.path.n.endsWith(\"7\") }', http: {service: back, path: /three}, optional: true}
respond: {body: {one: 1, two: '${ steps.two.?body }', three: '${ steps.three.?body }'}}
";
    // What never answers is left: because the time is over, because another step failed, because the client
    // has gone.
    let hangs = "one: {http: {service: back, path: /one}}
  hangs: {http: {service: back, path: /hang}, after: [one]}";
    let late = format!(
        "match: {{path: /late}}\ntimeout: 1s\nsteps:\n  {hangs}\nrespond: {{body: '${{ steps.hangs.body }}'}}"
    );
    let failed = format!(
        "match: {{path: /failed}}\nsteps:\n  {hangs}\n  bad: {{http: {{service: back, path: /bad}}, after: [one]}}\n\
         respond: {{body: '${{ [steps.hangs.body, steps.bad.body] }}'}}"
    );
    let gone =
        format!("match: {{path: /gone}}\nsteps:\n  {hangs}\nrespond: {{body: '${{ steps.hangs.body }}'}}");
    let stream = "steps: {x: {http: {service: back, path: \"/body/${ request.path.how }\"}}}
respond: {body: '${ steps.x.body }'}";
    let overdue = "match: {path: /overdue}\ntimeout: 2s
steps: {x: {http: {service: back, path: /body/hang}}}\nrespond: {body: '${ steps.x.body }'}";
    let dimmed = "match: {path: /dimmed}\ntimeout: 1s
steps: {hangs: {http: {service: back, path: /hang}, optional: true}}\nrespond: {body: '${ steps.hangs.?body }'}";
    // An unsafe call is on the wire when the client leaves, so that the rest is done without it.
    let each = "match: {path: /rest/each, methods: [POST]}
steps:
  all:
    forEach: {in: '${ [1, 2, 3, 4, 5] }', as: n, max: 9, concurrency: 2}
    unordered: true
    http: {service: back, method: POST, path: /gated/each}
  then: {http: {service: back, path: /then}, after: [all]}
respond: {body: {then: '${ steps.then.body }'}}";
    let chain = "match: {path: /rest/chain, methods: [POST]}
steps:
  write: {http: {service: back, method: POST, path: /gated/chain}}
  read: {http: {service: back, path: /read}, after: [write]}
  deep: {compose: inner, with: {}, after: [read]}
  last: {http: {service: back, method: POST, path: /bad}, after: [deep]}
respond: {body: '${ steps.last.body }'}";
    let again = "match: {path: /rest/again, methods: [POST]}
steps:
  put:
    http: {service: shaky, method: PUT, path: /gated/again}
    retry: {attempts: 3, on: [503], backoff: {initial: 1ms, max: 2ms}}
respond: {body: '${ steps.put.body }'}";
    vec![
        route("each", each),
        route("chain", chain),
        route("again", again),
        INNER.to_owned(),
        service("shaky", origin.address, ""),
        route("stream", &format!("match: {{path: \"/stream/{{how}}\"}}\n{stream}")),
        route("overdue", overdue),
        route("dimmed", dimmed),
        route(
            "raw",
            "match: {path: \"/raw/{how}\"}\nproxy: {service: back, path: \"/body/${ request.path.how }\"}",
        ),
        route("bad", "match: {path: /bad}\nproxy: {service: back}"),
        route("cut", "match: {path: /cut}\ntimeout: 50ms\nproxy: {service: back, path: /hang}"),
        service("back", origin.address, ""),
        route("late", &late),
        route("failed", &failed),
        route("gone", &gone),
        route("p", "match: {path: \"/p/{n}\"}\nproxy: {service: back}"),
        route("c", composed),
        route("s", "match: {path: /s}\nstatic: {status: 204}"),
    ]
}

/// A Composition of two steps.
const INNER: &str = "\
apiVersion: segue/v1
kind: Composition
metadata: {name: inner, owner: team, version: 1.0.0}
steps:
  first: {http: {service: back, path: /first}}
  second: {http: {service: back, method: POST, path: /second}, after: [first]}
output: {a: '${ steps.first.body }', b: '${ steps.second.body }'}
";

/// Asks for what outlives its client, leaves once unsafe calls are on the wire, and lets these end when all of that
/// is told.
async fn outlive(gateway: &Gateway, origin: &Origin, gate: &Semaphore) {
    for (name, calls) in [("each", 2), ("chain", 1), ("again", 1)] {
        let mut clients = Vec::new();
        for _ in 0..LEFT {
            let mut stream = TcpStream::connect(gateway.address).await.unwrap();
            let text = format!("POST /rest/{name} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(text.as_bytes()).await.unwrap();
            clients.push(stream);
        }
        let target = format!("/gated/{name}");
        while origin.seen().iter().filter(|seen| seen.target == target).count() < calls * LEFT {
            tokio::task::yield_now().await;
        }
        drop(clients);
        until(gateway, &format!("request shop/{name} aborted")).await;
    }
    gate.close();
    for late in ["each ok", "chain upstream_status", "again upstream_unavailable"] {
        until(gateway, &format!("late shop/{late}")).await;
    }
}

/// Waits until that was counted of each of them.
async fn until(gateway: &Gateway, name: &str) {
    loop {
        let counts = from_prometheus(get(gateway.admin, "/metrics").await.text());
        if counts.get(name) == Some(&(LEFT as u64)) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// The spans that calls said they were, as they reached the origin.
fn parents(origin: &Origin) -> Vec<String> {
    let calls = origin.seen();
    calls.iter().map(|seen| seen.headers["traceparent"].to_str().unwrap()[36..52].to_owned()).collect()
}

async fn drive(address: std::net::SocketAddr, from: usize, to: usize) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for n in from..to {
        let path = match n % 5 {
            0 | 1 => format!("/p/{n}"),
            2 => format!("/c/{n}"),
            3 => "/s".to_owned(),
            _ if n % 2 == 0 => "/nowhere".to_owned(),
            _ => format!("/c/bad{n}"),
        };
        let request = Request::get(path).header("host", "a").body(Full::<bytes::Bytes>::default()).unwrap();
        sender.ready().await.unwrap();
        sender.send_request(request).await.unwrap().into_body().collect().await.unwrap();
    }
}

/// Asks and leaves once the call that never ends has reached the origin.
async fn leave(address: std::net::SocketAddr, origin: &Origin) {
    let hanging = || origin.seen().iter().filter(|seen| seen.target == "/hang").count();
    let before = hanging();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /gone HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    while hanging() == before {
        tokio::task::yield_now().await;
    }
}

/// Asks, and reads until the answer's body has begun.
async fn begin(address: std::net::SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.windows(5).any(|five| five == b"hello") {
        assert!(stream.read_buf(&mut seen).await.unwrap() > 0, "{path}: {}", String::from_utf8_lossy(&seen));
    }
    stream
}

/// Streams that a service breaks off once they have begun, that their client leaves then, and that never end.
async fn break_off(address: std::net::SocketAddr, broken: &Semaphore) {
    for path in ["/stream/short", "/raw/short"] {
        for _ in 0..LEFT {
            let mut stream = begin(address, path).await;
            broken.add_permits(1);
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    }
    for path in ["/stream/hang", "/raw/hang"] {
        for _ in 0..LEFT {
            drop(begin(address, path).await);
        }
    }
    let overdue = (0..LEFT).map(|_| async {
        let _ = begin(address, "/overdue").await.read_to_end(&mut Vec::new()).await;
    });
    join_all(overdue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_signal_counts_the_same() {
    let broken = Arc::new(Semaphore::new(0));
    let gate = Arc::new(Semaphore::new(0));
    let (breaks, opened) = (Arc::clone(&broken), Arc::clone(&gate));
    let origin = Origin::start(move |request| {
        let (breaks, opened) = (Arc::clone(&breaks), Arc::clone(&opened));
        async move {
            let path = request.uri().path().to_owned();
            if let Some(how) = path.strip_prefix("/body/") {
                streamed(how, breaks)
            } else if let Some(which) = path.strip_prefix("/gated/") {
                // Shut until all of them have been left, and then closed, which lets everybody through.
                let _ = opened.acquire().await;
                if which == "again" { status(503) } else { json("1") }
            } else if path == "/hang" {
                std::future::pending().await
            } else if path.contains("bad") || (path.starts_with("/two") && path.ends_with("2")) {
                status(500)
            } else {
                json("1")
            }
        }
    })
    .await;
    let collector = Collector::start(Mood::Good).await;
    let document = exporting(GATEWAY, collector.address, ", accessLog: {path: access.log}");
    let gateway = Gateway::start_with(&document, &documents(&origin));
    // In portions that the queue holds: what it drops is another test's.
    let mut sent = 0;
    let most = REQUESTS - WAYS * LEFT;
    while sent < most {
        let half = 250.min((most - sent) / 2);
        tokio::join!(
            drive(gateway.address, sent, sent + half),
            drive(gateway.address, sent + half, sent + 2 * half)
        );
        sent += 2 * half;
        let wanted = sent;
        let servers = move |seen: &Seen| {
            seen.spans.iter().filter(|span| span.kind() == SpanKind::Server).count() == wanted
        };
        collector.until("every request", servers).await;
    }
    let (late, failed) = tokio::join!(
        join_all((0..LEFT).map(|_| get(gateway.address, "/late"))),
        join_all((0..LEFT).map(|_| get(gateway.address, "/failed")))
    );
    assert!(late.iter().all(|answer| answer.json()["step"] == "hangs" && answer.status == 504));
    assert!(failed.iter().all(|answer| answer.json()["step"] == "bad" && answer.status == 502));
    let ask = |path: &'static str| join_all((0..LEFT).map(move |_| get(gateway.address, path)));
    let (cut, dimmed) = tokio::join!(ask("/cut"), ask("/dimmed"));
    assert!(cut.iter().all(|answer| answer.json()["code"] == "deadline_exceeded" && answer.status == 504));
    let lacks = "hangs;reason=deadline_exceeded";
    assert!(dimmed.iter().all(|answer| answer.header("segue-degraded") == Some(lacks)));
    assert!(ask("/bad").await.iter().all(|answer| answer.status == 500));
    for path in ["/stream/whole", "/raw/whole"] {
        assert!(ask(path).await.iter().all(|answer| answer.text() == "hello"));
    }
    for _ in 0..LEFT {
        leave(gateway.address, &origin).await;
    }
    break_off(gateway.address, &broken).await;
    outlive(&gateway, &origin, &gate).await;
    let page = loop {
        let page = get(gateway.admin, "/metrics").await;
        let requests = only(&from_prometheus(page.text()), &["request "]);
        if requests.values().sum::<u64>() == REQUESTS as u64 {
            break page;
        }
        tokio::task::yield_now().await;
    };
    let counts = from_prometheus(page.text());
    assert_eq!(counts["request shop/s ok"], 1840);
    assert_eq!(counts["code shop/c upstream_status"], counts["request shop/c failed"]);
    assert_eq!(counts["code  not_found"], counts["request  refused"]);
    assert!(counts["request shop/c degraded"] > 100 && counts["step shop/c three skipped"] > 100);
    for name in [
        "request shop/late failed",
        "code shop/late deadline_exceeded",
        "step shop/late one ok",
        "step shop/late hangs failed",
        "request shop/failed failed",
        "step shop/failed bad failed",
        "step shop/failed hangs cancelled",
        "request shop/gone aborted",
        "code shop/gone client_gone",
        "step shop/gone hangs cancelled",
        "request shop/cut failed",
        "code shop/cut deadline_exceeded",
        "request shop/bad failed",
        "code shop/bad 500",
        "request shop/dimmed degraded",
        "step shop/dimmed hangs failed",
        "request shop/stream ok",
        "step shop/stream x ok",
        "code shop/stream upstream_invalid",
        "step shop/stream x failed",
        "code shop/stream client_gone",
        "step shop/stream x cancelled",
        "request shop/overdue aborted",
        "code shop/overdue deadline_exceeded",
        "step shop/overdue x failed",
        "request shop/raw ok",
        "code shop/raw upstream_invalid",
        "code shop/raw client_gone",
        "step shop/each all late",
        "step shop/each then ok",
        "late shop/each ok",
        "step shop/chain write late",
        "step shop/chain read ok",
        "step shop/chain deep ok",
        "step shop/chain last failed",
        "late shop/chain upstream_status",
        "step shop/again put late",
        "late shop/again upstream_unavailable",
        "call shop/shaky late",
    ] {
        assert_eq!(counts.get(name), Some(&(LEFT as u64)), "{name}: {counts:#?}");
    }
    let calls = |error: &str| counts[&format!("call shop/back {error}")] / LEFT as u64;
    // Proxied, required, optional and streamed; broken streams of both kinds; left ones, and those that another
    // step's failure, or the client's leaving, made useless.
    assert_eq!(["deadline_exceeded", "upstream_invalid", "cancelled"].map(calls), [4, 2, 4]);
    assert_eq!(counts["bytes shop/stream x"], 3 * 5 * LEFT as u64);
    let folder = gateway.folder.path().to_owned();
    let log = loop {
        let log = std::fs::read_to_string(folder.join("access.log")).unwrap();
        if log.lines().count() == REQUESTS + 3 * LEFT {
            break log;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    assert_eq!(from_log(&log), only(&counts, &["request ", "step ", "code ", "late "]), "the access log");
    let (running, _folder) = gateway.into_running();
    running.drain();
    tokio::task::spawn_blocking(|| running.wait()).await.unwrap().unwrap();
    let seen = collector.seen();
    // Whether what outlived its request went well is in the log and in a counter.
    let traced = only(&counts, &["request ", "step ", "code ", "call ", "again ", "bytes "]);
    assert_eq!(from_spans(&seen), traced, "spans");
    let calls = seen.spans.iter().filter(|span| span.kind() == SpanKind::Client);
    let calls: HashSet<String> =
        calls.map(|span| span.span_id.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
    let sent = parents(&origin);
    assert_eq!(sent.iter().filter(|span| !calls.contains::<String>(span)).count(), 0, "calls without a span");
    let again = origin.seen().iter().filter(|seen| seen.target == "/gated/again").count() as u64;
    assert_eq!(counts["again shop/shaky"], again - LEFT as u64);
    assert!(again > LEFT as u64, "none was made again");
    assert_eq!(orphans(&seen), [""; 0], "every span but the request's has a parent");
    assert_eq!(from_otlp(&seen), counts, "metrics over OTLP");
}
