//! What nobody waited for any more: steps and calls that still ran when the answer was decided or the client
//! left are in every signal, with the time that they took.

use http::Request;
use http_body_util::Full;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::watch};

use super::collector::{Collector, Mood, Seen, attributes, exporting, orphans};
use crate::support::{
    client::{get, send},
    gateway::{GATEWAY, Gateway, route, service},
    origin::{Origin, json, status},
};

/// A Composition whose first step answers and whose second never does.
const INNER: &str = "\
apiVersion: segue/v1
kind: Composition
metadata: {name: inner, owner: team, version: 1.0.0}
steps:
  first: {http: {service: back, path: /first}}
  stuck: {http: {service: back, path: /hang}, after: [first]}
output: {a: '${ steps.first.body }', b: '${ steps.stuck.body }'}
";

/// An origin that does not answer `/hang`, and `/charge` only when it is told to.
async fn origin(charged: watch::Receiver<bool>) -> Origin {
    Origin::start(move |request| {
        let path = request.uri().path().to_owned();
        let mut charged = charged.clone();
        async move {
            match &*path {
                "/hang" => std::future::pending().await,
                "/bad" => status(500),
                "/charge" => {
                    charged.wait_for(|charged| *charged).await.unwrap();
                    json("1")
                }
                _ => json("1"),
            }
        }
    })
    .await
}

fn of_step<'a>(seen: &'a Seen, name: &str) -> &'a Span {
    let found = seen.spans.iter().find(|span| span.kind() == SpanKind::Internal && span.name == name);
    found.unwrap_or_else(|| panic!("no step {name}"))
}

