//! What a request must be before anything else looks at it.
//!
//! The canonical path is computed here, once, and put into the request: matching, policies and
//! forwarding all see the same. Framing fields are taken out; whoever sends on frames anew.

use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, header, uri::PathAndQuery};

use super::{forward, path, upgrade::Wanted};
use crate::{
    body::Body,
    error::Error,
    headers::{self, Network, Peer},
    plan::Settings,
    problem::Kind,
    telemetry::{self, Exchange, Trace},
};

/// The most that HTTP/1 takes of a method too.
const LONGEST_METHOD: usize = 32;

/// Makes the record of a request, from what the peer may say of it.
#[must_use]
pub fn exchange<B>(request: &Request<B>, peer: &Arc<Peer>, settings: &Settings) -> Exchange {
    let trusted = is_trusted(peer.address.ip(), &settings.trusted_proxies);
    let trace = Trace::from_headers(request.headers(), trusted);
    let mut client = peer.address.ip();
    let mut scheme = peer.scheme;
    let mut id = None;
    if trusted {
        client = forwarded_client(request.headers(), client, &settings.trusted_proxies);
        if let Some(proto) = last(request.headers(), "x-forwarded-proto") {
            let known =
                ["http", "https"].into_iter().find(|known| proto.eq_ignore_ascii_case(known.as_bytes()));
            scheme = known.unwrap_or(scheme);
        }
        id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).filter(|id| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
            (1..=128).contains(&id.len()) && id.bytes().all(plain)
        });
    }
    let id = id.map_or_else(telemetry::request_id, Arc::from);
    let mut exchange = Exchange::new(id, trace, Arc::clone(peer), client, scheme);
    exchange.method = request.method().clone();
    exchange.version = request.version();
    exchange.trusted = trusted;
    if trusted {
        let left = request.headers().get("x-segue-deadline-ms").and_then(|left| left.to_str().ok());
        let left = left.filter(|left| left.bytes().all(|byte| byte.is_ascii_digit()));
        exchange.given = left.and_then(|left| left.parse().ok()).map(Duration::from_millis);
    }
    exchange
}

/// What the nearest proxy said: the last element of a list, whose first ones a client may have written.
fn last<'h>(headers: &'h http::HeaderMap, name: &str) -> Option<&'h [u8]> {
    let line = headers.get_all(name).iter().next_back()?;
    line.as_bytes().rsplit(|byte| *byte == b',').next().map(<[u8]>::trim_ascii)
}

/// Makes one line of what trusted proxies forward, so that whoever sends it on has nothing to judge: the whole list
/// of addresses, and the host that the nearest was asked for, if it is one.
fn settle_forwarded(headers: &mut http::HeaderMap) {
    let lines = headers.get_all("x-forwarded-for").iter().map(HeaderValue::as_bytes);
    let list = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(&b", "[..]);
    let is_host = |host: &&[u8]| std::str::from_utf8(host).is_ok_and(|host| host_name(host).is_some());
    let host = last(headers, "x-forwarded-host").filter(is_host).map(<[u8]>::to_vec);
    for (name, value) in [("x-forwarded-for", Some(list)), ("x-forwarded-host", host)] {
        headers.remove(name);
        let value = value.filter(|value| !value.is_empty());
        if let Some(Ok(value)) = value.as_deref().map(HeaderValue::from_bytes) {
            headers.insert(name, value);
        }
    }
}

/// Whether a request says that it has gone far enough (RFC 9110 §7.6.2, for the methods that it names and that
/// pass). One that may go on is told that it has been here.
pub(super) fn has_gone_far_enough(request: &mut Request<Body>) -> bool {
    if *request.method() != Method::OPTIONS {
        return false;
    }
    let left = request.headers().get(header::MAX_FORWARDS).and_then(|left| left.to_str().ok());
    match left
        .filter(|left| left.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|left| left.parse().ok())
    {
        Some(0u64) => true,
        Some(left) => {
            request.headers_mut().insert(header::MAX_FORWARDS, HeaderValue::from(left - 1));
            false
        }
        None => false,
    }
}

/// Whether an address is one of the proxies whose forwarding headers are believed.
#[must_use]
pub fn is_trusted(address: IpAddr, trusted: &[Network]) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// Right to left up to the first address that is not trusted; an entry that does not parse ends it.
fn forwarded_client(headers: &http::HeaderMap, peer: IpAddr, trusted: &[Network]) -> IpAddr {
    let mut client = peer;
    // What a client wrote into the list may be any bytes; what the proxies have put behind it counts all the same.
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    for entry in lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')) {
        if !is_trusted(client, trusted) {
            break;
        }
        // RFC 9110 §5.6.1.2: an empty member says nothing.
        if entry.trim_ascii().is_empty() {
            continue;
        }
        let entry = std::str::from_utf8(entry.trim_ascii()).map(str::parse::<IpAddr>);
        let Ok(Ok(address)) = entry else { break };
        client = address.to_canonical();
    }
    client
}

