//! An origin that reads what reaches it by the letter of RFC 9112, with code of its own, and keeps every
//! byte. Each request is answered with its own target; whatever is not a request is a violation.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// A whole request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) target: String,
    /// Names in lower case, in the order they came.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What reached the origin.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) requests: Vec<Request>,
    /// What no reader of RFC 9112 may accept, with the bytes of its connection.
    pub(crate) violations: Vec<String>,
    /// Requests whose connection ended within their body.
    pub(crate) aborted: usize,
}

/// See the module.
pub(crate) struct Strict {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Strict {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&log)));
            }
        });
        Self { address, seen }
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(mut stream: tokio::net::TcpStream, log: Arc<Mutex<Seen>>) {
    let mut bytes = Vec::new();
    let mut from = 0;
    loop {
        loop {
            match read(&bytes[from..]) {
                Ok(Some((request, len))) => {
                    let body = request.target.clone();
                    log.lock().unwrap().requests.push(request);
                    from += len;
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                    let _ = stream.write_all(head.as_bytes()).await;
                }
                Ok(None) => break,
                Err(why) => {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    log.lock().unwrap().violations.push(format!("{why}: {text:?}"));
                    return;
                }
            }
        }
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    if bytes.len() > from {
        let mut log = log.lock().unwrap();
        if find(&bytes[from..], b"\r\n\r\n").is_some() {
            log.aborted += 1;
        } else {
            log.violations
                .push(format!("a head that does not end: {:?}", String::from_utf8_lossy(&bytes[from..])));
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn is_token(text: &[u8]) -> bool {
    let other = b"!#$%&'*+-.^_`|~";
    !text.is_empty() && text.iter().all(|b| b.is_ascii_alphanumeric() || other.contains(b))
}

/// The first request in these bytes and its length; `None` if it is not whole.
fn read(bytes: &[u8]) -> Result<Option<(Request, usize)>, &'static str> {
    let Some(end) = find(bytes, b"\r\n\r\n") else { return Ok(None) };
    // `obs-text` is valid in values: one character for each byte.
    let head: String = bytes[..end].iter().map(|b| char::from(*b)).collect();
    let bad = |c: char| (c < ' ' && c != '\t') || c == '\x7f';
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default();
    if !line.is_ascii() || line.contains(bad) {
        return Err("a control character in the request line");
    }
    let parts: Vec<&str> = line.split(' ').collect();
    let [method, target, "HTTP/1.1"] = parts[..] else { return Err("the request line") };
    if !is_token(method.as_bytes()) || !target.starts_with('/') || target.contains(['#', '\\']) {
        return Err("the method or the target");
    }
    let mut fields = Vec::new();
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { return Err("a field without a colon") };
        if !is_token(name.as_bytes()) {
            return Err("a field's name");
        }
        if value.contains(bad) {
            return Err("a field's value");
        }
        fields.push((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()));
    }
    let all = |wanted: &str| -> Vec<&str> {
        fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str()).collect()
    };
    if all("host").len() != 1 || all("host")[0].is_empty() {
        return Err("not one host");
    }
    if fields.iter().any(|(name, _)| name.contains('_')) {
        return Err("an underscore in a field's name");
    }
    for hop in ["keep-alive", "proxy-connection", "upgrade", "te", "proxy-authorization", "http2-settings"] {
        let known = hop == "te" && all("te") == ["trailers"];
        if !all(hop).is_empty() && !known {
            return Err("a field of another hop");
        }
    }
    let (lengths, codings) = (all("content-length"), all("transfer-encoding"));
    let start = end + 4;
    let (body, len) = match (&lengths[..], &codings[..]) {
        ([], []) => (Vec::new(), 0),
        ([length], []) if !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()) => {
            let length: usize = length.parse().or(Err("a content-length"))?;
            match bytes.get(start..start + length) {
                Some(body) => (body.to_vec(), length),
                None => return Ok(None),
            }
        }
        ([], ["chunked"]) => match chunked(&bytes[start..])? {
            Some(body) => body,
            None => return Ok(None),
        },
        _ => return Err("the framing"),
    };
    let request = Request { target: target.to_owned(), fields, body };
    Ok(Some((request, start + len)))
}

/// Chunks without extensions, which a gateway does not send on.
fn chunked(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, &'static str> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let Some(line) = find(&bytes[at..], b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(&bytes[at..at + line]).or(Err("a chunk's size"))?;
        if size.is_empty() || !size.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err("a chunk's size");
        }
        let size = usize::from_str_radix(size, 16).or(Err("a chunk's size"))?;
        at += line + 2;
        if size == 0 {
            break;
        }
        let Some(data) = bytes.get(at..at + size + 2) else { return Ok(None) };
        if !data.ends_with(b"\r\n") {
            return Err("a chunk's end");
        }
        body.extend_from_slice(&data[..size]);
        at += size + 2;
    }
    loop {
        let Some(line) = find(&bytes[at..], b"\r\n") else { return Ok(None) };
        let field = &bytes[at..at + line];
        at += line + 2;
        if field.is_empty() {
            return Ok(Some((body, at)));
        }
        let Some(colon) = field.iter().position(|b| *b == b':') else { return Err("a trailer") };
        let name = field[..colon].to_ascii_lowercase();
        let framing = [&b"content-length"[..], b"transfer-encoding", b"host", b"authorization", b"trailer"];
        if !is_token(&name) || framing.contains(&&name[..]) {
            return Err("a trailer");
        }
    }
}
