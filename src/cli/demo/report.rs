//! What the demo says: one trip search with its calls, a degraded one if it happens, and what to try.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    SEARCH,
    certificate::{CLIENT, Secure},
    ledger::Tally,
    mocks::Mocks,
};
use crate::cli::{
    output,
    request::{self, Answer},
};

/// How many searches the demo makes to meet a degraded one.
const SEARCHES: usize = 6;
/// How many trips of an answer are printed.
const TRIPS: usize = 2;
/// The development keys of the sample's Consumers.
const APP_KEY: &str = "example-rail-app-development-key";
const CONTROL_KEY: &str = "control-room-development-key";

/// One search: the answer, how long it took, and what it asked of each service.
struct Search {
    answer: Answer,
    took: Duration,
    asked: Vec<(&'static str, Tally)>,
}

/// Runs the trip search until a complete and a degraded answer were seen, and says what it saved.
/// False if the gateway did not answer it.
pub(super) fn search(
    address: SocketAddr,
    mocks: &Mocks,
    waves: u16,
    out: &mut dyn Write,
) -> io::Result<bool> {
    let (mut complete, mut degraded) = (None, None);
    for _ in 0..SEARCHES {
        let search = match run(address, mocks) {
            Ok(search) if search.answer.status.is_success() => search,
            Ok(Search { answer, .. }) => {
                let body = String::from_utf8_lossy(&answer.body);
                writeln!(out, "The trip search answered {}:\n{body}", answer.status)?;
                return Ok(false);
            }
            Err(error) => {
                writeln!(out, "The trip search got no answer: {error}")?;
                return Ok(false);
            }
        };
        let slot = if reason(&search.answer).is_some() { &mut degraded } else { &mut complete };
        slot.get_or_insert(search);
        if complete.is_some() && degraded.is_some() {
            break;
        }
    }
    let Some(shown) = complete.as_ref().or(degraded.as_ref()) else { return Ok(false) };
    print_answer(shown, out)?;
    print_savings(shown, waves, out)?;
    if let Some((degraded, reason)) =
        degraded.as_ref().and_then(|search| Some((search, reason(&search.answer)?)))
    {
        let took = degraded.took.as_millis();
        writeln!(out, "\nAnother search lost a part, said so, and still answered 200 in {took} ms:")?;
        writeln!(out, "  segue-degraded: {reason}")?;
    }
    Ok(true)
}

/// What to paste next.
pub(super) fn invitation(
    address: SocketAddr,
    secure: Option<&Secure>,
    admin: Option<SocketAddr>,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "\nTry:")?;
    for (target, what) in [
        (SEARCH, "compose: 13 calls in 2 waves"),
        ("/v1/stations", "static: no call"),
        ("/v1/stations/avonford/departures", "proxy: one call, streamed"),
    ] {
        writeln!(out, "  curl -i 'http://{address}{target}'  # {what}")?;
    }
    if let Some(Secure { url, authority, .. }) = secure {
        let authority = authority.display();
        writeln!(
            out,
            "  curl -i --cacert {authority} '{url}/v1/stations'  # HTTPS, with a certificate of this run"
        )?;
    }
    if let Some(admin) = admin {
        writeln!(out, "  curl -s 'http://{admin}/status'  # what is served")?;
        writeln!(out, "  curl -s 'http://{admin}/metrics'  # what was counted so far")?;
        writeln!(out, "  curl -s 'http://{admin}/requests'  # where the time went, as a page for a browser")?;
    }
    Ok(())
}

