//! JSON Schemas that templates hold or name: read into plain JSON with all files that they refer to.
//!
//! Whether one is valid is judged where it is compiled. References into other files are followed here,
//! because only here it is known which files a unit may name.

use std::sync::Arc;

use serde_json::{Map, Number, Value as Json};

use super::{
    Node, Spanned,
    decode::Decoder,
    value::join,
    yaml::{self, Budget, Value},
};
use crate::{
    diagnostic::{Code, Diagnostics, Place},
    schema::bounds,
};

/// How many files one schema may be made of.
const MAX_FILES: usize = 64;

/// A schema and the files that it refers to.
#[derive(Clone, Debug)]
pub struct SchemaTemplate {
    /// Where a template holds or names it.
    pub place: Place,
    /// The file that it stands in, relative to the configuration directory.
    pub file: String,
    /// The schema.
    pub document: Arc<Json>,
    /// Other files by their paths.
    pub others: Vec<(String, Arc<Json>)>,
}

/// A value as JSON. A number that JSON cannot hold becomes text.
pub(super) fn json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Number(text) => number(text),
        Value::Text(text) => Json::String(text.clone()),
        Value::List(items) => Json::Array(items.iter().map(json).collect()),
        Value::Map(entries) => {
            let entries = entries.iter().map(|(name, node)| (name.value.clone(), json(node)));
            Json::Object(entries.collect::<Map<_, _>>())
        }
    }
}

fn number(text: &str) -> Json {
    let number = text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from));
    let number = number.ok().or_else(|| text.parse().ok().and_then(Number::from_f64));
    number.map_or_else(|| Json::String(text.to_owned()), Json::Number)
}

impl Decoder<'_> {
    /// A schema that stands in the template.
    pub(super) fn inline_schema(&mut self, document: Json, place: &Place) -> SchemaTemplate {
        let mut schema = SchemaTemplate {
            place: place.clone(),
            file: self.file.to_owned(),
            document: Arc::new(document),
            others: Vec::new(),
        };
        self.follow(&mut schema);
        schema
    }

    /// A schema in place, or the path of a file that holds one.
    pub(super) fn schema(&mut self, node: &Node) -> Option<SchemaTemplate> {
        match &node.value {
            Value::Map(_) | Value::Bool(_) => Some(self.inline_schema(json(node), &node.place)),
            Value::Text(text) => {
                let text = Spanned { value: text.clone(), place: node.place.clone() };
                let file = self.path(&text, true)?;
                let document = self.schema_file(&file, &node.place)?;
                let mut schema =
                    SchemaTemplate { place: node.place.clone(), file, document, others: Vec::new() };
                self.follow(&mut schema);
                Some(schema)
            }
            Value::Null | Value::Number(_) | Value::List(_) => {
                self.wrong_type("schema", "a JSON Schema or the path of one", node);
                None
            }
        }
    }

    /// Reads every file that is referred to, directly or not. What is not there is a finding.
    fn follow(&mut self, schema: &mut SchemaTemplate) {
        let mut pending = Vec::new();
        references(&schema.document, &schema.file, &mut pending);
        while let Some((from, path)) = pending.pop() {
            let place = schema.place.clone();
            let known = |(other, _): &(String, Arc<Json>)| *other == path;
            if path == schema.file || schema.others.iter().any(known) {
                continue;
            }
            if schema.others.len() >= MAX_FILES {
                let message = format!("the schema is made of more than {MAX_FILES} files");
                self.report(
                    Code::InvalidSchema,
                    &place,
                    message,
                    "put its parts into one file under `$defs`",
                );
                return;
            }
            let own = if self.unit.is_empty() { String::new() } else { format!("routes/{}/", self.unit) };
            if !path.starts_with(&own) {
                let message = format!("`{from}` refers to `{path}`, which is outside of the unit's folder");
                self.report(Code::OutsideUnit, &place, message, "keep the file in the folder");
                continue;
            }
            self.named.insert(path.clone());
            let Some(document) = self.schema_file(&path, &place) else { continue };
            references(&document, &path, &mut pending);
            schema.others.push((path, document));
        }
    }

    /// A file's schema, which is read once for all who name it.
    fn schema_file(&mut self, path: &str, place: &Place) -> Option<Arc<Json>> {
        if let Some(known) = bounds::known(path) {
            return Some(known);
        }
        let document = Arc::new(self.read_schema(path, place)?);
        bounds::keep(path, &document);
        Some(document)
    }

    fn read_schema(&mut self, path: &str, place: &Place) -> Option<Json> {
        let Some(text) = self.tree.source(path) else {
            // In a tree that was read from a disk this is a finding already.
            if !self.tree.lists(path) {
                let message = format!("there is no file `{path}`, or it is no text");
                self.report(
                    Code::Unreadable,
                    place,
                    message,
                    "a schema is a .json or .yaml file of the unit",
                );
            }
            return None;
        };
        let unreadable = |why: String, decoder: &mut Self| {
            let message = format!("the schema `{path}` cannot be read: {why}");
            decoder.report(Code::InvalidSchema, place, message, "a schema is JSON or YAML");
        };
        if !bounds::take_file(text) {
            unreadable(bounds::too_many_schemas(), self);
            return None;
        }
        if path.ends_with(".json") {
            return match serde_json::from_str(text) {
                Ok(document) => Some(document),
                Err(error) => {
                    unreadable(error.to_string(), self);
                    None
                }
            };
        }
        let mut faults = Diagnostics::default();
        let mut found = None;
        let whole = yaml::read(&path.into(), text, &mut Budget::default(), &mut faults, &mut |node, _, _| {
            found.get_or_insert_with(|| json(&node));
        });
        let fault = faults.items().first().map(|fault| (fault.place.clone(), fault.message.clone()));
        match (fault, found) {
            (None, Some(found)) if whole => Some(found),
            (fault, _) => {
                let why = fault.map_or_else(
                    || "it is empty".to_owned(),
                    |(place, words)| format!("line {}: {words}", place.line),
                );
                unreadable(why, self);
                None
            }
        }
    }
}

/// Files that a schema refers to, by `$ref` and the like.
fn references(schema: &Json, file: &str, found: &mut Vec<(String, String)>) {
    let mut pending = vec![schema];
    while let Some(value) = pending.pop() {
        match value {
            Json::Array(items) => pending.extend(items),
            Json::Object(members) => {
                for (name, value) in members {
                    if let ("$ref" | "$dynamicRef", Json::String(target)) = (name.as_str(), value) {
                        let path = target.split('#').next().unwrap_or_default();
                        if !path.is_empty()
                            && !path.contains("://")
                            && let Some(path) = join(file, path)
                        {
                            found.push((file.to_owned(), path));
                        }
                    }
                    pending.push(value);
                }
            }
            _ => {}
        }
    }
}
