//! A collector that reads what it is sent with the official messages, or behaves badly.

use std::{
    collections::{BTreeMap, HashSet},
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    logs::v1::LogRecord,
    metrics::v1::Metric,
    resource::v1::Resource,
    trace::v1::Span,
};
use prost::Message;
use tokio::net::TcpListener;

/// How a collector behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Good,
    /// It says 503.
    Busy,
    /// It takes a connection and never answers.
    Silent,
    /// It answers what is no answer.
    Lying,
    /// It refuses every message.
    Refusing,
}

/// See the module.
#[derive(Clone)]
pub(super) struct Collector {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Clone, Default)]
pub(super) struct Seen {
    pub(super) spans: Vec<Span>,
    /// The last that were sent: they are cumulative.
    pub(super) metrics: Vec<Metric>,
    pub(super) logs: Vec<LogRecord>,
    pub(super) resources: Vec<Resource>,
    pub(super) headers: Vec<HeaderMap>,
    /// Every message as it came.
    pub(super) raw: Vec<Bytes>,
}

impl Collector {
    pub(super) async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let log = Arc::clone(&log);
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let log = Arc::clone(&log);
                        async move { Ok::<_, Infallible>(answer(request, mood, &log).await) }
                    });
                    let builder = hyper::server::conn::http1::Builder::new();
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, seen }
    }

    /// Everything up to now.
    pub(super) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until something is as it should be.
    pub(super) async fn until(&self, what: &str, holds: impl Fn(&Seen) -> bool) -> Seen {
        for _ in 0..4000 {
            if holds(&self.seen.lock().unwrap()) {
                return self.seen();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let seen = self.seen();
        let servers = seen.spans.iter().filter(|span| span.kind == 2).count();
        panic!("the collector never had {what}: {servers} requests, {} spans", seen.spans.len());
    }
}

async fn answer(request: Request<Incoming>, mood: Mood, log: &Mutex<Seen>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let with = |status: u16, body: &'static [u8]| {
        Response::builder().status(status).body(Full::new(Bytes::from_static(body))).unwrap()
    };
    match mood {
        Mood::Good => {}
        Mood::Busy => return with(503, b""),
        Mood::Silent => std::future::pending().await,
        Mood::Lying => return with(200, b"\xff\xff\xff\xff<html>surely no protobuf</html>"),
        Mood::Refusing => return with(400, b"no"),
    }
    assert_eq!(head.method, "POST");
    assert_eq!(head.headers["content-type"], "application/x-protobuf");
    let mut seen = log.lock().unwrap();
    match head.uri.path() {
        "/v1/traces" => {
            for group in ExportTraceServiceRequest::decode(body.clone()).unwrap().resource_spans {
                seen.resources.extend(group.resource);
                seen.spans.extend(group.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        }
        "/v1/metrics" => {
            for group in ExportMetricsServiceRequest::decode(body.clone()).unwrap().resource_metrics {
                seen.resources.extend(group.resource);
                seen.metrics = group.scope_metrics.into_iter().flat_map(|scope| scope.metrics).collect();
            }
        }
        "/v1/logs" => {
            for group in ExportLogsServiceRequest::decode(body.clone()).unwrap().resource_logs {
                seen.resources.extend(group.resource);
                seen.logs.extend(group.scope_logs.into_iter().flat_map(|scope| scope.log_records));
            }
        }
        other => panic!("{other} is no path of OTLP"),
    }
    seen.headers.push(head.headers);
    seen.raw.push(body);
    with(200, b"")
}

/// Attributes as text, by name.
pub(super) fn attributes(pairs: &[KeyValue]) -> BTreeMap<&str, String> {
    pairs.iter().map(|pair| (pair.key.as_str(), text(pair.value.as_ref()))).collect()
}

pub(super) fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::ArrayValue(list)) => {
            list.values.iter().map(|one| text(Some(one))).collect::<Vec<_>>().join(",")
        }
        Some(Value::KvlistValue(table)) => {
            let entry = |pair: &KeyValue| format!("{}={}", pair.key, text(pair.value.as_ref()));
            format!("{{{}}}", table.values.iter().map(entry).collect::<Vec<_>>().join(" "))
        }
        other => panic!("{other:?}"),
    }
}

/// Names of spans whose parent was never told.
pub(super) fn orphans(seen: &Seen) -> Vec<&str> {
    let known: HashSet<(&[u8], &[u8])> =
        seen.spans.iter().map(|span| (&*span.trace_id, &*span.span_id)).collect();
    assert_eq!(known.len(), seen.spans.len(), "each span has an id of its own");
    let lost = |span: &&Span| {
        !span.parent_span_id.is_empty() && !known.contains(&(&*span.trace_id, &*span.parent_span_id))
    };
    seen.spans.iter().filter(lost).map(|span| span.name.as_str()).collect()
}

/// A Gateway document that exports to this collector.
pub(super) fn exporting(document: &str, collector: SocketAddr, more: &str) -> String {
    format!(
        "{document}telemetry: {{serviceName: edge, otlp: {{endpoint: \"http://{collector}\"}}, sample: 1{more}}}\n"
    )
}
