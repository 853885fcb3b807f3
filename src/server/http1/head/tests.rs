use super::*;

const LIMITS: Limits = Limits { target: 64, fields: 4, field_bytes: 100 };

fn read(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    let whole = Head::default().read(bytes, &LIMITS);
    // Whatever pieces it comes in, the outcome is the same.
    let mut head = Head::default();
    let mut outcome = Ok(None);
    for end in 1..=bytes.len() {
        outcome = head.read(&bytes[..end], &LIMITS);
        if outcome != Ok(None) {
            break;
        }
    }
    assert_eq!(outcome, whole, "{:?}", String::from_utf8_lossy(bytes));
    whole
}

fn malformed(head: &str) {
    assert!(matches!(read(head.as_bytes()), Err(Refusal::Malformed(_))), "{head:?}");
}

#[test]
fn a_good_head_is_as_long_as_it_is() {
    for head in [
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "POST /a?b=/?|c HTTP/1.1\r\nHost:a\r\nContent-Length:  5\t\r\nx:\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET http://a.b:80/c HTTP/1.1\r\nhost: a.b:80\r\n\r\n",
        "M-SEARCH /%zz HTTP/1.1\r\nhost: \u{e9}\r\n\r\n",
    ] {
        assert_eq!(read(head.as_bytes()), Ok(Some(head.len())), "{head:?}");
        let more = format!("{head}GET / HTTP/1.1\r\n");
        assert_eq!(Head::default().read(more.as_bytes(), &LIMITS), Ok(Some(head.len())), "{head:?}");
        assert_eq!(Head::default().read(&head.as_bytes()[..head.len() - 1], &LIMITS), Ok(None));
    }
}

#[test]
fn what_servers_read_differently_is_refused() {
    for line in [
        "GET / HTTP/1.1\n",
        "GET / HTTP/1.1\r ",
        "GET  / HTTP/1.1\r\n",
        "GET /  HTTP/1.1\r\n",
        "GET / HTTP/1.1 \r\n",
        "GET\t/ HTTP/1.1\r\n",
        " GET / HTTP/1.1\r\n",
        "GET /\r\n",
        "GET HTTP/1.1\r\n",
        "G\u{e9}T / HTTP/1.1\r\n",
        "GET /\u{e9} HTTP/1.1\r\n",
        "GET /a#b HTTP/1.1\r\n",
        "GET /a\0 HTTP/1.1\r\n",
        "GET * HTTP/1.1\r\n",
        "GET a HTTP/1.1\r\n",
        "GET a:80 HTTP/1.1\r\n",
        "GET ftp://a/ HTTP/1.1\r\n",
        "GET http://u@a/ HTTP/1.1\r\n",
        "GET http:///a HTTP/1.1\r\n",
        "GET / http/1.1\r\n",
        "GET / HTTP/1\r\n",
        "GET / HTTP/01.1\r\n",
        "GET / HTTP/1.1.1\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\n",
        "\0\0\r\n",
    ] {
        malformed(&format!("{line}host: a\r\n\r\n"));
    }
    for field in [
        "host : a\r\n",
        " host: a\r\n",
        "host: a\r\n b\r\n",
        "host: a\n",
        "host: a\r",
        "host: a\rb\r\n",
        "host: a\0\r\n",
        "host: a\u{7f}\r\n",
        "host: a\u{b}\r\n",
        ": a\r\n",
        "host\r\n",
        "ho st: a\r\n",
        "ho\u{e9}st: a\r\n",
        "content-length: \r\n",
        "content-length: +1\r\n",
        "content-length: 1, 1\r\n",
        "content-length: 0x1\r\n",
        "content-length: 1 1\r\n",
        "content-length: 99999999999999999999\r\n",
        "content-length: 18446744073709551615\r\n",
        "content-length: 1\r\ncontent-length: 1\r\n",
        "content-length: 1\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\nCONTENT-LENGTH: 1\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked, \r\n",
        "transfer-encoding: \r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding: \"chunked\"\r\n",
    ] {
        malformed(&format!("POST / HTTP/1.1\r\n{field}\r\n"));
    }
    malformed("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n");
}

#[test]
fn versions_and_methods_that_are_not_served_have_answers_of_their_own() {
    for version in ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/9.9"] {
        let head = format!("GET / {version}\r\n\r\n");
        assert_eq!(read(head.as_bytes()), Err(Refusal::Version), "{version}");
    }
    assert_eq!(read(b"CONNECT a:80 HTTP/1.1\r\n"), Err(Refusal::Connect));
}

#[test]
fn limits_hold_to_the_byte() {
    let target = |len: usize| format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(len - 1));
    assert!(read(target(64).as_bytes()).is_ok());
    assert_eq!(read(target(65).as_bytes()), Err(Refusal::UriTooLong));
    let absolute = |len: usize| format!("GET http://a/{} HTTP/1.1\r\n\r\n", "a".repeat(len - 9));
    assert!(read(absolute(64).as_bytes()).is_ok());
    assert_eq!(read(absolute(65).as_bytes()), Err(Refusal::UriTooLong));
    let fields = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
    assert!(read(fields(4).as_bytes()).is_ok());
    assert_eq!(read(fields(5).as_bytes()), Err(Refusal::HeaderTooLarge));
    let bytes = |len: usize| format!("GET / HTTP/1.1\r\na: \t{} \r\n\r\n", "b".repeat(len - 5));
    assert!(read(bytes(100).as_bytes()).is_ok());
    assert_eq!(read(bytes(101).as_bytes()), Err(Refusal::HeaderTooLarge));
}

#[test]
fn a_head_without_an_end_is_refused_as_soon_as_it_is_too_long() {
    let mut head = Head::default();
    let endless = vec![b'a'; 100_000];
    assert!(matches!(head.read(&endless, &LIMITS), Err(Refusal::Malformed(_))));
    let endless = [&b"GET /"[..], &endless].concat();
    assert_eq!(Head::default().read(&endless[..80], &LIMITS), Err(Refusal::UriTooLong));
    assert_eq!(read(&endless[..200]), Err(Refusal::UriTooLong));
    let endless = [&b"GET / HTTP/1.1\r\na:"[..], &vec![b' '; 100_000]].concat();
    assert_eq!(Head::default().read(&endless, &LIMITS), Err(Refusal::HeaderTooLarge));
}

#[test]
fn the_framing_is_what_the_fields_say() {
    let framing = |fields: &str| {
        let mut head = Head::default();
        let text = format!("POST / HTTP/1.1\r\n{fields}\r\n");
        assert!(head.read(text.as_bytes(), &LIMITS).unwrap().is_some());
        (head.framing(), head.asks_upgrade())
    };
    assert_eq!(framing(""), (Framing::Length(0), false));
    assert_eq!(framing("Content-Length: 007\r\n"), (Framing::Length(7), false));
    assert_eq!(framing("Transfer-Encoding: Chunked \r\n"), (Framing::Chunked, false));
    assert_eq!(framing("upgrade: websocket\r\n"), (Framing::Length(0), true));
}
