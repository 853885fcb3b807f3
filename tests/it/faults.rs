//! Whose fault it was: what clients do wrong is a 4xx, is named so in metrics, and is no upstream's failure.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};

use crate::support::{
    client::{get, raw, send, send_http2},
    gateway::{GATEWAY, Gateway, route, service},
    origin::{Origin, json},
};

async fn metrics(gateway: &Gateway) -> String {
    get(gateway.admin, "/metrics").await.text().to_owned()
}

fn failures(route: &str, code: &str) -> String {
    format!(
        "segue_failures_total{{unit=\"shop\",route=\"shop/{route}\",code=\"{code}\",fault=\"client\"}} 1\n"
    )
}

async fn reads_all(request: Request<Incoming>) -> crate::support::origin::Answer {
    let _ = request.into_body().collect().await;
    json("{}")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_does_wrong_with_its_body_is_no_upstreams_failure() {
    let (one, two) = (Origin::start(reads_all).await, Origin::start_http2(reads_all).await);
    let gateway = Gateway::start(&[
        service("one", one.address, ""),
        service("two", two.address, "protocol: http2"),
        route("one", "match: {path: /one}\nproxy: {service: one}"),
        route("two", "match: {path: /two}\nproxy: {service: two}"),
        route("read", "match: {path: /read}\nrespond: {body: {got: '${ request.body.a }'}}"),
        route(
            "stream",
            "match: {path: /stream}\nsteps: {s: {http: {service: one, method: POST, path: /, body: '${ request.body }'}}}\nrespond: {status: 204}",
        ),
    ]);
    let head = "content-type: application/json\r\nhost: a\r\n";
    for name in ["one", "two", "read", "stream"] {
        let bad = format!(
            "POST /{name} HTTP/1.1\r\n{head}transfer-encoding: chunked\r\n\r\n5\r\n[1,2,\r\nzz\r\n\r\n"
        );
        let answer = raw(gateway.address, bad.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{name}: {answer}");
    }
    let large = Request::post("/read").header("content-type", "application/json");
    let large = large.body(Full::new(Bytes::from(vec![b' '; (1 << 20) + 1]))).unwrap();
    let got = send(gateway.address, large).await;
    assert_eq!((got.status.as_u16(), got.json()["code"].as_str()), (413, Some("payload_too_large")));
    let metrics = metrics(&gateway).await;
    for name in ["one", "two", "read", "stream"] {
        assert!(metrics.contains(&failures(name, "bad_request")), "{name}: {metrics}");
    }
    assert!(metrics.contains(&failures("read", "payload_too_large")), "{metrics}");
    for name in ["one", "two"] {
        let series = format!("segue_upstream_failures_total{{service=\"shop/{name}\"}} 0\n");
        assert!(metrics.contains(&series), "{name}: {metrics}");
    }
    // A connection to the upstream that a broken body was on is not used again.
    for path in ["/one", "/two"] {
        let whole = Request::post(path).body(Full::new(Bytes::from_static(b"{}"))).unwrap();
        assert_eq!(send(gateway.address, whole).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_mid_upload_takes_its_call_with_it_and_nobody_is_blamed() {
    for protocol in ["http1", "http2"] {
        let (came, broke) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (says_came, says_broke) = (Arc::clone(&came), Arc::clone(&broke));
        let handler = move |request: Request<Incoming>| {
            let (came, broke) = (Arc::clone(&says_came), Arc::clone(&says_broke));
            async move {
                let mut body = request.into_body();
                while let Some(frame) = body.frame().await {
                    match frame {
                        Ok(_) => came.notify_one(),
                        Err(_) => {
                            broke.notify_one();
                            break;
                        }
                    }
                }
                json("{}")
            }
        };
        let origin = match protocol {
            "http1" => Origin::start(handler).await,
            _ => Origin::start_http2(handler).await,
        };
        let gateway = Gateway::start(&[
            service("back", origin.address, &format!("protocol: {protocol}")),
            route("pass", "match: {path: /}\nproxy: {service: back}"),
        ]);
        let mut client = TcpStream::connect(gateway.address).await.unwrap();
        client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nsome").await.unwrap();
        came.notified().await;
        drop(client);
        broke.notified().await;
        let aborted = "segue_aborted_total{unit=\"shop\",route=\"shop/pass\",code=\"client_gone\",fault=\"client\"} 1\n";
        loop {
            let metrics = metrics(&gateway).await;
            assert!(
                metrics.contains("segue_upstream_failures_total{service=\"shop/back\"} 0\n"),
                "{metrics}"
            );
            if metrics.contains(aborted) || metrics.contains(&failures("pass", "bad_request")) {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_stops_coming_is_cut_and_blamed_on_the_upstream() {
    let ended = Arc::new(Notify::new());
    let signal = Arc::clone(&ended);
    let origin = Origin::start(move |_| {
        struct Says(Arc<Notify>);
        impl Drop for Says {
            fn drop(&mut self) {
                self.0.notify_one();
            }
        }
        let says = Says(Arc::clone(&signal));
        async move {
            let first = stream::iter([Ok(Frame::data(Bytes::from_static(b"some")))]);
            let pieces = futures_util::StreamExt::chain(first, stream::pending());
            let pieces = futures_util::StreamExt::map(pieces, move |piece| {
                let _ = &says;
                piece
            });
            Response::new(StreamBody::new(pieces).boxed())
        }
    })
    .await;
    let gateway = Gateway::start_with(
        &GATEWAY.replace("workers: 2", "workers: 1\nlimits: {idleTimeout: 500ms}"),
        &[service("back", origin.address, ""), route("pass", "match: {path: /}\nproxy: {service: back}")],
    );
    let mut client = TcpStream::connect(gateway.address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    ended.notified().await;
    // The chunk came, the last one did not: no client takes this for a whole answer.
    assert!(answer.ends_with(b"4\r\nsome\r\n"), "{}", String::from_utf8_lossy(&answer));
    let http2 = tokio::spawn({
        let address = gateway.address;
        async move { send_http2(address, Request::get("http://a/").body(Full::default()).unwrap()).await }
    });
    assert!(http2.await.is_err(), "reading it whole fails");
    ended.notified().await;
    let aborted =
        "segue_aborted_total{unit=\"shop\",route=\"shop/pass\",code=\"idle_timeout\",fault=\"upstream\"} 2\n";
    while !metrics(&gateway).await.contains(aborted) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_came_by_here_eight_times_is_refused_on_every_route() {
    let origin = Origin::json("{}").await;
    let gateway = Gateway::start(&[
        service("back", origin.address, ""),
        route("pass", "match: {path: /pass}\nproxy: {service: back}"),
        route("read", "match: {path: /read}\nrespond: {body: {a: 1}}"),
        route("fixed", "match: {path: /fixed}\nstatic: {status: 204}"),
    ]);
    for path in ["/pass", "/read", "/fixed"] {
        for (visits, refused) in [(7, false), (8, true), (80, true)] {
            let via = vec!["1.1 segue"; visits].join(", ");
            let request = Request::get(path).header("via", via).body(Full::default()).unwrap();
            let got = send(gateway.address, request).await;
            assert_eq!(got.status == 508, refused, "{path} {visits}: {}", got.status);
        }
    }
    let series = r#"segue_failures_total{code="loop_detected",fault="client"} 6"#;
    assert!(metrics(&gateway).await.contains(series));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_before_the_requests_end_says_that_the_connection_closes() {
    let origin = Origin::start(|_| async { json("{}") }).await;
    let gateway = Gateway::start(&[
        service("back", origin.address, ""),
        route("early", "match: {path: /early}\nproxy: {service: back}"),
        route("static", "match: {path: /static}\nrespond: {status: 204}"),
    ]);
    for path in ["/early", "/static"] {
        let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 50\r\n\r\nabc");
        let answer = raw(gateway.address, head.as_bytes()).await;
        assert!(answer.contains("\r\nconnection: close\r\n"), "{path}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_broken_from_the_start_is_a_502_and_counted_as_one() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let answer = b"HTTP/1.1 200 OK\r\nx-text: theirs\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
            stream.write_all(answer).await.unwrap();
            let _ = stream.read_u8().await;
        }
    });
    let gateway = Gateway::start(&[
        service("back", address, ""),
        route("pass", "match: {path: /}\nproxy: {service: back}"),
    ]);
    let one = get(gateway.address, "/").await;
    let two = send_http2(gateway.address, Request::get("http://a/").body(Full::default()).unwrap()).await;
    for got in [one, two] {
        assert_eq!((got.status.as_u16(), got.json()["code"].as_str()), (502, Some("upstream_invalid")));
        assert_eq!(got.header("x-text"), None);
    }
    let metrics = metrics(&gateway).await;
    for series in [
        "segue_failures_total{unit=\"shop\",route=\"shop/pass\",code=\"upstream_invalid\",fault=\"upstream\"} 2\n",
        "segue_upstream_failures_total{service=\"shop/back\"} 2\n",
    ] {
        assert!(metrics.contains(series), "{metrics}");
    }
    assert!(!metrics.contains("segue_aborted_total{unit=\"shop\""), "{metrics}");
}
