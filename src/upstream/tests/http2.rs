use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header::HOST,
};
use tokio::sync::{Barrier, Notify};

use super::origin::{Origin, build, call, get, kind, ok, request, service, text};
use crate::{
    body::Body,
    config::service::Protocol,
    plan::Service,
    problem::Kind,
    upstream::{Caller, Upstreams},
};

fn http2(url: &str) -> Service {
    let mut template = service(&[url]);
    template.protocol = Protocol::Http2;
    template
}

#[tokio::test]
async fn calls_share_a_connection_at_the_same_time() {
    // Answers only once eight calls are there.
    let barrier = Arc::new(Barrier::new(8));
    let origin = Origin::http2(100, move |request: Request<hyper::body::Incoming>| {
        let barrier = Arc::clone(&barrier);
        async move {
            assert_eq!(request.version(), Version::HTTP_2);
            barrier.wait().await;
            ok(request.uri().to_string())
        }
    })
    .await;
    let (upstreams, upstream) = (Upstreams::new(), build(&http2(&format!("{}/v2", origin.url()))));
    let calls = (0..8).map(|number| {
        let (upstreams, upstream) = (&upstreams, &upstream);
        async move { text(upstreams, upstream, &format!("/{number}")).await }
    });
    for (number, uri) in futures_util::future::join_all(calls).await.into_iter().enumerate() {
        assert_eq!(uri, format!("{}/v2/{number}", origin.url()));
    }
    assert_eq!((origin.accepted(), upstream.calls_in_flight()), (1, 0));
    assert_eq!(upstream.counts().connects, 1);
}

#[tokio::test]
async fn the_callers_host_becomes_the_authority() {
    let origin = Origin::http2(100, |request: Request<hyper::body::Incoming>| async move {
        ok(request.uri().authority().unwrap().to_string())
    })
    .await;
    let (upstreams, upstream) = (Upstreams::new(), build(&http2(&origin.url())));
    let mut preserved = get("/");
    preserved.request.headers_mut().insert(HOST, "shop.example".parse().unwrap());
    assert_eq!(call(&upstreams, &upstream, preserved).await.unwrap().1, "shop.example");
    assert_eq!(text(&upstreams, &upstream, "/").await, origin.address.to_string());
}

#[tokio::test]
async fn more_calls_than_a_connection_takes_open_another() {
    let release = Arc::new(Notify::new());
    let held = Arc::clone(&release);
    let origin = Origin::http2(2, move |request: Request<hyper::body::Incoming>| {
        let held = Arc::clone(&held);
        async move {
            if request.uri().path() == "/held" {
                held.notified().await;
            }
            ok("x")
        }
    })
    .await;
    let (upstreams, upstream) = (Upstreams::new(), build(&http2(&origin.url())));
    // The peer's limit is known after the first answer.
    text(&upstreams, &upstream, "/").await;
    tokio::task::yield_now().await;
    let mut held: Vec<_> = (0..2).map(|_| Box::pin(upstreams.send(&upstream, get("/held")))).collect();
    for call in &mut held {
        assert!(futures_util::poll!(call.as_mut()).is_pending());
    }
    assert_eq!(text(&upstreams, &upstream, "/").await, "x");
    assert_eq!(origin.accepted(), 2);
    release.notify_waiters();
    drop(held);
}

#[tokio::test]
async fn a_connection_that_goes_away_is_replaced() {
    let origin = Origin::raw(|raw, number| async move {
        let mut connection = h2::server::handshake(raw.stream).await.unwrap();
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        stream.send_data(Bytes::from(number.to_string()), true).unwrap();
        connection.graceful_shutdown();
        while connection.accept().await.is_some() {}
    })
    .await;
    let (upstreams, upstream) = (Upstreams::new(), build(&http2(&origin.url())));
    for number in 0..5 {
        assert_eq!(text(&upstreams, &upstream, "/").await, number.to_string());
    }
    assert_eq!(origin.accepted(), 5);
}

#[tokio::test]
async fn a_stream_that_is_refused_once_is_sent_again_if_that_is_safe() {
    let origin = Origin::raw(|raw, _| async move {
        let mut connection = h2::server::handshake(raw.stream).await.unwrap();
        let mut count = 0;
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            count += 1;
            if count % 2 == 0 {
                respond.send_reset(h2::Reason::REFUSED_STREAM);
            } else {
                respond.send_response(Response::new(()), true).unwrap();
            }
        }
    })
    .await;
    let (upstreams, upstream) = (Upstreams::new(), build(&http2(&origin.url())));
    assert_eq!(text(&upstreams, &upstream, "/").await, "");
    assert_eq!(text(&upstreams, &upstream, "/").await, "");
    let unsafe_call = request(Method::POST, "/", Body::full("x"));
    let error = call(&upstreams, &upstream, unsafe_call).await.unwrap_err();
    assert_eq!(error.kind(), Kind::UpstreamReset);
    assert_eq!((origin.accepted(), upstream.counts().resends), (1, 1));
}

