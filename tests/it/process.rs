//! The program as its users run it: arguments, output, exit codes, signals.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use crate::support::{
    client::get,
    gateway::{route, service, write},
    origin::{Origin, json},
};

fn segue(root: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_segue")).args(arguments).current_dir(root).output().unwrap()
}

/// Ten mistakes, and where each is.
const MISTAKES: &str = r#"apiVersion: segue/v1
kind: Route
metadata: {name: Trip_Search, owner: sales}
match: {path: "/trips/{id}/{id}"}
timeout: 5 minutes
steps:
  one: {http: {servise: rail, path: /a}}
  two: {http: {service: rial, path: /b}}
  three:
    http: {service: rail, path: "/c/${ request.path.idd }"}
    hedge: {after: 50ms}
  four: {http: {service: rail, path: /d}, after: [fife]}
  five:
    http: {service: rail, path: /e}
    optional: "yes"
respond:
  body:
    a: ${ steps.three.body.x + }
    b: ${ steps.three.body }
"#;

#[test]
fn a_template_with_ten_mistakes_has_ten_findings_with_exact_places() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "policies/gateway.yaml", crate::support::gateway::GATEWAY);
    write(folder.path(), "routes/sales/rail.yaml", &service("rail", "127.0.0.1:9".parse().unwrap(), ""));
    write(folder.path(), "routes/sales/trips.yaml", MISTAKES);
    let output = segue(folder.path(), &["check", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let found: Vec<String> = findings
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["severity"] == "error")
        .map(|finding| {
            format!("{}:{} {}", finding["line"], finding["column"], finding["code"].as_str().unwrap())
        })
        .collect();
    let expected = [
        "3:18 invalid_name",
        "4:28 invalid_path",
        "5:10 invalid_value",
        "7:16 unknown_key",
        "8:25 unknown_service",
        "10:53 unknown_reference",
        "11:5 not_in_this_version",
        "12:51 unknown_step",
        "15:15 wrong_type",
        "18:32 expression_syntax",
    ];
    assert_eq!(found, expected);
}

#[test]
fn check_prints_the_line_a_caret_and_help() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "policies/gateway.yaml", crate::support::gateway::GATEWAY);
    write(folder.path(), "routes/a/r.yaml", &route("r", "match: {path: /}\nstatik: {status: 204}"));
    let output = segue(folder.path(), &["check"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("routes/a/r.yaml:5:1: error[unknown_key]"), "{text}");
    assert!(text.contains("statik: {status: 204}"), "{text}");
    assert!(text.contains("^^^^^^"), "{text}");
    assert!(text.contains("`static`"), "{text}");
}

#[test]
fn exit_codes_are_0_1_and_2() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "policies/gateway.yaml", crate::support::gateway::GATEWAY);
    write(folder.path(), "routes/a/r.yaml", &route("r", "match: {path: /}\nstatic: {status: 204}"));
    for (arguments, code) in [
        (&["check"][..], 0),
        (&["routes"], 0),
        (&["schema"], 0),
        (&["explain", "unknown_key"], 0),
        (&["--help"], 0),
        (&["check", "--config", "/does/not/exist"], 1),
        (&["explain", "unknown_kee"], 2),
        (&["chekc"], 2),
        (&["mock", "a/r"], 2),
    ] {
        let output = segue(folder.path(), arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    }
}

/// A gateway as a process of its own, ended when dropped.
pub(crate) struct Served {
    child: Child,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) admin: std::net::SocketAddr,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two ports that were free a moment ago.
fn free() -> [std::net::SocketAddr; 2] {
    let sockets = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    sockets.map(|socket| socket.local_addr().unwrap())
}

async fn serve(root: &Path, drain: &str) -> Served {
    serve_in(root, drain, &[]).await
}

