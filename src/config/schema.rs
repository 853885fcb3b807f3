//! The JSON Schema of the template format, for editors: `segue schema`.
//!
//! It is made from the tables that the decoder reads, so it knows exactly the keys that work in this
//! version. An editor validates one document at a time; rules across keys stay with `segue check`.

use serde_json::{Map, Value, json};

use super::{
    binding::BINDING,
    composition::COMPOSITION,
    consumer::CONSUMER,
    gateway::GATEWAY,
    keys::{Key, Need, Object, Shape},
    policy::POLICY,
    route::ROUTE,
    service::SERVICE,
    unit::UNIT,
    value::{ENV_PLACE, SECRET},
};

/// Every kind that works, with its table.
const TABLES: [(&str, &Object); 8] = [
    ("Gateway", &GATEWAY),
    ("Unit", &UNIT),
    ("Consumer", &CONSUMER),
    ("Policy", &POLICY),
    ("PolicyBinding", &BINDING),
    ("Service", &SERVICE),
    ("Composition", &COMPOSITION),
    ("Route", &ROUTE),
];

/// A schema (draft 2020-12) of every document this version reads.
#[must_use]
pub fn schema() -> Value {
    let mut kinds = Map::new();
    for (kind, table) in TABLES {
        let mut schema = object(table);
        schema["properties"]["kind"] = json!({"const": kind});
        kinds.insert(kind.to_owned(), schema);
    }
    let choices: Vec<Value> = kinds
        .keys()
        .map(|kind| {
            json!({
                "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                "then": {"$ref": format!("#/$defs/{kind}")},
            })
        })
        .collect();
    let names: Vec<&String> = kinds.keys().collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Segue template, segue/v1",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata"],
        "properties": {"apiVersion": {"const": "segue/v1"}, "kind": {"enum": names}},
        "allOf": choices,
        "$defs": kinds,
    })
}

fn object(table: &Object) -> Value {
    let known = table.keys.iter().filter(|key| key.need != Need::Later);
    let properties: Map<String, Value> = known.map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> =
        table.keys.iter().filter(|key| key.need == Need::Required).map(|key| key.name).collect();
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": table.open});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    let choices: Vec<Value> = table
        .one_of
        .iter()
        .filter(|name| table.key(name).is_some_and(|key| key.need != Need::Later))
        .map(|name| json!({"required": [name]}))
        .collect();
    if !choices.is_empty() {
        schema["oneOf"] = json!(choices);
    }
    schema
}

fn property(key: &Key) -> Value {
    let mut schema = shape(&key.shape);
    schema["description"] = json!(key.doc);
    schema
}

fn shape(shape: &Shape) -> Value {
    match shape {
        Shape::Text => json!({"type": ["string", "number", "boolean"]}),
        Shape::Name => json!({"type": ["string", "integer"], "pattern": "^[a-z0-9-]{1,63}$"}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Count(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Shape::Duration => json!({"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$"}),
        Shape::Size => json!({"type": ["string", "integer"], "pattern": "^[0-9]+(B|KiB|MiB|GiB)?$"}),
        Shape::Share => json!({"type": "number", "minimum": 0, "maximum": 1}),
        Shape::Word(words) => json!({"enum": words}),
        Shape::Value => json!({}),
        Shape::Place => json!({"oneOf": [{"type": "string"}, object(&ENV_PLACE)]}),
        Shape::Secret => object(&SECRET),
        Shape::TextOrSecret => json!({"oneOf": [{"type": ["string", "number", "boolean"]}, object(&SECRET)]}),
        Shape::Object(table) => object(table),
        Shape::Either(table) => json!({"anyOf": [object(table), {"type": "object"}]}),
        Shape::List(entry) => json!({"type": "array", "items": self::shape(entry)}),
        Shape::Map(entry) => json!({"type": "object", "additionalProperties": self::shape(entry)}),
    }
}

#[cfg(test)]
mod tests;
