//! Steps, variables and checks of a document: compiled one by one, then ordered by `graph`.

use std::sync::Arc;

use super::{
    Findings,
    call::{Callers, Drafted},
    graph::{Graph, Reads},
    text::Expressions,
};
use crate::{
    config::{
        Node, Spanned,
        route::CheckTemplate,
        step::{CallTemplate, ForEachTemplate, StepTemplate},
    },
    diagnostic::Code,
    expr::{Program, Scope, Shape, Slot, StepScope},
    id::StepId,
    plan::{BodyUse, Composition, ForEach, Problem, Retry, Step, Tolerance},
};

/// Steps of one document.
pub(super) const MAX_STEPS: usize = 64;
/// Variables of one document. The format has no bound; this one keeps any tree within seconds.
const MAX_VARS: usize = 1024;

type Checks = Box<[(Program, Problem)]>;

/// What a Route and a Composition have in common.
#[derive(Clone, Copy)]
pub(super) struct Document<'t> {
    pub(super) steps: &'t [StepTemplate],
    pub(super) vars: &'t [(Spanned<String>, Node)],
    pub(super) require: &'t [CheckTemplate],
    pub(super) answer: Answer,
}

/// What a document makes of its steps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// `respond` or `output`
    Shaped,
    /// `proxy`
    Proxied,
    /// Nothing, which has its finding.
    Missing,
}

/// A composition before its steps are in order.
pub(super) struct Draft {
    steps: Vec<Option<Step>>,
    /// Whether each step only reads, where that is known.
    pub(super) safe: Vec<Option<bool>>,
    vars: Option<Box<[(String, Shape)]>>,
    require: Option<Checks>,
}

/// What the names of a document mean; nothing when there are too many of them to look any further.
pub(super) fn scope(template: &Document<'_>, captures: Vec<String>, with: &mut Findings) -> Option<Scope> {
    let (steps, vars) = (template.steps, template.vars);
    if let Some(step) = steps.get(MAX_STEPS) {
        let message = format!("{} steps; a document has at most {MAX_STEPS}", steps.len());
        with.error(Code::TooManySteps, &step.name.place, message);
    }
    if let Some((name, _)) = vars.get(MAX_VARS) {
        let message = format!("{} vars; a document has at most {MAX_VARS}", vars.len());
        with.error(Code::InvalidValue, &name.place, message);
        return None;
    }
    (steps.len() <= MAX_STEPS * 16).then(|| Scope {
        captures,
        steps: steps
            .iter()
            .map(|step| StepScope {
                name: step.name.value.clone(),
                for_each: step.for_each.is_some(),
                compose: matches!(step.call, CallTemplate::Compose { .. }),
            })
            .collect(),
        vars: vars.iter().map(|(name, _)| name.value.clone()).collect(),
        request: true,
        principal: true,
        ..Scope::default()
    })
}

/// Compiles vars, checks and steps, and notes what each of them reads.
pub(super) fn draft<'t>(
    template: &Document<'t>,
    callers: &Callers<'_>,
    with: &mut Expressions<'t, '_>,
    reads: &mut Reads<'t>,
) -> Draft {
    let mut vars = Vec::with_capacity(template.vars.len());
    for (name, node) in template.vars {
        vars.push(with.shape(node).map(|shape| (name.value.clone(), shape)));
        reads.vars.push(with.take_reads());
    }
    let require = with.checks(template.require);
    reads.require = with.take_reads();
    let mut steps = Vec::with_capacity(template.steps.len());
    let mut safe = Vec::with_capacity(template.steps.len());
    for template in template.steps {
        let (step, is_safe) = step(template, callers, with);
        steps.push(step);
        safe.push(is_safe);
        reads.steps.push(with.take_reads());
    }
    Draft { steps, safe, vars: vars.into_iter().collect(), require }
}

impl Draft {
    /// The composition, once the order of its steps is known.
    pub(super) fn finish(self, graph: Option<Graph>) -> Option<Composition> {
        let graph = graph?;
        let steps: Box<[Step]> = self.steps.into_iter().collect::<Option<_>>()?;
        let mut composition = Composition {
            steps,
            vars: self.vars?,
            require: self.require?,
            waves: graph.waves.iter().max().map_or(0, |last| last + 1),
            request_body: graph.request_body,
            safe: false,
        };
        composition.safe = composition.steps.iter().all(|step| step.safe);
        for (index, step) in composition.steps.iter_mut().enumerate() {
            step.wave = graph.waves[index];
            step.needs = graph.needs(index).map(StepId::from).collect();
            step.body = graph.bodies[index];
        }
        Some(composition)
    }
}

