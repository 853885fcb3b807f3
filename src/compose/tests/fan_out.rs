use super::*;

const LIST: &str = r#"
steps:
  list: {http: {service: a, path: /list}}
  each:
    forEach: {in: "${ steps.list.body.ids }", as: o, key: "${ o.id }", max: 4, concurrency: 2}
    http: {service: b, path: "/one/${ o.id }"}
    optional: true
respond:
  body:
    of: "${ steps.each.items.map(i, i.outcome) }"
    keys: "${ steps.each.items.map(i, i.key) }"
    values:
      $each: "${ steps.list.body.ids }"
      $as: o
      $yield: {id: "${ o.id }", v: "${ steps.each.byKey[?o.id].?body.?v }"}
"#;

fn ids(ids: &[&str]) -> String {
    let ids: Vec<_> = ids.iter().map(|id| format!(r#"{{"id":"{id}"}}"#)).collect();
    format!(r#"{{"ids":[{}]}}"#, ids.join(","))
}

#[tokio::test(start_paused = true)]
async fn keeps_the_order_of_the_input_and_the_bound_on_calls() {
    let bench = Bench::new(LIST, |_, line| match line {
        "GET /list" => json(&ids(&["x", "y", "z"])),
        "GET /one/x" => json(r#"{"v": 1}"#).after(50),
        "GET /one/y" => json(r#"{"v": 2}"#).after(10),
        _ => json(r#"{"v": 3}"#).after(10),
    });
    let answer = bench.get("/r/1").await.unwrap();
    assert_eq!(
        answer.body,
        r#"{"of":["ok","ok","ok"],"keys":["x","y","z"],"values":[{"id":"x","v":1},{"id":"y","v":2},{"id":"z","v":3}]}"#
    );
    assert_eq!(
        bench.log()[2..],
        [
            "0 start b GET /one/x",
            "0 start b GET /one/y",
            "10 end b GET /one/y",
            "10 start b GET /one/z",
            "20 end b GET /one/z",
            "50 end b GET /one/x",
        ]
    );
    assert!(!answer.headers.contains_key("segue-degraded"));
}

#[tokio::test(start_paused = true)]
async fn a_failed_item_is_tolerated_alone_and_counted() {
    let bench = Bench::new(LIST, |_, line| match line {
        "GET /list" => json(&ids(&["x", "y", "x"])),
        "GET /one/y" => status(404),
        _ => json(r#"{"v": 1}"#),
    });
    let answer = bench.get("/r/1").await.unwrap();
    assert!(answer.body.contains(r#""of":["ok","failed","ok"]"#), "{}", answer.body);
    assert!(answer.body.contains(r#"{"id":"y"}"#), "{}", answer.body);
    assert_eq!(answer.header("segue-degraded"), "each;failed=1;of=3");
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test(start_paused = true)]
async fn the_cut_leaves_the_items_that_were_in_time() {
    let bench = Bench::new(
        &format!("timeout: 1s\n{}", LIST.replace("concurrency: 2", "concurrency: 1")),
        |_, line| match line {
            "GET /list" => json(&ids(&["x", "y", "z", "w"])),
            _ => json(r#"{"v": 1}"#).after(350),
        },
    );
    let answer = bench.get("/r/1").await.unwrap();
    assert!(answer.body.contains(r#""of":["ok","ok","failed","failed"]"#), "{}", answer.body);
    assert_eq!((bench.elapsed(), answer.header("segue-degraded")), (900, "each;failed=2;of=4"));
    assert_eq!(bench.targets().len(), 4, "the fourth item is not sent any more");
}

#[tokio::test(start_paused = true)]
async fn more_items_than_max_fail_the_step() {
    let route = LIST.replace("    optional: true\n", "");
    let bench = Bench::new(&route, |_, line| match line {
        "GET /list" => json(&ids(&["1", "2", "3", "4", "5"])),
        _ => json("{}"),
    });
    let error = bench.get("/r/1").await.unwrap_err();
    assert_eq!((error.kind(), error.failed_step().map(|s| &**s)), (Kind::TooManyItems, Some("each")));
    assert_eq!(bench.targets(), ["GET /list"]);
}

#[tokio::test(start_paused = true)]
async fn a_required_item_that_fails_fails_the_step_at_once() {
    let route = LIST.replace("    optional: true\n", "");
    let bench = Bench::new(&route, |_, line| match line {
        "GET /list" => json(&ids(&["x", "y", "z"])),
        "GET /one/x" => json("{}").after(100),
        _ => status(500).after(10),
    });
    assert_eq!(bench.get("/r/1").await.unwrap_err().kind(), Kind::UpstreamStatus);
    assert_eq!(bench.elapsed(), 10);
    assert_eq!(bench.log()[4..], ["10 end b GET /one/y", "10 cancel b GET /one/x"]);
}

#[tokio::test(start_paused = true)]
async fn a_fallback_stands_in_per_item_and_may_read_it() {
    let route = r#"
steps:
  each:
    forEach: {in: "${ request.queryValues('n') }", as: n, max: 9}
    http: {service: b, path: "/one/${ n }"}
    fallback: {name: "none of ${ n }"}
respond: {body: "${ steps.each.items.map(i, i.body.name) }"}
"#;
    let bench = Bench::new(route, |_, line| match line {
        "GET /one/2" => status(500),
        _ => json(r#"{"name": "ok"}"#).after(10),
    });
    let answer = bench.get("/r/1?n=1&n=2&n=3").await.unwrap();
    assert_eq!(answer.body, r#"["ok","none of 2","ok"]"#);
    assert_eq!(bench.elapsed(), 20, "one after the other by default");
}

#[tokio::test(start_paused = true)]
async fn a_skipped_fan_out_reads_as_empty() {
    let route = r#"
steps:
  each:
    when: "${ false }"
    forEach: {in: "${ [1] }", as: n, max: 9}
    http: {service: b, path: "/one/${ n }"}
respond: {body: {items: "${ steps.each.items }", keys: "${ size(steps.each.byKey) }", how: "${ steps.each.outcome }"}}
"#;
    let answer = Bench::new(route, |_, _| json("1")).get("/r/1").await.unwrap();
    assert_eq!(answer.body, r#"{"items":[],"keys":0,"how":"skipped"}"#);
}

#[tokio::test(start_paused = true)]
async fn unsafe_items_in_flight_run_on_when_one_has_failed() {
    let route = r#"
steps:
  each:
    forEach: {in: "${ [1, 2, 3] }", as: n, max: 9, concurrency: 2}
    http: {service: b, method: POST, path: "/one/${ n }"}
    unordered: true
respond: {body: 1}
"#;
    let bench = Bench::new(route, |_, line| match line {
        "POST /one/1" => status(500).after(10),
        _ => json("1").after(100),
    });
    assert_eq!(bench.get("/r/1").await.unwrap_err().kind(), Kind::UpstreamStatus);
    assert_eq!(bench.elapsed(), 10);
    bench.custody.drained().await;
    assert_eq!(bench.log()[2..], ["10 end b POST /one/1", "100 end b POST /one/2"]);
}
