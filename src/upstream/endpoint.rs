//! One address of a service: what its URL says, and how busy it is.

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::SeqCst},
    },
};

use http::{HeaderValue, Uri, uri::Authority};

use crate::telemetry::EndpointInfo;

/// Where a call can go.
pub(super) struct Endpoint {
    pub(super) host: Host,
    pub(super) port: u16,
    /// `https`
    pub(super) secure: bool,
    /// As written, for HTTP/2.
    pub(super) authority: Authority,
    /// As written, for HTTP/1.
    pub(super) host_header: HeaderValue,
    /// What is put before every path; no slash at its end.
    pub(super) prefix: Option<Box<str>>,
    pub(super) weight: u32,
    pub(super) priority: u32,
    pub(super) usage: Usage,
}

/// What calls change, on a line of its own: every worker writes it and reads the rest.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Usage {
    /// Calls under way.
    pub(super) load: AtomicU32,
    /// Until when others are preferred because no connection could be made, in milliseconds of
    /// [`super::balance::now`].
    pub(super) avoid_until: AtomicU64,
}

/// What the URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// An address.
    Ip(IpAddr),
    /// This machine, whatever its resolver thinks.
    Localhost,
    /// A name to look up.
    Name(Arc<str>),
}

impl Endpoint {
    /// Reads `http[s]://host[:port][/prefix]`.
    pub(super) fn parse(url: &str, weight: u32, priority: u32) -> Result<Self, &'static str> {
        if url.contains('#') {
            return Err("a fragment has no meaning here");
        }
        let uri: Uri = url.parse().map_err(|_| "it is not a URL")?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) => return Err("its scheme is neither `http` nor `https`"),
            None => return Err("it does not start with `http://` or `https://`"),
        };
        let authority = uri.authority().cloned().ok_or("it has no host")?;
        if authority.as_str().contains('@') {
            return Err("user and password do not belong in a URL; use `headers`");
        }
        if uri.query().is_some() {
            return Err("a query has no meaning here");
        }
        // A port out of range is one that `Authority` does not see.
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => {
                if secure {
                    443
                } else {
                    80
                }
            }
            Some(port) => port[1..].parse().ok().filter(|port| *port > 0).ok_or("its port is not valid")?,
            None => return Err("it has no host"),
        };
        let host = Host::parse(authority.host()).ok_or("it has no host")?;
        let host_header = HeaderValue::from_str(authority.as_str()).map_err(|_| "its host is not valid")?;
        let prefix = uri.path().trim_end_matches('/');
        let prefix = (!prefix.is_empty()).then(|| prefix.into());
        let usage = Usage::default();
        Ok(Self { host, port, secure, authority, host_header, prefix, weight, priority, usage })
    }

    /// What signals say of it.
    pub(super) fn info(&self) -> EndpointInfo {
        let host = self.authority.host().trim_start_matches('[').trim_end_matches(']');
        let scheme = if self.secure { "https" } else { "http" };
        let prefix = self.prefix.as_deref().unwrap_or_default();
        let url = format!("{scheme}://{}{prefix}", self.authority).into();
        EndpointInfo { host: host.into(), port: self.port, secure: self.secure, url }
    }

    /// Calls under way.
    pub(super) fn load(&self) -> u32 {
        self.usage.load.load(SeqCst)
    }
}

impl Host {
    fn parse(host: &str) -> Option<Self> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if bare.is_empty() {
            None
        } else if let Ok(ip) = bare.parse() {
            Some(Self::Ip(ip))
        } else if bare.eq_ignore_ascii_case("localhost") {
            Some(Self::Localhost)
        } else {
            Some(Self::Name(bare.to_ascii_lowercase().into()))
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        let prefix = self.prefix.as_deref().unwrap_or_default();
        write!(f, "{scheme}://{}{prefix} ({} calls)", self.authority, self.load())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_host_port_and_prefix() {
        let endpoint = Endpoint::parse("https://API.example.com/v2/", 1, 0).unwrap();
        assert_eq!(endpoint.host, Host::Name("api.example.com".into()));
        assert_eq!((endpoint.port, endpoint.secure), (443, true));
        assert_eq!(endpoint.prefix.as_deref(), Some("/v2"));
        let endpoint = Endpoint::parse("http://[::1]:9001", 1, 0).unwrap();
        assert_eq!(endpoint.host, Host::Ip("::1".parse().unwrap()));
        assert_eq!((endpoint.port, endpoint.prefix.as_deref()), (9001, None));
        assert_eq!(endpoint.host_header, "[::1]:9001");
        assert_eq!(Endpoint::parse("http://LocalHost", 1, 0).unwrap().host, Host::Localhost);
    }

    #[test]
    fn refuses_what_is_no_address() {
        for url in [
            "",
            "ftp://a",
            "a:80",
            "/x",
            "http://",
            "http://u:p@h",
            "http://h?q",
            "http://h#f",
            "http://h:99999",
            "http://h:0",
            "http://h:",
            "http:// h",
        ] {
            assert!(Endpoint::parse(url, 1, 0).is_err(), "{url}");
        }
    }
}
