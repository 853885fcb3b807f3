//! How long a place of `concurrency` is held, and what a client has of an answer that its own body breaks off.

use std::{convert::Infallible, sync::Arc};

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
    client::get,
    gateway::{GATEWAY, Gateway, route, service},
    origin::{Origin, status},
};

fn with(policy: &str, documents: &[String]) -> Gateway {
    let policy = format!(
        "{GATEWAY}---\napiVersion: segue/v1\nkind: Policy\nmetadata: {{name: p, owner: it}}\n{policy}\n"
    );
    Gateway::start_with(&policy, documents)
}

/// Two routes that share one place.
fn one_place(origin: &Origin, route_of_calls: &str) -> Gateway {
    with(
        "concurrency: {max: 1}",
        &[
            service("back", origin.address, ""),
            route("calls", &format!("match: {{path: /calls}}\npolicies: [p]\n{route_of_calls}")),
            route("probe", "match: {path: /probe}\npolicies: [p]\nstatic: {body: free}"),
        ],
    )
}

/// Whether the place is free.
async fn is_free(gateway: &Gateway) -> bool {
    let got = get(gateway.address, "/probe").await;
    assert!(got.status == 200 || got.json()["code"] == "overloaded", "{got:?}");
    got.status == 200
}

/// The gateway learns that somebody has left when a socket says so.
async fn becomes_free(gateway: &Gateway) {
    while !is_free(gateway).await {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_holds_its_place_until_it_is_closed() {
    let origin = Origin::start(|mut request| async move {
        tokio::spawn(async move {
            let mut io = TokioIo::new(hyper::upgrade::on(&mut request).await.unwrap());
            let mut buffer = [0u8; 4];
            while io.read_exact(&mut buffer).await.is_ok() {
                io.write_all(&buffer).await.unwrap();
            }
        });
        let mut answer = status(101);
        answer.headers_mut().insert("connection", "upgrade".parse().unwrap());
        answer.headers_mut().insert("upgrade", "websocket".parse().unwrap());
        answer
    })
    .await;
    let gateway = one_place(&origin, "proxy: {service: back}");
    assert!(is_free(&gateway).await);
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let ask = b"GET /calls HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
    stream.write_all(ask).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    for _ in 0..3 {
        stream.write_all(b"ping").await.unwrap();
        stream.read_exact(&mut [0u8; 4]).await.unwrap();
        assert!(!is_free(&gateway).await);
    }
    drop(stream);
    becomes_free(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_over_http2_holds_its_place_until_it_ends_or_is_reset() {
    let (sender, pieces) = mpsc::unbounded_channel::<mpsc::UnboundedReceiver<Bytes>>();
    let pieces = Arc::new(tokio::sync::Mutex::new(pieces));
    let origin = Origin::start(move |_| {
        let pieces = Arc::clone(&pieces);
        async move {
            let mut pieces = pieces.lock().await.recv().await.unwrap();
            let frames = futures_util::stream::poll_fn(move |cx| {
                pieces.poll_recv(cx).map(|piece| piece.map(|piece| Ok::<_, Infallible>(Frame::data(piece))))
            });
            Response::new(BodyExt::boxed(StreamBody::new(frames).map_err(|never| match never {})))
        }
    })
    .await;
    let gateway = one_place(&origin, "proxy: {service: back}");
    for resets in [false, true] {
        let (piece, received) = mpsc::unbounded_channel();
        sender.send(received).unwrap();
        let stream = TcpStream::connect(gateway.address).await.unwrap();
        let (mut client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get(format!("http://{}/calls", gateway.address));
        let answer = client.send_request(request.body(Full::<Bytes>::default()).unwrap()).await.unwrap();
        let mut body = answer.into_body();
        for _ in 0..3 {
            piece.send(Bytes::from_static(b"more")).unwrap();
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "more");
            assert!(!is_free(&gateway).await);
        }
        if resets {
            drop(body);
        } else {
            drop(piece);
            assert!(body.collect().await.unwrap().to_bytes().is_empty());
        }
        // Its connection stays.
        becomes_free(&gateway).await;
        drop(client);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsafe_call_holds_its_place_although_its_client_has_left() {
    let (origin, gate) = Origin::gated().await;
    let steps = "steps: {pay: {http: {service: back, method: POST, path: /pay}}}\nrespond: {body: '${ steps.pay.body }'}";
    let gateway = one_place(&origin, steps);
    let client = tokio::spawn(get(gateway.address, "/calls"));
    while origin.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(!is_free(&gateway).await);
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    // Time for its leaving to be seen: a request that is whole, over a connection that closes, many times over.
    for _ in 0..50 {
        assert!(!is_free(&gateway).await);
    }
    gate.add_permits(1);
    becomes_free(&gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_passes_its_limit_after_the_answer_began_breaks_the_answer_off() {
    let (sizes, mut seen) = mpsc::unbounded_channel();
    let origin = Origin::start(move |request| {
        let sizes = sizes.clone();
        async move {
            // Says back, piece by piece, what it is sent.
            let said = request.into_body().map_frame(move |frame| {
                let _ = sizes.send(frame.data_ref().map_or(0, Bytes::len));
                frame
            });
            Response::new(said.map_err(std::io::Error::other).boxed())
        }
    })
    .await;
    let gateway = with(
        "body: {maxBytes: 64}",
        &[
            service("back", origin.address, ""),
            route("one", "match: {path: /one}\npolicies: [p]\nproxy: {service: back}"),
        ],
    );
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream
        .write_all(b"POST /one HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n28\r\n")
        .await
        .unwrap();
    stream.write_all(&[b'x'; 40]).await.unwrap();
    stream.write_all(b"\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(4).any(|window| window == b"xxxx") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    stream.write_all(b"28\r\n").await.unwrap();
    stream.write_all(&[b'y'; 40]).await.unwrap();
    stream.write_all(b"\r\n0\r\n\r\n").await.unwrap();
    // The connection ends, with a reset maybe, and the answer has no end.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&answer));
    let mut total = 0;
    while let Ok(size) = seen.try_recv() {
        total += size;
    }
    assert!(total <= 64, "{total}");
}
