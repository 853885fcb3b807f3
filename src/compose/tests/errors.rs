use super::*;

const RULES: &str = r#"
steps:
  s: {http: {service: a, path: /s}}
respond: {body: "${ steps.s.body.x }"}
errors:
  - when: "${ error.upstream.status == 404 && error.step == 's' }"
    problem: {status: 404, type: "https://errors.example.com/unknown", title: Unknown, detail: "no ${ request.path.id }", headers: {x-hint: "${ error.code }"}, known: {said: "${ error.upstream.body.why }"}}
  - when: "${ error.upstream.body.nothing.there == 1 }"
    problem: {status: 418}
  - when: "${ error.code == 'upstream_timeout' }"
    problem: {title: "Slow ${ error.status }", lost: "${ error.upstream.body }"}
"#;

#[tokio::test(start_paused = true)]
async fn the_first_rule_that_matches_says_what_the_client_sees() {
    let bench = Bench::new(RULES, |_, _| reply(404, "application/json", r#"{"why": "gone"}"#));
    let error = bench.get("/r/7").await.unwrap_err();
    assert_eq!((error.kind(), error.response_status().as_u16()), (Kind::UpstreamStatus, 404));
    assert_eq!(error.public_detail(), Some("no 7"));
    assert_eq!(error.response_headers(), [("x-hint".parse().unwrap(), "upstream_status".parse().unwrap())]);
    let document = error.own_document().unwrap();
    assert_eq!(document.type_uri.as_deref(), Some("https://errors.example.com/unknown"));
    assert_eq!(document.title.as_deref(), Some("Unknown"));
    assert_eq!(document.members, [("known".to_owned(), br#"{"said":"gone"}"#.to_vec())]);
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_cannot_be_evaluated_is_false_and_a_member_that_cannot_is_left_out() {
    let bench = Bench::new(RULES, |_, _| broken(Kind::UpstreamTimeout));
    let error = bench.get("/r/7").await.unwrap_err();
    assert_eq!(error.response_status().as_u16(), 504);
    let document = error.own_document().unwrap();
    assert_eq!((document.title.as_deref(), document.members.len()), (Some("Slow 504"), 0));
}

#[tokio::test(start_paused = true)]
async fn without_a_matching_rule_the_failure_speaks_for_itself() {
    let error = Bench::new(RULES, |_, _| status(500)).get("/r/7").await.unwrap_err();
    assert!(error.own_document().is_none());
    assert_eq!(error.response_status().as_u16(), 502);
}

#[tokio::test(start_paused = true)]
async fn a_passed_status_becomes_ours() {
    let route = "steps: {s: {http: {service: a, path: /s}, passStatus: [404, 503]}}\nrespond: {body: \"${ steps.s.body }\"}";
    for code in [404, 503] {
        let error = Bench::new(route, move |_, _| status(code)).get("/r/7").await.unwrap_err();
        assert_eq!((error.kind(), error.response_status().as_u16()), (Kind::UpstreamStatus, code));
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_takes_no_calls_says_when_to_come_again() {
    let route = "steps: {s: {http: {service: a, path: /s}}}\nrespond: {body: \"${ steps.s.body }\"}";
    for code in [429, 503] {
        let error = Bench::new(route, move |_, _| status(code).field("retry-after", "17"));
        let error = error.get("/r/7").await.unwrap_err();
        assert_eq!((error.kind(), error.retry_after_seconds()), (Kind::UpstreamUnavailable, Some(17)));
        assert_eq!(error.response_status().as_u16(), 503);
    }
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let error = Bench::new(route, move |_, _| status(503).field("retry-after", date));
    let error = error.get("/r/7").await.unwrap_err();
    assert_eq!(error.response_headers()[0].1, date);
}

#[tokio::test(start_paused = true)]
async fn ensure_judges_an_answer_that_is_ok() {
    let route = r#"
steps:
  s: {http: {service: a, path: /s}, ensure: [{that: "${ self.status == 200 && self.body.complete }", problem: {status: 409, title: Not yet}}]}
respond: {body: "${ steps.s.body }"}
"#;
    let bench = |body: &'static str| Bench::new(route, move |_, _| json(body));
    assert_eq!(bench(r#"{"complete": true}"#).get("/r/1").await.unwrap().status, 200);
    let error = bench(r#"{"complete": false}"#).get("/r/1").await.unwrap_err();
    assert_eq!((error.kind(), error.response_status().as_u16()), (Kind::EnsureFailed, 409));
    assert_eq!(error.own_document().unwrap().title.as_deref(), Some("Not yet"));
    assert_eq!(bench("{}").get("/r/1").await.unwrap_err().kind(), Kind::ExpressionError);
}

#[tokio::test(start_paused = true)]
async fn require_refuses_before_any_step() {
    let route = r#"
require:
  - {that: "${ request.headers[?'x-tenant'].orValue('') != '' }", problem: {status: 403, title: Tenant missing}}
  - {that: "${ request.query.?x.orValue('1') == '1' }"}
steps: {s: {http: {service: a, path: /s}}}
respond: {body: "${ steps.s.body }"}
errors: [{problem: {status: 418}}]
"#;
    let bench = Bench::new(route, |_, _| json("1"));
    let error = bench.get("/r/1").await.unwrap_err();
    assert_eq!((error.kind(), error.response_status().as_u16()), (Kind::RequireFailed, 403));
    let request = |target| {
        let mut request = get(target);
        request.headers_mut().insert("x-tenant", "t".parse().unwrap());
        request
    };
    let error = bench.send(request("/r/1?x=2")).await.unwrap_err();
    assert_eq!(error.response_status().as_u16(), 400);
    assert!(bench.targets().is_empty());
    assert_eq!(bench.send(request("/r/1")).await.unwrap().status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_failing_answer_is_a_failure_without_a_step() {
    let route = "steps: {s: {http: {service: a, path: /s}}}\nrespond: {body: \"${ steps.s.body.x.y }\"}\nerrors: [{when: \"${ !has(error.step) }\", problem: {status: 599}}]";
    let error = Bench::new(route, |_, _| json(r#"{"x": {}}"#)).get("/r/1").await.unwrap_err();
    assert_eq!((error.kind(), error.response_status().as_u16()), (Kind::ExpressionError, 599));
}
