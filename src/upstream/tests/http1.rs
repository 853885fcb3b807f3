use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, StatusCode, header::HOST};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Notify, mpsc},
};

use super::origin::{Origin, build, call, get, kind, ok, post, request, service, text};
use crate::{
    body::{Body, BodyError},
    problem::Kind,
    upstream::{Caller, Counts, Outgoing, Spare, Upstreams, switched},
};

/// A body whose frames a test sends.
fn streamed() -> (mpsc::UnboundedSender<Bytes>, Body) {
    let (sender, mut receiver) = mpsc::unbounded_channel::<Bytes>();
    let frames = futures_util::stream::poll_fn(move |cx| {
        receiver.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok::<_, BodyError>(Frame::data(bytes))))
    });
    (sender, Body::other(StreamBody::new(frames)))
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn calls_one_after_the_other_share_a_connection() {
    let origin = Origin::http(|request| async move { ok(request.uri().to_string()) }).await;
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
    for path in ["/a", "/b?c=d", "/"] {
        assert_eq!(text(&upstreams, &upstream, path).await, path);
    }
    // An answer without a body brings its connection back as well.
    let head = request(Method::HEAD, "/", Body::empty());
    assert_eq!(call(&upstreams, &upstream, head).await.unwrap().0, StatusCode::OK);
    assert_eq!(text(&upstreams, &upstream, "/a").await, "/a");
    assert_eq!(origin.accepted(), 1);
    let counts = upstream.counts();
    assert_eq!(counts, Counts { calls: 5, connects: 1, reuses: 4, ..Counts::default() });
    assert_eq!(upstream.calls_in_flight(), 0);
}

#[tokio::test]
async fn a_calls_future_is_small_enough_to_be_moved() {
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&["http://127.0.0.1:1"])));
    let size = size_of_val(&upstreams.send(&upstream, get("/")));
    assert!(size < 3072, "{size} bytes");
}

