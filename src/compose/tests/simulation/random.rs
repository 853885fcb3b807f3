//! Random compositions, their outcomes and delays.

use std::fmt::Write as _;

use super::super::{Reply, broken, json, status};
use crate::problem::Kind;

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A body with `v`.
    Ok,
    /// A body without it.
    OkWithout,
    Status,
    Reset,
    /// No answer within any timeout.
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tolerated {
    Not,
    Optional,
    Fallback,
}

#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Earlier steps that it reads.
    pub(crate) reads: Vec<usize>,
    /// Earlier steps that it waits for.
    pub(crate) after: Vec<usize>,
    /// Runs only if this earlier step is ok.
    pub(crate) when: Option<usize>,
    pub(crate) is_unsafe: bool,
    pub(crate) tolerated: Tolerated,
    pub(crate) timeout: u64,
    /// `forEach`: how many items, how many at a time.
    pub(crate) items: Option<(usize, usize)>,
    /// It says what is degraded, so it waits for every step that may be; only the last may.
    pub(crate) audits: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Composition {
    pub(crate) steps: Vec<Step>,
    /// By step and item.
    pub(crate) outcomes: Vec<Vec<Outcome>>,
    pub(crate) delays: Vec<Vec<u64>>,
    /// The route's timeout.
    pub(crate) deadline: u64,
    /// The order on the page.
    pub(crate) page: Vec<usize>,
}

impl Step {
    /// Whether its data may be absent without a stand-in, so that it is read with `.?`.
    pub(crate) fn may_be_absent(&self) -> bool {
        self.tolerated == Tolerated::Optional
            || (self.when.is_some() && self.tolerated != Tolerated::Fallback)
    }
}

impl Composition {
    pub(crate) fn random(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let count = rng.usize(1..=8);
        let mut steps: Vec<Step> = Vec::new();
        let mut outcomes = Vec::new();
        // Half of them have few faults, so that long chains are reached.
        let faulty = if rng.bool() { 3 } else { 12 };
        for index in 0..count {
            let mut reads: Vec<usize> = (0..index).filter(|_| rng.u8(0..3) == 0).collect();
            reads.truncate(3);
            let after = (0..index).filter(|earlier| !reads.contains(earlier) && rng.u8(0..8) == 0).collect();
            let when = if index > 0 && rng.u8(0..4) == 0 { Some(rng.usize(0..index)) } else { None };
            let tolerated = match rng.u8(0..3) {
                0 => Tolerated::Not,
                1 => Tolerated::Optional,
                _ => Tolerated::Fallback,
            };
            let items = (rng.u8(0..4) == 0).then(|| (rng.usize(0..=5), rng.usize(1..=3)));
            outcomes.push(
                (0..items.map_or(1, |(count, _)| count))
                    .map(|_| {
                        if rng.u8(0..faulty) > 0 {
                            return Outcome::Ok;
                        }
                        [Outcome::OkWithout, Outcome::Status, Outcome::Reset, Outcome::Never][rng.usize(0..4)]
                    })
                    .collect(),
            );
            let is_unsafe = rng.u8(0..4) == 0;
            let timeout = rng.u64(60..400);
            let audits = index + 1 == count && rng.u8(0..3) == 0;
            steps.push(Step { reads, after, when, is_unsafe, tolerated, timeout, items, audits });
        }
        let mut page: Vec<usize> = (0..count).collect();
        rng.shuffle(&mut page);
        let deadline = if rng.u8(0..3) == 0 { rng.u64(50..600) / 10 * 10 } else { 10_000_000 };
        let mut made = Self { steps, outcomes, delays: Vec::new(), deadline, page };
        made.other_delays(seed);
        made
    }