/// Checks a request and makes its target canonical. Gives the host, lower case, and the port, 0 where none is said.
pub fn admit(
    request: &mut Request<Body>,
    exchange: &Exchange,
    settings: &Settings,
) -> Result<(String, u16), Error> {
    let limits = &settings.limits;
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(Kind::MethodNotAllowed.into());
    }
    let target_bytes = request.uri().path().len() + request.uri().query().map_or(0, |query| query.len() + 1);
    if target_bytes as u64 > limits.uri_bytes {
        return Err(Kind::UriTooLong.into());
    }
    let mut bytes = 0u64;
    // What most requests do not have is looked up only in those that do.
    let (mut framed, mut upgrades, mut expects, mut visits) = (false, false, false, false);
    let http2 = request.version() == Version::HTTP_2;
    for (name, value) in request.headers() {
        bytes += (name.as_str().len() + value.len() + 4) as u64;
        framed |= matches!(*name, header::CONTENT_LENGTH | header::TRANSFER_ENCODING);
        upgrades |= *name == header::UPGRADE;
        expects |= *name == header::EXPECT;
        visits |= *name == header::VIA;
        // The HTTP/1 codec takes it off; that of HTTP/2 lets it pass (RFC 9113 §8.2.1).
        if http2 && has_outer_space(value.as_bytes()) {
            return Err(bad("a field's value begins or ends with a space"));
        }
        // The one character that the codec of HTTP/2 takes and no token has.
        if http2 && name.as_str().contains('"') {
            return Err(bad("a field's name is not valid"));
        }
    }
    if http2 {
        pseudo_fields(request)?;
    }
    if bytes > limits.header_bytes || request.headers().len() > limits.headers as usize {
        return Err(Kind::HeaderTooLarge.into());
    }
    if visits && forward::is_loop(request.headers()) {
        return Err(Kind::LoopDetected.into());
    }
    if framed {
        framing(request)?;
    }
    if expects {
        expectations(request)?;
    }
    let host = host(request)?;
    canonical_target(request)?;
    if upgrades && let Some(upgrade) = Wanted::of(request) {
        request.extensions_mut().insert(upgrade);
    }
    let named = headers::sanitize_request(request.headers_mut(), exchange.trusted);
    forget_trailers(request.body_mut(), named);
    if exchange.trusted {
        settle_forwarded(request.headers_mut());
    }
    Ok(host)
}

/// What `Connection` names goes no further in trailers either.
pub(super) fn forget_trailers(body: &mut Body, named: Vec<HeaderName>) {
    if !named.is_empty() && body.is_stream() {
        *body = std::mem::take(body).without_trailers(named.into());
    }
}

/// RFC 9113 §8.3.1, as far as the codec lets it pass.
fn pseudo_fields(request: &Request<Body>) -> Result<(), Error> {
    let uri = request.uri();
    let http = |scheme: &str| scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    if !uri.scheme_str().is_none_or(http) {
        return Err(bad("the scheme is neither http nor https"));
    }
    if request.method().as_str().len() > LONGEST_METHOD {
        return Err(bad("the method is too long"));
    }
    // `path()` makes a slash of a path that is empty before its query.
    let target = uri.path_and_query().map_or("", PathAndQuery::as_str);
    let asks_about_all = target == "*" && *request.method() == Method::OPTIONS;
    if !target.starts_with('/') && !asks_about_all {
        return Err(bad("the path does not start with `/`"));
    }
    Ok(())
}

const fn has_outer_space(value: &[u8]) -> bool {
    matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t'])
}

