//! The only file that names the YAML crate: text in, a tree with the place of every key and value out.
//!
//! It drives the crate's event parser instead of its serde side, because events carry the style and
//! the exact bytes of every scalar, errors of one document leave the others readable, and a duplicate
//! key or unknown tag is a finding among others instead of the end. The tree is built without
//! recursion, within a budget of depth, nodes and aliases, so that no input is slow or large.
//!
//! YAML is 1.2 core: `on`, `yes` and `no` are strings, and so are merge keys and numbers that start
//! with a zero.

use std::{collections::HashMap, sync::Arc};

use serde_yaml::granit_parser::{
    ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag, options,
};

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Place};

mod core;
mod expression;
mod node;
mod place;

#[cfg(test)]
mod tests;

pub use expression::QUOTE_IT;
use node::Style;
pub use node::{Node, Source, Spanned, Value};

/// The largest file that is read.
pub const MAX_FILE_BYTES: usize = 4 * 1024 * 1024;
/// How deep lists and maps may nest.
const MAX_DEPTH: usize = 64;
/// How many values a document may hold.
const MAX_DOCUMENT_NODES: usize = 100_000;
/// How many values all files of a tree may hold: some 130 MB of them.
const MAX_NODES: usize = 1_000_000;
/// How many aliases a file may use.
const MAX_ALIASES: usize = 100;
/// After so many documents with a syntax error the rest of a file is not looked at.
const MAX_SYNTAX_FINDINGS: usize = 20;

/// How many nodes and copied bytes may still be made; shared by all files of a tree.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    nodes: usize,
    copied: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { nodes: MAX_NODES, copied: MAX_FILE_BYTES }
    }
}

/// Takes a document as soon as it is read, so that a file is never in memory as a whole. The flag says
/// whether an earlier document of the file could not be read.
pub(super) type Sink<'a> = dyn FnMut(Node, bool, &mut Diagnostics) + 'a;

/// Reads every document of a file; empty ones are left out. Syntax errors become findings.
pub fn parse(file: &Arc<str>, text: &Arc<str>, findings: &mut Diagnostics) -> Vec<Node> {
    let mut nodes = Vec::new();
    read(file, text, &mut Budget::default(), findings, &mut |node, _, _| nodes.push(node));
    nodes
}

/// As [`parse`], document by document, with a budget for many files. Says whether all could be read.
pub(super) fn read(
    file: &Arc<str>,
    text: &Arc<str>,
    budget: &mut Budget,
    findings: &mut Diagnostics,
    sink: &mut Sink<'_>,
) -> bool {
    if text.len() > MAX_FILE_BYTES {
        findings.push(too_large(file));
        return false;
    }
    let limits = options! {
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
        emit_unresolved_aliases: true,
        emit_comments: false,
    };
    let mut parser = Parser::new_from_str_with_options(text, limits);
    let mut builder = Builder {
        file,
        text,
        budget,
        findings,
        sink,
        stack: Vec::new(),
        anchors: HashMap::new(),
        aliases: 0,
        nodes: 0,
        failures: 0,
    };
    while let Some(event) = parser.next_event() {
        let finding = match event {
            Ok((event, span)) => match builder.event(event, span) {
                Ok(()) => continue,
                Err(finding) => finding,
            },
            Err(error) => Box::new(builder.syntax(&error)),
        };
        builder.findings.push(*finding);
        builder.abandon();
        if builder.failures == MAX_SYNTAX_FINDINGS || !parser.proceed_next_document().unwrap_or(false) {
            break;
        }
    }
    builder.failures == 0
}

/// The finding for a file above [`MAX_FILE_BYTES`].
pub(super) fn too_large(file: &Arc<str>) -> Diagnostic {
    Diagnostic::new(
        Code::FileTooLarge,
        Place { file: file.clone(), line: 1, column: 1, width: 1 },
        "the file is larger than 4 MiB",
    )
    .help("spread its documents over several files")
}

/// A collection whose end has not come.
struct Frame {
    start: Span,
    anchor: usize,
    /// What the budget held before it.
    nodes_before: usize,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    Map(Vec<(Spanned<String>, Node)>, Option<Spanned<String>>),
}

struct Builder<'a, 's> {
    file: &'a Arc<str>,
    text: &'a Arc<str>,
    budget: &'a mut Budget,
    findings: &'a mut Diagnostics,
    stack: Vec<Frame>,
    /// Anchored nodes with the number of nodes in each.
    anchors: HashMap<usize, (Node, usize)>,
    aliases: usize,
    /// Nodes of the document so far.
    nodes: usize,
    /// Documents that could not be read.
    failures: usize,
    sink: &'a mut Sink<'s>,
}

/// A finding after which the document cannot be read on.
type Fatal = Box<Diagnostic>;

