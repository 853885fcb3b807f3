//! Header rules of a gateway: what is hop-by-hop, what a client may not say, what forwarding adds.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{HeaderMap, HeaderName, HeaderValue, header};

mod certificate;

pub use certificate::ClientCertificate;

/// A network in CIDR form; a bare address is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Reads `10.0.0.0/8` or `::1`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address.parse::<IpAddr>().ok()?, Some(prefix.parse::<u8>().ok()?)),
            None => (text.parse().ok()?, None),
        };
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(most);
        (prefix <= most).then_some(Self { address, prefix })
    }

    /// Whether the address lies in it. IPv4 written as IPv6 is read as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let shift = 32 - u32::from(self.prefix);
                u32::from(a).checked_shr(shift) == u32::from(b).checked_shr(shift)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let shift = 128 - u32::from(self.prefix);
                u128::from(a).checked_shr(shift) == u128::from(b).checked_shr(shift)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// The other end of a client's connection, prepared once for all its requests.
#[derive(Debug)]
pub struct Peer {
    /// Its address; IPv4 within IPv6 is unwrapped.
    pub address: SocketAddr,
    /// The same as `x-forwarded-for` says it.
    pub forwarded_for: HeaderValue,
    /// What its connection is: `http`, or `https` over TLS.
    pub scheme: &'static str,
    /// What it has proved to be, on a listener that asks for certificates.
    pub certificate: Option<Arc<ClientCertificate>>,
}

impl Peer {
    /// Prepares what requests of this connection need.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let text = address.ip().to_string();
        let forwarded_for =
            HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        Self { address, forwarded_for, scheme: "http", certificate: None }
    }

    /// The same of a connection over TLS.
    #[must_use]
    pub fn over_tls(address: SocketAddr, certificate: Option<ClientCertificate>) -> Self {
        Self { scheme: "https", certificate: certificate.map(Arc::new), ..Self::new(address) }
    }
}

/// Fields that belong to one connection and are never forwarded (RFC 9110 §7.6.1).
/// `trailer` is not among them: it announces what is forwarded; `te` is handled by its value.
fn is_hop_by_hop(name: &str) -> bool {
    // Nearly every field that is looked at is told by its length.
    match name.len() {
        7 => name == "upgrade",
        10 => matches!(name, "connection" | "keep-alive"),
        14 => name == "http2-settings",
        16 => name == "proxy-connection",
        17 => name == "transfer-encoding",
        18 => name == "proxy-authenticate",
        19 => name == "proxy-authorization",
        _ => false,
    }
}

/// What `Connection` says of itself; not the name of a field that is to go.
const CONNECTION_OPTIONS: [&[u8]; 3] = [b"close", b"keep-alive", b"upgrade"];

/// Fields that only the gateway may say of a client, whatever its spelling of `-`.
fn is_claimed(name: &str) -> bool {
    // Servers that turn `-` into `_` cannot tell them apart.
    name.contains('_')
        || if name.starts_with("x-") {
            name.starts_with("x-forwarded-")
                || name.starts_with("x-segue-")
                || matches!(name, "x-real-ip" | "x-client-ip" | "x-request-id")
        } else {
            matches!(
                name,
                "forwarded"
                    | "true-client-ip"
                    | "cf-connecting-ip"
                    | "remote-user"
                    | "traceparent"
                    | "tracestate"
                    | "baggage"
            )
        }
}

/// Fields that `Connection` may not name: dropping them would change what a request means, or hide where it
/// comes from.
fn is_protected(name: &HeaderName) -> bool {
    is_claimed(name.as_str())
        || matches!(
            *name,
            header::HOST
                | header::CONTENT_LENGTH
                | header::CONTENT_TYPE
                | header::AUTHORIZATION
                | header::COOKIE
                | header::TE
                | header::TRAILER
                | header::VIA
                | header::EXPECT
        )
}

/// Fields that a trailer section may not carry (RFC 9110 §6.5.1): framing, routing, authentication, conditions,
/// the content's own, what controls an answer, and what only makes sense before the content.
fn is_never_trailer(name: &HeaderName) -> bool {
    let text = name.as_str();
    is_hop_by_hop(text)
        // HTTP/2's codec takes it, and HTTP/1 has no such name.
        || text.contains('"')
        || ["access-control-", "if-", "segue-"].iter().any(|prefix| text.starts_with(prefix))
        || matches!(
            text,
            "authentication-info" | "client-cert" | "client-cert-chain" | "early-data" | "proxy-authentication-info"
        )
        || matches!(text, "set-cookie2" | "proxy-status" | "clear-site-data")
        || matches!(
            *name,
            header::AGE
                | header::AUTHORIZATION
                | header::CACHE_CONTROL
                | header::CONTENT_ENCODING
                | header::CONTENT_LENGTH
                | header::CONTENT_RANGE
                | header::CONTENT_TYPE
                | header::COOKIE
                | header::DATE
                | header::EXPECT
                | header::EXPIRES
                | header::HOST
                | header::LOCATION
                | header::MAX_FORWARDS
                | header::PRAGMA
                | header::RANGE
                | header::RETRY_AFTER
                | header::SET_COOKIE
                | header::STRICT_TRANSPORT_SECURITY
                | header::TE
                | header::TRAILER
                | header::VARY
                | header::VIA
                | header::WWW_AUTHENTICATE
        )
}

/// Whether a client's trailer may go on: what it may not say in a head it may not say here either.
#[must_use]
pub fn may_trail_request(name: &HeaderName) -> bool {
    !is_never_trailer(name) && !is_claimed(name.as_str())
}

