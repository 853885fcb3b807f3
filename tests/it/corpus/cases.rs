//! Hostile requests by class, position and spelling, with what becomes of each.

/// What becomes of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Answered with this and closed; nothing of it or after it goes further.
    Refused(u16),
    /// The same, but its head was good: the origin may see a request that is cut off.
    Broken,
    /// Answered with this by the gateway; the connection goes on.
    Answered(u16),
    /// So many requests reach the origin, and the connection goes on.
    Passes(usize),
    /// So many reach it, and what follows them is refused.
    Then(usize, u16),
}
use Fate::{Answered, Broken, Passes, Refused, Then};

/// Bytes for a connection of their own. `ID` in a target stands for the case's number.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) class: &'static str,
    pub(super) bytes: Vec<u8>,
    pub(super) fate: Fate,
}

struct Cases(Vec<Case>);

impl Cases {
    fn add(&mut self, class: &'static str, bytes: impl Into<Vec<u8>>, fate: Fate) {
        self.0.push(Case { class, bytes: bytes.into(), fate });
    }

    /// A line among good ones: before the host, between, and last.
    fn line(&mut self, class: &'static str, line: &[u8], fate: Fate) {
        for at in 0..3 {
            let mut lines: Vec<&[u8]> = vec![b"host: a\r\n", b"x-good: 1\r\n"];
            lines.insert(at, line);
            let head = [b"GET /p/ID HTTP/1.1\r\n", &lines.concat()[..], b"\r\n"].concat();
            self.add(class, head, fate);
        }
    }

    /// A request line with good fields.
    fn start(&mut self, class: &'static str, line: &str, fate: Fate) {
        self.add(class, format!("{line}host: a\r\nx-good: 1\r\n\r\n"), fate);
    }

    /// Framing fields, before and after the host, with a body that holds a request.
    fn framing(&mut self, class: &'static str, fields: &str, body: &str, fate: Fate) {
        self.add(class, format!("POST /p/ID HTTP/1.1\r\n{fields}host: a\r\n\r\n{body}"), fate);
        self.add(class, format!("POST /p/ID HTTP/1.1\r\nhost: a\r\n{fields}\r\n{body}"), fate);
    }

    /// A chunked body, alone and behind a good chunk.
    fn chunks(&mut self, class: &'static str, body: &[u8], fate: Fate) {
        let head = b"POST /p/ID HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        self.add(class, [head, body].concat(), fate);
        self.add(class, [&head[..], b"3\r\nabc\r\n", body].concat(), fate);
    }
}

/// A request hidden in a body.
pub(super) const HIDDEN: &str = "GET /p/hidden HTTP/1.1\r\nhost: a\r\n\r\n";

pub(super) fn all() -> Vec<Case> {
    let mut cases = Cases(Vec::new());
    names_and_values(&mut cases);
    lines(&mut cases);
    request_lines(&mut cases);
    foreign_behind_good(&mut cases);
    lengths(&mut cases);
    codings(&mut cases);
    hosts(&mut cases);
    bodies(&mut cases);
    sizes(&mut cases);
    others(&mut cases);
    cases.0
}

fn names_and_values(cases: &mut Cases) {
    for byte in 0..=255u8 {
        let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        // A colon ends the name, and line ends have cases of their own; of the high ones a few are enough.
        if token || matches!(byte, b':' | b'\r' | b'\n' | 0x82..=0xfe) {
            continue;
        }
        cases.line("a byte that no name has", &[b"x-", &[byte][..], b"y: 1\r\n"].concat(), Refused(400));
    }
    for byte in (0..0x20).chain([0x7f]) {
        if byte == b'\t' {
            continue;
        }
        cases.line("a control in a value", &[b"x-y: a", &[byte][..], b"b\r\n"].concat(), Refused(400));
        cases.add(
            "a control in the host",
            [b"GET /p/ID HTTP/1.1\r\nhost: a", &[byte][..], b"b\r\n\r\n"].concat(),
            Refused(400),
        );
    }
    for good in [
        "x-y:\r\n",
        "x-y:   \r\n",
        "x-y: a\tb \r\n",
        "x-y: caf\u{e9}\r\n",
        "X_Y: root\r\n",
        "!#$%&'*+-.^`|~: 1\r\n",
    ] {
        cases.line("an odd but good field", good.as_bytes(), Passes(1));
    }
}

