//! W3C Trace Context, level 2 (<https://www.w3.org/TR/trace-context-2/>), and Baggage
//! (<https://www.w3.org/TR/baggage/>): what is continued, what is sent on.

use http::{HeaderMap, HeaderName, HeaderValue};

mod baggage;
mod state;

#[cfg(test)]
mod tests;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The caller records this trace.
const SAMPLED: u8 = 1;
/// The right-most seven bytes of the trace id are random.
const RANDOM: u8 = 2;

/// The trace a request belongs to. The parent id sent upstream is always made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// 16 bytes, never zero.
    pub id: u128,
    /// The caller's span, if it sent one.
    pub parent: Option<u64>,
    /// Whether it is recorded: what a trusted caller said, or our own decision.
    pub sampled: bool,
    /// Whether a trusted caller has decided that.
    pub decided: bool,
    /// The id is random, so that others may sample by it.
    pub random: bool,
    /// The vendors' part, passed on.
    pub state: Option<HeaderValue>,
    /// What a trusted caller said for whoever comes after it.
    pub baggage: Option<HeaderValue>,
}

/// Which traces are recorded where nobody else has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampler {
    /// The random part of a trace id must be at least this.
    threshold: u64,
}

// === impl Sampler ===

impl Sampler {
    const RANGE: u64 = 1 << 56;

    /// Records this share of all traces, from 0 to 1.
    #[must_use]
    pub fn new(share: f64) -> Self {
        let kept = (share.clamp(0.0, 1.0) * Self::RANGE as f64) as u64;
        Self { threshold: Self::RANGE - kept }
    }

    /// By the trace's id alone, so that everybody who samples the same share keeps the same traces.
    #[must_use]
    pub const fn keeps(self, id: u128) -> bool {
        (id as u64) & (Self::RANGE - 1) >= self.threshold
    }
}

// === impl Trace ===

impl Trace {
    /// Continues a valid `traceparent`; anything else starts a new trace. An invalid `tracestate`
    /// is dropped alone. Of a caller that is not trusted neither flags nor baggage count.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap, trusted: bool) -> Self {
        let baggage = if trusted { baggage::of(headers) } else { None };
        // A look at each name costs less than a hash of one, and most requests have none.
        if !headers.keys().any(|name| *name == TRACEPARENT) {
            return Self { baggage, ..Self::new() };
        }
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let parent = match (parents.next(), parents.next()) {
            (Some(only), None) => parse_parent(only.as_bytes()),
            _ => None,
        };
        match parent {
            Some((id, parent, flags)) => Self {
                id,
                parent: Some(parent),
                sampled: trusted && flags & SAMPLED != 0,
                decided: trusted,
                random: flags & RANDOM != 0,
                state: state::of(headers),
                baggage,
            },
            None => Self { baggage, ..Self::new() },
        }
    }

    /// A new trace.
    #[must_use]
    pub fn new() -> Self {
        Self {
            id: fastrand::u128(1..),
            parent: None,
            sampled: false,
            decided: false,
            random: true,
            state: None,
            baggage: None,
        }
    }

    /// Decides whether it is recorded, unless a trusted caller has.
    pub const fn decide(&mut self, sampler: Sampler) {
        if !self.decided {
            self.sampled = sampler.keeps(self.id);
        }
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
        text[54] += self.flags();
        text
    }

    /// The flags that are sent on.
    #[must_use]
    pub const fn flags(&self) -> u8 {
        let sampled = if self.sampled { SAMPLED } else { 0 };
        if self.random { sampled | RANDOM } else { sampled }
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
