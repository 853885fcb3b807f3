//! Sentences of the format that no other file holds.

use super::*;

fn one(step: &str, body: &str) -> String {
    format!("steps: {{s: {step}}}\nrespond: {{body: {body}}}")
}

#[tokio::test(start_paused = true)]
async fn a_variable_is_evaluated_on_first_use_and_once() {
    let route = r#"
vars: {broken: "${ request.query.none }", id: "${ uuid() }", name: "${ steps.s.body.name + '!' }", both: {n: "${ vars.name }"}}
steps: {s: {http: {service: a, path: /x, headers: {x-id: "${ vars.id }"}}}}
respond: {body: {both: "${ vars.both }", same: "${ vars.id == vars.id }", id: "${ vars.id }"}}
"#;
    let bench = Bench::new(route, |_, _| json(r#"{"name": "Ada"}"#));
    let answer = bench.get("/r/1").await.unwrap();
    let sent = bench.only().header("x-id").to_owned();
    assert_eq!(answer.body, format!(r#"{{"both":{{"n":"Ada!"}},"same":true,"id":"{sent}"}}"#));
}

#[tokio::test(start_paused = true)]
async fn several_cookies_come_back_as_several_fields() {
    let route = r#"
steps: {login: {http: {service: a, path: /login}}}
respond: {headers: {set-cookie: "${ steps.login.headerValues('set-cookie') }", link: [a, "${ 'b' }"]}}
"#;
    let bench = Bench::new(route, |_, _| {
        json("1")
            .field("set-cookie", "a=1; Path=/")
            .field("set-cookie", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT")
    });
    let answer = bench.get("/r/1").await.unwrap();
    let all = |name: &str| answer.headers.get_all(name).iter().cloned().collect::<Vec<_>>();
    assert_eq!(all("set-cookie"), ["a=1; Path=/", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT"]);
    assert_eq!(all("link"), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn expect_replaces_the_rule_of_2xx() {
    let route = one("{http: {service: a, path: /x}, expect: [304]}", "'${ steps.s.status }'");
    assert_eq!(Bench::new(&route, |_, _| status(304)).get("/r/1").await.unwrap().body, "304");
    let error = Bench::new(&route, |_, _| status(200)).get("/r/1").await.unwrap_err();
    assert_eq!(error.kind(), Kind::UpstreamStatus);
}

#[tokio::test(start_paused = true)]
async fn of_several_items_with_one_key_the_first_that_is_ok_is_found() {
    let route = r#"
steps:
  s:
    forEach: {in: "${ [1, 2, 3] }", as: n, key: k, concurrency: 3}
    http: {service: a, path: "/${ n }"}
    optional: true
respond: {body: "${ steps.s.byKey.k.item }"}
"#;
    // The third answers before the second, and the first fails: input order decides.
    let bench = Bench::new(route, |_, line| match line {
        "GET /1" => status(500),
        "GET /2" => json("1").after(50),
        _ => json("1"),
    });
    assert_eq!(bench.get("/r/1").await.unwrap().body, "2");
}

#[tokio::test(start_paused = true)]
async fn too_many_items_of_a_tolerated_step_degrade_it_as_a_whole() {
    let route = one(
        "{forEach: {in: '${ [1, 2] }', as: n, max: 1}, http: {service: a, path: /x}, optional: true}",
        "'${ steps.s.items }'",
    );
    let bench = Bench::new(&route, |_, _| json("1"));
    let answer = bench.get("/r/1").await.unwrap();
    assert_eq!((&*answer.body, answer.header("segue-degraded")), ("[]", "s;reason=too_many_items"));
    assert!(bench.targets().is_empty());
}

#[tokio::test(start_paused = true)]
async fn answers_are_read_by_their_content_type() {
    for (content_type, body, expression, wanted) in [
        ("application/vnd.x+json", r#"{"a": 1}"#, "steps.s.body.a", "1"),
        ("application/x-www-form-urlencoded", "a=1&b=2&a=3+4", "steps.s.body.a", r#"["1","3 4"]"#),
        ("text/csv", "a,b", "steps.s.body + '!'", r#""a,b!""#),
        ("image/png", "abc", "size(steps.s.body)", "3"),
        ("application/json", "", "steps.s.body == null", "true"),
        ("", "abc", "size(steps.s.body)", "3"),
    ] {
        let route = one(
            "{http: {service: a, path: /x}}",
            &format!("['${{ {expression} }}']").replace('\'', "\"").replace("\"!\"", "'!'"),
        );
        let bench = Bench::new(&route, move |_, _| reply(200, content_type, body));
        let answer = bench.get("/r/1").await.unwrap();
        assert_eq!(answer.body, format!("[{wanted}]"), "{content_type}");
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_have_no_place_in_json_and_null_has_no_fields() {
    for (content_type, body, expression) in [
        ("image/png", "abc", "{x: '${ steps.s.body }'}"),
        ("application/json", "", "'${ steps.s.body.name }'"),
        ("application/json", "null", "'${ steps.s.body.name }'"),
        ("text/plain", "abc", "'${ steps.s.body.name }'"),
    ] {
        let route = one("{http: {service: a, path: /x}}", expression);
        let error =
            Bench::new(&route, move |_, _| reply(200, content_type, body)).get("/r/1").await.unwrap_err();
        assert_eq!(error.kind(), Kind::ExpressionError, "{content_type} {body}");
    }
    for body in [r#"{"a": 1, "a": 2}"#, "\"\u{fffd}", "{"] {
        let route = one("{http: {service: a, path: /x}}", "{x: '${ steps.s.body }'}");
        let error = Bench::new(&route, move |_, _| reply(200, "application/json", body))
            .get("/r/1")
            .await
            .unwrap_err();
        assert_eq!((error.kind(), error.failed_step().map(|step| &**step)), (Kind::BadPayload, Some("s")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_passed_status_of_a_tolerated_step_is_tolerated_too() {
    let route = one(
        "{http: {service: a, path: /x}, passStatus: [404], optional: true}",
        "{why: '${ steps.s.error.?status }', how: '${ steps.s.outcome }'}",
    );
    let answer = Bench::new(&route, |_, _| status(404)).get("/r/1").await.unwrap();
    assert_eq!((answer.status, &*answer.body), (200, r#"{"why":404,"how":"failed"}"#));
    assert_eq!(answer.header("segue-degraded"), "s;reason=upstream_status");
}

#[tokio::test(start_paused = true)]
async fn a_condition_that_cannot_be_evaluated_fails_its_step() {
    let step = |more: &str| {
        format!("{{http: {{service: a, path: /x}}, when: '${{ request.query.n == \"1\" }}'{more}}}")
    };
    let bench = Bench::new(&one(&step(", fallback: 7"), "'${ steps.s.body }'"), |_, _| json("1"));
    let answer = bench.get("/r/1").await.unwrap();
    assert_eq!((&*answer.body, answer.header("segue-degraded")), ("7", "s;reason=expression_error"));
    let bench = Bench::new(&one(&step(""), "'${ steps.s.?body }'"), |_, _| json("1"));
    let error = bench.get("/r/1").await.unwrap_err();
    assert_eq!((error.kind(), error.failed_step().map(|step| &**step)), (Kind::ExpressionError, Some("s")));
    assert!(bench.targets().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_first_requirement_that_is_not_true_answers() {
    let route = r#"
require:
  - {that: "${ request.query.?a.hasValue() }", problem: {status: 403, title: No a}}
  - {that: "${ request.query.b == '1' }", problem: {status: 409, detail: "b is ${ request.query.b }"}}
  - {that: "${ false }"}
respond: {body: 1}
"#;
    let bench = Bench::new(route, |_, _| json("1"));
    for (target, kind, status) in [
        ("/r/1", Kind::RequireFailed, 403),
        ("/r/1?a=1&b=2", Kind::RequireFailed, 409),
        ("/r/1?a=1", Kind::ExpressionError, 500),
        ("/r/1?a=1&b=1", Kind::RequireFailed, 400),
    ] {
        let error = bench.get(target).await.unwrap_err();
        assert_eq!((error.kind(), error.response_status().as_u16()), (kind, status), "{target}");
    }
}

#[tokio::test(start_paused = true)]
async fn has_is_false_at_any_depth_of_a_step_without_an_answer() {
    let route = one(
        "{http: {service: a, path: /x}, optional: true}",
        "{deep: '${ has(steps.s.body.a.b.c) }', s: '${ has(steps.s.status) }', v: '${ steps.s.?body.?a.orValue(5) }'}",
    );
    let answer = Bench::new(&route, |_, _| status(500)).get("/r/1").await.unwrap();
    assert_eq!(answer.body, r#"{"deep":false,"s":false,"v":5}"#);
}

#[tokio::test(start_paused = true)]
async fn an_error_rule_sees_no_upstream_where_no_answer_came_and_all_members_may_be_computed() {
    let route = r#"
steps: {s: {http: {service: a, path: /x}}}
respond: {body: "${ steps.s.body }"}
errors:
  - {when: "${ error.upstream.status == 404 }", problem: {status: 404}}
  - problem:
      status: ${ error.status - 1 }
      type: "https://errors.example.com/${ error.code }"
      title: "At ${ error.step }"
      detail: ${ error.message }
      headers: {x-code: "${ error.code }"}
      seen: "${ has(error.upstream) }"
"#;
    let error = Bench::new(route, |_, _| broken(Kind::UpstreamUnreachable)).get("/r/1").await.unwrap_err();
    assert_eq!(error.response_status().as_u16(), 501);
    assert_eq!(error.public_detail(), Some("Upstream unreachable"));
    let document = error.own_document().unwrap();
    assert_eq!(document.type_uri.as_deref(), Some("https://errors.example.com/upstream_unreachable"));
    assert_eq!(document.title.as_deref(), Some("At s"));
    assert_eq!(document.members, [("seen".to_owned(), b"false".to_vec())]);
    assert_eq!(error.response_headers()[0].1, "upstream_unreachable");
}

#[tokio::test(start_paused = true)]
async fn an_infinite_number_in_an_answer_is_an_error() {
    let route = one("{http: {service: a, path: /x}}", "{x: '${ steps.s.body.n / 0.0 }'}");
    let error = Bench::new(&route, |_, _| json(r#"{"n": 1.0}"#)).get("/r/1").await.unwrap_err();
    assert_eq!(error.kind(), Kind::ExpressionError);
}