    /// The same outcomes at other times; small ones collide.
    pub(crate) fn other_delays(&mut self, seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0xde1a);
        let coarse = rng.bool();
        let mut delay = || if coarse { rng.u64(0..4) * 10 } else { rng.u64(0..60) };
        self.delays = self.outcomes.iter().map(|items| items.iter().map(|_| delay()).collect()).collect();
    }

    pub(crate) fn route(&self) -> String {
        let (steps, body) = self.text();
        let body: String = body.lines().map(|line| format!("  {line}\n")).collect();
        format!("timeout: {}ms\n{steps}respond:\n  body:\n{body}", self.deadline)
    }

    /// The same steps in a Composition, run once, or once for each of so many items at the same time.
    pub(crate) fn nested(&self, items: Option<usize>) -> String {
        let (steps, body) = self.text();
        let (each, output) = match items {
            Some(count) => {
                let list: Vec<String> = (0..count).map(|n| n.to_string()).collect();
                let list = list.join(", ");
                (
                    format!(
                        ", unordered: true, forEach: {{in: '${{ [{list}] }}', as: i, max: 8, concurrency: 8}}"
                    ),
                    "steps.all.items.map(i, i.output)",
                )
            }
            None => (String::new(), "steps.all.output"),
        };
        format!(
            "timeout: {}ms\nsteps: {{all: {{compose: inner{each}}}}}\nrespond: {{body: '${{ {output} }}'}}\n---\napiVersion: segue/v1\nkind: Composition\nmetadata: {{name: inner, owner: team}}\n{steps}output:\n{body}",
            self.deadline
        )
    }

    /// The steps, and what is made of them.
    fn text(&self) -> (String, String) {
        let mut out = String::from("steps:\n");
        for &index in &self.page {
            let step = &self.steps[index];
            let _ = writeln!(out, "  s{index}:");
            let method = if step.is_unsafe { "POST" } else { "GET" };
            let path =
                if step.items.is_some() { format!("/s{index}/${{ n }}") } else { format!("/s{index}") };
            let mut query: Vec<String> =
                step.reads.iter().map(|&read| format!("q{read}: '${{ {} }}'", self.read(read))).collect();
            if step.audits {
                query.push("d: '${ execution.degraded.join(\".\") }'".to_owned());
            }
            let _ = writeln!(
                out,
                "    http: {{service: a, method: {method}, path: \"{path}\", query: {{{}}}}}",
                query.join(", ")
            );
            let _ = writeln!(out, "    timeout: {}ms", step.timeout);
            if let Some((count, concurrency)) = step.items {
                let list: Vec<String> = (0..count).map(|n| n.to_string()).collect();
                let _ = writeln!(
                    out,
                    "    forEach: {{in: '${{ [{}] }}', as: n, max: 8, concurrency: {concurrency}}}",
                    list.join(", ")
                );
            }
            if let Some(when) = step.when {
                let _ = writeln!(out, "    when: ${{ steps.s{when}.outcome == \"ok\" }}");
            }
            if !step.after.is_empty() {
                let after: Vec<String> = step.after.iter().map(|step| format!("s{step}")).collect();
                let _ = writeln!(out, "    after: [{}]", after.join(", "));
            }
            match step.tolerated {
                Tolerated::Not => {}
                Tolerated::Optional => out.push_str("    optional: true\n"),
                Tolerated::Fallback => out.push_str("    fallback: {v: stand-in}\n"),
            }
            if step.is_unsafe {
                out.push_str("    unordered: true\n");
            }
        }
        let mut body = String::new();
        for (index, step) in self.steps.iter().enumerate() {
            let _ = writeln!(body, "  o{index}: ${{ steps.s{index}.outcome }}");
            let data = match (step.items, step.may_be_absent()) {
                (Some(_), _) => format!("steps.s{index}.items.map(i, i.?body)"),
                (None, true) => format!("steps.s{index}.?body.?v"),
                (None, false) => format!("steps.s{index}.body.?v"),
            };
            let _ = writeln!(body, "  v{index}: ${{ {data} }}");
        }
        (out, body)
    }

    fn read(&self, index: usize) -> String {
        let step = &self.steps[index];
        match (step.items, step.may_be_absent()) {
            (Some(_), _) => format!("size(steps.s{index}.items)"),
            (None, true) => format!("steps.s{index}.?body.?v"),
            (None, false) => format!("steps.s{index}.body.v"),
        }
    }

    /// Answers that say what was asked, so that the answer shows what each step was given.
    pub(in crate::compose) fn script(&self) -> impl Fn(&str, &str) -> Reply + Send + Sync + 'static {
        let (outcomes, delays) = (self.outcomes.clone(), self.delays.clone());
        move |_, line| {
            let target = line.split(' ').nth(1).unwrap();
            let mut path = target.split('?').next().unwrap().trim_start_matches("/s").split('/');
            let step: usize = path.next().unwrap().parse().unwrap();
            let item: usize = path.next().map_or(0, |item| item.parse().unwrap());
            let after = delays[step][item];
            match outcomes[step][item] {
                Outcome::Ok => json(&format!("{{\"v\": \"{target}\"}}")).after(after),
                Outcome::OkWithout => json("{\"w\": 1}").after(after),
                Outcome::Status => status(500).after(after),
                Outcome::Reset => broken(Kind::UpstreamReset).after(after),
                Outcome::Never => json("{}").after(100_000_000),
            }
        }
    }
}