/// Takes out of a request's trailers what may not go on.
pub fn sanitize_request_trailers(trailers: &mut HeaderMap) {
    retain(trailers, may_trail_request);
}

/// The same for an answer's.
pub fn sanitize_answer_trailers(trailers: &mut HeaderMap) {
    retain(trailers, |name| !is_never_trailer(name) && !name.as_str().starts_with("x-segue-"));
}

fn retain(headers: &mut HeaderMap, keep: impl Fn(&HeaderName) -> bool) {
    let gone: Vec<HeaderName> = headers.keys().filter(|name| !keep(name)).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
}

/// Takes out what concerns only the connection it came on, and all that `Connection` names. Gives these names:
/// their fields may not go on in trailers either.
#[must_use]
pub fn remove_hop_by_hop(headers: &mut HeaderMap) -> Vec<HeaderName> {
    remove(headers, is_hop_by_hop)
}

/// The same for a request, and with it what its sender may not say: a client nothing of where it comes
/// from, a trusted proxy only `x-forwarded-for`, `-proto` and `-host`. Gives what `Connection` names.
#[must_use]
pub fn sanitize_request(headers: &mut HeaderMap, trusted: bool) -> Vec<HeaderName> {
    let believed =
        |name: &str| trusted && matches!(name, "x-forwarded-for" | "x-forwarded-proto" | "x-forwarded-host");
    remove(headers, |name| is_hop_by_hop(name) || (is_claimed(name) && !believed(name)))
}

fn remove(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) -> Vec<HeaderName> {
    let mut gone: Vec<HeaderName> = Vec::new();
    let mut named: Vec<HeaderName> = Vec::new();
    let mut te = false;
    let mut connection = false;
    for name in headers.keys() {
        match name.as_str() {
            "connection" => connection = true,
            "te" => te = true,
            text if unwanted(text) => gone.push(name.clone()),
            _ => {}
        }
    }
    if connection {
        for line in headers.get_all(header::CONNECTION) {
            let names = line.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii);
            let option = |name: &[u8]| CONNECTION_OPTIONS.iter().any(|own| own.eq_ignore_ascii_case(name));
            let names = names.filter(|name| !option(name) && !name.is_empty());
            let names = names.filter_map(|name| HeaderName::from_bytes(name).ok());
            named.extend(names.filter(|name| !is_protected(name)));
        }
        headers.remove(header::CONNECTION);
    }
    for name in gone.iter().chain(&named) {
        headers.remove(name);
    }
    // `te` says what this hop understands; all that may pass on is that trailers are welcome.
    if te {
        let mut codings =
            headers.get_all(header::TE).iter().flat_map(|line| line.as_bytes().split(|b| *b == b','));
        if codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers")) {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        } else {
            headers.remove(header::TE);
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(pair).collect()
    }

    #[test]
    fn networks_contain_what_they_should() {
        let ten = Network::parse("10.0.0.0/8").unwrap();
        assert!(ten.contains("10.9.8.7".parse().unwrap()));
        assert!(ten.contains("::ffff:10.1.1.1".parse().unwrap()));
        assert!(!ten.contains("11.0.0.1".parse().unwrap()));
        assert!(Network::parse("0.0.0.0/0").unwrap().contains("1.2.3.4".parse().unwrap()));
        assert!(Network::parse("::1").unwrap().contains("::1".parse().unwrap()));
        assert!(!Network::parse("fd00::/8").unwrap().contains("fe80::1".parse().unwrap()));
        for wrong in ["", "10.0.0.0/33", "x/8", "10.0.0/8", "::/129"] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_connection_names_goes_and_what_it_may_not_name_stays() {
        let mut headers = map(&[
            ("connection", "close, X-Secret, host, authorization"),
            ("keep-alive", "timeout=5"),
            ("x-secret", "1"),
            ("host", "a"),
            ("authorization", "b"),
            ("accept", "*/*"),
        ]);
        let named = remove_hop_by_hop(&mut headers);
        assert_eq!(headers, map(&[("host", "a"), ("authorization", "b"), ("accept", "*/*")]));
        assert_eq!(named, ["x-secret"]);
    }

    #[test]
    fn clients_say_nothing_of_themselves() {
        let mut headers = map(&[
            ("x-forwarded-for", "1.1.1.1"),
            ("forwarded", "for=1.1.1.1"),
            ("x-segue-deadline-ms", "1"),
            ("x_forwarded_for", "1.1.1.1"),
            ("x-real-ip", "1.1.1.1"),
            ("te", "trailers, deflate"),
            ("cookie", "a=b"),
        ]);
        let _ = sanitize_request(&mut headers, false);
        assert_eq!(headers, map(&[("te", "trailers"), ("cookie", "a=b")]));
    }

    #[test]
    fn trailers_say_nothing_that_belongs_in_a_head() {
        let all = [
            ("x-sum", "1"),
            ("grpc-status", "0"),
            ("host", "b"),
            ("authorization", "x"),
            ("content-length", "1"),
            ("x-forwarded-for", "1.1.1.1"),
            ("remote_user", "root"),
            ("www-authenticate", "Basic"),
            ("authentication-info", "x"),
            ("if-match", "\"x\""),
            ("location", "/"),
            ("segue-degraded", "a"),
            ("access-control-allow-origin", "*"),
        ];
        let mut request = map(&all);
        sanitize_request_trailers(&mut request);
        assert_eq!(request, map(&all[..2]));
        let mut answer = map(&all);
        sanitize_answer_trailers(&mut answer);
        assert_eq!(answer, map(&[all[0], all[1], all[5], all[6]]));
    }
}
