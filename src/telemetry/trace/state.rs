//! `tracestate`: the vendors' part of a trace, kept whole or cut as the specification says (§3.3).

use http::{HeaderMap, HeaderName, HeaderValue};

const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// More members make the list invalid.
const MOST_MEMBERS: usize = 32;
/// What is propagated of a longer list (§3.3.1.5).
const MOST_BYTES: usize = 512;
/// Members longer than this go first.
const LONG_MEMBER: usize = 128;

/// The fields as one, if every member is valid; none of a list that is not.
pub(super) fn of(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut fields = headers.get_all(TRACESTATE).iter();
    let first = fields.next()?;
    let joined = match fields.next() {
        None => first.clone(),
        Some(second) => {
            let mut joined = [first.as_bytes(), b",", second.as_bytes()].concat();
            for field in fields {
                joined.push(b',');
                joined.extend_from_slice(field.as_bytes());
            }
            HeaderValue::from_bytes(&joined).ok()?
        }
    };
    let text = joined.to_str().ok()?;
    let members = || text.split(',').map(trim).filter(|member| !member.is_empty());
    let count = members().count();
    if count == 0 || count > MOST_MEMBERS || !members().all(is_member) {
        return None;
    }
    if text.len() <= MOST_BYTES {
        return Some(joined);
    }
    let mut kept: Vec<&str> = members().collect();
    let length = |kept: &[&str]| kept.iter().map(|member| member.len() + 1).sum::<usize>().saturating_sub(1);
    // The last ones are the oldest.
    while length(&kept) > MOST_BYTES
        && let Some(long) = kept.iter().rposition(|member| member.len() > LONG_MEMBER)
    {
        kept.remove(long);
    }
    while length(&kept) > MOST_BYTES {
        kept.pop();
    }
    if kept.is_empty() { None } else { HeaderValue::try_from(kept.join(",")).ok() }
}

/// Optional white space of HTTP.
fn trim(member: &str) -> &str {
    member.trim_matches([' ', '\t'])
}

fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let key_valid = key.len() <= 256
        && key.bytes().next().is_some_and(plain)
        && key.bytes().all(|b| plain(b) || b"_-*/@".contains(&b));
    let value_valid = (1..=256).contains(&value.len())
        && value.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b',' && b != b'=')
        && !value.ends_with(' ');
    key_valid && value_valid
}
