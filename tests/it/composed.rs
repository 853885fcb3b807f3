//! Composition over real sockets: order, parallelism, partial failure, cancellation, custody.

use std::{sync::Arc, time::Duration};

use http::Request;
use http_body_util::Full;
use tokio::sync::{Barrier, Notify, mpsc};

use crate::support::{
    client::{get, send},
    gateway::{Gateway, route, service},
    origin::{Origin, json, status},
};

const TRIPS: &str = r#"
match: {methods: [GET], path: "/trips/{from}"}
steps:
  trains: {http: {service: rail, path: "/trains/${ request.path.from }"}}
  seats:
    forEach: {in: "${ steps.trains.body.trains }", as: t, key: "${ t.id }", max: 10, concurrency: 10}
    http: {service: rail, path: "/seats/${ t.id }"}
  weather:
    http: {service: rail, path: /weather}
    fallback: {sky: unknown}
respond:
  headers: {cache-control: "max-age=5"}
  body:
    from: ${ request.path.from }
    sky: ${ steps.weather.body.sky }
    trains:
      $each: ${ steps.trains.body.trains }
      $as: t
      $yield: {id: "${ t.id }", free: "${ steps.seats.byKey[t.id].body.free }", price: "${ t.price }"}
    degraded: ${ execution.degraded }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_fan_out_runs_at_the_same_time_and_calls_exactly_what_it_must() {
    // Seats answer only once all three have been asked, so one after the other would never end.
    let all = Arc::new(Barrier::new(3));
    let origin = Origin::start(move |request| {
        let all = Arc::clone(&all);
        async move {
            let path = request.uri().path().to_owned();
            match path.as_str() {
                "/trains/Bern" => json(
                    r#"{"trains":[{"id":"ic1","price":1.10},{"id":"ic2","price":9007199254740993},{"id":"ir3","price":3}]}"#,
                ),
                "/weather" => json(r#"{"sky":"clear"}"#),
                seats => {
                    all.wait().await;
                    json(format!(r#"{{"free":{}}}"#, seats.len()))
                }
            }
        }
    })
    .await;
    let gateway = Gateway::start(&[service("rail", origin.address, ""), route("trips", TRIPS)]);
    let got = get(gateway.address, "/trips/Bern").await;
    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!(
        got.text(),
        r#"{"from":"Bern","sky":"clear","trains":[{"id":"ic1","free":10,"price":1.10},{"id":"ic2","free":10,"price":9007199254740993},{"id":"ir3","free":10,"price":3}],"degraded":[]}"#
    );
    assert_eq!(got.header("content-type"), Some("application/json"));
    assert_eq!(got.header("cache-control"), Some("max-age=5"));
    assert_eq!(got.header("segue-degraded"), None);
    assert_eq!(
        origin.calls(),
        ["GET /seats/ic1", "GET /seats/ic2", "GET /seats/ir3", "GET /trains/Bern", "GET /weather"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tolerated_failure_is_said_and_not_cached() {
    let origin = Origin::start(|request| async move {
        match request.uri().path() {
            "/trains/Bern" => json(r#"{"trains":[]}"#),
            _ => status(500),
        }
    })
    .await;
    let gateway = Gateway::start(&[service("rail", origin.address, ""), route("trips", TRIPS)]);
    let got = get(gateway.address, "/trips/Bern").await;
    assert_eq!(got.status, 200);
    assert_eq!(got.text(), r#"{"from":"Bern","sky":"unknown","trains":[],"degraded":["weather"]}"#);
    assert_eq!(got.header("segue-degraded"), Some("weather;reason=upstream_status"));
    assert_eq!(got.header("cache-control"), Some("no-store"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_required_failure_is_a_problem_document_without_the_upstreams_words() {
    let origin = Origin::start(|_| async {
        let mut answer = json(r#"{"secret":"stack trace"}"#);
        *answer.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        answer
    })
    .await;
    let gateway = Gateway::start(&[service("rail", origin.address, ""), route("trips", TRIPS)]);
    let got = get(gateway.address, "/trips/Bern").await;
    assert_eq!(got.status, 502);
    assert_eq!(got.header("content-type"), Some("application/problem+json"));
    let problem = got.json();
    assert_eq!(problem["code"], "upstream_status");
    assert_eq!(problem["step"], "trains");
    assert_eq!(problem["status"], 502);
    assert_eq!(problem["traceId"].as_str().unwrap().len(), 32);
    assert!(problem["instance"].as_str().unwrap().starts_with("urn:segue:request:"));
    assert!(!got.text().contains("secret"), "{}", got.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_shape_the_failure_of_a_step() {
    let origin = Origin::start(|_| async { status(404) }).await;
    let body = r#"
match: {path: "/customers/{id}"}
steps:
  profile: {http: {service: crm, path: "/customers/${ request.path.id }"}}
respond: {body: "${ steps.profile.body }"}
errors:
  - when: ${ error.step == "profile" && error.upstream.status == 404 }
    problem: {status: 404, type: "https://errors.example.com/unknown", title: "Unknown customer", id: "${ request.path.id }"}
"#;
    let gateway = Gateway::start(&[service("crm", origin.address, ""), route("customers", body)]);
    let got = get(gateway.address, "/customers/c-1").await;
    assert_eq!(got.status, 404);
    let problem = got.json();
    assert_eq!(problem["title"], "Unknown customer");
    assert_eq!(problem["type"], "https://errors.example.com/unknown");
    assert_eq!(problem["id"], "c-1");
    assert_eq!(problem["code"], "upstream_status");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_answers_and_names_the_step() {
    let origin = Origin::start(|_| async { std::future::pending().await }).await;
    let body = "
match: {path: /slow}
timeout: 100ms
steps:
  never: {http: {service: slow, path: /}}
respond: {body: '${ steps.never.body }'}
";
    let gateway = Gateway::start(&[service("slow", origin.address, ""), route("slow", body)]);
    let got = get(gateway.address, "/slow").await;
    assert_eq!(got.status, 504);
    assert_eq!(got.json()["code"], "deadline_exceeded");
    assert_eq!(got.json()["step"], "never");
}

/// Tells when it is dropped, which is when the gateway has left the call.
struct Left(mpsc::UnboundedSender<&'static str>);

impl Drop for Left {
    fn drop(&mut self) {
        let _ = self.0.send("left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_cancels_safe_calls() {
    let (events, mut happened) = mpsc::unbounded_channel();
    let origin = Origin::start(move |_| {
        let events = events.clone();
        async move {
            events.send("called").unwrap();
            let _left = Left(events);
            std::future::pending().await
        }
    })
    .await;
    let body = "
match: {path: /slow}
steps:
  never: {http: {service: slow, path: /}}
respond: {body: '${ steps.never.body }'}
";
    let gateway = Gateway::start(&[service("slow", origin.address, ""), route("slow", body)]);
    let client = tokio::spawn({
        let address = gateway.address;
        async move { get(address, "/slow").await }
    });
    assert_eq!(happened.recv().await, Some("called"));
    client.abort();
    let left = tokio::time::timeout(Duration::from_secs(5), happened.recv()).await;
    assert_eq!(left, Ok(Some("left")), "the call was not cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsafe_call_ends_though_its_client_has_left_and_the_rest_follows() {
    let (events, mut happened) = mpsc::unbounded_channel();
    let go = Arc::new(Notify::new());
    let gate = Arc::clone(&go);
    let origin = Origin::start(move |request| {
        let (events, gate) = (events.clone(), Arc::clone(&gate));
        async move {
            if request.uri().path() == "/pay" {
                events.send("paying").unwrap();
                gate.notified().await;
                json(r#"{"receipt":"r1"}"#)
            } else {
                events.send("mailed").unwrap();
                json("{}")
            }
        }
    })
    .await;
    let body = r#"
match: {methods: [POST], path: /orders}
steps:
  pay: {http: {service: shop, method: POST, path: /pay, body: {cents: 5}}}
  mail: {http: {service: shop, path: "/mail/${ steps.pay.body.receipt }"}}
respond: {status: 201, body: {receipt: "${ steps.pay.body.receipt }", mail: "${ steps.mail.status }"}}
"#;
    let gateway = Gateway::start(&[service("shop", origin.address, ""), route("orders", body)]);
    let client = tokio::spawn({
        let address = gateway.address;
        async move { send(address, Request::post("/orders").body(Full::default()).unwrap()).await }
    });
    assert_eq!(happened.recv().await, Some("paying"));
    client.abort();
    let _ = client.await;
    go.notify_one();
    assert_eq!(happened.recv().await, Some("mailed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_step_sends_is_what_its_template_says_and_what_the_format_adds() {
    let origin = Origin::json("{}").await;
    let body = r#"
match: {methods: [POST], path: "/a/{id}"}
steps:
  one:
    http:
      service: shop
      method: PUT
      path: "/x/${ request.path.id }/y"
      query: {q: "${ request.query.q }", many: [1, two], none: "${ request.query[?\"zip\"] }"}
      headers: {x-id: "${ request.path.id }"}
      body: {id: "${ request.path.id }"}
respond: {body: {ok: "${ steps.one.status }"}}
"#;
    let gateway =
        Gateway::start(&[service("shop", origin.address, "headers: {x-team: rail}"), route("a", body)]);
    let request = Request::post("/a/b%20c?q=1%262")
        .header("authorization", "Bearer secret")
        .header("x-forwarded-for", "9.9.9.9")
        .header("x-segue-deadline-ms", "1")
        .body(Full::default())
        .unwrap();
    let got = send(gateway.address, request).await;
    assert_eq!(got.text(), r#"{"ok":200}"#);
    let seen = &origin.seen()[0];
    assert_eq!(seen.method, "PUT");
    assert_eq!(seen.target, "/x/b%20c/y?q=1%262&many=1&many=two");
    let header = |name: &str| seen.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("x-id"), Some("b c"));
    assert_eq!(header("x-team"), Some("rail"));
    assert_eq!(header("content-type"), Some("application/json"));
    assert_eq!(header("host"), Some(origin.address.to_string().as_str()));
    assert_eq!(header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(header("x-forwarded-proto"), Some("http"));
    assert_eq!(header("authorization"), None);
    assert_eq!(header("traceparent").unwrap().len(), 55);
    assert_eq!(header("x-request-id").unwrap().len(), 32);
    assert!(header("user-agent").unwrap().starts_with("segue/"));
    assert!(header("x-segue-deadline-ms").unwrap().parse::<u64>().unwrap() > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn head_runs_the_get_route_and_has_no_body() {
    let origin = Origin::json(r#"{"a":1}"#).await;
    let body = "
match: {methods: [GET], path: /a}
steps:
  one: {http: {service: shop, path: /}}
respond: {body: '${ steps.one.body }'}
";
    let gateway = Gateway::start(&[service("shop", origin.address, ""), route("a", body)]);
    let got = send(gateway.address, Request::head("/a").body(Full::default()).unwrap()).await;
    assert_eq!((got.status.as_u16(), got.body.len()), (200, 0));
    assert_eq!(got.header("content-length"), Some("7"));
    assert_eq!(origin.calls(), ["GET /"]);
}

const NESTED: &str = r#"
match: {methods: [GET], path: /worst}
steps:
  each:
    forEach: {in: "${ [1, 2, 3] }", as: n, max: 3, concurrency: 3}
    compose: pair
    with: {n: "${ n }"}
    optional: true
  last: {http: {service: rail, path: /last}, after: [each], fallback: 0}
respond: {body: ["${ size(steps.each.items) }", "${ steps.last.body }"]}
---
apiVersion: segue/v1
kind: Composition
metadata: {name: pair, owner: team}
input: {n: {type: integer}}
steps:
  a: {http: {service: rail, path: "/a/${ input.n }"}, fallback: 0}
  b: {http: {service: rail, path: "/b/${ input.n }"}, after: [a], retry: {attempts: 2, on: [503], backoff: {initial: 1ms}}}
output: ["${ steps.a.body }", "${ steps.b.body }"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_origin_sees_no_more_calls_than_the_plan_says() {
    let origin = Origin::start(|_| async { status(503) }).await;
    let files = [service("rail", origin.address, ""), route("worst", NESTED)];
    let (plan, findings) = segue::compile::compile(&segue::config::Tree::from_texts([
        ("policies/gateway.yaml", crate::support::gateway::GATEWAY),
        ("routes/sales/services.yaml", &*files[0]),
        ("routes/sales/worst.yaml", &*files[1]),
    ]));
    let plan = plan.unwrap_or_else(|| panic!("{findings:#?}"));
    let calls = segue::plan::estimate::Estimates::of(&plan).route(&plan.routes[0]).calls;
    assert_eq!(calls, 10, "three times one and two attempts, and the last");
    let gateway = Gateway::start(&files);
    let got = get(gateway.address, "/worst").await;
    assert_eq!((got.status.as_u16(), got.text()), (200, "[3,0]"));
    assert_eq!(got.header("segue-degraded"), Some("each;failed=3;of=3, last;reason=upstream_unavailable"));
    assert_eq!(origin.calls().len() as u64, calls);
}
