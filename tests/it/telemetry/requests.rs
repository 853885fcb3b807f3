//! The page of requests.

use http::Request;
use http_body_util::Full;

use crate::support::{
    client::{get, send},
    gateway::{Gateway, route, service},
    origin::{Origin, json, status},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_slowest_and_the_failed_are_kept_as_waterfalls() {
    let origin = Origin::start(|request| async move {
        if request.uri().path() == "/bad" { status(500) } else { json("1") }
    })
    .await;
    let steps = |second: &str| {
        format!(
            "steps:\n  one: {{http: {{service: back, path: /one}}}}\n  two: {{http: {{service: back, path: {second}}}, after: [one]}}\nrespond: {{body: {{a: '${{ steps.one.body }}', b: '${{ steps.two.body }}'}}}}"
        )
    };
    let documents = [
        service("back", origin.address, ""),
        route("good", &format!("match: {{path: \"/good/{{x...}}\"}}\n{}", steps("/two"))),
        route("bad", &format!("match: {{path: /bad}}\n{}", steps("/bad"))),
    ];
    let gateway = Gateway::start(&documents);
    assert_eq!(get(gateway.address, "/good/%3Cscript%3E'?q=secret").await.status, 200);
    assert_eq!(get(gateway.address, "/bad").await.status, 502);
    let routes = loop {
        let page = get(gateway.admin, "/requests.json").await.json();
        let routes = page["routes"].as_array().unwrap().clone();
        if routes.len() == 2 {
            break routes;
        }
        tokio::task::yield_now().await;
    };
    let (bad, good) = (&routes[0], &routes[1]);
    assert_eq!((&bad["route"], &good["route"]), (&"shop/bad".into(), &"shop/good".into()));
    let failed = &bad["failed"][0];
    assert_eq!((&failed["status"], &failed["code"]), (&502.into(), &"upstream_status".into()));
    let bars = failed["bars"].as_array().unwrap();
    let names: Vec<&str> = bars.iter().map(|bar| bar["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["one", "GET shop/back", "two", "GET shop/back"]);
    assert_eq!((&bars[2]["wave"], &bars[2]["outcome"]), (&1.into(), &"failed".into()));
    assert!(bars[0]["critical"] == true && bars[2]["critical"] == true);
    assert_eq!(good["failed"].as_array().unwrap().len(), 0);
    let slow = &good["slowest"][0];
    let (whole, own) = (slow["durationMs"].as_f64().unwrap(), slow["gatewayMs"].as_f64().unwrap());
    assert!(own > 0.0 && own < whole, "{own} of {whole}");
    let accept =
        Request::get("/requests").header("accept", "application/json").body(Full::default()).unwrap();
    assert_eq!(send(gateway.admin, accept).await.header("content-type"), Some("application/json"));
    let html = get(gateway.admin, "/requests").await;
    assert!(html.header("content-type").unwrap().starts_with("text/html"));
    assert!(html.text().contains("<svg") && html.text().contains("shop/back"));
    for never in ["<script", "secret", "http://", "https://"] {
        assert!(!html.text().contains(never), "{never}");
    }
}
