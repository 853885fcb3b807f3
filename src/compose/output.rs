//! What a settled step leaves behind, as expressions read it.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex},
};

use http::StatusCode;

use super::degraded::{Degraded, Why};
use crate::{
    body::Body,
    content::Content,
    error::Error,
    expr::{EvalError, Object, StepField, Value},
    head::Fields,
    json::Document,
};

/// What is behind `steps.NAME`.
#[derive(Debug)]
pub(super) enum Output {
    /// One call; also a `forEach` that was skipped or failed as a whole.
    One(Single),
    /// A `forEach` that ran.
    Many(Many),
}

/// A step that calls once, or one item of a `forEach`.
#[derive(Debug)]
pub(super) struct Single {
    pub(super) ended: Ended,
    /// What stands in for the body; `Some(None)` when the fallback is omitted.
    pub(super) stand_in: Option<Option<Document>>,
}

/// How a call ended.
#[derive(Debug)]
pub(super) enum Ended {
    Ok(Box<Received>),
    /// A Composition that is ok.
    Composed(Box<Composed>),
    Failed(Failure),
    Skipped,
}

/// An answer that is ok.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) status: StatusCode,
    pub(super) headers: Fields,
    pub(super) content: Content,
    /// The body itself where the route's answer streams it.
    pub(super) stream: Option<Mutex<Option<Body>>>,
}

/// What a Composition gave.
#[derive(Debug)]
pub(super) struct Composed {
    /// Nothing where it is omitted.
    pub(super) output: Option<Document>,
    /// What was tolerated inside of it.
    pub(super) degraded: Vec<Degraded>,
}

/// Why a call failed, and the head of its answer if one came.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) head: Option<Box<(StatusCode, Fields)>>,
    /// Its fallback failed too, so nothing tolerates it.
    pub(super) helpless: bool,
}

/// A `forEach` that ran. As an [`Object`] it is `byKey`.
#[derive(Debug)]
pub(super) struct Many {
    items: Box<[Item]>,
    /// Positions of ok items, sorted by key; the first of a key only.
    by_key: Box<[usize]>,
}

/// An item of a `forEach`.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) list: Arc<Document>,
    pub(super) index: usize,
    pub(super) key: Option<String>,
    pub(super) single: Single,
    /// It has `output` instead of an answer.
    pub(super) composes: bool,
}

/// A map without members.
struct Nothing;

// === impl Output ===

impl Output {
    pub(super) const fn outcome(&self) -> &'static str {
        match self {
            Self::One(single) => single.ended.outcome(),
            // Items that failed were tolerated one by one, or the step had failed as a whole.
            Self::Many(_) => "ok",
        }
    }

    pub(super) fn failure(&self) -> Option<&Failure> {
        match self {
            Self::One(Single { ended: Ended::Failed(failure), .. }) => Some(failure),
            _ => None,
        }
    }

    pub(super) fn read(&self, field: StepField) -> Option<Value<'_>> {
        match (self, field) {
            (Self::One(single), field) => single.read(field),
            (Self::Many(many), StepField::Items) => {
                Some(Value::List(many.items.iter().map(|item| Value::Object(item)).collect()))
            }
            (Self::Many(many), StepField::ByKey) => Some(Value::Object(many)),
            (Self::Many(_), StepField::Outcome) => Some(Value::Str(Cow::Borrowed(self.outcome()))),
            (Self::Many(_), StepField::Error) => Some(Value::Object(&Nothing)),
            (Self::Many(_), _) => None,
        }
    }
}

// === impl Ended ===

impl Ended {
    pub(super) const fn outcome(&self) -> &'static str {
        match self {
            Self::Ok(_) | Self::Composed(_) => "ok",
            Self::Failed(_) => "failed",
            Self::Skipped => "skipped",
        }
    }
}

// === impl Single ===

impl Single {
    pub(super) fn read(&self, field: StepField) -> Option<Value<'_>> {
        let head = match &self.ended {
            Ended::Ok(received) => Some((received.status, &received.headers)),
            Ended::Failed(failure) => failure.head.as_deref().map(|(status, fields)| (*status, fields)),
            Ended::Composed(_) | Ended::Skipped => None,
        };
        match field {
            StepField::Status => head.map(|(status, _)| Value::Int(status.as_u16().into())),
            StepField::Headers => head.map(|(_, fields)| Value::Object(fields)),
            StepField::Body | StepField::Output => match (&self.ended, &self.stand_in) {
                (Ended::Ok(received), _) => Some(received.content.value()),
                (Ended::Composed(composed), _) => {
                    composed.output.as_ref().map(|output| Value::Json(output.root()))
                }
                (_, Some(document)) => document.as_ref().map(|document| Value::Json(document.root())),
                (_, None) => None,
            },
            StepField::Outcome => Some(Value::Str(Cow::Borrowed(self.ended.outcome()))),
            StepField::Error => Some(match &self.ended {
                Ended::Failed(failure) => Value::Object(failure),
                _ => Value::Object(&Nothing),
            }),
            StepField::Items => Some(Value::List([].into())),
            StepField::ByKey => Some(Value::Object(&Nothing)),
        }
    }
}

