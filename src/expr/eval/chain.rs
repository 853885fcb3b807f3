//! Paths: reading a slot or a variable and selecting from it.

use std::{borrow::Cow, rc::Rc};

use super::{Evaluated, Machine, Value, failed};
use crate::{
    expr::{
        EvalError, Slot,
        arithmetic::Num,
        op::{Base, Chain, Key, Link, OpId},
    },
    json::{Kind, Ref},
};

/// What a path leads to.
pub(super) enum Found<'a> {
    Plain(Value<'a>),
    /// Something in the path was optional, so the whole is.
    Optional(Option<Value<'a>>),
}

impl<'a> Machine<'a, '_> {
    #[inline]
    pub(super) fn chain(&mut self, chain: &'a Chain) -> Result<Found<'a>, EvalError> {
        // The element of a list that is walked is the most read of all, and not worth a copy.
        if let Base::Local(index) = chain.base
            && let Some(Value::Json(json)) = self.locals.get(usize::from(index))
        {
            return self.walk(chain, *json);
        }
        match self.base(chain)? {
            Some(Value::Json(json)) => self.walk(chain, json),
            Some(value) => self.select_all(chain, value, &chain.links),
            None if chain.tolerant => Ok(Found::Optional(None)),
            None => Err(self.absent(chain, chain.end)),
        }
    }

    /// Selects members of a document as far as that is all there is to it, with no value in between.
    #[inline]
    fn walk(&mut self, chain: &'a Chain, mut json: Ref<'a>) -> Result<Found<'a>, EvalError> {
        for (position, link) in chain.links.iter().enumerate() {
            match &link.key {
                Key::Name(name) if !link.optional && !chain.optional => {
                    let Some(members) = json.map_len() else {
                        return self.select_all(chain, Value::Json(json), &chain.links[position..]);
                    };
                    self.work(members * 16)?;
                    match json.get(name) {
                        Some(member) => json = member,
                        None => return Err(self.absent(chain, link.end)),
                    }
                }
                _ => return self.select_all(chain, Value::Json(json), &chain.links[position..]),
            }
        }
        // Whoever reads it as a string decodes it.
        self.work(json.decoding())?;
        let value = Value::Json(json);
        Ok(if chain.optional { Found::Optional(Some(value)) } else { Found::Plain(value) })
    }

    #[inline]
    fn base(&mut self, chain: &'a Chain) -> Result<Option<Value<'a>>, EvalError> {
        match chain.base {
            Base::Slot(slot) => self.data.read(slot),
            Base::Local(index) => self.local(index).map(Some),
            Base::Op(id) => self.eval(id).map(Some),
        }
    }

    fn local(&mut self, index: u16) -> Evaluated<'a> {
        let index = usize::from(index);
        let value = match index.checked_sub(self.locals.len()) {
            None => self.locals.get(index),
            Some(index) => self.variables.get(index),
        };
        let Some(value) = value.cloned() else {
            return Err(failed("a variable has no value here"));
        };
        if let Value::Str(Cow::Owned(text)) = &value {
            let copied = text.len();
            self.produce(copied)?;
        }
        Ok(value)
    }

    fn select_all(
        &mut self,
        chain: &'a Chain,
        base: Value<'a>,
        links: &'a [Link],
    ) -> Result<Found<'a>, EvalError> {
        let mut optional = chain.optional;
        let mut value = base;
        for link in links {
            if let Value::Optional(inner) = value {
                // What is selected from an optional is one.
                optional = true;
                match inner {
                    Some(inner) => value = Rc::unwrap_or_clone(inner),
                    None => return Ok(Found::Optional(None)),
                }
            }
            optional |= link.optional;
            match self.select(chain, link, &value, link.optional)? {
                Some(selected) => value = selected,
                None if optional => return Ok(Found::Optional(None)),
                None => return Err(self.absent(chain, link.end)),
            }
        }
        if let Value::Json(json) = &value {
            self.work(json.decoding())?;
        }
        Ok(if optional { Found::Optional(Some(value)) } else { Found::Plain(value) })
    }

    #[inline]
    fn select(
        &mut self,
        chain: &Chain,
        link: &'a Link,
        value: &Value<'a>,
        optional: bool,
    ) -> Result<Option<Value<'a>>, EvalError> {
        match &link.key {
            Key::Name(name) => self.member(chain, link, value, name, optional),
            Key::Computed(id) => {
                let key = self.eval(*id)?;
                self.index(chain, link, value, &key, optional)
            }
        }
    }

    #[inline]
    fn member(
        &mut self,
        chain: &Chain,
        link: &Link,
        value: &Value<'a>,
        name: &str,
        optional: bool,
    ) -> Result<Option<Value<'a>>, EvalError> {
        match value {
            Value::Json(json) if json.kind() == Kind::Map => {
                self.work(json.len() * 16)?;
                Ok(json.get(name).map(Value::Json))
            }
            Value::Object(object) => object.get(name),
            Value::Map(map) => {
                self.work(map.len() * 16)?;
                let found = map.iter().find(|(key, _)| key.as_str().as_deref() == Some(name));
                Ok(found.map(|(_, value)| value.clone()))
            }
            // Nothing can be in these, so for `.?` it is just absent.
            other if optional && !other.is_list() => Ok(None),
            other => Err(self.no_members(chain, link, other)),
        }
    }

    fn index(
        &mut self,
        chain: &Chain,
        link: &Link,
        value: &Value<'a>,
        key: &Value<'a>,
        optional: bool,
    ) -> Result<Option<Value<'a>>, EvalError> {
        if let Some(name) = key.as_str() {
            return self.member(chain, link, value, &name, optional);
        }
        match value {
            Value::List(_) | Value::Json(_) if value.is_list() => {
                let Some(number) = Num::of(key) else {
                    return Err(failed(format!("{} cannot be an index of a list", key.type_name())));
                };
                let Some(index) = number.index() else { return Ok(None) };
                match value {
                    Value::List(list) => Ok(list.get(index).cloned()),
                    Value::Json(json) => {
                        self.work(index.min(json.len()) * 16)?;
                        Ok(json.at(index).map(Value::Json))
                    }
                    _ => Ok(None),
                }
            }
            Value::Map(map) => {
                for (known, value) in map.iter() {
                    if self.equal(known, key)? {
                        return Ok(Some(value.clone()));
                    }
                }
                Ok(None)
            }
            // Keys of data are strings, so no other key is there.
            Value::Object(_) => Ok(None),
            Value::Json(json) if json.kind() == Kind::Map => Ok(None),
            _ if optional => Ok(None),
            other => Err(self.no_members(chain, link, other)),
        }
    }

    /// Whether the last link of a path leads anywhere. What comes before it must be there, unless it
    /// is what a slot stands for.
    pub(super) fn has(&mut self, chain: &'a Chain) -> Result<bool, EvalError> {
        let Some(value) = self.base(chain)? else {
            return if chain.tolerant { Ok(false) } else { Err(self.absent(chain, chain.end)) };
        };
        let Some((last, before)) = chain.links.split_last() else {
            return Ok(!value.is_omitted());
        };
        let owner = match self.select_all(chain, value, before)? {
            Found::Plain(value) => value.present(),
            Found::Optional(value) => value.and_then(Value::present),
        };
        match owner {
            Some(owner) => Ok(self.select(chain, last, &owner, true)?.is_some()),
            None => Ok(false),
        }
    }

    /// All values of a repeated field.
    pub(super) fn values(&mut self, chain: &'a Chain, name: OpId) -> Evaluated<'a> {
        let name = self.eval(name)?;
        let Some(text) = name.as_str() else {
            return Err(failed(format!("the name of a field must be a string, not {}", name.type_name())));
        };
        let Some(map) = self.base(chain)? else {
            return if chain.optional {
                Ok(Value::List(Rc::default()))
            } else {
                Err(self.absent(chain, chain.end))
            };
        };
        let Value::Object(object) = map else {
            return Err(failed("the values of this field cannot be listed"));
        };
        let lower_case = chain.base.holds_headers();
        let name = if lower_case { Cow::Owned(text.to_ascii_lowercase()) } else { text };
        let values = object.values(&name);
        self.grow(values.len())?;
        Ok(Value::List(values.into_iter().map(Value::Str).collect()))
    }

    #[cold]
    fn absent(&self, chain: &Chain, end: u32) -> EvalError {
        failed(format!("`{}` is absent", self.text(chain.start, end)))
    }

    #[cold]
    fn no_members(&self, chain: &Chain, link: &Link, value: &Value<'_>) -> EvalError {
        let path = self.text(chain.start, link.end);
        failed(format!("`{path}` cannot be read, as what is before it is {}", value.type_name()))
    }

    /// A piece of the source on one line, shortened.
    fn text(&self, start: u32, end: u32) -> String {
        let text = self.source.get(start as usize..end as usize).unwrap_or_default();
        let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if words.chars().count() > 80 {
            words = words.chars().take(79).chain(['…']).collect();
        }
        words
    }
}

impl Base {
    fn holds_headers(&self) -> bool {
        use crate::expr::{AnswerField, StepField};
        matches!(
            self,
            Self::Slot(Slot::Headers | Slot::Step(_, StepField::Headers) | Slot::Own(AnswerField::Headers))
        )
    }
}
