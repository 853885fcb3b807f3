//! Compositions that steps run by name.

use std::sync::Arc;

use bytes::Bytes;

use super::{Call, Composition};
use crate::{diagnostic::Place, expr::Shape, id::CompositionId, schema::Schema};

/// What a step does.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are calls, and one pointer less is followed for each"
)]
pub enum Action {
    /// Calls a service.
    Call(Call),
    /// Runs a Composition.
    Compose(Nested),
}

/// A step that runs a Composition.
#[derive(Debug)]
pub struct Nested {
    /// Which one.
    pub composition: CompositionId,
    /// A value per input, in the order of [`Callable::inputs`]; none for one that is not given.
    pub inputs: Box<[Option<Shape>]>,
}

/// A Composition, compiled.
#[derive(Debug)]
pub struct Callable {
    /// `unit/name`, with `@MAJOR` if it has a version.
    pub name: Arc<str>,
    /// Where it is defined.
    pub place: Place,
    /// What callers give, in file order.
    pub inputs: Box<[Input]>,
    /// Its steps.
    pub composition: Composition,
    /// What it gives.
    pub output: Shape,
}

/// An input of a Composition.
#[derive(Debug)]
pub struct Input {
    /// Its name.
    pub name: Arc<str>,
    /// It must be given.
    pub required: bool,
    /// JSON that stands in for one that is not given.
    pub default: Option<Bytes>,
    /// What it must be.
    pub schema: Schema,
}

impl Action {
    /// The call, unless it runs a Composition.
    #[must_use]
    pub const fn call(&self) -> Option<&Call> {
        match self {
            Self::Call(call) => Some(call),
            Self::Compose(_) => None,
        }
    }
}
