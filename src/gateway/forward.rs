//! What a proxied request and its answer look like on the other side.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version, header};

use crate::{
    body::Body, config::service::AssetType, error::Error, headers, problem::Kind, telemetry::Exchange,
};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const DEADLINE: HeaderName = HeaderName::from_static("x-segue-deadline-ms");

/// A request that came by here this often is in a loop.
const MOST_VISITS: usize = 8;

/// Makes a client's request the gateway's: hop-by-hop fields and what clients may not say go, where it
/// comes from and which trace it belongs to is added.
pub(super) fn request(
    request: &mut Request<Body>,
    exchange: &Exchange,
    asset: AssetType,
    preserve_host: bool,
    deadline_ms: u64,
) -> Result<(), Error> {
    let version = request.version();
    let via = via(request.headers(), version)?;
    let map = request.headers_mut();
    map.reserve(8);
    let host = if preserve_host { map.get(header::HOST).cloned() } else { map.remove(header::HOST) };
    if asset != AssetType::External {
        let list = forwarded_for(map, exchange);
        map.insert(FORWARDED_FOR, list);
        map.insert(FORWARDED_PROTO, HeaderValue::from_static(exchange.scheme));
        if let (Some(host), false) = (host, map.contains_key(&FORWARDED_HOST)) {
            map.insert(FORWARDED_HOST, host);
        }
    } else {
        for name in [FORWARDED_FOR, FORWARDED_PROTO, FORWARDED_HOST] {
            map.remove(name);
        }
    }
    map.insert(header::VIA, via);
    map.insert(TRACEPARENT, exchange.trace.to_header(fastrand::u64(1..)));
    if let Some(state) = &exchange.trace.state {
        map.insert(TRACESTATE, state.clone());
    }
    if let Ok(id) = HeaderValue::from_bytes(exchange.id.as_bytes()) {
        map.insert(REQUEST_ID, id);
    }
    map.insert(DEADLINE, HeaderValue::from(deadline_ms));
    if version == Version::HTTP_2 {
        join_cookies(map);
    }
    Ok(())
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
    headers::remove_hop_by_hop(response.headers_mut());
}

/// What a trusted proxy said, with the peer at its end.
fn forwarded_for(headers: &HeaderMap, exchange: &Exchange) -> HeaderValue {
    let peer = &exchange.peer.forwarded_for;
    let said: Vec<&[u8]> = headers.get_all(FORWARDED_FOR).iter().map(HeaderValue::as_bytes).collect();
    if said.is_empty() {
        return peer.clone();
    }
    let joined = [said.join(&b", "[..]), peer.as_bytes().to_vec()].join(&b", "[..]);
    HeaderValue::from_bytes(&joined).unwrap_or_else(|_| peer.clone())
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

/// The received `via` with this gateway at its end.
fn via(headers: &HeaderMap, version: Version) -> Result<HeaderValue, Error> {
    let own = if version == Version::HTTP_2 { "2 segue" } else { "1.1 segue" };
    let mut lines = headers.get_all(header::VIA).iter().peekable();
    if lines.peek().is_none() {
        return Ok(HeaderValue::from_static(own));
    }
    let mut joined = Vec::new();
    for line in lines {
        joined.extend_from_slice(line.as_bytes());
        joined.extend_from_slice(b", ");
    }
    joined.extend_from_slice(own.as_bytes());
    HeaderValue::from_bytes(&joined).map_err(|_| Error::new(Kind::BadRequest).detail("`via` is not valid"))
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

    #[test]
    fn via_grows_and_a_loop_is_seen() {
        assert_eq!(via(&HeaderMap::new(), Version::HTTP_11).unwrap(), "1.1 segue");
        let map = with_via(&["1.0 fred", "1.1 segue"]);
        assert_eq!(via(&map, Version::HTTP_2).unwrap(), "1.0 fred, 1.1 segue, 2 segue");
        let seven =
            with_via(&["1.1 segue, 2 segue, 1.1 segue, 1.1 segue", "1.1 segue, 1.1 segue, 1.1 segue"]);
        assert!(!is_loop(&seven));
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
