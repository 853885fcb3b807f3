//! `request`: declared parameters and bodies.

use serde_json::{Value, json as value};

use super::*;

const ROUTE: &str = r#"
request:
  path: {id: {type: string, pattern: "^c-[0-9]{1,12}$"}}
  query:
    limit: {type: integer, minimum: 1, maximum: 100, default: 20}
    fast: {type: boolean}
    tag: {type: array, items: {type: integer}, maxItems: 2}
    name: {maxLength: 3}
  headers: {X-Tenant: {required: true, enum: [a, b]}}
  cookies: {seat: {type: number}}
respond:
  body:
    id: ${ request.path.id }
    limit: ${ request.query.limit + 1 }
    fast: ${ request.query.?fast }
    tag: ${ request.query.?tag }
    name: ${ request.query.?name }
    other: ${ request.query.?other }
    tenant: ${ request.headers["x-tenant"] }
    seat: ${ request.cookies.?seat }
"#;

fn asked(target: &str, tenant: &str, cookie: &str) -> Request<Body> {
    let mut request = get(target);
    if !tenant.is_empty() {
        request.headers_mut().insert("x-tenant", tenant.parse().unwrap());
    }
    if !cookie.is_empty() {
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
    }
    request
}

/// The members of `errors`.
fn listed(error: &Error) -> Value {
    let document = error.own_document().expect("a document of its own");
    let (name, json) = &document.members[0];
    assert_eq!(name, "errors");
    serde_json::from_slice(json).unwrap()
}

