//! A known run, as a collector sees it.

use http::Request;
use http_body_util::Full;
use opentelemetry_proto::tonic::{
    metrics::v1::{AggregationTemporality, metric::Data, number_data_point::Value},
    trace::v1::{Span, span::SpanKind},
};

use super::collector::{Collector, Mood, Seen, attributes, exporting};
use crate::support::{
    client::{get, send},
    gateway::{GATEWAY, Gateway, route, service},
    origin::{Origin, json, status},
};

const COMPOSED: &str = "
match: {path: \"/c/{id}\"}
steps:
  profile: {http: {service: back, path: \"/profile/${ request.path.id }\"}}
  points: {http: {service: back, path: /points, query: {of: \"${ steps.profile.body.id }\"}}, fallback: {points: 0}}
  skipped: {when: \"${ false }\", http: {service: back, path: /never}, optional: true}
  items:
    forEach: {in: '${ [1, 2] }', as: i}
    http: {service: back, path: \"/item/${ i }\"}
respond: {body: {id: \"${ steps.profile.body.id }\", points: \"${ steps.points.body.points }\",
  skipped: \"${ steps.skipped.?body }\", items: \"${ steps.items.items.size() }\"}}
";

async fn origin() -> Origin {
    Origin::start(|request| async move {
        match request.uri().path() {
            "/points" => status(503),
            _ => json(r#"{"id": "a"}"#),
        }
    })
    .await
}

fn id(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_have_their_parents_names_times_and_attributes() {
    let (origin, collector) = (origin().await, Collector::start(Mood::Good).await);
    let document = exporting(GATEWAY, collector.address, "")
        .replace("drain:", "trustedProxies: [\"127.0.0.1\"]\ndrain:");
    let gateway =
        Gateway::start_with(&document, &[service("back", origin.address, ""), route("c", COMPOSED)]);
    let request = Request::get("/c/7?secret=1")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .header("tracestate", "vendor=1")
        .body(Full::default())
        .unwrap();
    let answer = send(gateway.address, request).await;
    assert_eq!(answer.json()["points"], 0);
    let seen = collector.until("ten spans", |seen| seen.spans.len() >= 9).await;
    let spans = &seen.spans;
    assert!(spans.iter().all(|span| id(&span.trace_id) == "0af7651916cd43dd8448eb211c80319c"));
    assert!(spans.iter().all(|span| span.trace_state == "vendor=1" && span.flags & 1 == 1));
    assert!(spans.iter().all(|span| span.start_time_unix_nano <= span.end_time_unix_nano));
    let resource = attributes(&seen.resources[0].attributes);
    assert_eq!(resource["service.name"], "edge");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(resource["service.instance.id"].len(), 32);

    let server = spans.iter().find(|span| span.kind() == SpanKind::Server).unwrap();
    assert_eq!(server.name, "GET /c/{id}");
    assert_eq!(id(&server.parent_span_id), "b7ad6b7169203331");
    let of = attributes(&server.attributes);
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.route", "/c/{id}"),
        ("url.path", "/c/7"),
        ("url.scheme", "http"),
        ("client.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
        ("segue.unit", "shop"),
        ("segue.route", "shop/c"),
        ("segue.owner", "team"),
        ("segue.version", "1.0.0"),
        ("segue.generation", "1"),
        ("segue.outcome", "degraded"),
        ("segue.degraded", "points"),
        ("segue.sampled", "head"),
    ] {
        assert_eq!(of.get(name).map(String::as_str), Some(value), "{name}: {of:?}");
    }
    assert!(!of.contains_key("url.query") && !of.contains_key("error.type"));

    let page = std::fs::read_to_string(crate::sources::root().join("src/docs/telemetry.md")).unwrap();
    for attribute in spans.iter().flat_map(|span| &span.attributes) {
        assert!(page.contains(&format!("`{}`", attribute.key)), "{} is not on the page", attribute.key);
    }
    let steps: Vec<&Span> = spans.iter().filter(|span| span.kind() == SpanKind::Internal).collect();
    assert_eq!(steps.len(), 4);
    assert!(steps.iter().all(|step| step.parent_span_id == server.span_id));
    let step = |name: &str| *steps.iter().find(|step| step.name == name).unwrap();
    let points = attributes(&step("points").attributes);
    assert_eq!((&*points["segue.step.wave"], &*points["segue.step.outcome"]), ("1", "failed"));
    assert_eq!((&*points["segue.step.fallback"], &*points["segue.step.attempts"]), ("true", "1"));
    assert_eq!(points["error.type"], "upstream_unavailable");
    assert_eq!(step("points").status.as_ref().unwrap().code, 2);
    // The answer waited for the step that ended last.
    let last = steps.iter().max_by_key(|step| step.end_time_unix_nano).unwrap();
    assert_eq!(attributes(&last.attributes)["segue.step.critical"], "true");
    assert_eq!(attributes(&step("skipped").attributes)["segue.step.critical"], "false");
    let items = attributes(&step("items").attributes);
    assert_eq!((&*items["segue.step.items"], &*items["segue.step.attempts"]), ("2", "2"));
    assert_eq!(attributes(&step("skipped").attributes)["segue.step.outcome"], "skipped");

    let calls: Vec<&Span> = spans.iter().filter(|span| span.kind() == SpanKind::Client).collect();
    assert_eq!(calls.len(), 4);
    for call in &calls {
        let parent = steps.iter().find(|step| step.span_id == call.parent_span_id).unwrap();
        let of = attributes(&call.attributes);
        assert_eq!(of["segue.service"], "shop/back");
        assert_eq!(of["server.port"], origin.address.port().to_string());
        assert_eq!((&*of["server.address"], &*of["url.scheme"]), ("127.0.0.1", "http"));
        if parent.name == "points" {
            assert_eq!((&*of["http.response.status_code"], &*of["error.type"]), ("503", "503"));
        }
    }
    // What the origin was told is what the spans say.
    for seen in origin.seen() {
        let parent = seen.headers["traceparent"].to_str().unwrap();
        let span = calls.iter().find(|call| parent.contains(&id(&call.span_id)));
        assert!(span.is_some() && parent.ends_with("-01"), "{parent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_nobody_sampled_is_told_late() {
    let origin = Origin::start(|_| async { status(200) }).await;
    let dead = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    let collector = Collector::start(Mood::Good).await;
    let document = exporting(GATEWAY, collector.address, "").replace("sample: 1", "sample: 0");
    let documents = [
        service("back", origin.address, ""),
        service("gone", dead, ""),
        route("ok", "match: {path: /ok}\nproxy: {service: back}"),
        route("bad", "match: {path: /bad}\nproxy: {service: gone}"),
        route(
            "anew",
            "match: {path: \"/anew/{n}\"}\nproxy: {service: back, path: \"/of/${ request.path.n }\"}",
        ),
        route(
            "step",
            "match: {path: /step}\nsteps: {one: {http: {service: back, path: /one, query: {s: secret}}}}\nrespond: {body: '${ steps.one.body }'}",
        ),
    ];
    let gateway = Gateway::start_with(&document, &documents);
    assert_eq!(get(gateway.address, "/bad").await.status, 502);
    let seen = collector.until("the failure", |seen| seen.spans.len() >= 2).await;
    let server = seen.spans.iter().find(|span| span.kind() == SpanKind::Server).unwrap();
    let of = attributes(&server.attributes);
    assert_eq!((&*of["segue.sampled"], &*of["error.type"]), ("late", "upstream_unreachable"));
    assert_eq!(server.status.as_ref().unwrap().code, 2);
    let call = seen.spans.iter().find(|span| span.kind() == SpanKind::Client).unwrap();
    assert_eq!(attributes(&call.attributes)["error.type"], "upstream_unreachable");
    assert_eq!(call.parent_span_id, server.span_id);
    // The first of a route are its slowest, so that they are told late too.
    assert_eq!(get(gateway.address, "/ok").await.status, 200);
    let sent = origin.seen()[0].headers["traceparent"].to_str().unwrap().to_owned();
    assert!(sent.ends_with("-02"), "{sent}");
    // What a call asked for is told as well, and never its query.
    get(gateway.address, "/anew/7").await;
    get(gateway.address, "/step").await;
    let calls = |seen: &Seen| {
        let calls = seen.spans.iter().filter(|span| span.kind() == SpanKind::Client);
        let told = calls.filter_map(|span| attributes(&span.attributes).get("url.full").cloned());
        told.filter_map(|url| url.strip_prefix(&format!("http://{}", origin.address)).map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let seen = collector.until("three calls", |seen| calls(seen).len() >= 3).await;
    assert_eq!(calls(&seen), ["/ok", "/of/7", "/one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_over_otlp_are_cumulative_and_have_units() {
    let (origin, collector) = (origin().await, Collector::start(Mood::Good).await);
    let document = exporting(GATEWAY, collector.address, "");
    let gateway =
        Gateway::start_with(&document, &[service("back", origin.address, ""), route("c", COMPOSED)]);
    for _ in 0..3 {
        get(gateway.address, "/c/7").await;
    }
    // What is left goes at the end.
    let (running, _folder) = gateway.into_running();
    running.drain();
    tokio::task::spawn_blocking(|| running.wait()).await.unwrap().unwrap();
    let seen = collector.seen();
    let metric = |name: &str| seen.metrics.iter().find(|metric| metric.name == name).unwrap();
    let duration = metric("http.server.request.duration");
    assert_eq!(duration.unit, "s");
    let Some(Data::Histogram(histogram)) = &duration.data else { panic!("{duration:?}") };
    assert_eq!(histogram.aggregation_temporality(), AggregationTemporality::Cumulative);
    let point = &histogram.data_points[0];
    assert_eq!((point.count, point.bucket_counts.iter().sum::<u64>()), (3, 3));
    assert_eq!(point.explicit_bounds.len() + 1, point.bucket_counts.len());
    assert!(point.sum.unwrap() > 0.0 && point.start_time_unix_nano < point.time_unix_nano);
    let of = attributes(&point.attributes);
    assert_eq!((&*of["http.response.status_code"], &*of["route"]), ("200", "shop/c"));
    assert!(!of.contains_key("error.type"));
    let Some(Data::Sum(requests)) = &metric("segue.requests").data else { panic!() };
    assert!(requests.is_monotonic);
    assert_eq!(requests.data_points[0].value, Some(Value::AsInt(3)));
    let Some(Data::Sum(active)) = &metric("http.server.active_requests").data else { panic!() };
    assert!(!active.is_monotonic);
    assert!(matches!(&metric("segue.generation").data, Some(Data::Gauge(_))));
    // Every part of the time, and all of it.
    let Some(Data::Sum(time)) = &metric("segue.critical_path.time").data else { panic!() };
    let parts = time.data_points.iter().map(|point| match point.value {
        Some(Value::AsDouble(seconds)) => seconds,
        other => panic!("{other:?}"),
    });
    assert!((parts.sum::<f64>() - point.sum.unwrap()).abs() < 1e-5);
}
