//! Values from clients and from upstreams that try to be more than a value: none gets out of its place.

use http::Request;
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::support::{
    client::send,
    gateway::{Gateway, route, service},
    origin::{Origin, json},
};

/// What could break out of a path segment, a query parameter or a header field.
const VALUES: &[&str] = &[
    "plain",
    "",
    ".",
    "..",
    "...",
    "../../admin",
    "..%2f..%2fadmin",
    "%2e%2e",
    "%2e%2e%2f",
    "%252e%252e%252f",
    "a/b",
    "/",
    "//evil.example",
    "\\..\\admin",
    "a\\b",
    "?admin=1",
    "a?b=c&d=e",
    "a&role=admin",
    "a=b",
    "a;b=c",
    "#fragment",
    "a#b?c",
    "@evil.example",
    "user:pass@evil.example",
    "http://evil.example/",
    ":8080",
    "a b",
    "a+b",
    "a\tb",
    "a\r\nx-injected: 1",
    "a\nx-injected: 1",
    "a\rx-injected: 1",
    " HTTP/1.1\r\nhost: evil\r\n\r\nGET /admin",
    "a\0b",
    "\u{7f}",
    "é",
    "\u{2028}",
    "\u{ff0e}\u{ff0e}\u{ff0f}",
    "%",
    "%zz",
    "%00",
    "%0d%0ax-injected:%201",
    "${ request.id }",
    "{id}",
    "*",
    "'\"<>`|^",
    "[::1]",
    "🚆",
];

/// Where a value is put, and what there is around it.
const PLACES: &[(&str, &str, &str)] = &[
    ("path", "path: '/items/${ VALUE }'", "/items/"),
    ("query", "path: /items, query: {q: '${ VALUE }'}", "/items?q="),
    ("header", "path: /items, headers: {x-value: '${ VALUE }'}", "/items"),
];

async fn gateway() -> (Gateway, Origin) {
    let origin = Origin::start(|request: Request<hyper::body::Incoming>| async move {
        // The upstream whose data is hostile: it sends back what it was asked to.
        let value = request.uri().path().strip_prefix("/data/").map(|index| index.parse::<usize>().unwrap());
        match value {
            Some(index) => json(serde_json::json!({"v": VALUES[index]}).to_string()),
            None => json("{}"),
        }
    })
    .await;
    let mut documents = vec![service("back", origin.address, "")];
    for (place, call, _) in PLACES {
        let client = call.replace("VALUE", "request.query.v");
        let upstream = call.replace("VALUE", "steps.data.body.v");
        let data = "  data: {http: {service: back, path: '/data/${ request.query.n }'}}\n";
        let respond = "respond: {status: 204}";
        documents.push(route(
            &format!("client-{place}"),
            &format!("match: {{path: /client/{place}}}\nsteps:\n  s: {{http: {{service: back, {client}}}}}\n{respond}"),
        ));
        documents.push(route(
            &format!("upstream-{place}"),
            &format!(
                "match: {{path: /upstream/{place}}}\nsteps:\n{data}  s: {{http: {{service: back, {upstream}}}}}\n{respond}"
            ),
        ));
        documents.push(route(
            &format!("proxy-{place}"),
            &format!("match: {{path: /proxy/{place}}}\nproxy: {{service: back, {}}}", proxied(&client)),
        ));
    }
    (Gateway::start(&documents), origin)
}

/// A proxy sets fields where a step has them.
fn proxied(call: &str) -> String {
    match call.split_once("headers: ") {
        Some((before, fields)) => format!("{before}query: {{}}, headers: {{set: {fields}}}"),
        None if call.contains("query: {") => call.to_owned(),
        None => format!("{call}, query: {{}}"),
    }
}

/// Nothing or exactly this value, and nothing that was not there before.
fn arrives(place: &str, around: &str, value: &str, target: &str, headers: &http::HeaderMap) -> bool {
    let rest = target.strip_prefix(around);
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(|text| text.into_owned()).ok();
    match place {
        "path" => rest.is_some_and(|rest| {
            !rest.contains(['/', '?', '#', '\\', ';', '@', ' ']) && decoded(rest).as_deref() == Some(value)
        }),
        "query" => rest.is_some_and(|rest| {
            !rest.contains(['&', '=', '#', ' ', '+', ';']) && decoded(rest).as_deref() == Some(value)
        }),
        _ => {
            // White space around a field's value is not part of it (RFC 9110 §5.5).
            let sent = headers.get_all("x-value").iter().map(|sent| sent.as_bytes()).collect::<Vec<_>>();
            rest == Some("") && sent == [value.trim_matches([' ', '\t']).as_bytes()]
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_never_leaves_its_place_in_a_request() {
    let (gateway, origin) = gateway().await;
    let mut wrong = Vec::new();
    let mut cases = 0;
    for (index, value) in VALUES.iter().enumerate() {
        for (place, _, around) in PLACES {
            for source in ["client", "upstream", "proxy"] {
                cases += 1;
                let before = origin.seen().len();
                let encoded = utf8_percent_encode(value, NON_ALPHANUMERIC);
                let target = format!("/{source}/{place}?n={index}&v={encoded}");
                let got = send(gateway.address, Request::get(target).body(Full::default()).unwrap()).await;
                let mut seen = origin.seen().split_off(before);
                if source == "upstream" {
                    assert_eq!(seen.remove(0).target, format!("/data/{index}"));
                }
                let clean = seen.iter().all(|seen| {
                    !seen.headers.contains_key("x-injected")
                        && seen.headers.get_all("host").iter().count() == 1
                        && seen.headers["host"].to_str().unwrap() == origin.address.to_string()
                        && seen.method == "GET"
                });
                let fine = match got.status.as_u16() {
                    200 | 204 => {
                        seen.len() == 1 && arrives(place, around, value, &seen[0].target, &seen[0].headers)
                    }
                    // Refused: by the client's fault if it is its value, else by the template's.
                    400 => seen.is_empty() && source != "upstream",
                    500 => seen.is_empty() && source == "upstream",
                    _ => false,
                };
                let refused = match *place {
                    "path" => matches!(*value, "" | "." | ".."),
                    "header" => value.contains(['\r', '\n', '\0', '\u{7f}']),
                    _ => false,
                };
                if !clean || !fine || refused == got.status.is_success() {
                    wrong.push(format!("{source} {place} {value:?}: {} {seen:?}", got.status));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cases}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(cases > 400);
}
