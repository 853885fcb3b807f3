//! Compositions by name: who may run which, how deep, what its inputs take. Circles are refused here.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use serde_json::Value as Json;

use super::{
    call::Callers,
    composition::{self, Answer, Document},
    findings::Findings,
    graph::{self, Reads},
    service::{Services, is_safe},
    text::Expressions,
};
use crate::{
    config::{
        Node, Spanned, Templates,
        composition::CompositionTemplate,
        json_schema::SchemaTemplate,
        parameter::ParameterTemplate,
        step::{CallTemplate, StepTemplate},
    },
    diagnostic::{Code, Diagnostic, Place},
    expr::{Scope, Shape, Slot, Text, Type},
    id::CompositionId,
    json,
    plan::{Callable, Input, Nested},
    schema::Schema,
};

/// How deep Compositions may run each other.
const MAX_DEPTH: u16 = 8;

/// Every Composition of a tree.
pub(super) struct Compositions<'t> {
    templates: &'t [CompositionTemplate],
    /// Units in which a name that is missing may stand in a document that could not be read.
    unread: &'t [Arc<str>],
    /// Versions of each name, the highest last.
    by_name: BTreeMap<(&'t str, &'t str), Versions>,
    /// Nothing for one with an input that has a finding.
    inputs: Vec<Option<Box<[Input]>>>,
    facts: Vec<Facts>,
}

/// Major versions of one name and which document each is.
type Versions = Vec<(Option<u64>, usize)>;

/// What follows from a Composition's steps.
#[derive(Clone, Copy, Default)]
struct Facts {
    /// Whether all that it runs only reads, where that is known.
    safe: Option<bool>,
    /// How many Compositions deep it goes, itself counted.
    depth: u16,
}

/// What a step's `compose` came to.
pub(super) struct Drafted {
    pub(super) nested: Option<Nested>,
    pub(super) safe: Option<bool>,
}

impl<'t> Compositions<'t> {
    pub(super) fn index(all: &'t Templates, services: &Services<'_>, findings: &mut Findings) -> Self {
        let templates = all.compositions.as_slice();
        let mut by_name: BTreeMap<_, Versions> = BTreeMap::new();
        let mut inputs = Vec::with_capacity(templates.len());
        for (index, template) in templates.iter().enumerate() {
            findings.next_document();
            let metadata = &template.metadata;
            let versions = by_name.entry((&*metadata.unit, metadata.name.value.as_str())).or_default();
            versions.push((metadata.major(), index));
            inputs.push(declared(template, findings));
        }
        for versions in by_name.values_mut() {
            versions.sort_unstable();
        }
        let mut found = Self { templates, unread: &all.unread, by_name, inputs, facts: Vec::new() };
        found.facts = found.walk(services, findings);
        found
    }

    /// Compiles every Composition. Nothing when one has a finding.
    pub(super) fn compile(
        &self,
        services: &Services<'_>,
        findings: &mut Findings,
    ) -> Option<Box<[Callable]>> {
        let all: Vec<_> = (0..self.templates.len())
            .map(|index| {
                findings.next_document();
                self.one(index, services, findings)
            })
            .collect();
        all.into_iter().collect()
    }

    fn one(&self, index: usize, services: &Services<'_>, findings: &mut Findings) -> Option<Callable> {
        let template = &self.templates[index];
        let metadata = &template.metadata;
        let document = Document {
            steps: &template.steps,
            vars: &template.vars,
            require: &[],
            answer: if template.output.is_some() { Answer::Shaped } else { Answer::Missing },
        };
        let inputs = template.input.iter().map(|input| input.name.value.clone()).collect();
        let scope = composition::scope(&document, Vec::new(), findings)?;
        let scope = Scope { request: false, principal: false, inputs: Some(inputs), ..scope };
        let callers = Callers {
            services,
            compositions: self,
            unit: &metadata.unit,
            captures: &[],
            inside: Some(index),
        };
        let mut with = Expressions::new(scope, findings);
        with.unread = &template.unread;
        let mut reads = Reads::default();
        let draft = composition::draft(&document, &callers, &mut with, &mut reads);
        let output = template.output.as_ref().and_then(|output| with.shape(output));
        reads.answer = with.take_reads();
        reads.unresolved = with.unresolved;
        let graph = graph::judge(&document, &draft.safe, &reads, with.findings);
        Some(Callable {
            name: self.name(index).into(),
            place: metadata.name.place.clone(),
            inputs: self.inputs[index].as_ref()?.iter().map(copy).collect(),
            composition: draft.finish(graph)?,
            output: output?,
        })
    }

