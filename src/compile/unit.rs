//! Units: whose ground is whose, and what a unit's templates may use.
//!
//! Ground is compared in the canonical form in which requests are matched, and case is ignored between
//! units, so that no spelling of a path gives one unit what is another's.

use std::{collections::HashMap, sync::Arc};

use super::{
    Findings,
    path::{self, Capture},
    service,
};
use crate::{
    config::{
        Spanned, Templates, Tree,
        route::RouteTemplate,
        service::{HeaderSource, SecretTemplate, ServiceTemplate, UrlTemplate},
        unit::{EgressTemplate, UnitTemplate},
    },
    diagnostic::{Code, Diagnostic, Place},
    plan::{Match, PathPattern, Segment},
};

/// Every Unit by its name.
pub(super) struct Units<'t> {
    by_name: HashMap<&'t str, Known<'t>>,
}

struct Known<'t> {
    template: &'t UnitTemplate,
    ground: Vec<Ground<'t>>,
}

/// A host (nothing for every host) and the segments that paths start with.
struct Ground<'t> {
    host: Option<&'t str>,
    prefix: Vec<String>,
    text: &'t str,
    place: &'t Place,
}

impl<'t> Units<'t> {
    /// Judges every Unit, and whether each folder has one.
    pub(super) fn index(tree: &Tree, templates: &'t Templates, findings: &mut Findings) -> Self {
        let mut by_name = HashMap::new();
        for template in &templates.units {
            findings.next_document();
            let ground = template.owns.iter().filter_map(|own| {
                let prefix = prefix(&own.prefix, findings)?;
                let host = own.host.as_deref().map(|host| host.trim_end_matches('.'));
                Some(Ground { host, prefix, text: &own.prefix.value, place: &own.place })
            });
            let known = Known { template, ground: ground.collect() };
            by_name.entry(template.metadata.name.value.as_str()).or_insert(known);
        }
        let units = Self { by_name };
        units.overlaps(&templates.units, findings);
        // What could not be read may be the Unit of any folder.
        if !units.by_name.is_empty() && !templates.unread.iter().any(|unit| unit.is_empty()) {
            units.folders(tree, findings);
        }
        units
    }

    /// Whether the labels of some unit stand under a key that is misspelt.
    pub(super) fn labels_unread(&self) -> bool {
        self.by_name.values().any(|known| known.template.unread.contains(&"labels"))
    }

    /// The labels of a unit.
    pub(super) fn labels(&self, unit: &str) -> &[(String, String)] {
        self.by_name.get(unit).map_or(&[], |known| &known.template.labels)
    }

    /// Whose templates may reach which hosts; nothing where everything is allowed.
    pub(super) fn egress(&self, unit: &str) -> Option<Arc<[EgressTemplate]>> {
        let known = self.by_name.get(unit)?;
        Some(known.template.grants.egress.iter().map(|grant| grant.value.clone()).collect())
    }

