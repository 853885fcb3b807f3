//! The head of an answer, read by the rules of RFC 9112 without the leniencies that it allows.

use std::ops::Range;

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

/// How far a head has been looked at. Kept from call to call for its room.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Where the line begins that has not ended yet.
    line: usize,
    /// Up to where that line has no end.
    searched: usize,
    /// Lines that have ended: where each begins and ends, without its end of line.
    lines: Vec<(usize, usize)>,
}

impl Seen {
    /// Looks on for the end of the head. Gives its length once it is whole.
    fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        loop {
            let from = self.line.max(self.searched);
            let Some(at) = memchr::memchr(b'\n', bytes.get(from..).unwrap_or_default()) else {
                self.searched = bytes.len();
                return if bytes.len() > MOST_BYTES { Err(Malformed::TooLarge) } else { Ok(None) };
            };
            let next = from + at + 1;
            let line = &bytes[self.line..next - 1];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let begin = std::mem::replace(&mut self.line, next);
            if next > MOST_BYTES || self.lines.len() > MOST_FIELDS + 1 {
                return Err(Malformed::TooLarge);
            }
            if line.is_empty() {
                return Ok(Some(next));
            }
            self.lines.push((begin, begin + line.len()));
        }
    }

    fn clear(&mut self) {
        (self.line, self.searched) = (0, 0);
        self.lines.clear();
    }
}

/// Takes a head off what was received, if it is there whole.
pub(super) fn take(inbox: &mut Inbox, seen: &mut Seen, method: &Method) -> Result<Option<Head>, Malformed> {
    // What is no status line from its first bytes on need not be waited for.
    if !begins(inbox.as_slice()) {
        return Err(Malformed::Syntax);
    }
    let Some(len) = seen.end(inbox.as_slice())? else {
        return Ok(None);
    };
    let head = parse(&inbox.take(len), &seen.lines, method);
    seen.clear();
    head.map(Some)
}

/// What a status line begins with.
const START: &[u8] = b"HTTP/1.";

/// Whether this can become a status line.
fn begins(bytes: &[u8]) -> bool {
    let len = bytes.len().min(START.len());
    bytes[..len] == START[..len]
}

fn parse(bytes: &Bytes, lines: &[(usize, usize)], method: &Method) -> Result<Head, Malformed> {
    let Some(((begin, end), fields)) = lines.split_first() else { return Err(Malformed::Syntax) };
    if fields.len() > MOST_FIELDS {
        return Err(Malformed::TooLarge);
    }
    let (status, http11) = status_line(&bytes[*begin..*end]).ok_or(Malformed::Syntax)?;
    let mut headers = HeaderMap::with_capacity(fields.len());
    let mut framing = Lines::default();
    for (begin, end) in fields {
        let line = &bytes[*begin..*end];
        let colon = line.iter().position(|byte| *byte == b':').ok_or(Malformed::Syntax)?;
        let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| Malformed::Syntax)?;
        let value = bytes.slice(value(bytes, *begin + colon + 1, *end));
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
    let keeps = keeps && !framing.may_bring_more(status, method);
    let framing = framing.decide(status, method, http11)?;
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(Head { response, framing, keeps: keeps && framing != Framing::Close })
}

/// Where the value is of a line: without spaces and tabs around it.
fn value(bytes: &Bytes, mut begin: usize, mut end: usize) -> Range<usize> {
    let blank = |at: usize| matches!(bytes[at], b' ' | b'\t');
    while begin < end && blank(begin) {
        begin += 1;
    }
    while begin < end && blank(end - 1) {
        end -= 1;
    }
    begin..end
}

/// `HTTP/1.1 200 Words`: the status, and whether the version is 1.1. RFC 9112 §4; the words may be missing and
/// with them the space.
fn status_line(line: &[u8]) -> Option<(StatusCode, bool)> {
    let [minor @ (b'0' | b'1'), b' ', code @ ..] = line.strip_prefix(START)? else { return None };
    let (code, words) = code.split_at_checked(3)?;
    let words = match words {
        [] => words,
        [b' ', words @ ..] => words,
        _ => return None,
    };
    if words.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
        return None;
    }
    let status = StatusCode::from_bytes(code).ok().filter(|status| is_valid(*status))?;
    Some((status, *minor == b'1'))
}