    /// `unit/name`, with `@MAJOR` if it has a version.
    fn name(&self, index: usize) -> String {
        let metadata = &self.templates[index].metadata;
        let version = metadata.major().map_or_else(String::new, |major| format!("@{major}"));
        format!("{}/{}{version}", metadata.unit, metadata.name.value)
    }

    /// The Composition that `name` means in `unit`, or what is wrong with it.
    fn find(&self, name: &str, unit: &str) -> Result<usize, Missing> {
        let (path, version) = match name.split_once('@') {
            Some((path, version)) => (path, Some(version)),
            None => (name, None),
        };
        let (home, local) = path.split_once('/').unwrap_or((unit, path));
        let Some(versions) = self.by_name.get(&(home, local)) else {
            return Err(Missing::Name);
        };
        let wanted = match version.map(str::parse::<u64>) {
            None => None,
            Some(Ok(major)) => Some(major),
            Some(Err(_)) => return Err(Missing::Version(versions.iter().map(|(_, index)| *index).collect())),
        };
        let found = match wanted {
            None => versions.last(),
            wanted => versions.iter().find(|(major, _)| *major == wanted),
        };
        let Some(&(_, index)) = found else {
            return Err(Missing::Version(versions.iter().map(|(_, index)| *index).collect()));
        };
        if home != unit && !self.templates[index].visible_to_all {
            return Err(Missing::Hidden(index));
        }
        Ok(index)
    }

