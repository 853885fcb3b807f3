use proptest::prelude::*;

use super::*;

const READS: &str = r#"
steps:
  s: {http: {service: a, path: /s}}
  t: {http: {service: b, path: "/t/${ steps.s.body.id }"}, optional: true}
respond: {headers: {x-h: "${ steps.s.headers[?'x-h'] }"}, body: {all: "${ steps.s.body }", t: "${ steps.t.?body }"}}
"#;

#[tokio::test(start_paused = true)]
async fn answers_larger_than_their_cap_are_a_bad_payload() {
    let large = format!("\"{}\"", "a".repeat(4 * 1024 * 1024));
    let error = Bench::new(READS, move |_, _| json(&large)).get("/r/1").await.unwrap_err();
    assert_eq!((error.kind(), error.failed_step().map(|step| &**step)), (Kind::BadPayload, Some("s")));
}

#[tokio::test(start_paused = true)]
async fn the_step_that_crosses_the_cap_of_the_execution_is_a_bad_payload() {
    let route = r#"
steps:
  each:
    forEach: {in: "${ [1, 2, 3, 4, 5, 6] }", as: n, max: 9}
    http: {service: a, path: "/${ n }"}
    optional: true
respond: {body: "${ steps.each.items.map(i, i.outcome) }"}
"#;
    let large = format!("\"{}\"", "a".repeat(3 * 1024 * 1024));
    let answer = Bench::new(route, move |_, _| json(&large)).get("/r/1").await.unwrap();
    assert_eq!(answer.body, r#"["ok","ok","ok","ok","ok","failed"]"#);
    assert_eq!(answer.header("segue-degraded"), "each;failed=1;of=6");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_no_answer() {
    let bench = Bench::new(READS, |_, _| json("").body(pieces(vec![(1, Some("{\"id\"")), (1, None)])));
    assert_eq!(bench.get("/r/1").await.unwrap_err().kind(), Kind::UpstreamTimeout);
}

#[tokio::test(start_paused = true)]
async fn nesting_beyond_the_bound_is_a_bad_payload() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let error = Bench::new(READS, move |_, _| json(&deep)).get("/r/1").await.unwrap_err();
    assert_eq!(error.kind(), Kind::BadPayload);
}

/// A list of 12 000 numbers: longer than what a worker reads, and than what it evaluates, in one go.
fn long() -> String {
    format!("[{}]", (0..12_000).map(|i| (1_000_000_000 + i).to_string()).collect::<Vec<_>>().join(","))
}

#[tokio::test(start_paused = true)]
async fn what_takes_longer_than_a_slice_is_answered_all_the_same() {
    let route = r#"
vars: {kept: "${ steps.s.body.filter(n, n % 3 != 0) }"}
steps:
  s: {http: {service: a, path: /s}}
  t: {http: {service: b, path: "/t/${ vars.kept.size() }", method: POST, body: {$each: "${ vars.kept }", $as: n, $yield: "${ n }"}}}
  each:
    forEach: {in: "${ steps.s.body.filter(n, n < 1000000002) }", as: n, max: 2}
    http: {service: c, path: "/c/${ steps.s.body.filter(m, m < n).size() }"}
respond: {body: {first: "${ steps.t.body.line }", each: "${ steps.each.items.map(i, i.body.line) }", all: {$each: "${ vars.kept }", $as: n, $yield: "${ n - 1 }"}}}
"#;
    let bench = Bench::new(route, |_, line| match line {
        "GET /s" => json(&long()),
        line => json(&format!("{{\"line\":\"{line}\"}}")),
    });
    let answer = bench.get("/r/1").await.unwrap();
    let kept = (1_000_000_000..1_000_012_000).filter(|n| n % 3 != 0);
    let all = kept.map(|n| (n - 1).to_string()).collect::<Vec<_>>().join(",");
    let expected = format!(r#"{{"first":"POST /t/8000","each":["GET /c/0","GET /c/1"],"all":[{all}]}}"#);
    assert_eq!(answer.body, expected);
}

#[tokio::test(start_paused = true)]
async fn an_expression_beyond_its_budget_fails_its_own_request_alone() {
    let route = r#"
steps: {s: {http: {service: a, path: /s}}}
respond: {body: "${ steps.s.body.map(a, steps.s.body.map(b, steps.s.body.map(c, a + b + c))) }"}
"#;
    let bench = Bench::new(route, |_, line| json(if line == "GET /s" { "[1,2,3]" } else { "[]" }));
    assert_eq!(
        bench.get("/r/1").await.unwrap().body,
        "[[[3,4,5],[4,5,6],[5,6,7]],[[4,5,6],[5,6,7],[6,7,8]],[[5,6,7],[6,7,8],[7,8,9]]]"
    );
    let large = Bench::new(route, |_, _| json(&long()));
    assert_eq!(large.get("/r/1").await.unwrap_err().kind(), Kind::ExpressionBudget);
    assert!(bench.get("/r/1").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_execution_that_spends_ten_times_the_budget_of_an_expression_ends() {
    let route = r#"
steps: {s: {http: {service: a, path: /s}}}
respond: {body: {$each: "${ steps.s.body }", $as: n, $yield: "${ [LIST] }"}}
"#;
    let bench = Bench::new(&route.replace("LIST", &["n"; 100].join(",")), |_, _| json(&long()));
    let error = bench.get("/r/1").await.map(|answer| answer.body.len()).unwrap_err();
    assert_eq!(error.kind(), Kind::ExpressionBudget);
}

fn answers() -> impl Strategy<Value = (u16, String, Vec<u8>)> {
    let content_type = prop_oneof![
        Just("application/json".to_owned()),
        Just("application/x+json;charset=x".to_owned()),
        Just("application/x-www-form-urlencoded".to_owned()),
        Just("text/html".to_owned()),
        "[ -~]{0,20}",
    ];
    let jsonish = "[\\[\\]{}:,\"a-c0-9eE.+ \\\\-]{0,40}".prop_map(String::into_bytes);
    let body = prop_oneof![proptest::collection::vec(any::<u8>(), 0..64), jsonish];
    (prop_oneof![Just(200_u16), 200_u16..600], content_type, body)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_as_an_answer_give_an_answer_or_a_clear_error((code, content_type, body) in answers()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let bench = Bench::new(READS, move |_, _| {
                reply(code, content_type.trim(), body.clone()).field("x-h", "v")
            });
            match bench.get("/r/1").await {
                Ok(answer) => {
                    let document = crate::json::Document::parse(answer.body.into()).expect("the answer is JSON");
                    prop_assert_eq!(document.root().kind(), crate::json::Kind::Map);
                }
                Err(error) => prop_assert!(matches!(
                    error.kind(),
                    Kind::UpstreamStatus | Kind::UpstreamUnavailable | Kind::BadPayload | Kind::ExpressionError
                ), "{error:?}"),
            }
            Ok(())
        })?;
    }
}
