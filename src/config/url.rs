//! The URL of an endpoint: scheme, host, optional port, optional path prefix, and nothing else.
//!
//! A checker and no parser: `upstream` takes the text apart again with a library. It says where in
//! the text the fault is, which a library does not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services outside the link-local ranges: Alibaba, Azure, Oracle, AWS, Google, Scaleway.
pub const METADATA: [IpAddr; 6] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042)),
];

/// The metadata service of most clouds.
const LINK_LOCAL_METADATA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));

/// Why no collector of telemetry can be at this URL, whoever wrote it. Other link-local addresses are fine: an
/// agent of the machine may have one, and what a Gateway says is IT's to say.
#[must_use]
pub fn no_collector(url: &str) -> Option<&'static str> {
    let uri: http::Uri = url.parse().ok()?;
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    if host.eq_ignore_ascii_case("metadata.google.internal") {
        return Some("a metadata service");
    }
    let ip = host.parse::<IpAddr>().ok()?.to_canonical();
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    if ip == LINK_LOCAL_METADATA || METADATA.contains(&ip) {
        Some("a metadata service")
    } else if ip.is_multicast() || broadcast {
        Some("an address of many machines")
    } else {
        None
    }
}

/// What is wrong with a URL, and which characters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UrlFault {
    /// Byte offset into the text.
    pub(super) offset: usize,
    /// How many characters.
    pub(super) width: usize,
    /// One line.
    pub(super) message: String,
}

/// Checks `http(s)://host[:port][/prefix]`.
pub(super) fn check(text: &str) -> Result<(), UrlFault> {
    let fault = |offset: usize, part: &str, message: &str| {
        Err(UrlFault { offset, width: part.chars().count().max(1), message: message.to_owned() })
    };
    if let Some(at) = text.find("${") {
        return fault(at, "${", "scheme, host and port never come from data, so a URL has no expression");
    }
    let scheme = if text.starts_with("https://") {
        8
    } else if text.starts_with("http://") {
        7
    } else {
        return fault(0, text, "the URL does not start with http:// or https://");
    };
    if let Some(at) = text.find(['?', '#']) {
        return fault(at, &text[at..], "the URL of an endpoint has no query and no fragment");
    }
    let rest = &text[scheme..];
    let authority = &rest[..rest.find('/').unwrap_or(rest.len())];
    if let Some(at) = authority.rfind('@') {
        return fault(scheme, &authority[..=at], "a URL never holds credentials");
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(inner) => match inner.split_once(']') {
            Some((host, port)) if host.parse::<Ipv6Addr>().is_ok() => (host, port.strip_prefix(':')),
            _ => return fault(scheme, authority, "this is not an IPv6 address"),
        },
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let bracketed = authority.starts_with('[');
    if bracketed && !(authority.ends_with(']') || port.is_some()) {
        return fault(scheme, authority, "after an IPv6 address only a port can follow");
    }
    if !bracketed && !is_host(host) {
        return fault(scheme, authority, "the URL has no valid host");
    }
    if let Some(port) = port
        && !(port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0))
    {
        return fault(scheme + authority.len() - port.len(), port, "a port is a number from 1 to 65535");
    }
    let path = scheme + authority.len();
    if let Some((at, c)) = text[path..].char_indices().find(|(_, c)| !is_path(*c)) {
        return fault(path + at, "?", &format!("`{}` cannot stand in the path of a URL", c.escape_default()));
    }
    if text[path..].split('/').any(|segment| matches!(segment, "." | "..")) {
        return fault(path, &text[path..], "the path prefix has no `.` and `..`");
    }
    Ok(())
}

/// A DNS name or IPv4 address; `_` is common in the names of containers.
pub(super) fn is_host(host: &str) -> bool {
    let labels = host.strip_suffix('.').unwrap_or(host);
    labels.len() <= 253
        && labels.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

const fn is_path(c: char) -> bool {
    matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '/' | '-' | '.' | '_' | '~' | '!' | '$' | '&' | '\'' | '(' | ')'
        | '*' | '+' | ',' | ';' | '=' | ':' | '@' | '%')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_scheme_host_port_and_prefix() {
        for url in [
            "http://127.0.0.1:9001",
            "https://api.example.com",
            "https://api.example.com/v2/things/",
            "http://[::1]:8080/x",
            "http://[::1]",
            "http://my_container:80",
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn a_collector_may_be_anywhere_but_where_none_can_be() {
        for url in
            ["http://169.254.169.254/", "http://[::ffff:169.254.169.254]:4318", "http://224.0.0.1:4318"]
        {
            assert!(no_collector(url).is_some(), "{url}");
        }
        for url in ["http://169.254.20.10:4318", "http://127.0.0.1:4318", "https://otlp.example.com/x"] {
            assert_eq!(no_collector(url), None, "{url}");
        }
    }

    #[test]
    fn says_which_part_is_wrong() {
        let at = |url: &str| check(url).map_err(|fault| (fault.offset, fault.width)).unwrap_err();
        assert_eq!(at("ftp://host"), (0, 10));
        assert_eq!(at("host:80"), (0, 7));
        assert_eq!(at("http://user:pass@host"), (7, 10));
        assert_eq!(at("http://host/a?b=c"), (13, 4));
        assert_eq!(at("http://host#x"), (11, 2));
        assert_eq!(at("http://host:99999/"), (12, 5));
        assert_eq!(at("http://host:"), (12, 1));
        assert_eq!(at("http://"), (7, 1));
        assert_eq!(at("http://ho st/"), (7, 5));
        assert_eq!(at("http://host/a b"), (13, 1));
        assert_eq!(at("http://${ vars.host }/"), (7, 2));
        assert_eq!(at("http://[::1"), (7, 4));
        assert_eq!(at("http://[::1]8080"), (7, 9));
        assert_eq!(at("http://host/a/../b"), (11, 7));
    }
}