#[tokio::test]
async fn a_peer_that_does_not_speak_it_is_an_error() {
    let origin = Origin::http(|_| async { ok("x") }).await;
    let (upstreams, upstream) = (Upstreams::new(), build(&http2(&origin.url())));
    let kind = kind(&upstreams, &upstream, "/").await;
    assert!(matches!(kind, Kind::UpstreamInvalid | Kind::UpstreamReset), "{kind:?}");
    assert_eq!(upstream.calls_in_flight(), 0);
}

#[tokio::test]
async fn a_body_dropped_early_leaves_the_connection_to_others() {
    let origin = Origin::http2(100, |_| async { ok(vec![0; 1 << 20]) }).await;
    let (upstreams, upstream) = (Upstreams::new(), build(&http2(&origin.url())));
    let answer = upstreams.send(&upstream, get("/")).await.unwrap();
    assert_eq!(upstream.calls_in_flight(), 1);
    drop(answer);
    assert_eq!(upstream.calls_in_flight(), 0);
    let (status, body) = call(&upstreams, &upstream, get("/")).await.unwrap();
    assert_eq!((status, body.len(), origin.accepted()), (StatusCode::OK, 1 << 20, 1));
}

#[tokio::test]
async fn clients_that_read_nothing_do_not_starve_those_who_read() {
    let origin = Origin::http2(1_000, |_| async { ok(vec![0; 1 << 20]) }).await;
    let (upstreams, upstream) = (Upstreams::new(), build(&http2(&origin.url())));
    let mut unread = Vec::new();
    for _ in 0..99 {
        unread.push(upstreams.send(&upstream, get("/")).await.unwrap());
    }
    let (_, body) = call(&upstreams, &upstream, get("/")).await.unwrap();
    assert_eq!((body.len(), origin.accepted()), (1 << 20, 1));
    // All that a connection takes wait unread: the next has one of its own.
    unread.push(upstreams.send(&upstream, get("/")).await.unwrap());
    let (_, body) = call(&upstreams, &upstream, get("/")).await.unwrap();
    assert_eq!((body.len(), origin.accepted()), (1 << 20, 2));
}

/// An origin over HTTP/2 that never answers, and counts requests and resets.
async fn silent() -> (Origin, Arc<std::sync::Mutex<(u32, u32)>>, Arc<Notify>) {
    let (seen, changed) = (Arc::new(std::sync::Mutex::new((0, 0))), Arc::new(Notify::new()));
    let (log, wakes) = (Arc::clone(&seen), Arc::clone(&changed));
    let origin = Origin::raw(move |raw, _| {
        let (log, wakes) = (Arc::clone(&log), Arc::clone(&wakes));
        async move {
            let mut connection = h2::server::handshake(raw.stream).await.unwrap();
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                log.lock().unwrap().0 += 1;
                wakes.notify_waiters();
                let (log, wakes) = (Arc::clone(&log), Arc::clone(&wakes));
                tokio::spawn(async move {
                    let _ = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
                    log.lock().unwrap().1 += 1;
                    wakes.notify_waiters();
                });
            }
        }
    })
    .await;
    (origin, seen, changed)
}

#[tokio::test]
async fn past_twenty_resets_a_second_safe_calls_are_left_to_end() {
    let (origin, seen, changed) = silent().await;
    let (upstreams, upstream) = (Upstreams::new(), build(&http2(&origin.url())));
    let until = |want: (u32, u32)| {
        let (seen, changed) = (&seen, &changed);
        async move {
            loop {
                let news = changed.notified();
                if *seen.lock().unwrap() == want {
                    return;
                }
                news.await;
            }
        }
    };
    let mut calls: Vec<_> = (0..40).map(|_| Box::pin(upstreams.send(&upstream, get("/")))).collect();
    let arrived = until((40, 0));
    tokio::select! {
        () = arrived => {}
        _ = futures_util::future::join_all(calls.iter_mut()) => panic!("an answer"),
    }
    drop(calls);
    until((40, 20)).await;
    assert_eq!(upstream.calls_in_flight(), 20, "those that are left to end count on");
    // What changes something is cancelled all the same.
    let unsafe_call = upstreams.send(&upstream, request(Method::POST, "/", Body::full("x")));
    tokio::select! {
        () = until((41, 20)) => {}
        _ = unsafe_call => panic!("an answer"),
    }
    until((41, 21)).await;
    assert_eq!(origin.accepted(), 1);
}

