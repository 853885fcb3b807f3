use std::{sync::Arc, time::Duration};

use tokio::net::TcpListener;

use super::origin::{Origin, build, call, get, kind, ok, post, service, text};
use crate::{
    config::service::Balance,
    problem::Kind,
    upstream::{Caller, Network, Upstream, Upstreams},
};

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_refused_connection_is_unreachable() {
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&nobody().await])));
    let error = call(&upstreams, &upstream, get("/")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::UpstreamUnreachable);
    assert!(error.private_cause().unwrap().contains("refused"));
    assert_eq!((upstream.counts().failures, upstream.calls_in_flight()), (1, 0));
    assert_eq!(upstream.counts().calls, 0, "nothing was sent");
}

#[tokio::test]
async fn a_refused_endpoint_is_passed_over_whatever_the_method() {
    let origin = Origin::http(|_| async { ok("x") }).await;
    for balance in [Balance::LeastRequest, Balance::RoundRobin, Balance::Random] {
        let mut template = service(&[&nobody().await, &origin.url()]);
        template.balance = balance;
        let (upstreams, upstream) = (Upstreams::new(), build(&template));
        for _ in 0..10 {
            assert_eq!(call(&upstreams, &upstream, post("/", "b")).await.unwrap().1, "x");
        }
    }
    assert_eq!(origin.served(), 30);
}

#[tokio::test]
async fn a_higher_priority_is_used_while_it_can_be_connected() {
    let (first, second) =
        (Origin::http(|_| async { ok("1") }).await, Origin::http(|_| async { ok("2") }).await);
    let mut template = service(&[&second.url(), &first.url()]);
    template.endpoints[0].2 = 1;
    let (upstreams, upstream) = (Upstreams::new(), build(&template));
    for _ in 0..10 {
        assert_eq!(text(&upstreams, &upstream, "/").await, "1");
    }
    let mut template = service(&[&second.url(), &nobody().await]);
    template.endpoints[0].2 = 1;
    let upstream = build(&template);
    for _ in 0..10 {
        assert_eq!(text(&upstreams, &upstream, "/").await, "2");
    }
}

#[tokio::test]
async fn round_robin_follows_the_weights() {
    let (one, three) = (Origin::http(|_| async { ok("") }).await, Origin::http(|_| async { ok("") }).await);
    let mut template = service(&[&one.url(), &three.url()]);
    template.balance = Balance::RoundRobin;
    template.endpoints[1].1 = 3;
    let (upstreams, upstream) = (Upstreams::new(), build(&template));
    for _ in 0..8 {
        text(&upstreams, &upstream, "/").await;
    }
    assert_eq!((one.served(), three.served()), (2, 6));
}

#[tokio::test]
async fn the_less_busy_endpoint_is_preferred() {
    let (one, two) = (Origin::http(|_| async { ok("x") }).await, Origin::http(|_| async { ok("x") }).await);
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&one.url(), &two.url()])));
    let mut open = Vec::new();
    for _ in 0..200 {
        open.push(upstreams.send(&upstream, get("/")).await.unwrap());
    }
    // At random, a difference beyond this has a probability below one in a million.
    assert!(one.served().abs_diff(two.served()) < 40, "{} {}", one.served(), two.served());
    assert_eq!(upstream.calls_in_flight(), 200);
    drop(open);
    assert_eq!(upstream.calls_in_flight(), 0);
}

#[tokio::test]
async fn link_local_metadata_and_own_listeners_are_refused() {
    let origin = Origin::http(|_| async { ok("x") }).await;
    let network = Arc::new(Network::system(crate::descriptors::Descriptors::unbounded()));
    let upstreams = Upstreams::new();
    let at = |url: &str| {
        let mut template = service(&[url]);
        // Were they not refused, the test would end here.
        template.connect_timeout = Duration::from_millis(300);
        Arc::new(Upstream::build(&template, &super::origin::Given::default(), &network).unwrap())
    };
    for url in ["http://169.254.169.254", "http://[fe80::1]", "http://[fd00:ec2::254]/latest"] {
        let error = call(&upstreams, &at(url), get("/")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::UpstreamUnreachable);
        assert!(error.private_cause().unwrap().contains("is refused"), "{error:?}");
    }
    let port = origin.address.port();
    let own = at(&format!("http://localhost:{port}"));
    assert_eq!(text(&upstreams, &own, "/").await, "x");
    upstreams.evict(&own);
    for address in ["127.0.0.1", "0.0.0.0", "[::]"] {
        network.egress.set_own(vec![format!("{address}:{port}").parse().unwrap()]);
        let own = at(&format!("http://127.0.0.1:{port}"));
        assert_eq!(kind(&upstreams, &own, "/").await, Kind::UpstreamUnreachable, "{address}");
    }
    assert_eq!(origin.served(), 1);
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_unreachable() {
    // A name of more than 63 characters is refused before anybody is asked.
    let url = format!("http://{}.invalid", "a".repeat(64));
    let (upstreams, upstream) = (Upstreams::new(), build(&service(&[&url])));
    let error = call(&upstreams, &upstream, get("/")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::UpstreamUnreachable);
    assert!(error.private_cause().unwrap().starts_with("DNS"));
}

#[tokio::test]
async fn a_connection_that_does_not_come_is_a_timeout() {
    // A backlog that is full: the handshake of further connections gets no answer.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let _first = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut template = service(&[&format!("http://{address}")]);
    template.connect_timeout = Duration::from_millis(50);
    let (upstreams, upstream) = (Upstreams::new(), build(&template));
    assert_eq!(kind(&upstreams, &upstream, "/").await, Kind::UpstreamTimeout);
}
