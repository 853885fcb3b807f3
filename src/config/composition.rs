//! `kind: Composition`: steps that others call by name.

use super::{
    Metadata, Node, Spanned,
    decode::{Decoder, Fields},
    document::document_keys,
    keys::{Object, Shape, optional, required},
    parameter::{PARAMETER, ParameterTemplate, parameters},
    route::vars,
    step::{STEP, StepTemplate, steps},
};

/// `kind: Composition`
pub(super) static COMPOSITION: Object = Object {
    name: "a Composition",
    keys: document_keys![
        optional("visibility", Shape::Word(&["unit", "all"]), "Who may call it (unit)."),
        optional(
            "input",
            Shape::Map(&Shape::Object(&PARAMETER)),
            "What callers give: a JSON Schema per value."
        ),
        optional("vars", Shape::Map(&Shape::Value), "Named values, evaluated once, on first use."),
        optional(
            "steps",
            Shape::Map(&Shape::Object(&STEP)),
            "The calls; their order follows from what they read."
        ),
        required("output", Shape::Value, "What callers read as `steps.NAME.output`."),
    ],
    one_of: &[],
    open: false,
};

/// A Composition document.
#[derive(Clone, Debug)]
pub struct CompositionTemplate {
    /// Its metadata.
    pub metadata: Metadata,
    /// `visibility: all` (unit)
    pub visible_to_all: bool,
    /// `input`, in file order.
    pub input: Vec<ParameterTemplate>,
    /// `vars`, in file order.
    pub vars: Vec<(Spanned<String>, Node)>,
    /// `steps`, in file order.
    pub steps: Vec<StepTemplate>,
    /// Keys that are misspelt, so that what stands under them is not known.
    pub unread: Vec<&'static str>,
    /// `output`
    pub output: Option<Node>,
}

impl CompositionTemplate {
    pub(super) fn decode(decoder: &mut Decoder<'_>, metadata: Metadata, fields: &Fields<'_>) -> Self {
        if let Some(version) = &metadata.version
            && metadata.major().is_none()
        {
            let message = format!("`{version}` has no major version");
            let help = "a Composition's version starts with a number: 2.3.0";
            decoder.invalid(&metadata.name.place, message, help);
        }
        let entries = decoder.map(fields, "input");
        let input = parameters(decoder, entries);
        for parameter in &input {
            decoder.check_identifier("an input", &parameter.name);
        }
        Self {
            metadata,
            visible_to_all: decoder.word(fields, "visibility") == Some("all"),
            input,
            vars: vars(decoder, fields),
            steps: steps(decoder, fields),
            output: fields.get("output").cloned(),
            unread: fields.misspelt(&["steps", "vars", "input"]),
        }
    }
}
