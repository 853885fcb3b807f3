use super::*;

const FORWARD: &str = "steps: {s: {http: {service: a, path: /s}}}\nrespond: {body: \"${ steps.s.body }\"}";

#[tokio::test(start_paused = true)]
async fn a_body_alone_comes_back_untouched_with_its_type() {
    for (content_type, body) in [("application/json", "{ broken"), ("text/csv", "a;b\n"), ("", "?")] {
        let bench = Bench::new(FORWARD, move |_, _| reply(200, content_type, body));
        let answer = bench.get("/r/1").await.unwrap();
        assert_eq!((answer.header("content-type"), &*answer.body), (content_type, body));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_alone_streams_before_it_is_complete() {
    let bench = Bench::new(FORWARD, |_, _| json("").body(pieces(vec![(10, Some("a")), (500, Some("b"))])));
    let answer = super::super::run(bench.runner(), bench.call(get("/r/1"))).await.unwrap();
    assert_eq!(bench.elapsed(), 0, "the head does not wait for the body");
    assert_eq!(answer.into_body().collect(10).await.unwrap(), "ab");
}

#[tokio::test(start_paused = true)]
async fn untouched_values_are_copied_byte_for_byte() {
    let route = "steps: {s: {http: {service: a, path: /s}}}\nrespond: {body: {v: \"${ steps.s.body.v }\"}}";
    for value in ["9007199254740993", "1.10", "1e400", r#"{ "a" : [ 1 , "\u00e9\/" ] }"#, "[ ]"] {
        let body = format!(r#"{{"v": {value}, "w": 1}}"#);
        let answer = Bench::new(route, move |_, _| json(&body)).get("/r/1").await.unwrap();
        assert_eq!(answer.body, format!(r#"{{"v":{value}}}"#));
    }
}

#[tokio::test(start_paused = true)]
async fn status_and_fields_may_be_computed() {
    let route = r#"
steps: {s: {http: {service: a, path: /s}}}
respond:
  status: "${ steps.s.body.code }"
  headers: {location: "/things/${ request.path.id }", x-list: "${ steps.s.body.tags }", x-none: "${ request.query.?n }", content-type: text/plain}
  body: "made ${ request.path.id }"
"#;
    let bench = Bench::new(route, |_, _| json(r#"{"code": 201, "tags": ["a", "b"]}"#));
    let answer = bench.get("/r/7").await.unwrap();
    assert_eq!((answer.status, &*answer.body, answer.header("location")), (201, "made 7", "/things/7"));
    assert_eq!(answer.headers.get_all("x-list").iter().count(), 2);
    assert!(!answer.headers.contains_key("x-none"));
    assert_eq!(answer.header("content-type"), "text/plain");
    for code in ["99", "600", "\"x\"", "200.5", "null"] {
        let body = format!(r#"{{"code": {code}, "tags": []}}"#);
        let error = Bench::new(route, move |_, _| json(&body)).get("/r/7").await.unwrap_err();
        assert_eq!(error.kind(), Kind::ExpressionError, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_body_the_answer_is_empty() {
    let answer = Bench::new("respond: {status: 204}", |_, _| json("1")).get("/r/1").await.unwrap();
    assert_eq!((answer.status, &*answer.body, answer.header("content-type")), (204, "", ""));
}

#[tokio::test(start_paused = true)]
async fn a_proxy_route_reads_what_its_steps_left() {
    let route = r#"
steps: {who: {http: {service: a, path: /who}}}
proxy:
  service: b
  path: "/of/${ steps.who.body.id }"
  query: {for: "${ request.path.id }"}
  headers: {set: {x-who: "${ steps.who.body.id }"}}
"#;
    let bench = Bench::new(route, |_, _| json(r#"{"id": "u 1"}"#));
    let mut request = get("/r/9");
    *request.body_mut() = Body::full("kept");
    let prepared = bench.prepare(request).await.unwrap();
    let target = prepared.target().await.unwrap();
    assert_eq!((target.path.as_deref(), target.query.as_deref()), (Some("/of/u%201"), Some("?for=9")));
    assert_eq!(target.headers["x-who"], "u 1");
    assert_eq!(prepared.head().1.path(), "/r/9");
    assert_eq!(prepared.body.collect(10).await.unwrap(), "kept");
}