#[tokio::test]
async fn the_last_used_connection_is_used_first() {
    let origin = Origin::raw(|mut raw, number| async move {
        while raw.read().await.is_some() {
            raw.write(format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{number}")).await;
        }
    })
    .await;
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
    let one = upstreams.send(&upstream, get("/")).await.unwrap();
    let two = upstreams.send(&upstream, get("/")).await.unwrap();
    assert_eq!(upstream.calls_in_flight(), 2);
    for answer in [one, two] {
        answer.into_body().collect(10).await.unwrap();
    }
    assert_eq!(upstreams.idle(&upstream), 2);
    for _ in 0..3 {
        assert_eq!(text(&upstreams, &upstream, "/").await, "1");
    }
}

#[tokio::test]
async fn host_prefix_and_own_headers_are_set() {
    let origin = Origin::http(|request| async move {
        let host = request.headers()[HOST].to_str().unwrap();
        let token = request.headers().get("x-token").map_or("", |value| value.to_str().unwrap());
        ok(format!("{} {host} {token}", request.uri()))
    })
    .await;
    let mut template = service(&[&format!("{}/v2/", origin.url())]);
    template.headers.push((
        http::HeaderName::from_static("x-token"),
        crate::config::service::HeaderSource::Text("t".to_owned()),
        super::origin::place(9),
    ));
    let (upstreams, upstream) = (Upstreams::new(), build(&template));
    let host = origin.address.to_string();
    assert_eq!(text(&upstreams, &upstream, "/a?b").await, format!("/v2/a?b {host} t"));
    let mut preserved = get("/a");
    preserved.request.headers_mut().insert(HOST, "shop.example".parse().unwrap());
    let (_, body) = call(&upstreams, &upstream, preserved).await.unwrap();
    assert_eq!(body, "/v2/a shop.example t");
}

#[tokio::test]
async fn beyond_the_limit_in_flight_calls_are_refused_until_a_body_ends() {
    let origin = Origin::http(|_| async { ok("x") }).await;
    let mut template = service(&[&origin.url()]);
    template.in_flight = 2;
    let (upstreams, upstream) = (Upstreams::new(), build(&template));
    let one = upstreams.send(&upstream, get("/")).await.unwrap();
    let _two = upstreams.send(&upstream, get("/")).await.unwrap();
    assert_eq!(kind(&upstreams, &upstream, "/").await, Kind::UpstreamUnavailable);
    one.into_body().collect(10).await.unwrap();
    assert_eq!(text(&upstreams, &upstream, "/").await, "x");
    assert_eq!(origin.served(), 3);
    // What was shed was not sent, and is no failure of the service.
    let counts = upstream.counts();
    assert_eq!((counts.calls, counts.full, counts.failures), (3, 1, 0));
}

#[tokio::test]
async fn no_more_idle_connections_are_kept_than_allowed() {
    let origin = Origin::http(|_| async { ok("x") }).await;
    let mut template = service(&[&origin.url()]);
    template.idle_per_endpoint = 1;
    let (upstreams, upstream) = (Upstreams::new(), build(&template));
    let one = upstreams.send(&upstream, get("/")).await.unwrap();
    let two = upstreams.send(&upstream, get("/")).await.unwrap();
    for answer in [one, two] {
        answer.into_body().collect(10).await.unwrap();
    }
    assert_eq!(upstreams.idle(&upstream), 1);
    upstreams.close();
    assert_eq!(upstreams.idle(&upstream), 0);
}

#[tokio::test]
async fn an_evicted_upstream_keeps_no_connection() {
    let origin = Origin::http(|_| async { ok("x") }).await;
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
    let kept = build(&service(&[&origin.url()]));
    text(&upstreams, &upstream, "/").await;
    text(&upstreams, &kept, "/").await;
    let streaming = upstreams.send(&upstream, get("/")).await.unwrap();
    upstreams.retain(&[Arc::clone(&kept)]);
    streaming.into_body().collect(10).await.unwrap();
    assert_eq!((upstreams.idle(&upstream), upstreams.idle(&kept)), (0, 1));
    // A request of the old generation is still served.
    assert_eq!(text(&upstreams, &upstream, "/").await, "x");
    assert_eq!(upstreams.idle(&upstream), 0);
    assert_eq!(Arc::strong_count(&upstream), 1);
}

#[tokio::test]
async fn a_body_dropped_early_closes_its_connection() {
    let closed = Arc::new(Notify::new());
    let tells = Arc::clone(&closed);
    let origin = Origin::raw(move |mut raw, number| {
        let tells = Arc::clone(&tells);
        async move {
            raw.read().await.unwrap();
            if number > 0 {
                return raw.write(OK).await;
            }
            raw.write("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\npart").await;
            assert!(raw.read().await.is_none());
            tells.notify_one();
        }
    })
    .await;
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
    let answer = upstreams.send(&upstream, get("/")).await.unwrap();
    let mut body = answer.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "part");
    drop(body);
    assert_eq!(upstream.calls_in_flight(), 0);
    closed.notified().await;
    assert_eq!(text(&upstreams, &upstream, "/").await, "ok");
    assert_eq!(origin.accepted(), 2);
}

#[tokio::test]
async fn a_call_given_up_closes_its_connection() {
    let closed = Arc::new(Notify::new());
    let tells = Arc::clone(&closed);
    let origin = Origin::raw(move |mut raw, _| {
        let tells = Arc::clone(&tells);
        async move {
            raw.read().await.unwrap();
            tells.notify_one();
            assert!(raw.read().await.is_none());
            tells.notify_one();
        }
    })
    .await;
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
    {
        let call = std::pin::pin!(upstreams.send(&upstream, get("/")));
        let read = std::pin::pin!(closed.notified());
        futures_util::future::select(call, read).await;
    }
    closed.notified().await;
    assert_eq!((upstreams.idle(&upstream), upstream.calls_in_flight()), (0, 0));
}

#[tokio::test]
async fn a_call_on_a_connection_found_closed_is_sent_again_if_that_is_safe() {
    // Answers once per connection, then reads one more request and closes without a word.
    let origin = Origin::raw(|mut raw, _| async move {
        raw.read().await.unwrap();
        raw.write(OK).await;
        raw.read().await;
    })
    .await;
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
    assert_eq!(text(&upstreams, &upstream, "/").await, "ok");
    // Bytes were written, the call is idempotent: sent again on a new connection, with its fields.
    let mut again = get("/");
    again.request.headers_mut().insert("x-a", "1".parse().unwrap());
    assert_eq!(call(&upstreams, &upstream, again).await.unwrap().1, "ok");
    assert_eq!((origin.accepted(), origin.served()), (2, 3));
    // Bytes were written, the call is not idempotent: it is not sent again.
    let error = call(&upstreams, &upstream, post("/", "body")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::UpstreamReset);
    assert_eq!((origin.accepted(), origin.served()), (2, 4));
    assert_eq!(upstream.counts().resends, 1);
}

