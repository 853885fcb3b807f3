//! Header fields as a map of expressions: `headers["name"]`, `headerValues(name)`.

use std::borrow::Cow;

use http::HeaderMap;

use crate::expr::{EvalError, Object, Value};

/// Fields of a request or an answer. Names are lower case, repeated fields are joined with `, `.
#[derive(Debug, Default)]
pub(super) struct Fields(pub(super) HeaderMap);

impl Object for Fields {
    fn get(&self, key: &str) -> Result<Option<Value<'_>>, EvalError> {
        // `HeaderMap` ignores case; a map with lower-case keys does not.
        if key.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Ok(None);
        }
        let mut values = self.0.get_all(key).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
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
        self.0.keys().map(|name| Cow::Borrowed(name.as_str())).collect()
    }

    fn values(&self, key: &str) -> Vec<Cow<'_, str>> {
        self.0.get_all(key).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect()
    }
}