/// RFC 9112 §6: one way to say how long the body is, or none.
fn framing(request: &mut Request<Body>) -> Result<(), Error> {
    let headers = request.headers();
    let coded = headers.contains_key(header::TRANSFER_ENCODING);
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    if lengths.next().is_some() || (coded && length.is_some()) {
        return Err(bad("the length of the body is said twice"));
    }
    if coded {
        let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
        let chunked = codings.next().is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
        if !chunked || codings.next().is_some() || request.version() != Version::HTTP_11 {
            return Err(bad("the transfer coding is not `chunked` alone"));
        }
        request.headers_mut().remove(header::TRANSFER_ENCODING);
    } else if let Some(length) = length
        && matches!(length.as_bytes(), [] | [b'0', _, ..])
    {
        // Zeros in front are valid and have been read as octal elsewhere.
        let length = length.to_str().ok().and_then(|length| length.parse::<u64>().ok());
        let length = length.ok_or_else(|| bad("the length of the body is not a number"))?;
        request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(())
}

/// RFC 9110 §10.1.1: `100-continue` is the one expectation, and HTTP/1.0 has none.
fn expectations(request: &mut Request<Body>) -> Result<(), Error> {
    if request.version() < Version::HTTP_11 {
        request.headers_mut().remove(header::EXPECT);
        return Ok(());
    }
    let mut lines = request.headers().get_all(header::EXPECT).iter();
    let known = lines.next().is_some_and(|line| line.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if !known || lines.next().is_some() {
        return Err(bad("the expectation is not `100-continue`").status(StatusCode::EXPECTATION_FAILED));
    }
    Ok(())
}

/// Exactly one valid host, which agrees with the target where that has one too.
fn host(request: &mut Request<Body>) -> Result<(String, u16), Error> {
    let mut fields = request.headers().get_all(header::HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(bad("there is more than one host"));
    }
    let field = field.map(|host| host.to_str().map_err(|_| bad("the host is not valid"))).transpose()?;
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    let host = match (field, authority) {
        (Some(field), Some(authority)) if !field.eq_ignore_ascii_case(authority) => {
            return Err(bad("the host differs from the target's"));
        }
        // HTTP/2 has it in the target; over HTTP/1.1 a field has to say it too.
        (None, Some(_)) if request.version() == Version::HTTP_11 => {
            return Err(bad("there is no host"));
        }
        (Some(host), _) | (None, Some(host)) if !host.is_empty() => host,
        // Only HTTP/1.0 can do without.
        (None, None) if request.version() < Version::HTTP_11 => return Ok((String::new(), 0)),
        (Some(_), _) | (None, Some(_)) => return Err(bad("the host is empty")),
        (None, None) => return Err(bad("there is no host")),
    };
    let name = match plain_host_name(host) {
        Some(name) => name.to_owned(),
        None => host_name(host).ok_or_else(|| bad("the host is not valid"))?.to_ascii_lowercase(),
    };
    let port = host.get(name.len() + 1..).and_then(|port| port.parse().ok()).unwrap_or(0);
    // HTTP/2 brings it in the target; whoever forwards needs it as a field.
    if field.is_none() {
        let value = HeaderValue::from_str(host).map_err(|_| bad("the host is not valid"))?;
        request.headers_mut().insert(header::HOST, value);
    }
    Ok((name, port))
}

/// The name of `name[:port]`, if it is a `uri-host` (RFC 3986 §3.2.2) without user information.
fn host_name(host: &str) -> Option<&str> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')?;
            rest[..end].parse::<std::net::Ipv6Addr>().ok()?;
            let (name, after) = host.split_at(end + 2);
            (name, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    // `parse` alone would take a sign.
    let digits = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let port_valid = port.is_none_or(|port| port.is_empty() || digits(port));
    let name_valid = name.starts_with('[') || is_reg_name(name);
    (!name.is_empty() && name_valid && port_valid).then_some(name)
}

/// The same of what nearly all hosts are, in one pass: a name in lower case, perhaps a port.
fn plain_host_name(host: &str) -> Option<&str> {
    let bytes = host.as_bytes();
    let plain = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    let len = bytes.iter().take_while(|byte| plain(byte)).count();
    let port = match &bytes[len..] {
        [] => &[][..],
        [b':', port @ ..] if (1..=4).contains(&port.len()) => port,
        _ => return None,
    };
    (len > 0 && port.iter().all(u8::is_ascii_digit)).then(|| &host[..len])
}

fn is_reg_name(name: &str) -> bool {
    // Nearly all names have nothing else.
    if name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.')) {
        return true;
    }
    let mut rest = name.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'%', [high, low, tail @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => tail,
            _ if first.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(first) => tail,
            _ => return false,
        };
    }
    true
}

fn canonical_target(request: &mut Request<Body>) -> Result<(), Error> {
    let uri = request.uri();
    if uri.path() == "*" && *request.method() == Method::OPTIONS {
        return Ok(());
    }
    let canonical = path::canonical(uri.path()).map_err(bad)?;
    let query = uri.query().map(path::canonical_query).transpose().map_err(bad)?;
    // Only origin form goes on; nothing to build when it is that already.
    let unchanged = matches!(canonical, Cow::Borrowed(_))
        && !query.as_ref().is_some_and(|query| matches!(query, Cow::Owned(_)));
    if unchanged && uri.authority().is_none() {
        return Ok(());
    }
    // After an authority the path may be empty, which is the same as `/`.
    let target = if unchanged && uri.path_and_query().is_some_and(|target| target.as_str().starts_with('/')) {
        uri.path_and_query().cloned().ok_or_else(|| bad("the target has no path"))?
    } else {
        let text = match query {
            Some(query) => format!("{canonical}?{query}"),
            None => canonical.into_owned(),
        };
        PathAndQuery::try_from(text).map_err(|_| bad("the target is not valid"))?
    };
    *request.uri_mut() = Uri::from(target);
    Ok(())
}

fn bad(detail: &'static str) -> Error {
    Error::new(Kind::BadRequest).detail(detail)
}