#[tokio::test]
async fn what_the_origin_may_have_seen_is_sent_again_only_while_the_request_has_some_to_spare() {
    let origin = Origin::raw(|mut raw, _| async move {
        raw.read().await.unwrap();
        raw.write(OK).await;
        raw.read().await;
    })
    .await;
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
    assert_eq!(text(&upstreams, &upstream, "/").await, "ok");
    let spare = Spare::new(1);
    let sent = |spare: &Arc<Spare>| Outgoing { spare: Some(Arc::clone(spare)), ..get("/") };
    assert_eq!(call(&upstreams, &upstream, sent(&spare)).await.unwrap().1, "ok");
    let error = call(&upstreams, &upstream, sent(&spare)).await.unwrap_err();
    assert_eq!((error.kind(), origin.served()), (Kind::UpstreamReset, 4));
}

#[tokio::test]
async fn a_streaming_body_that_was_written_is_not_sent_again() {
    let origin = Origin::raw(|mut raw, _| async move {
        raw.read().await.unwrap();
        raw.write(OK).await;
        raw.read().await;
    })
    .await;
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
    assert_eq!(text(&upstreams, &upstream, "/").await, "ok");
    let (sender, body) = streamed();
    sender.send("part".into()).unwrap();
    let error = call(&upstreams, &upstream, request(Method::PUT, "/", body)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::UpstreamReset);
    assert_eq!(origin.served(), 2);
}

#[tokio::test]
async fn an_unsafe_call_reaches_an_origin_that_closes_after_each_answer_exactly_once() {
    let origin = Origin::raw(|mut raw, _| async move {
        raw.read().await.unwrap();
        raw.write(OK).await;
    })
    .await;
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
    let mut answered = 0;
    for _ in 0..20 {
        match call(&upstreams, &upstream, post("/", "x")).await {
            Ok((_, body)) => {
                assert_eq!(body, "ok");
                answered += 1;
            }
            // Written to a connection that was closing: never a second time.
            Err(error) => assert_eq!(error.kind(), Kind::UpstreamReset),
        }
    }
    assert_eq!(origin.served(), answered);
    for _ in 0..20 {
        assert_eq!(text(&upstreams, &upstream, "/").await, "ok");
    }
    assert_eq!(origin.served(), answered + 20);
}

#[tokio::test]
async fn a_silent_origin_is_a_timeout() {
    let origin = Origin::raw(|mut raw, _| async move {
        raw.read().await;
        raw.read().await;
    })
    .await;
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
    let mut silent = get("/");
    silent.timeout = Duration::from_millis(20);
    let error = call(&upstreams, &upstream, silent).await.unwrap_err();
    assert_eq!(error.kind(), Kind::UpstreamTimeout);
    assert_eq!((upstreams.idle(&upstream), upstream.calls_in_flight()), (0, 0));
}

#[tokio::test]
async fn the_timeout_of_a_call_does_not_reach_the_next_on_its_connection() {
    let origin = Origin::raw(|mut raw, _| async move {
        raw.read().await.unwrap();
        raw.write(OK).await;
        raw.read().await.unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
        raw.write(OK).await;
    })
    .await;
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
    let mut first = get("/");
    first.timeout = Duration::from_millis(30);
    assert_eq!(call(&upstreams, &upstream, first).await.unwrap().1, "ok");
    assert_eq!(text(&upstreams, &upstream, "/").await, "ok");
    assert_eq!(origin.accepted(), 1);
}

