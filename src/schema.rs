//! JSON Schema: what a value must be. This file alone names the crate that checks it.
//!
//! Patterns run in linear time, nothing is fetched, and how many violations are listed is bounded, so
//! that a hostile body costs what its size says. Whoever checks a large value does so off its worker.

pub mod bounds;
mod patterns;
mod weight;

use std::{collections::HashMap, fmt, sync::Arc};

use jsonschema::{
    PatternOptions, Retrieve, Uri, ValidationError, Validator,
    error::{TypeKind, ValidationErrorKind as Kind},
};
use serde_json::{Number, Value};

use crate::json::{self, Ref};

/// Beyond this a list of violations says nothing new.
pub const MOST_VIOLATIONS: usize = 200;
/// From a larger document on only the first violation is told: to tell all takes memory of a hundred
/// times the document's size.
const LISTED_BYTES: usize = 256 * 1024;
/// Base of file names in a schema's references; names no host.
const BASE: &str = "file:///";

/// A compiled schema (drafts 4 to 2020-12, by its `$schema`; 2020-12 without one).
#[derive(Clone)]
pub struct Schema(Arc<Inner>);

struct Inner {
    validator: Validator,
    types: Option<Vec<String>>,
    items: Vec<String>,
}

/// A place of a value that is not as its schema says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// JSON Pointer (RFC 6901) of the place.
    pub pointer: String,
    /// What it must be.
    pub message: String,
}

/// Files of the tree that a schema refers to.
struct Files(HashMap<String, Arc<Value>>);

impl Retrieve for Files {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        self.0
            .get(uri.as_str())
            .map(|document| Value::clone(document))
            .ok_or_else(|| "no such file in the unit's folder".into())
    }
}

// === impl Schema ===

impl Schema {
    /// Compiles a schema that stands in `file`; `others` are the files that it refers to.
    ///
    /// # Errors
    /// Says what is wrong with the schema.
    pub fn compile(document: &Value, file: &str, others: &[(String, Arc<Value>)]) -> Result<Self, String> {
        // What it refers to depends on the folder that it stands in.
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        let is_file = bounds::known(file).is_some_and(|known| std::ptr::eq(&raw const *known, document));
        let text = match others.is_empty() {
            _ if is_file => format!("# {file}"),
            true => document.to_string(),
            false => format!("{folder} {document}"),
        };
        if let Some(known) = bounds::compiled(&text) {
            return known;
        }
        let made = Self::made(document, file, others);
        // Of many that are refused each has a text of its own, and nothing would be shared.
        if is_file || made.is_ok() {
            bounds::keep_compiled(text, &made);
        }
        made
    }

    fn made(document: &Value, file: &str, others: &[(String, Arc<Value>)]) -> Result<Self, String> {
        if !bounds::take_schema(weight::of(document, others)) {
            return Err(bounds::too_many_schemas());
        }
        patterns::admit(document, others)?;
        let uri = |path: &str| format!("{BASE}{path}");
        let files = others.iter().map(|(path, document)| (uri(path), Arc::clone(document)));
        let validator = jsonschema::options()
            .with_base_uri(uri(file))
            .with_retriever(Files(files.collect()))
            .with_pattern_options(PatternOptions::regex().size_limit(patterns::LARGEST))
            .should_validate_formats(true)
            .build(document)
            .map_err(|error| {
                let at = error.instance_path().as_str();
                let at = if at.is_empty() { String::new() } else { format!(" at `{at}`") };
                format!("{}{at}", shortened(&error.to_string()))
            })?;
        let types = types(document);
        let items = document.get("items").and_then(self::types).unwrap_or_default();
        Ok(Self(Arc::new(Inner { validator, types, items })))
    }

    /// Whether a value of this JSON type can be valid, as far as the schema's `type` tells.
    #[must_use]
    pub fn allows(&self, name: &str) -> bool {
        self.0
            .types
            .as_ref()
            .is_none_or(|types| types.iter().any(|one| one == name || (name == "number" && one == "integer")))
    }

    /// The JSON types that it names.
    #[must_use]
    pub fn types(&self) -> &[String] {
        self.0.types.as_deref().unwrap_or_default()
    }