fn lines(cases: &mut Cases) {
    for line in [
        "x-y : 1\r\n",
        "x-y\t: 1\r\n",
        " x-y: 1\r\n",
        "\tx-y: 1\r\n",
        "x-y\r\n",
        ": 1\r\n",
        " : 1\r\n",
        "\r: 1\r\n",
        " \r\n",
        "x-y: 1\r\n 2\r\n",
        "x-y: 1\r\n\t2\r\n",
        "x-y:\r\n 1\r\n",
        "x-y: 1\n",
        "x-y: 1\r",
        "x-y: 1\r\r\n",
        "x-y: 1\n\r\n",
        "x-y: 1\r\0\n",
        "x-y\n: 1\r\n",
        "x-y\r\n: 1\r\n",
        "content-length : 5\r\n",
        "transfer-encoding : chunked\r\n",
        "transfer-encoding\0: chunked\r\n",
    ] {
        cases.line("a line that is no field", line.as_bytes(), Refused(400));
    }
    for end in ["\n", "\n\n", "\r\r\n", "\n\r\n", "\r \r\n"] {
        cases.add("a bad end", format!("GET /p/ID HTTP/1.1\r\nhost: a\r\n{end}{HIDDEN}"), Refused(400));
    }
}

fn request_lines(cases: &mut Cases) {
    for line in [
        "GET /p/ID HTTP/1.1\n",
        "GET /p/ID HTTP/1.1\r",
        "GET /p/ID HTTP/1.1\r\r\n",
        "GET  /p/ID HTTP/1.1\r\n",
        "GET /p/ID  HTTP/1.1\r\n",
        "GET\t/p/ID HTTP/1.1\r\n",
        "GET /p/ID\tHTTP/1.1\r\n",
        " GET /p/ID HTTP/1.1\r\n",
        "GET /p/ID HTTP/1.1 \r\n",
        "GET /p/ID\r\n",
        "GET\r\n",
        "GET HTTP/1.1\r\n",
        "/p/ID HTTP/1.1\r\n",
        "GET /p/ID http/1.1\r\n",
        "GET /p/ID HTTP/1\r\n",
        "GET /p/ID HTTP/1.\r\n",
        "GET /p/ID HTTP/.1\r\n",
        "GET /p/ID HTTP/01.1\r\n",
        "GET /p/ID HTTP/1.01\r\n",
        "GET /p/ID HTTP/1.1.1\r\n",
        "GET /p/ID HTTP/1,1\r\n",
        "GET /p/ID HTTP /1.1\r\n",
        "GET /p/ID HTTP/ 1.1\r\n",
        "GET /p/ID HTTPS/1.1\r\n",
        "GET /p/ID ICY/1.1\r\n",
        "GET /p/ID HTTP/1.1\0\r\n",
        "GET /p/ID HTTP/+1.1\r\n",
        "GET /p/ID HTTP/1.1 HTTP/1.1\r\n",
        "GET /p/ID /p/2 HTTP/1.1\r\n",
        "GET: /p/ID HTTP/1.1\r\n",
        "G(T /p/ID HTTP/1.1\r\n",
        "G\0T /p/ID HTTP/1.1\r\n",
        "\u{1}GET /p/ID HTTP/1.1\r\n",
        "G\u{c9}T /p/ID HTTP/1.1\r\n",
        "\r\n\r\nGET /p/ID HTTP/1.1\r\n",
        "\nGET /p/ID HTTP/1.1\r\n",
        "\rGET /p/ID HTTP/1.1\r\n",
        "GET p/ID HTTP/1.1\r\n",
        "GET ?ID HTTP/1.1\r\n",
        "GET a/p/ID HTTP/1.1\r\n",
        "GET a:80 HTTP/1.1\r\n",
        "GET * HTTP/1.1\r\n",
        "POST * HTTP/1.1\r\n",
        "OPTIONS ** HTTP/1.1\r\n",
        "OPTIONS *?a HTTP/1.1\r\n",
        "GET /p/ID#f HTTP/1.1\r\n",
        "GET /p/ID?a#f HTTP/1.1\r\n",
        "GET # HTTP/1.1\r\n",
        "GET /p/ID/\u{e9} HTTP/1.1\r\n",
        "GET /p/ID?\u{e9} HTTP/1.1\r\n",
        "GET /p/ID\0 HTTP/1.1\r\n",
        "GET /p/ID\u{7f} HTTP/1.1\r\n",
        "GET /p/ID<> HTTP/1.1\r\n",
        "GET ftp://a/p/ID HTTP/1.1\r\n",
        "GET file:///p/ID HTTP/1.1\r\n",
        "GET http:/p/ID HTTP/1.1\r\n",
        "GET http:///p/ID HTTP/1.1\r\n",
        "GET http://u@a/p/ID HTTP/1.1\r\n",
        "GET http://u:p@a/p/ID HTTP/1.1\r\n",
        "GET http://a/p/ID#f HTTP/1.1\r\n",
        "GET http://[a/p/ID HTTP/1.1\r\n",
        "GET javascript:alert(1) HTTP/1.1\r\n",
        "OPTIONS * VTTP/1.1\r\n",
        "GET http://a/p/ID HTT/1.1\r\n",
    ] {
        cases.start("a bad request line", line, Refused(400));
    }
    for version in ["HTTP/0.9", "HTTP/1.2", "HTTP/1.9", "HTTP/2.0", "HTTP/3.0", "HTTP/9.9"] {
        cases.start("another version", &format!("GET /p/ID {version}\r\n"), Refused(505));
    }
    for target in ["a:80", "/p/ID", "http://a/p/ID", "*"] {
        cases.start("a forward proxy's method", &format!("CONNECT {target} HTTP/1.1\r\n"), Refused(405));
    }
    cases.start("a method that shows fields", "TRACE /p/ID HTTP/1.1\r\n", Answered(405));
    cases.start("about the server", "OPTIONS * HTTP/1.1\r\n", Answered(204));
    for line in [
        "GET http://a/p/ID HTTP/1.1\r\n",
        "GET HTTP://A/p/ID HTTP/1.1\r\n",
        "GET https://a/p/ID HTTP/1.1\r\n",
        "\r\nGET /p/ID HTTP/1.1\r\n",
        "get /p/ID HTTP/1.1\r\n",
        "M-SEARCH /p/ID HTTP/1.1\r\n",
        "GET /p/ID?a=b&c[]=d|{}^`? HTTP/1.1\r\n",
        "GET /p/ID/[a]|{b}^\" HTTP/1.1\r\n",
        "OPTIONS /p/ID HTTP/1.1\r\n",
    ] {
        cases.start("an odd but good request line", line, Passes(1));
    }
}

