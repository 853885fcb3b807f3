//! Policies: each judged once, compiled for the captures of the routes that it holds for, and shared.

mod part;

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{Findings, path::Capture};
use crate::{
    config::{Spanned, policy::PolicyTemplate, route::RouteTemplate},
    diagnostic::{Code, Diagnostic, Place},
    policy::{Policies, Priority, authorize, headers},
};
pub(super) use part::Part;

/// What a route may take when nothing says so.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Every Policy of a tree.
pub(super) struct Shelf<'t> {
    templates: &'t [PolicyTemplate],
    by_name: HashMap<&'t str, usize>,
    judged: Vec<Judged>,
    /// By Policy: compiled for these captures.
    compiled: Vec<Vec<(Vec<String>, Arc<Part>)>>,
}

/// What is known of a Policy before a route names it.
enum Judged {
    /// It has a finding.
    Broken,
    /// It reads no capture, so it is the same for every route.
    Same(Arc<Part>),
    /// It reads these captures.
    Reads(Vec<(String, Place)>),
}

impl<'t> Shelf<'t> {
    /// Judges every Policy, used or not.
    pub(super) fn index(templates: &'t [PolicyTemplate], findings: &mut Findings) -> Self {
        let judged: Vec<_> = templates.iter().map(|template| judge(template, findings)).collect();
        Self {
            by_name: templates
                .iter()
                .enumerate()
                .rev()
                .map(|(index, template)| (template.metadata.name.value.as_str(), index))
                .collect(),
            compiled: templates.iter().map(|_| Vec::new()).collect(),
            templates,
            judged,
        }
    }

    /// The Policy of a name; an unknown one is a finding.
    pub(super) fn find(&self, name: &Spanned<String>, findings: &mut Findings) -> Option<usize> {
        let found = self.by_name.get(name.value.as_str()).copied();
        if found.is_none() {
            let known = self.templates.iter().map(|template| template.metadata.name.value.as_str());
            let help = findings
                .nearest(name, known)
                .unwrap_or_else(|| "write a document with `kind: Policy` under policies/".to_owned());
            let message = format!("there is no Policy `{}`", name.value);
            findings.advise(Code::UnknownPolicy, &name.place, message, help);
        }
        found
    }

    /// A Policy for the captures of a route. `place` is where the route could be repaired.
    pub(super) fn part(
        &mut self,
        policy: usize,
        captures: &[Capture],
        place: &Place,
        findings: &mut Findings,
    ) -> Option<Arc<Part>> {
        let template = &self.templates[policy];
        match &self.judged[policy] {
            Judged::Broken => None,
            Judged::Same(part) => Some(Arc::clone(part)),
            Judged::Reads(read) => {
                let missing = read.iter().find(|(name, _)| !captures.iter().any(|one| one.name == *name));
                if let Some((name, read)) = missing {
                    let policy = &template.metadata.name.value;
                    findings.push(
                        Diagnostic::new(
                            Code::UnknownReference,
                            place.clone(),
                            format!("the path has no capture `{name}`, which the Policy `{policy}` reads"),
                        )
                        .help(format!("write `{{{name}}}` in the path, or do not use this Policy here"))
                        .related(read.clone(), "read here"),
                    );
                    return None;
                }
                let names: Vec<String> = captures.iter().map(|capture| capture.name.clone()).collect();
                let known = &mut self.compiled[policy];
                if let Some((_, part)) = known.iter().find(|(captures, _)| *captures == names) {
                    return Some(Arc::clone(part));
                }
                let part = Arc::new(part::compile(template, names.clone(), findings).0?);
                known.push((names, Arc::clone(&part)));
                Some(part)
            }
        }
    }
}

fn judge(template: &PolicyTemplate, findings: &mut Findings) -> Judged {
    findings.next_document();
    let captures = part::captures(template);
    let (part, reads) = part::compile(template, captures.clone(), findings);
    let Some(part) = part else { return Judged::Broken };
    if reads.is_empty() {
        return Judged::Same(Arc::new(part));
    }
    Judged::Reads(
        reads
            .into_iter()
            .filter_map(|(index, place)| Some((captures.get(usize::from(index))?.clone(), place)))
            .collect(),
    )
}

/// What holds for a route: its timeout and its policies.
pub(super) fn effective(
    shelf: &mut Shelf<'_>,
    template: &RouteTemplate,
    captures: &[Capture],
    findings: &mut Findings,
) -> Option<(Duration, Arc<Policies>)> {
    let mut parts = Vec::new();
    let mut whole = true;
    for name in &template.policies {
        let found = shelf.find(name, findings);
        match found.and_then(|policy| shelf.part(policy, captures, &name.place, findings)) {
            Some(part) => parts.push(part),
            None => whole = false,
        }
    }
    let own = template.request.as_ref().and_then(|request| request.body.as_ref()?.max_bytes);
    let timeout = parts.iter().filter_map(|part| part.timeout).min();
    let timeout =
        template.timeout.as_ref().map_or(TIMEOUT, |own| own.value).min(timeout.unwrap_or(Duration::MAX));
    let policies = union(&parts, own);
    whole.then(|| (timeout, Arc::new(policies)))
}

fn union(parts: &[Arc<Part>], own: Option<u64>) -> Policies {
    let mut all = Policies::default();
    let mut layers = Vec::new();
    let mut edits = headers::Settings::default();
    for part in parts {
        all.authenticate.extend(part.authenticate.clone());
        layers.extend(part.authorize.clone());
        all.rate_limits.extend(part.rate_limits.iter().cloned());
        all.concurrency.extend(part.concurrency.clone());
        all.cors = all.cors.take().or_else(|| part.cors.clone());
        all.max_bytes = all.max_bytes.into_iter().chain(part.max_bytes).min();
        edits.request.set.extend(part.request.set.iter().cloned());
        edits.request.remove.extend(part.request.remove.iter().cloned());
        edits.response.set.extend(part.response.set.iter().cloned());
        edits.response.remove.extend(part.response.remove.iter().cloned());
        all.compress = all.compress.take().or_else(|| part.compress.clone());
        all.tracing = all.tracing.take().or_else(|| part.tracing.clone());
        all.error_body = all.error_body.take().or_else(|| part.error_body.clone());
    }
    all.max_bytes = all.max_bytes.into_iter().chain(own).min();
    all.priority = parts.iter().find_map(|part| part.priority).unwrap_or(Priority::Normal);
    all.authorize = (!layers.is_empty()).then(|| Arc::new(authorize::Settings { layers }));
    all.headers = (!edits.is_empty()).then(|| Arc::new(edits));
    all
}
