use super::*;

#[tokio::test(start_paused = true)]
async fn the_deadline_names_the_first_step_in_the_file_that_still_runs() {
    let route = r#"
timeout: 300ms
steps:
  done: {http: {service: a, path: /done}}
  second: {http: {service: a, path: /2}}
  third: {http: {service: a, path: /3}}
respond: {body: 1}
"#;
    let bench = Bench::new(route, |_, line| json("1").after(if line == "GET /done" { 10 } else { 5000 }));
    let error = bench.get("/r/1").await.unwrap_err();
    assert_eq!(error.kind(), Kind::DeadlineExceeded);
    assert_eq!(error.failed_step().map(|step| &**step), Some("second"));
    assert_eq!(bench.elapsed(), 300);
    let cancelled = bench.log().iter().filter(|line| line.starts_with("300 cancel")).count();
    assert_eq!(cancelled, 2);
}

#[tokio::test(start_paused = true)]
async fn tolerated_steps_are_cut_so_that_a_degraded_answer_still_goes_out() {
    let route = r#"
timeout: 1s
steps:
  extra: {http: {service: a, path: /x}, optional: true}
respond: {body: "${ steps.extra.error.?code }"}
"#;
    let bench = Bench::new(route, |_, _| json("1").after(5000));
    let answer = bench.get("/r/1").await.unwrap();
    assert_eq!(answer.body, r#""deadline_exceeded""#);
    assert_eq!(answer.header("segue-degraded"), "extra;reason=deadline_exceeded");
    assert_eq!(bench.elapsed(), 900);
}

#[tokio::test(start_paused = true)]
async fn the_cut_holds_while_a_body_still_comes() {
    let route = "timeout: 1s\nsteps: {s: {http: {service: a, path: /s}, optional: true}}\nrespond: {body: \"${ steps.s.?body }\"}";
    let bench = Bench::new(route, |_, _| json("").body(pieces(vec![(10, Some("[1")), (5000, Some("]"))])));
    assert_eq!(bench.get("/r/1").await.unwrap().header("segue-degraded"), "s;reason=deadline_exceeded");
    assert_eq!(bench.elapsed(), 900);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_ends_at_the_steps_timeout_or_else_the_services() {
    let own =
        "steps: {s: {http: {service: b, path: /s}, timeout: 70ms}}\nrespond: {body: \"${ steps.s.body }\"}";
    let service = "steps: {s: {http: {service: b, path: /s}}}\nrespond: {body: \"${ steps.s.body }\"}";
    for (route, millis) in [(own, 70), (service, 400)] {
        let bench = Bench::new(route, |_, _| json("1").after(5000));
        assert_eq!(bench.get("/r/1").await.unwrap_err().kind(), Kind::UpstreamTimeout);
        assert_eq!(bench.elapsed(), millis);
    }
}

#[tokio::test(start_paused = true)]
async fn the_timeout_bounds_the_body_too() {
    let route = "steps: {s: {http: {service: a, path: /s}, timeout: 100ms}}\nrespond: {body: \"${ steps.s.body.x }\"}";
    let body = || pieces(vec![(60, Some("{")), (60, Some("}"))]);
    let bench = Bench::new(route, move |_, _| json("").body(body()));
    assert_eq!(bench.get("/r/1").await.unwrap_err().kind(), Kind::UpstreamTimeout);
    assert_eq!(bench.elapsed(), 100);
}

#[tokio::test(start_paused = true)]
async fn what_remains_goes_upstream() {
    let route = r#"
timeout: 900ms
steps:
  one: {http: {service: a, path: /1}}
  two: {http: {service: a, path: /2}, after: [one]}
respond: {body: "${ execution.deadlineMs }"}
"#;
    let bench = Bench::new(route, |_, _| json("1").after(200));
    assert_eq!(bench.get("/r/1").await.unwrap().body, "500");
    let seen = bench.services.seen.lock().unwrap();
    let sent: Vec<_> = seen.iter().map(|seen| seen.header("x-segue-deadline-ms")).collect();
    assert_eq!(sent, ["900", "700"]);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_reads_delays_nothing() {
    let route = "steps: {s: {http: {service: a, path: /s}}}\nrespond: {body: \"${ steps.s.status }\"}";
    let bench = Bench::new(route, |_, _| json("").body(pieces(vec![(5000, Some("x")), (5000, None)])));
    assert_eq!(bench.get("/r/1").await.unwrap().body, "200");
    assert!(bench.elapsed() <= 50, "{}", bench.elapsed());
}