    /// The JSON types that it names for elements of a list.
    #[must_use]
    pub fn item_types(&self) -> &[String] {
        &self.0.items
    }

    /// Every place where a value is not valid, up to [`MOST_VIOLATIONS`]; the first alone in a large value.
    #[must_use]
    pub fn violations(&self, value: Ref<'_>) -> Vec<Violation> {
        let size = value.raw().len();
        let value = owned(value);
        if size > LISTED_BYTES {
            return self
                .0
                .validator
                .validate(&value)
                .err()
                .map(|error| violation(&error))
                .into_iter()
                .collect();
        }
        if self.0.validator.is_valid(&value) {
            return Vec::new();
        }
        let mut found: Vec<Violation> = Vec::new();
        for error in self.0.validator.iter_errors(&value).take(MOST_VIOLATIONS) {
            let violation = violation(&error);
            if !found.contains(&violation) {
                found.push(violation);
            }
        }
        found
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("types", &self.0.types).finish_non_exhaustive()
    }
}

/// The types that `type` names.
fn types(schema: &Value) -> Option<Vec<String>> {
    match schema.get("type")? {
        Value::String(one) => Some(vec![one.clone()]),
        Value::Array(all) => Some(all.iter().filter_map(|one| Some(one.as_str()?.to_owned())).collect()),
        _ => None,
    }
}

/// The value for the checker. A number beyond a double is the largest double, which bounds judge alike.
fn owned(value: Ref<'_>) -> Value {
    match value.kind() {
        json::Kind::Null => Value::Null,
        json::Kind::Bool => Value::Bool(value.as_bool().unwrap_or_default()),
        json::Kind::Number => {
            let text = std::str::from_utf8(value.raw()).unwrap_or("0");
            let integer =
                text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from));
            let number = integer.ok().or_else(|| {
                let double = text.parse::<f64>().unwrap_or(0.0);
                Number::from_f64(double.clamp(f64::MIN, f64::MAX))
            });
            number.map_or(Value::Null, Value::Number)
        }
        json::Kind::String => Value::String(value.as_str().unwrap_or_default().into_owned()),
        json::Kind::List => Value::Array(value.items().map(owned).collect()),
        json::Kind::Map => {
            Value::Object(value.members().map(|(name, value)| (name.into_owned(), owned(value))).collect())
        }
    }
}

