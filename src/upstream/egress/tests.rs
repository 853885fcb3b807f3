use super::*;

fn refused(egress: &Egress, address: &str) -> bool {
    egress.refuses(address.parse().unwrap()).is_some()
}

/// The ways to write an IPv4 address as an IPv6 one.
fn wrapped(v4: Ipv4Addr) -> Vec<IpAddr> {
    let [a, b, c, d] = v4.octets();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let v6 = [
        [0, 0, 0, 0, 0, 0xffff, high, low],
        [0, 0, 0, 0, 0, 0, high, low],
        [0, 0, 0, 0, 0xffff, 0, high, low],
        [0x64, 0xff9b, 0, 0, 0, 0, high, low],
        [0x64, 0xff9b, 1, 0, 0, 0, high, low],
        [0x2002, high, low, 0, 0, 0, 0, 1],
        [0x2001, 0, 0x4136, 0xe378, 0x8000, 0x63bf, !high, !low],
        [0x2001, 0xdb8, 0, 0, 0, 0x5efe, high, low],
        [0x2001, 0xdb8, 0, 0, 0x200, 0x5efe, high, low],
    ];
    let v6 = v6.into_iter().map(|segments| IpAddr::V6(segments.into()));
    [IpAddr::V4(v4)].into_iter().chain(v6).collect()
}

#[test]
fn refuses_link_local_and_metadata_however_written() {
    let egress = Egress::default();
    for v4 in [
        "169.254.169.254",
        "169.254.170.2",
        "169.254.0.0",
        "169.254.0.1",
        "169.254.255.255",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
    ] {
        for ip in wrapped(v4.parse().unwrap()) {
            assert!(egress.refuses(SocketAddr::new(ip, 80)).is_some(), "{v4} as {ip}");
        }
    }
    for address in [
        "[fe80::1]:80",
        "[fe80::a9fe:a9fe]:80",
        "[fe80:1::1]:80",
        "[febf:ffff::1]:80",
        "[fd00:ec2::254]:80",
        "[fd20:ce::254]:80",
        "[fd00:42::42]:80",
    ] {
        assert!(refused(&egress, address), "{address}");
    }
    for v4 in ["127.0.0.1", "10.0.0.1", "169.253.255.255", "169.255.0.0", "100.100.100.201", "192.0.0.191"] {
        for ip in wrapped(v4.parse().unwrap()) {
            assert!(egress.refuses(SocketAddr::new(ip, 80)).is_none(), "{v4} as {ip}");
        }
    }
    for address in
        ["[::1]:80", "[fd00::1]:80", "[fec0::1]:80", "[2001:db8::a9fe:a9fe]:80", "[fd00:ec2::255]:80"]
    {
        assert!(!refused(&egress, address), "{address}");
    }
}

#[test]
fn refuses_own_listeners_by_every_name_of_this_machine() {
    let egress = Egress::default();
    // Admin on one address, a listener on all of IPv4, one on all of both.
    let own = ["127.0.0.1:9901", "0.0.0.0:8080", "[::]:8443"].map(|own| own.parse().unwrap());
    egress.set_own(own.to_vec());
    for ip in wrapped(Ipv4Addr::LOCALHOST) {
        for port in [9901, 8080, 8443] {
            assert!(egress.refuses(SocketAddr::new(ip, port)).is_some(), "{ip} {port}");
        }
        assert!(egress.refuses(SocketAddr::new(ip, 9902)).is_none(), "{ip}");
    }
    for address in [
        "0.0.0.0:9901",
        "[::]:9901",
        "0.0.0.0:8080",
        "[::]:8080",
        "[::1]:8080",
        "127.0.0.2:8080",
        "127.255.255.254:8080",
        "[::1]:8443",
        "127.0.0.2:8443",
        "0.0.0.0:8443",
    ] {
        assert!(refused(&egress, address), "{address}");
    }
    // Nothing of ours listens there.
    for address in ["127.0.0.2:9901", "[::1]:9901", "10.0.0.1:9901"] {
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
