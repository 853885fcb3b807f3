//! Services and their operations: indexed once, resolved by name with visibility and "did you mean".

use std::{collections::HashMap, sync::Arc};

use http::{HeaderValue, Method};

use super::{
    findings::Findings,
    path::{self, Fault, Piece},
    unit::Units,
};
use crate::{
    config::{
        Spanned, Templates,
        service::{HeaderSource, ServiceTemplate},
        unit::EgressTemplate,
    },
    diagnostic::{Code, Diagnostic, Place},
    id::ServiceId,
    plan::{Service, reads},
};

/// Every Service of a tree by name.
pub(super) struct Services<'t> {
    templates: &'t [ServiceTemplate],
    /// Units in which a name that is missing may stand in a document that could not be read.
    unread: &'t [Arc<str>],
    by_name: HashMap<(&'t str, &'t str), usize>,
    /// For "did you mean": the services of a unit, and the first open one of each name.
    by_unit: HashMap<&'t str, Vec<usize>>,
    open: HashMap<&'t str, usize>,
    operations: Vec<HashMap<&'t str, Operation>>,
}

/// An operation, ready to be called.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) safe: bool,
    /// Nothing when the path has a finding of its own.
    pub(super) path: Option<Vec<Piece>>,
    /// As written, to be named in findings.
    pub(super) text: String,
}

/// What a `call` names.
pub(super) struct Target<'s> {
    pub(super) service: ServiceId,
    pub(super) operation: &'s Operation,
}

/// Whether a call only reads, so that order does not matter and it may be dropped.
pub(super) fn is_safe(method: &Method, declared: bool) -> bool {
    declared || reads(method)
}

impl<'t> Services<'t> {
    pub(super) fn index(all: &'t Templates, findings: &mut Findings) -> Self {
        let templates = all.services.as_slice();
        let mut by_name: HashMap<(&str, &str), usize> = HashMap::with_capacity(templates.len());
        let mut by_unit: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut open = HashMap::new();
        let mut operations = Vec::with_capacity(templates.len());
        for (index, template) in templates.iter().enumerate() {
            findings.next_document();
            let (unit, name) = (&*template.metadata.unit, template.metadata.name.value.as_str());
            by_name.entry((unit, name)).or_insert(index);
            by_unit.entry(unit).or_default().push(index);
            if template.visible_to_all {
                open.entry(name).or_insert(index);
            }
            for (header, source) in &template.headers {
                if let HeaderSource::Text(text) = &source.value
                    && HeaderValue::from_str(text).is_err()
                {
                    let message = format!("the value of `{}` is not one a header can have", header.value);
                    findings.error(Code::InvalidValue, &source.place, message);
                }
            }
            operations.push(
                template
                    .operations
                    .iter()
                    .map(|template| {
                        let path = path::template(&template.path)
                            .map_err(|faults| report(&template.path, faults, findings))
                            .ok();
                        let operation = Operation {
                            method: template.method.clone(),
                            safe: is_safe(&template.method, template.safe),
                            path,
                            text: template.path.value.clone(),
                        };
                        (template.name.value.as_str(), operation)
                    })
                    .collect(),
            );
        }
        Self { templates, unread: &all.unread, by_name, by_unit, open, operations }
    }

    /// The Service that `name` or `unit/name` means in `unit`.
    pub(super) fn service(
        &self,
        name: &str,
        place: &Place,
        unit: &str,
        findings: &mut Findings,
    ) -> Option<ServiceId> {
        let (home, local) = name.split_once('/').unwrap_or((unit, name));
        let Some(&index) = self.by_name.get(&(home, local)) else {
            // An empty name stands for one that is missing, which is a finding already.
            if name.is_empty() || self.unread.iter().any(|unit| &**unit == home) {
                return None;
            }
            let mut finding =
                Diagnostic::new(Code::UnknownService, place.clone(), format!("no Service `{name}`"));
            finding.help = self.suggestion(home, local, unit, findings);
            findings.push(finding);
            return None;
        };
        let template = &self.templates[index];
        if home != unit && !template.visible_to_all {
            let message = format!("`{name}` is visible to its own unit only");
            findings.push(
                Diagnostic::new(Code::NotVisible, place.clone(), message)
                    .help(format!(
                        "`visibility: all` in the Service, which `{}` owns, opens it",
                        template.metadata.owner
                    ))
                    .related(template.metadata.name.place.clone(), "defined here"),
            );
            return None;
        }
        Some(ServiceId::from(index))
    }

