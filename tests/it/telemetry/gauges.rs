//! What is now and not what was: pools, endpoints, budgets, custody. It survives a reload, and goes with its
//! service.

use http::Request;
use http_body_util::Full;
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::watch};

use crate::support::{
    client::{get, send},
    gateway::{Gateway, route, service},
    origin::{Origin, json},
};

/// The value of a series on the page.
fn value(page: &str, series: &str) -> Option<f64> {
    let line =
        page.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

/// Waits until a series has this value.
async fn until(gateway: &Gateway, series: &str, wanted: f64) {
    for _ in 0..2000 {
        if value(get(gateway.admin, "/metrics").await.text(), series) == Some(wanted) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("{series} is not {wanted}:\n{}", get(gateway.admin, "/metrics").await.text());
}

async fn origin(mut released: watch::Receiver<bool>) -> Origin {
    let _ = released.borrow_and_update();
    Origin::start(move |request| {
        let slow = request.uri().path() == "/slow";
        let mut released = released.clone();
        async move {
            if slow {
                released.wait_for(|released| *released).await.unwrap();
            }
            json("1")
        }
    })
    .await
}

fn documents(origin: &Origin, dead: std::net::SocketAddr, timeout: &str) -> Vec<String> {
    let charge = "match: {path: /charge, methods: [POST]}
steps: {charge: {http: {service: back, method: POST, path: /slow}}}
respond: {body: '${ steps.charge.body }'}";
    vec![
        service("back", origin.address, &format!("timeout: {timeout}")),
        service("gone", dead, ""),
        route("p", "match: {path: '/p/{rest...}'}\nproxy: {service: back, path: '/${ request.path.rest }'}"),
        route("charge", charge),
        route("gone", "match: {path: /gone}\nproxy: {service: gone}"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn gauges_survive_a_reload_and_vanish_with_their_service() {
    let (release, released) = watch::channel(false);
    let origin = origin(released).await;
    let dead = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    let gateway = Gateway::start(&documents(&origin, dead, "10s"));
    assert_eq!(get(gateway.address, "/p/x").await.status, 200);
    assert_eq!(get(gateway.address, "/gone").await.status, 502);
    let page = get(gateway.admin, "/metrics").await;
    for (series, wanted) in [
        ("segue_upstream_calls_total{service=\"shop/back\"}", 1.0),
        ("segue_upstream_endpoints{service=\"shop/gone\",state=\"avoided\"}", 1.0),
        ("segue_upstream_endpoints{service=\"shop/back\",state=\"usable\"}", 1.0),
        ("segue_upstream_retry_budget{service=\"shop/back\"}", 3.0),
        ("segue_upstream_shed_total{service=\"shop/back\"}", 0.0),
        ("segue_connections_pauses_total{reason=\"limit\"}", 0.0),
        ("segue_connections_pauses_total{reason=\"memory\"}", 0.0),
    ] {
        assert_eq!(value(page.text(), series), Some(wanted), "{series}:\n{}", page.text());
    }
    assert!(value(page.text(), "segue_connections_limit").unwrap() >= 1.0);
    until(&gateway, "segue_upstream_connections{service=\"shop/back\",state=\"idle\"}", 1.0).await;
    // One call is under way, and one goes on although its client has left.
    let address = gateway.address;
    let slow = tokio::spawn(async move { get(address, "/p/slow").await });
    let in_flight = "segue_upstream_in_flight{service=\"shop/back\"}";
    until(&gateway, in_flight, 1.0).await;
    let mut client = TcpStream::connect(gateway.address).await.unwrap();
    client.write_all(b"POST /charge HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    until(&gateway, in_flight, 2.0).await;
    drop(client);
    until(&gateway, "segue_custody", 1.0).await;
    // Another timeout makes it another service, whose calls begin with what the first one counted.
    gateway.replace(&documents(&origin, dead, "9s"));
    gateway.running().reload();
    until(&gateway, "segue_generation", 2.0).await;
    until(&gateway, in_flight, 2.0).await;
    assert_eq!(get(gateway.address, "/p/x").await.status, 200);
    until(&gateway, "segue_upstream_calls_total{service=\"shop/back\"}", 4.0).await;
    release.send_replace(true);
    assert_eq!(slow.await.unwrap().status, 200);
    until(&gateway, in_flight, 0.0).await;
    until(&gateway, "segue_custody", 0.0).await;
    until(&gateway, "segue_upstream_connections{service=\"shop/back\",state=\"idle\"}", 1.0).await;
    gateway.replace(&[route("s", "match: {path: /s}\nstatic: {status: 204}")]);
    gateway.running().reload();
    let request = Request::get("/s").body(Full::default()).unwrap();
    assert_eq!(send(gateway.address, request).await.status, 204);
    let page = get(gateway.admin, "/metrics").await;
    for gone in ["shop/back", "shop/gone", "shop/p", "shop/charge"] {
        assert!(!page.text().contains(gone), "{gone}:\n{}", page.text());
    }
}