/// The same for routes that ask who calls.
pub(super) fn credentials(
    address: SocketAddr,
    secure: Option<&Secure>,
    (token, state): (&str, &Path),
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "\nWith a key, which these routes ask for:")?;
    for (target, key, what) in [
        ("/v1/trains/ER133/meals", APP_KEY, "compose, with `when`; 401 without the key"),
        ("/v1/trains/ER999/meals", APP_KEY, "no such train: a problem document"),
        ("/v1/control/avonford", CONTROL_KEY, "for operations' own systems"),
        ("/v1/control/avonford", APP_KEY, "403: the app is none"),
    ] {
        writeln!(out, "  curl -i 'http://{address}{target}' -H 'x-api-key: {key}'  # {what}")?;
    }
    if let Some(Secure { url, authority, client: (certificate, key) }) = secure {
        let (authority, certificate, key) = (authority.display(), certificate.display(), key.display());
        writeln!(
            out,
            "\nWith a client's certificate, of this run, over HTTPS:\n  curl -i --cacert {authority} --cert {certificate} --key {key} \\\n    '{url}/v1/control/avonford'  # as {CLIENT}; 401 without it"
        )?;
    }
    let hold = r#"{"train":"ER133","date":"2026-12-01","passengers":2}"#;
    writeln!(out, "\nWith a token, good for an hour of this run:\n  TOKEN={token}")?;
    writeln!(
        out,
        "  curl -i 'http://{address}/v1/holds' -H \"authorization: Bearer $TOKEN\" \\\n    -H 'content-type: application/json' -d '{hold}'  # an unsafe call"
    )?;
    writeln!(out, "  TOKEN=$(segue token --state {})  # another one", state.display())?;
    writeln!(out, "\nCtrl-C ends it.")
}

fn run(address: SocketAddr, mocks: &Mocks) -> Result<Search, Box<dyn std::error::Error + Send + Sync>> {
    let before = mocks.tallies();
    let start = Instant::now();
    let answer = request::get(address, SEARCH, Duration::from_secs(10))?;
    let took = start.elapsed();
    // A call that was cut off is over for the gateway a moment before the service notices.
    let patience = Instant::now() + Duration::from_secs(1);
    while mocks.tallies().iter().any(|(_, tally)| tally.open > 0) && Instant::now() < patience {
        thread::sleep(Duration::from_millis(2));
    }
    let after = mocks.tallies().into_iter().zip(before);
    let asked = after.map(|((name, now), (_, earlier))| (name, now.since(earlier)));
    Ok(Search { answer, took, asked: asked.filter(|(_, tally)| tally.calls > 0).collect() })
}

fn reason(answer: &Answer) -> Option<&str> {
    answer.headers.get("segue-degraded")?.to_str().ok()
}

fn print_answer(search: &Search, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "GET {SEARCH}\n{}", search.answer.status)?;
    let Ok(mut body) = serde_json::from_slice::<Value>(&search.answer.body) else {
        return writeln!(out, "{}", String::from_utf8_lossy(&search.answer.body));
    };
    let mut left_out = 0;
    if let Some(trips) = body.get_mut("trips").and_then(Value::as_array_mut) {
        left_out = trips.len().saturating_sub(TRIPS);
        trips.truncate(TRIPS);
    }
    writeln!(out, "{body:#}")?;
    if left_out > 0 {
        writeln!(out, "({left_out} more trips not shown)")?;
    }
    Ok(())
}

fn print_savings(search: &Search, waves: u16, out: &mut dyn Write) -> io::Result<()> {
    let calls: u64 = search.asked.iter().map(|(_, tally)| tally.calls).sum();
    let alone: Duration = search.asked.iter().map(|(_, tally)| tally.busy).sum();
    let mut rows = vec![["  SERVICE".to_owned(), "CALLS".to_owned(), "TIME IN ALL".to_owned()]];
    rows.extend(search.asked.iter().map(|(name, tally)| {
        [format!("  {name}"), tally.calls.to_string(), format!("{} ms", tally.busy.as_millis())]
    }));
    writeln!(out)?;
    output::table(out, &rows)?;
    let (took, alone) = (search.took.as_secs_f64() * 1e3, alone.as_secs_f64() * 1e3);
    writeln!(
        out,
        "\n{calls} calls in {waves} waves took {took:.0} ms. One after the other they take {alone:.0} ms: {:.1} times as long.",
        alone / took.max(1.0)
    )
}
