//! Typed access to a node tree that reports every shape finding, with "did you mean".
//!
//! Nothing here stops at the first finding: a reader returns `None` after it has said what is wrong,
//! and its caller goes on with a default, so that one run shows everything there is to repair.

use std::{sync::Arc, time::Duration};

use super::{
    Node, Spanned,
    keys::{Key, Need, Object, RESERVED, Shape},
    tree::Tree,
    yaml::Value,
};
use crate::{
    diagnostic::{Code, Diagnostic, Diagnostics, Place, nearest},
    scalar,
};

/// What decoding a document needs and makes.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    pub(super) findings: &'a mut Diagnostics,
    pub(super) tree: &'a Tree,
    /// The file's path, to which paths in it are relative.
    pub(super) file: &'a str,
    /// The first folder under `routes/`; empty for `policies/`.
    pub(super) unit: Arc<str>,
    /// Folders outside of its own in which the unit may name files.
    pub(super) granted: Vec<String>,
    /// Files that templates name, relative to the configuration directory.
    pub(super) named: &'a mut std::collections::BTreeSet<String>,
}

/// A map whose keys have been checked against its table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'n> {
    object: &'static Object,
    entries: &'n [(Spanned<String>, Node)],
    /// Where the map stands, for what is missing in it.
    pub(super) place: &'n Place,
}

impl<'n> Fields<'n> {
    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        debug_assert!(self.object.key(key).is_some(), "{key} is not in the table of {}", self.object.name);
        self.entries.iter().find(|(name, _)| name.value == key).map(|(_, node)| node)
    }

    /// Its keys in the order of the file.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'n str> + use<'n> {
        self.entries.iter().map(|(name, _)| name.value.as_str())
    }

    /// Those of these keys that are absent but for an unknown key that was meant to be one of them.
    pub(super) fn misspelt(&self, keys: &[&'static str]) -> Vec<&'static str> {
        let meant = |key: &&'static str| {
            !self.entries.iter().any(|(name, _)| name.value == *key)
                && self.entries.iter().any(|(name, _)| is_misspelt(self.object, name, key))
        };
        keys.iter().copied().filter(meant).collect()
    }

    /// The place of a key, or of the map if it is absent.
    pub(super) fn key_place(&self, key: &str) -> &'n Place {
        self.entries.iter().find(|(name, _)| name.value == key).map_or(self.place, |(name, _)| &name.place)
    }

    /// Every entry whose key the table does not know, where such keys are allowed.
    pub(super) fn others(&self) -> impl Iterator<Item = &'n (Spanned<String>, Node)> {
        self.entries.iter().filter(|(name, _)| self.object.key(name).is_none())
    }
}

fn is_reserved(key: &str) -> bool {
    RESERVED.contains(&key)
}

/// Whether an unknown key was meant to be this one: its finding says so, and one mistake is one finding.
fn is_misspelt(object: &Object, name: &Spanned<String>, key: &str) -> bool {
    object.key(name).is_none() && nearest(name, object.keys.iter().map(|key| key.name)) == Some(key)
}

