//! An upload that its client resets over HTTP/2 is told the same by every signal.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Request;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tokio::{net::TcpStream, sync::Notify};

use super::collector::{Collector, Mood, attributes, exporting};
use crate::support::{
    client::get,
    gateway::{GATEWAY, Gateway, route, service},
    origin::{Origin, json},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_reset_over_http2_has_no_status_and_one_name() {
    let came = Arc::new(Notify::new());
    let says = Arc::clone(&came);
    let origin = Origin::start(move |request: Request<Incoming>| {
        let came = Arc::clone(&says);
        async move {
            let mut body = request.into_body();
            while let Some(Ok(_)) = body.frame().await {
                came.notify_one();
            }
            json("{}")
        }
    })
    .await;
    let collector = Collector::start(Mood::Good).await;
    let document = exporting(GATEWAY, collector.address, ", accessLog: {path: access.log}");
    let documents =
        [service("back", origin.address, ""), route("pass", "match: {path: /p}\nproxy: {service: back}")];
    let gateway = Gateway::start_with(&document, &documents);
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let some = stream::once(async { Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"some"))) });
    let request = Request::post("http://a/p").body(StreamBody::new(some.chain(stream::pending()).boxed()));
    let sending = tokio::spawn(async move { sender.send_request(request.unwrap()).await.map(drop) });
    came.notified().await;
    sending.abort();
    connection.abort();
    let seen = collector.until("two spans", |seen| seen.spans.len() >= 2).await;
    for span in &seen.spans {
        let of = attributes(&span.attributes);
        assert!(!of.contains_key("http.response.status_code"), "{of:?}");
        let error = if span.kind() == SpanKind::Server { "client_gone" } else { "cancelled" };
        assert_eq!(of["error.type"], error, "{of:?}");
    }
    let page = get(gateway.admin, "/metrics").await;
    let aborted =
        "segue_aborted_total{unit=\"shop\",route=\"shop/pass\",code=\"client_gone\",fault=\"client\"} 1\n";
    assert!(page.text().contains(aborted), "{}", page.text());
    assert!(!page.text().contains("bad_request"), "{}", page.text());
    let log = loop {
        let log = std::fs::read_to_string(gateway.folder.path().join("access.log")).unwrap();
        if log.ends_with('\n') {
            break log;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    let line: serde_json::Value = serde_json::from_str(&log).unwrap();
    assert_eq!((&line["outcome"], &line["code"]), (&"aborted".into(), &"client_gone".into()));
    assert!(line.get("status").is_none(), "{line}");
}
