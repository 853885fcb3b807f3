//! HTTP/1 as clients speak it: every byte that they send is judged by the letter.
//!
//! RFC 9112 lets a server be lenient, and what a lenient one takes two servers can read in two ways. [`head`]
//! judges heads, [`chunked`](crate::chunked) bodies, [`messages`] knows where one ends and the next begins; `connection` reads,
//! answers and writes, and `serve` lets an idle connection rest.
//!
//! After a head that is refused nothing of the connection is read any more. Its answer is a problem document
//! like every other and comes after those to earlier requests.
//!
//! Absent: what needs the fields as a map (hosts, paths), which is `gateway::admission`'s, and pipelined
//! requests that are answered side by side.

use http::StatusCode;

use crate::{chunked, error::Error, problem::Kind};

mod answer;
mod connection;
pub mod head;
pub(super) mod link;
pub mod messages;
mod outbox;
mod sending;
pub(super) mod serve;

/// Why a head was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not as RFC 9112 says; in our own words.
    Malformed(&'static str),
    /// A line with neither a target nor a version of HTTP: its sender speaks something else.
    Foreign,
    /// A version of HTTP that is not spoken here.
    Version,
    /// `CONNECT`: the gateway is no forward proxy.
    Connect,
    /// The target is longer than `limits.uriBytes`.
    UriTooLong,
    /// More fields or bytes than `limits.headers` and `limits.headerBytes`.
    HeaderTooLarge,
    /// It was not whole in time.
    Slow,
    /// It came in the clear to a listener that speaks TLS. It is not read.
    Misplaced,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Malformed(words) => Self::new(Kind::BadRequest).detail(words),
            Refusal::Foreign => Self::new(Kind::BadRequest).detail("the request line is not of HTTP"),
            Refusal::Version => Self::new(Kind::BadRequest)
                .status(StatusCode::HTTP_VERSION_NOT_SUPPORTED)
                .detail("this version of HTTP is not spoken here"),
            Refusal::Connect => Kind::MethodNotAllowed.into(),
            Refusal::UriTooLong => Kind::UriTooLong.into(),
            Refusal::HeaderTooLarge => Kind::HeaderTooLarge.into(),
            Refusal::Misplaced => Self::new(Kind::BadRequest).detail("this address speaks TLS: use https"),
            Refusal::Slow => Kind::RequestTimeout.into(),
        }
    }
}

/// What bounds a head and a trailer section.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the request's target as it was received.
    pub target: usize,
    /// Field lines.
    pub fields: u32,
    /// Bytes of the fields: name, value and 4 for each.
    pub field_bytes: usize,
}

/// White space around values, method and version: what a head may have beyond what is counted.
const SLACK: usize = 8 * 1024;

/// The longest target that the codec takes.
const LONGEST_TARGET: usize = (u16::MAX - 1) as usize;

impl Limits {
    /// As configured, within what the codec can do.
    #[must_use]
    pub fn new(target: u64, fields: u32, field_bytes: u64) -> Self {
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX / 4).min(usize::MAX / 4);
        Self { target: bytes(target).min(LONGEST_TARGET), fields, field_bytes: bytes(field_bytes) }
    }

    /// Those of a trailer section.
    #[must_use]
    pub const fn trailers(&self) -> chunked::Limits {
        chunked::Limits { fields: self.fields, field_bytes: self.field_bytes }
    }

    /// The most bytes that an acceptable head can have.
    #[must_use]
    pub fn head(&self) -> usize {
        self.target + self.field_bytes + SLACK
    }
}