    /// The Composition that `name` means in `unit`, if it means one.
    pub(super) fn known(&self, name: &str, unit: &str) -> Option<&'t CompositionTemplate> {
        self.find(name, unit).ok().map(|index| &self.templates[index])
    }

    /// The same with its finding.
    fn resolve(&self, name: &Spanned<String>, unit: &str, findings: &mut Findings) -> Option<usize> {
        let missing = match self.find(name, unit) {
            Ok(index) => return Some(index),
            Err(missing) => missing,
        };
        let (path, _) = name.split_once('@').unwrap_or((name, ""));
        let (home, local) = path.split_once('/').unwrap_or((unit, path));
        let unknown = || {
            let message = format!("no Composition `{}`", name.value);
            Diagnostic::new(Code::UnknownComposition, name.place.clone(), message)
        };
        match missing {
            Missing::Name => {
                // An empty name stands for one that is missing, which is a finding already.
                if !name.is_empty() && !self.unread.iter().any(|unit| &**unit == home) {
                    let mut finding = unknown();
                    let known = self.by_name.keys().filter(|(unit, _)| *unit == home);
                    finding.help = findings.nearest(local, known.map(|(_, name)| *name));
                    findings.push(finding);
                }
            }
            Missing::Version(others) => {
                let known: Vec<_> =
                    others.into_iter().map(|index| format!("`{}`", self.name(index))).collect();
                findings.push(unknown().help(format!("there is {}", known.join(", "))));
            }
            Missing::Hidden(index) => {
                let template = &self.templates[index];
                let message = format!("`{}` is visible to its own unit only", name.value);
                findings.push(
                    Diagnostic::new(Code::NotVisible, name.place.clone(), message)
                        .help(format!(
                            "`visibility: all` in the Composition, which `{}` owns, opens it",
                            template.metadata.owner
                        ))
                        .related(template.metadata.name.place.clone(), "defined here"),
                );
            }
        }
        None
    }

    /// Depth and safety of each, callees first. A circle is a finding, once.
    fn walk(&self, services: &Services<'_>, findings: &mut Findings) -> Vec<Facts> {
        let edges: Vec<Vec<(usize, &Place)>> = self.templates.iter().map(|one| self.callees(one)).collect();
        let count = edges.len();
        let (mut state, mut facts) = (vec![0_u8; count], vec![Facts::default(); count]);
        let mut circled = HashSet::new();
        for root in 0..count {
            if state[root] != 0 {
                continue;
            }
            state[root] = 1;
            let mut path = vec![(root, 0)];
            while let Some((node, next)) = path.last_mut() {
                let node = *node;
                if let Some((to, _)) = edges[node].get(*next) {
                    *next += 1;
                    if state[*to] == 0 {
                        state[*to] = 1;
                        path.push((*to, 0));
                    } else if state[*to] == 1 {
                        let start = path.iter().position(|(node, _)| node == to).unwrap_or(0);
                        let cycle: Vec<_> = path[start..].iter().map(|(node, _)| *node).collect();
                        if cycle.iter().all(|node| circled.insert(*node)) {
                            self.report(&cycle, &edges, findings);
                        }
                    }
                    continue;
                }
                state[node] = 2;
                path.pop();
                let below = edges[node].iter().map(|(to, _)| facts[*to].depth).max().unwrap_or(0);
                let safe = self.templates[node].steps.iter().map(|step| {
                    let unit = &self.templates[node].metadata.unit;
                    self.is_safe(step, unit, services, &facts)
                });
                facts[node] = Facts { depth: below.saturating_add(1), safe: all(safe) };
            }
        }
        facts
    }

    fn callees(&self, template: &'t CompositionTemplate) -> Vec<(usize, &'t Place)> {
        let steps = template.steps.iter().filter_map(|step| match &step.call {
            CallTemplate::Compose { name, .. } => {
                Some((self.find(name, &template.metadata.unit).ok()?, &name.place))
            }
            CallTemplate::Operation(_) | CallTemplate::Http { .. } => None,
        });
        steps.collect()
    }

    fn is_safe(
        &self,
        step: &StepTemplate,
        unit: &str,
        services: &Services<'_>,
        facts: &[Facts],
    ) -> Option<bool> {
        match &step.call {
            CallTemplate::Http { method, safe, .. } => Some(is_safe(method, *safe)),
            CallTemplate::Operation(name) => services.is_safe(name, unit),
            CallTemplate::Compose { name, .. } => facts[self.find(name, unit).ok()?].safe,
        }
    }

    /// `a → b → a`, at the place where the first of them runs the next.
    fn report(&self, cycle: &[usize], edges: &[Vec<(usize, &Place)>], findings: &mut Findings) {
        let Some(first) = (0..cycle.len()).min_by_key(|at| cycle[*at]) else { return };
        let around = cycle.iter().cycle().skip(first).take(cycle.len() + 1);
        let names: Vec<_> = around.map(|node| self.name(*node)).collect();
        let to = cycle[(first + 1) % cycle.len()];
        let Some((_, place)) = edges[cycle[first]].iter().find(|(node, _)| *node == to) else { return };
        findings.next_document();
        findings.advise(
            Code::CompositionCycle,
            place,
            format!("each runs the next: {}", names.join(" → ")),
            "take one of these `compose` steps out",
        );
    }

    /// The `compose` of a step in `unit`; `inside` is the Composition that the step belongs to, if any.
    pub(super) fn nested<'n>(
        &self,
        name: &Spanned<String>,
        values: &'n [(Spanned<String>, Node)],
        callers: &Callers<'_>,
        with: &mut Expressions<'n, '_>,
    ) -> Drafted {
        let found = self.resolve(name, callers.unit, with.findings);
        // Compiled before anything else, so that all findings in them are reported.
        let mut shapes: Vec<_> = values.iter().map(|(_, node)| with.shape(node)).collect();
        let Some(index) = found else { return Drafted { nested: None, safe: None } };
        let Facts { depth, safe } = self.facts[index];
        // Inside of a Composition the first that is one too deep says so, and not all around it as well.
        if callers.inside.is_some() && depth == MAX_DEPTH {
            let message = format!("`{}` already runs Compositions {MAX_DEPTH} deep", self.name(index));
            with.findings.advise(
                Code::CompositionDepth,
                &name.place,
                message,
                "run one of the inner ones from here, and pass on what it gives",
            );
        }
        let Some(inputs) = &self.inputs[index] else { return Drafted { nested: None, safe } };
        let mut whole = shapes.iter().all(Option::is_some);
        for (name, _) in values {
            let unread = self.templates[index].unread.contains(&"input");
            if !unread && !inputs.iter().any(|input| *input.name == *name.value) {
                let message = format!("`{}` has no input `{}`", self.name(index), name.value);
                let mut finding = Diagnostic::new(Code::InputMismatch, name.place.clone(), message);
                finding.help = with.findings.nearest(name, inputs.iter().map(|input| &*input.name));
                with.findings.push(finding.related(self.place(index), "its inputs are declared here"));
                whole = false;
            }
        }
        let mut given = Vec::with_capacity(inputs.len());
        for input in inputs {
            let at = values.iter().position(|(name, _)| *name.value == *input.name);
            let shape = at.and_then(|at| Some((&values[at].1, shapes[at].take()?)));
            if let Some((node, shape)) = &shape
                && let Some((why, help)) = mismatch(shape, &input.schema, with)
            {
                let message = format!("the input `{}` of `{}` {why}", input.name, self.name(index));
                let mut finding = Diagnostic::new(Code::InputMismatch, node.place.clone(), message);
                finding.help = help;
                with.findings.push(finding.related(self.place(index), "its inputs are declared here"));
                whole = false;
            }
            if at.is_none() && input.required && input.default.is_none() {
                let message = format!("`{}` needs the input `{}`", self.name(index), input.name);
                let finding = Diagnostic::new(Code::InputMismatch, name.place.clone(), message)
                    .help(format!("write `with: {{{}: …}}`", input.name));
                with.findings.push(finding.related(self.place(index), "its inputs are declared here"));
                whole = false;
            }
            given.push(shape.map(|(_, shape)| shape));
        }
        let nested = whole.then(|| Nested { composition: CompositionId::from(index), inputs: given.into() });
        Drafted { nested, safe }
    }

    fn place(&self, index: usize) -> Place {
        self.templates[index].metadata.name.place.clone()
    }
}

