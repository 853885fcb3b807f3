//! Evaluation: operations → a value, or straight to JSON.
//!
//! Recursion follows the tree of the expression, whose height the parser bounds. Every operation and
//! every turn of a loop takes a step of fuel, and work that grows with data takes more.

mod bind;
mod chain;
mod compare;
mod loops;
mod operator;
mod pairs;
mod write;

use std::{borrow::Cow, collections::HashSet, rc::Rc};

use chain::Found;

use super::{
    Data, EvalError, Frame, Value,
    function::{self, Run},
    meter::Allowance,
    op::{Op, OpId},
    pattern::Pattern,
};
use crate::json::Kind;

/// A failure in our own words.
#[cold]
pub(super) fn failed(message: impl Into<Cow<'static, str>>) -> EvalError {
    EvalError::Failed(message.into())
}

/// One evaluation under way.
pub(super) struct Machine<'a, 'f> {
    ops: &'a [Op],
    source: &'a str,
    data: &'a dyn Data,
    locals: &'f [Value<'a>],
    /// Variables of the macros around the current operation, at the places their loops say.
    variables: Vec<Value<'a>>,
    /// Which turn of the loops around the expression this is.
    turn: u64,
    /// How many `uuid()` were made in this evaluation.
    uuids: u64,
    allowance: Allowance,
}

pub(super) type Evaluated<'a> = Result<Value<'a>, EvalError>;

impl<'a, 'f> Machine<'a, 'f> {
    /// Runs something on a program and settles with the frame's meter.
    pub(super) fn run<T>(
        ops: &'a [Op],
        source: &'a str,
        frame: &Frame<'a, 'f>,
        work: impl FnOnce(&mut Self) -> Result<T, EvalError>,
    ) -> Result<T, EvalError> {
        let allowance = frame.meter.allowance();
        let mut machine = Self {
            ops,
            source,
            data: frame.data,
            locals: frame.locals,
            variables: Vec::new(),
            turn: frame.turn,
            uuids: 0,
            allowance,
        };
        let result = work(&mut machine);
        frame.meter.settle(&machine.allowance);
        result
    }

    #[inline]
    pub(super) fn step(&mut self) -> Result<(), EvalError> {
        self.allowance.steps(1)
    }

    /// Takes fuel for looking at this many bytes.
    #[inline]
    pub(super) fn work(&mut self, bytes: usize) -> Result<(), EvalError> {
        self.allowance.steps(bytes as u64 / 128)
    }

    /// Takes bytes of what an expression may produce.
    #[inline]
    pub(super) fn produce(&mut self, bytes: usize) -> Result<(), EvalError> {
        self.allowance.produce(bytes)
    }

    /// Takes what a list or map of this many elements costs.
    pub(super) fn grow(&mut self, elements: usize) -> Result<(), EvalError> {
        self.allowance.steps(elements as u64)?;
        self.allowance.produce(elements * size_of::<Value<'a>>())
    }

    #[inline]
    fn op(&self, id: OpId) -> &'a Op {
        &self.ops[id as usize]
    }

