//! `retry` of a step.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::*;

fn route(retry: &str) -> String {
    format!(
        "timeout: 2s\nsteps: {{s: {{http: {{service: a, path: /x}}, retry: {{{retry}}}}}}}\nrespond: {{body: '${{ steps.s.body }}'}}"
    )
}

/// Answers in turn; the last one again and again.
fn turns(replies: Vec<fn() -> Reply>) -> impl Fn(&str, &str) -> Reply + Send + Sync {
    let turn = AtomicUsize::new(0);
    move |_, _| replies[turn.fetch_add(1, Relaxed).min(replies.len() - 1)]()
}

#[tokio::test(start_paused = true)]
async fn a_call_is_made_again_for_the_reasons_given_and_no_other() {
    let script = || turns(vec![|| broken(Kind::UpstreamUnreachable), || status(503), || json("1")]);
    let bench = Bench::new(&route("attempts: 3, on: [connect, 503]"), script());
    assert_eq!(bench.get("/r/1").await.unwrap().body, "1");
    assert_eq!(bench.targets().len(), 3);
    let bench = Bench::new(&route("attempts: 3, on: [connect]"), script());
    assert_eq!(bench.get("/r/1").await.unwrap_err().kind(), Kind::UpstreamUnavailable);
    assert_eq!(bench.targets().len(), 2);
    let bench = Bench::new(&route("attempts: 2, on: [connect, 503]"), script());
    assert_eq!(bench.get("/r/1").await.unwrap_err().kind(), Kind::UpstreamUnavailable, "the last failure");
    assert_eq!(bench.targets().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_wait_doubles_with_jitter_and_is_never_under_half_of_the_first() {
    let bench =
        Bench::new(&route("attempts: 3, on: [500], backoff: {initial: 100ms, max: 150ms}"), |_, _| {
            status(500)
        });
    assert!(bench.get("/r/1").await.is_err());
    let starts: Vec<u64> = bench
        .log()
        .iter()
        .filter_map(|line| line.split_once(" start").and_then(|(at, _)| at.parse().ok()))
        .collect();
    let [first, second, third] = starts[..] else { panic!("{starts:?}") };
    assert_eq!(first, 0);
    assert!((50..=151).contains(&second), "{starts:?}");
    assert!((75..=226).contains(&(third - second)), "{starts:?}");
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured_and_one_that_does_not_fit_ends_it() {
    let bench = Bench::new(
        &route("attempts: 2, on: [503]"),
        turns(vec![|| status(503).field("retry-after", "1"), || json("1")]),
    );
    assert_eq!(bench.get("/r/1").await.unwrap().body, "1");
    assert!(bench.elapsed() >= 1000);
    for late in ["2", "Wed, 21 Oct 2015 07:28:00 GMT"] {
        let bench =
            Bench::new(&route("attempts: 2, on: [503]"), move |_, _| status(503).field("retry-after", late));
        assert_eq!(bench.get("/r/1").await.unwrap_err().kind(), Kind::UpstreamUnavailable);
        assert_eq!((bench.targets().len(), bench.elapsed()), (1, 0), "{late}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_has_its_own_time_and_all_have_the_routes() {
    let route =
        route("attempts: 5, on: [timeout], backoff: {initial: 1ms}").replace("/x}", "/x}, timeout: 600ms");
    let bench = Bench::new(&route, |_, _| json("1").after(10_000));
    let error = bench.get("/r/1").await.unwrap_err();
    assert_eq!((error.kind(), bench.elapsed()), (Kind::DeadlineExceeded, 2000));
    assert_eq!(bench.targets().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn pass_status_takes_effect_after_the_last_attempt() {
    let route = route("attempts: 2, on: [503]").replace("/x}", "/x}, passStatus: [503, 404]");
    let bench = Bench::new(&route, turns(vec![|| status(503), || status(404)]));
    let error = bench.get("/r/1").await.unwrap_err();
    assert_eq!((error.kind(), error.response_status().as_u16()), (Kind::UpstreamStatus, 404));
}

#[tokio::test(start_paused = true)]
async fn the_budget_of_the_service_bounds_what_retries_add() {
    let route = "steps: {s: {forEach: {in: '${ request.queryValues(\"n\") }', as: n, max: 100, concurrency: 100}, http: {service: a, path: /x}, retry: {attempts: 2, on: [500], backoff: {initial: 1ms, max: 1ms}}, optional: true}}\nrespond: {body: '${ size(steps.s.items) }'}";
    let bench = Bench::new(route, |_, _| status(500));
    let query = (0..100).map(|n| format!("n={n}")).collect::<Vec<_>>().join("&");
    assert_eq!(bench.get(&format!("/r/1?{query}")).await.unwrap().body, "100");
    let retries = bench.targets().len() - 100;
    assert!((1..=23).contains(&retries), "20 % and 3 per second, not {retries}");
}

#[tokio::test(start_paused = true)]
async fn a_retried_call_sends_the_same_uuid_and_every_item_and_request_has_its_own() {
    let route = "timeout: 2s\nsteps:\n  s:\n    forEach: {as: o, in: '${ [7, 7] }', max: 2, concurrency: 2}\n    http: {service: a, path: '/x/${ uuid() }/${ uuid() }'}\n    retry: {attempts: 2, on: [503]}\nrespond: {body: 1}";
    let mut seen = std::collections::HashSet::new();
    for _ in 0..2 {
        let bench = Bench::new(route, turns(vec![|| status(503), || status(503), || json("1")]));
        bench.get("/r/1").await.unwrap();
        let mut targets = bench.targets();
        targets.sort();
        assert_eq!(targets.len(), 4);
        assert_eq!((&targets[0], &targets[2]), (&targets[1], &targets[3]));
        seen.extend(targets.iter().flat_map(|target| target.rsplit('/').take(2)).map(str::to_owned));
    }
    // Two places, two items, two executions.
    assert_eq!(seen.len(), 8);
}
