//! `tracing` of a policy, and the access log's settings.

use segue::{
    diagnostic::{Code, Severity},
    reload::Outcome,
    serve::StartError,
};

use crate::support::{
    client::get,
    gateway::{GATEWAY, Gateway, route, service, write},
    origin::{Origin, json, status},
};

#[tokio::test(flavor = "multi_thread")]
async fn text_lines_have_the_fields_that_were_chosen() {
    let origin = Origin::json("1").await;
    let log = "telemetry: {accessLog: {format: text, path: access.log, fields: [method, path, status, outcome, sent, attempts]}}\n";
    let documents = [
        service("back", origin.address, ""),
        route("p", "match: {path: \"/p/{n}\"}\nproxy: {service: back}"),
    ];
    let gateway = Gateway::start_with(&format!("{GATEWAY}{log}"), &documents);
    get(gateway.address, "/p/1?token=secret").await;
    get(gateway.address, "/p/a%20b").await;
    let path = gateway.folder.path().join("access.log");
    let lines = |count: usize| {
        let path = path.clone();
        async move {
            loop {
                let log = std::fs::read_to_string(&path).unwrap_or_default();
                if log.lines().count() >= count {
                    return log;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
    };
    assert_eq!(
        lines(2).await,
        "method=GET path=/p/1 status=200 outcome=ok sent=1 attempts=1\n\
         method=GET path=/p/a%20b status=200 outcome=ok sent=1 attempts=1\n"
    );
    // Moved away, as a rotation does, it is begun anew.
    std::fs::rename(&path, path.with_extension("1")).unwrap();
    get(gateway.address, "/nowhere").await;
    assert_eq!(
        lines(1).await,
        "method=GET path=/nowhere status=404 outcome=refused sent=239 attempts=0\n"
            .replace("239", &sent(&path))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_opened_stops_a_start_and_changes_nothing_at_a_reload() {
    let origin = Origin::json("1").await;
    let document = |path: &str| format!("{GATEWAY}telemetry: {{accessLog: {{path: {path}}}}}\n");
    let documents =
        [service("back", origin.address, ""), route("p", "match: {path: /p}\nproxy: {service: back}")];
    let Err(StartError::Findings(findings, _)) = Gateway::try_start(&document("logs/a.log"), &documents)
    else {
        panic!("it starts without its log");
    };
    let found: Vec<_> = findings.items().iter().filter(|one| one.code == Code::CannotLog).collect();
    assert_eq!((found.len(), found[0].severity, found[0].place.line), (1, Severity::Error, 8));
    let gateway = Gateway::start_with(&document("a.log"), &documents);
    write(gateway.folder.path(), "policies/gateway.yaml", &document("a.log/b.log"));
    assert_eq!(gateway.running().reload(), Some(Outcome::Rejected));
    get(gateway.address, "/p").await;
    while std::fs::read_to_string(gateway.folder.path().join("a.log")).unwrap().lines().count() < 1 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// How many bytes the last answer had, which its id decides.
fn sent(path: &std::path::Path) -> String {
    let log = std::fs::read_to_string(path).unwrap();
    let (_, rest) = log.split_once("sent=").unwrap();
    rest.split(' ').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_lets_answers_say_how_they_were_made() {
    let origin = Origin::start(|request| async move {
        if request.uri().path() == "/two" { status(500) } else { json("1") }
    })
    .await;
    let policy = "\
---
apiVersion: segue/v1
kind: Policy
metadata: {name: told, owner: platform}
tracing: {sample: 0.5, serverTiming: true, generationHeader: true}
";
    let steps = "match: {path: /c}
policies: [told]
steps:
  one: {http: {service: back, path: /one}}
  two: {http: {service: back, path: /two}, optional: true}
respond: {body: '${ steps.one.body }'}";
    let documents = [
        service("back", origin.address, ""),
        route("c", steps),
        route("p", "match: {path: /p}\npolicies: [told]\nproxy: {service: back}"),
        route("bad", &steps.replace("/c", "/bad").replace(", optional: true", "")),
    ];
    let gateway = Gateway::start_with(&format!("{GATEWAY}{policy}"), &documents);
    let names = |timing: &str| -> Vec<String> {
        timing.split(", ").map(|one| one.split(';').next().unwrap().to_owned()).collect()
    };
    let answer = get(gateway.address, "/c").await;
    assert_eq!(answer.header("segue-generation"), Some("1"));
    let timing = answer.header("server-timing").unwrap();
    let mut found = names(timing);
    found.sort();
    assert_eq!(found, ["one", "total", "two"], "{timing}");
    assert!(timing.contains(";dur=") && timing.contains("desc=failed"), "{timing}");
    let answer = get(gateway.address, "/p").await;
    assert_eq!(names(answer.header("server-timing").unwrap()), ["proxy", "total"]);
    // Answers to failures say it too.
    let answer = get(gateway.address, "/bad").await;
    assert_eq!((answer.status.as_u16(), answer.header("segue-generation")), (502, Some("1")));
    assert!(answer.header("server-timing").unwrap().contains("two;dur="));
}
