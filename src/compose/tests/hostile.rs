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
    let answer = Bench::new(route, move |_, _| json(&large)).get("/r/1").await;
    // Bodies that nothing reads are not held.
    assert_eq!(answer.unwrap().body, r#"["ok","ok","ok","ok","ok","ok"]"#);
    let large = format!("\"{}\"", "a".repeat(3 * 1024 * 1024));
    let reading = route.replace("i.outcome", "[i.outcome, size(i.?body.orValue(''))]");
    let answer = Bench::new(&reading, move |_, _| json(&large)).get("/r/1").await.unwrap();
    assert!(answer.body.ends_with(r#"["ok",3145728],["failed",0]]"#), "{}", answer.body);
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
