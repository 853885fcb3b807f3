//! Ten thousand requests, told the same by every signal.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    metrics::v1::{metric::Data, number_data_point::Value},
    trace::v1::span::SpanKind,
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::collector::{Collector, Mood, Seen, attributes, exporting, orphans};
use crate::support::{
    client::get,
    gateway::{GATEWAY, Gateway, route, service},
    origin::{Origin, json, status},
};

/// How often something was counted, by its names.
type Counts = BTreeMap<String, u64>;

const REQUESTS: usize = 10_000;

/// Of each way in which steps are left.
const LEFT: usize = 50;

fn documents(origin: &Origin) -> Vec<String> {
    let composed = "
match: {path: \"/c/{n}\"}
steps:
  one: {http: {service: back, path: \"/one/${ request.path.n }\"}}
  two: {http: {service: back, path: \"/two/${ request.path.n }\"}, optional: true, after: [one]}
  three: {when: '${ request.path.n.endsWith(\"7\") }', http: {service: back, path: /three}, optional: true}
respond: {body: {one: 1, two: '${ steps.two.?body }', three: '${ steps.three.?body }'}}
";
    // What never answers is left: because the time is over, because another step failed, because the client
    // has gone.
    let hangs = "one: {http: {service: back, path: /one}}
  hangs: {http: {service: back, path: /hang}, after: [one]}";
    let late = format!(
        "match: {{path: /late}}\ntimeout: 50ms\nsteps:\n  {hangs}\nrespond: {{body: '${{ steps.hangs.body }}'}}"
    );
    let failed = format!(
        "match: {{path: /failed}}\nsteps:\n  {hangs}\n  bad: {{http: {{service: back, path: /bad}}, after: [one]}}\n\
         respond: {{body: '${{ [steps.hangs.body, steps.bad.body] }}'}}"
    );
    let gone =
        format!("match: {{path: /gone}}\nsteps:\n  {hangs}\nrespond: {{body: '${{ steps.hangs.body }}'}}");
    vec![
        service("back", origin.address, ""),
        route("late", &late),
        route("failed", &failed),
        route("gone", &gone),
        route("p", "match: {path: \"/p/{n}\"}\nproxy: {service: back}"),
        route("c", composed),
        route("s", "match: {path: /s}\nstatic: {status: 204}"),
    ]
}

async fn drive(address: std::net::SocketAddr, from: usize, to: usize) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for n in from..to {
        let path = match n % 5 {
            0 | 1 => format!("/p/{n}"),
            2 => format!("/c/{n}"),
            3 => "/s".to_owned(),
            _ if n % 2 == 0 => "/nowhere".to_owned(),
            _ => format!("/c/bad{n}"),
        };
        let request = Request::get(path).header("host", "a").body(Full::<bytes::Bytes>::default()).unwrap();
        sender.ready().await.unwrap();
        sender.send_request(request).await.unwrap().into_body().collect().await.unwrap();
    }
}

/// Asks and leaves once the call that never ends has reached the origin.
async fn leave(address: std::net::SocketAddr, origin: &Origin) {
    let hanging = || origin.seen().iter().filter(|seen| seen.target == "/hang").count();
    let before = hanging();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /gone HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    while hanging() == before {
        tokio::task::yield_now().await;
    }
}

fn add(counts: &mut Counts, name: String, by: u64) {
    *counts.entry(name).or_default() += by;
}

fn from_log(log: &str) -> Counts {
    let mut counts = Counts::new();
    for line in log.lines() {
        let line: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let route = line["route"].as_str().unwrap_or("");
        add(&mut counts, format!("{route} {}", line["outcome"].as_str().unwrap()), 1);
        for (step, told) in line["steps"].as_object().into_iter().flatten() {
            add(&mut counts, format!("{route} {step} {}", told["outcome"].as_str().unwrap()), 1);
        }
    }
    counts
}

fn from_spans(seen: &Seen) -> Counts {
    let mut counts = Counts::new();
    for span in &seen.spans {
        let of = attributes(&span.attributes);
        let route = of.get("segue.route").map_or("", String::as_str);
        match span.kind() {
            SpanKind::Server => add(&mut counts, format!("{route} {}", of["segue.outcome"]), 1),
            SpanKind::Internal => {
                add(&mut counts, format!("{route} {} {}", span.name, of["segue.step.outcome"]), 1);
            }
            _ => {}
        }
    }
    counts
}

fn from_otlp(seen: &Seen) -> Counts {
    let mut counts = Counts::new();
    for metric in &seen.metrics {
        let Some(Data::Sum(sum)) = &metric.data else { continue };
        for point in &sum.data_points {
            let of = attributes(&point.attributes);
            let route = of.get("route").map_or("", String::as_str);
            let Some(Value::AsInt(count)) = point.value else { continue };
            match &*metric.name {
                "segue.requests" => add(&mut counts, format!("{route} {}", of["outcome"]), count as u64),
                "segue.steps" => {
                    add(&mut counts, format!("{route} {} {}", of["step"], of["outcome"]), count as u64);
                }
                _ => {}
            }
        }
    }
    counts
}

fn from_prometheus(page: &str) -> Counts {
    let mut counts = Counts::new();
    for line in page.lines() {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let Some((name, labels)) = series.split_once('{') else { continue };
        let label = |wanted: &str| {
            let (_, rest) = labels.split_once(&format!("{wanted}=\""))?;
            rest.split('"').next()
        };
        let route = label("route").unwrap_or("");
        match name {
            "segue_requests_total" => {
                add(&mut counts, format!("{route} {}", label("outcome").unwrap()), value.parse().unwrap());
            }
            "segue_steps_total" => {
                let (step, outcome) = (label("step").unwrap(), label("outcome").unwrap());
                add(&mut counts, format!("{route} {step} {outcome}"), value.parse().unwrap());
            }
            _ => {}
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn every_signal_counts_the_same() {
    let origin = Origin::start(|request| async move {
        let path = request.uri().path().to_owned();
        if path == "/hang" {
            std::future::pending().await
        } else if path.contains("bad") || (path.starts_with("/two") && path.ends_with("2")) {
            status(500)
        } else {
            json("1")
        }
    })
    .await;
    let collector = Collector::start(Mood::Good).await;
    let document = exporting(GATEWAY, collector.address, ", accessLog: {path: access.log}");
    let gateway = Gateway::start_with(&document, &documents(&origin));
    // In portions that the queue holds: what it drops is another test's.
    let mut sent = 0;
    let most = REQUESTS - 3 * LEFT;
    while sent < most {
        let half = 250.min((most - sent) / 2);
        tokio::join!(
            drive(gateway.address, sent, sent + half),
            drive(gateway.address, sent + half, sent + 2 * half)
        );
        sent += 2 * half;
        let wanted = sent;
        let servers = move |seen: &Seen| {
            seen.spans.iter().filter(|span| span.kind() == SpanKind::Server).count() == wanted
        };
        collector.until("every request", servers).await;
    }
    let (late, failed) = tokio::join!(
        join_all((0..LEFT).map(|_| get(gateway.address, "/late"))),
        join_all((0..LEFT).map(|_| get(gateway.address, "/failed")))
    );
    assert!(late.iter().all(|answer| answer.json()["step"] == "hangs" && answer.status == 504));
    assert!(failed.iter().all(|answer| answer.json()["step"] == "bad" && answer.status == 502));
    for _ in 0..LEFT {
        leave(gateway.address, &origin).await;
    }
    let page = loop {
        let page = get(gateway.admin, "/metrics").await;
        if from_prometheus(page.text())
            .iter()
            .filter(|(name, _)| name.split(' ').count() == 2)
            .map(|(_, n)| n)
            .sum::<u64>()
            == REQUESTS as u64
        {
            break page;
        }
        tokio::task::yield_now().await;
    };
    let counts = from_prometheus(page.text());
    assert_eq!(counts["shop/p ok"], 3940);
    assert_eq!(counts["shop/s ok"], 1970);
    assert_eq!(counts[" refused"], 985);
    assert_eq!(counts["shop/c failed"], 985);
    for (route, outcome) in [("late", "failed"), ("failed", "failed"), ("gone", "aborted")] {
        for name in ["one ok", "hangs cancelled", outcome] {
            assert_eq!(counts[&format!("shop/{route} {name}")], LEFT as u64, "{route} {name}");
        }
    }
    assert_eq!(counts["shop/failed bad failed"], LEFT as u64);
    assert!(counts["shop/c degraded"] > 100 && counts["shop/c three skipped"] > 100);
    let folder = gateway.folder.path().to_owned();
    let log = loop {
        let log = std::fs::read_to_string(folder.join("access.log")).unwrap();
        if log.lines().count() == REQUESTS {
            break log;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    assert_eq!(from_log(&log), counts, "the access log");
    let (running, _folder) = gateway.into_running();
    running.drain();
    tokio::task::spawn_blocking(|| running.wait()).await.unwrap().unwrap();
    let seen = collector.seen();
    assert_eq!(from_spans(&seen), counts, "spans");
    assert_eq!(orphans(&seen), [""; 0], "every span but the request's has a parent");
    assert_eq!(from_otlp(&seen), counts, "metrics over OTLP");
}
