//! What a proxied request and its answer look like on the other side.

use http::{HeaderMap, HeaderValue, Request, Response, Version, header};

use crate::{
    body::Body, config::service::AssetType, error::Error, headers, problem::Kind, telemetry::Exchange,
};

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
    headers::sanitize_request(map);
    map.reserve(8);
    let host = if preserve_host { map.get(header::HOST).cloned() } else { map.remove(header::HOST) };
    if asset != AssetType::External {
        map.insert("x-forwarded-for", exchange.peer.forwarded_for.clone());
        map.insert("x-forwarded-proto", HeaderValue::from_static(exchange.scheme));
        if let Some(host) = host {
            map.insert("x-forwarded-host", host);
        }
    }
    map.insert(header::VIA, via);
    map.insert("traceparent", exchange.trace.to_header(fastrand::u64(1..)));
    if let Some(state) = &exchange.trace.state {
        map.insert("tracestate", state.clone());
    }
    if let Ok(id) = HeaderValue::from_str(&exchange.id) {
        map.insert("x-request-id", id);
    }
    map.insert("x-segue-deadline-ms", HeaderValue::from(deadline_ms));
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
    let visits = joined
        .split(|b| *b == b',')
        .filter(|visit| visit.trim_ascii().split(|b| *b == b' ').nth(1).is_some_and(|by| by == b"segue"));
    if visits.count() >= MOST_VISITS {
        return Err(Kind::LoopDetected.into());
    }
    joined.extend_from_slice(own.as_bytes());
    HeaderValue::from_bytes(&joined).map_err(|_| Error::new(Kind::BadRequest).detail("`via` is not valid"))
}

/// HTTP/2 may split the cookie field; one is what HTTP/1 knows (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1 {
        if let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..])) {
            headers.insert(header::COOKIE, joined);
        }
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
        assert!(via(&seven, Version::HTTP_11).is_ok());
        let eight = with_via(&[
            "1.1 segue, 2 segue, 1.1 segue, 1.1 segue",
            "1.1 segue,1.1 segue,1.1 segue,1.1 segue",
        ]);
        assert_eq!(via(&eight, Version::HTTP_11).unwrap_err().kind(), Kind::LoopDetected);
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
