//! `kind: PolicyBinding`: which routes Policies hold for, and whether a unit may do without.

use super::{
    Metadata, Spanned,
    consumer::labels,
    decode::{Decoder, Fields},
    document::document_keys,
    keys::{Object, Shape, optional, required},
    value::is_name,
    yaml::Value,
};
use crate::diagnostic::{Code, Place};

/// `kind: PolicyBinding`
pub(super) static BINDING: Object = Object {
    name: "a PolicyBinding",
    keys: document_keys![
        required(
            "mode",
            Shape::Word(&["mandatory", "default"]),
            "Whether routes may only tighten what is bound, or it holds where they say nothing."
        ),
        optional(
            "select",
            Shape::Object(&SELECT),
            "Which routes; all that is given must hold. None: every route."
        ),
        required("policies", Shape::List(&Shape::Name), "The Policies that are bound."),
    ],
    one_of: &[],
    open: false,
};

static SELECT: Object = Object {
    name: "select",
    keys: &[
        optional("units", Shape::List(&Shape::Name), "Routes of these units."),
        optional("unitLabels", Shape::Map(&Shape::Text), "Routes of units with these labels."),
        optional("routes", Shape::List(&Shape::Text), "Routes by name: `retail/*`, `retail/cart`, `*`."),
        optional(
            "labels",
            Shape::Map(&Shape::Text),
            "Routes with these labels, which units write themselves; only with `mode: default`.",
        ),
    ],
    one_of: &[],
    open: false,
};

/// A PolicyBinding document.
#[derive(Clone, Debug)]
pub struct BindingTemplate {
    /// Its metadata.
    pub metadata: Metadata,
    /// `mode: mandatory`, or else `default`.
    pub mandatory: bool,
    /// `select`
    pub select: SelectTemplate,
    /// `policies`
    pub policies: Vec<Spanned<String>>,
    /// Keys that are misspelt or cannot be read, so that what stands under them is not known.
    pub unread: Vec<&'static str>,
}

/// `select`: what is given must all hold.
#[derive(Clone, Debug, Default)]
pub struct SelectTemplate {
    /// Where it stands.
    pub place: Option<Place>,
    /// `units`
    pub units: Option<Vec<Spanned<String>>>,
    /// `unitLabels`
    pub unit_labels: Vec<(String, String)>,
    /// `routes`: `unit/name`, with `*` for any run of characters but `/`.
    pub routes: Option<Vec<Spanned<String>>>,
    /// `labels`
    pub labels: Vec<(String, String)>,
}

impl BindingTemplate {
    pub(super) fn decode(decoder: &mut Decoder<'_>, metadata: Metadata, fields: &Fields<'_>) -> Self {
        // What cannot be read binds: a misspelt mode must not open anything.
        let mandatory = decoder.word(fields, "mode") != Some("default");
        let mut unread = fields.misspelt(&["select", "policies"]);
        let before = decoder.count_findings();
        let select = select(decoder, fields, mandatory);
        if decoder.count_findings() > before {
            unread.push("select");
        }
        let before = decoder.count_findings();
        let policies = names(decoder, fields, "policies");
        if decoder.count_findings() > before {
            unread.push("policies");
        }
        Self { metadata, mandatory, select, policies, unread }
    }
}

fn select(decoder: &mut Decoder<'_>, fields: &Fields<'_>, mandatory: bool) -> SelectTemplate {
    let place = fields.key_place("select").clone();
    let Some(fields) = &decoder.object(fields, "select") else { return SelectTemplate::default() };
    if mandatory && fields.get("labels").is_some() {
        decoder.invalid(
            fields.key_place("labels"),
            "a mandate cannot be bound by `labels`: a unit writes them itself and could step aside",
            "select by `units`, `unitLabels` or `routes`, or use `mode: default`",
        );
    }
    SelectTemplate {
        place: Some(place),
        units: fields.get("units").map(|_| names(decoder, fields, "units")),
        unit_labels: labels(decoder, fields, "unitLabels"),
        routes: fields.get("routes").map(|_| routes(decoder, fields)),
        labels: labels(decoder, fields, "labels"),
    }
}

/// A list of names that is not empty, each once.
pub(super) fn names(decoder: &mut Decoder<'_>, fields: &Fields<'_>, key: &str) -> Vec<Spanned<String>> {
    let mut names: Vec<Spanned<String>> = Vec::new();
    for node in decoder.list(fields, key) {
        let Some(name) = decoder.text_of(key, node) else { continue };
        decoder.check_name(&name);
        if names.contains(&name) {
            let message = format!("`{}` stands in `{key}` twice", name.value);
            decoder.report(Code::DuplicateName, &name.place, message, "remove one");
            continue;
        }
        names.push(name);
    }
    if let Some(node) = fields.get(key)
        && matches!(&node.value, Value::List(items) if items.is_empty())
    {
        decoder.invalid(&node.place, format!("`{key}` is empty"), "name at least one, or remove it");
    }
    names
}

fn routes(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<Spanned<String>> {
    let mut patterns = Vec::new();
    for node in decoder.list(fields, "routes") {
        let Some(text) = decoder.text_of("routes", node) else { continue };
        if is_pattern(&text) {
            patterns.push(text);
        } else {
            let message = format!("`{}` matches no route's name", text.value);
            decoder.invalid(&text.place, message, "routes are UNIT/NAME: retail/cart, retail/*, */status");
        }
    }
    if let Some(node) = fields.get("routes")
        && matches!(&node.value, Value::List(items) if items.is_empty())
    {
        decoder.invalid(&node.place, "`routes` is empty", "name at least one, or remove it");
    }
    patterns
}

/// `unit/name`, each with `*` in it maybe; `*` alone is every route.
fn is_pattern(text: &str) -> bool {
    let part = |part: &str| is_name(&part.replace('*', "x"));
    text == "*" || text.split_once('/').is_some_and(|(unit, name)| part(unit) && part(name))
}
