//! A collector that is not well changes nothing for clients.

use super::collector::{Collector, Mood, exporting};
use crate::support::{
    client::get,
    gateway::{GATEWAY, Gateway, route, service},
    origin::Origin,
};

async fn serves_with(collector: std::net::SocketAddr, signal: &str) {
    let origin = Origin::json("1").await;
    let document = exporting(GATEWAY, collector, "");
    let documents =
        [service("back", origin.address, ""), route("ok", "match: {path: /ok}\nproxy: {service: back}")];
    let gateway = Gateway::start_with(&document, &documents);
    // More than the queue holds.
    for _ in 0..50 {
        assert_eq!(get(gateway.address, "/ok").await.text(), "1");
    }
    let wanted = format!("segue_telemetry_exports_total{{signal=\"traces\",result=\"{signal}\"}}");
    loop {
        let metrics = get(gateway.admin, "/metrics").await;
        assert_eq!(get(gateway.address, "/ok").await.status, 200);
        if metrics.text().contains(&wanted) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let (running, _folder) = gateway.into_running();
    running.drain();
    tokio::time::timeout(std::time::Duration::from_secs(8), tokio::task::spawn_blocking(|| running.wait()))
        .await
        .expect("the end does not wait for a collector")
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_collector_changes_nothing() {
    let dead = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    serves_with(dead, "failed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_collector_changes_nothing() {
    serves_with(Collector::start(Mood::Busy).await.address, "failed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_refuses_changes_nothing() {
    serves_with(Collector::start(Mood::Refusing).await.address, "failed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lying_collector_changes_nothing() {
    serves_with(Collector::start(Mood::Lying).await.address, "ok").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_collector_changes_nothing() {
    let collector = Collector::start(Mood::Silent).await;
    serves_with(collector.address, "failed").await;
}
