//! The request as expressions see it.

use std::{borrow::Cow, sync::OnceLock};

use http::{HeaderMap, Method, Uri, header};

use super::fields::Fields;
use crate::{
    expr::{EvalError, Object, Value},
    form,
};

/// What `request` reads, the body apart.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) query: Query,
    pub(super) headers: Fields,
    pub(super) captures: Box<[String]>,
    cookies: OnceLock<Cookies>,
}

impl Request {
    pub(super) fn new(method: Method, uri: Uri, headers: HeaderMap, captures: Box<[String]>) -> Self {
        let (query, headers) = (Query(uri), Fields(headers));
        Self { method, query, headers, captures, cookies: OnceLock::new() }
    }

    /// Host and port as the client named them.
    pub(super) fn authority(&self) -> Option<&str> {
        match self.query.0.authority() {
            Some(authority) => Some(authority.as_str()),
            None => self.headers.0.get(header::HOST)?.to_str().ok(),
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

    pub(super) fn cookies(&self) -> &Cookies {
        self.cookies.get_or_init(|| Cookies::parse(&self.headers.0))
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
