use super::*;

const READS: &str = r#"
steps: {s: {http: {service: a, method: POST, path: /s, body: {got: "${ request.body.x }"}}}}
respond: {body: "${ steps.s.status }"}
"#;

#[tokio::test(start_paused = true)]
async fn a_body_that_is_read_is_read_by_its_content_type() {
    for (content_type, body, got) in [
        ("application/json", r#"{"x": 9007199254740993}"#, r#"{"got":9007199254740993}"#),
        ("application/problem+json; charset=utf-8", r#"{"x": 1.10}"#, r#"{"got":1.10}"#),
        ("application/x-www-form-urlencoded", "x=a+b%21&y=1", r#"{"got":"a b!"}"#),
        ("application/x-www-form-urlencoded", "x=1&x=2", r#"{"got":["1","2"]}"#),
    ] {
        let bench = Bench::new(READS, |_, _| json("1"));
        bench.send(post(content_type, body)).await.unwrap();
        assert_eq!(bench.only().body, got);
    }
    let text = READS.replace("request.body.x", "request.body");
    let bench = Bench::new(&text, |_, _| json("1"));
    bench.send(post("text/plain", "hello")).await.unwrap();
    assert_eq!(bench.only().body, r#"{"got":"hello"}"#);
    let bench = Bench::new(&text, |_, _| json("1"));
    bench.send(post("", "")).await.unwrap();
    assert_eq!(bench.only().body, r#"{"got":null}"#);
}

#[tokio::test(start_paused = true)]
async fn a_broken_body_is_the_clients_fault() {
    let large = format!(r#"{{"x": "{}"}}"#, "a".repeat(1024 * 1024));
    for (content_type, body, kind) in [
        ("application/json", "{", Kind::InvalidRequest),
        ("application/json", r#"{"x": 1, "x": 2}"#, Kind::InvalidRequest),
        ("", r#"{"x": 1}"#, Kind::UnsupportedMediaType),
        ("application/json", &*large, Kind::PayloadTooLarge),
    ] {
        let bench = Bench::new(READS, |_, _| json("1"));
        assert_eq!(bench.send(post(content_type, body)).await.unwrap_err().kind(), kind);
        assert!(bench.targets().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_only_one_step_forwards_streams_and_has_no_cap() {
    let route = r#"
steps: {s: {http: {service: a, method: POST, path: /s, body: "${ request.body }"}}}
respond: {body: "${ steps.s.status }"}
"#;
    let bench = Bench::new(route, |_, _| json("1"));
    let large = "a".repeat(3 * 1024 * 1024);
    bench.send(post("application/x-thing", &large)).await.unwrap();
    let seen = bench.only();
    assert_eq!((seen.header("content-type"), seen.body.len()), ("application/x-thing", large.len()));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_two_steps_forward_is_held() {
    let route = r#"
steps:
  one: {http: {service: a, method: POST, path: /1, body: "${ request.body }"}}
  two: {http: {service: b, method: POST, path: /2, body: "${ request.body }"}, after: [one]}
respond: {body: "${ steps.one.status + steps.two.status }"}
"#;
    let bench = Bench::new(route, |_, _| json("1"));
    bench.send(post("text/x", "[1,2")).await.unwrap();
    let seen = bench.services.seen.lock().unwrap();
    assert!(
        seen.len() == 2
            && seen.iter().all(|seen| seen.body == "[1,2" && seen.header("content-type") == "text/x")
    );
}

#[tokio::test(start_paused = true)]
async fn expressions_see_the_request() {
    let route = r#"
respond:
  body:
    method: "${ request.method }"
    host: "${ request.host }"
    scheme: "${ request.scheme }"
    ip: "${ request.clientIp }"
    id: "${ request.id }"
    path: "${ request.path.id }"
    first: "${ request.query.q }"
    all: "${ request.queryValues('q') }"
    joined: "${ request.headers['x-a'] }"
    each: "${ request.headerValues('x-a') }"
    cookie: "${ request.cookies.session }"
    absent: "${ request.query.?none }"
    trace: "${ execution.traceId }"
    twice: "${ vars.name + vars.name }"
vars: {name: "${ request.path.id + '!' }"}
"#;
    let bench = Bench::new(route, |_, _| json("1"));
    let mut request = get("/r/9?q=1+2&q=%C3%A9");
    for (name, value) in [("x-a", "1"), ("x-a", "2"), ("cookie", "a=b; session=s1; session=s2")] {
        request.headers_mut().append(name, value.parse().unwrap());
    }
    assert_eq!(
        bench.send(request).await.unwrap().body,
        concat!(
            r#"{"method":"GET","host":"shop.example.com","scheme":"https","ip":"192.0.2.7","id":"req-1","path":"9","#,
            r#""first":"1 2","all":["1 2","é"],"joined":"1, 2","each":["1","2"],"cookie":"s1","#,
            r#""trace":"00000000000000000000000000000abc","twice":"9!9!"}"#
        )
    );
}
