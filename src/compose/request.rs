//! The request as expressions see it.

use std::{borrow::Cow, sync::OnceLock};

use http::{HeaderMap, Method, Uri};

use crate::{
    expr::{EvalError, Object, Value},
    head::{self, Cookies, Fields, Query},
    json::Document,
    plan::request::{Parameter, ParameterPlace},
};

/// What `request` reads, the body apart.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) query: Declared<Query>,
    pub(super) headers: Declared<Fields>,
    pub(super) captures: Box<[String]>,
    /// Declared captures by their indexes.
    path: OnceLock<Vec<(u16, Document)>>,
    cookies: OnceLock<Declared<Cookies>>,
}

/// A map of the request, with the values of declared members in their declared types.
#[derive(Debug)]
pub(super) struct Declared<T> {
    pub(super) raw: T,
    typed: OnceLock<Vec<(String, Option<Document>)>>,
}

impl Request {
    pub(super) fn new(method: Method, uri: Uri, headers: HeaderMap, captures: Box<[String]>) -> Self {
        let (query, headers) = (Declared::new(Query(uri)), Declared::new(Fields(headers)));
        Self { method, query, headers, captures, path: OnceLock::new(), cookies: OnceLock::new() }
    }

    /// Gives declared parameters their values, in the same order; nothing for one that is absent.
    pub(super) fn declare(&self, parameters: &[Parameter], values: Vec<Option<Document>>) {
        let (mut path, mut query, mut headers, mut cookies) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (parameter, value) in parameters.iter().zip(values) {
            let name = parameter.name.clone();
            match parameter.place {
                ParameterPlace::Path(index) => path.extend(value.map(|value| (index, value))),
                ParameterPlace::Query => query.push((name, value)),
                ParameterPlace::Header(_) => headers.push((name, value)),
                ParameterPlace::Cookie => cookies.push((name, value)),
            }
        }
        let _ = self.path.set(path);
        let _ = self.query.typed.set(query);
        let _ = self.headers.typed.set(headers);
        if !cookies.is_empty() {
            let _ = self.cookies().typed.set(cookies);
        }
    }

    /// A capture by its index.
    pub(super) fn path(&self, index: u16) -> Option<Value<'_>> {
        let typed = self.path.get().and_then(|all| all.iter().find(|(one, _)| *one == index));
        if let Some((_, document)) = typed {
            return Some(Value::Json(document.root()));
        }
        self.captures.get(usize::from(index)).map(|text| Value::Str(Cow::Borrowed(text)))
    }

    /// Host and port as the client named them.
    pub(super) fn authority(&self) -> Option<&str> {
        head::authority(&self.query.raw.0, &self.headers.raw.0)
    }

    /// The host without its port.
    pub(super) fn host(&self) -> Option<&str> {
        head::host(&self.query.raw.0, &self.headers.raw.0)
    }

    pub(super) fn cookies(&self) -> &Declared<Cookies> {
        self.cookies.get_or_init(|| Declared::new(Cookies::parse(&self.headers.raw.0)))
    }
}

impl<T> Declared<T> {
    const fn new(raw: T) -> Self {
        Self { raw, typed: OnceLock::new() }
    }

    fn typed(&self) -> &[(String, Option<Document>)] {
        self.typed.get().map_or(&[], Vec::as_slice)
    }
}

impl<T: Object> Object for Declared<T> {
    fn get(&self, key: &str) -> Result<Option<Value<'_>>, EvalError> {
        match self.typed().iter().find(|(name, _)| name == key) {
            Some((_, value)) => Ok(value.as_ref().map(|value| Value::Json(value.root()))),
            None => self.raw.get(key),
        }
    }

    fn keys(&self) -> Vec<Cow<'_, str>> {
        let mut keys = self.raw.keys();
        for (name, value) in self.typed() {
            if value.is_some() && !keys.iter().any(|key| key == name) {
                keys.push(Cow::Borrowed(name));
            }
        }
        keys
    }

    fn values(&self, key: &str) -> Vec<Cow<'_, str>> {
        self.raw.values(key)
    }
}
