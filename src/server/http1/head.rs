//! The head of a request, line by line (RFC 9112 §3, §5, §6).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, uri::Scheme};

use super::{Limits, Refusal};
use crate::syntax;

/// The longest method. The longest registered one has 17 characters.
const METHOD: usize = 32;

/// How far a head has been read. Each line is read once, whatever pieces it arrives in.
#[derive(Debug, Default)]
pub struct Head {
    /// Where the line begins that has not ended yet.
    line: usize,
    /// Up to where that line has no end. 0: not looked at yet.
    searched: usize,
    field_bytes: usize,
    length: Option<u64>,
    chunked: bool,
    /// It is of HTTP/1.0.
    old: bool,
    upgrade: bool,
    close: bool,
    keep_alive: bool,
    expects: bool,
    trailers: bool,
    /// Where the method and the target end.
    method: usize,
    target: usize,
    fields: Vec<Field>,
}

/// Where a field lies in its head.
#[derive(Clone, Copy, Debug)]
struct Field {
    name: usize,
    name_end: usize,
    value: usize,
    value_end: usize,
}

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A body of so many bytes, or none.
    Length(u64),
    /// A chunked body.
    Chunked,
}

/// A line of a header section.
enum Line {
    /// It has not ended yet.
    Partial,
    /// A field; the line has so many bytes.
    Field(usize),
    /// The empty one at the end.
    Last,
}

// === impl Head ===

