//! The head of a message as expressions see it: `headers["name"]`, `query.NAME`, `cookies.NAME`.
//!
//! Each is a view of what was received, owned or borrowed: members are made when they are asked for.

use std::{
    borrow::{Borrow, Cow},
    str::from_utf8,
};

use http::{HeaderMap, Uri, header};

use crate::{
    expr::{EvalError, Object, Slot, Value},
    form,
    telemetry::Exchange,
};

/// Fields of a request or an answer. Names are lower case, repeated fields are joined with `, `.
#[derive(Debug, Default)]
pub struct Fields<M = HeaderMap>(pub M);

/// `request.query`: read out of the target when asked for, the first value of a name wins.
#[derive(Debug)]
pub struct Query<U = Uri>(pub U);

/// `request.cookies`: the first cookie of a name wins.
#[derive(Debug)]
pub struct Cookies(Vec<(String, String)>);

/// Host and port as the client named them.
#[must_use]
pub fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => headers.get(header::HOST)?.to_str().ok(),
    }
}

/// `request.host`: the host without its port.
#[must_use]
pub fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let authority = authority(uri, headers)?;
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(host),
        _ => Some(authority),
    }
}

/// The decoded text of a capture; nothing if that is not UTF-8.
#[must_use]
pub fn captured(path: &str, range: (u32, u32)) -> Option<Cow<'_, str>> {
    let segment = path.get(range.0 as usize..range.1 as usize)?;
    percent_encoding::percent_decode_str(segment).decode_utf8().ok()
}

/// What a request's record knows of the values that expressions read.
#[must_use]
pub fn known(exchange: &Exchange, slot: Slot) -> Option<Value<'_>> {
    let text = |text| Some(Value::Str(Cow::Borrowed(text)));
    match slot {
        Slot::Scheme => text(exchange.scheme),
        Slot::ClientIp => Some(Value::Str(Cow::Owned(exchange.client.to_string()))),
        Slot::RequestId => text(&exchange.id),
        Slot::Principal(field) => exchange.principal.get().and_then(|principal| principal.read(field)),
        Slot::Now => {
            let now = exchange.now();
            let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
            Some(Value::Timestamp(seconds, now.subsec_nanos()))
        }
        Slot::TraceId => Some(Value::Str(Cow::Owned(format!("{:032x}", exchange.trace.id)))),
        _ => None,
    }
}

// === impl Fields ===

impl<M: Borrow<HeaderMap> + Sync> Object for Fields<M> {
    fn get(&self, key: &str) -> Result<Option<Value<'_>>, EvalError> {
        // `HeaderMap` ignores case; a map with lower-case keys does not.
        if key.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Ok(None);
        }
        let mut values = self.0.borrow().get_all(key).iter().map(|value| text(value.as_bytes()));
        let Some(mut joined) = values.next() else {
            return Ok(None);
        };
        for value in values {
            let joined = joined.to_mut();
            joined.push_str(", ");
            joined.push_str(&value);
        }
        Ok(Some(Value::Str(joined)))
    }

    fn keys(&self) -> Vec<Cow<'_, str>> {
        self.0.borrow().keys().map(|name| Cow::Borrowed(name.as_str())).collect()
    }

    fn values(&self, key: &str) -> Vec<Cow<'_, str>> {
        self.0.borrow().get_all(key).iter().map(|value| text(value.as_bytes())).collect()
    }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    // The common case is told faster than by looking for what to replace.
    from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

// === impl Query ===

impl<U: Borrow<Uri> + Sync> Query<U> {
    fn pairs(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form::pairs(self.0.borrow().query().unwrap_or_default())
    }
}

impl<U: Borrow<Uri> + Sync> Object for Query<U> {
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

// === impl Cookies ===

impl Cookies {
    /// Reads the cookies of a request.
    #[must_use]
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut cookies: Vec<(String, String)> = Vec::new();
        for line in headers.get_all(header::COOKIE) {
            let line = text(line.as_bytes());
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