impl Single {
    /// Adds what is degraded in the step of this name.
    pub(super) fn degraded(&self, step: &str, tolerated: bool, to: &mut Vec<Degraded>) {
        match &self.ended {
            Ended::Failed(failure) if tolerated => {
                to.push(Degraded { name: step.to_owned(), why: Why::Code(failure.error.kind().code()) });
            }
            Ended::Composed(composed) => to.extend(composed.degraded.iter().map(|one| one.inside(step))),
            Ended::Ok(_) | Ended::Failed(_) | Ended::Skipped => {}
        }
    }
}

// === impl Many ===

impl Many {
    pub(super) fn new(items: Vec<Item>) -> Self {
        let mut by_key: Vec<usize> = (0..items.len())
            .filter(|&at| {
                items[at].key.is_some() && matches!(items[at].single.ended, Ended::Ok(_) | Ended::Composed(_))
            })
            .collect();
        // Stable, so that the first of a key in input order stays first.
        by_key.sort_by(|&a, &b| items[a].key.cmp(&items[b].key));
        by_key.dedup_by(|a, b| items[*a].key == items[*b].key);
        Self { items: items.into(), by_key: by_key.into() }
    }

    /// How many items there are.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// How many of them failed.
    pub(super) fn failed(&self) -> usize {
        self.items.iter().filter(|item| matches!(item.single.ended, Ended::Failed(_))).count()
    }

    /// Whether a fallback stands in for any of them.
    pub(super) fn has_stand_ins(&self) -> bool {
        self.items.iter().any(|item| item.single.stand_in.is_some())
    }

    /// Adds what is degraded in the step of this name, counted over its items.
    pub(super) fn degraded(&self, step: &str, to: &mut Vec<Degraded>) {
        let (of, failed) = (self.items.len(), self.failed());
        if failed > 0 {
            to.push(Degraded { name: step.to_owned(), why: Why::Items { failed, of } });
        }
        let mut inner = Vec::new();
        for item in &self.items {
            let Ended::Composed(composed) = &item.single.ended else { continue };
            for one in &composed.degraded {
                one.inside(step).add(of, &mut inner);
            }
        }
        to.append(&mut inner);
    }
}

impl Object for Many {
    fn get(&self, key: &str) -> Result<Option<Value<'_>>, EvalError> {
        let found = self.by_key.binary_search_by(|&at| self.items[at].key.as_deref().cmp(&Some(key)));
        Ok(found.ok().map(|position| Value::Object(&self.items[self.by_key[position]])))
    }

    fn keys(&self) -> Vec<Cow<'_, str>> {
        // In input order, as everything that is listed.
        let mut positions = self.by_key.to_vec();
        positions.sort_unstable();
        positions.iter().filter_map(|&at| self.items[at].key.as_deref().map(Cow::Borrowed)).collect()
    }
}

impl Object for Item {
    fn get(&self, key: &str) -> Result<Option<Value<'_>>, EvalError> {
        Ok(match key {
            "item" => self.list.root().at(self.index).map(Value::Json),
            "key" => self.key.as_deref().map(|key| Value::Str(Cow::Borrowed(key))),
            "status" => self.single.read(StepField::Status),
            "headers" => self.single.read(StepField::Headers),
            "body" if !self.composes => self.single.read(StepField::Body),
            "output" if self.composes => self.single.read(StepField::Output),
            "outcome" => self.single.read(StepField::Outcome),
            "error" => self.single.read(StepField::Error),
            _ => None,
        })
    }

    fn keys(&self) -> Vec<Cow<'_, str>> {
        let all = ["item", "key", "status", "headers", "body", "output", "outcome", "error"];
        // `error.?code` may be read of any item; what did not fail shows none.
        let failed = matches!(self.single.ended, Ended::Failed(_));
        let all = &all[..if failed { all.len() } else { all.len() - 1 }];
        let there = all.iter().copied().filter(|key| matches!(self.get(key), Ok(Some(_))));
        there.map(Cow::Borrowed).collect()
    }
}

impl Object for Failure {
    fn get(&self, key: &str) -> Result<Option<Value<'_>>, EvalError> {
        Ok(match key {
            "code" => Some(Value::Str(Cow::Borrowed(self.error.kind().code()))),
            "status" => Some(Value::Int(self.error.response_status().as_u16().into())),
            _ => None,
        })
    }

    fn keys(&self) -> Vec<Cow<'_, str>> {
        vec![Cow::Borrowed("code"), Cow::Borrowed("status")]
    }
}

impl Object for Nothing {
    fn get(&self, _: &str) -> Result<Option<Value<'_>>, EvalError> {
        Ok(None)
    }

    fn keys(&self) -> Vec<Cow<'_, str>> {
        Vec::new()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, head: None, helpless: false }
    }
}
