//! Policies over real sockets: what holds over workers, routes and reloads, and what clients try against it.

use http::Request;
use http_body_util::Full;

use crate::support::{
    client::{get, raw, send},
    gateway::{GATEWAY, Gateway, route, service},
    origin::{Origin, json},
};

fn with_policy(policy: &str) -> String {
    format!("{GATEWAY}---\napiVersion: segue/v1\nkind: Policy\nmetadata: {{name: p, owner: it}}\n{policy}\n")
}

fn proxied(name: &str, path: &str) -> String {
    route(name, &format!("match: {{path: '{path}'}}\nproxy: {{service: back}}\npolicies: [p]"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_holds_over_workers_routes_and_reloads_whatever_its_client_says_of_itself() {
    let origin = Origin::json("{}").await;
    let limit = "rateLimit: [{name: all, limit: 6, window: 1h}]";
    let documents = [service("back", origin.address, ""), proxied("one", "/one"), proxied("two", "/two")];
    let gateway = Gateway::start_with(&with_policy(limit), &documents);
    let mut served = 0;
    for index in 0..20 {
        let path = if index % 2 == 0 { "/one" } else { "/two" };
        let request = Request::get(path)
            .header("x-forwarded-for", format!("203.0.113.{index}"))
            .header("forwarded", format!("for=203.0.113.{index}"))
            .header("x-real-ip", format!("203.0.113.{index}"));
        let got = send(gateway.address, request.body(Full::default()).unwrap()).await;
        served += u32::from(got.status == 200);
        if got.status == 429 {
            assert_eq!(got.json()["code"], "rate_limited");
            assert!(got.header("retry-after").is_some() && got.header("ratelimit").unwrap().contains("r=0"));
        }
    }
    assert_eq!((served, origin.seen().len()), (6, 6));
    let mut more = documents.to_vec();
    more.push(proxied("three", "/three"));
    gateway.replace(&more);
    let _ = gateway.running().reload();
    assert_eq!(get(gateway.address, "/three").await.status, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxied_body_is_cut_at_the_byte_that_passes_the_limit() {
    let origin = Origin::json("{}").await;
    let documents = [service("back", origin.address, ""), proxied("one", "/one")];
    let gateway = Gateway::start_with(&with_policy("body: {maxBytes: 64}"), &documents);
    for (size, status) in [(64, "200"), (65, "413")] {
        let body = "x".repeat(size);
        let whole = format!(
            "POST /one HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {size}\r\n\r\n{body}"
        );
        let (front, back) = body.split_at(40);
        let chunked = format!(
            "POST /one HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
             28\r\n{front}\r\n{:x}\r\n{back}\r\n0\r\n\r\n",
            back.len()
        );
        for request in [whole, chunked] {
            let answer = raw(gateway.address, request.as_bytes()).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}\n{answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_given_back_when_its_answer_has_ended_or_its_client_has_left() {
    let (origin, gate) = Origin::gated().await;
    let documents = [service("back", origin.address, ""), proxied("one", "/one")];
    let gateway = Gateway::start_with(&with_policy("concurrency: {max: 1}"), &documents);
    let address = gateway.address;
    for leaves in [false, true] {
        let seen = origin.seen().len();
        let first = tokio::spawn(get(address, "/one"));
        while origin.seen().len() == seen {
            tokio::task::yield_now().await;
        }
        let refused = get(address, "/one").await;
        assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, Some("1")));
        assert_eq!(refused.json()["code"], "overloaded");
        if leaves {
            first.abort();
        } else {
            gate.add_permits(1);
            assert_eq!(first.await.unwrap().status, 200);
        }
        // The origin may not notice that nobody waits for its first answer any more.
        gate.add_permits(if leaves { 2 } else { 1 });
        // The gateway learns that a client has left when its socket says so.
        let mut next = get(address, "/one").await;
        while next.status == 503 {
            next = get(address, "/one").await;
        }
        assert_eq!(next.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_preflights_and_compression_hold_for_a_proxied_route() {
    let long = format!("{{\"text\":\"{}\"}}", "all work and no play ".repeat(200));
    let origin = Origin::start(move |_| {
        let mut answer = json(long.clone());
        answer.headers_mut().insert("server", "secret/1.0".parse().unwrap());
        answer.headers_mut().insert("access-control-allow-origin", "*".parse().unwrap());
        std::future::ready(answer)
    })
    .await;
    let policy = r#"
headers: {request: {set: {x-tenant: acme}, remove: [cookie]}, response: {set: {x-frame: deny}, remove: [server]}}
cors: {origins: ["https://app.example.com"], methods: [GET, PUT], credentials: true}
compress: {}
"#;
    let documents = [
        service("back", origin.address, ""),
        route("one", "match: {methods: [GET], path: /one}\nproxy: {service: back}\npolicies: [p]"),
    ];
    let gateway = Gateway::start_with(&with_policy(policy), &documents);
    let request = Request::get("/one")
        .header("x-tenant", "root")
        .header("X_Tenant", "root")
        .header("cookie", "a=b")
        .header("accept-encoding", "gzip")
        .header("origin", "https://app.example.com");
    let got = send(gateway.address, request.body(Full::default()).unwrap()).await;
    assert_eq!((got.header("content-encoding"), got.header("server")), (Some("gzip"), None));
    assert_eq!(got.header("x-frame"), Some("deny"));
    assert_eq!(got.header("access-control-allow-origin"), Some("https://app.example.com"));
    assert!(got.body.len() < 500 && got.body.starts_with(&[0x1f, 0x8b]));
    let seen = &origin.seen()[0].headers;
    assert_eq!(seen.get_all("x-tenant").iter().collect::<Vec<_>>(), ["acme"]);
    assert!(!seen.contains_key("cookie") && !seen.contains_key("x_tenant"));
    let preflight = Request::options("/one")
        .header("origin", "https://app.example.com")
        .header("access-control-request-method", "GET");
    let got = send(gateway.address, preflight.body(Full::default()).unwrap()).await;
    assert_eq!((got.status.as_u16(), got.header("access-control-allow-methods")), (204, Some("GET, PUT")));
    assert_eq!(origin.seen().len(), 1);
    // Not a preflight, and the route takes no OPTIONS.
    let got = send(gateway.address, Request::options("/one").body(Full::default()).unwrap()).await;
    assert_eq!(got.status, 405);
}