impl Decoder<'_> {
    /// Adds a finding.
    pub(super) fn report(
        &mut self,
        code: Code,
        place: &Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.findings.push(Diagnostic::new(code, place.clone(), message).help(help));
    }

    /// How many findings there are: whether some were added tells whether something could be read.
    pub(super) fn count_findings(&self) -> usize {
        self.findings.items().len()
    }

    /// Says that a value is not one of those allowed.
    pub(super) fn invalid(&mut self, place: &Place, message: impl Into<String>, help: impl Into<String>) {
        self.report(Code::InvalidValue, place, message, help);
    }

    /// Says that a value has the wrong type.
    pub(super) fn wrong_type(&mut self, what: &str, wanted: &str, node: &Node) {
        self.findings.push(Diagnostic::new(
            Code::WrongType,
            node.place.clone(),
            format!("`{what}` must be {wanted}, not {}", type_name(&node.value)),
        ));
    }

    /// Checks the keys of a map against its table. `what` is the key that holds it, `at` its place.
    pub(super) fn fields<'n>(
        &mut self,
        what: &str,
        object: &'static Object,
        node: &'n Node,
        at: &'n Place,
    ) -> Option<Fields<'n>> {
        let Value::Map(entries) = &node.value else {
            self.wrong_type(what, "a map", node);
            return None;
        };
        for (name, _) in entries {
            self.check_key(object, name);
        }
        for key in object.keys.iter().filter(|key| key.need == Need::Required) {
            if !entries.iter().any(|(name, _)| name.value == key.name || is_misspelt(object, name, key.name))
            {
                self.missing(object, key, at);
            }
        }
        let fields = Fields { object, entries, place: at };
        self.check_one_of(&fields);
        Some(fields)
    }

    fn missing(&mut self, object: &Object, key: &Key, at: &Place) {
        let message = format!("{} needs `{}`", object.name, key.name);
        self.report(Code::MissingKey, at, message, format!("`{}`: {}", key.name, key.doc));
    }

    fn check_one_of(&mut self, fields: &Fields<'_>) {
        let keys = fields.object.one_of;
        if keys.is_empty() {
            return;
        }
        let shown = keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" or ");
        let mut given =
            fields.entries.iter().map(|(name, _)| name).filter(|name| keys.contains(&name.value.as_str()));
        let Some(first) = given.next() else {
            // A reserved alternative, such as `compose`, has had its finding.
            let excused = |name: &Spanned<String>| {
                self.is_later_alternative(fields.object, name)
                    || keys.iter().any(|key| is_misspelt(fields.object, name, key))
            };
            if !fields.entries.iter().any(|(name, _)| excused(name)) {
                let message = format!("{} needs {shown}", fields.object.name);
                self.report(Code::MissingKey, fields.place, message, "exactly one of them");
            }
            return;
        };
        for second in given {
            self.findings.push(
                Diagnostic::new(
                    Code::InvalidValue,
                    second.place.clone(),
                    format!("`{}` and `{}` exclude each other", first.value, second.value),
                )
                .help(format!("{} has exactly one of {shown}", fields.object.name))
                .related(first.place.clone(), "the first one"),
            );
        }
    }

    fn is_later_alternative(&self, object: &Object, name: &str) -> bool {
        name == "compose" && object.key(name).is_some_and(|key| key.need == Need::Later)
    }

    fn check_key(&mut self, object: &Object, name: &Spanned<String>) {
        match object.key(name) {
            Some(Key { need: Need::Later, .. }) => self.not_yet(&name.place, &format!("`{}`", name.value)),
            Some(_) => {}
            None if object.open => {}
            None if is_reserved(name) => self.not_yet(&name.place, &format!("`{}`", name.value)),
            None => {
                let known = object.keys.iter().filter(|key| key.need != Need::Later).map(|key| key.name);
                let message = format!("{} has no key `{}`", object.name, name.value);
                let help = nearest(name, object.keys.iter().map(|key| key.name)).map_or_else(
                    || format!("its keys are {}", known.collect::<Vec<_>>().join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                self.report(Code::UnknownKey, &name.place, message, help);
            }
        }
    }

    /// Refuses what belongs to the format but not to this version.
    pub(super) fn not_yet(&mut self, place: &Place, what: &str) {
        self.report(
            Code::NotInThisVersion,
            place,
            format!("{what} does not work in this version"),
            "remove it: it is refused because ignoring it would promise what does not happen",
        );
    }

    // -- scalars by key; `None` when absent or after a finding

    /// Text; numbers and booleans as they are written.
    pub(super) fn text(&mut self, fields: &Fields<'_>, key: &str) -> Option<Spanned<String>> {
        debug_assert!(matches!(
            fields.object.key(key).map(|key| key.shape),
            Some(Shape::Text | Shape::Name | Shape::TextOrSecret | Shape::Place)
        ));
        self.text_of(key, fields.get(key)?)
    }

    /// The same of a node.
    pub(super) fn text_of(&mut self, what: &str, node: &Node) -> Option<Spanned<String>> {
        let value = match &node.value {
            Value::Text(text) | Value::Number(text) => text.clone(),
            Value::Bool(flag) => flag.to_string(),
            Value::Null | Value::List(_) | Value::Map(_) => {
                self.wrong_type(what, "text", node);
                return None;
            }
        };
        Some(Spanned { value, place: node.place.clone() })
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, fields: &Fields<'_>, key: &str) -> Option<bool> {
        debug_assert!(matches!(fields.object.key(key).map(|key| key.shape), Some(Shape::Flag)));
        let node = fields.get(key)?;
        if let Value::Bool(flag) = node.value {
            return Some(flag);
        }
        let finding = Diagnostic::new(
            Code::WrongType,
            node.place.clone(),
            format!("`{key}` must be true or false, not {}", type_name(&node.value)),
        );
        let spelt = matches!(&node.value, Value::Text(text) if matches!(text.to_lowercase().as_str(), "yes" | "no" | "on" | "off"));
        self.findings.push(if spelt {
            finding.help("in YAML 1.2 `yes`, `no`, `on` and `off` are text")
        } else {
            finding
        });
        None
    }

    /// A whole number in the range of its table.
    pub(super) fn count(&mut self, fields: &Fields<'_>, key: &str) -> Option<u32> {
        let Some(Shape::Count(least, most)) = fields.object.key(key).map(|key| key.shape) else {
            debug_assert!(false, "{key} is not a count");
            return None;
        };
        let node = fields.get(key)?;
        let Value::Number(text) = &node.value else {
            self.wrong_type(key, "a whole number", node);
            return None;
        };
        match text.parse::<u64>().ok().filter(|n| (least..=most).contains(n)) {
            Some(n) => u32::try_from(n).ok(),
            None => {
                let help = format!("a whole number from {least} to {most}");
                self.invalid(&node.place, format!("`{key}` cannot be {text}"), help);
                None
            }
        }
    }

    /// A duration above zero.
    pub(super) fn duration(&mut self, fields: &Fields<'_>, key: &str) -> Option<Spanned<Duration>> {
        let found = self.duration_or_zero(fields, key)?;
        if found.value.is_zero() {
            self.invalid(&found.place, format!("`{key}` must be longer than zero"), scalar::DURATION_FORM);
            return None;
        }
        Some(found)
    }

    /// A duration.
    pub(super) fn duration_or_zero(&mut self, fields: &Fields<'_>, key: &str) -> Option<Spanned<Duration>> {
        debug_assert!(matches!(fields.object.key(key).map(|key| key.shape), Some(Shape::Duration)));
        let text = self.scalar(key, fields.get(key)?, scalar::DURATION_FORM)?;
        let value = scalar::duration(&text);
        if value.is_none() {
            let message = format!("`{}` is no duration", text.value);
            self.invalid(&text.place, message, format!("write {}", scalar::DURATION_FORM));
        }
        Some(Spanned { value: value?, place: text.place })
    }

    /// A size above zero.
    pub(super) fn size(&mut self, fields: &Fields<'_>, key: &str) -> Option<u64> {
        self.size_from(1, fields, key)
    }

    /// A size, or 0.
    pub(super) fn size_or_zero(&mut self, fields: &Fields<'_>, key: &str) -> Option<u64> {
        self.size_from(0, fields, key)
    }

    fn size_from(&mut self, least: u64, fields: &Fields<'_>, key: &str) -> Option<u64> {
        debug_assert!(matches!(fields.object.key(key).map(|key| key.shape), Some(Shape::Size)));
        let text = self.scalar(key, fields.get(key)?, scalar::SIZE_FORM)?;
        let value = scalar::size(&text).filter(|size| *size >= least);
        if value.is_none() {
            let message = format!("`{}` is no size", text.value);
            self.invalid(&text.place, message, format!("write {}", scalar::SIZE_FORM));
        }
        value
    }

    /// A number from 0 to 1.
    pub(super) fn share(&mut self, fields: &Fields<'_>, key: &str) -> Option<f64> {
        debug_assert!(matches!(fields.object.key(key).map(|key| key.shape), Some(Shape::Share)));
        let node = fields.get(key)?;
        let Value::Number(text) = &node.value else {
            self.wrong_type(key, "a number from 0 to 1", node);
            return None;
        };
        let value = text.parse::<f64>().ok().filter(|value| (0.0..=1.0).contains(value));
        if value.is_none() {
            self.invalid(&node.place, format!("`{key}` cannot be {text}"), "a number from 0 to 1");
        }
        value
    }

    fn scalar(&mut self, what: &str, node: &Node, wanted: &str) -> Option<Spanned<String>> {
        match &node.value {
            Value::Text(text) | Value::Number(text) => {
                Some(Spanned { value: text.clone(), place: node.place.clone() })
            }
            Value::Bool(_) | Value::Null | Value::List(_) | Value::Map(_) => {
                self.wrong_type(what, wanted, node);
                None
            }
        }
    }

    /// One of the words of its table, as an index.
    pub(super) fn word(&mut self, fields: &Fields<'_>, key: &str) -> Option<&'static str> {
        let Some(Shape::Word(words)) = fields.object.key(key).map(|key| key.shape) else {
            debug_assert!(false, "{key} is not a word");
            return None;
        };
        let text = self.text_of(key, fields.get(key)?)?;
        let found = words.iter().find(|word| **word == text.value).copied();
        if found.is_none() {
            let help = nearest(&text, words.iter().copied()).map_or_else(
                || format!("one of {}", words.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            self.invalid(&text.place, format!("`{key}` cannot be `{}`", text.value), help);
        }
        found
    }

    // -- collections by key

    /// The entries of a list; empty when absent or after a finding.
    pub(super) fn list<'n>(&mut self, fields: &Fields<'n>, key: &str) -> &'n [Node] {
        debug_assert!(matches!(fields.object.key(key).map(|key| key.shape), Some(Shape::List(_))));
        let Some(node) = fields.get(key) else { return &[] };
        match &node.value {
            Value::List(items) => items,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_) => {
                self.wrong_type(key, "a list", node);
                &[]
            }
        }
    }

    /// The entries of a map with free keys; empty when absent or after a finding.
    pub(super) fn map<'n>(&mut self, fields: &Fields<'n>, key: &str) -> &'n [(Spanned<String>, Node)] {
        debug_assert!(matches!(fields.object.key(key).map(|key| key.shape), Some(Shape::Map(_))));
        fields.get(key).map_or(&[], |node| self.map_of(key, node))
    }

    /// The same of a node.
    pub(super) fn map_of<'n>(&mut self, what: &str, node: &'n Node) -> &'n [(Spanned<String>, Node)] {
        match &node.value {
            Value::Map(entries) => entries,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => {
                self.wrong_type(what, "a map", node);
                &[]
            }
        }
    }

    /// The map of a key with a table of its own.
    pub(super) fn object<'n>(&mut self, fields: &Fields<'n>, key: &str) -> Option<Fields<'n>> {
        let Some(Shape::Object(object)) = fields.object.key(key).map(|key| key.shape) else {
            debug_assert!(false, "{key} is not an object");
            return None;
        };
        self.fields(key, object, fields.get(key)?, fields.key_place(key))
    }
}

/// What a value is, for messages.
pub(super) const fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::Text(_) => "text",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
    }
}