/// What is no HTTP at all does not take the answers before it along.
fn foreign_behind_good(cases: &mut Cases) {
    for foreign in ["INVALID CONNECTION PREFACE", "PRI * SMTP/2.0", "GET http://a/p/ID BAR", "\u{1}"] {
        let good = "GET /p/ID HTTP/1.1\r\nhost: a\r\n\r\n".repeat(3);
        cases.add("no HTTP behind good requests", format!("{good}{foreign}\r\n\r\n"), Then(3, 400));
    }
}

fn lengths(cases: &mut Cases) {
    for length in [
        "",
        "+5",
        "-5",
        "-0",
        "5a",
        "a5",
        "0x5",
        "5.0",
        "5 5",
        "5, 5",
        "5,6",
        "5,",
        ",5",
        "\"5\"",
        "5;a",
        "1e1",
        "0o5",
        "5\u{b}",
        "\u{b}5",
        "5\0",
        "٥",
        "0_5",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "18446744073709551621",
        "99999999999999999999",
        "00000000000000000000018446744073709551621",
    ] {
        cases.framing("a bad length", &format!("content-length: {length}\r\n"), "hello", Refused(400));
    }
    for (one, two) in [("5", "5"), ("5", "6"), ("0", "5"), ("5", "0"), ("5", ""), ("", "5")] {
        let fields = format!("content-length: {one}\r\nContent-Length: {two}\r\n");
        cases.framing("two lengths", &fields, "hello", Refused(400));
    }
    for length in ["5", "05", "0000000000000000000000000005", "  5", "\t5\t"] {
        cases.framing("a good length", &format!("content-length: {length}\r\n"), "hello", Passes(1));
    }
    cases.framing(
        "a body that looks like a request",
        &format!("content-length: {}\r\n", HIDDEN.len()),
        HIDDEN,
        Passes(1),
    );
    cases.framing("no body", "content-length: 0\r\n", "", Passes(1));
}