    /// Two units' ground that overlaps; both are named.
    fn overlaps(&self, templates: &[UnitTemplate], findings: &mut Findings) {
        let units: Vec<(&str, &Known<'_>)> = templates
            .iter()
            .map(|template| template.metadata.name.value.as_str())
            .filter_map(|name| Some((name, self.by_name.get(name)?)))
            .collect();
        // By first segment, so that a thousand units are compared in no time; without one, with all.
        let mut earlier: HashMap<String, Vec<(&str, &Ground<'_>)>> = HashMap::new();
        for (name, known) in units {
            findings.next_document();
            for ground in &known.ground {
                let first = ground.prefix.first().map(|segment| segment.to_ascii_lowercase());
                let candidates: Vec<(&str, &Ground<'_>)> = match &first {
                    Some(first) => {
                        ["", first].iter().filter_map(|key| earlier.get(*key)).flatten().copied().collect()
                    }
                    None => earlier.values().flatten().copied().collect(),
                };
                let other =
                    candidates.into_iter().find(|(other, theirs)| *other != name && ground.overlaps(theirs));
                if let Some((other, theirs)) = other {
                    let message = format!(
                        "the units `{name}` and `{other}` both own `{}`",
                        if ground.prefix.len() >= theirs.prefix.len() {
                            ground.shown()
                        } else {
                            theirs.shown()
                        }
                    );
                    findings.push(
                        Diagnostic::new(Code::GroundOverlap, ground.place.clone(), message)
                            .help("ground belongs to one unit, with all that lies under it; without `host` it is every host's")
                            .related(theirs.place.clone(), format!("the ground of `{other}`")),
                    );
                }
                earlier.entry(first.unwrap_or_default()).or_default().push((name, ground));
            }
        }
    }

    /// Once one folder has a Unit, each needs one.
    fn folders(&self, tree: &Tree, findings: &mut Findings) {
        let mut last = None;
        for file in &tree.files {
            let Some(unit) = &file.unit else { continue };
            if last == Some(unit) || self.by_name.contains_key(&**unit) {
                continue;
            }
            last = Some(unit);
            findings.next_document();
            let place = Place { file: Arc::clone(&file.path), line: 1, column: 1, width: 1 };
            let help = findings.nearest(unit, self.by_name.keys().copied()).unwrap_or_else(|| {
                format!("write `kind: Unit` with `metadata: {{name: {unit}}}` under policies/")
            });
            let message = format!("the folder `routes/{unit}` has no Unit, though others have one");
            findings.advise(Code::MissingUnit, &place, message, help);
        }
    }

    /// Whether a route lies on the ground of its unit.
    pub(super) fn ground(&self, template: &RouteTemplate, matching: Option<&Match>, findings: &mut Findings) {
        let unit = &*template.metadata.unit;
        let (Some(known), Some(matching)) = (self.by_name.get(unit), matching) else { return };
        if known.template.unread.contains(&"owns") {
            return;
        }
        let covers = |host: Option<&str>| {
            known.ground.iter().any(|ground| ground.has_host(host) && ground.has_path(&matching.path))
        };
        let outside: Option<String> = if matching.hosts.is_empty() {
            (!covers(None)).then(|| template.matching.path.value.clone())
        } else {
            let host = matching.hosts.iter().find(|host| !covers(Some(host.trim_end_matches('.'))));
            host.map(|host| format!("{host}{}", template.matching.path.value))
        };
        let Some(outside) = outside else { return };
        let mut owned: Vec<String> = known.ground.iter().map(Ground::shown).collect();
        owned.truncate(8);
        let help = if owned.is_empty() {
            "it owns none; `owns` of its Unit says where its routes may lie".to_owned()
        } else {
            format!("it owns {}; what comes before the end of a prefix is written out", owned.join(", "))
        };
        let name = &known.template.metadata.name;
        findings.push(
            Diagnostic::new(
                Code::OffGround,
                template.matching.path.place.clone(),
                format!("`{outside}` does not lie on the ground of the unit `{unit}`"),
            )
            .help(help)
            .related(name.place.clone(), "its Unit"),
        );
    }

    /// Whether all that a Service names is granted to its unit.
    pub(super) fn grants(&self, template: &ServiceTemplate, findings: &mut Findings) {
        let Some(known) = self.by_name.get(&*template.metadata.unit) else { return };
        findings.next_document();
        if known.template.unread.contains(&"grants") {
            return;
        }
        for endpoint in &template.endpoints {
            let url = &endpoint.url;
            match &url.value {
                UrlTemplate::Text(text) => known.reaches(text, &url.place, findings),
                UrlTemplate::Env { name, default } => {
                    known.reads(name, &url.place, findings);
                    if let Some(text) = default {
                        known.reaches(text, &url.place, findings);
                    }
                }
            }
        }
        for (_, source) in &template.headers {
            if let HeaderSource::Secret(SecretTemplate::Env { name, .. }) = &source.value {
                known.reads(name, &source.place, findings);
            }
        }
    }
}

impl Known<'_> {
    fn reads(&self, variable: &str, place: &Place, findings: &mut Findings) {
        if self.template.unread.contains(&"secrets") {
            return;
        }
        let granted = self.template.grants.secrets.iter().any(|grant| match grant.strip_suffix('*') {
            Some(stem) => variable.starts_with(stem),
            None => grant.value == variable,
        });
        if !granted {
            let what = format!("the environment variable `{variable}`");
            let help = format!("IT can grant it in the Unit: grants: {{secrets: [{variable}]}}");
            self.refuse(&what, help, place, findings);
        }
    }

    fn reaches(&self, url: &str, place: &Place, findings: &mut Findings) {
        let Some(host) = host(url).filter(|_| !self.template.unread.contains(&"egress")) else { return };
        if !self.template.grants.egress.iter().any(|grant| grant.value.covers(host)) {
            let help = if EgressTemplate::parse(host).is_some() {
                // What has a colon is no plain scalar everywhere.
                let shown = if host.contains(':') { format!("\"{host}\"") } else { host.to_owned() };
                format!("IT can grant it in the Unit: grants: {{egress: [{shown}]}}")
            } else {
                "write the address in full, four numbers with dots between; IT can grant that in the Unit"
                    .to_owned()
            };
            self.refuse(&format!("the host `{host}`"), help, place, findings);
        }
    }

    fn refuse(&self, what: &str, help: String, place: &Place, findings: &mut Findings) {
        let name = &self.template.metadata.name;
        let message = format!("{what} is not granted to the unit `{}`", name.value);
        findings.push(
            Diagnostic::new(Code::NotGranted, place.clone(), message)
                .help(help)
                .related(name.place.clone(), "its Unit"),
        );
    }
}

impl Ground<'_> {
    fn overlaps(&self, other: &Self) -> bool {
        let hosts = match (self.host, other.host) {
            (Some(a), Some(b)) => a == b || below(a, b) || below(b, a),
            _ => true,
        };
        hosts && self.prefix.iter().zip(&other.prefix).all(|(a, b)| a.eq_ignore_ascii_case(b))
    }

