//! Scalars of a template.

use std::borrow::Cow;

use super::{EvalError, Frame, Program, Reference, Value};

/// A scalar of a template: a literal, one expression, or a concatenation.
#[derive(Debug)]
pub enum Text {
    /// No expression in it.
    Literal(String),
    /// Exactly one `${…}`: keeps its type.
    One(Program),
    /// Literal parts and expressions, concatenated.
    Parts(Vec<Part>),
}

/// A piece of a concatenation.
#[derive(Debug)]
pub enum Part {
    /// Literal text.
    Literal(String),
    /// An expression.
    Program(Program),
}

impl Text {
    /// Evaluates: a literal and a concatenation give strings, one expression keeps its type.
    pub fn eval<'a>(&'a self, frame: &Frame<'a, '_>) -> Result<Value<'a>, EvalError> {
        match self {
            Self::Literal(text) => Ok(Value::Str(Cow::Borrowed(text))),
            Self::One(program) => program.eval(frame),
            Self::Parts(parts) => concatenate(parts, frame).map(|text| Value::Str(Cow::Owned(text))),
        }
    }

    /// Evaluates and writes JSON. `Ok(false)` and nothing written when it is omitted.
    pub fn write<'a>(&'a self, frame: &Frame<'a, '_>, out: &mut Vec<u8>) -> Result<bool, EvalError> {
        if let Self::One(program) = self {
            return program.write(frame, out);
        }
        self.eval(frame)?.write_json(out, frame.meter)?;
        Ok(true)
    }

    /// Every slot it may read.
    pub fn references(&self) -> impl Iterator<Item = Reference> {
        self.programs().flat_map(|program| program.references().iter().copied())
    }

    /// Its expressions.
    pub fn programs(&self) -> impl Iterator<Item = &Program> {
        let (one, parts) = match self {
            Self::Literal(_) => (None, &[][..]),
            Self::One(program) => (Some(program), &[][..]),
            Self::Parts(parts) => (None, parts.as_slice()),
        };
        let of_parts = parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Program(program) => Some(program),
        });
        one.into_iter().chain(of_parts)
    }
}

fn concatenate<'a>(parts: &'a [Part], frame: &Frame<'a, '_>) -> Result<String, EvalError> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Literal(literal) => text.push_str(literal),
            Part::Program(program) => program.eval(frame)?.write_text(&mut text, frame.meter)?,
        }
    }
    Ok(text)
}
