//! A corpus of hostile HTTP/1 requests on raw sockets, in front of an origin that reads by the letter.
//!
//! Each case has a connection of its own, on which a good request follows it, and another good request on
//! another connection, which uses the same pooled connections to the origin.

mod cases;

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use cases::{Case, Fate, HIDDEN};

use crate::support::{
    client::raw,
    gateway::{Gateway, route, service},
    strict::Strict,
};

/// Connections at a time.
const LANES: usize = 24;

async fn talk(address: SocketAddr, bytes: &[u8]) -> String {
    let answer = tokio::time::timeout(Duration::from_secs(30), raw(address, bytes)).await;
    answer.unwrap_or_else(|_| panic!("no end to {:?}", String::from_utf8_lossy(bytes)))
}

fn statuses(answer: &str) -> Vec<u16> {
    let lines =
        answer.match_indices("HTTP/1.").filter_map(|(at, _)| answer.get(at + 9..at + 12)?.parse().ok());
    lines.collect()
}

/// Plays a case and what follows it. Gives what went wrong.
async fn play(address: SocketAddr, number: usize, case: &Case) -> Result<(), String> {
    let id = format!("{number:04}");
    let mut bytes = Vec::new();
    let mut rest = &case.bytes[..];
    while let Some(at) = rest.windows(2).position(|window| window == b"ID") {
        bytes.extend_from_slice(&rest[..at]);
        bytes.extend_from_slice(id.as_bytes());
        rest = &rest[at + 2..];
    }
    bytes.extend_from_slice(rest);
    let sent = bytes.len().min(300);
    bytes.extend_from_slice(
        format!("GET /p/after-{id} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes(),
    );
    let answer = talk(address, &bytes).await;
    let expected = match case.fate {
        Fate::Refused(status) => vec![status],
        Fate::Broken => vec![400],
        Fate::Answered(status) => vec![status, 200],
        Fate::Passes(count) => vec![200; count + 1],
        Fate::Then(count, status) => [vec![200; count], vec![status]].concat(),
    };
    let shown = String::from_utf8_lossy(&bytes[..sent]);
    if statuses(&answer) != expected {
        return Err(format!("{}: {shown:?} gave {answer:?} and not {expected:?}", case.class));
    }
    let probe = talk(
        address,
        format!("GET /p/probe-{id} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes(),
    )
    .await;
    if !probe.ends_with(&format!("\r\n\r\n/p/probe-{id}")) {
        return Err(format!("{}: after {shown:?} another client got {probe:?}", case.class));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_requests_are_refused_and_touch_no_other_request() {
    let origin = Strict::start().await;
    let gateway = Gateway::start(&[
        service("back", origin.address, ""),
        route("pass", "match: {path: '/p/{rest...}'}\nproxy: {service: back}"),
    ]);
    let address = gateway.address;
    let cases = Arc::new(cases::all());
    assert!(cases.len() >= 300 && cases.len() < 10_000, "{}", cases.len());
    let classes: HashSet<&str> = cases.iter().map(|case| case.class).collect();
    assert!(classes.len() > 30, "{}", classes.len());

    let mut lanes = tokio::task::JoinSet::new();
    for lane in 0..LANES {
        let cases = Arc::clone(&cases);
        lanes.spawn(async move {
            let mut wrong = Vec::new();
            for (number, case) in cases.iter().enumerate().skip(lane).step_by(LANES) {
                wrong.extend(play(address, number, case).await.err());
            }
            wrong
        });
    }
    let wrong: Vec<String> = lanes.join_all().await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));

    let seen = origin.seen();
    assert!(seen.violations.is_empty(), "{}", seen.violations.join("\n"));
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for request in &seen.requests {
        // What a case adds to its target is its own.
        let name = request.target.split(['/', '?']).nth(2).unwrap_or_default();
        *counts.entry(name).or_default() += 1;
    }
    for (number, case) in cases.iter().enumerate() {
        let (own, after) = match case.fate {
            Fate::Refused(_) | Fate::Broken => (0, 0),
            Fate::Answered(_) => (0, 1),
            Fate::Passes(count) => (count, 1),
            Fate::Then(count, _) => (count, 0),
        };
        let mut take = |name: String| counts.remove(name.as_str()).unwrap_or_default();
        let got = (
            take(format!("{number:04}")),
            take(format!("after-{number:04}")),
            take(format!("probe-{number:04}")),
        );
        assert_eq!(got, (own, after, 1), "{}: {:?}", case.class, String::from_utf8_lossy(&case.bytes));
    }
    for request in &seen.requests {
        let named = request.fields.iter().any(|(name, _)| name == "x-secret" || name == "connection");
        assert!(!named, "{request:?}");
        let hides = request.body.windows(7).any(|window| window == b"/hidden");
        assert!(!hides || request.body.ends_with(HIDDEN.as_bytes()), "{request:?}");
    }
    assert!(counts.is_empty(), "requests that nobody sent: {counts:?}");
}