/// RFC 9110 §15.
pub(in crate::upstream) fn is_valid(status: StatusCode) -> bool {
    status.as_u16() < 600
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

    /// Whether an answer that has no body may be followed by one all the same: its server has said so, against
    /// RFC 9110 §8.6 and RFC 9112 §6.1, or may take it for said. The next answer would not be told from it.
    fn may_bring_more(&self, status: StatusCode, method: &Method) -> bool {
        match status {
            StatusCode::NO_CONTENT => self.chunked || self.length.is_some_and(|length| length > 0),
            StatusCode::NOT_MODIFIED => self.chunked,
            _ => self.chunked && *method == Method::HEAD,
        }
    }

    fn decide(&self, status: StatusCode, method: &Method, http11: bool) -> Result<Framing, Malformed> {
        if self.chunked && (self.length.is_some() || !http11) {
            return Err(Malformed::Framing);
        }
        // Between such an answer's body, which it cannot have, and the next answer nobody could tell.
        let interim = status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS;
        if interim && (self.chunked || self.length.is_some_and(|length| length > 0)) {
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
        let mut inbox = Inbox::new();
        inbox.extend(text.as_bytes());
        take(&mut inbox, &mut Seen::default(), &Method::GET).map(|head| head.expect("a whole head"))
    }

    #[test]
    fn the_end_of_a_head_is_found_wherever_reads_cut_it() {
        for whole in ["HTTP/1.1 200 OK\r\na: b\r\n\r\nbody", "HTTP/1.1 200 OK\na: b\n\nbody"] {
            for cut in 0..whole.len() {
                let (mut inbox, mut seen) = (Inbox::new(), Seen::default());
                let mut head = None;
                for part in [&whole[..cut], &whole[cut..]] {
                    inbox.extend(part.as_bytes());
                    if head.is_none() {
                        head = take(&mut inbox, &mut seen, &Method::GET).unwrap();
                    }
                }
                assert_eq!(head.unwrap().response.headers()["a"], "b", "{cut}");
                assert_eq!(inbox.as_slice(), b"body", "{cut}");
            }
        }
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for good in
            ["HTTP/1.1 200\r\n\r\n", "HTTP/1.0 404 \r\na:\r\n\r\n", "HTTP/1.1 200 \x09\u{e9}\nb:\t c \n\n"]
        {
            assert!(read(good).is_ok(), "{good:?}");
        }
        for wrong in [
            "HTTP/1.2 200 OK\r\n\r\n",
            "HTTP/1.1  200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 600 OK\r\n\r\n",
            "HTTP/1.1 999 OK\r\n\r\n",
            "HTTP/1.1 200 O\rK\r\n\r\n",
            "HTTP/1.1 200 O\0K\r\n\r\n",
            "HTTP/1.1 200 OK\r\na\r\n\r\n",
            "HTTP/1.1 200 OK\r\na : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\n a: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\rc: d\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\0\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\r\r\n\r\n",
        ] {
            assert!(read(wrong).is_err_and(|error| error == Malformed::Syntax), "{wrong:?}");
        }
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

    #[test]
    fn a_connection_is_not_kept_where_an_answer_without_a_body_announces_one() {
        let keeps = |method: &Method, head: &str| {
            let mut inbox = Inbox::new();
            inbox.extend(format!("HTTP/1.1 {head}\r\n\r\n").as_bytes());
            let head = take(&mut inbox, &mut Seen::default(), method).unwrap().unwrap();
            assert_eq!(head.framing, Framing::Length(0));
            head.keeps
        };
        for head in ["204", "204\r\ncontent-length: 0", "304", "304\r\ncontent-length: 9"] {
            assert!(keeps(&Method::GET, head), "{head}");
        }
        assert!(keeps(&Method::HEAD, "200\r\ncontent-length: 9"));
        let chunked = "transfer-encoding: chunked";
        for head in ["204\r\ncontent-length: 44", &format!("204\r\n{chunked}"), &format!("304\r\n{chunked}")]
        {
            assert!(!keeps(&Method::GET, head), "{head}");
        }
        assert!(!keeps(&Method::HEAD, &format!("200\r\n{chunked}")));
    }

    #[test]
    fn an_interim_answer_has_no_body() {
        assert!(read("HTTP/1.1 100 Continue\r\ncontent-length: 0\r\n\r\n").is_ok());
        for fields in ["content-length: 5", "transfer-encoding: chunked"] {
            let error = read(&format!("HTTP/1.1 103 Early Hints\r\n{fields}\r\n\r\n")).err();
            assert_eq!(error, Some(Malformed::Framing), "{fields}");
        }
    }
}
