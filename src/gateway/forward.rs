//! What a proxied request and its answer look like on the other side.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version, header};

use super::admission::forget_trailers;
use crate::{
    body::Body, config::service::AssetType, error::Error, headers, problem::Kind, telemetry::Exchange,
    upstream::Added,
};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const DEADLINE: HeaderName = HeaderName::from_static("x-segue-deadline-ms");

/// A request that came by here this often is in a loop.
const MOST_VISITS: usize = 8;

/// Makes a client's request the gateway's: hop-by-hop fields and what clients may not say go, where it
/// comes from and which trace it belongs to is added.
pub(super) fn request(
    request: &mut Request<Body>,
    (exchange, span): (&Exchange, u64),
    asset: AssetType,
    preserve_host: bool,
    deadline_ms: u64,
) -> Result<Added, Error> {
    let version = request.version();
    let map = request.headers_mut();
    let mut added = Added::new();
    via(map, version, &mut added)?;
    let host = if preserve_host { map.get(header::HOST).cloned() } else { map.remove(header::HOST) };
    // Admission has let these through from trusted proxies only, one line of each.
    let (said_for, said_host) = if exchange.trusted {
        map.remove(FORWARDED_PROTO);
        (map.remove(FORWARDED_FOR), map.remove(FORWARDED_HOST))
    } else {
        (None, None)
    };
    if asset != AssetType::External {
        let peer = exchange.peer.forwarded_for.as_bytes();
        match said_for {
            None => added.push_plain(&FORWARDED_FOR, peer),
            Some(said) => added.push_text(&FORWARDED_FOR, &[said.as_bytes(), peer].join(&b", "[..])),
        }
        added.push_plain(&FORWARDED_PROTO, exchange.scheme.as_bytes());
        if let Some(host) = said_host.or(host) {
            added.push(&FORWARDED_HOST, &host);
        }
    }
    added.push_plain(&TRACEPARENT, &exchange.trace.to_text(span));
    if let Some(state) = &exchange.trace.state {
        added.push(&TRACESTATE, state);
    }
    if let Some(baggage) = &exchange.trace.baggage {
        added.push(&BAGGAGE, baggage);
    }
    added.push_text(&REQUEST_ID, exchange.id.as_bytes());
    added.push_plain(&DEADLINE, itoa::Buffer::new().format(deadline_ms).as_bytes());
    if version == Version::HTTP_2 {
        join_cookies(map);
    }
    Ok(added)
}

/// Whether forwarding adds a field of this name that a policy may replace or leave out. `via` stays: loops are found
/// by it.
pub(super) fn adds(name: &HeaderName) -> bool {
    [FORWARDED_FOR, FORWARDED_PROTO, FORWARDED_HOST, TRACEPARENT, TRACESTATE, BAGGAGE, REQUEST_ID]
        .contains(name)
}

/// Takes fields out.
pub(super) fn take(headers: &mut HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut taken = HeaderMap::new();
    for name in names {
        let lines: Vec<HeaderValue> = headers.get_all(name).iter().cloned().collect();
        headers.remove(name);
        lines.into_iter().for_each(|line| {
            taken.append(name.clone(), line);
        });
    }
    taken
}

/// Takes the lines of a field out, as one.
fn joined(headers: &mut HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    // A look at each name costs less than a hash of one, and most requests have none.
    if !headers.keys().any(|known| known == name) {
        return None;
    }
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    let joined = (!lines.is_empty()).then(|| lines.join(&b", "[..]));
    headers.remove(name);
    joined
}

/// Puts fields in the place of those with their names.
pub(super) fn set(headers: &mut HeaderMap, fields: HeaderMap) {
    for name in fields.keys() {
        headers.remove(name);
    }
    let mut last = None;
    for (name, value) in fields {
        last = name.or(last);
        if let Some(name) = &last {
            headers.append(name.clone(), value);
        }
    }
}

/// Makes an upstream's answer the gateway's.
pub(super) fn response(response: &mut Response<Body>) {
    let named = headers::remove_hop_by_hop(response.headers_mut());
    forget_trailers(response.body_mut(), named);
}

/// Whether a request has come by here so often that it is in a loop.
pub(super) fn is_loop(headers: &HeaderMap) -> bool {
    let visits = headers.get_all(header::VIA).iter().flat_map(|line| line.as_bytes().split(|b| *b == b','));
    let ours = visits.filter(|visit| {
        let mut words = visit.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        words.nth(1).is_some_and(|by| by.eq_ignore_ascii_case(b"segue"))
    });
    ours.count() >= MOST_VISITS
}

/// Adds the received `via` with this gateway at its end.
fn via(headers: &mut HeaderMap, version: Version, added: &mut Added) -> Result<(), Error> {
    let own: &[u8] = if version == Version::HTTP_2 { b"2 segue" } else { b"1.1 segue" };
    let Some(said) = joined(headers, &header::VIA) else {
        added.push_text(&header::VIA, own);
        return Ok(());
    };
    let value = HeaderValue::from_bytes(&[&said, own].join(&b", "[..]));
    added.push(&header::VIA, &value.map_err(|_| Error::new(Kind::BadRequest).detail("`via` is not valid"))?);
    Ok(())
}

/// HTTP/2 may split the cookie field; one is what HTTP/1 knows (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_via(lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (header::VIA, HeaderValue::from_static(line))).collect()
    }

    fn via_of(lines: &[&'static str], version: Version) -> Result<HeaderValue, Kind> {
        let mut map = with_via(lines);
        let mut added = Added::new();
        via(&mut map, version, &mut added).map_err(|error| error.kind())?;
        assert!(map.is_empty(), "said twice");
        added.insert_into(&mut map);
        Ok(map[header::VIA].clone())
    }

    #[test]
    fn via_grows_and_a_loop_is_seen() {
        assert_eq!(via_of(&[], Version::HTTP_11).unwrap(), "1.1 segue");
        let grown = via_of(&["1.0 fred", "1.1 segue"], Version::HTTP_2);
        assert_eq!(grown.unwrap(), "1.0 fred, 1.1 segue, 2 segue");
        let seven = ["1.1 segue, 2 segue, 1.1 segue, 1.1 segue", "1.1 segue, 1.1 segue, 1.1 segue"];
        assert!(!is_loop(&with_via(&seven)));
        assert!(!is_loop(&with_via(&["1.1 segueway, 1.1 a.segue, segue 1.1"; 8])));
        for lines in [
            &["1.1 segue, 2 segue, 1.1 segue, 1.1 segue", "1.1 segue,1.1 segue,1.1 segue,1.1 segue"][..],
            &[
                "1.1 segue (a comment),\t1.1\tsegue , 1.1  SEGUE, 2 segue, HTTP/1.1 segue",
                "2 segue,2 segue, 2 segue",
            ],
        ] {
            assert!(is_loop(&with_via(lines)), "{lines:?}");
        }
    }

    #[test]
    fn split_cookies_are_joined() {
        let mut map = HeaderMap::new();
        map.append(header::COOKIE, HeaderValue::from_static("a=1"));
        map.append(header::COOKIE, HeaderValue::from_static("b=2"));
        join_cookies(&mut map);
        assert_eq!(map.get_all(header::COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }
}
