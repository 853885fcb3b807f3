//! The page of requests.

use http::Request;
use http_body_util::Full;

use crate::support::{
    client::{get, send},
    gateway::{Gateway, route, service},
    origin::{Origin, json, status},
};

/// The two routes on the page, once both are there.
async fn both(gateway: &Gateway) -> Vec<serde_json::Value> {
    loop {
        let page = get(gateway.admin, "/requests.json").await.json();
        let routes = page["routes"].as_array().unwrap().clone();
        if routes.len() == 2 {
            return routes;
        }
        tokio::task::yield_now().await;
    }
}

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
    let routes = both(&gateway).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn what_a_waterfall_does_not_show_is_said_and_what_is_passed_on_is_ok() {
    let origin = Origin::start(|request| async move {
        if request.uri().path() == "/missing" { status(404) } else { json("1") }
    })
    .await;
    let many = format!(
        "match: {{path: /many}}
steps:
  each:
    forEach: {{in: '${{ {:?} }}', as: item, max: 150}}
    http: {{service: back, path: /one}}
respond: {{body: {{n: '${{ steps.each.items.size() }}'}}}}",
        [1; 150]
    );
    let documents = [
        service("back", origin.address, ""),
        route("many", &many),
        route("missing", "match: {path: /missing}\nproxy: {service: back}"),
    ];
    let gateway = Gateway::start(&documents);
    assert_eq!(get(gateway.address, "/many").await.status, 200);
    assert_eq!(get(gateway.address, "/missing").await.status, 404);
    let routes = both(&gateway).await;
    let (many, missing) = (&routes[0]["slowest"][0], &routes[1]["slowest"][0]);
    // A step and its calls.
    assert_eq!((many["bars"].as_array().unwrap().len(), &many["omitted"]), (120, &31.into()));
    assert_eq!((&missing["outcome"], &missing["omitted"]), (&"ok".into(), &0.into()));
    assert_eq!(
        (&missing["bars"][0]["outcome"], &missing["bars"][0]["code"]),
        (&"ok".into(), &serde_json::Value::Null)
    );
    assert!(missing["bars"][0]["notes"].as_array().unwrap().contains(&"404".into()));
    let html = get(gateway.admin, "/requests").await;
    assert!(html.text().contains("31 more steps and attempts are not shown"));
}