/// Seconds of the critical path by part and step, from `/metrics`.
fn critical(page: &str, route: &str, step: &str) -> f64 {
    let lines = page.lines().filter(|line| line.starts_with("segue_critical_path_time_seconds_total"));
    let own = lines.filter(|line| line.contains(&format!("route=\"shop/{route}\"")) && line.contains(step));
    own.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

async fn bars(gateway: &Gateway, route: &str, kind: &str) -> Vec<serde_json::Value> {
    loop {
        let page = get(gateway.admin, "/requests.json").await.json();
        let routes = page["routes"].as_array().unwrap();
        let own = routes.iter().find(|one| one["route"] == format!("shop/{route}"));
        if let Some(request) = own.and_then(|own| own[kind].as_array().unwrap().first()) {
            return request["bars"].as_array().unwrap().clone();
        }
        tokio::task::yield_now().await;
    }
}

fn bar<'a>(bars: &'a [serde_json::Value], name: &str) -> &'a serde_json::Value {
    bars.iter().find(|bar| bar["name"] == name).unwrap_or_else(|| panic!("no bar {name}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_blames_the_step_that_it_waited_for() {
    let (_charge, charged) = watch::channel(false);
    let (origin, collector) = (origin(charged).await, Collector::start(Mood::Good).await);
    let document = exporting(GATEWAY, collector.address, "");
    let steps = "match: {path: /d}
timeout: 300ms
steps:
  quick: {http: {service: back, path: /quick}}
  deep: {compose: inner, with: {}, after: [quick]}
respond: {body: '${ steps.deep.output }'}";
    let documents = [service("back", origin.address, ""), INNER.to_owned(), route("d", steps)];
    let gateway = Gateway::start_with(&document, &documents);
    let answer = get(gateway.address, "/d").await;
    assert_eq!((answer.status.as_u16(), answer.json()["step"].as_str()), (504, Some("deep")));
    let seen = collector.until("the trace", |seen| seen.spans.len() >= 8).await;
    assert_eq!(seen.spans.len(), 8, "the request, four steps, three calls");
    assert_eq!(orphans(&seen), [""; 0]);
    for (name, outcome) in [("quick", "ok"), ("deep", "failed"), ("first", "ok"), ("stuck", "failed")] {
        let span = of_step(&seen, name);
        let error = (outcome == "failed").then_some("deadline_exceeded");
        assert_eq!(attributes(&span.attributes).get("error.type").map(String::as_str), error, "{name}");
        assert_eq!(attributes(&span.attributes)["segue.step.outcome"], outcome, "{name}");
        assert_eq!(attributes(&span.attributes)["segue.step.critical"], "true", "{name}");
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    }
    let stuck = of_step(&seen, "stuck");
    assert!(stuck.end_time_unix_nano - stuck.start_time_unix_nano > 150_000_000, "it took most of the time");
    let call = seen.spans.iter().find(|span| span.parent_span_id == stuck.span_id).unwrap();
    let of = attributes(&call.attributes);
    assert_eq!((&*of["error.type"], &*of["server.address"]), ("deadline_exceeded", "127.0.0.1"));
    assert_eq!(of["url.full"], format!("http://{}/hang", origin.address));
    let page = get(gateway.admin, "/metrics").await;
    let blamed = critical(page.text(), "d", "step=\"deep\"");
    assert!(blamed > 0.25, "{blamed} s: {}", page.text());
    assert!(critical(page.text(), "d", "part=\"gateway\"") < blamed / 2.0);
    let port = origin.address.port();
    let series = page.text().lines().find(|line| {
        line.starts_with("http_client_request_duration_seconds_count")
            && line.contains("\"deadline_exceeded\"")
    });
    assert!(series.is_some_and(|line| line.contains(&format!("server_port=\"{port}\""))), "{series:?}");
    let bars = bars(&gateway, "d", "failed").await;
    let deep = bar(&bars, "deep");
    assert_eq!((&deep["outcome"], &deep["critical"]), (&"failed".into(), &true.into()));
    assert_eq!(deep["code"], "deadline_exceeded");
    assert!(deep["endMs"].as_f64().unwrap() - deep["startMs"].as_f64().unwrap() > 150.0);
    assert_eq!(bar(&bars, "stuck")["code"], "deadline_exceeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_step_fails_the_others_are_left_and_not_blamed() {
    let (charge, charged) = watch::channel(false);
    let (origin, collector) = (origin(charged).await, Collector::start(Mood::Good).await);
    let document = exporting(GATEWAY, collector.address, "");
    let policy = "\
---
apiVersion: segue/v1
kind: Policy
metadata: {name: told, owner: platform}
tracing: {serverTiming: true}
";
    let steps = "match: {path: /f}
policies: [told]
steps:
  hangs: {http: {service: back, path: /hang}}
  charge: {http: {service: back, method: POST, path: /charge}}
  bad: {http: {service: back, path: /bad}}
respond: {body: '${ [steps.hangs.body, steps.bad.body] }'}";
    let documents = [service("back", origin.address, ""), route("f", steps)];
    let gateway = Gateway::start_with(&format!("{document}{policy}"), &documents);
    let answer = get(gateway.address, "/f").await;
    assert_eq!((answer.status.as_u16(), answer.json()["step"].as_str()), (502, Some("bad")));
    let timing = answer.header("server-timing").unwrap();
    for said in ["hangs;dur=", "desc=cancelled", "charge;dur=", "desc=late", "bad;dur=", "desc=failed"] {
        assert!(timing.contains(said), "{timing}");
    }
    let seen = collector.until("the trace", |seen| seen.spans.len() >= 7).await;
    assert_eq!(orphans(&seen), [""; 0]);
    for (name, outcome, critical) in
        [("hangs", "cancelled", "false"), ("charge", "late", "false"), ("bad", "failed", "true")]
    {
        let of = attributes(&of_step(&seen, name).attributes);
        assert_eq!((&*of["segue.step.outcome"], &*of["segue.step.critical"]), (outcome, critical), "{name}");
    }
    // It goes on: what is known of it is where it went.
    let charging = of_step(&seen, "charge");
    let call = seen.spans.iter().find(|span| span.parent_span_id == charging.span_id).unwrap();
    let of = attributes(&call.attributes);
    assert_eq!((&*of["error.type"], &*of["server.address"]), ("late", "127.0.0.1"));
    charge.send_replace(true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_leaves_a_whole_trace() {
    let (charge, charged) = watch::channel(false);
    let (origin, collector) = (origin(charged).await, Collector::start(Mood::Good).await);
    let document = exporting(GATEWAY, collector.address, ", accessLog: {path: access.log}");
    let documents = [
        service("back", origin.address, ""),
        route(
            "safe",
            "match: {path: /safe}\nsteps: {hangs: {http: {service: back, path: /hang}}}\nrespond: {body: '${ steps.hangs.body }'}",
        ),
        route(
            "unsafe",
            "match: {path: /unsafe, methods: [POST]}\nsteps: {charge: {http: {service: back, method: POST, path: /charge}}}\nrespond: {body: '${ steps.charge.body }'}",
        ),
        route("proxied", "match: {path: /hang}\nproxy: {service: back}"),
    ];
    let gateway = Gateway::start_with(&document, &documents);
    for (request, call) in [("GET /safe", "/hang"), ("POST /unsafe", "/charge"), ("GET /hang", "/hang")] {
        let reached = || origin.seen().iter().filter(|seen| seen.target == call).count();
        let before = reached();
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let text = format!("{request} HTTP/1.1\r\nhost: shop.example:8080\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        while reached() == before {
            tokio::task::yield_now().await;
        }
    }
    let seen = collector.until("three traces", |seen| seen.spans.len() >= 8).await;
    assert_eq!(orphans(&seen), [""; 0]);
    for span in &seen.spans {
        let of = attributes(&span.attributes);
        match span.kind() {
            SpanKind::Server => {
                assert_eq!((&*of["segue.outcome"], &*of["error.type"]), ("aborted", "client_gone"));
                assert_eq!((&*of["server.address"], &*of["server.port"]), ("shop.example", "8080"));
            }
            SpanKind::Internal => {
                let wanted = if span.name == "charge" { "late" } else { "cancelled" };
                assert_eq!(of["segue.step.outcome"], wanted, "{}", span.name);
                assert_eq!(of["segue.step.critical"], "true");
            }
            _ => {
                assert_eq!(of["server.port"], origin.address.port().to_string());
                assert!(of["url.full"].starts_with("http://127.0.0.1:"), "{of:?}");
            }
        }
    }
    assert_eq!(bar(&bars(&gateway, "safe", "left").await, "hangs")["outcome"], "cancelled");
    assert_eq!(bar(&bars(&gateway, "unsafe", "left").await, "charge")["outcome"], "late");
    let log = loop {
        let log = std::fs::read_to_string(gateway.folder.path().join("access.log")).unwrap();
        if log.lines().count() >= 3 {
            break log;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    assert!(log.contains(r#""hangs":{"outcome":"cancelled","ms":"#), "{log}");
    charge.send_replace(true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapped_failure_is_no_error_of_the_gateways() {
    let (_charge, charged) = watch::channel(false);
    let (origin, collector) = (origin(charged).await, Collector::start(Mood::Good).await);
    let document = exporting(GATEWAY, collector.address, "");
    let steps = "match: {path: /m}
steps: {bad: {http: {service: back, path: /bad}}}
respond: {body: '${ steps.bad.body }'}
errors: [{problem: {status: 404, title: There is none}}]";
    let documents = [service("back", origin.address, ""), route("m", steps)];
    let gateway = Gateway::start_with(&document, &documents);
    let request = Request::get("/m").body(Full::default()).unwrap();
    assert_eq!(send(gateway.address, request).await.status, 404);
    let seen = collector.until("the trace", |seen| seen.spans.len() >= 3).await;
    let server = seen.spans.iter().find(|span| span.kind() == SpanKind::Server).unwrap();
    let of = attributes(&server.attributes);
    assert_eq!((of.get("error.type"), &*of["segue.code"]), (None, "upstream_status"));
    assert_eq!(server.status, None, "a 4xx leaves it unset");
    let page = get(gateway.admin, "/metrics").await;
    let series = page.text().lines().find(|line| {
        line.starts_with("http_server_request_duration_seconds_count") && line.contains("shop/m")
    });
    assert!(series.is_some_and(|line| !line.contains("error_type")), "{series:?}");
}
