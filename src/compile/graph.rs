//! What waits for what: references become order, circles are refused, reads are judged.
//!
//! A step needs the steps that its expressions read, through `vars` too, and those in `after`. Sets of
//! steps are bits of a `u64`, because a document has at most 64 steps.

use super::{
    composition::{Answer, Document, MAX_STEPS},
    findings::Findings,
    text::Read,
};
use crate::{
    config::{
        Spanned,
        step::{CallTemplate, StepTemplate},
    },
    diagnostic::{Code, Diagnostic, Place},
    expr::{AnswerField, ErrorField, Slot, StepField},
    plan::BodyUse,
};

/// Everything that a document reads, by who reads it.
#[derive(Default)]
pub(super) struct Reads<'t> {
    pub(super) vars: Vec<Vec<Read<'t>>>,
    pub(super) require: Vec<Read<'t>>,
    pub(super) steps: Vec<Vec<Read<'t>>>,
    /// `respond` or `proxy`
    pub(super) answer: Vec<Read<'t>>,
    pub(super) errors: Vec<Read<'t>>,
    /// A step was named that is not there: any of them may have been meant.
    pub(super) unresolved: bool,
}

impl<'t> Reads<'t> {
    fn all(&self) -> impl Iterator<Item = &Read<'t>> {
        let rest = self.require.iter().chain(&self.answer).chain(&self.errors);
        self.vars.iter().chain(&self.steps).flatten().chain(rest)
    }
}

/// The order of a document's steps.
pub(super) struct Graph {
    needs: Vec<u64>,
    pub(super) waves: Vec<u16>,
    pub(super) bodies: Vec<BodyUse>,
    pub(super) request_body: BodyUse,
}

impl Graph {
    /// The steps that have to settle before step `index`.
    pub(super) fn needs(&self, index: usize) -> impl Iterator<Item = usize> {
        let mask = self.needs[index];
        (0..self.needs.len()).filter(move |other| mask & bit(*other) != 0)
    }
}

const fn bit(step: usize) -> u64 {
    1 << (step % 64)
}

/// Judges the order of steps and what is read. No graph when there is none.
pub(super) fn judge(
    template: &Document<'_>,
    safe: &[Option<bool>],
    reads: &Reads<'_>,
    findings: &mut Findings,
) -> Option<Graph> {
    let steps = template.steps;
    plain_reads(steps, reads, findings);
    if template.answer == Answer::Proxied {
        streamed_body(reads, findings);
    }
    let nodes = Nodes::new(template, reads, findings);
    if steps.len() > MAX_STEPS {
        return None;
    }
    let (order, cycles) = nodes.order();
    for cycle in &cycles {
        nodes.report(cycle, findings);
    }
    let masks = nodes.masks(&order);
    before_steps(&masks[steps.len()..], steps, reads, findings);
    if cycles.is_empty() {
        unordered(steps, safe, &closure(&order, &masks[..steps.len()]), findings);
    }
    // Without an answer nothing says what would have been read, and neither does a misspelt name.
    let lost = |after: &Spanned<String>| !steps.iter().any(|step| step.name.value == after.value);
    let unresolved = reads.unresolved || steps.iter().flat_map(|step| &step.after).any(lost);
    if template.answer != Answer::Missing && !unresolved {
        unused(template, safe, reads, findings);
    }
    let mut waves = vec![0; steps.len()];
    for &node in order.iter().filter(|node| **node < steps.len()) {
        let before = (0..steps.len()).filter(|other| masks[node] & bit(*other) != 0);
        waves[node] = before.map(|other| waves[other] + 1).max().unwrap_or(0);
    }
    let mut needs = masks;
    needs.truncate(steps.len());
    let (bodies, request_body) = body_use(reads);
    cycles.is_empty().then_some(Graph { needs, waves, bodies, request_body })
}

/// Steps, then variables, and what each waits for.
struct Nodes<'t> {
    names: Vec<String>,
    /// The first place of each edge.
    edges: Vec<Vec<(usize, Edge<'t>)>>,
    steps: usize,
}

