//! Addresses that no call may reach: link-local, cloud metadata, and the gateway's own listeners.
//!
//! Checked on the resolved address right before connecting, so that a name cannot be rebound.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use arc_swap::ArcSwap;

use crate::config::url::METADATA;

/// Which addresses are refused.
#[derive(Debug, Default)]
pub struct Egress {
    own: ArcSwap<Vec<SocketAddr>>,
}

impl Egress {
    /// Sets the addresses of the gateway's listeners and of its admin. An unspecified address stands
    /// for every address of this machine.
    pub fn set_own(&self, addresses: Vec<SocketAddr>) {
        self.own.store(Arc::new(addresses));
    }

    /// Why the address is refused, if it is.
    pub(super) fn refuses(&self, address: SocketAddr) -> Option<&'static str> {
        let ip = plain(address.ip());
        let link_local = match ip {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        if link_local {
            return Some("it is a link-local address");
        }
        if METADATA.contains(&ip) {
            return Some("it is a metadata service");
        }
        let here = ip.is_loopback() || ip.is_unspecified();
        let own = self.own.load().iter().any(|own| {
            let own_ip = plain(own.ip());
            own.port() == address.port()
                && (own_ip == ip
                    || (here && own_ip.is_unspecified())
                    || (ip.is_unspecified() && own_ip.is_loopback()))
        });
        own.then_some("it is a listener of this gateway")
    }

    /// Whether a connection from `local` to `peer` has ended at an own listener on all addresses:
    /// both ends are then the same address of this machine.
    pub(super) fn loops(&self, local: SocketAddr, peer: SocketAddr) -> bool {
        plain(local.ip()) == plain(peer.ip())
            && self.own.load().iter().any(|own| own.ip().is_unspecified() && own.port() == peer.port())
    }
}

/// IPv4 as such, however it is wrapped.
fn plain(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip.to_canonical() else { return ip.to_canonical() };
    let (high, low) = match v6.segments() {
        // IPv4-compatible (RFC 4291 §2.5.5.1); `::` and `::1` are not among them.
        [0, 0, 0, 0, 0, 0, high, low] if high > 0 => (high, low),
        // IPv4-translated (RFC 2765 §2.1).
        [0, 0, 0, 0, 0xffff, 0, high, low] => (high, low),
        // NAT64, by the well-known prefix (RFC 6052 §2.1) and by the local ones of 96 bits (RFC 8215).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 1, _, _, _, high, low] => (high, low),
        // 6to4 (RFC 3056 §2).
        [0x2002, high, low, ..] => (high, low),
        // Teredo, whose client is written inverted (RFC 4380 §4).
        [0x2001, 0, .., high, low] => (!high, !low),
        // ISATAP (RFC 5214 §6.1).
        [_, _, _, _, 0 | 0x0200, 0x5efe, high, low] => (high, low),
        _ => return IpAddr::V6(v6),
    };
    let [a, b] = high.to_be_bytes();
    let [c, d] = low.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests;