impl Head {
    /// Reads on. `bytes` are all of the head that came so far, and what follows. Gives the head's length
    /// once it is whole.
    pub fn read(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Refusal> {
        if self.searched > 0 {
            let rest = bytes.get(self.searched..).unwrap_or_default();
            if !rest.contains(&b'\n') {
                // No request line is that long: what is wrong with it is known before it ends.
                if self.line == 0 && bytes.len() > METHOD + limits.target + " HTTP/1.1\r\n".len() {
                    self.request_line(bytes, limits)?;
                }
                return self.partial(bytes, limits);
            }
        }
        if self.line == 0 {
            match self.request_line(bytes, limits)? {
                Some(len) => self.line = len,
                None => return self.partial(bytes, limits),
            }
        }
        loop {
            match self.field(bytes, limits)? {
                Line::Field(len) => self.line += len,
                Line::Last if self.line > limits.head() => return Err(Refusal::HeaderTooLarge),
                Line::Last => return Ok(Some(self.line + 2)),
                Line::Partial => return self.partial(bytes, limits),
            }
        }
    }

    /// Where the body of a whole head ends.
    #[must_use]
    pub fn framing(&self) -> Framing {
        if self.chunked { Framing::Chunked } else { Framing::Length(self.length.unwrap_or_default()) }
    }

    /// Whether it asks to speak another protocol, which HTTP/1.0 cannot.
    #[must_use]
    pub const fn asks_upgrade(&self) -> bool {
        self.upgrade && !self.old
    }

    /// Whether it is of HTTP/1.0.
    #[must_use]
    pub const fn is_old(&self) -> bool {
        self.old
    }

    /// Whether the client may send another request on this connection (RFC 9112 §9.3).
    #[must_use]
    pub const fn keeps(&self) -> bool {
        !self.close && (!self.old || self.keep_alive)
    }

    /// Whether the client may wait with its body until it is told to go on (RFC 9110 §10.1.1).
    #[must_use]
    pub const fn expects(&self) -> bool {
        self.expects && !self.old
    }

    /// Whether the client takes trailers (RFC 9110 §10.1.4).
    #[must_use]
    pub const fn takes_trailers(&self) -> bool {
        self.trailers && !self.old
    }

    /// The request that a whole head is. `bytes` are the head.
    pub fn request(&self, bytes: &Bytes) -> Result<Request<()>, Refusal> {
        const INVALID: Refusal = Refusal::Malformed("the head of the request is not valid");
        let mut request = Request::new(());
        *request.method_mut() = Method::from_bytes(&bytes[..self.method]).map_err(|_| INVALID)?;
        let target = bytes.slice(self.method + 1..self.target);
        *request.uri_mut() = Uri::from_maybe_shared(target).map_err(|_| INVALID)?;
        *request.version_mut() = if self.old { Version::HTTP_10 } else { Version::HTTP_11 };
        let mut headers = HeaderMap::with_capacity(self.fields.len());
        for field in &self.fields {
            let name = HeaderName::from_bytes(&bytes[field.name..field.name_end]).map_err(|_| INVALID)?;
            let value = bytes.slice(field.value..field.value_end);
            let value = HeaderValue::from_maybe_shared(value).map_err(|_| INVALID)?;
            headers.try_append(name, value).map_err(|_| Refusal::HeaderTooLarge)?;
        }
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// Forgets all of it, for the next one.
    pub fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = Self { fields, ..Self::default() };
    }

    fn partial(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Refusal> {
        self.searched = bytes.len();
        if bytes.len() > limits.head() {
            return Err(Refusal::HeaderTooLarge);
        }
        Ok(None)
    }

    /// Gives the line's length.
    fn request_line(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Refusal> {
        let method = syntax::token(&bytes[..bytes.len().min(METHOD + 1)]);
        match bytes.get(method) {
            Some(b' ') if method > 0 => {}
            None => return Ok(None),
            Some(_) => return Err(Refusal::Malformed("the request line has no valid method")),
        }
        self.method = method;
        let (method, rest) = (&bytes[..method], &bytes[method + 1..]);
        let len = if rest.first() == Some(&b'/') { syntax::origin_form(rest) } else { syntax::visible(rest) };
        if len > limits.target {
            return Err(Refusal::UriTooLong);
        }
        self.target = self.method + 1 + len;
        let (target, after) = rest.split_at(len);
        match after.first() {
            Some(b' ') => {}
            None => return Ok(None),
            Some(_) => return Err(Refusal::Malformed("the request's target is not valid")),
        }
        let version = &after[1..];
        if !version.starts_with(b"HTTP/1.1\r\n") {
            if version.len() < 10 && !version.contains(&b'\n') {
                return Ok(None);
            }
            match version {
                [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0', b'\r', b'\n', ..] => self.old = true,
                [b'H', b'T', b'T', b'P', b'/', major, b'.', minor, b'\r', b'\n', ..]
                    if major.is_ascii_digit() && minor.is_ascii_digit() =>
                {
                    return Err(Refusal::Version);
                }
                // The preface of HTTP/2 gone wrong, or nothing like it: HTTP spelt badly has a slash in there.
                [first, ..]
                    if *first != b'H'
                        && !target.starts_with(b"/")
                        && (method == b"PRI" || !line(version).contains(&b'/')) =>
                {
                    return Err(Refusal::Foreign);
                }
                _ => {
                    return Err(Refusal::Malformed("the request line does not end with a version of HTTP"));
                }
            }
        }
        form(method, target)?;
        Ok(Some(bytes.len() - version.len() + 10))
    }

    fn field(&mut self, bytes: &[u8], limits: &Limits) -> Result<Line, Refusal> {
        let start = self.line;
        let bytes = &bytes[start..];
        let name = syntax::token(bytes);
        match bytes.get(name) {
            Some(b':') if name > 0 => {}
            None => return Ok(Line::Partial),
            Some(b'\r') if name == 0 => {
                return match bytes.get(1) {
                    Some(b'\n') => Ok(Line::Last),
                    None => Ok(Line::Partial),
                    Some(_) => Err(Refusal::Malformed("a line of the head ends without a line feed")),
                };
            }
            Some(_) => return Err(Refusal::Malformed("a field of the head has no valid name")),
        }
        let (name, rest) = (&bytes[..name], &bytes[name + 1..]);
        let len = syntax::value(rest);
        match &rest[len..] {
            [b'\r', b'\n', ..] => {}
            [] | [b'\r'] => return Ok(Line::Partial),
            _ => {
                return Err(Refusal::Malformed("a field of the head has a control character"));
            }
        }
        let value = rest[..len].trim_ascii_start();
        let at = start + name.len() + 1 + len - value.len();
        let value = value.trim_ascii_end();
        self.field_bytes += name.len() + value.len() + 4;
        if self.fields.len() >= limits.fields as usize || self.field_bytes > limits.field_bytes {
            return Err(Refusal::HeaderTooLarge);
        }
        self.fields.push(Field {
            name: start,
            name_end: start + name.len(),
            value: at,
            value_end: at + value.len(),
        });
        match name.len() {
            2 if name.eq_ignore_ascii_case(b"te") => {
                self.trailers |= options(value).any(|option| option.eq_ignore_ascii_case(b"trailers"));
            }
            6 if name.eq_ignore_ascii_case(b"expect") => {
                self.expects |= value.eq_ignore_ascii_case(b"100-continue");
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.close |= options(value).any(|option| option.eq_ignore_ascii_case(b"close"));
                self.keep_alive |= options(value).any(|option| option.eq_ignore_ascii_case(b"keep-alive"));
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value)?,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding(value)?,
            _ => {}
        }
        Ok(Line::Field(name.len() + 1 + len + 2))
    }

    /// RFC 9112 §6.3: one number, said once. A list of equal ones is refused too.
    fn content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.length.is_some() || self.chunked {
            return Err(Refusal::Malformed("the length of the body is said twice"));
        }
        let digit = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
        let length = value.iter().try_fold(0u64, |sum, byte| sum.checked_mul(10)?.checked_add(digit(byte)?));
        match length {
            // The codec has two lengths of its own at the top.
            Some(length) if !value.is_empty() && length <= u64::MAX >> 1 => self.length = Some(length),
            _ => return Err(Refusal::Malformed("the length of the body is not a number")),
        }
        Ok(())
    }

    /// RFC 9112 §6.1: `chunked` is the one coding, and HTTP/1.0 has none.
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.length.is_some() || self.chunked {
            return Err(Refusal::Malformed("the length of the body is said twice"));
        }
        if self.old || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::Malformed("the transfer coding is not `chunked` alone"));
        }
        self.chunked = true;
        Ok(())
    }
}

/// The members of a list.
fn options(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Up to the line feed.
fn line(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == b'\n').next().unwrap_or_default()
}

/// RFC 9112 §3.2: which forms of target go with which method.
fn form(method: &[u8], target: &[u8]) -> Result<(), Refusal> {
    if method == b"CONNECT" {
        return Err(Refusal::Connect);
    }
    let valid = match target.first() {
        Some(b'/') => true,
        Some(b'*') => target.len() == 1 && method == b"OPTIONS",
        Some(_) => is_absolute(target),
        None => false,
    };
    if valid { Ok(()) } else { Err(Refusal::Malformed("the request's target is not valid")) }
}

fn is_absolute(target: &[u8]) -> bool {
    // A fragment would be cut off without a word.
    if target.contains(&b'#') {
        return false;
    }
    let Ok(uri) = Uri::try_from(target) else {
        return false;
    };
    let web = uri.scheme().is_some_and(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    web && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
}

#[cfg(test)]
mod tests;
