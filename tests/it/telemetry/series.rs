//! What series there are, and what they must not count: bodies that are not sent, calls that are not made, routes
//! that are no more, and more labels than there is room for.

use std::{net::SocketAddr, time::Duration};

use http::{Method, Request};
use http_body_util::Full;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use super::collector::{Collector, Mood, attributes, exporting};
use crate::support::{
    client::{get, send, send_http2},
    gateway::{GATEWAY, Gateway, route, service},
    origin::Origin,
};

/// The sum of the series of this name that have all these labels, and how many those are.
fn sum(page: &str, name: &str, labels: &[&str]) -> (f64, usize) {
    let own = page.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label))
    });
    own.fold((0.0, 0), |(sum, count), line| {
        (sum + line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap(), count + 1)
    })
}

/// Waits until the sum of such series is this; gives the page.
async fn until(admin: SocketAddr, name: &str, labels: &[&str], wanted: f64) -> String {
    for _ in 0..2000 {
        let page = get(admin, "/metrics").await.text().to_owned();
        if (sum(&page, name, labels).0 - wanted).abs() < 0.5 {
            return page;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{name}{labels:?} is not {wanted}:\n{}", get(admin, "/metrics").await.text());
}

fn ask(method: &str, path: &str, host: SocketAddr) -> Request<Full<bytes::Bytes>> {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let uri = format!("http://{host}{path}");
    Request::builder().method(method).uri(uri).body(Full::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_head_has_no_body_whatever_the_version() {
    let origin = Origin::json("{\"a\": 1}").await;
    let composed = "match: {path: /composed}\nsteps: {one: {http: {service: back, path: /one}}}\n";
    let gateway = Gateway::start(&[
        service("back", origin.address, ""),
        route("static", "match: {path: /static}\nstatic: {status: 200, body: {text: hello}}"),
        route("composed", &format!("{composed}respond: {{body: {{one: '${{ steps.one.body }}'}}}}")),
        route(
            "streamed",
            &format!(
                "{}respond: {{body: '${{ steps.one.body }}'}}",
                composed.replace("/composed", "/streamed")
            ),
        ),
        route("proxied", "match: {path: /proxied}\nproxy: {service: back}"),
    ]);
    let paths = ["/static", "/composed", "/streamed", "/proxied", "/nowhere"];
    for path in paths {
        let over1 = send(gateway.address, ask("HEAD", path, gateway.address)).await;
        let over2 = send_http2(gateway.address, ask("HEAD", path, gateway.address)).await;
        assert_eq!((over1.status, over1.body.len()), (over2.status, 0), "{path}");
        assert_eq!((over2.status, over2.body.len()), (over1.status, 0), "{path}");
        assert_eq!(over1.header("content-length"), over2.header("content-length"), "{path}");
    }
    let page = until(gateway.admin, "segue_requests_total", &[], 2.0 * paths.len() as f64).await;
    assert_eq!(sum(&page, "segue_response_bytes_total", &[]).0, 0.0, "{page}");
    let length = get(gateway.address, "/static").await.body.len();
    until(gateway.admin, "segue_response_bytes_total", &[], length as f64).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_not_made_is_no_call() {
    let (origin, gate) = Origin::gated().await;
    let dead = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    let collector = Collector::start(Mood::Good).await;
    let document = exporting(GATEWAY, collector.address, "");
    let gateway = Gateway::start_with(
        &document,
        &[
            service("back", origin.address, "limits: {inFlight: 1}"),
            service("dead", dead, ""),
            route("p", "match: {path: /p}\nproxy: {service: back}"),
            route("dead", "match: {path: /dead}\nproxy: {service: dead}"),
        ],
    );
    let address = gateway.address;
    let first = tokio::spawn(async move { get(address, "/p").await });
    let back = "service=\"shop/back\"";
    until(gateway.admin, "segue_upstream_in_flight", &[back], 1.0).await;
    for _ in 0..3 {
        assert_eq!(get(gateway.address, "/p").await.json()["code"], "upstream_unavailable");
    }
    assert_eq!(get(gateway.address, "/dead").await.json()["code"], "upstream_unreachable");
    gate.add_permits(1);
    assert_eq!(first.await.unwrap().status, 200);
    let page = until(gateway.admin, "segue_requests_total", &[], 5.0).await;
    let dead = "service=\"shop/dead\"";
    for (name, service, wanted) in [
        ("segue_upstream_calls_total", back, 1.0),
        ("segue_upstream_shed_total", back, 3.0),
        ("segue_upstream_failures_total", back, 0.0),
        ("http_client_request_duration_seconds_count", back, 1.0),
        ("segue_upstream_calls_total", dead, 0.0),
        ("segue_upstream_failures_total", dead, 1.0),
        ("http_client_request_duration_seconds_count", dead, 1.0),
    ] {
        assert_eq!(sum(&page, name, &[service]).0, wanted, "{name} {service}:\n{page}");
    }
    let of =
        |seen: &super::collector::Seen, kind| seen.spans.iter().filter(|span| span.kind() == kind).count();
    let seen = collector.until("all requests", |seen| of(seen, SpanKind::Server) == 5).await;
    assert_eq!(of(&seen, SpanKind::Client), 2);
    let refused = seen.spans.iter().filter(|span| {
        attributes(&span.attributes).get("segue.code").is_some_and(|code| code == "upstream_unavailable")
    });
    assert_eq!(refused.count(), 3);
}
