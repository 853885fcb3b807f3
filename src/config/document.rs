//! What all documents have in common: which file is a template, apiVersion, kind, metadata, names.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Metadata, Node, SourceFile, Spanned, Templates, Tree,
    binding::{BINDING, BindingTemplate},
    composition::{COMPOSITION, CompositionTemplate},
    consumer::{CONSUMER, ConsumerTemplate},
    decode::{Decoder, Fields},
    gateway::{GATEWAY, GatewayTemplate},
    keys::{KINDS, Object, Owner, Shape, optional, required},
    policy::{POLICY, PolicyTemplate},
    route::{ROUTE, RouteTemplate},
    service::{SERVICE, ServiceTemplate},
    unit::{UNIT, UnitTemplate},
    value::{NAME_FORM, is_name},
    yaml::{self, Budget, Value},
};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Place, nearest};

/// How many findings of each severity one file may add, so that it does not hide those of others.
const PER_FILE: usize = 500;

/// The version this program reads.
pub(super) const API_VERSION: &str = "segue/v1";

/// `metadata`
pub(super) static METADATA: Object = Object {
    name: "metadata",
    keys: &[
        required("name", Shape::Name, "The document's name: lower-case letters, digits and `-`."),
        required("owner", Shape::Text, "The team that answers for it."),
        optional("version", Shape::Text, "The version of what it describes."),
        optional("description", Shape::Text, "One line for people."),
        optional("labels", Shape::Map(&Shape::Text), "Free labels."),
        optional("unit", Shape::Name, "The unit: the first folder under `routes/`, which it only repeats."),
    ],
    one_of: &[],
    open: false,
};

/// The table of a document: what every kind has, and its own keys.
macro_rules! document_keys {
    ($($key:expr),* $(,)?) => {
        &[
            $crate::config::keys::required("apiVersion", $crate::config::keys::Shape::Word(&["segue/v1"]), "The version of the format."),
            $crate::config::keys::required("kind", $crate::config::keys::Shape::Text, "What the document is."),
            $crate::config::keys::required(
                "metadata",
                $crate::config::keys::Shape::Object(&$crate::config::document::METADATA),
                "What the document says of itself.",
            ),
            $($key),*
        ]
    };
}
pub(super) use document_keys;

/// Decodes every document of the tree.
pub(super) fn parse(tree: &Tree, findings: &mut Diagnostics) -> Templates {
    let mut all = Reading {
        templates: Templates::default(),
        names: BTreeMap::new(),
        named: BTreeSet::new(),
        idle: Vec::new(),
        policies_unread: tree.broken.iter().any(|unit| unit.is_empty()),
        unit: None,
    };
    all.templates.unread.extend(tree.broken.iter().cloned());
    let mut budget = Budget::default();
    for file in tree.files.iter().filter(|file| !is_test(&file.path)) {
        all.file(tree, file, &mut budget, findings);
    }
    all.unnamed(tree, findings);
    all.gateway_count(tree, findings);
    let known = |path: &&String| tree.text(path).is_none() && tree.other(path).is_none();
    all.templates.elsewhere = all.named.iter().filter(known).cloned().collect();
    all.templates.unread.sort();
    all.templates.unread.dedup();
    all.templates
}

/// What is collected over the files.
struct Reading {
    templates: Templates,
    /// Where each name stands, by kind and unit.
    names: BTreeMap<(&'static str, Arc<str>, String), Place>,
    named: BTreeSet<String>,
    /// YAML files that are no templates, and where that shows.
    idle: Vec<(Arc<str>, Place)>,
    policies_unread: bool,
    /// The unit of the last file.
    unit: Option<Arc<str>>,
}

impl Reading {
    fn file(&mut self, tree: &Tree, file: &SourceFile, budget: &mut Budget, findings: &mut Diagnostics) {
        let mut own = Diagnostics::default();
        let unit = file.unit.clone().unwrap_or_else(|| "".into());
        // The first document that can be read says whether the file is a template. If there is none, or
        // one before it is broken, the file is taken for a template, so that its errors are seen.
        let mut other = None;
        let mut first = true;
        let whole =
            yaml::read(&file.path, &file.text, budget, &mut own, &mut |node, after_failure, found| {
                if std::mem::take(&mut first) && !after_failure && !is_template(&node) {
                    other = Some(node.get("apiVersion").unwrap_or(&node).place.clone());
                }
                if other.is_none() {
                    let unit = unit.clone();
                    let granted = granted(&self.templates, &unit);
                    let named = &mut self.named;
                    let mut decoder =
                        Decoder { findings: found, tree, file: &file.path, unit, granted, named };
                    document(&mut decoder, &node, &mut self.templates, &mut self.names);
                }
            });
        if whole && first {
            other = Some(top(&file.path));
        }
        if let Some(place) = other {
            self.idle.push((file.path.clone(), place));
            return;
        }
        if !whole {
            self.policies_unread |= file.unit.is_none();
            self.templates.unread.push(unit);
        }
        if file.unit.is_none() && file.path.starts_with("routes/") {
            own.push(
                Diagnostic::new(
                    Code::UnknownUnit,
                    top(&file.path),
                    "a template lies directly in `routes/`, in no unit",
                )
                .help("move it into the folder of its unit: routes/UNIT/"),
            );
        }
        self.check_unit_name(file, &mut own);
        findings.extend_up_to(PER_FILE, own);
    }