    /// Evaluates an operation.
    pub(super) fn eval(&mut self, id: OpId) -> Evaluated<'a> {
        self.step()?;
        match self.op(id) {
            Op::Chain(chain) => match self.chain(chain)? {
                Found::Plain(value) => Ok(value),
                Found::Optional(value) => Ok(Value::Optional(value.map(Rc::new))),
            },
            Op::Str(text) => Ok(Value::Str(Cow::Borrowed(text))),
            Op::Int(value) => Ok(Value::Int(*value)),
            Op::Refused => Err(failed("the expression was refused")),
            Op::Null => Ok(Value::Null),
            Op::Bool(value) => Ok(Value::Bool(*value)),
            Op::Uint(value) => Ok(Value::Uint(*value)),
            Op::Double(value) => Ok(Value::Double(*value)),
            Op::Bytes(bytes) => Ok(Value::Bytes(Cow::Borrowed(bytes))),
            Op::Has(chain) => Ok(Value::Bool(self.has(chain)?)),
            Op::Captures(members) => {
                let mut map = Vec::with_capacity(members.len());
                for (name, slot) in members {
                    if let Some(value) = self.data.read(*slot)? {
                        map.push((Value::Str(Cow::Borrowed(name)), value));
                    }
                }
                Ok(Value::Map(Rc::from(map)))
            }
            Op::Values(chain, name) => self.values(chain, *name),
            Op::Not(inner) => Ok(Value::Bool(!self.condition(*inner)?)),
            Op::Negate(inner) => self.negate(*inner),
            Op::Binary(operator, left, right) if operator.is_test() => {
                self.compare(*operator, *left, *right).map(Value::Bool)
            }
            Op::Binary(operator, left, right) => self.arithmetic(*operator, *left, *right),
            Op::Concat(parts) => self.concat(parts),
            Op::And(operands) => Ok(Value::Bool(self.absorbing(operands, false)?)),
            Op::Or(operands) => Ok(Value::Bool(self.absorbing(operands, true)?)),
            Op::If(condition, then, otherwise) => {
                if self.condition(*condition)? {
                    self.eval(*then)
                } else {
                    self.eval(*otherwise)
                }
            }
            Op::List(elements) => {
                self.produce(elements.len() * size_of::<Value<'a>>())?;
                let mut list = Vec::with_capacity(elements.len());
                for (optional, element) in elements {
                    if *optional {
                        list.extend(self.optional(*element)?);
                    } else {
                        list.push(self.eval(*element)?);
                    }
                }
                Ok(Value::List(Rc::from(list)))
            }
            Op::Map(literal) => {
                self.produce(literal.entries.len() * 2 * size_of::<Value<'a>>())?;
                let mut map = Vec::with_capacity(literal.entries.len());
                for (optional, key, value) in &literal.entries {
                    let key = self.map_key(*key)?;
                    let value = if *optional { self.optional(*value)? } else { Some(self.eval(*value)?) };
                    map.extend(value.map(|value| (key, value)));
                }
                if literal.keys.is_none() {
                    self.check_keys(&map)?;
                }
                Ok(Value::Map(Rc::from(map)))
            }
            Op::Call(run, arguments) => self.call(*run, arguments),
            Op::OrValue(optional, other) => match self.optional(*optional)? {
                Some(value) => Ok(value),
                None => self.eval(*other),
            },
            Op::OrOptional(optional, other) => match self.optional(*optional)? {
                Some(value) => Ok(Value::Optional(Some(Rc::new(value)))),
                None => self.optional(*other).map(|value| Value::Optional(value.map(Rc::new))),
            },
            Op::Loop(over) => self.run_loop(over),
            Op::Pairs(over) => self.pairs(over),
            Op::Bind(bind) => self.bind(bind),
            Op::SortBy(list, slot, key) => self.sort_by(*list, *slot, *key),
            Op::Matches(text, pattern) => self.matches(*text, pattern),
            Op::Field(field, value, zone) => {
                let value = self.eval(*value)?;
                function::field(*field, &value, zone)
            }
            Op::FieldIn(field, value, zone) => {
                let value = self.eval(*value)?;
                let name = self.eval(*zone)?;
                let zone = function::zone(self, &name)?;
                function::field(*field, &value, &zone)
            }
            Op::Type(name) => Ok(Value::Type(name)),
            Op::Uuid(place) => self.uuid(*place),
        }
    }

    /// Evaluates to a boolean. What gives nothing else makes no value on the way.
    pub(super) fn condition(&mut self, id: OpId) -> Result<bool, EvalError> {
        let value = match self.op(id) {
            Op::Binary(operator, left, right) if operator.is_test() => {
                self.step()?;
                return self.compare(*operator, *left, *right);
            }
            Op::And(operands) => {
                self.step()?;
                return self.absorbing(operands, false);
            }
            Op::Or(operands) => {
                self.step()?;
                return self.absorbing(operands, true);
            }
            Op::Not(inner) => {
                self.step()?;
                return self.condition(*inner).map(|value| !value);
            }
            _ => self.eval(id)?,
        };
        match value {
            Value::Bool(value) => Ok(value),
            other => other
                .as_bool()
                .ok_or_else(|| failed(format!("a condition gave {}, not a boolean", other.type_name()))),
        }
    }

    /// Evaluates to what is inside an optional, without making the optional where that is possible.
    fn optional(&mut self, id: OpId) -> Result<Option<Value<'a>>, EvalError> {
        let value = match self.op(id) {
            Op::Chain(chain) => {
                self.step()?;
                match self.chain(chain)? {
                    Found::Optional(value) => return Ok(value),
                    Found::Plain(value) => value,
                }
            }
            _ => self.eval(id)?,
        };
        match value {
            Value::Optional(inner) => Ok(inner.map(Rc::unwrap_or_clone)),
            other => Err(failed(format!("an optional is needed, not {}", other.type_name()))),
        }
    }

