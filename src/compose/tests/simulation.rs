//! The executor against a naive model: a thousand random compositions with random outcomes and delays.
//!
//! The model knows no executor: it computes for each step, in the order of needs, when it starts and how
//! and when it settles, and from that the answer and the moment of it. A seed that fails is printed, and
//! gives the same composition again.

use super::*;

pub(crate) mod model;
pub(crate) mod random;

use model::{Ended, Model};
use random::{Composition, Outcome};

/// How many compositions each property tries.
const SEEDS: u64 = 1000;

/// What a client sees: an answer, or the code and the step of the failure.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Answer(String, String),
    Failure(&'static str, String),
}

fn seen(result: Result<Answer, Error>) -> Seen {
    match result {
        Ok(answer) => Seen::Answer(answer.body.clone(), answer.header("segue-degraded").to_owned()),
        Err(error) => {
            let step = error.failed_step().map_or_else(String::new, |step| step.to_string());
            Seen::Failure(error.kind().code(), step)
        }
    }
}

/// A bench for a composition, with the delays of one run.
fn bench(plan: &Arc<Plan>, composition: &Composition) -> Bench {
    let mut bench = Bench::of(Arc::clone(plan), composition.script());
    bench.custody = Custody::new(1 << 16);
    bench
}

/// A line of the log: `MILLISECONDS start|end|cancel|late SERVICE METHOD TARGET`.
struct Line {
    at: u64,
    what: String,
    is_unsafe: bool,
    step: usize,
}

fn lines(bench: &Bench) -> Vec<Line> {
    let read = |line: String| {
        let words: Vec<&str> = line.split(' ').collect();
        let target = words[4].trim_start_matches("/s");
        let step = target.split(['/', '?']).next().unwrap().parse().unwrap();
        Line { at: words[0].parse().unwrap(), what: words[1].to_owned(), is_unsafe: words[3] == "POST", step }
    };
    bench.log().into_iter().map(read).collect()
}

/// What holds whatever happens: each call starts when its step may, none after the decision, every call
/// ends, and an unsafe one is never cut.
fn check_calls(seed: u64, lines: &[Line], model: &Model, left: Option<u64>) {
    let mut open = 0_i64;
    for line in lines {
        match line.what.as_str() {
            "start" => {
                open += 1;
                let starts = model.starts[line.step].unwrap_or(u64::MAX);
                assert!(line.at >= starts, "seed {seed}: step {} before its needs", line.step);
                assert!(line.at <= model.decided_at, "seed {seed}: step {} after the decision", line.step);
            }
            "cancel" => {
                open -= 1;
                assert!(!line.is_unsafe, "seed {seed}: an unsafe call of step {} was cut", line.step);
                let moments = [left, Some(model.decided_at), Some(model.settled_at[line.step])];
                assert!(moments.contains(&Some(line.at)), "seed {seed}: a call was dropped for no reason");
            }
            _ => open -= 1,
        }
    }
    assert_eq!(open, 0, "seed {seed}: a call has no end");
}