fn codings(cases: &mut Cases) {
    let body = format!("0\r\n\r\n{HIDDEN}");
    for coding in [
        "",
        "identity",
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        "chunked, identity",
        "identity, chunked",
        ",chunked",
        "chunked,",
        ", ,chunked",
        "chunked ,",
        "xchunked",
        "chunkedx",
        "chunk",
        "chunked;q=1",
        "chunked; a=b",
        "\"chunked\"",
        "'chunked'",
        "cow, chunked",
        "chunked\u{b}",
        "\u{b}chunked",
        "\u{c}chunked",
        "chunked\0",
        "\0chunked",
        "chunk\u{e9}d",
        "chun\tked",
        "chunked chunked",
        "chunKed\u{a0}",
        "{chunked}",
        "x: chunked",
        "chunked\r\n ",
        "\r\n chunked",
        "\n chunked",
        "chunked\r",
        "deflate",
        "compress",
        "trailers",
        "ch\u{212a}unked",
    ] {
        cases.framing(
            "a coding that is not chunked",
            &format!("transfer-encoding: {coding}\r\n"),
            &body,
            Refused(400),
        );
    }
    for second in ["chunked", "identity", "gzip", ""] {
        let fields = format!("transfer-encoding: chunked\r\nTransfer-Encoding: {second}\r\n");
        cases.framing("two codings", &fields, &body, Refused(400));
    }
    for coding in ["chunked", "Chunked", "CHUNKED", " chunked ", "gzip", "\tchunked", "xchunked", ""] {
        for length in ["0", "5", "6", "44", "x"] {
            let both = format!("content-length: {length}\r\ntransfer-encoding: {coding}\r\n");
            cases.framing("a length and a coding", &both, &body, Refused(400));
            let both = format!("transfer-encoding: {coding}\r\ncontent-length: {length}\r\n");
            cases.framing("a length and a coding", &both, &body, Refused(400));
        }
    }
    for spelling in [
        "transfer_encoding: chunked\r\n",
        "content_length: 99\r\n",
        "x-transfer-encoding: chunked\r\n",
        "te: chunked\r\n",
    ] {
        cases.framing("what only looks like framing", spelling, "", Passes(1));
    }
    let old = "POST /p/ID HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n";
    cases.add(
        "an old version with a coding",
        format!("{old}transfer-encoding: chunked\r\n\r\n{body}"),
        Refused(400),
    );
    cases.framing("a good coding", "Transfer-Encoding:  Chunked\t\r\n", "0\r\n\r\n", Passes(1));
}

fn hosts(cases: &mut Cases) {
    cases.add("no host", "GET /p/ID HTTP/1.1\r\n\r\n", Answered(400));
    cases.add("no host", "OPTIONS * HTTP/1.1\r\n\r\n", Answered(400));
    cases.add("no host", "GET http://a/p/ID HTTP/1.1\r\n\r\n", Answered(400));
    for (one, two) in [("a", "a"), ("a", "b"), ("a", ""), ("", "a")] {
        cases.add(
            "two hosts",
            format!("GET /p/ID HTTP/1.1\r\nhost: {one}\r\nHost: {two}\r\n\r\n"),
            Answered(400),
        );
        cases.add(
            "two hosts",
            format!("GET http://a/p/ID HTTP/1.1\r\nhost: {one}\r\nHost: {two}\r\n\r\n"),
            Answered(400),
        );
    }
    for host in [
        "",
        " ",
        "a b",
        "a/b",
        "a@b",
        "u:p@a",
        "a?b",
        "a#b",
        "a\\b",
        "http://a",
        "//a",
        "a:",
        "a:b",
        "a:80:80",
        "a:65536",
        "a:-1",
        "a:+80",
        "a: 80",
        ":80",
        "[",
        "[]",
        "[::1",
        "::1]",
        "[::1]a",
        "[::g]",
        "[v1.a]",
        "[::1%25eth0]",
        "a[b]",
        "a%",
        "a%2",
        "a%zz",
        "a<b",
        "a>b",
        "a\"b",
        "a^b",
        "a|b",
        "a`b",
        "{a}",
        "caf\u{e9}",
        "a\tb",
    ] {
        let fate = if host == "a:" { Passes(1) } else { Answered(400) };
        cases.add("a bad host", format!("GET /p/ID HTTP/1.1\r\nhost: {host}\r\n\r\n"), fate);
    }
    for (target, host) in [
        ("a", "b"),
        ("a", ""),
        ("a:80", "a:81"),
        ("a", "a.b"),
        ("a", "a@a"),
        ("a.b", "a"),
        ("a:b", "a"),
        ("a:b", "a:b"),
    ] {
        cases.add(
            "two minds",
            format!("GET http://{target}/p/ID HTTP/1.1\r\nhost: {host}\r\n\r\n"),
            Answered(400),
        );
    }
    for host in ["a", "A.b-c", "a:80", "127.0.0.1:1", "[::1]", "[::1]:80", "a_b", "a~b", "a,b", "a%41"] {
        cases.add("a good host", format!("GET /p/ID HTTP/1.1\r\nhost: {host}\r\n\r\n"), Passes(1));
    }
}