    /// A unit's name is part of references and labels, so it has the form of names. One finding per unit.
    fn check_unit_name(&mut self, file: &SourceFile, findings: &mut Diagnostics) {
        let Some(unit) = &file.unit else { return };
        if self.unit.as_ref() != Some(unit) && !is_name(unit) {
            findings.push(
                Diagnostic::new(
                    Code::InvalidName,
                    top(&file.path),
                    format!("the folder `{unit}` is no name of a unit"),
                )
                .help(NAME_FORM),
            );
        }
        self.unit = Some(unit.clone());
    }

    /// Warns of files that no template names.
    fn unnamed(&mut self, tree: &Tree, findings: &mut Diagnostics) {
        for (path, place) in self.idle.drain(..) {
            if !self.named.contains(&*path) {
                findings.push(
                    Diagnostic::new(
                        Code::UnnamedFile,
                        place,
                        "the file is no template and no template names it",
                    )
                    .help(format!("a template's first document has `apiVersion: {API_VERSION}`")),
                );
            }
        }
        for other in tree.others.iter().filter(|other| !self.named.contains(&*other.path)) {
            findings.push(
                Diagnostic::new(Code::UnnamedFile, top(&other.path), "no template names this file")
                    .help("name it in a template, or move it out of the tree"),
            );
        }
    }