/// Why one waits for another.
enum Edge<'t> {
    Read(Read<'t>),
    After(&'t Place),
}

impl<'t> Nodes<'t> {
    fn new(template: &Document<'t>, reads: &Reads<'t>, findings: &mut Findings) -> Self {
        let steps = template.steps;
        let names = steps.iter().map(|step| step.name.value.clone());
        let names = names.chain(template.vars.iter().map(|(name, _)| format!("vars.{}", name.value)));
        let mut nodes = Self { names: names.collect(), edges: Vec::new(), steps: steps.len() };
        for reads in reads.steps.iter().chain(&reads.vars) {
            let mut edges: Vec<(usize, Edge<'_>)> = Vec::new();
            for read in reads {
                let to = match read.slot {
                    Slot::Step(step, _) => usize::from(step),
                    Slot::Var(var) => steps.len() + usize::from(var),
                    // The list is complete once all that may be on it have settled. A step is not on its own.
                    Slot::Degraded => {
                        let others = (0..steps.len()).filter(|&step| step != nodes.edges.len());
                        let others = others.filter(|&step| may_degrade(&steps[step]));
                        edges.extend(others.map(|step| (step, Edge::Read(*read))));
                        continue;
                    }
                    _ => continue,
                };
                edges.push((to, Edge::Read(*read)));
            }
            nodes.edges.push(edges);
        }
        for (step, edges) in steps.iter().zip(&mut nodes.edges) {
            for after in &step.after {
                if let Some(to) = steps.iter().position(|step| step.name.value == after.value) {
                    edges.push((to, Edge::After(&after.place)));
                    continue;
                }
                let message = format!("no step `{}`", after.value);
                let mut finding = Diagnostic::new(Code::UnknownStep, after.place.clone(), message);
                finding.help =
                    findings.nearest(&after.value, steps.iter().map(|step| step.name.value.as_str()));
                findings.push(finding);
            }
        }
        for edges in &mut nodes.edges {
            edges.sort_by_key(|(to, _)| *to);
            edges.dedup_by_key(|(to, _)| *to);
        }
        nodes
    }

    /// What is waited for first, and the circles found on the way, none of which share a node.
    fn order(&self) -> (Vec<usize>, Vec<Vec<usize>>) {
        #[derive(Clone, Copy, PartialEq)]
        enum Seen {
            No,
            Open,
            Done,
        }
        let mut seen = vec![Seen::No; self.edges.len()];
        let mut circled = vec![false; self.edges.len()];
        let (mut order, mut cycles) = (Vec::with_capacity(self.edges.len()), Vec::new());
        for root in 0..self.edges.len() {
            if seen[root] != Seen::No {
                continue;
            }
            seen[root] = Seen::Open;
            let mut path = vec![(root, 0)];
            while let Some((node, next)) = path.last_mut() {
                let node = *node;
                let Some((to, _)) = self.edges[node].get(*next) else {
                    seen[node] = Seen::Done;
                    order.push(node);
                    path.pop();
                    continue;
                };
                *next += 1;
                match seen[*to] {
                    Seen::No => {
                        seen[*to] = Seen::Open;
                        path.push((*to, 0));
                    }
                    Seen::Open => {
                        let start = path.iter().position(|(node, _)| node == to).unwrap_or(0);
                        let cycle: Vec<_> = path[start..].iter().map(|(node, _)| *node).collect();
                        if !cycle.iter().any(|node| circled[*node]) {
                            cycle.iter().for_each(|node| circled[*node] = true);
                            cycles.push(cycle);
                        }
                    }
                    Seen::Done => {}
                }
            }
        }
        (order, cycles)
    }

    /// `a → b → a`, beginning with what stands first in the file, at the place where it waits.
    fn report(&self, cycle: &[usize], findings: &mut Findings) {
        let Some(first) = (0..cycle.len()).min_by_key(|index| cycle[*index]) else { return };
        let around = || cycle.iter().cycle().skip(first).take(cycle.len() + 1);
        let names: Vec<_> = around().map(|node| self.names[*node].as_str()).collect();
        let (from, to) = (cycle[first], cycle[(first + 1) % cycle.len()]);
        let Some((_, edge)) = self.edges[from].iter().find(|(node, _)| *node == to) else { return };
        let place = match edge {
            Edge::Read(read) => read.place(),
            Edge::After(place) => (*place).clone(),
        };
        let message = if cycle.len() == 1 {
            format!("`{}` waits for itself: {}", names[0], names.join(" → "))
        } else {
            format!("each waits for the next: {}", names.join(" → "))
        };
        findings.advise(
            Code::StepCycle,
            &place,
            message,
            "a step starts when all that it reads has settled; take one of these references out",
        );
    }

    /// The steps that each node waits for directly, or through variables.
    fn masks(&self, order: &[usize]) -> Vec<u64> {
        let mut masks = vec![0; self.edges.len()];
        for &node in order {
            for (to, _) in &self.edges[node] {
                masks[node] |= if *to < self.steps { bit(*to) } else { masks[*to] };
            }
        }
        masks
    }
}

/// Whether the answer may be degraded by a step: it is tolerated, or what is inside of it may be.
fn may_degrade(step: &StepTemplate) -> bool {
    step.optional || step.fallback.is_some() || matches!(step.call, CallTemplate::Compose { .. })
}

/// Every step that each waits for, directly or not.
fn closure(order: &[usize], needs: &[u64]) -> Vec<u64> {
    let mut all = needs.to_vec();
    for &step in order.iter().filter(|node| **node < needs.len()) {
        for other in 0..needs.len() {
            if needs[step] & bit(other) != 0 {
                all[step] |= all[other];
            }
        }
    }
    all
}

/// A step that may have no answer cannot be read as if it always had one.
fn plain_reads(steps: &[StepTemplate], reads: &Reads<'_>, findings: &mut Findings) {
    for read in reads.all().filter(|read| !read.tolerant) {
        let Slot::Step(index, field) = read.slot else { continue };
        let Some(step) = steps.get(usize::from(index)) else { continue };
        let tolerated = (step.optional || step.when.is_some()) && step.fallback.is_none();
        let always = matches!(field, StepField::Outcome | StepField::Items | StepField::ByKey);
        if tolerated && !always && !findings.is_full() {
            let why = if step.optional { "is `optional`" } else { "has `when`" };
            findings.advise(
                Code::PlainReadOfTolerated,
                &read.place(),
                format!("`{}` {why}, so it may have no answer", step.name.value),
                "read it through `.?` or `has()`, or give the step a `fallback`",
            );
        }
    }
}

/// A proxy streams the request's body: nothing may read it.
fn streamed_body(reads: &Reads<'_>, findings: &mut Findings) {
    for read in reads.all().filter(|read| read.slot == Slot::RequestBody) {
        if findings.is_full() {
            break;
        }
        findings.advise(
            Code::BodyNotReadable,
            &read.place(),
            "a proxy route streams its body, so nothing can read it",
            "compose with `steps` and `respond` to read it",
        );
    }
}

/// `require` is checked before any step.
fn before_steps(vars: &[u64], steps: &[StepTemplate], reads: &Reads<'_>, findings: &mut Findings) {
    for read in &reads.require {
        let mask = match read.slot {
            Slot::Step(step, _) => bit(usize::from(step)),
            Slot::Var(var) => vars.get(usize::from(var)).copied().unwrap_or(0),
            _ => 0,
        };
        if let Some(step) = steps.get(mask.trailing_zeros() as usize).filter(|_| mask != 0) {
            findings.advise(
                Code::UnknownReference,
                &read.place(),
                format!(
                    "`require` is checked before any step, so it cannot read `steps.{}`",
                    step.name.value
                ),
                "use `ensure` in the step",
            );
        }
    }
}

/// Two unsafe calls need an order, or a word that none is needed.
fn unordered(steps: &[StepTemplate], safe: &[Option<bool>], before: &[u64], findings: &mut Findings) {
    let counts = |index: &usize| safe[*index] == Some(false) && !steps[*index].unordered;
    for later in (0..steps.len()).filter(counts) {
        let free = |earlier: &usize| before[later] & bit(*earlier) == 0 && before[*earlier] & bit(later) == 0;
        if let Some(earlier) = (0..later).filter(counts).find(free) {
            let (first, second) = (&steps[earlier].name, &steps[later].name);
            let message = format!("`{}` and `{}` are unsafe and have no order", first.value, second.value);
            findings.push(
                Diagnostic::new(Code::UnorderedUnsafe, second.place.clone(), message)
                    .help(format!(
                        "add `after: [{}]`, or `unordered: true` if they may run at once",
                        first.value
                    ))
                    .related(first.place.clone(), "the other one"),
            );
        }
    }
}

/// A safe step whose answer nobody reads is a call for nothing.
fn unused(template: &Document<'_>, safe: &[Option<bool>], reads: &Reads<'_>, findings: &mut Findings) {
    let steps = template.steps;
    let mut used = 0u64;
    let read_steps = |reads: &[Read<'_>]| {
        reads.iter().fold(0, |mask, read| match read.slot {
            Slot::Step(step, _) => mask | bit(usize::from(step)),
            _ => mask,
        })
    };
    for reads in reads.vars.iter().chain([&reads.require, &reads.answer, &reads.errors]) {
        used |= read_steps(reads);
    }
    for (index, reads) in reads.steps.iter().enumerate() {
        used |= read_steps(reads) & !bit(index);
    }
    for (index, step) in steps.iter().enumerate() {
        let named = steps.iter().any(|other| other.after.iter().any(|after| after.value == step.name.value));
        // Before a proxied call, a step that must succeed is a gate: its answer need not be read.
        let gate = template.answer == Answer::Proxied && !step.optional && step.fallback.is_none();
        if safe[index] == Some(true) && used & bit(index) == 0 && !named && !gate {
            findings.advise(
                Code::UnusedStep,
                &step.name.place,
                format!("nothing reads `{}`", step.name.value),
                "read its answer, or take the step out",
            );
        }
    }
}

/// How much of each step's body, and of the request's, is needed.
fn body_use(reads: &Reads<'_>) -> (Vec<BodyUse>, BodyUse) {
    let mut bodies = vec![BodyUse::Unread; reads.steps.len()];
    let mut request = BodyUse::Unread;
    for read in reads.all() {
        let need = if read.whole { BodyUse::Forwarded } else { BodyUse::Parsed };
        match read.slot {
            Slot::RequestBody => request = request.max(need),
            Slot::Step(step, StepField::Body | StepField::Items | StepField::ByKey | StepField::Output) => {
                if let Some(body) = bodies.get_mut(usize::from(step)) {
                    *body = need.max(*body);
                }
            }
            // Whichever step failed, its answer's bytes are kept for `errors`.
            Slot::Error(ErrorField::Upstream) => {
                bodies.iter_mut().for_each(|body| *body = BodyUse::Forwarded.max(*body));
            }
            _ => {}
        }
    }
    for (body, reads) in bodies.iter_mut().zip(&reads.steps) {
        if reads.iter().any(|read| read.slot == Slot::Own(AnswerField::Body)) {
            *body = BodyUse::Parsed;
        }
    }
    (bodies, request)
}
