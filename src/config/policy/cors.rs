//! `cors` of a Policy.

use std::sync::Arc;

use http::{HeaderName, Method};

use super::super::{
    decode::{Decoder, Fields},
    keys::{Object, Shape, optional, required},
    url,
};
use crate::{
    diagnostic::{Code, Place},
    policy::cors::Settings,
};

/// `cors`
#[derive(Clone, Debug)]
pub struct CorsTemplate {
    /// What its layer takes.
    pub settings: Arc<Settings>,
    /// Where it stands.
    pub place: Place,
    /// Where each of its keys stands.
    pub keys: Vec<(String, Place)>,
}

impl CorsTemplate {
    /// Where a key stands, if it is written.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&Place> {
        self.keys.iter().find(|(key, _)| key == name).map(|(_, place)| place)
    }
}

pub(super) static CORS: Object = Object {
    name: "cors",
    keys: &[
        required(
            "origins",
            Shape::List(&Shape::Text),
            "Origins as browsers send them, or `*` for any; an empty list for none.",
        ),
        optional("methods", Shape::List(&Shape::Text), "Methods that scripts may use (GET, HEAD, POST)."),
        optional("headers", Shape::List(&Shape::Text), "Fields that scripts may send."),
        optional("expose", Shape::List(&Shape::Text), "Fields of answers that scripts may read."),
        optional("credentials", Shape::Flag, "Whether cookies and the like may go along (false)."),
        optional("maxAge", Shape::Duration, "How long a browser may remember a preflight."),
    ],
    one_of: &[],
    open: false,
};

pub(super) fn decode(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<CorsTemplate> {
    let place = fields.key_place("cors").clone();
    let fields = &decoder.object(fields, "cors")?;
    let mut origins = Vec::new();
    let credentials = decoder.flag(fields, "credentials").unwrap_or(false);
    for node in decoder.list(fields, "origins") {
        let Some(text) = decoder.text_of("origins", node) else { continue };
        match origin_fault(&text) {
            Some(help) => decoder.invalid(&text.place, format!("`{}` is no origin", text.value), help),
            None if text.value == "*" && credentials => decoder.invalid(
                &text.place,
                "every origin with credentials: any page could act as whoever visits it",
                "name the origins, or remove `credentials: true`",
            ),
            None => origins.push(text.value),
        }
    }
    let settings = Settings {
        origins,
        methods: methods(decoder, fields),
        headers: names(decoder, fields, "headers"),
        expose: names(decoder, fields, "expose"),
        credentials,
        max_age: decoder.duration_or_zero(fields, "maxAge").map(|found| found.value),
    };
    let keys = fields.keys().map(|key| (key.to_owned(), fields.key_place(key).clone())).collect();
    Some(CorsTemplate { settings: Arc::new(settings), place, keys })
}

/// Methods that need no leave anyway are what holds without a list.
fn methods(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<Method> {
    if fields.get("methods").is_none() {
        return vec![Method::GET, Method::HEAD, Method::POST];
    }
    let mut methods = Vec::new();
    for node in decoder.list(fields, "methods") {
        let Some(text) = decoder.text_of("methods", node) else { continue };
        methods.extend(decoder.method(&text).map(|method| method.value));
    }
    methods
}

fn names(decoder: &mut Decoder<'_>, fields: &Fields<'_>, key: &str) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for node in decoder.list(fields, key) {
        let Some(text) = decoder.text_of(key, node) else { continue };
        if text.value == "*" {
            decoder.invalid(&text.place, format!("`{key}` names fields one by one"), "write them out");
            continue;
        }
        let Some(name) = decoder.header_name(&text) else { continue };
        if names.contains(&name.value) {
            let message = format!("`{}` stands in `{key}` twice", name.value);
            decoder.report(Code::DuplicateName, &name.place, message, "remove one");
            continue;
        }
        names.push(name.value);
    }
    names
}

/// What is wrong with an origin; browsers send `scheme://host[:port]`, lower case, no default port.
fn origin_fault(text: &str) -> Option<&'static str> {
    const FORM: &str = "scheme, host and maybe port, as browsers send it: https://app.example.com";
    if text == "*" {
        return None;
    }
    if text == "null" {
        return Some("any page can make its origin `null`, so it says nothing; name real origins");
    }
    let Some((scheme, authority)) = text.split_once("://") else { return Some(FORM) };
    let named = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b));
    if !named || authority.contains('/') {
        return Some(FORM);
    }
    if authority.contains('*') {
        return Some("name every origin; there are no patterns, `*` alone is any origin");
    }
    if authority.bytes().any(|b| b.is_ascii_uppercase()) {
        return Some("browsers send the host in lower case");
    }
    if (scheme == "https" && authority.ends_with(":443")) || (scheme == "http" && authority.ends_with(":80"))
    {
        return Some("browsers leave the scheme's own port out");
    }
    // The rest has the rules of an endpoint's host and port.
    url::check(&format!("http://{authority}")).is_err().then_some(FORM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_browsers_send() {
        for fine in ["*", "https://app.example.com", "http://localhost:3000", "http://[::1]:8080", "app://x"]
        {
            assert_eq!(origin_fault(fine), None, "{fine}");
        }
        for wrong in [
            "null",
            "app.example.com",
            "https://a.com/",
            "https://A.com",
            "https://a.com:443",
            "https://*.a.com",
            "https://",
        ] {
            assert!(origin_fault(wrong).is_some(), "{wrong}");
        }
    }
}