fn step<'t>(
    template: &'t StepTemplate,
    callers: &Callers<'_>,
    with: &mut Expressions<'t, '_>,
) -> (Option<Step>, Option<bool>) {
    // `when` and `in` are evaluated once, before there is an item.
    let when = with.optional(template.when.as_ref(), Expressions::condition);
    let list = with.optional(template.for_each.as_ref().map(|each| &each.list), |with, node| {
        with.list(node, "`forEach.in`")
    });
    if let Some(each) = &template.for_each {
        with.scope.locals.push(each.name.value.clone());
    }
    let Drafted { action, safe, repeatable } = callers.call(template, with);
    let key = with.optional(template.for_each.as_ref().and_then(|each| each.key.as_ref()), Expressions::text);
    let fallback = with.optional(template.fallback.as_ref(), Expressions::shape);
    with.scope.own = true;
    let ensure = with.checks(&template.ensure);
    with.scope.own = false;
    if let Some(each) = &template.for_each {
        with.scope.locals.pop();
        concurrency(template, each, safe, with);
    }
    let retry = template.retry.as_ref().map(|retry| {
        if repeatable == Some(false) {
            with.findings.advise(
                Code::RetryUnsafe,
                &retry.place,
                format!("`{}` may not be sent twice, so it has no `retry`", template.name.value),
                "GET, HEAD, OPTIONS, QUERY, PUT and DELETE may be repeated, and what says `safe: true`",
            );
        }
        Retry { attempts: retry.attempts, on: retry.on, initial: retry.initial, max: retry.max }
    });
    let step = (|| {
        let for_each = match &template.for_each {
            Some(each) => Some(ForEach {
                list: list??,
                name: each.name.value.clone(),
                key: key?,
                max: each.max as usize,
                concurrency: each.concurrency as usize,
            }),
            None => None,
        };
        Some(Step {
            name: Arc::from(template.name.value.as_str()),
            wave: 0,
            needs: Box::default(),
            when: when?,
            for_each,
            action: action?,
            safe: safe?,
            tolerance: match fallback? {
                Some(shape) => Tolerance::Fallback(shape),
                None if template.optional => Tolerance::Optional,
                None => Tolerance::Required,
            },
            timeout: template.timeout.as_ref().map(|timeout| timeout.value),
            expect: template.expect.iter().map(|status| status.value).collect(),
            pass_status: template.pass_status.iter().map(|status| status.value).collect(),
            ensure: ensure?,
            body: BodyUse::Unread,
            retry,
        })
    })();
    (step, safe)
}

/// What was streamed cannot be sent again.
pub(super) fn streamed_retries(template: &Document<'_>, composition: &Composition, findings: &mut Findings) {
    let streams = |step: &Step| {
        step.action.call().and_then(|call| call.body.as_ref()?.as_body()) == Some(Slot::RequestBody)
    };
    if composition.request_body != BodyUse::Forwarded
        || composition.steps.iter().filter(|step| streams(step)).count() > 1
    {
        return;
    }
    for (template, step) in template.steps.iter().zip(&composition.steps) {
        if let Some(retry) = template.retry.as_ref().filter(|_| streams(step) && step.for_each.is_none()) {
            let message = format!("`{}` streams the request's body, so it is sent once", step.name);
            findings.advise(Code::RetryStreamed, &retry.place, message, "remove `retry`");
        }
    }
}

/// Calls of one `forEach` have no order between them either.
fn concurrency(
    template: &StepTemplate,
    each: &ForEachTemplate,
    safe: Option<bool>,
    with: &mut Expressions<'_, '_>,
) {
    if safe == Some(false) && each.concurrency > 1 && !template.unordered {
        with.findings.advise(
            Code::UnorderedUnsafe,
            &template.name.place,
            format!("`{}` makes {} unsafe calls at a time", template.name.value, each.concurrency),
            "leave `concurrency` at 1, or say `unordered: true`, or `safe: true` if the call only reads",
        );
    }
}

impl<'t> Expressions<'t, '_> {
    /// `require` or `ensure`.
    fn checks(&mut self, templates: &'t [CheckTemplate]) -> Option<Checks> {
        let checks: Vec<_> = templates
            .iter()
            .map(|check| {
                let that = self.condition(&check.that);
                let problem = match &check.problem {
                    Some(problem) => self.problem(problem),
                    None => Some(Problem::default()),
                };
                Some((that?, problem?))
            })
            .collect();
        checks.into_iter().collect()
    }

    /// `None` for a finding, `Some(None)` for nothing written.
    pub(super) fn optional<T>(
        &mut self,
        node: Option<&'t Node>,
        compile: impl FnOnce(&mut Self, &'t Node) -> Option<T>,
    ) -> Option<Option<T>> {
        match node {
            Some(node) => compile(self, node).map(Some),
            None => Some(None),
        }
    }
}