#[tokio::test]
async fn bodies_stream_both_ways() {
    let origin =
        Origin::http(|request| async move { http::Response::new(Body::from(request.into_body())) }).await;
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
    let (sender, body) = streamed();
    let answer = upstreams.send(&upstream, request(Method::POST, "/", body)).await.unwrap();
    let mut echoed = answer.into_body();
    for part in ["one", "two", "three"] {
        sender.send(part.into()).unwrap();
        assert_eq!(echoed.frame().await.unwrap().unwrap().into_data().unwrap(), part);
    }
    assert_eq!(upstream.calls_in_flight(), 1);
    drop(sender);
    assert!(echoed.frame().await.is_none());
    assert_eq!(text(&upstreams, &upstream, "/").await, "");
    assert_eq!(origin.accepted(), 1);
}

#[tokio::test]
async fn trailers_come_through() {
    let origin = Origin::raw(|mut raw, _| async move {
        raw.read().await.unwrap();
        raw.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n").await;
        raw.write("2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n").await;
        raw.read().await;
    })
    .await;
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
    let answer = upstreams.send(&upstream, get("/")).await.unwrap();
    let whole = answer.into_body().collect_trailers().await;
    assert_eq!(whole.trailers().unwrap()["x-sum"], "7");
    assert_eq!(upstreams.idle(&upstream), 1);
}

#[tokio::test]
async fn an_upgraded_connection_belongs_to_the_caller() {
    let origin = Origin::raw(|mut raw, _| async move {
        assert!(raw.read().await.unwrap().contains("upgrade: echo\r\n"));
        raw.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhi").await;
        let mut bytes = [0; 4];
        raw.stream.read_exact(&mut bytes).await.unwrap();
        raw.write(bytes).await;
    })
    .await;
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
    let mut upgrade = get("/");
    upgrade.request.headers_mut().insert("connection", "upgrade".parse().unwrap());
    upgrade.request.headers_mut().insert("upgrade", "echo".parse().unwrap());
    let mut answer = upstreams.send(&upstream, upgrade).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut stream = switched(&mut answer).unwrap();
    stream.write_all(b"ping").await.unwrap();
    let mut told = [0; 6];
    stream.read_exact(&mut told).await.unwrap();
    assert_eq!(&told, b"hiping");
    assert_eq!(upstreams.idle(&upstream), 0);
}

#[tokio::test]
async fn a_body_is_held_until_the_origin_says_continue() {
    let origin = Origin::raw(|mut raw, number| async move {
        let head = raw.read().await.unwrap();
        assert!(head.ends_with("\r\n\r\n"), "the body was not held: {head}");
        if number == 0 {
            raw.write("HTTP/1.1 100 Continue\r\n\r\n").await;
            let mut body = [0; 9];
            raw.stream.read_exact(&mut body).await.unwrap();
            assert_eq!(&body[..7], b"4\r\nbody");
            raw.write(OK).await;
        } else {
            raw.write("HTTP/1.1 417 Expectation Failed\r\ncontent-length: 2\r\n\r\nno").await;
            assert!(raw.read().await.is_none(), "nothing follows a refusal");
        }
    })
    .await;
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
    for expected in ["ok", "no"] {
        // Each on a connection of its own, whatever is pooled.
        let (sender, body) = streamed();
        sender.send("body".into()).unwrap();
        let mut expecting = request(Method::POST, "/", body);
        expecting.request.headers_mut().insert("expect", "100-continue".parse().unwrap());
        assert_eq!(call(&upstreams, &upstream, expecting).await.unwrap().1, expected);
        drop(sender);
    }
    assert_eq!(origin.accepted(), 2);
}

#[tokio::test]
async fn a_request_body_that_breaks_is_not_the_origins_fault() {
    let origin = Origin::raw(|mut raw, _| async move {
        raw.read().await;
        raw.read().await;
    })
    .await;
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
    let frames = [Ok(Frame::data(Bytes::from("x"))), Err(BodyError::TooLarge { limit: 1 })];
    let body = Body::other(StreamBody::new(futures_util::stream::iter(frames)));
    let error = call(&upstreams, &upstream, request(Method::POST, "/", body)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::PayloadTooLarge);
}

trait CollectTrailers {
    async fn collect_trailers(self) -> http_body_util::Collected<Bytes>;
}

impl CollectTrailers for Body {
    async fn collect_trailers(self) -> http_body_util::Collected<Bytes> {
        BodyExt::collect(self).await.unwrap()
    }
}