#[tokio::test]
async fn interim_answers_without_an_end_are_an_error() {
    let origin = Origin::raw(|raw, _| async move {
        let mut connection = h2::server::handshake(raw.stream).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let count: usize = request.uri().path()[1..].parse().unwrap();
            for _ in 0..count {
                let mut interim = Response::new(());
                *interim.status_mut() = StatusCode::EARLY_HINTS;
                respond.send_informational(interim).unwrap();
            }
            let mut stream = respond.send_response(Response::new(()), false).unwrap();
            stream.send_data(Bytes::from_static(b"x"), true).unwrap();
        }
    })
    .await;
    let (upstreams, upstream) = (Upstreams::new(), build(&http2(&origin.url())));
    assert_eq!(text(&upstreams, &upstream, "/0").await, "x");
    assert_eq!(text(&upstreams, &upstream, "/100").await, "x");
    let kind = kind(&upstreams, &upstream, "/101").await;
    assert!(matches!(kind, Kind::UpstreamInvalid | Kind::UpstreamReset), "{kind:?}");
    assert_eq!(upstream.calls_in_flight(), 0);
}

#[tokio::test]
async fn a_reset_without_an_error_ends_an_answer_only_behind_its_end() {
    let origin = Origin::raw(|raw, _| async move {
        let mut connection = h2::server::handshake(raw.stream).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let mut response = Response::new(());
            if request.uri().path() == "/length" {
                response.headers_mut().insert("content-length", "10".parse().unwrap());
            }
            let whole = request.uri().path() == "/whole";
            let mut stream = respond.send_response(response, false).unwrap();
            stream.send_data(Bytes::from_static(b"ok"), whole).unwrap();
            // What is queued goes out before the reset only if it is written first.
            let _ = futures_util::poll!(std::pin::pin!(connection.accept()));
            stream.send_reset(h2::Reason::NO_ERROR);
        }
    })
    .await;
    let (upstreams, upstream) = (Upstreams::new(), build(&http2(&origin.url())));
    assert_eq!(text(&upstreams, &upstream, "/whole").await, "ok");
    for path in ["/length", "/open"] {
        let answer = upstreams.send(&upstream, get(path)).await.expect("a head");
        let error = answer.into_body().collect(64).await.expect_err(path);
        assert_eq!(crate::upstream::broken_body(&error).kind(), Kind::UpstreamInvalid, "{path}");
    }
    assert_eq!((origin.accepted(), upstream.calls_in_flight()), (1, 0));
}

#[tokio::test]
async fn fields_are_what_they_are_over_http1() {
    let origin = Origin::raw(|raw, _| async move {
        let mut connection = h2::server::handshake(raw.stream).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let mut response = Response::new(());
            let headers = response.headers_mut();
            match request.uri().path() {
                "/name" => drop(headers.insert(quoted(), HeaderValue::from_static("1"))),
                "/before" => drop(headers.insert("x", HeaderValue::from_static(" a"))),
                "/behind" => drop(headers.insert("x", HeaderValue::from_static("a\t"))),
                "/lengths" => {
                    headers.append("content-length", HeaderValue::from_static("1"));
                    headers.append("content-length", HeaderValue::from_static("1"));
                }
                "/status" => *response.status_mut() = StatusCode::from_u16(600).unwrap(),
                _ => {}
            }
            let mut stream = respond.send_response(response, false).unwrap();
            let mut trailers = HeaderMap::new();
            match request.uri().path() {
                "/trailer" => drop(trailers.insert("x", HeaderValue::from_static("a "))),
                "/trailers" => drop(trailers.insert(quoted(), HeaderValue::from_static("1"))),
                _ => drop(trailers.insert("x", HeaderValue::from_static("a"))),
            }
            stream.send_data(Bytes::from_static(b"x"), false).unwrap();
            stream.send_trailers(trailers).unwrap();
        }
    })
    .await;
    let (upstreams, upstream) = (Upstreams::new(), build(&http2(&origin.url())));
    for path in ["/name", "/before", "/behind", "/lengths", "/status"] {
        let error = upstreams.send(&upstream, get(path)).await.expect_err(path);
        assert_eq!(error.kind(), Kind::UpstreamInvalid, "{path}");
        assert!(error.private_cause().is_some(), "{path}: nothing for the log");
    }
    for path in ["/trailer", "/trailers"] {
        assert_eq!(kind(&upstreams, &upstream, path).await, Kind::UpstreamInvalid, "{path}");
    }
    assert_eq!(text(&upstreams, &upstream, "/good").await, "x");
    assert_eq!((origin.accepted(), upstream.calls_in_flight()), (1, 0));
}

/// A name that the codec lets pass.
fn quoted() -> HeaderName {
    HeaderName::from_lowercase(b"x\"y").unwrap()
}
