//! The admin listener.

use http::Request;
use http_body_util::Full;

use crate::support::{
    client::{get, send},
    gateway::{GATEWAY, Gateway, route, service},
    origin::{Origin, status},
};

#[tokio::test(flavor = "multi_thread")]
async fn health_status_and_metrics_tell_what_happened() {
    let origin = Origin::start(|_| async { status(500) }).await;
    let body = "
match: {path: /a}
steps:
  one: {http: {service: back, path: /}, optional: true}
respond: {body: {one: '${ steps.one.?body }'}}
";
    let gateway = Gateway::start(&[service("back", origin.address, ""), route("a", body)]);
    assert_eq!(get(gateway.admin, "/healthz").await.status, 200);
    assert_eq!(get(gateway.admin, "/readyz").await.status, 200);
    assert_eq!(get(gateway.address, "/a").await.text(), "{}");
    assert_eq!(get(gateway.address, "/b").await.status, 404);
    // The record is written when the answer has ended, which its reader may know a moment earlier.
    let wanted = [
        r#"segue_requests_total{unit="shop",route="shop/a",outcome="degraded"} 1"#,
        r#"segue_requests_total{outcome="refused"} 1"#,
        r#"segue_degraded_total{unit="shop",route="shop/a",step="one"} 1"#,
        r#"segue_steps_total{unit="shop",route="shop/a",step="one",outcome="failed"} 1"#,
        r#"segue_failures_total{code="not_found",fault="client"} 1"#,
        r#"segue_refusals_total{policy="routing",code="not_found"} 1"#,
        r#"http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="/a",url_scheme="http",network_protocol_version="1.1",unit="shop",route="shop/a"} 1"#,
        r#"segue_upstream_calls_total{service="shop/back"} 1"#,
        "segue_generation 1",
        r#"segue_unit_state{unit="shop",state="applied"} 1"#,
    ];
    loop {
        let page = get(gateway.admin, "/metrics").await;
        assert!(page.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
        if wanted.iter().all(|line| page.text().lines().any(|found| found == *line)) {
            break;
        }
        tokio::task::yield_now().await;
    }
    let status = get(gateway.admin, "/status").await.json();
    assert_eq!(status["generation"], 1);
    assert!(status["since"].as_str().unwrap().ends_with('Z'));
    assert_eq!(status["policies"]["state"], "applied");
    assert_eq!(get(gateway.admin, "/nothing").await.status, 404);
    assert_eq!(get(gateway.admin, "/reload").await.status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_guards_all_but_health() {
    // Any variable that is set will do as a token.
    let guarded = GATEWAY.replace(
        "admin: {address: \"127.0.0.1:0\"}",
        "admin: {address: \"127.0.0.1:0\", token: {env: PATH}}",
    );
    let gateway = Gateway::start_with(&guarded, &[route("a", "match: {path: /}\nstatic: {status: 204}")]);
    assert_eq!(get(gateway.admin, "/healthz").await.status, 200);
    assert_eq!(get(gateway.admin, "/readyz").await.status, 200);
    for path in ["/metrics", "/status"] {
        let refused = get(gateway.admin, path).await;
        assert_eq!(refused.status, 401);
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    }
    let with = |token: String| {
        Request::get("/status")
            .header("authorization", format!("Bearer {token}"))
            .body(Full::default())
            .unwrap()
    };
    assert_eq!(send(gateway.admin, with("wrong".to_owned())).await.status, 401);
    assert_eq!(send(gateway.admin, with(std::env::var("PATH").unwrap())).await.status, 200);
}
