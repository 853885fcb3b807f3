//! W3C Trace Context (<https://www.w3.org/TR/trace-context/>): what is continued, what is sent on.

use http::{HeaderMap, HeaderName, HeaderValue};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The trace a request belongs to. The parent id sent upstream is always made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// 16 bytes, never zero.
    pub id: u128,
    /// The caller's span, if it sent one.
    pub parent: Option<u64>,
    /// Whether the caller said that it records.
    pub sampled: bool,
    /// The vendors' part, passed on as it is.
    pub state: Option<HeaderValue>,
}

impl Trace {
    /// Continues a valid `traceparent`; anything else starts a new trace. An invalid `tracestate`
    /// is dropped alone.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        // A look at each name costs less than a hash of one, and most requests have none.
        if !headers.keys().any(|name| *name == TRACEPARENT) {
            return Self::new();
        }
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let parent = match (parents.next(), parents.next()) {
            (Some(only), None) => parse_parent(only.as_bytes()),
            _ => None,
        };
        match parent {
            Some((id, parent, flags)) => {
                Self { id, parent: Some(parent), sampled: flags & 1 == 1, state: state(headers) }
            }
            None => Self::new(),
        }
    }

    /// A new trace.
    #[must_use]
    pub fn new() -> Self {
        Self { id: fastrand::u128(1..), parent: None, sampled: false, state: None }
    }

    /// The `traceparent` of a call made for this request, with a span id of its own.
    #[must_use]
    pub fn to_header(&self, span: u64) -> HeaderValue {
        HeaderValue::from_bytes(&self.to_text(span)).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// The same as text.
    #[must_use]
    pub fn to_text(&self, span: u64) -> [u8; 55] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        hex(self.id, &mut text[3..35]);
        hex(u128::from(span), &mut text[36..52]);
        text[54] += u8::from(self.sampled);
        text
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

/// The span of this number among those that belong to `span`; never zero.
pub(super) const fn derived(span: u64, number: u64) -> u64 {
    // The finalizer of SplitMix64, a bijection: no two numbers give the same.
    let mut mixed = span.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    if mixed == 0 { 1 } else { mixed }
}

/// Both digits of every byte: every request writes eighty of them.
const PAIRS: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
};

/// Writes the low bytes of a number as lower-case hex digits, filling `out`, whose length is even.
pub fn hex(number: u128, out: &mut [u8]) {
    let bytes = number.to_be_bytes();
    let (pairs, _) = out.as_chunks_mut::<2>();
    let skipped = bytes.len().saturating_sub(pairs.len());
    for (pair, byte) in pairs.iter_mut().zip(&bytes[skipped..]) {
        *pair = PAIRS[usize::from(*byte)];
    }
}

/// `VERSION-TRACE-PARENT-FLAGS`; a later version may have more after the flags.
fn parse_parent(text: &[u8]) -> Option<(u128, u64, u8)> {
    if text.len() < 55 || text[2] != b'-' || text[35] != b'-' || text[52] != b'-' {
        return None;
    }
    let version = parse_hex(&text[..2])?;
    let longer_is_fine = version > 0 && text.get(55) == Some(&b'-');
    if version == 0xff || (text.len() > 55 && !longer_is_fine) {
        return None;
    }
    let id = parse_hex(&text[3..35]).filter(|id| *id != 0)?;
    let parent = parse_hex(&text[36..52]).filter(|parent| *parent != 0)?;
    let flags = parse_hex(&text[53..55])?;
    Some((id, parent as u64, flags as u8))
}

fn parse_hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0u128, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

/// Joins the `tracestate` fields if they are a list of at most 32 `key=value` members.
fn state(headers: &HeaderMap) -> Option<HeaderValue> {
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
    let mut members = text.split(',').map(str::trim).filter(|member| !member.is_empty());
    let valid = text.len() <= 8192 && members.clone().count() <= 32 && members.all(is_member);
    valid.then_some(joined)
}

fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let (tenant, system) = key.split_once('@').unwrap_or(("a", key));
    let part = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-*/".contains(&b))
    };
    key.len() <= 256
        && part(tenant)
        && part(system)
        && !value.is_empty()
        && value.len() <= 256
        && value.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b',' && b != b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn continues_a_valid_parent_with_its_state() {
        let trace =
            Trace::from_headers(&headers(&[("traceparent", PARENT), ("tracestate", "rojo=1,congo=t61")]));
        assert_eq!(trace.id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!(trace.parent, Some(0xb7ad_6b71_6920_3331));
        assert_eq!(trace.state.unwrap(), "rojo=1,congo=t61");
        let sent = Trace { id: trace.id, parent: None, sampled: true, state: None }.to_header(0xabc);
        assert_eq!(sent, "00-0af7651916cd43dd8448eb211c80319c-0000000000000abc-01");
    }

    #[test]
    fn starts_anew_when_the_parent_is_not_valid() {
        for wrong in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
            "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            let trace = Trace::from_headers(&headers(&[("traceparent", wrong), ("tracestate", "a=b")]));
            assert_eq!((trace.parent, trace.state), (None, None), "{wrong}");
            assert_ne!(trace.id, 0);
        }
    }

    #[test]
    fn drops_an_invalid_state_alone() {
        for wrong in ["novalue", "UPPER=1", "a=", "a=b=c", "a@@b=1"] {
            let trace = Trace::from_headers(&headers(&[("traceparent", PARENT), ("tracestate", wrong)]));
            assert!(trace.parent.is_some() && trace.state.is_none(), "{wrong}");
        }
    }

    #[test]
    fn two_parents_are_none() {
        let trace = Trace::from_headers(&headers(&[("traceparent", PARENT), ("traceparent", PARENT)]));
        assert_eq!(trace.parent, None);
    }
}
