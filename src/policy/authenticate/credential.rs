//! Credentials in a request: where they stand, and how they are taken out before a request goes on.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, Uri, header, uri::PathAndQuery};

use crate::{form, principal::Source};

/// What stands in a place for a credential.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Nothing,
    One(Cow<'a, str>),
    /// Whoever comes after might read another one.
    Several,
    /// Bytes that no credential has.
    Garbled,
}

/// Looks for a credential.
pub(super) fn find<'a>(source: &Source, headers: &'a HeaderMap, uri: &'a Uri) -> Found<'a> {
    match source {
        Source::Header(name, scheme) => {
            let mut lines = headers.get_all(name).iter();
            let Some(first) = lines.next() else { return Found::Nothing };
            let scheme = scheme.as_deref();
            if lines.next().is_some() {
                let all = headers.get_all(name);
                let ours =
                    scheme.is_none_or(|scheme| all.iter().any(|line| strip_scheme(line, scheme).is_some()));
                return if ours { Found::Several } else { Found::Nothing };
            }
            let credential = match scheme {
                None => first.as_bytes(),
                Some(scheme) => match strip_scheme(first, scheme) {
                    Some(rest) => rest,
                    None => return Found::Nothing,
                },
            };
            match std::str::from_utf8(credential) {
                Ok(text) => Found::One(Cow::Borrowed(text)),
                Err(_) => Found::Garbled,
            }
        }
        Source::Cookie(name) => {
            let lines = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
            let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';')).filter_map(pair);
            let mut values = pairs.filter(|(own, _)| *own == name.as_bytes()).map(|(_, value)| value);
            match (values.next(), values.next()) {
                (None, _) => Found::Nothing,
                (Some(_), Some(_)) => Found::Several,
                (Some(value), None) => {
                    let inner = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
                    match std::str::from_utf8(inner.unwrap_or(value)) {
                        Ok(text) => Found::One(Cow::Borrowed(text)),
                        Err(_) => Found::Garbled,
                    }
                }
            }
        }
        Source::Query(name) => {
            let mut values = form::pairs(uri.query().unwrap_or_default()).filter(|(own, _)| own == name);
            match (values.next(), values.next()) {
                (None, _) => Found::Nothing,
                (Some(_), Some(_)) => Found::Several,
                (Some((_, value)), None) => Found::One(value),
            }
        }
    }
}

/// What follows the scheme (RFC 9110 §11.4); the scheme's case does not matter.
fn strip_scheme<'a>(line: &'a HeaderValue, scheme: &str) -> Option<&'a [u8]> {
    let (word, rest) = line.as_bytes().split_at_checked(scheme.len())?;
    let ends = rest.first().is_none_or(|byte| matches!(byte, b' ' | b'\t'));
    (ends && word.eq_ignore_ascii_case(scheme.as_bytes())).then(|| rest.trim_ascii())
}

fn pair(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == b'=')?;
    Some((text[..at].trim_ascii(), text[at + 1..].trim_ascii()))
}

/// Takes a credential out: the field, the cookie's pair alone, or the parameter alone. All that has its name
/// goes, however it is spelt.
pub fn remove(source: &Source, headers: &mut HeaderMap, uri: &mut Uri) {
    match source {
        Source::Header(name, None) => {
            headers.remove(name);
        }
        // What has another scheme is another credential, for somebody else.
        Source::Header(name, Some(scheme)) => {
            let lines = headers.get_all(name).iter();
            let kept: Vec<HeaderValue> =
                lines.filter(|line| strip_scheme(line, scheme).is_none()).cloned().collect();
            headers.remove(name);
            for line in kept {
                headers.append(name.clone(), line);
            }
        }
        Source::Cookie(name) => {
            let kept: Vec<HeaderValue> = headers
                .get_all(header::COOKIE)
                .iter()
                .filter_map(|line| without_cookie(line, name.as_bytes()))
                .collect();
            headers.remove(header::COOKIE);
            for line in kept {
                headers.append(header::COOKIE, line);
            }
        }
        Source::Query(name) => {
            let Some(query) = uri.query() else { return };
            let is_it = |part: &&str| form::pairs(part).any(|(own, _)| own == *name);
            if !query.split('&').any(|part| is_it(&part)) {
                return;
            }
            let kept: Vec<&str> = query.split('&').filter(|part| !is_it(part)).collect();
            let mut target = uri.path().to_owned();
            if !kept.is_empty() {
                target.push('?');
                target.push_str(&kept.join("&"));
            }
            let mut parts = std::mem::take(uri).into_parts();
            // What was left out of a valid target leaves a valid one.
            parts.path_and_query = PathAndQuery::try_from(target).ok();
            *uri = Uri::from_parts(parts).unwrap_or_default();
        }
    }
}

/// The line without the pairs of this name; nothing if no other is left.
fn without_cookie(line: &HeaderValue, name: &[u8]) -> Option<HeaderValue> {
    let is_it = |part: &[u8]| pair(part).is_some_and(|(own, _)| own == name);
    let parts = || line.as_bytes().split(|byte| *byte == b';');
    if !parts().any(is_it) {
        return Some(line.clone());
    }
    let kept: Vec<&[u8]> = parts().filter(|part| !is_it(part)).map(<[u8]>::trim_ascii).collect();
    if kept.iter().all(|part| part.is_empty()) {
        return None;
    }
    HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok()
}

#[cfg(test)]
mod tests;