/// The same with these environment variables.
pub(crate) async fn serve_in(root: &Path, drain: &str, environment: &[(&str, &Path)]) -> Served {
    let [address, admin] = free();
    let gateway = format!(
        "apiVersion: segue/v1\nkind: Gateway\nmetadata: {{name: g, owner: it}}\nlisteners: [{{name: h, address: \"{address}\"}}]\nadmin: {{address: \"{admin}\"}}\n{drain}\n"
    );
    write(root, "policies/gateway.yaml", &gateway);
    let mut child = Command::new(env!("CARGO_BIN_EXE_segue"))
        .args(["serve", "--config"])
        .arg(root)
        .envs(environment.iter().copied())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // The line that says where the last listener is comes after all of them are bound.
    let stderr = child.stderr.take().unwrap();
    let mut lines = BufReader::new(stderr).lines();
    let listening = lines.by_ref().map_while(Result::ok).find(|line| line.contains("listening"));
    assert!(listening.is_some(), "it did not start");
    std::thread::spawn(move || lines.map_while(Result::ok).count());
    while tokio::net::TcpStream::connect(admin).await.is_err() {
        tokio::task::yield_now().await;
    }
    Served { child, address, admin }
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_drains_and_exits_0() {
    let folder = tempfile::tempdir().unwrap();
    let (called, mut calls) = tokio::sync::mpsc::unbounded_channel();
    let go = std::sync::Arc::new(tokio::sync::Notify::new());
    let gate = std::sync::Arc::clone(&go);
    let origin = Origin::start(move |_| {
        let (called, gate) = (called.clone(), std::sync::Arc::clone(&gate));
        async move {
            called.send(()).unwrap();
            gate.notified().await;
            json("{}")
        }
    })
    .await;
    write(
        folder.path(),
        "routes/a/r.yaml",
        &[
            service("back", origin.address, ""),
            route("slow", "match: {path: /slow}\nproxy: {service: back}"),
            route("fast", "match: {path: /fast}\nstatic: {status: 204}"),
        ]
        .join("---\n"),
    );
    let mut served = serve(folder.path(), "drain: {delay: 1s, timeout: 20s}").await;
    let slow = tokio::spawn({
        let address = served.address;
        async move { get(address, "/slow").await }
    });
    calls.recv().await.unwrap();
    signal(&served.child, "TERM");
    // Not ready, but still accepting until the delay has passed.
    while get(served.admin, "/readyz").await.status != 503 {
        tokio::task::yield_now().await;
    }
    let late = get(served.address, "/fast").await;
    assert_eq!(late.status, 204);
    assert_eq!(late.header("connection"), Some("close"));
    while tokio::net::TcpStream::connect(served.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    // What was under way still ends.
    go.notify_one();
    assert_eq!(slow.await.unwrap().status, 200);
    let status = tokio::task::spawn_blocking(move || served.child.wait().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reloads() {
    let folder = tempfile::tempdir().unwrap();
    let fixed = |n: u8| route("r", &format!("match: {{path: /}}\nstatic: {{body: {n}}}"));
    write(folder.path(), "routes/a/r.yaml", &fixed(1));
    let served = serve(folder.path(), "").await;
    assert_eq!(get(served.address, "/").await.text(), "1");
    write(folder.path(), "routes/a/r.yaml", &fixed(2));
    signal(&served.child, "HUP");
    while get(served.address, "/").await.text() != "2" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_gateway_on_the_port_fails_loudly() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "routes/a/r.yaml", &route("r", "match: {path: /}\nstatic: {status: 204}"));
    let served = serve(folder.path(), "").await;
    let mut second = Command::new(env!("CARGO_BIN_EXE_segue"))
        .args(["serve", "--config"])
        .arg(folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = second.wait().unwrap();
    let mut text = String::new();
    second.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains(&served.address.to_string()), "{text}");
}

#[test]
fn a_broken_tree_is_reported_and_not_served() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "policies/gateway.yaml", crate::support::gateway::GATEWAY);
    write(
        folder.path(),
        "routes/a/r.yaml",
        "apiVersion: segue/v1\nkind: Rout\nmetadata: {name: r, owner: t}\n",
    );
    let output = segue(folder.path(), &["serve"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("routes/a/r.yaml:2:7: error[unknown_kind]"), "{text}");
}