/// Why a name stands for nothing.
enum Missing {
    Name,
    /// There are others.
    Version(Vec<usize>),
    /// It belongs to another unit.
    Hidden(usize),
}

/// True if all are, false as soon as one is not, else unknown.
fn all(safe: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut all = Some(true);
    for one in safe {
        match one {
            Some(true) => {}
            Some(false) => return Some(false),
            None => all = None,
        }
    }
    all
}

/// The inputs that a Composition declares.
fn declared(template: &CompositionTemplate, findings: &mut Findings) -> Option<Box<[Input]>> {
    let inputs: Vec<_> = template
        .input
        .iter()
        .map(|input| {
            let schema = schema(&input.schema, findings)?;
            let default = input.default.as_ref().map(|value| Bytes::from(value.to_string()));
            if let Some(json) = &default
                && let Some(why) = refused(json, &schema)
            {
                let message = format!("the default of `{}` {why}", input.name.value);
                findings.error(Code::InputMismatch, &input.schema.place, message);
                return None;
            }
            Some(Input { name: input.name.value.as_str().into(), required: input.required, default, schema })
        })
        .collect();
    inputs.into_iter().collect()
}

fn copy(input: &Input) -> Input {
    Input {
        name: Arc::clone(&input.name),
        required: input.required,
        default: input.default.clone(),
        schema: input.schema.clone(),
    }
}