#[tokio::test(start_paused = true)]
async fn declared_parameters_have_their_types_and_defaults() {
    let bench = Bench::new(ROUTE, |_, _| json("1"));
    let answer = bench.send(asked("/r/c-7", "a", "")).await.unwrap();
    assert_eq!(answer.body, r#"{"id":"c-7","limit":21,"tenant":"a"}"#);
    let target = "/r/c-7?limit=5&fast=true&tag=1&tag=2&name=Ada&other=1";
    let answer = bench.send(asked(target, "b", "seat=1.50")).await.unwrap();
    assert_eq!(
        answer.body,
        r#"{"id":"c-7","limit":6,"fast":true,"tag":[1,2],"name":"Ada","other":"1","tenant":"b","seat":1.50}"#
    );
}

#[tokio::test(start_paused = true)]
async fn every_violation_is_in_one_answer() {
    let bench = Bench::new(ROUTE, |_, _| json("1"));
    let target = "/r/x?limit=many&fast=yes&tag=1&tag=x&tag=3&name=Hubert";
    let error = bench.send(asked(target, "", "seat=A1")).await.unwrap_err();
    assert_eq!((error.kind(), error.response_status().as_u16()), (Kind::InvalidRequest, 400));
    assert_eq!(error.public_detail(), Some("8 places of the request are not as declared"));
    assert_eq!(
        listed(&error),
        value!([
            {"in": "path", "name": "id", "detail": "must match ^c-[0-9]{1,12}$"},
            {"in": "query", "name": "limit", "detail": "must be an integer"},
            {"in": "query", "name": "fast", "detail": "must be a boolean"},
            {"in": "query", "name": "tag", "detail": "must have at most 2 items"},
            {"in": "query", "name": "tag", "pointer": "/1", "detail": "must be an integer"},
            {"in": "query", "name": "name", "detail": "must have at most 3 characters"},
            {"in": "header", "name": "x-tenant", "detail": "is required"},
            {"in": "cookie", "name": "seat", "detail": "must be a number"},
        ])
    );
    assert!(bench.targets().is_empty());
}

const ORDER: &str = r#"
match: {methods: [POST], path: "/r/{id}"}
request:
  query: {n: {type: integer}}
  body:
    required: true
    maxBytes: 40KiB
    schema: {type: object, required: [items], properties: {items: {type: array, items: {type: object, properties: {qty: {type: integer, minimum: 1}}}}}}
steps: {place: {http: {service: a, method: POST, path: /orders, body: "${ request.body }"}}}
respond: {body: "${ steps.place.body }"}
errors: [{problem: {status: 418}}]
"#;

#[tokio::test(start_paused = true)]
async fn a_body_is_checked_and_goes_on_untouched() {
    let bench = Bench::new(ORDER, |_, _| json("1"));
    let body = r#"{"items": [ {"qty": 1, "price": 1.10} ]}"#;
    assert_eq!(bench.send(post("application/json; charset=utf-8", body)).await.unwrap().body, "1");
    let seen = bench.only();
    assert_eq!(
        (&*seen.body, seen.header("content-type")),
        (body.as_bytes(), "application/json; charset=utf-8")
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_fit_is_refused_with_every_place() {
    let bench = Bench::new(ORDER, |_, _| json("1"));
    let mut request = post("application/json", r#"{"items": [{"qty": 0}, {"qty": "x"}, {"qty": 3}]}"#);
    *request.uri_mut() = "/r/1?n=x".parse().unwrap();
    let error = bench.send(request).await.unwrap_err();
    assert_eq!(error.response_status().as_u16(), 400, "`errors` has no say in it");
    let mut found = listed(&error);
    found.as_array_mut().unwrap().sort_by_key(|one| one["pointer"].to_string());
    assert_eq!(
        found,
        value!([
            {"in": "body", "pointer": "/items/0/qty", "detail": "must be at least 1"},
            {"in": "body", "pointer": "/items/1/qty", "detail": "must be an integer"},
            {"in": "query", "name": "n", "detail": "must be an integer"},
        ])
    );
    for (content_type, body, kind) in [
        ("application/json", "", Kind::InvalidRequest),
        ("application/json", "{\"items\": [}", Kind::InvalidRequest),
        ("application/json", "{}", Kind::InvalidRequest),
        ("application/json", "[]", Kind::InvalidRequest),
        ("", "{\"items\": []}", Kind::UnsupportedMediaType),
        ("text/plain", "{\"items\": []}", Kind::UnsupportedMediaType),
        ("application/octet-stream", "{\"items\": []}", Kind::UnsupportedMediaType),
        ("application/x-www-form-urlencoded", "items=1", Kind::InvalidRequest),
        (
            "application/json",
            &format!("{{\"items\": [], \"x\": \"{}\"}}", "x".repeat(40 << 10)),
            Kind::PayloadTooLarge,
        ),
    ] {
        let error = bench.send(post(content_type, body)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{content_type} {body:.40}");
    }
    assert!(bench.targets().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_large_body_is_checked_off_the_worker_with_the_same_outcome() {
    let route = ORDER.replace("maxBytes: 40KiB", "maxBytes: 4MiB");
    let bench = Bench::new(&route, |_, _| json("1"));
    let items = |last: &str| format!("{{\"items\": [{}{last}]}}", "{\"qty\": 1},".repeat(20_000));
    assert_eq!(bench.send(post("application/json", &items("{\"qty\": 2}"))).await.unwrap().body, "1");
    let error = bench.send(post("application/json", &items("{\"qty\": 0}"))).await.unwrap_err();
    assert_eq!(listed(&error)[0]["pointer"], "/items/20000/qty");
}

#[tokio::test(start_paused = true)]
async fn an_optional_body_may_be_left_out() {
    let route = ORDER.replace("required: true\n", "required: false\n");
    let bench = Bench::new(&route, |_, _| json("1"));
    assert_eq!(bench.send(post("", "")).await.unwrap().body, "1");
}

#[tokio::test(start_paused = true)]
async fn a_proxy_route_checks_parameters_and_caps_its_body() {
    let route =
        "request: {query: {n: {type: integer, required: true}}, body: {maxBytes: 8}}\nproxy: {service: a}";
    let bench = Bench::new(route, |_, _| json("1"));
    let error = bench.prepare(get("/r/1?n=x")).await.unwrap_err();
    assert_eq!(listed(&error)[0]["name"], "n");
    let request = |body: Body| Request::post("/r/1?n=1").body(body).unwrap();
    let error = bench.prepare(request(Body::full("123456789"))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::PayloadTooLarge);
    let body = pieces(vec![(0, Some("12345")), (0, Some("6789"))]);
    let prepared = bench.prepare(request(body)).await.unwrap();
    let broken = prepared.body.collect(u64::MAX).await.unwrap_err();
    assert!(matches!(broken, BodyError::TooLarge { limit: 8 }));
    let prepared = bench.prepare(request(pieces(vec![(0, Some("12345"))]))).await.unwrap();
    assert_eq!(prepared.body.collect(u64::MAX).await.unwrap(), "12345");
}
