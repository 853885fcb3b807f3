//! No request makes more calls than its plan says, whatever the services answer.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::*;
use crate::plan::estimate::Estimates;

const INNER: &str = r#"
---
apiVersion: segue/v1
kind: Composition
metadata: {name: inner, owner: team}
input: {n: {type: integer}}
steps:
  one: {http: {service: a, path: "/one/${ input.n }"}, retry: {attempts: 2, on: [500, 503], backoff: {initial: 1ms, max: 1ms}}}
  two: {http: {service: b, path: /two}, fallback: 0}
output: "${ steps.two.body }"
---
apiVersion: segue/v1
kind: Composition
metadata: {name: outer, owner: team}
steps:
  each: {compose: inner, with: {n: "${ n }"}, forEach: {in: "${ [1, 2, 3] }", as: n, max: 3, concurrency: 3}, optional: true}
output: "${ size(steps.each.items) }"
"#;

/// Routes that can reach their worst case, each with the calls that it then makes.
const SHAPES: [(&str, u64); 5] = [
    ("steps: {s: {http: {service: a, path: /x}}}\nrespond: {body: '${ steps.s.body }'}", 1),
    (
        "steps: {s: {http: {service: a, path: /x}, retry: {attempts: 3, on: [500, 503], backoff: {initial: 1ms, max: 1ms}}}}\nrespond: {body: '${ steps.s.body }'}",
        3,
    ),
    (
        "steps:\n  list: {http: {service: a, path: /list}, fallback: [1, 2, 3, 4]}\n  each: {http: {service: b, path: /x}, forEach: {in: '${ steps.list.body }', as: n, max: 4, concurrency: 2}, optional: true}\nrespond: {body: '${ size(steps.each.items) }'}",
        5,
    ),
    (
        "steps: {s: {compose: inner, with: {n: 1}, optional: true}}\nrespond: {body: '${ steps.s.outcome }'}",
        3,
    ),
    (
        "steps:\n  a: {compose: outer}\n  b: {compose: inner, with: {n: 7}, after: [a], optional: true}\nrespond: {body: ['${ steps.a.output }', '${ steps.b.outcome }']}",
        12,
    ),
];

#[tokio::test(start_paused = true)]
async fn the_worst_case_is_reached_and_never_passed() {
    for (route, most) in SHAPES {
        for outcomes in 0..64_u64 {
            let turn = AtomicU64::new(0);
            // The first is the worst case: all answers are worth another attempt.
            let script = move |_: &str, _: &str| {
                let turn = turn.fetch_add(1, Relaxed);
                match (outcomes.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (turn * 2 % 63)) & 3 {
                    0 => status(503),
                    1 => json("[1, 2]"),
                    2 => broken(Kind::UpstreamReset),
                    _ => status(404),
                }
            };
            let bench = Bench::new(&format!("{route}\n{INNER}"), script);
            let plan = Arc::clone(&bench.plan);
            let calls = Estimates::of(&plan).route(&plan.routes[0]).calls;
            assert_eq!(calls, most, "{route}");
            let _ = bench.get("/r/1").await;
            let made = bench.targets().len() as u64;
            assert!(made <= calls, "{made} calls of {calls}: {route}");
            if outcomes == 0 {
                // Retries share a budget of the service: not each of many has its second attempt.
                let least = if most > 6 { most - 3 } else { most };
                assert!(made >= least, "{made} calls of {calls}: {route}");
            }
        }
    }
}
