//! The head of an answer, read by the rules of RFC 9112 without the leniencies that it allows.

use std::{mem::MaybeUninit, ops::Range};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
};

use crate::inbox::Inbox;

/// More fields than this are no answer.
const MOST_FIELDS: usize = 100;
/// Nor are more bytes.
const MOST_BYTES: usize = 64 * 1024;

/// The head of an answer and what it says of what follows.
pub(super) struct Head {
    pub(super) response: Response<()>,
    pub(super) framing: Framing,
    /// The connection may be used again.
    pub(super) keeps: bool,
}

/// Where a body ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    /// With the connection.
    Close,
}

/// Why a head is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// It does not follow the grammar.
    Syntax,
    /// Two readers could disagree on where the answer ends.
    Framing,
    TooLarge,
}

impl Malformed {
    pub(super) const fn why(self) -> &'static str {
        match self {
            Self::Syntax => "the head is not valid",
            Self::Framing => "ambiguous framing",
            Self::TooLarge => "the head is too large",
        }
    }
}

/// Takes a head off what was received, if it is there whole. `seen` is how much was looked at before.
pub(super) fn take(inbox: &mut Inbox, seen: &mut usize, method: &Method) -> Result<Option<Head>, Malformed> {
    // What is no status line from its first bytes on need not be waited for.
    if !begins(inbox.as_slice()) {
        return Err(Malformed::Syntax);
    }
    let Some(len) = end(inbox.as_slice(), *seen) else {
        let len = inbox.as_slice().len();
        *seen = len;
        return if len > MOST_BYTES { Err(Malformed::TooLarge) } else { Ok(None) };
    };
    *seen = 0;
    if len > MOST_BYTES {
        return Err(Malformed::TooLarge);
    }
    parse(inbox.take(len), method).map(Some)
}

/// Whether this can become a status line.
fn begins(bytes: &[u8]) -> bool {
    const START: &[u8] = b"HTTP/1.";
    let len = bytes.len().min(START.len());
    bytes[..len] == START[..len]
}

/// Where the head ends: after its first empty line.
fn end(bytes: &[u8], seen: usize) -> Option<usize> {
    // The end may lie across what was looked at.
    let from = seen.saturating_sub(3);
    memchr::memchr_iter(b'\n', &bytes[from..]).find_map(|at| {
        let after = &bytes[from + at + 1..];
        match after {
            [b'\n', ..] => Some(from + at + 2),
            [b'\r', b'\n', ..] => Some(from + at + 3),
            _ => None,
        }
    })
}

fn parse(bytes: Bytes, method: &Method) -> Result<Head, Malformed> {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut parsed, &bytes, &mut fields) {
        Ok(httparse::Status::Complete(len)) if len == bytes.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Malformed::TooLarge),
        _ => return Err(Malformed::Syntax),
    }
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Malformed::Syntax)?;
    let http11 = parsed.version == Some(1);
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    let mut framing = Lines::default();
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Malformed::Syntax)?;
        let value = bytes.slice(within(&bytes, field.value));
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| Malformed::Syntax)?;
        match name {
            CONTENT_LENGTH => framing.length(value.as_bytes())?,
            TRANSFER_ENCODING => framing.coding(value.as_bytes())?,
            // Nobody else needs to see what was for this connection.
            CONNECTION if framing.connection(value.as_bytes()) => continue,
            _ => {}
        }
        headers.append(name, value);
    }
    let keeps = if http11 { !framing.close } else { framing.keep_alive && !framing.close };
    let framing = framing.decide(status, method, http11)?;
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(Head { response, framing, keeps: keeps && framing != Framing::Close })
}

/// Where a part lies in its whole.
fn within(whole: &Bytes, part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    start..start + part.len()
}

/// What the fields say of framing and connection.
#[derive(Default)]
struct Lines {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
}

impl Lines {
    fn length(&mut self, value: &[u8]) -> Result<(), Malformed> {
        let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let length = std::str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse().ok());
        match (length, self.length) {
            (Some(_), None) => self.length = length,
            _ => return Err(Malformed::Framing),
        }
        Ok(())
    }

    fn coding(&mut self, value: &[u8]) -> Result<(), Malformed> {
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Malformed::Framing);
        }
        self.chunked = true;
        Ok(())
    }

    /// Whether it says nothing but what becomes of the connection.
    fn connection(&mut self, value: &[u8]) -> bool {
        let mut names = false;
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let close = option.eq_ignore_ascii_case(b"close");
            let keep_alive = option.eq_ignore_ascii_case(b"keep-alive");
            self.close |= close;
            self.keep_alive |= keep_alive;
            names |= !close && !keep_alive;
        }
        !names
    }

    fn decide(&self, status: StatusCode, method: &Method, http11: bool) -> Result<Framing, Malformed> {
        if self.chunked && (self.length.is_some() || !http11) {
            return Err(Malformed::Framing);
        }
        let bodiless = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || *method == Method::HEAD;
        Ok(match self.length {
            _ if bodiless => Framing::Length(0),
            Some(length) => Framing::Length(length),
            None if self.chunked => Framing::Chunked,
            None => Framing::Close,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Head, Malformed> {
        parse(Bytes::copy_from_slice(text.as_bytes()), &Method::GET)
    }

    #[test]
    fn the_end_of_a_head_is_found_wherever_reads_cut_it() {
        let whole = b"HTTP/1.1 200 OK\r\na: b\r\n\r\nbody";
        for cut in 0..whole.len() {
            let found = end(&whole[..cut], 0).or_else(|| end(whole, cut));
            assert_eq!(found, Some(whole.len() - 4), "{cut}");
        }
        assert_eq!(end(b"HTTP/1.1 200 OK\na: b\n\nx", 0), Some(22));
    }

    #[test]
    fn a_length_is_said_once() {
        let framing =
            |fields: &str| read(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).map(|head| head.framing);
        assert_eq!(framing("content-length: 12\r\n"), Ok(Framing::Length(12)));
        assert_eq!(framing("transfer-encoding: Chunked\r\n"), Ok(Framing::Chunked));
        assert_eq!(framing(""), Ok(Framing::Close));
        for wrong in [
            "content-length: 1\r\ncontent-length: 1\r\n",
            "content-length: 1, 1\r\n",
            "content-length: +1\r\n",
            "content-length:\r\n",
            "content-length: 18446744073709551616\r\n",
            "content-length: 1\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding:\r\n",
        ] {
            assert_eq!(framing(wrong), Err(Malformed::Framing), "{wrong}");
        }
    }

    #[test]
    fn a_connection_is_kept_as_both_sides_say() {
        let keeps = |head: &str| read(&format!("{head}content-length: 0\r\n\r\n")).unwrap().keeps;
        assert!(keeps("HTTP/1.1 200 OK\r\n"));
        assert!(!keeps("HTTP/1.1 200 OK\r\nconnection: x, Close\r\n"));
        assert!(!keeps("HTTP/1.0 200 OK\r\n"));
        assert!(keeps("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n"));
        assert!(!read("HTTP/1.1 200 OK\r\n\r\n").unwrap().keeps, "it ends with its connection");
    }
}