fn bodies(cases: &mut Cases) {
    for body in [
        "\r\n",
        "g\r\n",
        "0x5\r\nhello\r\n",
        "+5\r\nhello\r\n",
        "-5\r\nhello\r\n",
        " 5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "5\t\r\nhello\r\n",
        "1_0\r\n",
        "5h\r\nhello\r\n",
        "5\nhello\r\n",
        "5\rhello\r\n",
        "5\r\rhello\r\n",
        "5\r\0hello\r\n",
        "5;\r\nhello\r\n",
        "5;;\r\nhello\r\n",
        "5; \r\nhello\r\n",
        "5;a=\r\nhello\r\n",
        "5;=a\r\nhello\r\n",
        "5;a[=b\r\nhello\r\n",
        "5;a b\r\nhello\r\n",
        "5;a=\"b\r\nhello\r\n",
        "5;a=\"b\"c\r\nhello\r\n",
        "5;a=b c\r\nhello\r\n",
        "5;a\nhello\r\n",
        "5;a\rhello\r\n",
        "5;a\0\r\nhello\r\n",
        "5;a=\"\n\"\r\nhello\r\n",
        "5;a=\"\r\n\"\r\nhello\r\n",
        "5,a\r\nhello\r\n",
        "5 a\r\nhello\r\n",
        "10000000000000000\r\n",
        "10000000000000005\r\nhello\r\n",
        "FFFFFFFFFFFFFFFF\r\n",
        "FFFFFFFFFFFFFFFE\r\n",
        "00000000000000005\r\nhello\r\n",
        "5\r\nhello!\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhell\r\n0\r\n\r\n",
        "0\n\r\n",
        "0\r\n\n",
        "0\r\r\n",
        "0\r\n\r \n",
        "0\r\n \r\n",
        "0\r\nx : y\r\n\r\n",
        "0\r\n x: y\r\n\r\n",
        "0\r\n: y\r\n\r\n",
        "0\r\nx\r\n\r\n",
        "0\r\nx: y\n\r\n",
        "0\r\nx: y\r\n z\r\n\r\n",
        "0\r\nx: \0\r\n\r\n",
        "0\r\nx: a\rb\r\n\r\n",
        "0\r\nx(: y\r\n\r\n",
        "00000000000000000\r\n\r\n",
    ] {
        cases.chunks("a bad chunk", body.as_bytes(), Broken);
        cases.chunks("a bad chunk before a request", format!("{body}{HIDDEN}").as_bytes(), Broken);
    }
    cases.chunks("extensions without an end", format!("5;{}", "a".repeat(5000)).as_bytes(), Broken);
    cases.chunks("extensions in every chunk", "1;abcdefgh\r\nx\r\n".repeat(600).as_bytes(), Broken);
    cases.chunks("a trailer without an end", format!("0\r\nx: {}", "a".repeat(40_000)).as_bytes(), Broken);
    cases.chunks("too many trailers", format!("0\r\n{}\r\n", "a: b\r\n".repeat(101)).as_bytes(), Broken);
    for body in [
        "0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        "005\r\nhello\r\n00\r\n\r\n",
        "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
        "5;a\r\nhello\r\n0\r\n\r\n",
        "5;a=b;c=\"d;\\\"e\"\r\nhello\r\n0;f\r\n\r\n",
        "5 ; a = b\r\nhello\r\n0\r\n\r\n",
        "0\r\nx: y\r\n\r\n",
        "2\r\n\r\n\r\n0\r\n\r\n",
        "0\r\ncontent-length: 5\r\nhost: b\r\ntransfer-encoding: chunked\r\nauthorization: x\r\n\r\n",
    ] {
        cases.chunks("a good body", body.as_bytes(), Passes(1));
    }
    let hidden = format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len());
    cases.chunks("a body that looks like a request", hidden.as_bytes(), Passes(1));
}

