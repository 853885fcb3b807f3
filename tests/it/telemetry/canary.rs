//! What must stay secret, planted wherever it could leak from, is looked for in all that the gateway says.
//!
//! A process of its own, because standard error is one of the places.

use std::{
    collections::HashMap,
    io::Read,
    process::{Command, Stdio},
    time::Duration,
};

use http::Request;
use http_body_util::Full;

use super::collector::{Collector, Mood};
use crate::support::{
    client::send,
    gateway::{route, service, write},
    origin::{Origin, json},
};

const GATEWAY: &str = "\
apiVersion: segue/v1
kind: Gateway
metadata: {name: edge, owner: platform}
listeners: [{name: http, address: \"127.0.0.1:LISTEN\"}]
admin: {address: \"127.0.0.1:ADMIN\", token: {env: ADMIN_CANARY}}
workers: 1
telemetry:
  sample: 1
  otlp: {endpoint: \"http://COLLECTOR\", headers: {x-key: {env: OTLP_CANARY}}}
  accessLog: {path: stdout, otlp: true, fields: [time, traceId, route, client, method, host, path, status, outcome, code, steps, degraded, service, peer]}
";

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The word to look for, which is different for each place.
fn canary(place: &str) -> String {
    format!("canary-{place}-7f3a")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_appears_in_any_signal() {
    let told = canary("upstream-text");
    let origin = Origin::start(move |request| {
        let told = told.clone();
        async move {
            match request.uri().path() {
                // An error's words, a header of it, a body that is no JSON.
                "/angry" => {
                    let mut answer = json(format!("{{\"error\": \"{told}\"}}"));
                    *answer.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
                    let header = canary("upstream-header");
                    answer.headers_mut().insert("x-error", header.parse().unwrap());
                    answer
                }
                "/broken" => json(format!("{{\"a\": {told}")),
                _ => json(format!("{{\"secret\": \"{}\"}}", canary("body-out"))),
            }
        }
    })
    .await;
    let collector = Collector::start(Mood::Good).await;
    let (listen, admin) = (free_port(), free_port());
    let folder = tempfile::tempdir().unwrap();
    let document = GATEWAY
        .replace("LISTEN", &listen.to_string())
        .replace("COLLECTOR", &collector.address.to_string())
        .replace("127.0.0.1:ADMIN", &format!("127.0.0.1:{admin}"));
    write(folder.path(), "policies/gateway.yaml", &document);
    let step = |name: &str, path: &str| {
        let reads = "respond: {body: '${ steps.a.body.a }'}";
        route(
            name,
            &format!(
                "match: {{path: {path}}}\nsteps: {{a: {{http: {{service: back, path: {path}, query: {{k: '${{ request.query.?key }}'}}}}}}}}\n{reads}"
            ),
        )
    };
    let documents = [
        service("back", origin.address, "headers: {x-service-key: {env: SERVICE_CANARY}}"),
        route("pass", "match: {path: \"/pass/{rest...}\"}\nproxy: {service: back}"),
        step("angry", "/angry"),
        step("broken", "/broken"),
        route(
            "checked",
            "match: {path: /checked, methods: [POST]}\nrequest: {body: {schema: {type: object}, required: true}}\nsteps: {a: {http: {service: back, path: /x}}}\nrespond: {body: '${ steps.a.body }'}",
        ),
    ];
    write(folder.path(), "routes/shop/all.yaml", &documents.join("---\n"));
    let secrets: HashMap<&str, String> = ["ADMIN_CANARY", "OTLP_CANARY", "SERVICE_CANARY", "OTHER_CANARY"]
        .into_iter()
        .map(|name| (name, canary(name)))
        .collect();
    let mut process = Command::new(env!("CARGO_BIN_EXE_segue"))
        .args(["serve", "--config"])
        .arg(folder.path())
        .envs(&secrets)
        .env("SEGUE_LOG", "debug")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdout, mut stderr) = (process.stdout.take().unwrap(), process.stderr.take().unwrap());
    let read = |stream: &mut dyn Read| {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    let address = format!("127.0.0.1:{listen}").parse().unwrap();
    while tokio::net::TcpStream::connect(address).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut answers = Vec::new();
    for (method, path) in [
        ("GET", "/pass/x"),
        ("GET", "/angry"),
        ("GET", "/broken"),
        ("POST", "/checked"),
        ("POST", "/pass/y"),
        ("GET", "/none"),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(format!("{path}?key={}", canary("query")))
            .header("authorization", format!("Bearer {}", canary("authorization")))
            .header("x-api-key", canary("api-key"))
            .header("cookie", format!("session={}", canary("cookie")))
            .header("x-anything", canary("header"))
            .header("content-type", "application/json")
            .body(Full::from(if method == "POST" {
                format!("[\"{}\"]", canary("body-in"))
            } else {
                String::new()
            }))
            .unwrap();
        let answer = send(address, request).await;
        // What the upstream answers to a proxied request is the client's; what it says in errors is not.
        if !path.starts_with("/pass") {
            answers.push(answer.text().to_owned());
        }
    }
    let mut pages = Vec::new();
    let page = |path: &str, token: String| {
        Request::get(path).header("authorization", format!("Bearer {token}")).body(Full::default()).unwrap()
    };
    let at = format!("127.0.0.1:{admin}").parse().unwrap();
    assert_eq!(send(at, page("/status", canary("wrong-token"))).await.status, 401);
    for path in ["/metrics", "/status", "/requests", "/requests.json"] {
        let got = send(at, page(path, canary("ADMIN_CANARY"))).await;
        assert_eq!(got.status, 200, "{path}");
        pages.push(got.text().to_owned());
    }
    collector.until("spans and logs", |seen| seen.spans.len() >= 6 && seen.logs.len() >= 6).await;
    let id = process.id().to_string();
    Command::new("kill").args(["-TERM", &id]).status().unwrap();
    assert!(tokio::task::spawn_blocking(move || process.wait()).await.unwrap().unwrap().success());
    let seen = collector.seen();
    assert!(!seen.metrics.is_empty());
    let exported: Vec<String> =
        seen.raw.iter().map(|raw| String::from_utf8_lossy(raw).into_owned()).collect();
    let log = read(&mut stdout);
    assert_eq!(log.lines().count(), 6, "{log}");
    // The collector alone is told its own key.
    assert!(seen.headers.iter().all(|headers| headers["x-key"] == canary("OTLP_CANARY")));
    for (place, text) in answers
        .iter()
        .map(|text| ("an answer", text))
        .chain(pages.iter().map(|text| ("an admin page", text)))
        .chain(exported.iter().map(|text| ("an export", text)))
        .chain([("the access log", &log), ("standard error", &read(&mut stderr))])
    {
        if let Some(found) = text.find("canary-") {
            let end = text.len().min(found + 60);
            panic!("{place} has {:?}", &text.as_bytes()[found..end].escape_ascii().to_string());
        }
    }
}
