//! Reload: whole or not at all, without losing a request.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use segue::reload::Outcome;
use tokio::net::TcpStream;

use crate::support::{
    client::{get, send},
    gateway::{Gateway, route, service, write},
    origin::Origin,
};

fn fixed(version: usize) -> String {
    route("version", &format!("match: {{path: /version}}\nstatic: {{body: {{version: {version}}}}}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_served_and_the_same_bytes_change_nothing() {
    let gateway = Gateway::start(&[fixed(1)]);
    assert_eq!(get(gateway.address, "/version").await.text(), r#"{"version":1}"#);
    gateway.replace(&[fixed(2)]);
    // The watcher may have been faster than this call.
    let outcome = gateway.running().reload().unwrap();
    assert!(matches!(outcome, Outcome::Applied | Outcome::Unchanged), "{outcome:?}");
    assert_eq!(get(gateway.address, "/version").await.text(), r#"{"version":2}"#);
    assert_eq!(gateway.running().reload(), Some(Outcome::Unchanged));
    let status = get(gateway.admin, "/status").await.json();
    assert_eq!(status["generation"], 2);
    assert_eq!(status["units"]["shop"]["state"], "applied");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_tree_keeps_the_last_good_plan_and_says_why() {
    let gateway = Gateway::start(&[fixed(1)]);
    let before = get(gateway.admin, "/status").await.json();
    gateway.replace(&[fixed(2).replace("static:", "statik:")]);
    assert_eq!(gateway.running().reload(), Some(Outcome::Rejected));
    assert_eq!(get(gateway.address, "/version").await.text(), r#"{"version":1}"#);
    let status = get(gateway.admin, "/status").await.json();
    assert_eq!(status["generation"], before["generation"]);
    assert_eq!(status["hash"], before["hash"]);
    let unit = &status["units"]["shop"];
    assert_eq!(unit["state"], "rejected");
    let finding =
        unit["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == "unknown_key");
    let finding = finding.unwrap_or_else(|| panic!("{status:#}"));
    assert_eq!(finding["file"], "routes/shop/all.yaml");
    assert_eq!((&finding["line"], &finding["column"]), (&5.into(), &1.into()));
    assert!(finding["help"].as_str().unwrap().contains("static"), "{finding}");
    // Mended, it moves on.
    gateway.replace(&[fixed(3)]);
    let _ = gateway.running().reload();
    assert_eq!(get(gateway.address, "/version").await.text(), r#"{"version":3}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watcher_sees_a_changed_file() {
    let gateway = Gateway::start(&[fixed(1)]);
    gateway.replace(&[fixed(2)]);
    // No call of ours reloads: the loop ends only because the file was seen to change.
    while get(gateway.address, "/version").await.text() != r#"{"version":2}"# {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_reloads_lose_no_request() {
    let origin = Origin::json(r#"{"a":1}"#).await;
    let documents = |version: usize| {
        vec![
            service("back", origin.address, ""),
            route("pass", "match: {path: '/pass'}\nproxy: {service: back}"),
            route(
                "made",
                &format!(
                    "match: {{path: /made}}\nsteps: {{one: {{http: {{service: back, path: /}}}}}}\nrespond: {{body: {{a: '${{ steps.one.body.a }}', version: {version}}}}}"
                ),
            ),
        ]
    };
    let gateway = Gateway::start(&documents(0));
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let mut clients = Vec::new();
    for path in ["/pass", "/made", "/pass", "/made"] {
        let (stop, answered, address) = (Arc::clone(&stop), Arc::clone(&answered), gateway.address);
        clients.push(tokio::spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            while !stop.load(Ordering::SeqCst) {
                let request = Request::get(path).header("host", "a").body(Full::<Bytes>::default()).unwrap();
                let answer = sender.send_request(request).await.expect("a kept connection was lost");
                assert_eq!(answer.status(), 200);
                let body = answer.into_body().collect().await.unwrap().to_bytes();
                assert!(body.starts_with(br#"{"a":1"#));
                answered.fetch_add(1, Ordering::SeqCst);
            }
        }));
    }
    for version in 1..=100 {
        gateway.replace(&documents(version));
        assert_ne!(gateway.running().reload(), Some(Outcome::Rejected));
        let made = get(gateway.address, "/made").await.json();
        assert_eq!(made["version"], version, "a reload was answered before it applied");
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    assert!(answered.load(Ordering::SeqCst) >= 100);
    // Services did not change, so neither did their connections.
    assert!(origin.connections() <= 8 + 2, "{} connections", origin.connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn post_reload_answers_once_it_is_applied() {
    let gateway = Gateway::start(&[fixed(1)]);
    gateway.replace(&[fixed(2)]);
    let got = send(gateway.admin, Request::post("/reload").body(Full::default()).unwrap()).await;
    assert_eq!(got.status, 200);
    assert_eq!(got.json()["generation"], 2);
    assert_eq!(get(gateway.address, "/version").await.text(), r#"{"version":2}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watcher_follows_a_tree_that_is_put_in_the_place_of_another() {
    let gateway = Gateway::start(&[fixed(1)]);
    let root = gateway.folder.path();
    for version in 2..=4 {
        write(root, ".next/shop/all.yaml", &fixed(version));
        std::fs::rename(root.join("routes"), root.join(".last")).unwrap();
        std::fs::rename(root.join(".next"), root.join("routes")).unwrap();
        std::fs::remove_dir_all(root.join(".last")).unwrap();
        let wanted = format!("{{\"version\":{version}}}");
        while get(gateway.address, "/version").await.text() != wanted {
            tokio::task::yield_now().await;
        }
    }
    gateway.replace(&[fixed(5)]);
    // Without an event it would be found by the look every 30 s.
    let seen = async {
        while get(gateway.address, "/version").await.text() != r#"{"version":5}"# {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(15), seen).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_is_half_written_is_refused() {
    let gateway = Gateway::start(&[fixed(1)]);
    write(gateway.folder.path(), "routes/shop/all.yaml", "");
    assert_eq!(gateway.running().reload(), Some(Outcome::Rejected));
    assert_eq!(get(gateway.address, "/version").await.text(), r#"{"version":1}"#);
    let status = get(gateway.admin, "/status").await.json();
    let findings = status["units"]["shop"]["findings"].as_array().unwrap();
    assert_eq!(findings.iter().map(|finding| &finding["code"]).collect::<Vec<_>>(), ["half_written"]);
    // Removed, it was meant.
    std::fs::remove_file(gateway.folder.path().join("routes/shop/all.yaml")).unwrap();
    assert_ne!(gateway.running().reload(), Some(Outcome::Rejected));
    assert_eq!(get(gateway.address, "/version").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_file_is_read_again_when_it_changes() {
    let origin = Origin::json("{}").await;
    let back = service("back", origin.address, "headers: {x-key: {file: key.txt}}");
    let documents = [back, route("pass", "match: {path: /pass}\nproxy: {service: back}")];
    let gateway = Gateway::start(&[fixed(1)]);
    write(gateway.folder.path(), "routes/shop/key.txt", "one\n");
    gateway.replace(&documents);
    assert_ne!(gateway.running().reload(), Some(Outcome::Rejected));
    get(gateway.address, "/pass").await;
    write(gateway.folder.path(), "routes/shop/key.txt", "another\n");
    let _ = gateway.running().reload();
    get(gateway.address, "/pass").await;
    let sent: Vec<_> = origin.seen().iter().map(|call| call.headers["x-key"].clone()).collect();
    assert_eq!(sent, ["one", "another"]);
}