    /// Whether the operation that `SERVICE.OPERATION` means only reads, without a finding if there is none.
    pub(super) fn is_safe(&self, call: &str, unit: &str) -> Option<bool> {
        let (service, operation) = call.split_once('.')?;
        let (home, local) = service.split_once('/').unwrap_or((unit, service));
        let index = *self.by_name.get(&(home, local))?;
        self.operations[index].get(operation).map(|operation| operation.safe)
    }

    /// The operation that `SERVICE.OPERATION` means in `unit`.
    pub(super) fn operation(
        &self,
        call: &Spanned<String>,
        unit: &str,
        findings: &mut Findings,
    ) -> Option<Target<'_>> {
        if call.is_empty() {
            return None;
        }
        let Some((service, name)) = call.split_once('.') else {
            findings.advise(
                Code::UnknownOperation,
                &call.place,
                format!("`{}` names no operation", call.value),
                "write `SERVICE.OPERATION`, or use `http` to call without one",
            );
            return None;
        };
        let service_id = self.service(service, &call.place, unit, findings)?;
        let operations = &self.operations[service_id.index()];
        let Some(operation) = operations.get(name) else {
            let message = format!("Service `{service}` has no operation `{name}`");
            let mut finding = Diagnostic::new(Code::UnknownOperation, call.place.clone(), message);
            let template = &self.templates[service_id.index()];
            let known = template.operations.iter().map(|operation| operation.name.value.as_str());
            finding.help = findings.nearest(name, known);
            findings.push(finding.related(template.metadata.name.place.clone(), "the Service"));
            return None;
        };
        Some(Target { service: service_id, operation })
    }

    /// The same name elsewhere if it may be used, else the nearest name of that unit.
    fn suggestion(&self, home: &str, local: &str, unit: &str, findings: &mut Findings) -> Option<String> {
        if home != unit && self.by_name.contains_key(&(unit, local)) {
            return Some(format!("did you mean `{local}`?"));
        }
        if let Some(open) = self.open.get(local) {
            return Some(format!("did you mean `{}/{local}`?", self.templates[*open].metadata.unit));
        }
        let known = self.by_unit.get(home).into_iter().flatten().map(|index| &self.templates[*index]);
        let usable = known.filter(|template| home == unit || template.visible_to_all);
        let near = findings.nearest(local, usable.map(|template| template.metadata.name.value.as_str()))?;
        Some(if home == unit { near } else { near.replacen('`', &format!("`{home}/"), 1) })
    }

    /// The plan's table, in the order of ids.
    pub(super) fn plan(&self, units: &Units<'_>) -> Box<[Service]> {
        self.templates.iter().map(|template| plan(template, units.egress(&template.metadata.unit))).collect()
    }
}

fn plan(template: &ServiceTemplate, egress: Option<Arc<[EgressTemplate]>>) -> Service {
    let metadata = &template.metadata;
    Service {
        name: Arc::from(format!("{}/{}", metadata.unit, metadata.name.value)),
        place: metadata.name.place.clone(),
        asset: template.asset,
        endpoints: template
            .endpoints
            .iter()
            .map(|endpoint| {
                let url = &endpoint.url;
                (url.value.clone(), endpoint.weight, endpoint.priority, url.place.clone())
            })
            .collect(),
        egress,
        protocol: template.protocol,
        timeout: template.timeout,
        connect_timeout: template.connect_timeout,
        balance: template.balance,
        in_flight: template.in_flight,
        idle_per_endpoint: template.idle_per_endpoint,
        max_age: template.max_age,
        tls: template.tls.clone().unwrap_or_default(),
        headers: template
            .headers
            .iter()
            .map(|(name, source)| (name.value.clone(), source.value.clone(), source.place.clone()))
            .collect(),
    }
}

/// Faults of a path written in one line, each inside it.
pub(super) fn report(path: &Spanned<String>, faults: Vec<Fault>, findings: &mut Findings) {
    // A quoted scalar is wider than its value by the quotes.
    let width = path.value.chars().count();
    let quote = u32::from(path.place.width as usize == width + 2);
    let exact = path.place.width as usize <= width + 2 && path.place.width as usize >= width;
    for fault in faults {
        let mut place = path.place.clone();
        if exact {
            let count =
                |text: Option<&str>| u32::try_from(text.map_or(0, |text| text.chars().count())).unwrap_or(0);
            place.column += quote + count(path.get(..fault.offset));
            place.width = count(path.get(fault.offset..fault.offset + fault.len)).max(1);
        }
        let mut finding = Diagnostic::new(Code::InvalidPath, place, fault.message);
        finding.help = fault.help.map(str::to_owned);
        findings.push(finding);
    }
}
