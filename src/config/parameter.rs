//! A declared value: a JSON Schema, whether it must be there, and what holds when it is not.

use super::{
    Node, Spanned,
    decode::Decoder,
    json_schema::{SchemaTemplate, json},
    keys::{Object, Shape, optional},
    yaml::Value,
};

/// A parameter of a request, an input of a Composition. Its other keys are JSON Schema's.
pub(super) static PARAMETER: Object = Object {
    name: "a parameter",
    keys: &[
        optional("type", Shape::Value, "Its JSON type (string)."),
        optional("required", Shape::Value, "`true`: it must be there (false)."),
        optional("default", Shape::Value, "What holds when it is not there."),
    ],
    one_of: &[],
    open: true,
};

/// A declared value.
#[derive(Clone, Debug)]
pub struct ParameterTemplate {
    /// Its name.
    pub name: Spanned<String>,
    /// Its schema, with `type: string` where it names none.
    pub schema: SchemaTemplate,
    /// `required: true` (false)
    pub required: bool,
    /// `default`, as JSON.
    pub default: Option<serde_json::Value>,
}

/// Decodes a map of parameters.
pub(super) fn parameters(
    decoder: &mut Decoder<'_>,
    entries: &[(Spanned<String>, Node)],
) -> Vec<ParameterTemplate> {
    entries.iter().filter_map(|(name, node)| parameter(decoder, name, node)).collect()
}

fn parameter(decoder: &mut Decoder<'_>, name: &Spanned<String>, node: &Node) -> Option<ParameterTemplate> {
    let fields = decoder.fields(&name.value, &PARAMETER, node, &name.place)?;
    // In JSON Schema `required` lists the members of an object; `true` is ours.
    let required = match fields.get("required").map(|node| &node.value) {
        Some(Value::Bool(required)) => Some(*required),
        _ => None,
    };
    let mut document = json(node);
    if let Some(schema) = document.as_object_mut() {
        if required.is_some() {
            schema.shift_remove("required");
        }
        let says_type = ["type", "$ref", "enum", "const", "anyOf", "oneOf", "allOf"];
        if !says_type.iter().any(|key| schema.contains_key(*key)) {
            schema.insert("type".to_owned(), "string".into());
        }
    }
    Some(ParameterTemplate {
        name: name.clone(),
        schema: decoder.inline_schema(document, &node.place),
        required: required.unwrap_or(false),
        default: fields.get("default").map(json),
    })
}
