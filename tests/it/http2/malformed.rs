//! Requests that RFC 9113 calls malformed, and those that two readers could take for different ones:
//! none reaches the origin, and what comes after is served.

use crate::support::{
    frames::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, End, HEADERS, PADDED, PRIORITY, PUSH_PROMISE,
        RST_STREAM, Raw, SETTINGS, WHOLE, WINDOW_UPDATE, block, frame, get, literal, setting,
    },
    gateway::{Gateway, route, service},
    origin::Origin,
};

type Field = (&'static [u8], &'static [u8]);

/// What may become of a malformed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// The stream is reset, and only that.
    Stream,
    /// It is answered with this status.
    With(u16),
    /// The connection ends.
    Connection,
}
use Refused::{Connection, Stream, With};

const METHOD: Field = (b":method", b"GET");
const SCHEME: Field = (b":scheme", b"http");
const AUTHORITY: Field = (b":authority", b"a.example");
const PATH: Field = (b":path", b"/p/bad");

struct Case {
    name: String,
    /// Frames on stream 1.
    frames: Vec<u8>,
    refused: Refused,
}

fn case(name: &str, frames: Vec<u8>, refused: Refused) -> Case {
    Case { name: name.to_owned(), frames, refused }
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// A good request with one more field.
fn with_field((name, value): Field, refused: Refused) -> Case {
    let fields = [METHOD, SCHEME, AUTHORITY, PATH, (name, value)];
    let named = format!("{}: {}", shown(name), shown(value));
    case(&named, frame(HEADERS, WHOLE, 1, &block(&fields)), refused)
}

/// A request with exactly these fields.
fn with_fields(name: &str, fields: &[Field], refused: Refused) -> Case {
    case(name, frame(HEADERS, WHOLE, 1, &block(fields)), refused)
}

/// A good request but for the value of one pseudo-field.
fn with_pseudo(name: &'static [u8], value: &'static [u8], refused: Refused) -> Case {
    let fields =
        [METHOD, SCHEME, AUTHORITY, PATH].map(|field| if field.0 == name { (name, value) } else { field });
    with_fields(&format!("{} {}", shown(name), shown(value)), &fields, refused)
}

/// A POST with more fields, and frames after its head.
fn with_body(name: &str, fields: &[Field], after: &[Vec<u8>], refused: Refused) -> Case {
    let fields = [&[(b":method".as_slice(), b"POST".as_slice()), SCHEME, AUTHORITY, PATH], fields].concat();
    case(name, [frame(HEADERS, END_HEADERS, 1, &block(&fields)), after.concat()].concat(), refused)
}

fn with_trailers(name: &str, trailers: &[u8], refused: Refused) -> Case {
    with_body(name, &[], &[frame(DATA, 0, 1, b"x"), frame(HEADERS, WHOLE, 1, trailers)], refused)
}

fn fields() -> Vec<Case> {
    let mut cases = Vec::new();
    for field in [
        (&b"connection"[..], &b"close"[..]),
        (b"connection", b"keep-alive, x-secret"),
        (b"keep-alive", b"timeout=5"),
        (b"proxy-connection", b"keep-alive"),
        (b"transfer-encoding", b"chunked"),
        (b"transfer-encoding", b"identity"),
        (b"transfer-encoding", b""),
        (b"upgrade", b"h2c"),
        (b"upgrade", b"websocket"),
        (b"te", b"gzip"),
        (b"te", b"trailers, deflate"),
        (b"te", b"chunked"),
        (b"te", b""),
        (b":status", b"200"),
        (b":path", b"/p/late"),
        (b":protocol", b"websocket"),
    ] {
        cases.push(with_field(field, Stream));
    }
    for name in [
        &b"Host"[..],
        b"X-Test",
        b"x-tesT",
        b"ACCEPT",
        b"x y",
        b"x-y ",
        b" x",
        b"x:y",
        b"x\ry",
        b"x\ny",
        b"x\0y",
        b"x\ty",
        b"x\xe9",
        b"x\x7f",
        b"x(y",
        b"",
        b":unknown",
        b":",
        b":Path",
    ] {
        cases.push(with_field((name, b"1"), Connection));
    }
    cases.push(with_field((b"x\"y", b"1"), With(400)));
    for value in [
        &b"a\rb"[..],
        b"a\nb",
        b"a\r\nx-admin: 1",
        b"a\r\n\r\nGET /p/bad HTTP/1.1\r\nhost: a\r\n\r\n",
        b"a\0b",
        b"\0",
        b"a\x7f",
        b"a\x01",
        b"\x1b[0m",
    ] {
        cases.push(with_field((b"x-test", value), Connection));
    }
    for value in [&b" a"[..], b"a ", b"\ta", b"a\t", b" ", b"\t"] {
        cases.push(with_field((b"x-test", value), With(400)));
    }
    cases
}

fn pseudo_fields() -> Vec<Case> {
    let late = (&b"x-test"[..], &b"1"[..]);
    let mut cases = vec![
        with_fields("no fields", &[], Stream),
        with_fields("no method", &[SCHEME, AUTHORITY, PATH], Stream),
        with_fields("no scheme", &[METHOD, AUTHORITY, PATH], Stream),
        with_fields("no path", &[METHOD, SCHEME, AUTHORITY], Stream),
        with_fields("no path, host", &[METHOD, SCHEME, (b"host", b"a.example")], With(400)),
        with_fields("a raw query", &[METHOD, SCHEME, AUTHORITY, (b":path", b"/p?\xc3\xa9")], With(400)),
        with_fields("a long method", &[(b":method", &[b'A'; 33]), SCHEME, AUTHORITY, PATH], With(400)),
        with_fields(
            "a length of nothing",
            &[METHOD, SCHEME, AUTHORITY, PATH, (b"content-length", b"")],
            With(400),
        ),
        with_fields("two methods", &[METHOD, METHOD, SCHEME, AUTHORITY, PATH], Stream),
        with_fields("two schemes", &[METHOD, SCHEME, SCHEME, AUTHORITY, PATH], Stream),
        with_fields("two paths", &[METHOD, SCHEME, AUTHORITY, PATH, (b":path", b"/p/other")], Stream),
        with_fields("two authorities", &[METHOD, SCHEME, AUTHORITY, (b":authority", b"b"), PATH], Stream),
        with_fields("late method", &[SCHEME, AUTHORITY, PATH, late, METHOD], Stream),
        with_fields("late scheme", &[METHOD, AUTHORITY, PATH, late, SCHEME], Stream),
        with_fields("late authority", &[METHOD, SCHEME, PATH, late, AUTHORITY], Stream),
        with_fields("late path", &[METHOD, SCHEME, AUTHORITY, late, PATH], Stream),
        with_fields("no authority", &[METHOD, SCHEME, PATH], With(400)),
        with_fields(
            "host is another",
            &[METHOD, SCHEME, AUTHORITY, PATH, (b"host", b"b.example")],
            With(400),
        ),
        with_fields(
            "host has a port",
            &[METHOD, SCHEME, AUTHORITY, PATH, (b"host", b"a.example:8080")],
            With(400),
        ),
        with_fields(
            "two hosts",
            &[METHOD, SCHEME, AUTHORITY, PATH, (b"host", b"a.example"), (b"host", b"a.example")],
            With(400),
        ),
        with_fields("host with user", &[METHOD, SCHEME, PATH, (b"host", b"u@a.example")], With(400)),
        with_fields("host with path", &[METHOD, SCHEME, PATH, (b"host", b"a.example/x")], With(400)),
        with_fields("host with obs-text", &[METHOD, SCHEME, PATH, (b"host", b"a\xe9")], With(400)),
        with_fields("connect", &[(b":method", b"CONNECT"), (b":authority", b"a.example:80")], With(405)),
        with_fields("connect with a path", &[(b":method", b"CONNECT"), SCHEME, AUTHORITY, PATH], Stream),
    ];
    for value in
        [&b"*"[..], b"?x", b"//\\", b"/p/b\\ad", b"/p/%00", b"/p/%zz", b"/p/%2fbad", b"/p/b\xc3\xa4d"]
    {
        cases.push(with_pseudo(b":path", value, With(400)));
    }
    for value in [
        &b""[..],
        b"p/bad",
        b"http://a.example/p/bad",
        b"/p/b ad",
        b"/p/bad HTTP/1.1",
        b"/p/\r\nbad",
        b"/p/\0bad",
        b"/p/b\x7fad",
        // The codec would cut these off.
        b"/p/bad#",
        b"/p/bad#top",
        b"/p/bad#/../admin",
        b"/p/bad?a=b#c",
        b"/#/p/bad",
    ] {
        cases.push(with_pseudo(b":path", value, Stream));
    }
    for value in [&b"ht tp"[..], b"http:", b"http\0"] {
        cases.push(with_pseudo(b":scheme", value, Stream));
    }
    for value in [&b""[..], b"ftp", b"javascript", b"wss", b"1http"] {
        cases.push(with_pseudo(b":scheme", value, With(400)));
    }
    for value in [&b""[..], b"a.example/x", b"a b", b"a\r\nb", b"a\0", b"a\xc3\xa4", b"a?b", b"a#b", b"[::1"]
    {
        cases.push(with_pseudo(b":authority", value, Stream));
    }
    for value in [&b"user@a.example"[..], b"user:word@a.example", b"a.example:99999"] {
        cases.push(with_pseudo(b":authority", value, With(400)));
    }
    for value in [&b""[..], b"GE T", b"GET /p/bad HTTP/1.1\r\nx:", b"GET\0"] {
        cases.push(with_pseudo(b":method", value, Connection));
    }
    cases.push(with_pseudo(b":method", b"TRACE", With(405)));
    cases
}

fn bodies() -> Vec<Case> {
    let data = |flags, bytes: &[u8]| frame(DATA, flags, 1, bytes);
    let mut cases = vec![
        with_body("less than its length", &[(b"content-length", b"5")], &[data(END_STREAM, b"abc")], Stream),
        with_body(
            "more than its length",
            &[(b"content-length", b"3")],
            &[data(END_STREAM, b"abcde")],
            Stream,
        ),
        with_body(
            "more than its length in pieces",
            &[(b"content-length", b"3")],
            &[data(0, b"ab"), data(END_STREAM, b"cd")],
            Stream,
        ),
        with_body("no length but a body", &[(b"content-length", b"0")], &[data(END_STREAM, b"a")], Stream),
        with_body(
            "less than its length before trailers",
            &[(b"content-length", b"5")],
            &[data(0, b"abc"), frame(HEADERS, WHOLE, 1, &literal(b"x-sum", b"1"))],
            Stream,
        ),
        with_body(
            "two lengths",
            &[(b"content-length", b"3"), (b"content-length", b"4")],
            &[data(END_STREAM, b"abc")],
            Stream,
        ),
        with_body(
            "a length twice",
            &[(b"content-length", b"3"), (b"content-length", b"3")],
            &[data(END_STREAM, b"abc")],
            With(400),
        ),
        with_field((b"content-length", b"5"), Stream),
    ];
    for value in [&b"+3"[..], b"-3", b"0x3", b"3, 3", b"3 ", b" 3", b"3a", b"", b"99999999999999999999"] {
        let name = format!("content-length {}", shown(value));
        cases.push(with_body(&name, &[(b"content-length", value)], &[data(END_STREAM, b"abc")], Stream));
    }
    cases.extend([
        with_trailers("trailers with a path", &literal(b":path", b"/p/other"), Connection),
        with_trailers("trailers with an indexed method", b"\x83", Connection),
        with_trailers("trailers with an indexed name", b"\x04\x02/x", Connection),
        with_trailers("trailers with a status", &literal(b":status", b"200"), Connection),
        with_trailers("trailers with connection", &literal(b"connection", b"close"), Stream),
        with_trailers("trailers with coding", &literal(b"transfer-encoding", b"chunked"), Stream),
        with_trailers("trailers with te", &literal(b"te", b"gzip"), Stream),
        with_trailers("trailers with upper case", &literal(b"X-Sum", b"1"), Connection),
        with_trailers("trailers with a line break", &literal(b"x-sum", b"1\r\n"), Connection),
        with_body(
            "trailers that end nothing",
            &[],
            &[data(0, b"x"), frame(HEADERS, END_HEADERS, 1, &literal(b"x-sum", b"1"))],
            Stream,
        ),
        with_body(
            "padding longer than the frame",
            &[],
            &[frame(DATA, PADDED | END_STREAM, 1, &[9, 1, 2])],
            Connection,
        ),
    ]);
    cases
}

fn frames() -> Vec<Case> {
    let head = get("/p/bad");
    vec![
        case("data on an idle stream", frame(DATA, END_STREAM, 1, b"x"), Connection),
        case("a request on stream 0", frame(HEADERS, WHOLE, 0, &head), Connection),
        case("a request on an even stream", frame(HEADERS, WHOLE, 2, &head), Connection),
        case("index 0", frame(HEADERS, WHOLE, 1, &[&head[..], b"\x80"].concat()), Connection),
        case(
            "an index out of the table",
            frame(HEADERS, WHOLE, 1, &[&head[..], b"\xff\x20"].concat()),
            Connection,
        ),
        case(
            "the end symbol in a string",
            frame(HEADERS, WHOLE, 1, &[&head[..], b"\x00\x01a\x84\xff\xff\xff\xff"].concat()),
            Connection,
        ),
        case(
            "a larger table",
            frame(HEADERS, WHOLE, 1, &[b"\x3f\xe2\xff\x03", &head[..]].concat()),
            Connection,
        ),
        case(
            "a string that has no end",
            frame(HEADERS, WHOLE, 1, &[&head[..], b"\x00\x7f\x01x"].concat()),
            Connection,
        ),
        case(
            "a continuation of another stream",
            [frame(HEADERS, END_STREAM, 1, &head), frame(CONTINUATION, END_HEADERS, 3, b"")].concat(),
            Connection,
        ),
        case(
            "a frame within a header block",
            [frame(HEADERS, END_STREAM, 1, &head), frame(DATA, 0, 1, b"")].concat(),
            Connection,
        ),
        case("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, &head), Connection),
        case("padding longer than the head", frame(HEADERS, WHOLE | PADDED, 1, &[200, 0x82]), Connection),
        case(
            "a pushed request",
            frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2], &head[..]].concat()),
            Connection,
        ),
        case("a reset of an idle stream", frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]), Connection),
        case("a frame that is too long", frame(HEADERS, WHOLE, 1, &vec![0; 16_385]), Connection),
        case("a setting out of range", frame(SETTINGS, 0, 0, &setting(4, 0x8000_0000)), Connection),
        case("settings cut short", frame(SETTINGS, 0, 0, &[0; 5]), Connection),
        case("a window too large", frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]), Connection),
        case("no more window", frame(WINDOW_UPDATE, 0, 0, &[0; 4]), Connection),
        case("a stream that depends on itself", frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 16]), Stream),
        case(
            "a request that depends on itself",
            frame(HEADERS, WHOLE | 0x20, 1, &[&[0, 0, 0, 1, 16], &head[..]].concat()),
            Stream,
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_do_not_reach_the_origin_and_hurt_nobody_else() {
    let origin = Origin::json("{}").await;
    let gateway = Gateway::start(&[
        service("back", origin.address, ""),
        route("pass", "match: {path: '/{rest...}'}\nproxy: {service: back}"),
    ]);
    let cases: Vec<Case> = [fields(), pseudo_fields(), bodies(), frames()].into_iter().flatten().collect();
    assert!(cases.len() >= 80, "{}", cases.len());
    let mut wrong = Vec::new();
    let good = frame(HEADERS, WHOLE, 9, &get("/p/good"));
    for case in &cases {
        let mut raw = Raw::connect(gateway.address, &[]).await;
        raw.send(&case.frames).await;
        let end = raw.end(1).await;
        let refused = match end {
            End::Status(status) => With(status),
            End::Reset(_) => Stream,
            End::GoAway(_) | End::Closed => Connection,
        };
        if refused != case.refused {
            wrong.push(format!("{}: {end:?}, not {:?}", case.name, case.refused));
        }
        if refused == Connection {
            raw = Raw::connect(gateway.address, &[]).await;
        }
        raw.send(&good).await;
        assert_eq!(raw.end(9).await, End::Status(200), "after {}", case.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let reached: Vec<String> = origin.calls().into_iter().filter(|call| call != "GET /p/good").collect();
    assert_eq!(reached, Vec::<String>::new());
    assert_eq!(origin.calls().len(), cases.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preface_that_is_none_closes_the_connection_without_an_answer() {
    let gateway = Gateway::start(&[route("all", "match: {path: '/{rest...}'}\nstatic: {body: {}}")]);
    for preface in ["INVALID CONNECTION PREFACE\r\n\r\n", "PRI * SMTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut raw = Raw::silent(gateway.address).await;
        raw.send(preface.as_bytes()).await;
        assert_eq!(raw.end(1).await, End::Closed, "{preface}");
        assert!(raw.is_empty(), "{preface}");
    }
}
