//! Paths in every spelling: what a route matches, captures and forwards is one canonical form. What that form
//! is, is worked out here a second time, from RFC 3986 §6.2.2 and with code of its own.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write,
    net::SocketAddr,
    sync::Arc,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    gateway::{Gateway, route, service},
    strict::Strict,
};

const LANES: usize = 8;

/// What paths are made of.
const PIECES: &[&str] = &[
    "",
    "a",
    "A",
    "p",
    "P",
    "c",
    "C",
    ".",
    "..",
    "...",
    ".a",
    "a.",
    "..a",
    "a..",
    "%2e",
    "%2E",
    "%2e%2e",
    "%2E%2E",
    ".%2e",
    "%2e.",
    "%2e%2e%2e",
    "%252e%252e",
    "%25252e",
    "%61",
    "%41",
    "%70",
    "%63",
    "%7E",
    "%7e",
    "%2D",
    "%5f",
    "%2f",
    "%2F",
    "%5c",
    "%5C",
    "\\",
    "%00",
    "a%00b",
    "%",
    "%4",
    "%zz",
    "%g1",
    "%1g",
    "%%",
    "%%32%65",
    "%2%65",
    "%C3%A9",
    "%c3%a9",
    "%ff",
    "%C3",
    "\u{e9}",
    "a;b",
    ";",
    "..;",
    ";..",
    "..;a=b",
    ".;",
    "%3b",
    "%3B",
    "%20",
    "%09",
    "%0d%0a",
    "%7f",
    "%80",
    "+",
    "%2b",
    "%25",
    "%2525",
    " ",
    "\t",
    "@",
    ":",
    "%40",
    "!$&'()*+,=",
    "|",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "<",
    ">",
    "^",
    "`",
    "~",
    "_",
    "-",
    "%u002f",
    "%c0%af",
    "%c0%ae%c0%ae",
    "%e0%80%af",
    "..%2f",
    "%2e%2e%2f",
    "..%5c",
    "..%252f",
    "%2e%2e/",
    "a%2eb",
    "a%2fb",
    "index.html",
    "\u{7f}",
    "\u{1}",
    "\u{200b}",
];

/// What is to become of a path.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// No canonical form, or none that an expression can hold.
    Bad,
    Nowhere,
    /// The proxy route forwards this.
    Proxied(String),
    /// The composed route captures these.
    Composed(String, String),
}

fn hex(bytes: &[u8]) -> Option<u8> {
    u8::from_str_radix(
        std::str::from_utf8(bytes).ok().filter(|t| t.bytes().all(|b| b.is_ascii_hexdigit()))?,
        16,
    )
    .ok()
}

/// A segment in its canonical spelling.
fn segment(raw: &[u8]) -> Option<String> {
    let mut out = String::new();
    let mut at = 0;
    while at < raw.len() {
        let byte = raw[at];
        if byte == b'%' {
            let code = hex(raw.get(at + 1..at + 3)?)?;
            let unreserved = code.is_ascii_alphanumeric() || [b'-', b'.', b'_', b'~'].contains(&code);
            if [b'/', b'\\', 0].contains(&code) {
                return None;
            }
            if unreserved {
                out.push(char::from(code));
            } else {
                out.push_str(std::str::from_utf8(&raw[at..at + 3]).ok()?);
            }
            at += 3;
            continue;
        }
        // Besides what the format refuses, the few characters that no reader of a request line takes.
        if byte <= b' ' || byte >= 0x7f || [b'\\', b'<', b'>', b'`'].contains(&byte) {
            return None;
        }
        if b"\"[]^{|}".contains(&byte) {
            write!(out, "%{byte:02X}").ok()?;
        } else {
            out.push(char::from(byte));
        }
        at += 1;
    }
    Some(out)
}

/// The canonical segments: RFC 3986 §5.2.4 on what segments are left.
fn canonical(path: &str) -> Option<Vec<String>> {
    let raw: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let spelt: Vec<String> = raw.iter().map(|raw| segment(raw.as_bytes())).collect::<Option<_>>()?;
    let mut out: Vec<String> = Vec::new();
    for (at, one) in spelt.iter().enumerate() {
        let dots = one == "." || one == "..";
        if one == ".." && !out.is_empty() {
            out.truncate(out.len() - 1);
        }
        if !dots {
            out.push(one.clone());
        } else if at + 1 == spelt.len() {
            out.push(String::new());
        }
    }
    Some(out)
}

fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::new();
    let mut parts = text.split('%');
    out.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        out.push(hex(part.as_bytes().get(..2)?)?);
        out.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(out).ok()
}

/// Whether a server that cuts parameters off before it resolves dots would find something else than `/p/`.
fn leaves(segments: &[String]) -> bool {
    let names = segments.iter().map(|one| one.replace("%3b", ";").replace("%3B", ";"));
    let names: Vec<String> = names.map(|one| one.split(';').next().unwrap_or_default().to_owned()).collect();
    let merged = names.iter().filter(|one| !one.is_empty()).cloned().chain([String::new()]).collect();
    [names, merged].iter().any(|names| {
        let read = canonical(&format!("/{}", names.join("/"))).unwrap_or_default();
        read.len() < 2 || read[0] != "p"
    })
}

fn outcome(path: &str, query: &str) -> Outcome {
    let Some(segments) = canonical(path) else {
        return Outcome::Bad;
    };
    match segments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["p", _, ..] if leaves(&segments) => Outcome::Bad,
        ["p", _, ..] => Outcome::Proxied(format!("/{}{query}", segments.join("/"))),
        ["c", first, ref rest @ ..] if !first.is_empty() && !rest.is_empty() => {
            match (decoded(first), decoded(&rest.join("/"))) {
                (Some(first), Some(rest)) => Outcome::Composed(first, rest),
                _ => Outcome::Bad,
            }
        }
        _ => Outcome::Nowhere,
    }
}

/// Paths and queries, each path once.
fn all() -> Vec<(String, &'static str)> {
    let mut paths = BTreeSet::new();
    for prefix in ["/p/", "/c/", "/c/x/", "/", "/p", "//", "/x/../p/", "/c/../p/", "/p/../c/y/"] {
        for piece in PIECES {
            paths.insert(format!("{prefix}{piece}"));
            paths.insert(format!("{prefix}{piece}/"));
        }
    }
    let mut random = fastrand::Rng::with_seed(3);
    while paths.len() < 2500 {
        let mut path = ["/p", "/c", "/c/x", ""][random.usize(..4)].to_owned();
        for _ in 0..random.usize(1..6) {
            path.push('/');
            // A bad piece makes the whole path bad, so most are to be good ones.
            let most = if random.bool() { 30 } else { PIECES.len() };
            path.push_str(PIECES[random.usize(..most)]);
        }
        paths.insert(path);
    }
    let queries = ["", "?a=b", "?", "?%2f=/../%00", "?a/../b"];
    paths.into_iter().zip(queries.into_iter().cycle()).collect()
}

/// A connection that is used as long as the gateway lets it.
struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

impl Client {
    async fn ask(&mut self, number: usize, target: &str) -> (u16, String) {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(TcpStream::connect(self.address).await.unwrap()),
        };
        let head = format!("GET {target} HTTP/1.1\r\nhost: a\r\nx-number: {number}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&answer);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length: usize = length.unwrap_or_else(|| panic!("{text}")).parse().unwrap();
                if body.len() >= length {
                    assert_eq!(body.len(), length, "{target}: {text}");
                    let answer = (head[9..12].parse().unwrap(), body.to_owned());
                    if head.contains("connection: close") {
                        self.stream = None;
                    }
                    return answer;
                }
            }
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "{target}");
        }
    }
}

