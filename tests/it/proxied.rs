//! Proxy routes over real sockets: what passes, what does not, and how fast it may come.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

use crate::support::{
    client::{get, raw, send, send_http2},
    gateway::{GATEWAY, Gateway, route, service},
    origin::{Answer, Origin, full, json, status},
};

const PASS: &str = "match: {path: '/{rest...}'}\nproxy: {service: back}";

async fn proxied(origin: &Origin) -> Gateway {
    Gateway::start(&[service("back", origin.address, ""), route("pass", PASS)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_passes_without_what_belongs_to_its_hop() {
    let origin = Origin::start(|_| async {
        let mut answer = status(418);
        answer.headers_mut().insert("x-answer", "yes".parse().unwrap());
        answer.headers_mut().insert("keep-alive", "timeout=9".parse().unwrap());
        answer
    })
    .await;
    let gateway = proxied(&origin).await;
    let request = Request::put("/a/../b%2Dc?x=1")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .header("x-end", "2")
        .header("x_user", "root")
        .header("x-real-ip", "9.9.9.9")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .body(Full::from("hello"))
        .unwrap();
    let got = send(gateway.address, request).await;
    assert_eq!(got.status, 418);
    assert_eq!(got.header("x-answer"), Some("yes"));
    assert_eq!(got.header("keep-alive"), None);
    let seen = &origin.seen()[0];
    assert_eq!(seen.target, "/b-c?x=1");
    let header = |name: &str| seen.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("x-end"), Some("2"));
    assert_eq!((header("x-hop"), header("x_user"), header("x-real-ip")), (None, None, None));
    assert_eq!(header("via"), Some("1.1 segue"));
    assert_eq!(header("x-forwarded-host"), Some(gateway.address.to_string().as_str()));
    assert_eq!(header("host"), Some(origin.address.to_string().as_str()));
    assert!(header("traceparent").unwrap().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    assert!(!header("traceparent").unwrap().contains("b7ad6b7169203331"));
    assert_eq!(header("content-length"), Some("5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn template_sets_path_query_and_fields() {
    let origin = Origin::json("{}").await;
    let body = r#"
match: {path: "/v1/{rest...}"}
proxy:
  service: back
  path: "/v2/${ request.path.rest }"
  query: {lang: "${ request.query[?\"l\"].orValue(\"en\") }"}
  headers: {set: {x-path: "${ request.path.rest }"}, remove: [cookie]}
  preserveHost: true
"#;
    let gateway = Gateway::start(&[service("back", origin.address, ""), route("pass", body)]);
    let request =
        Request::get("/v1/a/b%20c/?l=de&z=1").header("cookie", "a=b").body(Full::default()).unwrap();
    assert_eq!(send(gateway.address, request).await.status, 200);
    let seen = &origin.seen()[0];
    assert_eq!(seen.target, "/v2/a/b%20c/?lang=de");
    assert_eq!(seen.headers["x-path"], "a/b c/");
    assert_eq!(seen.headers["host"], gateway.address.to_string());
    assert!(!seen.headers.contains_key("cookie"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_slows_the_sender_down() {
    const CHUNK: usize = 64 * 1024;
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let origin = Origin::start(move |_| {
        let count = Arc::clone(&count);
        async move {
            let chunks = futures_util::stream::repeat_with(move || {
                count.fetch_add(CHUNK, Ordering::SeqCst);
                Ok(Frame::data(Bytes::from_static(&[7; CHUNK])))
            });
            let chunks = futures_util::StreamExt::take(chunks, 4096);
            Response::new(BodyExt::boxed(StreamBody::new(chunks)))
        }
    })
    .await;
    let gateway = proxied(&origin).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(b"GET /big HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    // The head arrives; then nothing is read until the sender has come to rest.
    let mut head = [0u8; 16];
    stream.read_exact(&mut head).await.unwrap();
    let mut before = usize::MAX;
    while before != sent.load(Ordering::SeqCst) {
        before = sent.load(Ordering::SeqCst);
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    assert!(before < 24 * 1024 * 1024, "{before} bytes were taken for a reader that reads nothing");
    let mut read = head.len();
    let mut buffer = vec![0u8; 1 << 20];
    loop {
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            len => read += len,
        }
    }
    assert!(read > 4096 * CHUNK, "only {read} bytes arrived");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_streams_and_a_slow_origin_slows_it_down() {
    let (first, mut arrived) = mpsc::unbounded_channel::<usize>();
    let origin = Origin::start(move |request| {
        let first = first.clone();
        async move {
            let mut body = request.into_body();
            let mut total = 0;
            while let Some(Ok(frame)) = body.frame().await {
                total += frame.data_ref().map_or(0, Bytes::len);
                let _ = first.send(total);
            }
            json(total.to_string())
        }
    })
    .await;
    let gateway = proxied(&origin).await;
    let (chunks, source) = mpsc::channel::<Result<Frame<Bytes>, std::io::Error>>(1);
    let source = futures_util::stream::unfold(source, |mut source| async move {
        source.recv().await.map(|chunk| (chunk, source))
    });
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("/up").header("host", "a").body(StreamBody::new(source)).unwrap();
    let answer = tokio::spawn(async move { sender.send_request(request).await.unwrap() });
    // The first bytes reach the origin before the last are sent: nothing is collected on the way.
    chunks.send(Ok(Frame::data(Bytes::from_static(b"hello")))).await.unwrap();
    assert_eq!(arrived.recv().await, Some(5));
    for _ in 0..64 {
        chunks.send(Ok(Frame::data(Bytes::from(vec![1; 65_536])))).await.unwrap();
    }
    drop(chunks);
    let body = answer.await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, (5 + 64 * 65_536).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_pass_as_they_come() {
    let (events, source) = mpsc::channel::<Result<Frame<Bytes>, std::io::Error>>(1);
    let source = std::sync::Mutex::new(Some(source));
    let origin = Origin::start(move |_| {
        let source = source.lock().unwrap().take().unwrap();
        async move {
            let stream = futures_util::stream::unfold(source, |mut source| async move {
                source.recv().await.map(|event| (event, source))
            });
            let mut answer = Response::new(BodyExt::boxed(StreamBody::new(stream)));
            answer.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
            answer
        }
    })
    .await;
    let gateway = proxied(&origin).await;
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/events").header("host", "a").body(Full::<Bytes>::default()).unwrap();
    let mut answer = sender.send_request(request).await.unwrap();
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        events.send(Ok(Frame::data(Bytes::from_static(event.as_bytes())))).await.unwrap();
        let frame = answer.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), event);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_passes_with_its_trailers_and_failures_are_trailers_only() {
    let origin = Origin::start_http2(|request| async move {
        assert_eq!(request.headers()["te"], "trailers");
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let frames: Vec<Result<_, std::io::Error>> =
            vec![Ok(Frame::data(Bytes::from_static(b"\0\0\0\0\x01a"))), Ok(Frame::trailers(trailers))];
        let mut answer: Answer =
            Response::new(BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames))));
        answer.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        answer
    })
    .await;
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = Gateway::start(&[
        service("back", origin.address, "protocol: http2"),
        service("gone", gone, "protocol: http2"),
        route("pass", PASS),
        route("lost", "match: {path: '/lost/{rest...}'}\nproxy: {service: gone}"),
    ]);
    let call = |path: &str| {
        Request::post(format!("http://example.com{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::<Bytes>::from("x"))
            .unwrap()
    };
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(call("/pkg.Service/Method")).await.unwrap();
    let collected = answer.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(collected.to_bytes(), &b"\0\0\0\0\x01a"[..]);
    let failed = send_http2(gateway.address, call("/lost/Method")).await;
    assert_eq!(failed.status, 200);
    assert_eq!(failed.header("grpc-status"), Some("14"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_tunnelled_after_the_101() {
    let origin = Origin::start(|mut request| async move {
        assert_eq!(request.headers()["upgrade"], "websocket");
        tokio::spawn(async move {
            let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
            let mut io = TokioIo::new(upgraded);
            let mut buffer = [0u8; 4];
            io.read_exact(&mut buffer).await.unwrap();
            buffer.reverse();
            io.write_all(&buffer).await.unwrap();
        });
        let mut answer = status(101);
        answer.headers_mut().insert("connection", "upgrade".parse().unwrap());
        answer.headers_mut().insert("upgrade", "websocket".parse().unwrap());
        answer
    })
    .await;
    let log = format!("{GATEWAY}telemetry: {{accessLog: {{path: access.log}}}}\n");
    let gateway = Gateway::start_with(&log, &[service("back", origin.address, ""), route("pass", PASS)]);
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let ask = b"GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n\r\n";
    stream.write_all(ask).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(head.contains("upgrade: websocket"), "{head}");
    stream.write_all(b"ping").await.unwrap();
    let mut echoed = [0u8; 4];
    stream.read_exact(&mut echoed).await.unwrap();
    assert_eq!(&echoed, b"gnip");
    assert_eq!(stream.read(&mut echoed).await.unwrap(), 0, "the service has said all");
    drop(stream);
    // One line when it was opened and one when it was over.
    let log = loop {
        let log = std::fs::read_to_string(gateway.folder.path().join("access.log")).unwrap();
        if log.lines().count() == 2 {
            break log;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["outcome"], &lines[0]["status"]), (&"ok".into(), &101.into()));
    let of = |name: &str| lines[1][name].clone();
    assert_eq!((of("outcome"), of("received"), of("sent")), ("closed".into(), 4.into(), 4.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_101_for_what_was_not_asked_for_is_no_answer() {
    let origin = Origin::start(|request| async move {
        let mut answer = status(101);
        answer.headers_mut().insert("connection", "upgrade".parse().unwrap());
        if let Some(protocol) = request.headers().get("x-wants") {
            answer.headers_mut().insert("upgrade", protocol.clone());
        }
        answer
    })
    .await;
    let gateway = proxied(&origin).await;
    let ask = "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close\r\nupgrade: websocket, x/1\r\n";
    for wants in ["x-wants: h2c\r\n", "x-wants: websocket, h2c\r\n", "x-wants: \r\n", ""] {
        let answer = raw(gateway.address, format!("{ask}{wants}\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 502"), "{wants:?} gave {answer:?}");
        assert!(answer.contains("upstream_invalid"), "{wants:?} gave {answer:?}");
    }
    for wants in ["x-wants: WebSocket\r\n", "x-wants: x/1\r\n"] {
        let answer = raw(gateway.address, format!("{ask}{wants}\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 101"), "{wants:?} gave {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn continue_comes_only_after_the_origin_wants_the_body() {
    let origin = Origin::start(|request| async move {
        if request.uri().path() == "/no" {
            // Answered without a look at the body.
            return status(417);
        }
        let body = request.into_body().collect().await.unwrap().to_bytes();
        json(body.len().to_string())
    })
    .await;
    let gateway = proxied(&origin).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = b"POST /yes HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\nconnection: close\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut interim = [0u8; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"abc").await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 200") && rest.ends_with("\r\n\r\n3"), "{rest}");
    let refused = raw(
        gateway.address,
        b"POST /no HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(refused.starts_with("HTTP/1.1 417"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_before_a_proxy_decide_whether_it_is_called() {
    let origin = Origin::start(|request| async move {
        match (request.uri().path(), request.headers().get("x-user").map(|user| user.to_str().unwrap())) {
            ("/auth", _) if request.headers().contains_key("authorization") => json(r#"{"user":"ann"}"#),
            ("/auth", _) => status(401),
            (_, user) => json(format!("{user:?}")),
        }
    })
    .await;
    let body = r#"
match: {path: "/{rest...}"}
steps:
  auth:
    http:
      service: back
      path: /auth
      headers: {authorization: '${ request.headers[?"authorization"] }'}
    passStatus: [401]
proxy: {service: back, headers: {set: {x-user: "${ steps.auth.body.user }"}}}
"#;
    let gateway = Gateway::start(&[service("back", origin.address, ""), route("guarded", body)]);
    let refused = get(gateway.address, "/data").await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.json()["step"], "auth");
    let request = Request::get("/data").header("authorization", "x").body(Full::default()).unwrap();
    assert_eq!(send(gateway.address, request).await.text(), "Some(\"ann\")");
    assert_eq!(origin.calls(), ["GET /auth", "GET /auth", "GET /data"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_reused() {
    let origin = Origin::start(|_| async { Response::new(full("ok")) }).await;
    let gateway = Gateway::start_with(
        &GATEWAY.replace("workers: 2", "workers: 1"),
        &[service("back", origin.address, ""), route("pass", PASS)],
    );
    for _ in 0..20 {
        assert_eq!(get(gateway.address, "/").await.text(), "ok");
    }
    assert_eq!(origin.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_that_http2_splits_are_joined_on_every_kind_of_proxy_route() {
    let origin = Origin::json("{}").await;
    let computed = "match: {path: '/made/{id}'}\nproxy: {service: back, path: '/x/${ request.path.id }'}";
    let gateway =
        Gateway::start(&[service("back", origin.address, ""), route("pass", PASS), route("made", computed)]);
    for path in ["/plain", "/made/1"] {
        let request = Request::get(format!("http://example.com{path}"))
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .body(Full::default())
            .unwrap();
        assert_eq!(send_http2(gateway.address, request).await.status, 200);
    }
    for seen in origin.seen() {
        let cookies: Vec<_> = seen.headers.get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; b=2"], "{}", seen.target);
        assert_eq!(seen.headers["via"], "2 segue", "{}", seen.target);
    }
}