    /// Whether it has every request that a route with this host pattern may get.
    fn has_host(&self, host: Option<&str>) -> bool {
        match (self.host, host) {
            (None, _) => true,
            (Some(own), Some(host)) => own == host || below(own, host),
            (Some(_), None) => false,
        }
    }

    fn has_path(&self, path: &PathPattern) -> bool {
        path.segments.len() >= self.prefix.len()
            && self.prefix.iter().zip(&path.segments).all(|(own, segment)| match segment {
                Segment::Literal(text) => text == own,
                Segment::Capture(_) | Segment::Rest(_) => false,
            })
    }

    fn shown(&self) -> String {
        format!("{}{}", self.host.unwrap_or_default(), self.text)
    }
}

/// Whether the pattern `*.example.com` has the host or the narrower pattern.
fn below(pattern: &str, host: &str) -> bool {
    pattern.strip_prefix('*').is_some_and(|suffix| {
        let host = host.strip_prefix('*').unwrap_or(host);
        host.len() >= suffix.len() && host.ends_with(suffix)
    })
}

/// The segments of a prefix in canonical form. A trailing slash says nothing more.
fn prefix(text: &Spanned<String>, findings: &mut Findings) -> Option<Vec<String>> {
    let (pattern, captures) = path::pattern(text);
    if let Some(Capture { name, .. }) = captures.first() {
        let message = format!("a prefix is written out; `{{{name}}}` could stand for another's ground");
        findings.advise(Code::InvalidPath, &text.place, message, "write /customers");
        return None;
    }
    let pattern = pattern.map_err(|faults| service::report(text, faults, findings)).ok()?;
    let mut segments: Vec<String> = pattern
        .segments
        .into_iter()
        .map(|segment| match segment {
            Segment::Literal(text) | Segment::Capture(text) | Segment::Rest(text) => text,
        })
        .collect();
    if segments.last().is_some_and(String::is_empty) {
        segments.pop();
    }
    Some(segments)
}

/// The host of a URL whose form has been checked.
fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    // One with credentials has had its finding.
    let authority = rest.split('/').next().filter(|authority| !authority.contains('@'))?;
    match authority.strip_prefix('[') {
        Some(inner) => inner.split(']').next(),
        None => authority.split(':').next(),
    }
}
