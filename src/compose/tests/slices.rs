//! No evaluation holds a worker: what does not fit a slice runs aside, wherever it stands.

use super::*;
use crate::compose::aside::RUNS;

/// True after some thousand steps: more than a slice has.
const LONG: &str = "steps.s.body.filter(n, n % 3 != 0).size() == 2000";

/// The answer, and how many evaluations were given away for it.
async fn aside(route: &str) -> (Result<Answer, Error>, u64) {
    let list = format!("[{}]", (0..3_000).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
    let bench = Bench::new(route, move |_, line| match line {
        "GET /s" => json(&list),
        "GET /fails" => status(500),
        _ => json("1"),
    });
    let before = RUNS.get();
    let answer = bench.get("/r/1").await;
    (answer, RUNS.get() - before)
}

/// A route with the long expression in one place and what it must answer.
fn places() -> Vec<(&'static str, String, &'static str)> {
    let s = "  s: {http: {service: a, path: /s}}\n";
    let inner = "---\napiVersion: segue/v1\nkind: Composition\nmetadata: {name: inner, owner: team}\ninput: {long: {type: boolean}, list: {type: array}}\n";
    let composed = |with: &str, output: &str| {
        format!(
            "steps:\n{s}  x: {{compose: inner, with: {with}}}\nrespond: {{body: \"${{ steps.x.output }}\"}}\n{inner}output: \"${{ {output} }}\"\n"
        )
    };
    vec![
        (
            "when",
            format!(
                "steps:\n{s}  x: {{when: \"${{ {LONG} }}\", http: {{service: a, path: /x}}}}\nrespond: {{body: \"${{ steps.x.outcome }}\"}}"
            ),
            "\"ok\"",
        ),
        (
            "ensure",
            format!(
                "steps:\n{s}  x: {{http: {{service: a, path: /x}}, ensure: [{{that: \"${{ {LONG} }}\"}}]}}\nrespond: {{body: \"${{ steps.x.outcome }}\"}}"
            ),
            "\"ok\"",
        ),
        (
            "fallback",
            format!(
                "steps:\n{s}  x: {{http: {{service: a, path: /fails}}, fallback: \"${{ {LONG} }}\"}}\nrespond: {{body: \"${{ steps.x.body }}\"}}"
            ),
            "true",
        ),
        (
            "forEach.key",
            format!(
                "steps:\n{s}  x: {{forEach: {{in: \"${{ [1] }}\", as: i, key: \"${{ {LONG} }}\"}}, http: {{service: a, path: /x}}}}\nrespond: {{body: \"${{ steps.x.items.map(i, i.key) }}\"}}"
            ),
            "[\"true\"]",
        ),
        (
            "errors",
            format!(
                "steps:\n{s}  x: {{http: {{service: a, path: /fails}}, after: [s]}}\nrespond: {{body: \"${{ steps.x.body }}\"}}\nerrors: [{{when: \"${{ {LONG} }}\", problem: {{status: 418}}}}]"
            ),
            "",
        ),
        ("with", composed(&format!("{{long: \"${{ {LONG} }}\"}}"), "input.long"), "true"),
        (
            "output",
            composed("{list: \"${ steps.s.body }\"}", &LONG.replace("steps.s.body", "input.list")),
            "true",
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn what_takes_longer_than_a_slice_does_not_hold_the_worker_wherever_it_stands() {
    for (place, route, expected) in places() {
        let short = route.replace(LONG, "true").replace(&LONG.replace("steps.s.body", "input.list"), "true");
        let (answer, given) = aside(&short).await;
        assert!(answer.is_ok() || place == "errors", "{place}: {answer:?}");
        // The list is an input there, and checked aside.
        let checks = u64::from(place == "output");
        assert_eq!(given, checks, "{place}");
        let (answer, given) = aside(&route).await;
        match answer {
            Ok(answer) => assert_eq!(answer.body, expected, "{place}"),
            Err(error) => assert_eq!((place, error.response_status().as_u16()), ("errors", 418)),
        }
        assert_eq!(given, checks + 1, "{place}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_evaluations_of_one_request_let_others_go_first_in_between() {
    // Each less than a slice, and none waits for anybody.
    let step = |index| {
        let when = "lists.range(60).filter(n, n % 3 == 1).size() == 0";
        format!("  s{index}: {{when: \"${{ {when} }}\", http: {{service: a, path: /x}}}}\n")
    };
    let steps: String = (0..40).map(step).collect();
    let route = format!("steps:\n{steps}respond: {{body: \"${{ steps.s0.outcome }}\"}}");
    let bench = Bench::new(&route, |_, _| json("1"));
    let turns = std::rc::Rc::new(std::cell::Cell::new(0));
    let local = tokio::task::LocalSet::new();
    let counted = std::rc::Rc::clone(&turns);
    local.spawn_local(async move {
        loop {
            counted.set(counted.get() + 1);
            tokio::task::yield_now().await;
        }
    });
    let before = RUNS.get();
    let answer = local.run_until(bench.get("/r/1")).await;
    assert_eq!(answer.unwrap().body, "\"skipped\"");
    assert_eq!(RUNS.get(), before);
    assert!(turns.get() >= 10, "{}", turns.get());
}

#[tokio::test(start_paused = true)]
async fn a_unit_holds_a_part_of_the_memory_until_its_executions_end() {
    use crate::policy::overload::beside;
    // An eighth of it is room for one such answer, and not for two at a time.
    let large = format!("[{}]", vec!["1"; 200_000].join(","));
    beside::bounded(Some(8 * 600_000));
    let call = |name: &str| format!("  {name}: {{http: {{service: a, path: /{name}}}}}\n");
    let route = |steps: &str, size: &str| format!("steps:\n{steps}respond: {{body: \"${{ {size} }}\"}}");
    let both = "size(steps.x.body) + size(steps.y.body)";
    let services = move |_: &str, _: &str| json(&large);
    let one = Bench::new(&route(&call("x"), "size(steps.x.body)"), services.clone());
    for _ in 0..3 {
        assert_eq!(one.get("/r/1").await.unwrap().body, "200000");
    }
    let and = call("y").replace("http:", "after: [x], http:");
    let two = Bench::new(&route(&(call("x") + &and), both), services.clone());
    let error = two.get("/r/1").await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after_seconds()), (Kind::Overloaded, Some(1)));
    let stood_in = and.replace("http:", "fallback: [1], http:");
    let tolerated = Bench::new(&route(&(call("x") + &stood_in), both), services);
    assert_eq!(tolerated.get("/r/1").await.unwrap().body, "200001");
    // Nothing is left of either.
    assert_eq!(one.get("/r/1").await.unwrap().body, "200000");
}
