//! Which answers are compressed, and that what comes out is what went in.

use std::io::Read;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;
use tower::{ServiceExt, service_fn};

use super::*;
use crate::policy::testing::{exchange, request};

fn settings() -> Arc<Settings> {
    Arc::new(Settings { types: vec!["application/json".to_owned(), "text/*".to_owned()], min_bytes: 1024 })
}

fn text(size: usize) -> Bytes {
    let words = "the quick brown fox jumps over the lazy dog, ".repeat(size / 45 + 1);
    Bytes::from(words).slice(..size)
}

/// Sends a request whose answer has these fields and this body.
async fn answer(head: &str, fields: &[(&'static str, &'static str)], body: Body) -> Response<Body> {
    let mut body = Some(body);
    let endpoint = service_fn(move |_: Request<Body>| {
        let mut response = Response::new(body.take().unwrap());
        for (name, value) in fields {
            match *name {
                ":status" => *response.status_mut() = value.parse().unwrap(),
                _ => {
                    response.headers_mut().append(*name, HeaderValue::from_static(value));
                }
            }
        }
        std::future::ready(Ok::<_, std::convert::Infallible>(response))
    });
    CompressLayer::new(&settings()).layer(endpoint).oneshot(request(head, exchange())).await.unwrap()
}

fn unpacked(coding: &str, packed: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        "gzip" => flate2::read::GzDecoder::new(packed).read_to_end(&mut out).unwrap(),
        _ => brotli::Decompressor::new(packed, 4096).read_to_end(&mut out).unwrap(),
    };
    out
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json; charset=utf-8")];

#[tokio::test]
async fn the_client_chooses() {
    for (accept, expected) in [
        ("gzip", Some("gzip")),
        ("x-gzip", Some("gzip")),
        ("gzip, br", Some("br")),
        ("gzip;q=1.0, br;q=0.5", Some("gzip")),
        ("br;q=0, *", Some("gzip")),
        ("*", Some("br")),
        ("*;q=0", None),
        ("deflate, zstd", None),
        ("identity", None),
        ("gzip;q=0.5, identity", None),
        ("gzip;q=0.5, identity;q=0", Some("gzip")),
        ("gzip;q=0", None),
        ("gzip;q=high", None),
        ("", None),
    ] {
        let head = format!("GET /\naccept-encoding: {accept}");
        let got = answer(&head, JSON, Body::full(text(5000))).await;
        let coding = got.headers().get("content-encoding").map(|coding| coding.to_str().unwrap());
        assert_eq!(coding, expected, "{accept}");
        assert_eq!(got.headers()["vary"], "accept-encoding");
        let bytes = got.into_body().collect(1 << 20).await.unwrap();
        match expected {
            Some(coding) => assert_eq!(unpacked(coding, &bytes), text(5000)),
            None => assert_eq!(bytes, text(5000)),
        }
    }
}

#[tokio::test]
async fn what_must_stay_as_it_is_stays_as_it_is() {
    let kinds: &[&[(&str, &str)]] = &[
        &[],
        &[("content-type", "image/png")],
        &[("content-type", "textual/plain")],
        &[("content-type", "text/event-stream")],
        &[("content-type", "application/grpc+proto")],
        &[("content-type", "text/plain"), ("content-encoding", "br")],
        &[("content-type", "text/plain"), ("cache-control", "private, No-Transform")],
        &[("content-type", "text/plain"), ("content-range", "bytes 0-1/2")],
        &[("content-type", "text/plain"), ("content-digest", "sha-256=:x:")],
        &[("content-type", "text/plain"), (":status", "206")],
    ];
    for fields in kinds {
        let got = answer("GET /\naccept-encoding: gzip", fields, Body::full(text(5000))).await;
        assert_eq!(got.headers().get("vary"), None, "{fields:?}");
        assert_eq!(got.into_body().collect(1 << 20).await.unwrap(), text(5000), "{fields:?}");
    }
    let small = answer("GET /\naccept-encoding: gzip", JSON, Body::full(text(1023))).await;
    assert_eq!(small.headers().get("content-encoding"), None);
    for (length, varies) in [(None, true), (Some("5000"), true), (Some("1023"), false)] {
        let mut fields = JSON.to_vec();
        fields.extend(length.map(|length| ("content-length", length)));
        let head = answer("HEAD /\naccept-encoding: gzip", &fields, Body::empty()).await;
        assert_eq!(head.headers().get("content-encoding"), None);
        assert_eq!(head.headers().contains_key("vary"), varies, "{length:?}");
    }
}

#[tokio::test]
async fn fields_that_speak_of_the_bytes_are_changed() {
    let fields = &[
        ("content-type", "text/plain"),
        ("content-length", "5000"),
        ("etag", "\"abc\""),
        ("accept-ranges", "bytes"),
        ("vary", "origin"),
    ];
    let got = answer("GET /\naccept-encoding: gzip", fields, Body::full(text(5000))).await;
    assert_eq!(got.headers()["etag"], "W/\"abc\"");
    assert!(!got.headers().contains_key("content-length") && !got.headers().contains_key("accept-ranges"));
    assert_eq!(got.headers().get_all("vary").iter().collect::<Vec<_>>(), ["origin", "accept-encoding"]);
    let weak = &[("content-type", "text/plain"), ("etag", "W/\"abc\"")];
    let got = answer("GET /\naccept-encoding: gzip", weak, Body::full(text(5000))).await;
    assert_eq!(got.headers()["etag"], "W/\"abc\"");
}

#[tokio::test]
async fn long_bodies_and_trailers_come_through() {
    for coding in ["gzip", "br"] {
        let whole = text(1_000_000);
        let pieces = whole.chunks(70_001).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece))));
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("1"));
        let frames: Vec<_> = pieces.chain([Ok(Frame::trailers(trailers.clone()))]).collect();
        let body = Body::other(StreamBody::new(futures_util::stream::iter(frames)));
        let got = answer(&format!("GET /\naccept-encoding: {coding}"), JSON, body).await;
        let read = BodyExt::collect(got.into_body()).await.unwrap();
        assert_eq!(read.trailers(), Some(&trailers));
        let bytes = read.to_bytes();
        assert!(bytes.len() < 100_000);
        assert_eq!(unpacked(coding, &bytes), text(1_000_000));
    }
}

#[tokio::test]
async fn each_piece_of_a_stream_is_there_when_its_sender_pauses() {
    for coding in ["gzip", "br"] {
        let (sender, receiver) = mpsc::channel::<Bytes>(1);
        let frames = futures_util::stream::unfold(receiver, |mut receiver| async {
            let data = receiver.recv().await?;
            Some((Ok(Frame::data(data)), receiver))
        });
        let body = StreamBody::new(frames);
        let got = answer(&format!("GET /\naccept-encoding: {coding}"), JSON, Body::other(body)).await;
        let mut body = got.into_body();
        let mut packed = Vec::new();
        for index in 0..3 {
            sender.send(Bytes::from(format!("piece {index};"))).await.unwrap();
            let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
            packed.extend_from_slice(&frame);
        }
        let mut seen = vec![0; 24];
        match coding {
            "gzip" => flate2::read::GzDecoder::new(&packed[..]).read_exact(&mut seen).unwrap(),
            _ => brotli::Decompressor::new(&packed[..], 4096).read_exact(&mut seen).unwrap(),
        }
        assert_eq!(seen, b"piece 0;piece 1;piece 2;");
        drop(sender);
        while let Some(frame) = body.frame().await {
            packed.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
        assert_eq!(unpacked(coding, &packed), b"piece 0;piece 1;piece 2;");
    }
}
