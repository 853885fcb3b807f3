//! A call as the service saw it, and what a test asks of one.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};

use super::{
    compare::{self, Difference},
    names::Caller,
};
use crate::config::{Node, suite::ContentTemplate, yaml::Value};

/// A call as the service saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Who made it.
    pub caller: Caller,
    /// When it came, on the test's clock.
    pub at: Duration,
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// Its fields.
    pub headers: HeaderMap,
    /// Its body; absent as long as there is no connection.
    pub body: Option<Bytes>,
}

// === impl Seen ===

impl Seen {
    /// `STEP METHOD TARGET`
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {} {}", self.caller.step, self.method, self.uri)
    }

    /// Where the call differs from what is asked; a body that is not there yet differs nowhere.
    pub(super) fn differences(&self, asked: &ContentTemplate) -> Vec<Difference> {
        let mut found = Vec::new();
        let texts = [("method", &asked.method, self.method.as_str()), ("path", &asked.path, self.uri.path())];
        for (what, asked, got) in texts {
            if let Some(asked) = asked
                && asked.value != got
            {
                found.push(Difference::new(&asked.place, what, asked.value.clone(), got));
            }
        }
        let query = parameters(self.uri.query().unwrap_or_default());
        for (name, node) in &asked.query {
            let got = query.iter().filter(|(key, _)| **key == **name).map(|(_, value)| &**value);
            fields(&format!("query.{}", name.value), node, got.collect(), &mut found);
        }
        for (name, node) in &asked.headers {
            headers(&format!("headers.{}", name.value), &name.value, node, &self.headers, &mut found);
        }
        if let (Some(asked), Some(body)) = (&asked.body, &self.body) {
            found.extend(compare::body("body", asked, body, false));
        }
        found
    }
}

/// Compares a field of a message.
pub(super) fn headers(
    what: &str,
    name: &http::HeaderName,
    asked: &Node,
    got: &HeaderMap,
    found: &mut Vec<Difference>,
) {
    let got: Vec<_> =
        got.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    fields(what, asked, got.iter().map(|value| &**value).collect(), found);
}

/// Compares what may repeat: `null` for nothing, a list for all of them, a text for the only one.
fn fields(what: &str, asked: &Node, got: Vec<&str>, found: &mut Vec<Difference>) {
    let shown = || match got.as_slice() {
        [] => "nothing".to_owned(),
        [only] => format!("`{only}`"),
        several => format!("{several:?}"),
    };
    let one = std::slice::from_ref(asked);
    let asked_values = match &asked.value {
        Value::Null => &[],
        Value::List(nodes) => nodes.as_slice(),
        _ => one,
    };
    let equal = asked_values.len() == got.len()
        && asked_values.iter().zip(&got).all(|(asked, got)| compare::text_of(asked).as_deref() == Some(*got));
    if !equal {
        let wanted = match &asked.value {
            Value::Null => "nothing".to_owned(),
            _ => compare::shown(asked),
        };
        found.push(Difference { place: asked.place.clone(), what: what.to_owned(), wanted, got: shown() });
    }
}

/// The parameters of a query, decoded.
fn parameters(query: &str) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        Cow::Owned(percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(k, v)| (decode(k), decode(v)))
        .collect()
}
