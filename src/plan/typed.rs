//! How much of a route's expressions has a type that is known before there is data.

use super::{
    Action, Call, Composition, Endpoint, ErrorRule, Headers, PathPart, Problem, Query, Route, Step,
    Tolerance, Values, answer::StatusTemplate,
};
use crate::expr::{Program, Shape, Text, Type};

/// Expressions, and how many of them have a type that is known at load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// With a known type.
    pub known: usize,
    /// All.
    pub all: usize,
}

impl Share {
    /// Counts a route's own expressions; those of its Compositions are theirs.
    #[must_use]
    pub fn of(route: &Route) -> Self {
        let mut share = Self::default();
        match &route.endpoint {
            Endpoint::Compose { composition, respond, errors } => {
                share.composition(composition);
                share.status(Some(&respond.status));
                respond.headers.iter().for_each(|(_, values)| share.values(values));
                respond.body.iter().for_each(|body| share.shape(body));
                share.errors(errors);
            }
            Endpoint::Proxy { composition, proxy, errors } => {
                composition.iter().for_each(|composition| share.composition(composition));
                share.path(proxy.path.as_deref().unwrap_or_default());
                proxy.query.iter().for_each(|query| share.query(query));
                proxy.set.iter().for_each(|(_, values)| share.values(values));
                share.errors(errors);
            }
            Endpoint::Static(_) => {}
        }
        share
    }

    /// As a whole percentage; all of nothing is all.
    #[must_use]
    pub fn percent(self) -> usize {
        (self.known * 100).checked_div(self.all).unwrap_or(100)
    }

    fn program(&mut self, program: &Program) {
        self.all += 1;
        self.known += usize::from(program.known_type() != Type::Any);
    }

    fn text(&mut self, text: &Text) {
        text.programs().for_each(|program| self.program(program));
    }

    fn shape(&mut self, shape: &Shape) {
        shape.programs(&mut |program| self.program(program));
    }

    fn values(&mut self, Values(texts): &Values) {
        texts.iter().for_each(|text| self.text(text));
    }

    fn status(&mut self, status: Option<&StatusTemplate>) {
        if let Some(StatusTemplate::Expression(program)) = status {
            self.program(program);
        }
    }

    fn path(&mut self, parts: &[PathPart]) {
        for part in parts {
            match part {
                PathPart::Literal(_) => {}
                PathPart::Segment(program) | PathPart::Rest(program) => self.program(program),
            }
        }
    }

    fn query(&mut self, query: &Query) {
        match query {
            Query::Parameters(parameters) => parameters.iter().for_each(|(_, values)| self.values(values)),
            Query::Expression(program) => self.program(program),
        }
    }

    fn call(&mut self, call: &Call) {
        self.path(&call.path);
        self.query(&call.query);
        match &call.headers {
            Headers::Fields(fields) => fields.iter().for_each(|(_, values)| self.values(values)),
            Headers::Expression(program) => self.program(program),
        }
        call.body.iter().for_each(|body| self.shape(body));
    }

    fn problem(&mut self, problem: &Problem) {
        self.status(problem.status.as_ref());
        let texts = [&problem.type_uri, &problem.title, &problem.detail];
        texts.into_iter().flatten().for_each(|text| self.text(text));
        problem.headers.iter().for_each(|(_, values)| self.values(values));
        problem.members.iter().for_each(|(_, shape)| self.shape(shape));
    }

    fn checks(&mut self, checks: &[(Program, Problem)]) {
        for (that, problem) in checks {
            self.program(that);
            self.problem(problem);
        }
    }

    fn errors(&mut self, rules: &[ErrorRule]) {
        for rule in rules {
            rule.when.iter().for_each(|when| self.program(when));
            self.problem(&rule.problem);
        }
    }

    fn composition(&mut self, composition: &Composition) {
        composition.vars.iter().for_each(|(_, shape)| self.shape(shape));
        self.checks(&composition.require);
        composition.steps.iter().for_each(|step| self.step(step));
    }

    fn step(&mut self, step: &Step) {
        step.when.iter().for_each(|when| self.program(when));
        if let Some(each) = &step.for_each {
            self.program(&each.list);
            each.key.iter().for_each(|key| self.text(key));
        }
        match &step.action {
            Action::Call(call) => self.call(call),
            Action::Compose(nested) => nested.inputs.iter().flatten().for_each(|input| self.shape(input)),
        }
        if let Tolerance::Fallback(shape) = &step.tolerance {
            self.shape(shape);
        }
        self.checks(&step.ensure);
    }
}