    /// Evaluates to a leaf: what is inside an optional, and nothing for what is omitted.
    pub(super) fn leaf(&mut self, id: OpId) -> Result<Option<Value<'a>>, EvalError> {
        if let Op::Chain(chain) = self.op(id) {
            self.step()?;
            return Ok(match self.chain(chain)? {
                Found::Optional(value) => value.and_then(Value::present),
                Found::Plain(value) => value.present(),
            });
        }
        self.eval(id).map(Value::present)
    }

    fn call(&mut self, run: Run, arguments: &'a [OpId]) -> Evaluated<'a> {
        match (run, arguments) {
            (Run::None(function), _) => function(self),
            (Run::One(function), [a]) => {
                let a = self.eval(*a)?;
                function(self, a)
            }
            (Run::Two(function), [a, b]) => {
                let (a, b) = (self.eval(*a)?, self.eval(*b)?);
                function(self, a, b)
            }
            (Run::Many(function), arguments) => {
                let mut values = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    values.push(self.eval(*argument)?);
                }
                function(self, values)
            }
            (Run::One(_) | Run::Two(_), _) => {
                Err(failed("a function was called with a wrong number of arguments"))
            }
        }
    }

    fn matches(&mut self, text: OpId, pattern: &Pattern) -> Evaluated<'a> {
        let value = self.eval(text)?;
        match value.as_str() {
            Some(text) => pattern.is_in(&text, |bytes| self.work(bytes)).map(Value::Bool),
            None => Err(failed(format!("`matches` needs a string, not {}", value.type_name()))),
        }
    }

    /// The same again for the same place and element, however often that is evaluated.
    fn uuid(&mut self, place: u64) -> Evaluated<'a> {
        self.uuids += 1;
        let turn = [self.turn, self.uuids];
        function::uuid(self, self.data.seed(), place, turn)
    }

    fn map_key(&mut self, id: OpId) -> Evaluated<'a> {
        let key = self.eval(id)?;
        match &key {
            Value::Str(_) | Value::Int(_) | Value::Uint(_) | Value::Bool(_) => Ok(key),
            Value::Json(json) if matches!(json.kind(), Kind::String | Kind::Number | Kind::Bool) => Ok(key),
            other => Err(failed(format!("{} cannot be a key", other.type_name()))),
        }
    }

    fn check_keys(&mut self, map: &[(Value<'a>, Value<'a>)]) -> Result<(), EvalError> {
        let mut seen = HashSet::with_capacity(map.len());
        for (key, _) in map {
            if !seen.insert(key.key()?) {
                return Err(failed("a key stands twice in a map literal"));
            }
        }
        Ok(())
    }

    /// `&&` and `||`: an operand that decides wins over an error, wherever it stands.
    fn absorbing(&mut self, operands: &'a [OpId], decides: bool) -> Result<bool, EvalError> {
        let mut first_error = None;
        for operand in operands {
            match self.condition(*operand) {
                Ok(value) if value == decides => return Ok(decides),
                Ok(_) => {}
                Err(EvalError::Budget) => return Err(EvalError::Budget),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        first_error.map_or(Ok(!decides), Err)
    }
}