fn violation(error: &ValidationError<'_>) -> Violation {
    let mut pointer = error.instance_path().as_str().to_owned();
    let message = match error.kind() {
        Kind::Required { property } => {
            // The place is that of what is missing.
            let name = property.as_str().unwrap_or_default();
            pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
            "is required".to_owned()
        }
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let names: Vec<_> =
                unexpected.iter().take(10).map(|name| format!("`{}`", shortened(name))).collect();
            format!("has members that are not allowed: {}", names.join(", "))
        }
        Kind::Type { kind } => match kind {
            TypeKind::Single(one) => format!("must be {}", article(&one.to_string())),
            TypeKind::Multiple(all) => {
                let all: Vec<_> = all.iter().map(|one| article(&one.to_string())).collect();
                format!("must be {}", all.join(" or "))
            }
        },
        Kind::Enum { options } => {
            let options = options.as_array().map_or(&[][..], Vec::as_slice);
            let shown: Vec<_> =
                options.iter().take(20).map(|option| shortened(&option.to_string())).collect();
            format!("must be one of {}", shown.join(", "))
        }
        Kind::Constant { expected_value } => format!("must be {}", shortened(&expected_value.to_string())),
        Kind::Minimum { limit } => format!("must be at least {limit}"),
        Kind::Maximum { limit } => format!("must be at most {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("must be more than {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("must be less than {limit}"),
        Kind::MultipleOf { multiple_of } => format!("must be a multiple of {multiple_of}"),
        Kind::MinLength { limit } => format!("must have at least {limit} characters"),
        Kind::MaxLength { limit } => format!("must have at most {limit} characters"),
        Kind::MinItems { limit } => format!("must have at least {limit} items"),
        Kind::MaxItems { limit } => format!("must have at most {limit} items"),
        Kind::MinProperties { limit } => format!("must have at least {limit} members"),
        Kind::MaxProperties { limit } => format!("must have at most {limit} members"),
        Kind::Pattern { pattern } => format!("must match {}", shortened(pattern)),
        Kind::Format { format } => format!("must have the format {format}"),
        Kind::UniqueItems => "must not have an item twice".to_owned(),
        Kind::FalseSchema => "is not allowed".to_owned(),
        // Without the value: it may be as large as a body is.
        _ => shortened(&error.masked().to_string()),
    };
    Violation { pointer, message }
}

fn article(name: &str) -> String {
    match name {
        "null" => name.to_owned(),
        "array" | "integer" | "object" => format!("an {name}"),
        _ => format!("a {name}"),
    }
}

fn shortened(text: &str) -> String {
    const MOST: usize = 120;
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use crate::json::Document;

    fn check(schema: &Value, value: &str) -> Vec<(String, String)> {
        let schema = Schema::compile(schema, "routes/shop/r.yaml", &[]).expect("a valid schema");
        let document = Document::parse(Bytes::from(value.to_owned())).expect("JSON");
        let found = schema.violations(document.root());
        found.into_iter().map(|violation| (violation.pointer, violation.message)).collect()
    }

    #[test]
    fn every_violation_is_listed_with_its_place() {
        let schema = json!({"type": "object", "required": ["id", "a/b"], "additionalProperties": false, "properties": {
            "id": {"type": "string"}, "a/b": true,
            "items": {"type": "array", "items": {"type": "object", "properties": {"qty": {"type": "integer", "minimum": 1}}}}}});
        let value = r#"{"items": [{"qty": 0}, {"qty": "x"}, {"qty": 2.0}], "extra": 1}"#;
        let mut found = check(&schema, value);
        found.sort();
        let found: Vec<_> = found.iter().map(|(place, words)| (place.as_str(), words.as_str())).collect();
        assert_eq!(
            found,
            [
                ("", "has members that are not allowed: `extra`"),
                ("/a~1b", "is required"),
                ("/id", "is required"),
                ("/items/0/qty", "must be at least 1"),
                ("/items/1/qty", "must be an integer"),
            ]
        );
        assert_eq!(check(&schema, r#"{"id": "x", "a/b": null}"#), []);
    }

    #[test]
    fn numbers_beyond_a_double_are_judged_and_not_refused() {
        assert_eq!(check(&json!({"type": "number"}), "1e400"), []);
        assert_eq!(check(&json!({"maximum": 5}), "1e400").len(), 1);
        assert_eq!(check(&json!({"type": "integer"}), "9007199254740993"), []);
    }

    #[test]
    fn references_lead_into_files_of_the_tree_and_nowhere_else() {
        let schema = json!({"$ref": "common/id.json#/$defs/id"});
        let others = [(
            "routes/shop/schemas/common/id.json".to_owned(),
            Arc::new(json!({"$defs": {"id": {"type": "string"}}})),
        )];
        let file = "routes/shop/schemas/order.json";
        let found = Schema::compile(&schema, file, &others).expect("found");
        let document = Document::parse(Bytes::from_static(b"5")).expect("JSON");
        assert_eq!(found.violations(document.root()).len(), 1);
        assert!(Schema::compile(&schema, file, &[]).is_err());
        assert!(Schema::compile(&json!({"$ref": "https://example.com/x"}), file, &[]).is_err());
    }

    #[test]
    fn a_pattern_that_could_run_for_ever_is_refused_at_load() {
        assert!(Schema::compile(&json!({"pattern": "(?=a)b"}), "f", &[]).is_err());
        assert!(Schema::compile(&json!({"type": "strnig"}), "f", &[]).is_err());
        // Nested repetition is linear here; in a backtracking engine this input never ends.
        let long = format!("\"{}!\"", "a".repeat(50_000));
        assert_eq!(check(&json!({"pattern": "^(a+)+$"}), &long).len(), 1);
    }

    #[test]
    fn a_hostile_body_gets_a_bounded_list() {
        let schema = json!({"items": {"type": "string"}});
        let list = |count: usize| format!("[{}1]", "1,".repeat(count));
        assert_eq!(check(&schema, &list(1_000)).len(), MOST_VIOLATIONS);
        assert_eq!(check(&schema, &list(200_000)).len(), 1);
    }
}