    fn gateway_count(&self, tree: &Tree, findings: &mut Diagnostics) {
        let gateways = &self.templates.gateways;
        if let Some((first, more)) = gateways.split_first() {
            for second in more {
                findings.push(
                    Diagnostic::new(
                        Code::GatewayCount,
                        second.metadata.place.clone(),
                        "there is more than one Gateway",
                    )
                    .help("keep exactly one")
                    .related(first.metadata.place.clone(), "the first one"),
                );
            }
        } else if !self.policies_unread {
            // Point at a file that is there, so that the finding can be opened.
            let policies = tree.files.iter().find(|file| file.path.starts_with("policies/"));
            let place = top(policies.map_or("policies", |file| &*file.path));
            findings.push(
                Diagnostic::new(Code::GatewayCount, place, "there is no Gateway")
                    .help("write one document with `kind: Gateway` under policies/"),
            );
        }
    }
}

/// The folders that a unit may name files in besides its own. Units come before what lies in `routes/`.
fn granted(templates: &Templates, unit: &str) -> Vec<String> {
    let found = templates.units.iter().find(|known| known.metadata.name.value == unit);
    let found = found.filter(|_| !unit.is_empty());
    found.map_or_else(Vec::new, |known| known.grants.files.iter().map(|path| path.value.clone()).collect())
}

/// Tests lie beside the templates and are named by nothing.
pub(super) fn is_test(path: &str) -> bool {
    path.ends_with(".test.yaml") || path.ends_with(".test.yml")
}

/// The start of a file, for findings about the file itself.
pub(super) fn top(path: &str) -> Place {
    Place { file: path.into(), line: 1, column: 1, width: 1 }
}

fn is_template(node: &Node) -> bool {
    let version = node.get("apiVersion").map(|node| &node.value);
    matches!(version, Some(Value::Text(text)) if text.starts_with("segue/"))
}

fn document(
    decoder: &mut Decoder<'_>,
    node: &Node,
    templates: &mut Templates,
    names: &mut BTreeMap<(&'static str, Arc<str>, String), Place>,
) {
    if !matches!(node.value, Value::Map(_)) {
        decoder.wrong_type("document", "a map", node);
        return;
    }
    let Some(kind) = kind(decoder, node) else {
        // Whatever it was meant to be, what it would have named is not missing.
        templates.unread.push(decoder.unit.clone());
        return;
    };
    let table = match kind.value {
        "Gateway" => &GATEWAY,
        "Unit" => &UNIT,
        "Consumer" => &CONSUMER,
        "Policy" => &POLICY,
        "PolicyBinding" => &BINDING,
        "Service" => &SERVICE,
        "Composition" => &COMPOSITION,
        _ => &ROUTE,
    };
    let Some(fields) = decoder.fields("document", table, node, &kind.place) else { return };
    decoder.word_version(&fields);
    let metadata = metadata(decoder, &fields, &kind.place);
    unique(decoder, kind.value, &metadata, names);
    match kind.value {
        "Gateway" => templates.gateways.push(GatewayTemplate::decode(decoder, metadata, &fields)),
        "Unit" => templates.units.push(UnitTemplate::decode(decoder, metadata, &fields)),
        "Consumer" => templates.consumers.push(ConsumerTemplate::decode(decoder, metadata, &fields)),
        "Policy" => templates.policies.push(PolicyTemplate::decode(decoder, metadata, &fields)),
        "PolicyBinding" => templates.bindings.push(BindingTemplate::decode(decoder, metadata, &fields)),
        "Service" => templates.services.push(ServiceTemplate::decode(decoder, metadata, &fields)),
        "Composition" => {
            templates.compositions.push(CompositionTemplate::decode(decoder, metadata, &fields));
        }
        _ => templates.routes.push(RouteTemplate::decode(decoder, metadata, &fields)),
    }
}

/// The kind, if it works in this version and stands in its own tree.
fn kind(decoder: &mut Decoder<'_>, node: &Node) -> Option<Spanned<&'static str>> {
    let Some(written) = node.get("kind") else {
        let help = format!("`kind` is one of {}", words(KINDS.iter().map(|(name, ..)| *name)));
        decoder.report(Code::MissingKey, &node.place, "a document needs `kind`", help);
        return None;
    };
    let text = decoder.text_of("kind", written)?;
    let Some((name, owner, works)) = KINDS.iter().find(|(name, ..)| *name == text.value) else {
        let help = nearest(&text, KINDS.iter().map(|(name, ..)| *name)).map_or_else(
            || format!("one of {}", words(KINDS.iter().map(|(name, ..)| *name))),
            |near| format!("did you mean `{near}`?"),
        );
        decoder.report(Code::UnknownKind, &text.place, format!("there is no kind `{}`", text.value), help);
        return None;
    };
    let here = if decoder.file.starts_with("routes/") { Owner::Routes } else { Owner::Policies };
    if here != *owner {
        let message = format!("a {name} does not belong under `{}`", here.folder());
        decoder.report(Code::WrongTree, &text.place, message, format!("move it to `{}`", owner.folder()));
        return None;
    }
    if !works {
        decoder.not_yet(&text.place, &format!("the kind `{name}`"));
        return None;
    }
    Some(Spanned { value: name, place: text.place })
}

fn words<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

impl Decoder<'_> {
    fn word_version(&mut self, fields: &Fields<'_>) {
        let Some(node) = fields.get("apiVersion") else { return };
        if !matches!(&node.value, Value::Text(text) if text == API_VERSION) {
            let help = format!("this program reads `{API_VERSION}`");
            self.report(Code::ApiVersion, &node.place, "this apiVersion is not known", help);
        }
    }
}

fn metadata(decoder: &mut Decoder<'_>, fields: &Fields<'_>, kind: &Place) -> Metadata {
    let mut found = Metadata {
        name: Spanned { value: String::new(), place: kind.clone() },
        owner: String::new(),
        version: None,
        description: None,
        labels: Vec::new(),
        unit: decoder.unit.clone(),
        place: kind.clone(),
    };
    let Some(fields) = decoder.object(fields, "metadata") else { return found };
    if let Some(name) = decoder.text(&fields, "name") {
        decoder.check_name(&name);
        found.name = name;
    }
    if let Some(owner) = decoder.text(&fields, "owner") {
        if owner.trim().is_empty() {
            decoder.invalid(&owner.place, "`owner` is empty", "name the team that answers for it");
        }
        found.owner = owner.value;
    }
    found.version = decoder.text(&fields, "version").map(|text| text.value);
    found.description = decoder.text(&fields, "description").map(|text| text.value);
    for (name, value) in decoder.map(&fields, "labels") {
        if let Some(text) = decoder.text_of(&name.value, value) {
            found.labels.push((name.value.clone(), text.value));
        }
    }
    if let Some(unit) = decoder.text(&fields, "unit")
        && *unit.value != *decoder.unit
    {
        let message = format!("`{}` is not the unit of this file", unit.value);
        let help = if decoder.unit.is_empty() {
            "remove `unit`: what lies under policies/ belongs to no unit".to_owned()
        } else {
            format!("the unit is the first folder under routes/: `{}`", decoder.unit)
        };
        decoder.report(Code::UnknownUnit, &unit.place, message, help);
    }
    found
}

fn unique(
    decoder: &mut Decoder<'_>,
    kind: &'static str,
    metadata: &Metadata,
    names: &mut BTreeMap<(&'static str, Arc<str>, String), Place>,
) {
    if metadata.name.is_empty() {
        return;
    }
    // A Composition may exist once per major version.
    let version = (kind == "Composition").then(|| metadata.major()).flatten();
    let version = version.map_or_else(String::new, |major| format!("@{major}"));
    let key = (kind, metadata.unit.clone(), format!("{}{version}", metadata.name.value));
    let Some(first) = names.get(&key) else {
        names.insert(key, metadata.name.place.clone());
        return;
    };
    // Every second Gateway has a finding of its own.
    if kind != "Gateway" {
        decoder.findings.push(
            Diagnostic::new(
                Code::DuplicateName,
                metadata.name.place.clone(),
                format!("there is another {kind} `{}{version}` in this unit", metadata.name.value),
            )
            .help(if kind == "Composition" {
                "give one of them another name, or another major version"
            } else {
                "give one of them another name"
            })
            .related(first.clone(), "the first one"),
        );
    }
}