#[tokio::test(start_paused = true)]
async fn the_answer_and_its_time_are_those_of_the_naive_model() {
    for seed in 0..SEEDS {
        let composition = Composition::random(seed);
        let compiled = plan(&composition.route());
        let model = Model::of(&composition);
        let bench = bench(&compiled, &composition);
        let result = seen(bench.get("/r/1").await);
        let elapsed = bench.elapsed() as u64;
        bench.custody.drained().await;
        assert_eq!(bench.custody.held(), 0);
        assert_eq!(elapsed, model.decided_at, "seed {seed}: {result:?}\n{model:#?}\n{}", composition.route());
        match (&result, &model.failures[..]) {
            (Seen::Answer(body, _), []) => {
                let body: serde_json::Value = serde_json::from_str(body).unwrap();
                for (step, ended) in model.ended.iter().enumerate() {
                    let outcome = match ended {
                        Ended::Ok { .. } => "ok",
                        Ended::Failed(_) => "failed",
                        Ended::Skipped => "skipped",
                    };
                    assert_eq!(
                        body[format!("o{step}")],
                        outcome,
                        "seed {seed}: step {step}\n{}",
                        composition.route()
                    );
                }
            }
            (Seen::Failure(code, step), failures) => {
                let known = failures.iter().any(|(failed, why)| why == code && *step == format!("s{failed}"));
                assert!(
                    known,
                    "seed {seed}: {code} of {step}, not one of {failures:?}\n{}",
                    composition.route()
                );
            }
            (Seen::Answer(..), failures) => panic!("seed {seed}: an answer in spite of {failures:?}"),
        }
        check_calls(seed, &lines(&bench), &model, None);
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_is_a_function_of_the_outcomes_and_never_of_their_timing() {
    let mut compared = 0;
    for seed in 0..SEEDS {
        // Time has a say only through the deadline, which is far here, and through which of two failures
        // comes first.
        let mut composition = Composition::random(seed);
        composition.deadline = 10_000_000;
        let compiled = plan(&composition.route());
        let first = seen(bench(&compiled, &composition).get("/r/1").await);
        let failures = Model::of(&composition).possible_failures();
        for shuffle in 0..2 {
            composition.other_delays(seed * 7 + shuffle);
            let bench = bench(&compiled, &composition);
            let other = seen(bench.get("/r/1").await);
            bench.custody.drained().await;
            if failures > 1 {
                assert!(matches!(other, Seen::Failure(..)), "seed {seed}: fails or not by timing");
                continue;
            }
            compared += 1;
            assert_eq!(first, other, "seed {seed}\n{}", composition.route());
        }
    }
    assert!(compared > 1000, "only {compared} runs could be compared");
}

#[tokio::test(start_paused = true)]
async fn a_client_may_leave_at_any_moment() {
    for seed in 0..SEEDS {
        let composition = Composition::random(seed);
        let compiled = plan(&composition.route());
        let model = Model::of(&composition);
        let bench = bench(&compiled, &composition);
        let leaves = fastrand::Rng::with_seed(seed).u64(0..=model.decided_at);
        let gone = tokio::time::timeout(Duration::from_millis(leaves), bench.get("/r/1")).await;
        let answered = gone.is_ok();
        let held = bench.custody.held();
        bench.custody.drained().await;
        let lines = lines(&bench);
        check_calls(seed, &lines, &model, Some(leaves));
        let unsafe_sent =
            lines.iter().any(|line| line.what == "start" && line.is_unsafe && line.at <= leaves);
        if !answered {
            assert_eq!(held == 1, unsafe_sent, "seed {seed}: left at {leaves}\n{}", composition.route());
            let later = lines.iter().any(|line| line.what == "start" && line.at > leaves);
            assert!(unsafe_sent || !later, "seed {seed}: a call although nobody waits");
        }
    }
}

/// `a;reason=x, b;failed=1;of=2` inside of a step.
fn inside(step: &str, degraded: &str) -> String {
    let entries = degraded.split(", ").filter(|entry| !entry.is_empty());
    entries.map(|entry| format!("{step}.{entry}")).collect::<Vec<_>>().join(", ")
}

#[tokio::test(start_paused = true)]
async fn inside_of_a_composition_the_answer_and_its_time_are_the_same() {
    for seed in 0..SEEDS {
        let composition = Composition::random(seed);
        let model = Model::of(&composition);
        let flat = seen(bench(&plan(&composition.route()), &composition).get("/r/1").await);
        for items in [None, Some(1), Some(3)] {
            let text = composition.nested(items);
            let bench = bench(&plan(&text), &composition);
            let result = seen(bench.get("/r/1").await);
            let elapsed = bench.elapsed() as u64;
            bench.custody.drained().await;
            assert_eq!(elapsed, model.decided_at, "seed {seed}: {result:?}\n{text}");
            match (&flat, &result) {
                (Seen::Answer(body, degraded), Seen::Answer(inner, names)) => {
                    let all = items.map_or_else(
                        || body.clone(),
                        |count| format!("[{}]", vec![body.as_str(); count].join(",")),
                    );
                    assert_eq!(&all, inner, "seed {seed}\n{text}");
                    // Of several items the entries are counted.
                    if items.is_none() {
                        assert_eq!(&inside("all", degraded), names, "seed {seed}\n{text}");
                    }
                }
                (Seen::Failure(..), Seen::Failure(code, step)) => {
                    assert_eq!(step, "all", "seed {seed}");
                    let known = model.failures.iter().any(|(_, why)| why == code);
                    assert!(known, "seed {seed}: {code}, not one of {:?}\n{text}", model.failures);
                }
                _ => panic!("seed {seed}: {flat:?} is {result:?} inside\n{text}"),
            }
            check_calls(seed, &lines(&bench), &model, None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_retries_too_the_answer_is_a_function_of_the_outcomes() {
    const ROUTE: &str = r#"
timeout: 60s
steps:
  s0: {http: {service: a, path: /s0}, retry: {attempts: 3, on: [500, reset], backoff: {initial: 1ms, max: 4ms}}, optional: true}
  s1: {http: {service: b, path: /s1, query: {o: "${ steps.s0.outcome }"}}, retry: {attempts: 2, on: [500, reset], backoff: {initial: 1ms, max: 4ms}}, fallback: none}
respond: {body: ["${ steps.s0.outcome }", "${ steps.s1.outcome }"]}
"#;
    let compiled = plan(ROUTE);
    for seed in 0..SEEDS {
        let mut rng = fastrand::Rng::with_seed(seed);
        let outcomes: [[u8; 3]; 2] = [0, 1].map(|_| [0, 1, 2].map(|_| rng.u8(0..4)));
        let expected = [3, 2].into_iter().enumerate().map(|(step, attempts)| {
            let taken =
                (0..attempts).find(|&attempt| outcomes[step][attempt] != 1 && outcomes[step][attempt] != 2);
            let ok = taken.is_some_and(|attempt| outcomes[step][attempt] == 0);
            (ok, taken.map_or(attempts, |attempt| attempt + 1))
        });
        let expected: Vec<(bool, usize)> = expected.collect();
        for _ in 0..2 {
            let delays = [0, 1].map(|_| [0, 1, 2].map(|_| rng.u64(0..40)));
            let made = Mutex::new([0_usize; 2]);
            let script = move |_: &str, line: &str| {
                let step = usize::from(line.starts_with("GET /s1"));
                let attempt = {
                    let mut made = made.lock().unwrap();
                    made[step] += 1;
                    made[step] - 1
                };
                let after = delays[step][attempt];
                match outcomes[step][attempt] {
                    0 => json("1").after(after),
                    1 => status(500).after(after),
                    2 => broken(Kind::UpstreamReset).after(after),
                    _ => status(404).after(after),
                }
            };
            let bench = Bench::of(Arc::clone(&compiled), script);
            let answer = bench.get("/r/1").await.unwrap();
            let word = |ok: bool| if ok { "ok" } else { "failed" };
            let body = format!("[\"{}\",\"{}\"]", word(expected[0].0), word(expected[1].0));
            assert_eq!(answer.body, body, "seed {seed}: {outcomes:?}");
            let calls = |path: &str| bench.targets().iter().filter(|target| target.contains(path)).count();
            assert_eq!(
                (calls("/s0"), calls("/s1")),
                (expected[0].1, expected[1].1),
                "seed {seed}: {outcomes:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn executions_of_two_plans_on_one_worker_do_not_touch() {
    for seed in 0..SEEDS / 5 {
        let (one, two) = (Composition::random(seed), Composition::random(seed + SEEDS));
        let (one_plan, two_plan) = (plan(&one.route()), plan(&two.route()));
        let alone = seen(bench(&one_plan, &one).get("/r/1").await);
        let old = bench(&one_plan, &one);
        let mut new = bench(&two_plan, &two);
        new.custody = Arc::clone(&old.custody);
        // The plan that a reload took away is the old execution's alone.
        let run = super::super::run(old.runner(), old.call(get("/r/1")));
        drop(one_plan);
        let later = async {
            tokio::time::sleep(Duration::from_millis(seed % 40)).await;
            new.get("/r/1").await
        };
        let (first, _) = tokio::join!(run, later);
        let first = match first {
            Ok(response) => seen(Ok(Answer::of(response).await)),
            Err(error) => seen(Err(error)),
        };
        old.custody.drained().await;
        assert_eq!(alone, first, "seed {seed}");
    }
}

#[test]
fn the_compositions_are_not_all_alike() {
    let all: Vec<_> = (0..SEEDS).map(Composition::random).collect();
    let count = |of: &dyn Fn(&Composition) -> bool| all.iter().filter(|one| of(one)).count() as u64;
    let models: Vec<_> = all.iter().map(Model::of).collect();
    assert!(count(&|one| one.steps.len() > 4) > SEEDS / 4);
    assert!(count(&|one| one.steps.iter().any(|step| step.is_unsafe)) > SEEDS / 4);
    assert!(count(&|one| one.steps.iter().any(|step| step.items.is_some())) > SEEDS / 4);
    assert!(
        count(&|one| one.outcomes.iter().flatten().any(|outcome| *outcome == Outcome::Never)) > SEEDS / 4
    );
    let failed = models.iter().filter(|model| !model.failures.is_empty()).count() as u64;
    assert!(failed > SEEDS / 5 && failed < SEEDS * 4 / 5, "{failed} fail");
    let late =
        models.iter().filter(|model| model.failures.iter().any(|(_, code)| *code == "deadline_exceeded"));
    assert!(late.count() > 20);
}