async fn play(client: &mut Client, number: usize, path: &str, query: &str) -> Result<(), String> {
    let (status, body) = client.ask(number, &format!("{path}{query}")).await;
    let expected = outcome(path, query);
    let agrees = match &expected {
        Outcome::Bad => status == 400,
        Outcome::Nowhere => status == 404,
        Outcome::Proxied(target) => status == 200 && body == *target,
        Outcome::Composed(first, rest) => {
            status == 200
                && serde_json::from_str::<serde_json::Value>(&body)
                    .is_ok_and(|body| body == serde_json::json!({"first": first, "rest": rest}))
        }
    };
    if agrees { Ok(()) } else { Err(format!("{path:?} gave {status} {body} and not {expected:?}")) }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_of_a_path_has_one_meaning() {
    let origin = Strict::start().await;
    let gateway = Gateway::start(&[
        service("back", origin.address, ""),
        route("pass", "match: {path: '/p/{rest...}'}\nproxy: {service: back}"),
        route(
            "made",
            "match: {path: '/c/{first}/{rest...}'}\n\
             steps: {one: {http: {service: back, path: '/x/${ request.path.rest }', query: {n: '${ request.headers[\"x-number\"] }'}}}}\n\
             respond: {body: {first: '${ request.path.first }', rest: '${ request.path.rest }'}}",
        ),
    ]);
    let address = gateway.address;
    let paths = Arc::new(all());
    let mut lanes = tokio::task::JoinSet::new();
    for lane in 0..LANES {
        let paths = Arc::clone(&paths);
        lanes.spawn(async move {
            let mut client = Client { address, stream: None };
            let mut wrong = Vec::new();
            for (number, (path, query)) in paths.iter().enumerate().skip(lane).step_by(LANES) {
                wrong.extend(play(&mut client, number, path, query).await.err());
            }
            wrong
        });
    }
    let wrong: Vec<String> = lanes.join_all().await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), paths.len(), wrong.join("\n"));

    // Each kind of outcome is there in number.
    let mut kinds = HashMap::new();
    for (path, query) in paths.iter() {
        *kinds.entry(std::mem::discriminant(&outcome(path, query))).or_insert(0) += 1;
    }
    assert!(kinds.len() == 4 && kinds.values().all(|count| *count > 200), "{kinds:?}");

    let seen = origin.seen();
    assert!(seen.violations.is_empty(), "{}", seen.violations.join("\n"));
    for request in seen.requests.iter().filter(|request| request.target.starts_with("/x/")) {
        let (path, number) = request.target.split_once("?n=").unwrap();
        let (asked, query) = &paths[number.parse::<usize>().unwrap()];
        let Outcome::Composed(_, rest) = outcome(asked, query) else { panic!("{asked:?} was composed") };
        assert_eq!(decoded(path), Some(format!("/x/{rest}")), "{asked:?}");
    }
}

/// Servers behind: each has a reading of its own.
fn behind(path: &str) -> [String; 3] {
    let merge = |path: &str| {
        let (parts, slash) = (path.split('/').filter(|part| !part.is_empty()), path.ends_with('/'));
        format!("/{}{}", parts.collect::<Vec<_>>().join("/"), if slash { "/" } else { "" })
    };
    let plain =
        |path: &str| canonical(path).map_or_else(String::new, |parts| format!("/{}", parts.join("/")));
    let cut: Vec<&str> = path.split('/').map(|part| part.split(';').next().unwrap_or_default()).collect();
    let whole = decoded(path).unwrap_or_default();
    // RFC 3986; nginx, which decodes, merges and resolves; a servlet container, which cuts first.
    [plain(path), plain(&merge(&whole)), plain(&merge(&cut.join("/")))]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_server_behind_an_open_route_reads_a_path_as_one_of_a_guarded_route() {
    let origin = Strict::start().await;
    let gateway = Gateway::start(&[
        service("back", origin.address, ""),
        route("guarded", "match: {path: '/guarded/{rest...}'}\nstatic: {status: 403}"),
        route("named", "match: {path: '/straße/{rest...}'}\nstatic: {status: 403}"),
        route("under", "match: {path: '/p/guarded@x/{rest...}'}\nstatic: {status: 403}"),
        route("open", "match: {path: '/p/{rest...}'}\nproxy: {service: back}"),
        route("other", "match: {path: '/{one}/{rest...}'}\nproxy: {service: back}"),
    ]);
    let mut client = Client { address: gateway.address, stream: None };
    let mut random = fastrand::Rng::with_seed(5);
    let pieces = [
        "guarded",
        "guarded@x",
        "guarded%40x",
        "stra%C3%9Fe",
        "stra%c3%9fe",
        "p",
        "a",
        "",
        "..",
        ".",
        "..;",
        "..;a=b",
        ";",
        ";a",
        "guarded;a",
        "guarded%3Ba",
        "guarded@x;a",
        "..%3b",
        "%2e%2e",
        "%2e%2e;x",
        "%67uarded",
        "stra%C3%9fe;x",
    ];
    let mut passed = 0;
    for number in 0..3000 {
        let path: String =
            (0..random.usize(1..6)).map(|_| format!("/{}", pieces[random.usize(..pieces.len())])).collect();
        let (status, body) = client.ask(number, &path).await;
        assert!([200, 400, 403, 404].contains(&status), "{path} gave {status}");
        if status == 200 {
            passed += 1;
            for read in behind(&body) {
                let read = decoded(&read).unwrap_or_default();
                let guarded =
                    ["/guarded/", "/straße/", "/p/guarded@x/"].iter().any(|prefix| read.starts_with(prefix));
                assert!(!guarded, "{path} is {body} upstream, and may be read as {read}");
            }
        }
    }
    assert!(passed > 500, "{passed}");
}
