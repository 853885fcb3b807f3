//! Fields of an HTTP/2 answer, held to what those of HTTP/1 are: the codec takes more.

use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_LENGTH};

use crate::{syntax, upstream::http1::is_valid};

/// What is wrong with a head.
pub(super) fn of_head(status: StatusCode, headers: &HeaderMap) -> Option<&'static str> {
    if !is_valid(status) {
        return Some("the status is not valid");
    }
    let mut lengths = 0;
    for (name, value) in headers {
        lengths += u32::from(*name == CONTENT_LENGTH);
        if lengths > 1 {
            return Some("ambiguous framing");
        }
        if !is_good(name.as_str(), value) {
            return Some("a field is not valid");
        }
    }
    None
}

/// What is wrong with trailers.
pub(super) fn of_trailers(trailers: &HeaderMap) -> Option<&'static str> {
    let good = trailers.iter().all(|(name, value)| is_good(name.as_str(), value));
    (!good).then_some("a trailer is not valid")
}

/// RFC 9113 §8.2.1: a token, and a value without white space around it.
fn is_good(name: &str, value: &HeaderValue) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let value = value.as_bytes();
    syntax::token(name.as_bytes()) == name.len() && !blank(value.first()) && !blank(value.last())
}
