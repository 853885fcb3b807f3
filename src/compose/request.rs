//! The request as expressions see it.

use std::{borrow::Cow, sync::OnceLock};

use http::{HeaderMap, Method, Uri, header};

use super::fields::Fields;
use crate::{
    expr::{EvalError, Object, Value},
    form,
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
        match self.query.raw.0.authority() {
            Some(authority) => Some(authority.as_str()),
            None => self.headers.raw.0.get(header::HOST)?.to_str().ok(),
        }
    }

    /// The host without its port.
    pub(super) fn host(&self) -> Option<&str> {
        let authority = self.authority()?;
        match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(host),
            _ => Some(authority),
        }
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

/// `request.query`: read out of the target when asked for, the first value of a name wins.
#[derive(Debug)]
pub(super) struct Query(pub(super) Uri);

impl Query {
    fn pairs(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form::pairs(self.0.query().unwrap_or_default())
    }
}

impl Object for Query {
    fn get(&self, key: &str) -> Result<Option<Value<'_>>, EvalError> {
        Ok(self.pairs().find(|(name, _)| name == key).map(|(_, value)| Value::Str(value)))
    }

    fn keys(&self) -> Vec<Cow<'_, str>> {
        let mut keys = Vec::new();
        for (name, _) in self.pairs() {
            if !keys.contains(&name) {
                keys.push(name);
            }
        }
        keys
    }

    fn values(&self, key: &str) -> Vec<Cow<'_, str>> {
        self.pairs().filter(|(name, _)| name == key).map(|(_, value)| value).collect()
    }
}

/// `request.cookies`: the first cookie of a name wins.
#[derive(Debug)]
pub(super) struct Cookies(Vec<(String, String)>);

impl Cookies {
    fn parse(headers: &HeaderMap) -> Self {
        let mut cookies: Vec<(String, String)> = Vec::new();
        for line in headers.get_all(header::COOKIE) {
            let line = String::from_utf8_lossy(line.as_bytes());
            for (name, value) in line.split(';').filter_map(|pair| pair.split_once('=')) {
                let (name, value) = (name.trim(), value.trim());
                let value =
                    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
                cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        Self(cookies)
    }
}

impl Object for Cookies {
    fn get(&self, key: &str) -> Result<Option<Value<'_>>, EvalError> {
        let found = self.0.iter().find(|(name, _)| name == key);
        Ok(found.map(|(_, value)| Value::Str(Cow::Borrowed(value))))
    }

    fn values(&self, key: &str) -> Vec<Cow<'_, str>> {
        let found = self.0.iter().filter(|(name, _)| name == key);
        found.map(|(_, value)| Cow::Borrowed(value.as_str())).collect()
    }

    fn keys(&self) -> Vec<Cow<'_, str>> {
        let mut keys: Vec<Cow<'_, str>> = Vec::new();
        for (name, _) in &self.0 {
            if !keys.iter().any(|key| key == name) {
                keys.push(Cow::Borrowed(name));
            }
        }
        keys
    }
}
