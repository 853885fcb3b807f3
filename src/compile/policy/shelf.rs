//! Every Policy of a tree: judged once, compiled for captures where they matter.

use std::{collections::HashMap, sync::Arc};

use super::{
    super::{Findings, path::Capture},
    part::{self, Part},
};
use crate::{
    config::{Spanned, Templates, policy::PolicyTemplate},
    diagnostic::{Code, Diagnostic, Place},
};

/// How many names a help lists.
const MOST_LISTED: usize = 10;

/// Every Policy of a tree.
pub(super) struct Shelf<'t> {
    templates: &'t [PolicyTemplate],
    by_name: HashMap<&'t str, usize>,
    judged: Vec<Judged>,
    used: Vec<bool>,
    /// A document of IT's could not be read: a Policy that is missing may stand in it.
    policies_unread: bool,
    /// A name that is not there, or a document that could not be read: any Policy may be used by it.
    unresolved: bool,
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
    pub(super) fn index(all: &'t Templates, findings: &mut Findings) -> Self {
        let templates = all.policies.as_slice();
        let misspelt = |keys: &[&str]| keys.contains(&"policies");
        let mut keys =
            all.routes.iter().map(|one| &one.unread).chain(all.bindings.iter().map(|one| &one.unread));
        let judged: Vec<_> = templates.iter().map(|template| judge(template, findings)).collect();
        Self {
            by_name: templates
                .iter()
                .enumerate()
                .rev()
                .map(|(index, template)| (template.metadata.name.value.as_str(), index))
                .collect(),
            compiled: templates.iter().map(|_| Vec::new()).collect(),
            used: vec![false; templates.len()],
            policies_unread: all.unread.iter().any(|unit| unit.is_empty()),
            unresolved: !all.unread.is_empty() || keys.any(|keys| misspelt(keys)),
            templates,
            judged,
        }
    }

    /// The Policy of a name; an unknown one is a finding.
    pub(super) fn find(&mut self, name: &Spanned<String>, findings: &mut Findings) -> Option<usize> {
        let found = self.by_name.get(name.value.as_str()).copied();
        if let Some(found) = found {
            self.used[found] = true;
            return Some(found);
        }
        self.unresolved = true;
        if !self.policies_unread {
            let known = || self.templates.iter().map(|template| template.metadata.name.value.as_str());
            let help = findings.nearest(name, known()).unwrap_or_else(|| {
                let listed: Vec<&str> = known().take(MOST_LISTED).collect();
                let more = if self.templates.len() > MOST_LISTED { " …" } else { "" };
                let write = "write a document with `kind: Policy` under policies/";
                if listed.is_empty() {
                    write.to_owned()
                } else {
                    format!("there are {}{more}; or {write}", listed.join(", "))
                }
            });
            let message = format!("there is no Policy `{}`", name.value);
            findings.advise(Code::UnknownPolicy, &name.place, message, help);
        }
        None
    }

    /// Whether it is not known which routes name a Policy.
    pub(super) const fn is_unresolved(&self) -> bool {
        self.unresolved
    }

    /// Whether a document of IT's could not be read.
    pub(super) const fn policies_unread(&self) -> bool {
        self.policies_unread
    }

    /// Whether a Policy differs between routes of different captures.
    pub(super) fn reads_captures(&self, policy: usize) -> bool {
        matches!(self.judged[policy], Judged::Reads(_))
    }

    /// Warns of Policies that nothing names.
    pub(super) fn unused(&self, findings: &mut Findings) {
        if self.unresolved {
            return;
        }
        for (template, _) in self.templates.iter().zip(&self.used).filter(|(_, used)| !**used) {
            findings.next_document();
            let name = &template.metadata.name;
            let message = format!("no route and no binding names the Policy `{}`", name.value);
            let help = "bind it with `kind: PolicyBinding`, or remove it";
            findings.advise(Code::UnusedPolicy, &name.place, message, help);
        }
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
