use super::*;

const ORDER: &str = r#"
timeout: 2s
steps:
  look: {http: {service: a, path: /look}}
  pay: {http: {service: b, method: POST, path: /pay, body: {n: 1}}, after: [look], timeout: 1s}
  note: {http: {service: c, path: /note}, after: [pay]}
respond: {body: "${ steps.note.status }"}
"#;

async fn leave_after(bench: &Bench, millis: u64) {
    let gone = tokio::time::timeout(Duration::from_millis(millis), bench.get("/r/1")).await;
    assert!(gone.is_err(), "the client left before the answer");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_cancels_calls_that_only_read() {
    let bench = Bench::new(ORDER, |_, _| json("1").after(100));
    leave_after(&bench, 50).await;
    assert_eq!(bench.log(), ["0 start a GET /look", "50 cancel a GET /look"]);
    assert_eq!(bench.custody.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn once_an_unsafe_call_is_sent_the_execution_goes_on_without_its_client() {
    let bench = Bench::new(ORDER, |_, _| json("1").after(100));
    leave_after(&bench, 150).await;
    assert_eq!(bench.custody.held(), 1);
    bench.custody.drained().await;
    assert_eq!(
        bench.log()[2..],
        ["100 start b POST /pay", "200 end b POST /pay", "200 start c GET /note", "300 end c GET /note"]
    );
    assert_eq!(bench.elapsed(), 300);
}

#[tokio::test(start_paused = true)]
async fn a_failed_route_answers_at_once_and_its_unsafe_calls_run_on() {
    let route = r#"
steps:
  pay: {http: {service: a, method: POST, path: /pay}}
  bad: {http: {service: b, path: /bad}}
  slow: {http: {service: c, path: /slow}}
  next: {http: {service: c, path: /next}, after: [pay]}
respond: {body: 1}
"#;
    let bench = Bench::new(route, |_, line| match line {
        "GET /bad" => status(500).after(10),
        _ => json("1").after(200),
    });
    assert_eq!(bench.get("/r/1").await.unwrap_err().kind(), Kind::UpstreamStatus);
    assert_eq!((bench.elapsed(), bench.custody.held()), (10, 1));
    bench.custody.drained().await;
    let log = bench.log();
    assert_eq!(
        log[3..],
        ["10 end b GET /bad", "10 cancel c GET /slow", "200 end a POST /pay"],
        "no step starts after the decision"
    );
    let record = bench.exchange.record();
    let outcomes: Vec<_> =
        record.steps.iter().map(|step| (step.step, step.outcome.as_str(), step.ended_us)).collect();
    assert_eq!(outcomes, [(0, "late", 10_000), (1, "failed", 10_000), (2, "cancelled", 10_000)]);
}

#[tokio::test(start_paused = true)]
async fn after_the_deadline_an_unsafe_call_runs_to_its_own_timeout() {
    let route = r#"
timeout: 300ms
steps:
  pay: {http: {service: a, method: POST, path: /pay}, timeout: 700ms}
respond: {body: 1}
"#;
    let bench = Bench::new(route, |_, _| json("1").after(5000));
    let error = bench.get("/r/1").await.unwrap_err();
    assert_eq!((error.kind(), bench.elapsed()), (Kind::DeadlineExceeded, 300));
    bench.custody.drained().await;
    assert_eq!(bench.log()[1..], ["700 late a POST /pay"]);
}

#[tokio::test(start_paused = true)]
async fn a_tolerated_unsafe_call_is_not_cut_but_the_answer_goes_out() {
    let route = r#"
timeout: 1s
steps:
  pay: {http: {service: a, method: POST, path: /pay}, timeout: 2s, fallback: {state: unknown}}
respond: {body: "${ steps.pay.body.state }"}
"#;
    let bench = Bench::new(route, |_, _| json(r#"{"state": "paid"}"#).after(1500));
    let answer = bench.get("/r/1").await.unwrap();
    assert_eq!((&*answer.body, bench.elapsed()), (r#""unknown""#, 900));
    bench.custody.drained().await;
    assert_eq!(bench.log(), ["0 start a POST /pay", "1500 end a POST /pay"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_custody_takes_no_new_unsafe_execution() {
    let mut bench = Bench::new(ORDER, |_, _| json("1").after(100));
    bench.custody = Custody::new(1);
    leave_after(&bench, 150).await;
    assert_eq!(bench.get("/r/1").await.unwrap_err().kind(), Kind::Overloaded);
    bench.custody.drained().await;
    assert!(bench.get("/r/1").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn on_a_proxy_route_a_client_that_leaves_cancels_everything() {
    let route = r#"
steps:
  pay: {http: {service: a, method: POST, path: /pay}}
proxy: {service: b}
"#;
    let bench = Bench::new(route, |_, _| json("1").after(100));
    let gone = tokio::time::timeout(Duration::from_millis(50), bench.prepare(get("/r/1"))).await;
    assert!(gone.is_err());
    assert_eq!(bench.log()[1..], ["50 cancel a POST /pay"]);
}

#[tokio::test(start_paused = true)]
async fn runs_inside_any_task() {
    fn sendable<T: Send + 'static>(value: T) -> T {
        value
    }
    let bench = Bench::new(ORDER, |_, _| json("1"));
    let run = sendable(super::super::run(bench.runner(), bench.call(get("/r/1"))));
    assert_eq!(tokio::spawn(run).await.unwrap().unwrap().status(), 200);
}
