//! Lines of the access log at the collector: a record says what its line does, and no more.

use std::collections::BTreeMap;

use http::Request;
use http_body_util::Full;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use segue::telemetry::access_log::Field;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::collector::{Collector, Mood, attributes, exporting, text};
use crate::{
    sources::root,
    support::{
        client::{get, send},
        gateway::{GATEWAY, Gateway, route, service},
        origin::{Origin, json, status},
    },
};

/// By field, the attributes and places of a record that the page names.
fn mapping() -> BTreeMap<String, Vec<String>> {
    let page = std::fs::read_to_string(root().join("src/docs/telemetry.md")).unwrap();
    let table = page.split("| field | in a log record |").nth(1).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let names = |row: &str| -> Vec<String> { row.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    rows.map(|row| {
        let mut names = names(row);
        (names.remove(0), names)
    })
    .collect()
}

/// What a record says: its attributes, and what has a place of its own in it.
fn said(record: &LogRecord) -> BTreeMap<&str, String> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut said = attributes(&record.attributes);
    for (name, value) in [("trace_id", hex(&record.trace_id)), ("span_id", hex(&record.span_id))] {
        if !value.is_empty() {
            said.insert(name, value);
        }
    }
    if record.time_unix_nano > 0 {
        said.insert("time_unix_nano", record.time_unix_nano.to_string());
    }
    assert_ne!(record.observed_time_unix_nano, 0);
    assert_eq!((&*record.severity_text, &*record.event_name), ("INFO", "segue.access"));
    said
}

fn micros(value: &Value) -> String {
    ((value.as_f64().unwrap() * 1000.0).round() as u64).to_string()
}

/// How the record has what a line says of a field.
fn as_record(field: &str, value: &Value) -> Option<String> {
    match field {
        // Written a moment later.
        "time" => None,
        "durationMs" | "upstreamMs" => Some(micros(value)),
        // In two attributes.
        "peer" => None,
        // What nobody knows has its original beside.
        "method" if value == "BREW" => Some("_OTHER".to_owned()),
        "sampled" => Some("head".to_owned()),
        "steps" => {
            let step = |(name, step): (&String, &Value)| {
                let us = step.get("ms").map(|ms| format!(" us={}", micros(ms))).unwrap_or_default();
                format!("{name}={{outcome={}{us}}}", step["outcome"].as_str().unwrap())
            };
            let steps: Vec<String> = value.as_object().unwrap().iter().map(step).collect();
            Some(format!("{{{}}}", steps.join(" ")))
        }
        _ => Some(match value {
            Value::String(text) => text.clone(),
            Value::Array(list) => list.iter().map(|one| one.as_str().unwrap()).collect::<Vec<_>>().join(","),
            other => other.to_string(),
        }),
    }
}

fn documents(origin: &Origin) -> [String; 4] {
    let steps = "match: {path: \"/c/{id}\"}
steps:
  one: {http: {service: back, path: /one}}
  two: {http: {service: back, path: /bad}, optional: true}
  three: {when: '${ request.path.id == \"8\" }', http: {service: back, path: /three}, optional: true}
respond: {body: '${ steps.one.body }'}";
    [
        service("back", origin.address, ""),
        route("c", steps),
        route("p", "match: {path: \"/p/{x}\"}\nproxy: {service: back}"),
        route("ws", "match: {path: /ws}\nproxy: {service: back}"),
    ]
}

async fn origin() -> Origin {
    Origin::start(|request| async move {
        match request.uri().path() {
            "/bad" => status(500),
            "/ws" => {
                let mut answer = status(101);
                answer.headers_mut().insert("connection", "upgrade".parse().unwrap());
                answer.headers_mut().insert("upgrade", "websocket".parse().unwrap());
                answer
            }
            _ => json("1"),
        }
    })
    .await
}

/// Asks for a little of everything, and gives how many lines that makes.
async fn ask(gateway: &Gateway) -> usize {
    get(gateway.address, "/c/7?q=secret").await;
    let post = Request::post("/p/CANARY").header("host", "shop.example:81").body(Full::from("12345"));
    assert_eq!(send(gateway.address, post.unwrap()).await.status, 200);
    let brew = Request::builder().method("BREW").uri("/nowhere").body(Full::default()).unwrap();
    send(gateway.address, brew).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let ask = b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
    stream.write_all(ask).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    // The upgraded connection has a line when it begins and one at its end.
    5
}

