//! WebSockets over HTTP/2 (RFC 8441): a stream opened by CONNECT is tunnelled to a service of HTTP/1.1.

use http::StatusCode;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    frames::{
        DATA, END_HEADERS, END_STREAM, End, HEADERS, RST_STREAM, Raw, SETTINGS, WHOLE, block, frame, get,
    },
    gateway::{GATEWAY, Gateway, route, service},
    origin::{Origin, json, status},
};

const ENABLE_CONNECT_PROTOCOL: [u8; 6] = [0, 8, 0, 0, 0, 1];

fn connect(path: &str, protocol: &str) -> Vec<u8> {
    block(&[
        (":method", "CONNECT"),
        (":protocol", protocol),
        (":scheme", "http"),
        (":path", path),
        (":authority", "a.example"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "chat"),
    ])
}

/// Says back what it is told, in pieces of four bytes, backwards.
async fn backwards() -> Origin {
    Origin::start(|mut request| async move {
        if request.uri().path() == "/no" {
            return status(403);
        }
        if request.uri().path() == "/plain" {
            return json("{}");
        }
        assert_eq!(
            (request.method().as_str(), &request.headers()["upgrade"]),
            ("GET", &"websocket".parse().unwrap())
        );
        assert_eq!(request.headers()["sec-websocket-version"], "13");
        let key = request.headers()["sec-websocket-key"].as_bytes().to_vec();
        assert_eq!(key.len(), 24);
        let said = [&key[..], b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &said);
        let accept = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, digest);
        let wrong = request.uri().path() == "/wrong";
        tokio::spawn(async move {
            let mut io = TokioIo::new(hyper::upgrade::on(&mut request).await.unwrap());
            let mut buffer = [0u8; 4];
            while io.read_exact(&mut buffer).await.is_ok() {
                buffer.reverse();
                io.write_all(&buffer).await.unwrap();
            }
        });
        let mut answer = status(101);
        let accept = if wrong { "wrong".to_owned() } else { accept };
        for (name, value) in
            [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-accept", &accept)]
        {
            answer.headers_mut().insert(name, value.parse().unwrap());
        }
        answer
    })
    .await
}

async fn gateway(origin: &Origin, limits: &str) -> Gateway {
    Gateway::start_with(
        &format!("{GATEWAY}limits: {{{limits}}}\ntelemetry: {{accessLog: {{path: access.log}}}}\n"),
        &[
            service("back", origin.address, ""),
            route("all", "match: {path: '/{rest...}'}\nproxy: {service: back}"),
            route("static", "match: {path: /static}\nstatic: {body: here}"),
        ],
    )
}

async fn data(raw: &mut Raw, stream: u32) -> Vec<u8> {
    loop {
        let got = raw.next().await.expect("the connection stays");
        assert_ne!((got.kind, got.stream), (RST_STREAM, stream), "{got:?}");
        if got.kind == DATA && got.stream == stream {
            return got.payload;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_passes_both_ways_and_ends_with_either_side() {
    let origin = backwards().await;
    let gateway = gateway(&origin, "").await;
    let mut raw = Raw::connect(gateway.address, &[]).await;
    let settings = raw.next().await.unwrap();
    assert_eq!(settings.kind, SETTINGS);
    assert!(settings.payload.chunks(6).any(|setting| setting == ENABLE_CONNECT_PROTOCOL), "{settings:?}");
    raw.send(&frame(HEADERS, END_HEADERS, 1, &connect("/chat", "websocket"))).await;
    raw.send(&frame(DATA, 0, 1, b"ping")).await;
    let head = loop {
        let got = raw.next().await.unwrap();
        if got.kind == HEADERS {
            break got;
        }
    };
    assert_eq!((head.flags & END_STREAM, head.payload[0]), (0, 0x88), "200 and open");
    assert_eq!(data(&mut raw, 1).await, b"gnip");
    // Others share the connection.
    raw.send(&frame(HEADERS, WHOLE, 3, &get("/static"))).await;
    assert_eq!(raw.end(3).await, End::Status(200));
    raw.send(&frame(DATA, 0, 1, b"abcd")).await;
    assert_eq!(data(&mut raw, 1).await, b"dcba");
    raw.send(&frame(DATA, END_STREAM, 1, b"last")).await;
    assert_eq!(data(&mut raw, 1).await, b"tsal");
    loop {
        let got = raw.next().await.unwrap();
        if got.stream == 1 && got.flags & END_STREAM != 0 {
            break;
        }
    }
    // One line when it was opened and one when it was over, which says what passed.
    let log = gateway.folder.path().join("access.log");
    let lines = loop {
        let log = std::fs::read_to_string(&log).unwrap();
        let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let lines: Vec<_> = lines.filter(|line| line["path"] == "/chat").collect();
        if lines.len() == 2 {
            break lines;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    assert_eq!((&lines[0]["outcome"], &lines[0]["status"]), (&"ok".into(), &200.into()));
    let of = |name: &str| lines[1][name].clone();
    assert_eq!((of("outcome"), of("received"), of("sent")), ("closed".into(), 12.into(), 12.into()));
    assert_eq!(of("traceId"), lines[0]["traceId"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_websocket_is_refused_and_the_connection_stays() {
    let origin = backwards().await;
    let gateway = gateway(&origin, "").await;
    let mut raw = Raw::connect(gateway.address, &[]).await;
    for (stream, path, protocol, wanted) in [
        (1, "/static", "websocket", StatusCode::BAD_REQUEST),
        (3, "/plain", "websocket", StatusCode::BAD_REQUEST),
        (5, "/wrong", "websocket", StatusCode::BAD_GATEWAY),
        (7, "/chat", "connect-udp", StatusCode::METHOD_NOT_ALLOWED),
    ] {
        raw.send(&frame(HEADERS, END_HEADERS, stream, &connect(path, protocol))).await;
        assert_eq!(raw.end(stream).await, End::Status(wanted.as_u16()), "{path} {protocol}");
    }
    raw.send(&frame(HEADERS, END_HEADERS, 9, &connect("/no", "websocket"))).await;
    // A refusal of the service's own is passed on as it is.
    assert_eq!(raw.end(9).await, End::Status(0));
    raw.send(&frame(HEADERS, WHOLE, 11, &get("/static"))).await;
    assert_eq!(raw.end(11).await, End::Status(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_on_which_nothing_moves_ends_and_one_that_moves_stays() {
    let origin = backwards().await;
    let gateway = gateway(&origin, "idleTimeout: 1s").await;
    let mut raw = Raw::connect(gateway.address, &[]).await;
    for stream in [1, 3] {
        raw.send(&frame(HEADERS, END_HEADERS, stream, &connect("/chat", "websocket"))).await;
    }
    let mut moves = tokio::time::interval(std::time::Duration::from_millis(200));
    let mut answers = 0;
    let ended = loop {
        tokio::select! {
            _ = moves.tick() => { raw.send(&frame(DATA, 0, 3, b"ping")).await; }
            got = raw.next() => {
                let got = got.expect("the connection stays");
                if got.kind == RST_STREAM || (got.kind == DATA && got.flags & END_STREAM != 0) {
                    break got.stream;
                }
                answers += u32::from(got.kind == DATA && got.stream == 3);
            }
        }
    };
    assert_eq!(ended, 1);
    assert!(answers > 3, "{answers}");
}
