//! Addresses that no call may reach: link-local, cloud metadata, and the gateway's own listeners.
//!
//! Checked on the resolved address right before connecting, so that a name cannot be rebound.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use arc_swap::ArcSwap;

/// Which addresses are refused.
#[derive(Debug, Default)]
pub struct Egress {
    own: ArcSwap<Vec<SocketAddr>>,
}

/// Metadata services outside the link-local ranges.
const METADATA: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254)),
];

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
    match ip.to_canonical() {
        IpAddr::V6(v6) => match v6.segments() {
            // The well-known prefix of NAT64.
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                let [a, b] = high.to_be_bytes();
                let [c, d] = low.to_be_bytes();
                IpAddr::V4(Ipv4Addr::new(a, b, c, d))
            }
            _ => IpAddr::V6(v6),
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(egress: &Egress, address: &str) -> bool {
        egress.refuses(address.parse().unwrap()).is_some()
    }

    #[test]
    fn refuses_link_local_and_metadata_however_written() {
        let egress = Egress::default();
        for address in [
            "169.254.169.254:80",
            "169.254.0.1:8080",
            "[fe80::1]:80",
            "[febf::1]:80",
            "[fd00:ec2::254]:80",
            "[::ffff:169.254.169.254]:80",
            "[64:ff9b::a9fe:a9fe]:80",
            "100.100.100.200:80",
        ] {
            assert!(refused(&egress, address), "{address}");
        }
        for address in ["127.0.0.1:80", "10.0.0.1:80", "[::1]:80", "[fd00::1]:80", "169.253.0.1:80"] {
            assert!(!refused(&egress, address), "{address}");
        }
    }

    #[test]
    fn refuses_own_listeners_and_learns_new_ones() {
        let egress = Egress::default();
        assert!(!refused(&egress, "127.0.0.1:8080"));
        egress.set_own(vec!["127.0.0.1:8080".parse().unwrap(), "0.0.0.0:8443".parse().unwrap()]);
        for address in ["127.0.0.1:8080", "[::ffff:127.0.0.1]:8080", "0.0.0.0:8080", "127.0.0.1:8443"] {
            assert!(refused(&egress, address), "{address}");
        }
        assert!(!refused(&egress, "127.0.0.1:8081"));
        assert!(!refused(&egress, "127.0.0.2:8080"));
        let here: SocketAddr = "192.0.2.1:50000".parse().unwrap();
        assert!(egress.loops(here, "192.0.2.1:8443".parse().unwrap()));
        assert!(!egress.loops(here, "192.0.2.2:8443".parse().unwrap()));
    }
}