/// Records and lines of the same requests, in the same order.
async fn told(fields: &str) -> Vec<(LogRecord, Value)> {
    let (origin, collector) = (origin().await, Collector::start(Mood::Good).await);
    let log = format!(", accessLog: {{path: access.log, otlp: true, fields: [{fields}]}}");
    let document = exporting(GATEWAY, collector.address, &log);
    let gateway = Gateway::start_with(&document, &documents(&origin));
    let count = ask(&gateway).await;
    let is_line = |record: &LogRecord| record.event_name == "segue.access";
    let seen = collector
        .until("the lines", |seen| seen.logs.iter().filter(|one| is_line(one)).count() >= count)
        .await;
    let mut records: Vec<LogRecord> = seen.logs.into_iter().filter(is_line).collect();
    records.sort_by_key(|record| record.observed_time_unix_nano);
    let path = gateway.folder.path().join("access.log");
    let lines = loop {
        let log = std::fs::read_to_string(&path).unwrap();
        if log.lines().count() >= count {
            break log;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    let mut lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((records.len(), lines.len()), (count, count));
    lines.sort_by_key(|line| line["time"].as_str().unwrap().to_owned());
    records.into_iter().zip(lines).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_says_what_its_line_does() {
    let all: Vec<&str> = Field::ALL.iter().map(|field| field.name()).collect();
    let mapping = mapping();
    let mut fields: Vec<&str> = mapping.keys().map(String::as_str).collect();
    let mut wanted = all.clone();
    fields.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(fields, wanted, "the table has every field");
    let mut told = told(&all.join(", ")).await;
    // Two that ended within a millisecond may stand in another order in the file.
    let mut lines: Vec<Value> = told.iter().map(|(_, line)| line.clone()).collect();
    let mut bodies = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for (record, _) in &mut told {
        let said = said(record);
        let id = |line: &Value| {
            line["requestId"] == *said["segue.request.id"] && line["outcome"] == *said["segue.outcome"]
        };
        let line = lines.swap_remove(lines.iter().position(id).unwrap());
        let mut names: Vec<&str> = Vec::new();
        for (field, value) in line.as_object().unwrap() {
            seen.insert(field.clone());
            let own = mapping[field].iter().map(String::as_str).filter(|name| said.contains_key(name));
            let before = names.len();
            names.extend(own);
            assert!(names.len() > before, "{field} is not in the record: {said:?}");
            if let Some(wanted) = as_record(field, value) {
                assert_eq!(said[names[before]], wanted, "{field}");
            }
        }
        let mut all: Vec<&str> = said.keys().copied().collect();
        names.sort_unstable();
        all.sort_unstable();
        assert_eq!(names, all, "nothing else is said: {line}");
        bodies.push(text(record.body.as_ref()));
    }
    bodies.sort_unstable();
    assert_eq!(
        bodies,
        ["BREW /nowhere 404", "GET /c/7 200", "GET /ws 101", "GET /ws 101", "POST /p/CANARY 200"]
    );
    // Nobody has authenticated.
    let missing: Vec<&&str> = wanted.iter().filter(|field| !seen.contains(**field)).collect();
    assert_eq!(missing, [&"principal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_has_nothing_that_was_not_chosen() {
    let (mut bodies, mut lines) = (Vec::new(), Vec::new());
    for (record, line) in told("time, route, status, method, host, steps, degraded, code").await {
        let (said, body) = (said(&record), text(record.body.as_ref()));
        let most = [
            "time_unix_nano",
            "segue.route",
            "http.response.status_code",
            "http.request.method",
            "http.request.method_original",
            "server.address",
            "segue.steps",
            "segue.degraded",
            "segue.code",
        ];
        assert!(said.keys().all(|name| most.contains(name)), "{said:?}");
        bodies.push(body);
        lines.push(format!("{} {}", line["method"].as_str().unwrap(), line["status"]));
        assert!(!format!("{record:?}").contains("CANARY"), "{record:?}");
    }
    // Two that ended within a millisecond may stand in another order in the file.
    bodies.sort_unstable();
    lines.sort_unstable();
    assert_eq!(bodies, lines);
    let told = told("time, outcome").await;
    let words = |(record, _): &(LogRecord, Value)| text(record.body.as_ref());
    assert!(told.iter().all(|told| words(told) == "request" && said(&told.0).len() == 2));
    assert!(told.iter().any(|(record, _)| said(record)["segue.outcome"] == "closed"), "{told:?}");
}
