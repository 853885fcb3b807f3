use super::*;

#[tokio::test(start_paused = true)]
async fn a_fallback_stands_in_for_the_body_of_a_failed_step() {
    let route = r#"
steps:
  loyalty: {http: {service: a, path: /l}, fallback: {tier: none, id: "${ request.path.id }"}}
respond: {headers: {cache-control: "max-age=5"}, body: {tier: "${ steps.loyalty.body.tier }", all: "${ steps.loyalty.body }", how: "${ steps.loyalty.outcome }", code: "${ steps.loyalty.error.?code }", degraded: "${ execution.degraded }"}}
"#;
    let bench = Bench::new(route, |_, _| broken(Kind::UpstreamReset));
    let answer = bench.get("/r/9").await.unwrap();
    assert_eq!(
        answer.body,
        r#"{"tier":"none","all":{"tier":"none","id":"9"},"how":"failed","code":"upstream_reset","degraded":["loyalty"]}"#
    );
    assert_eq!(answer.header("segue-degraded"), "loyalty;reason=upstream_reset");
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test(start_paused = true)]
async fn a_skipped_step_is_not_degraded_and_its_fallback_stands_in() {
    let route = r#"
steps:
  loyalty: {when: "${ request.query.?loyal.orValue('') == 'yes' }", http: {service: a, path: /l}, fallback: {tier: none}}
respond: {headers: {cache-control: "max-age=5"}, body: "${ steps.loyalty.body.tier }"}
"#;
    let bench = Bench::new(route, |_, _| json(r#"{"tier": "gold"}"#));
    let answer = bench.get("/r/9").await.unwrap();
    assert_eq!((&*answer.body, answer.header("cache-control")), (r#""none""#, "max-age=5"));
    assert!(!answer.headers.contains_key("segue-degraded"));
    assert_eq!(bench.get("/r/9?loyal=yes").await.unwrap().body, r#""gold""#);
}

#[tokio::test(start_paused = true)]
async fn of_a_failed_optional_step_only_outcome_and_error_are_left() {
    let route = r#"
steps:
  s: {http: {service: a, path: /s}, optional: true}
respond: {body: {b: "${ steps.s.?body }", status: "${ steps.s.?status }", o: "${ steps.s.outcome }", e: "${ steps.s.error.?status }", there: "${ has(steps.s.body.x) }"}}
"#;
    let bench = Bench::new(route, |_, _| reply(404, "application/json", r#"{"x": 1}"#));
    let answer = bench.get("/r/9").await.unwrap();
    assert_eq!(answer.body, r#"{"o":"failed","e":502,"there":false}"#);
    let bench = Bench::new(route, |_, _| json(r#"{"x": 1}"#));
    let answer = bench.get("/r/9").await.unwrap();
    assert_eq!(answer.body, r#"{"b":{"x": 1},"status":200,"o":"ok","there":true}"#);
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_what_is_not_there_fails_and_may_be_tolerated_itself() {
    let route = r#"
steps:
  s: {http: {service: a, path: /s}}
  t: {http: {service: b, path: "/t/${ steps.s.body.missing }"}, optional: true}
respond: {body: {t: "${ steps.t.error.?code }"}}
"#;
    let bench = Bench::new(route, |_, _| json("{}"));
    let answer = bench.get("/r/9").await.unwrap();
    assert_eq!(answer.body, r#"{"t":"expression_error"}"#);
    assert_eq!(answer.header("segue-degraded"), "t;reason=expression_error");
    assert_eq!(bench.targets(), ["GET /s"]);
}

#[tokio::test(start_paused = true)]
async fn expect_replaces_the_rule_of_2xx() {
    let route =
        "steps: {s: {http: {service: a, path: /s}, expect: [304]}}\nrespond: {body: \"${ steps.s.status }\"}";
    assert_eq!(Bench::new(route, |_, _| status(304)).get("/r/1").await.unwrap().body, "304");
    let error = Bench::new(route, |_, _| status(200)).get("/r/1").await.unwrap_err();
    assert_eq!(error.kind(), Kind::UpstreamStatus);
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_an_answer_that_is_not_ok() {
    let route = "steps: {s: {http: {service: a, path: /s}}}\nrespond: {body: \"${ steps.s.status }\"}";
    let bench = Bench::new(route, |_, _| status(302).field("location", "http://elsewhere/"));
    assert_eq!(bench.get("/r/1").await.unwrap_err().kind(), Kind::UpstreamStatus);
    assert_eq!(bench.targets(), ["GET /s"]);
}

#[tokio::test(start_paused = true)]
async fn broken_json_fails_the_step_where_it_can_be_tolerated() {
    let route = "steps: {s: {http: {service: a, path: /s}, fallback: {x: 0}}}\nrespond: {body: \"${ steps.s.body.x }\"}";
    for body in ["{", r#"{"x": 1, "x": 2}"#, "\u{1}"] {
        let answer = Bench::new(route, move |_, _| json(body)).get("/r/1").await.unwrap();
        assert_eq!((&*answer.body, answer.header("segue-degraded")), ("0", "s;reason=bad_payload"), "{body}");
    }
}
