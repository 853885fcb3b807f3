use std::time::Duration;

use http::StatusCode;
use proptest::{prelude::*, test_runner::TestRunner};

use super::origin::{Origin, build, call, get, service, text};
use crate::{
    problem::Kind,
    upstream::{Caller, Upstreams},
};

/// What an origin does after it has written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Close,
    Reset,
    Stay,
}

/// Answers the first connection so, the others well.
async fn origin(bytes: Vec<u8>, then: Then) -> Origin {
    Origin::raw(move |mut raw, number| {
        let bytes = bytes.clone();
        async move {
            if raw.read().await.is_none() {
                return;
            }
            if number > 0 {
                return raw.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood").await;
            }
            raw.write(&bytes).await;
            match then {
                Then::Close => {}
                Then::Reset => {
                    let _ = socket2::SockRef::from(&raw.stream).set_linger(Some(Duration::ZERO));
                }
                Then::Stay => while raw.read().await.is_some() {},
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_malformed_answer_is_named_and_its_connection_not_used_again() {
    use Kind::{UpstreamInvalid as Invalid, UpstreamReset as Reset};
    use Then::{Close, Stay};
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(150));
    let huge = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(1 << 20));
    let interim = format!("{}HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 103 x\r\n\r\n".repeat(101));
    let chunked = |body: &str| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}");
    let cases: &[(&str, &str, Then, Kind)] = &[
        ("nothing at all", "", Close, Reset),
        ("half a status line", "HTTP/1.1 20", Close, Reset),
        ("half a head", "HTTP/1.1 200 OK\r\ncontent-le", Close, Reset),
        ("a reset instead of a head", "", Then::Reset, Reset),
        ("no HTTP", "hello there\r\n\r\n", Stay, Invalid),
        ("an unknown version", "HTTP/9.1 200 OK\r\n\r\n", Stay, Invalid),
        ("HTTP/2 unasked", "\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\x04\0\x10", Stay, Invalid),
        ("letters as status", "HTTP/1.1 abc OK\r\n\r\n", Stay, Invalid),
        ("a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", Stay, Invalid),
        ("a status below 100", "HTTP/1.1 099 x\r\n\r\n", Stay, Invalid),
        ("a status above 599", "HTTP/1.1 600 x\r\ncontent-length: 0\r\n\r\n", Stay, Invalid),
        ("a field without a colon", "HTTP/1.1 200 OK\r\nfield\r\n\r\n", Stay, Invalid),
        ("a space before the colon", "HTTP/1.1 200 OK\r\na : b\r\n\r\n", Stay, Invalid),
        ("a folded field", "HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n", Stay, Invalid),
        ("NUL in a value", "HTTP/1.1 200 OK\r\na: b\0c\r\n\r\n", Stay, Invalid),
        ("too many fields", &many, Stay, Invalid),
        ("an endless field", &huge, Stay, Invalid),
        ("two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx", Stay, Invalid),
        ("a negative length", "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", Stay, Invalid),
        ("letters as length", "HTTP/1.1 200 OK\r\ncontent-length: 1x\r\n\r\nx", Stay, Invalid),
        (
            "length and chunks",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            Stay,
            Invalid,
        ),
        ("another coding", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nx", Close, Invalid),
        (
            "chunked twice",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            Stay,
            Invalid,
        ),
        (
            "chunks in HTTP/1.0",
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            Stay,
            Invalid,
        ),
        ("no chunk size", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", Stay, Invalid),
        (
            "a chunk size beyond all measure",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
            Stay,
            Invalid,
        ),
        ("a chunk without a size", &chunked("2\r\nok\r\n\r\n\r\n"), Stay, Invalid),
        ("a blank chunk size", &chunked("2\r\nok\r\n \r\n\r\n"), Stay, Invalid),
        ("an extension alone", &chunked("2\r\nok\r\n;x\r\n\r\n"), Stay, Invalid),
        ("a blank behind a size", &chunked("2 \r\nok\r\n0\r\n\r\n"), Stay, Invalid),
        ("LF in an extension", &chunked("2;x\n\r\nok\r\n0\r\n\r\n"), Stay, Invalid),
        ("a control in an extension", &chunked("2;x=\x01\r\nok\r\n0\r\n\r\n"), Stay, Invalid),
        ("an endless extension", &chunked(&format!("2;{}", "x".repeat(5000))), Stay, Invalid),
        ("a trailer without a colon", &chunked("2\r\nok\r\n0\r\nx\r\n\r\n"), Stay, Invalid),
        ("a trailer's name with a blank", &chunked("2\r\nok\r\n0\r\nx y: 1\r\n\r\n"), Stay, Invalid),
        ("endless trailers", &chunked(&format!("0\r\n{}", "a: b\r\n".repeat(101))), Stay, Invalid),
        ("an interim answer with a body", "HTTP/1.1 103 x\r\ncontent-length: 5\r\n\r\nHTTP/", Stay, Invalid),
        ("a chunk cut short", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab", Close, Invalid),
        ("no last chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n", Close, Invalid),
        ("a body cut short", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab", Close, Invalid),
        ("a reset inside the body", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab", Then::Reset, Reset),
        ("101 unasked", "HTTP/1.1 101 x\r\nupgrade: a\r\nconnection: upgrade\r\n\r\n", Stay, Invalid),
        ("101 interim answers", &interim, Stay, Invalid),
    ];
    for (name, bytes, then, expected) in cases {
        let origin = origin(bytes.as_bytes().to_vec(), *then).await;
        let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
        let error = call(&upstreams, &upstream, get("/")).await.expect_err(name);
        assert_eq!(error.kind(), *expected, "{name}: {error:?}");
        assert!(error.private_cause().is_some(), "{name}: nothing for the log");
        assert_eq!((upstreams.idle(&upstream), upstream.calls_in_flight()), (0, 0), "{name}");
        assert_eq!(text(&upstreams, &upstream, "/").await, "good", "{name}");
        assert_eq!(origin.accepted(), 2, "{name}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_body_at_once_is_wrong_with_the_answer() {
    let head = "HTTP/1.1 200 OK\r\n";
    for (bytes, then) in [
        ("transfer-encoding: chunked\r\n\r\nzz\r\n", Then::Stay),
        ("transfer-encoding: chunked\r\n\r\n2\r\nok\r\n\r\n\r\n", Then::Stay),
        ("transfer-encoding: chunked\r\n\r\n5\r\nab", Then::Close),
        ("content-length: 10\r\n\r\nok", Then::Close),
    ] {
        let origin = origin(format!("{head}{bytes}").into_bytes(), then).await;
        let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
        let error = upstreams.send(&upstream, get("/")).await.expect_err(bytes);
        assert_eq!(error.kind(), Kind::UpstreamInvalid, "{bytes}");
        assert_eq!((upstream.counts().failures, upstream.calls_in_flight()), (1, 0), "{bytes}");
    }
}

#[tokio::test]
async fn trailers_and_extensions_that_are_well_formed_pass() {
    let bytes =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a=\"b\"\r\nok\r\n000\r\nx-sum: 7 \r\n\r\n";
    let origin = origin(bytes.into(), Then::Stay).await;
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
    let answer = upstreams.send(&upstream, get("/")).await.unwrap();
    let collected = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "7");
    assert_eq!(collected.to_bytes(), "ok");
    assert_eq!(upstreams.idle(&upstream), 1);
}

#[tokio::test]
async fn a_body_that_cannot_be_there_is_not_the_next_answer() {
    let poison = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nPOISON";
    let head = format!("HTTP/1.1 204 No Content\r\ncontent-length: {}\r\n\r\n", poison.len());
    let origin = Origin::raw(move |mut raw, number| {
        let head = head.clone();
        async move {
            raw.read().await.unwrap();
            if number > 0 {
                return raw.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood").await;
            }
            raw.write(head).await;
            if raw.read().await.is_some() {
                raw.write(poison).await;
            }
        }
    })
    .await;
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
    assert_eq!(call(&upstreams, &upstream, get("/")).await.unwrap().0, StatusCode::NO_CONTENT);
    assert_eq!(text(&upstreams, &upstream, "/").await, "good");
}

#[tokio::test]
async fn a_malformed_answer_on_a_used_connection_is_not_asked_for_again() {
    let origin = Origin::raw(|mut raw, _| async move {
        raw.read().await.unwrap();
        raw.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        raw.read().await.unwrap();
        raw.write("HTTP/1.1 nonsense\r\n\r\n").await;
    })
    .await;
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
    assert_eq!(text(&upstreams, &upstream, "/").await, "ok");
    let error = call(&upstreams, &upstream, get("/")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::UpstreamInvalid);
    assert_eq!((origin.accepted(), origin.served()), (1, 2));
}

#[tokio::test]
async fn a_hundred_interim_answers_are_borne() {
    let bytes = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(100);
    let bytes = format!("{bytes}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let origin = origin(bytes.into_bytes(), Then::Stay).await;
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
    assert_eq!(text(&upstreams, &upstream, "/").await, "ok");
}

#[tokio::test]
async fn what_follows_an_answer_is_never_taken_for_the_next() {
    let twice = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst".repeat(2);
    let origin = origin(twice.into_bytes(), Then::Stay).await;
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
    assert_eq!(text(&upstreams, &upstream, "/").await, "first");
    assert_eq!(text(&upstreams, &upstream, "/").await, "good");
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_read_and_not_pooled() {
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n"] {
        let origin = origin(format!("{head}to the end").into_bytes(), Then::Close).await;
        let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
        assert_eq!(text(&upstreams, &upstream, "/").await, "to the end");
        assert_eq!(upstreams.idle(&upstream), 0);
        assert_eq!(text(&upstreams, &upstream, "/").await, "good");
    }
}

#[tokio::test]
async fn a_connection_that_is_to_be_closed_is_not_used_again() {
    let bytes = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
    let origin = origin(bytes.into(), Then::Stay).await;
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
    assert_eq!(text(&upstreams, &upstream, "/").await, "ok");
    assert_eq!(text(&upstreams, &upstream, "/").await, "good");
    assert_eq!(origin.accepted(), 2);
}

#[test]
fn any_bytes_give_an_answer_or_a_clear_error() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let part = prop_oneof![
        Just(b"HTTP/1.1 200 OK\r\n".to_vec()),
        Just(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
        Just(b"content-length: 3\r\n".to_vec()),
        Just(b"transfer-encoding: chunked\r\n".to_vec()),
        Just(b"connection: upgrade\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"3\r\nabc\r\n0\r\n\r\n".to_vec()),
        "[ -~]{0,12}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..12),
    ];
    let bytes = proptest::collection::vec(part, 0..8).prop_map(|parts| parts.concat());
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) });
    runner
        .run(&bytes, |bytes| {
            let outcome = runtime.block_on(async {
                let origin = origin(bytes, Then::Close).await;
                let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&origin.url()])));
                tokio::time::timeout(Duration::from_secs(5), call(&upstreams, &upstream, get("/"))).await
            });
            match outcome.expect("no hang") {
                Ok((status, _)) => prop_assert_ne!(status, StatusCode::SWITCHING_PROTOCOLS),
                Err(error) => {
                    prop_assert!(
                        matches!(error.kind(), Kind::UpstreamInvalid | Kind::UpstreamReset),
                        "{error:?}"
                    );
                }
            }
            Ok(())
        })
        .unwrap();
}
