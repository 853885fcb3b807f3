//! The head of an answer, and how its body is framed (RFC 9112 §4, §6).

use std::{cell::RefCell, time::SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

/// What a request says of its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// `HEAD`: there is a head and no body.
    pub(super) head_only: bool,
    /// By HTTP/1.0.
    pub(super) old: bool,
    /// Trailers are welcome.
    pub(super) trailers: bool,
    /// The connection may be kept.
    pub(super) keep: bool,
}

/// How the body is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Not at all.
    None,
    /// So many bytes are left.
    Length(u64),
    Chunked,
    /// Up to the end of the connection.
    Close,
}

/// Writes a head. `length` is the body's, if it is known. Gives the framing, and whether the connection is
/// kept.
pub(super) fn write<B>(
    out: &mut Vec<u8>,
    response: &Response<B>,
    asked: Asked,
    length: Option<u64>,
) -> (Framing, bool) {
    let status = response.status();
    let framing = framing(status, asked, length);
    let mut keep = asked.keep && framing != Framing::Close;
    let mut dated = false;
    match (asked.old, status) {
        (false, StatusCode::OK) => out.extend_from_slice(b"HTTP/1.1 200 OK\r\n"),
        (old, status) => {
            out.extend_from_slice(if old { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
            out.extend_from_slice(status.as_str().as_bytes());
            out.push(b' ');
            out.extend_from_slice(status.canonical_reason().unwrap_or("-").as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
    let switching = status == StatusCode::SWITCHING_PROTOCOLS;
    let mut given = None;
    for (name, value) in response.headers() {
        match *name {
            // The framing is this hop's own.
            header::TRANSFER_ENCODING => continue,
            header::CONTENT_LENGTH => {
                given.get_or_insert(value);
                continue;
            }
            header::CONNECTION if !switching => {
                keep &= !value.as_bytes().eq_ignore_ascii_case(b"close");
                continue;
            }
            // It announces what nothing but chunks can be followed by.
            header::TRAILER if framing != Framing::Chunked => continue,
            header::DATE => dated = true,
            _ => {}
        }
        field(out, name, value.as_bytes());
    }
    match framing {
        Framing::Length(length) => length_field(out, length),
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::None if has_length(status) => match (asked.head_only, given, length) {
            // What the body of a `GET` would have.
            (true, Some(given), _) => field(out, &header::CONTENT_LENGTH, given.as_bytes()),
            (true, None, Some(0) | None) => {}
            (true, None, Some(length)) => length_field(out, length),
            (false, ..) => length_field(out, 0),
        },
        Framing::None | Framing::Close => {}
    }
    if !dated {
        date(out);
    }
    match (keep || switching, asked.old) {
        (false, false) => out.extend_from_slice(b"connection: close\r\n"),
        (true, true) => out.extend_from_slice(b"connection: keep-alive\r\n"),
        (true, false) | (false, true) => {}
    }
    out.extend_from_slice(b"\r\n");
    (framing, keep)
}

/// RFC 9112 §6.3.
fn framing(status: StatusCode, asked: Asked, length: Option<u64>) -> Framing {
    if asked.head_only || !has_length(status) {
        return Framing::None;
    }
    match length {
        Some(0) => Framing::None,
        Some(length) => Framing::Length(length),
        None if asked.old => Framing::Close,
        None => Framing::Chunked,
    }
}

/// Whether an answer of this status says how long it is (RFC 9110 §8.6).
fn has_length(status: StatusCode) -> bool {
    !status.is_informational() && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Writes a field.
pub(super) fn field(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn length_field(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"content-length: ");
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Those of the trailers that a head has announced.
pub(super) fn announced(fields: &HeaderMap) -> Vec<HeaderName> {
    let lines = fields.get_all(header::TRAILER).iter().map(HeaderValue::as_bytes);
    let names = lines.flat_map(|line| line.split(|byte| *byte == b','));
    names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).collect()
}

/// The line with the date, which changes once in a second.
fn date(out: &mut Vec<u8>) {
    thread_local! {
        static LINE: RefCell<(u64, Vec<u8>)> = const { RefCell::new((0, Vec::new())) };
    }
    let now = SystemTime::now();
    let second = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    LINE.with_borrow_mut(|(of, line)| {
        if *of != second || line.is_empty() {
            *of = second;
            *line = format!("date: {}\r\n", httpdate::fmt_http_date(now)).into_bytes();
        }
        out.extend_from_slice(line);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked = Asked { head_only: false, old: false, trailers: false, keep: true };

    /// The head without its date.
    fn head(response: http::response::Builder, asked: Asked, length: Option<u64>) -> (String, Framing, bool) {
        let mut out = Vec::new();
        let (framing, keep) = write(&mut out, &response.body(()).unwrap(), asked, length);
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> =
            text.split_inclusive("\r\n").filter(|line| !line.starts_with("date: ")).collect();
        (lines.concat(), framing, keep)
    }

    #[test]
    fn the_framing_is_made_anew() {
        let response = || {
            Response::builder()
                .header("content-length", "7")
                .header("transfer-encoding", "gzip")
                .header("trailer", "x-sum")
        };
        let (text, framing, _) = head(response(), ASKED, Some(3));
        assert_eq!((&*text, framing), ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", Framing::Length(3)));
        let (text, framing, _) = head(response(), ASKED, None);
        let chunked = "HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!((&*text, framing), (chunked, Framing::Chunked));
        let (text, framing, _) = head(response(), Asked { head_only: true, ..ASKED }, Some(0));
        assert_eq!((&*text, framing), ("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n", Framing::None));
        for status in [204, 304] {
            let (text, framing, _) = head(response().status(status), ASKED, Some(0));
            assert!(!text.contains("content-length") && framing == Framing::None, "{text}");
        }
        assert_eq!(
            head(Response::builder().status(404), ASKED, Some(0)).0,
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
        );
    }

    #[test]
    fn what_becomes_of_the_connection_is_said() {
        let (text, _, keep) = head(Response::builder().header("connection", "close"), ASKED, Some(0));
        assert_eq!(
            (&*text, keep),
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", false)
        );
        let old = Asked { old: true, ..ASKED };
        let (text, _, keep) = head(Response::builder(), old, Some(0));
        let kept = "HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n";
        assert_eq!((&*text, keep), (kept, true));
        let (text, framing, keep) = head(Response::builder(), old, None);
        assert_eq!((&*text, framing, keep), ("HTTP/1.0 200 OK\r\n\r\n", Framing::Close, false));
        let switching =
            Response::builder().status(101).header("connection", "upgrade").header("upgrade", "websocket");
        let (text, ..) = head(switching, Asked { keep: false, ..ASKED }, Some(0));
        assert_eq!(
            text,
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
        );
    }

    #[test]
    fn a_date_is_added_unless_there_is_one() {
        let mut out = Vec::new();
        write(&mut out, &Response::new(()), ASKED, Some(0));
        assert!(String::from_utf8(out).unwrap().contains("\r\ndate: "));
        let (text, ..) = head(Response::builder().header("Date", "x"), ASKED, Some(0));
        assert!(!text.contains("date"), "the one line is taken out above");
    }
}