fn sizes(cases: &mut Cases) {
    let target = |len: usize| format!("/p/ID/{}", "a".repeat(len - "/p/0000/".len()));
    // Case numbers have four digits.
    cases.start("the longest target", &format!("GET {} HTTP/1.1\r\n", target(8192)), Passes(1));
    cases.start("a target too long", &format!("GET {} HTTP/1.1\r\n", target(8193)), Refused(414));
    cases.start("a target too long", &format!("GET {} HTTP/1.1\r\n", target(100_000)), Refused(414));
    cases.start("a target without an end", &format!("GET {}", target(100_000)), Refused(414));
    cases.start("a method without an end", &"A".repeat(100_000), Refused(400));
    let fields = |count: usize| "x: y\r\n".repeat(count - 2);
    cases.start("the most fields", &format!("GET /p/ID HTTP/1.1\r\n{}", fields(100)), Passes(1));
    cases.start("too many fields", &format!("GET /p/ID HTTP/1.1\r\n{}", fields(101)), Refused(431));
    cases.start("too many fields", &format!("GET /p/ID HTTP/1.1\r\n{}", fields(10_000)), Refused(431));
    // `host: a` counts 9 and `x-good: 1` 11.
    let value = |bytes: usize| format!("x: {}\r\n", "y".repeat(bytes - 9 - 11 - 5));
    cases.start("the longest fields", &format!("GET /p/ID HTTP/1.1\r\n{}", value(32_768)), Passes(1));
    cases.start("fields too long", &format!("GET /p/ID HTTP/1.1\r\n{}", value(32_769)), Refused(431));
    cases.start("fields too long", &format!("GET /p/ID HTTP/1.1\r\n{}", value(300_000)), Refused(431));
    cases.start(
        "a name too long",
        &format!("GET /p/ID HTTP/1.1\r\n{}: 1\r\n", "x".repeat(100_000)),
        Refused(431),
    );
    cases.start(
        "space too long",
        &format!("GET /p/ID HTTP/1.1\r\nx:{}1\r\n", " ".repeat(100_000)),
        Refused(431),
    );
}

fn others(cases: &mut Cases) {
    for noise in [
        "\0\0\0\0\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0",
        "   \r\n\r\n",
        "\r\n\r\n\r\n",
        "SSH-2.0-x\r\n",
        "<html>\r\n",
        "\u{feff}GET / HTTP/1.1\r\n",
    ] {
        cases.add("noise", noise, Refused(400));
    }
    for expectation in ["200-ok", "100-continue, x", "", "100-continue;a"] {
        cases.line(
            "an expectation that nobody meets",
            format!("expect: {expectation}\r\n").as_bytes(),
            Answered(417),
        );
    }
    let upgrade = "GET /p/ID HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\nupgrade: h2c\r\n\r\n";
    cases.add("an upgrade to unread requests", upgrade, Passes(1));
    cases.add(
        "what follows it",
        format!("{upgrade}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0"),
        Then(1, 505),
    );
    cases.add(
        "a bad one behind a good one",
        format!("GET /p/ID HTTP/1.1\r\nhost: a\r\n\r\n\0{HIDDEN}"),
        Then(1, 400),
    );
    cases.add("an old version", "GET /p/ID HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", Passes(1));
    let named =
        "connection: x-secret, host, content-length, authorization, transfer-encoding, cookie, via\r\n";
    cases.framing(
        "fields that may not be named",
        &format!("{named}content-length: 5\r\nx-secret: 1\r\n"),
        "hello",
        Passes(1),
    );
    let two = "GET /p/ID HTTP/1.1\r\nhost: a\r\n\r\n".repeat(2);
    cases.add("two at once", two.as_str(), Passes(2));
}
