//! Compositions inside of compositions.

use super::*;

const SUMMARY: &str = r#"
---
apiVersion: segue/v1
kind: Composition
metadata: {name: summary, owner: team, version: 1.0.0}
input: {id: {type: string, required: true}, limit: {type: integer, default: 3}, note: {type: string}}
vars: {both: "${ steps.profile.body.name + '/' + input.id }"}
steps:
  profile: {http: {service: a, path: "/profile/${ input.id }"}}
  extra:
    http: {service: b, path: /extra, query: {limit: "${ input.limit }"}}
    fallback: {none: true}
output: {name: "${ vars.both }", extra: "${ steps.extra.body }", limit: "${ input.limit }", note: "${ input.?note }"}
"#;

fn route(step: &str, body: &str) -> String {
    format!("timeout: 1s\nsteps:\n  sum: {step}\nrespond: {{body: {body}}}\n{SUMMARY}")
}

#[tokio::test(start_paused = true)]
async fn a_composition_runs_with_its_inputs_and_gives_its_output() {
    let route =
        route(r#"{compose: summary, with: {id: "${ request.path.id }"}}"#, r#""${ steps.sum.output }""#);
    let bench = Bench::new(&route, |_, line| match line {
        "GET /profile/7" => json(r#"{"name": "Ada"}"#).after(20),
        _ => json(r#"{"x": 1.10}"#).after(30),
    });
    let answer = bench.get("/r/7").await.unwrap();
    assert_eq!(answer.body, r#"{"name":"Ada/7","extra":{"x": 1.10},"limit":3}"#);
    assert_eq!(bench.elapsed(), 30, "its steps run at the same time");
    assert_eq!(bench.targets(), ["GET /profile/7", "GET /extra?limit=3"]);
    assert!(!answer.headers.contains_key("segue-degraded"));
}

#[tokio::test(start_paused = true)]
async fn what_is_degraded_inside_is_named_from_outside() {
    let step = r#"{compose: summary, with: {id: x}}"#;
    let bench = Bench::new(
        &route(step, r#"{d: "${ execution.degraded }", o: "${ steps.sum.output.extra }"}"#),
        |service, _| {
            if service == "b" { status(503) } else { json(r#"{"name": "Ada"}"#) }
        },
    );
    let answer = bench.get("/r/1").await.unwrap();
    assert_eq!(answer.body, r#"{"d":["sum.extra"],"o":{"none":true}}"#);
    assert_eq!(answer.header("segue-degraded"), "sum.extra;reason=upstream_unavailable");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(bench.exchange.record().degraded, ["sum.extra"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_inside_is_the_steps_own_and_can_be_tolerated_like_any() {
    let required = route(r#"{compose: summary, with: {id: x}}"#, r#""${ steps.sum.output }""#);
    let script = |service: &str, _: &str| if service == "a" { status(500) } else { json("{}").after(50) };
    let bench = Bench::new(&required, script);
    let error = bench.get("/r/1").await.unwrap_err();
    assert_eq!(error.kind(), Kind::UpstreamStatus);
    assert_eq!(error.failed_step().map(|step| &**step), Some("sum"));
    assert_eq!(bench.elapsed(), 0);
    assert!(bench.log().contains(&"0 cancel b GET /extra?limit=3".to_owned()));
    let tolerated = route(
        r#"{compose: summary, with: {id: x}, fallback: {name: nobody}}"#,
        r#"{n: "${ steps.sum.output.name }", how: "${ steps.sum.outcome }", why: "${ steps.sum.error.code }"}"#,
    );
    let answer = Bench::new(&tolerated, script).get("/r/1").await.unwrap();
    assert_eq!(answer.body, r#"{"n":"nobody","how":"failed","why":"upstream_status"}"#);
    assert_eq!(answer.header("segue-degraded"), "sum;reason=upstream_status");
}

#[tokio::test(start_paused = true)]
async fn a_skipped_composition_calls_nothing() {
    let step = r#"{compose: summary, with: {id: x}, when: "${ false }"}"#;
    let bench = Bench::new(
        &route(step, r#"{o: "${ steps.sum.?output }", how: "${ steps.sum.outcome }"}"#),
        |_, _| json("1"),
    );
    assert_eq!(bench.get("/r/1").await.unwrap().body, r#"{"how":"skipped"}"#);
    assert!(bench.targets().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_cut_holds_inside_and_the_deadline_is_the_routes() {
    let slow_extra = |service: &str, _: &str| {
        if service == "b" { json("1").after(390) } else { json(r#"{"name": "Ada"}"#).after(700) }
    };
    // `extra` ends in its own time; `profile` is required and ends in time.
    let required = route(r#"{compose: summary, with: {id: x}}"#, r#""${ steps.sum.output.name }""#);
    let answer = Bench::new(&required, slow_extra).get("/r/1").await.unwrap();
    assert_eq!(answer.body, r#""Ada/x""#);
    // A tolerated Composition is cut at nine tenths.
    let tolerated =
        route(r#"{compose: summary, with: {id: x}, optional: true}"#, r#"{o: "${ steps.sum.?output }"}"#);
    let bench = Bench::new(&tolerated, |_, _| json("1").after(2000));
    let answer = bench.get("/r/1").await.unwrap();
    assert_eq!((answer.body.as_str(), bench.elapsed()), ("{}", 900));
    assert_eq!(answer.header("segue-degraded"), "sum;reason=deadline_exceeded");
    // What fails by the deadline is the route's own step.
    let bench = Bench::new(&required, |_, _| json("1").after(2000));
    let error = bench.get("/r/1").await.unwrap_err();
    assert_eq!((error.kind(), bench.elapsed()), (Kind::DeadlineExceeded, 1000));
    assert_eq!(error.failed_step().map(|step| &**step), Some("sum"));
}

#[tokio::test(start_paused = true)]
async fn items_run_compositions_side_by_side_and_have_outputs() {
    let step = r#"{compose: summary, with: {id: "${ n }"}, forEach: {in: "${ ['1', '2', '3'] }", as: n, key: "${ n }", concurrency: 3}, optional: true}"#;
    let body = r#"{all: "${ steps.sum.items.map(i, i.?output.?name.orValue(i.outcome)) }", two: "${ steps.sum.byKey[?'3'].?output.?name }", keys: "${ size(steps.sum.byKey) }"}"#;
    let bench = Bench::new(&route(step, body), |service, line| match (service, line) {
        ("a", "GET /profile/2") => status(404),
        ("a", _) => json(r#"{"name": "Ada"}"#).after(10),
        _ => status(500),
    });
    let answer = bench.get("/r/1").await.unwrap();
    assert_eq!(answer.body, r#"{"all":["Ada/1","failed","Ada/3"],"two":"Ada/3","keys":2}"#);
    assert_eq!(answer.header("segue-degraded"), "sum;failed=1;of=3, sum.extra;failed=2;of=3");
    assert_eq!(bench.elapsed(), 10);
}

#[tokio::test(start_paused = true)]
async fn an_input_of_the_wrong_type_fails_the_step_before_any_call() {
    let step = r#"{compose: summary, with: {id: x, limit: "${ steps.first.body.n }"}}"#;
    let route = route(step, r#""${ steps.sum.output }""#)
        .replace("steps:\n  sum", "steps:\n  first: {http: {service: c, path: /n}}\n  sum");
    let bench = Bench::new(&route, |_, _| json(r#"{"n": "many"}"#));
    let error = bench.get("/r/1").await.unwrap_err();
    assert_eq!(error.kind(), Kind::ExpressionError);
    assert_eq!(error.public_detail(), Some("the input `limit` must be an integer"));
    assert_eq!(bench.targets(), ["GET /n"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_value_is_the_clients_fault_through_inputs_too() {
    let route =
        route(r#"{compose: summary, with: {id: "${ request.path.id }"}}"#, r#""${ steps.sum.output }""#);
    let error = Bench::new(&route, |_, _| json("1")).get("/r/..").await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidRequest);
}

const BOOK: &str = r#"
---
apiVersion: segue/v1
kind: Composition
metadata: {name: book, owner: team}
input: {n: {type: integer}}
steps:
  check: {http: {service: a, path: /check}}
  pay: {http: {service: b, method: POST, path: "/pay/${ input.n }"}, after: [check]}
  ship: {http: {service: c, method: POST, path: /ship}, after: [pay]}
output: "${ steps.ship.body }"
"#;

#[tokio::test(start_paused = true)]
async fn an_unsafe_call_inside_runs_to_its_end_and_nothing_follows_it() {
    let route = format!(
        "steps:\n  book: {{compose: book, with: {{n: 1}}}}\n  other: {{http: {{service: c, path: /other}}}}\nrespond: {{body: ['${{ steps.book.output }}', '${{ steps.other.body }}']}}\n{BOOK}"
    );
    let bench = Bench::new(&route, |_, line| match line {
        "GET /check" => json("1"),
        "POST /pay/1" => json("1").after(300),
        _ => status(500).after(100),
    });
    let error = bench.get("/r/1").await.unwrap_err();
    assert_eq!((bench.elapsed(), error.failed_step().map(|step| &**step)), (100, Some("other")));
    bench.custody.drained().await;
    let log = bench.log();
    assert_eq!(log.last().map(String::as_str), Some("300 end b POST /pay/1"), "{log:?}");
    assert!(!log.iter().any(|line| line.contains("/ship")), "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_item_answers_at_once_while_unsafe_calls_of_others_end() {
    let both = BOOK.replace(", after: [check]}", ", unordered: true}").replace(
        "{http: {service: c, method: POST, path: /ship}, after: [pay]}",
        r#"{http: {service: c, method: POST, path: "/ship/${ input.n }"}, unordered: true}"#,
    );
    let route = format!(
        "steps:\n  book: {{compose: book, with: {{n: '${{ n }}'}}, forEach: {{in: '${{ [1, 2] }}', as: n, concurrency: 2}}, unordered: true}}\nrespond: {{body: 1}}\n{both}"
    );
    let bench = Bench::new(&route, |_, line| match line {
        "POST /ship/2" => status(500).after(50),
        "GET /check" => json("1"),
        _ => json("1").after(200),
    });
    assert_eq!(bench.get("/r/1").await.unwrap_err().kind(), Kind::UpstreamStatus);
    assert_eq!(bench.elapsed(), 50, "the answer does not wait");
    bench.custody.drained().await;
    let late: Vec<_> = bench.log().into_iter().filter(|line| line.starts_with("200 end")).collect();
    assert_eq!(late.len(), 3, "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_after_an_unsafe_call_inside_does_not_stop_it() {
    let route = format!(
        "steps: {{book: {{compose: book, with: {{n: 1}}}}}}\nrespond: {{body: '${{ steps.book.output }}'}}\n{BOOK}"
    );
    let bench = Bench::new(&route, |_, _| json("1").after(100));
    let request = tokio::time::timeout(Duration::from_millis(150), bench.get("/r/1"));
    assert!(request.await.is_err(), "the client left");
    bench.custody.drained().await;
    assert!(bench.log().contains(&"300 end c POST /ship".to_owned()), "the whole of it goes on");
}
