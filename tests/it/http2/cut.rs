//! Requests whose stream a client resets.

use std::sync::{Arc, Mutex};

use http_body_util::BodyExt;

use crate::support::{
    frames::{DATA, END_HEADERS, END_STREAM, End, HEADERS, RST_STREAM, Raw, WHOLE, block, frame, get},
    gateway::{Gateway, route, service},
    origin::{Origin, json},
};

/// Whether each body that reached the origin did so whole.
async fn told(http2: bool, steps: &str) -> Vec<bool> {
    let bodies: Arc<Mutex<Vec<bool>>> = Arc::default();
    let (log, ended) = (Arc::clone(&bodies), Arc::new(tokio::sync::Notify::new()));
    let notify = Arc::clone(&ended);
    let handler = move |request: http::Request<hyper::body::Incoming>| {
        let (log, notify) = (Arc::clone(&log), Arc::clone(&notify));
        async move {
            if request.method() == "POST" {
                let whole = tokio::spawn(async move {
                    let whole = request.into_body().collect().await.is_ok();
                    log.lock().unwrap().push(whole);
                    notify.notify_one();
                });
                whole.await.unwrap();
            }
            json("{}")
        }
    };
    let origin = if http2 { Origin::start_http2(handler).await } else { Origin::start(handler).await };
    let gateway = Gateway::start(&[
        service("back", origin.address, if http2 { "protocol: http2" } else { "" }),
        route("up", &format!("match: {{path: '/{{rest...}}'}}\n{steps}")),
    ]);
    let mut sent = 0;
    for length in [None, Some("10")] {
        for code in [0, 8] {
            sent += 1;
            let mut raw = Raw::connect(gateway.address, &[]).await;
            let mut head =
                vec![(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/up")];
            head.extend(length.map(|length| ("content-length", length)));
            raw.send(&frame(HEADERS, END_HEADERS, 1, &block(&head))).await;
            raw.send(&frame(DATA, 0, 1, b"abc")).await;
            while origin.calls().iter().filter(|call| call.starts_with("POST")).count() < sent {
                tokio::task::yield_now().await;
            }
            raw.send(&frame(RST_STREAM, 0, 1, &[0, 0, 0, code])).await;
            ended.notified().await;
            raw.send(&frame(HEADERS, WHOLE, 3, &get("/up"))).await;
            assert_eq!(raw.end(3).await, End::Status(200), "the connection serves on");
        }
    }
    let mut raw = Raw::connect(gateway.address, &[]).await;
    let head = [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/up")];
    raw.send(&frame(HEADERS, END_HEADERS, 1, &block(&head))).await;
    raw.send(&frame(DATA, END_STREAM, 1, b"abc")).await;
    assert_eq!(raw.end(1).await, End::Status(200));
    bodies.lock().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_reset_never_ends_as_if_it_were_whole() {
    // Whatever the code of the reset: without an error too.
    let wanted = [false, false, false, false, true];
    for http2 in [false, true] {
        assert_eq!(told(http2, "proxy: {service: back}").await, wanted, "http2: {http2}");
    }
}