impl Builder<'_, '_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Fatal> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.charge(span)?;
                let node = self.scalar(&text, style, tag.as_deref(), span);
                if anchor != 0 {
                    self.anchor(anchor, &node, 1, span)?;
                }
                self.add(node)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", span);
                self.open(span, anchor, Items::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", span);
                self.open(span, anchor, Items::Map(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(id) => self.alias(id, span),
            Event::UnresolvedAlias(name) => {
                let place = self.place(span.start, self.width(span));
                self.findings.push(
                    Diagnostic::new(Code::Yaml, place, format!("`*{name}` names no anchor of this document"))
                        .help(format!("a value that starts with `*` is written in quotes: \"*{name}\"")),
                );
                self.charge(span)?;
                let node = self.node(Value::Text(format!("*{name}")), span, Style::Plain);
                self.add(node)
            }
            Event::DocumentStart(..) => {
                self.anchors.clear();
                Ok(())
            }
            // Stream and document ends, and what is about comments and anchors' names.
            _ => Ok(()),
        }
    }

    fn open(&mut self, start: Span, anchor: usize, items: Items) -> Result<(), Fatal> {
        let nodes_before = self.budget.nodes;
        self.charge(start)?;
        if self.stack.len() == MAX_DEPTH {
            return Err(self.fatal(start, format!("lists and maps nest deeper than {MAX_DEPTH} levels")));
        }
        self.stack.push(Frame { start, anchor, nodes_before, items });
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Fatal> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let value = match frame.items {
            Items::List(mut items) => {
                items.shrink_to_fit();
                Value::List(items)
            }
            Items::Map(mut entries, _) => {
                self.drop_duplicates(&mut entries);
                entries.shrink_to_fit();
                Value::Map(entries)
            }
        };
        let span = Span::new(frame.start.start, end.end);
        let node = self.node(value, span, Style::Collection);
        if frame.anchor != 0 {
            self.anchor(frame.anchor, &node, frame.nodes_before - self.budget.nodes, frame.start)?;
        }
        self.add(node)
    }

    /// Puts a finished node where it belongs: as key or value into the open collection, or as a document.
    fn add(&mut self, node: Node) -> Result<(), Fatal> {
        match self.stack.last_mut().map(|frame| &mut frame.items) {
            None => {
                self.nodes = 0;
                if !matches!(node.value, Value::Null) {
                    (self.sink)(node, self.failures > 0, self.findings);
                }
            }
            Some(Items::List(items)) => items.push(node),
            Some(Items::Map(entries, key @ Some(_))) => {
                if let Some(key) = key.take() {
                    entries.push((key, node));
                }
            }
            Some(Items::Map(_, key @ None)) => *key = Some(key_of(node)?),
        }
        Ok(())
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Fatal> {
        self.aliases += 1;
        if self.aliases > MAX_ALIASES {
            return Err(self.fatal(span, format!("the file uses more than {MAX_ALIASES} aliases")));
        }
        let Some((node, nodes)) = self.anchors.get(&id) else {
            return Err(self.fatal(span, "an alias cannot stand inside its own anchor"));
        };
        let bytes = (node.source.end - node.source.start) as usize;
        if self.budget.nodes < *nodes || self.budget.copied < bytes {
            return Err(self.fatal(span, "the aliases of the file repeat too much"));
        }
        let mut node = node.clone();
        self.budget.nodes -= nodes;
        self.budget.copied -= bytes;
        node.place = self.place(span.start, self.width(span));
        self.add(node)
    }

    fn anchor(&mut self, id: usize, node: &Node, nodes: usize, span: Span) -> Result<(), Fatal> {
        let bytes = (node.source.end - node.source.start) as usize;
        if self.budget.nodes < nodes || self.budget.copied < bytes {
            return Err(self.fatal(span, "the anchors of the file hold too much"));
        }
        self.budget.nodes -= nodes;
        self.budget.copied -= bytes;
        self.anchors.insert(id, (node.clone(), nodes));
        Ok(())
    }

    fn charge(&mut self, span: Span) -> Result<(), Fatal> {
        self.nodes += 1;
        if self.nodes > MAX_DOCUMENT_NODES {
            return Err(self.fatal(span, format!("a document holds more than {MAX_DOCUMENT_NODES} values")));
        }
        match self.budget.nodes.checked_sub(1) {
            Some(left) => {
                self.budget.nodes = left;
                Ok(())
            }
            None => Err(self.fatal(span, format!("the templates hold more than {MAX_NODES} values"))),
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Node {
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted => Style::Single,
            ScalarStyle::DoubleQuoted => Style::Double,
            ScalarStyle::Literal => Style::Literal,
            ScalarStyle::Folded => Style::Folded,
        };
        let value = match tag {
            None if style == Style::Plain => core::resolve(text),
            None => Value::Text(text.to_owned()),
            Some(tag) => {
                core::tagged(text, tag.core_suffix(), tag.parts() == ("", "!")).unwrap_or_else(|| {
                    self.unknown_tag(tag, span);
                    Value::Text(text.to_owned())
                })
            }
        };
        self.node(value, span, style)
    }

    fn check_tag(&mut self, tag: Option<&Tag>, known: &str, span: Span) {
        if let Some(tag) = tag
            && tag.core_suffix() != Some(known)
        {
            self.unknown_tag(tag, span);
        }
    }

    fn unknown_tag(&mut self, tag: &Tag, span: Span) {
        let name = tag.original();
        let start = span.tag_start.unwrap_or(span.start);
        let place = self.place(start, name.chars().count());
        self.findings.push(
            Diagnostic::new(Code::Yaml, place, format!("the tag `{name}` has no meaning here"))
                .help("a text that starts with `!` is written in quotes"),
        );
    }

    fn drop_duplicates(&mut self, entries: &mut Vec<(Spanned<String>, Node)>) {
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_by(|a, b| entries[*a].0.value.cmp(&entries[*b].0.value).then(a.cmp(b)));
        let mut first = 0;
        let mut dropped = Vec::new();
        for pair in 1..order.len() {
            let (kept, later) = (&entries[order[first]].0, &entries[order[pair]].0);
            if kept.value == later.value {
                self.findings.push(
                    Diagnostic::new(
                        Code::DuplicateKey,
                        later.place.clone(),
                        format!("the key `{}` stands twice in one map", later.value),
                    )
                    .help("remove one of the two")
                    .related(kept.place.clone(), "the first one"),
                );
                dropped.push(order[pair]);
            } else {
                first = pair;
            }
        }
        if !dropped.is_empty() {
            dropped.sort_unstable();
            let mut index = 0;
            entries.retain(|_| {
                index += 1;
                dropped.binary_search(&(index - 1)).is_err()
            });
        }
    }

    /// Forgets the document that could not be read.
    fn abandon(&mut self) {
        self.failures += 1;
        self.nodes = 0;
        self.stack.clear();
        self.anchors.clear();
    }

    fn syntax(&self, error: &ScanError) -> Diagnostic {
        let marker = *error.marker();
        let offset = marker.byte_offset().unwrap_or(self.text.len()).min(self.text.len());
        let message = match error.kind() {
            ErrorKind::RecursionLimitExceeded => {
                format!("lists and maps nest deeper than {MAX_DEPTH} levels")
            }
            _ => format!("this is not YAML: {}", error.info()),
        };
        let finding = Diagnostic::new(Code::Yaml, self.place(marker, 1), message);
        if expression::is_open_at(self.text, offset) {
            return finding.help(QUOTE_IT);
        }
        finding
    }

    fn fatal(&self, span: Span, message: impl Into<String>) -> Fatal {
        Box::new(Diagnostic::new(Code::Yaml, self.place(span.start, 1), message))
    }

    fn node(&self, value: Value, span: Span, style: Style) -> Node {
        let place = self.place(span.start, if style == Style::Collection { 1 } else { self.width(span) });
        let source = Source {
            text: self.text.clone(),
            start: bounded(span.start.byte_offset().unwrap_or(0)),
            end: bounded(span.end.byte_offset().unwrap_or(0)),
            line: place.line,
            column: place.column,
            style,
        };
        Node { value, place, source }
    }

    fn place(&self, at: Marker, width: usize) -> Place {
        Place {
            file: self.file.clone(),
            line: bounded(at.line()).max(1),
            column: bounded(at.col()).saturating_add(1),
            width: bounded(width).max(1),
        }
    }

    /// Characters from the start of a span to its end or the end of its first line.
    fn width(&self, span: Span) -> usize {
        if span.start.line() == span.end.line() {
            return span.end.index().saturating_sub(span.start.index());
        }
        let start = span.start.byte_offset().unwrap_or(self.text.len());
        let line = self.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or("");
        line.trim_end().chars().take(4096).count()
    }
}

fn bounded(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A scalar's text as a key.
fn key_of(node: Node) -> Result<Spanned<String>, Fatal> {
    let value = match node.value {
        Value::Text(text) | Value::Number(text) => text,
        Value::Bool(flag) => flag.to_string(),
        Value::Null | Value::List(_) | Value::Map(_) => {
            let source = &node.source;
            let near = &source.text[..source.end as usize];
            let finding = Diagnostic::new(Code::Yaml, node.place, "a key must be text");
            let open = expression::is_open_at(&source.text, near.len());
            return Err(Box::new(if open { finding.help(QUOTE_IT) } else { finding }));
        }
    };
    Ok(Spanned { value, place: node.place })
}
