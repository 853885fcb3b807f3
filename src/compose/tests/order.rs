use super::*;

const THREE_WAVES: &str = r#"
steps:
  first: {http: {service: a, path: /first}}
  left: {http: {service: b, path: "/left/${ steps.first.body.id }"}}
  right: {http: {service: c, path: "/right/${ steps.first.body.id }"}}
  last: {http: {service: a, path: /last, query: {l: "${ steps.left.body.v }", r: "${ steps.right.body.v }"}}}
  alone: {http: {service: c, path: /alone}}
respond:
  body: {sum: "${ steps.last.body.v }", alone: "${ steps.alone.body.v }"}
"#;

fn slow(_: &str, line: &str) -> Reply {
    let (body, after) = match line {
        "GET /first" => (r#"{"id": 7}"#, 100),
        "GET /left/7" => (r#"{"v": "x"}"#, 30),
        "GET /right/7" => (r#"{"v": "y"}"#, 50),
        "GET /last?l=x&r=y" => (r#"{"v": 3}"#, 20),
        "GET /alone" => (r#"{"v": null}"#, 120),
        other => panic!("{other}"),
    };
    json(body).after(after)
}

#[tokio::test(start_paused = true)]
async fn takes_its_critical_path_and_no_longer() {
    let bench = Bench::new(THREE_WAVES, slow);
    let answer = bench.get("/r/1").await.unwrap();
    assert_eq!(bench.elapsed(), 170);
    assert_eq!((answer.status, &*answer.body), (200, r#"{"sum":3,"alone":null}"#));
    assert_eq!(answer.header("content-type"), "application/json");
}

#[tokio::test(start_paused = true)]
async fn starts_a_step_when_what_it_reads_has_settled_and_not_before() {
    let bench = Bench::new(THREE_WAVES, slow);
    bench.get("/r/1").await.unwrap();
    assert_eq!(
        bench.log(),
        [
            "0 start a GET /first",
            "0 start c GET /alone",
            "100 end a GET /first",
            "100 start b GET /left/7",
            "100 start c GET /right/7",
            "120 end c GET /alone",
            "130 end b GET /left/7",
            "150 end c GET /right/7",
            "150 start a GET /last?l=x&r=y",
            "170 end a GET /last?l=x&r=y",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn after_orders_steps_that_do_not_read_each_other() {
    let route = "steps:\n  one: {http: {service: a, path: /one}}\n  two: {http: {service: a, path: /two}, after: [one]}\nrespond: {status: 204}";
    let bench = Bench::new(route, |_, _| status(200).after(10));
    assert_eq!(bench.get("/r/1").await.unwrap().status, 204);
    assert_eq!(bench.elapsed(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_failure_decides_at_once_and_nothing_starts_after_it() {
    let route = r#"
steps:
  bad: {http: {service: a, path: /bad}}
  slow: {http: {service: b, path: /slow}}
  next: {http: {service: c, path: /next}, after: [bad]}
respond: {body: 1}
"#;
    let bench = Bench::new(route, |_, line| match line {
        "GET /bad" => status(500).after(10),
        _ => json("1").after(200),
    });
    let error = bench.get("/r/1").await.unwrap_err();
    assert_eq!((error.kind(), error.failed_step().map(|step| &**step)), (Kind::UpstreamStatus, Some("bad")));
    assert_eq!(bench.elapsed(), 10);
    assert_eq!(
        bench.log(),
        ["0 start a GET /bad", "0 start b GET /slow", "10 end a GET /bad", "10 cancel b GET /slow"]
    );
}

#[tokio::test(start_paused = true)]
async fn the_record_has_every_step() {
    let route = r#"
steps:
  one: {http: {service: a, path: /one}}
  two: {when: "${ false }", http: {service: a, path: /two}, after: [one]}
  three: {http: {service: b, path: /three}, optional: true}
respond: {body: 1}
"#;
    let bench = Bench::new(route, |_, line| match line {
        "GET /three" => status(404).after(5),
        _ => json("1").after(10),
    });
    bench.get("/r/1").await.unwrap();
    let record = bench.exchange.record();
    let steps: Vec<_> =
        record.steps.iter().map(|s| (s.step, s.outcome.as_str(), s.started_us, s.ended_us, s.code)).collect();
    assert_eq!(
        steps,
        [
            (0, "ok", 0, 10000, None),
            (2, "failed", 0, 5000, Some("upstream_status")),
            (1, "skipped", 10000, 10000, None)
        ]
    );
    assert_eq!(record.degraded, ["three"]);
}
