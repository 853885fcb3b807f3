//! `baggage`: what callers say for whoever comes after them, within the specification's limits (§3.3.2).

use http::{HeaderMap, HeaderName, HeaderValue};

const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
const MOST_MEMBERS: usize = 64;
const MOST_BYTES: usize = 8192;

/// The valid members of all fields, as many as the limits allow.
pub(super) fn of(headers: &HeaderMap) -> Option<HeaderValue> {
    let fields = headers.get_all(BAGGAGE).iter().filter_map(|field| field.to_str().ok());
    let members = fields.flat_map(|field| field.split(',')).map(|member| member.trim_matches([' ', '\t']));
    let mut kept = String::new();
    for member in members.filter(|member| is_member(member)).take(MOST_MEMBERS) {
        let comma = usize::from(!kept.is_empty());
        if kept.len() + comma + member.len() > MOST_BYTES {
            break;
        }
        if comma == 1 {
            kept.push(',');
        }
        kept.push_str(member);
    }
    if kept.is_empty() { None } else { HeaderValue::try_from(kept).ok() }
}

/// `key=value`, perhaps with properties after semicolons.
fn is_member(member: &str) -> bool {
    let mut parts = member.split(';').map(|part| part.trim_matches([' ', '\t']));
    let Some((key, value)) = parts.next().and_then(|first| first.split_once('=')) else { return false };
    let pair = |key: &str, value: &str| {
        is_token(key.trim_end_matches([' ', '\t']))
            && value.trim_start_matches([' ', '\t']).bytes().all(is_octet)
    };
    pair(key, value)
        && parts.all(|property| match property.split_once('=') {
            Some((key, value)) => pair(key, value),
            None => is_token(property),
        })
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// `baggage-octet`: printable, but no space, quote, comma, semicolon or backslash.
const fn is_octet(b: u8) -> bool {
    matches!(b, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}