/// Compiles a schema; what is wrong with it is a finding.
pub(super) fn schema(template: &SchemaTemplate, findings: &mut Findings) -> Option<Schema> {
    match Schema::compile(&template.document, &template.file, &template.others) {
        Ok(schema) => Some(schema),
        Err(why) => {
            let message = format!("this JSON Schema cannot be used: {why}");
            findings.advise(
                Code::InvalidSchema,
                &template.place,
                message,
                "see `segue explain invalid_schema`",
            );
            None
        }
    }
}

/// Why JSON that is known at load is not valid.
pub(super) fn refused(json: &[u8], schema: &Schema) -> Option<String> {
    let document = json::Document::parse(Bytes::copy_from_slice(json)).ok()?;
    let violation = schema.violations(document.root()).into_iter().next()?;
    let place =
        if violation.pointer.is_empty() { String::new() } else { format!(" at {}", violation.pointer) };
    Some(format!("{}{place}", violation.message))
}

/// Why a value can never be valid, as far as that is known at load, and what to do if it is not plain.
fn mismatch(shape: &Shape, schema: &Schema, with: &Expressions<'_, '_>) -> Option<(String, Option<String>)> {
    if let Some(types) = parameter_types(shape, with) {
        if types.iter().any(|name| schema.allows(name)) {
            return None;
        }
        let why = misfit(&types, schema);
        return Some((why, Some("declare the parameter with this type under `request`".to_owned())));
    }
    let names: &[&str] = match shape {
        Shape::Literal(json) => return refused(json, schema).map(|why| (why, None)),
        Shape::List(_) | Shape::Each { .. } => &["array"],
        Shape::Map(_) | Shape::Merge(_) => &["object"],
        Shape::If { .. } => return None,
        Shape::Text(Text::One(program)) => json_types(program.known_type()),
        Shape::Text(_) => &["string"],
    };
    if names.is_empty() || names.iter().any(|name| schema.allows(name)) {
        return None;
    }
    Some((misfit(names, schema), None))
}

fn misfit(given: &[&str], schema: &Schema) -> String {
    let (given, wanted) = (given.join(" or "), schema.types().join(" or "));
    format!("must be of type {wanted}, and this gives {given}")
}

/// The JSON types of a parameter of the request: what is declared, else text.
fn parameter_types<'t>(shape: &Shape, with: &Expressions<'t, '_>) -> Option<Vec<&'t str>> {
    let Shape::Text(Text::One(program)) = shape else { return None };
    let (slot, name) = program.as_parameter()?;
    let declared = with.request.and_then(|request| {
        let is_it = |one: &&ParameterTemplate| one.name.value == name;
        match slot {
            Slot::Path(index) => {
                let name = with.scope.captures.get(usize::from(index))?;
                request.path.iter().find(|one| one.name.value == *name)
            }
            Slot::Query => request.query.iter().find(is_it),
            Slot::Cookies => request.cookies.iter().find(is_it),
            Slot::Headers => request.headers.iter().find(|(known, _)| known == name).map(|(_, one)| one),
            _ => None,
        }
    });
    let Some(declared) = declared else { return Some(vec!["string"]) };
    match declared.schema.document.get("type")? {
        Json::String(one) => Some(vec![one.as_str()]),
        Json::Array(all) => Some(all.iter().filter_map(Json::as_str).collect()),
        _ => None,
    }
}

/// The JSON types that a value of this type may have; none when anything may come.
fn json_types(kind: Type) -> &'static [&'static str] {
    match kind {
        Type::Any | Type::Optional | Type::Other => &[],
        Type::Null => &["null"],
        Type::Bool => &["boolean"],
        Type::Number => &["number", "integer"],
        Type::Str | Type::Timestamp | Type::Duration => &["string"],
        // No JSON can hold them, whatever the schema says.
        Type::Bytes => &["bytes"],
        Type::List => &["array"],
        Type::Map => &["object"],
    }
}
