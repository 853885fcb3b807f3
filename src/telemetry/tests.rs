use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use http::StatusCode;

use super::{
    critical::{Part, What, parts},
    registry::Registry,
    trail::Sent,
    *,
};
use crate::headers::Peer;

fn step(name: &str, needs: &[u16], does: Does) -> StepInfo {
    StepInfo { name: name.into(), wave: 0, needs: needs.into(), does }
}

fn settled(scope: u16, step: u16, started_us: u64, ended_us: u64) -> StepRecord {
    let outcome = StepOutcome::Ok;
    StepRecord {
        scope,
        step,
        outcome,
        started_us,
        ended_us,
        code: None,
        fallback: false,
        items: None,
        failed_items: 0,
    }
}

fn exchange(ago: Duration) -> Arc<Exchange> {
    let peer = Arc::new(Peer::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 9))));
    let client = peer.address.ip();
    let mut exchange = Exchange::new("1".into(), Trace::new(), peer, client, "http");
    exchange.started = Instant::now().checked_sub(ago).unwrap();
    Arc::new(exchange)
}

fn proxied(exchange: &Arc<Exchange>, route: &Arc<RouteInstruments>, instruments: &Arc<Instruments>) {
    exchange.record().route = Some(Arc::clone(route));
    let mut finish = Finish::new(Arc::clone(exchange), Arc::clone(instruments), None);
    let trail = Trail::begin(exchange, CallRecord::new(0, Verb::Get));
    let _ = exchange.trace.to_text(trail.span());
    trail.answered(Sent { endpoint: Some(0), ..Sent::default() }, Ok(StatusCode::OK), Instant::now());
    drop(trail);
    finish.answered(StatusCode::OK);
    finish.sent(100);
    finish.complete();
}

#[test]
fn a_proxied_request_that_nobody_traces_allocates_nothing() {
    let instruments = Arc::new(Instruments::new(Arc::new(Registry::new(1))));
    let at =
        EndpointInfo { host: "127.0.0.1".into(), port: 80, secure: false, url: "http://127.0.0.1".into() };
    let services = [("shop/back".into(), vec![at])];
    let generation = instruments.generation(1, services.into_iter(), std::iter::empty());
    let info =
        RouteInfo { unit: "shop".into(), name: "shop/a".into(), proxied: Some(0), ..RouteInfo::default() };
    let route = instruments.route(info, &generation);
    // Series exist, and the slowest are slow.
    for _ in 0..20 {
        proxied(&exchange(Duration::from_secs(1)), &route, &instruments);
    }
    let exchange = exchange(Duration::ZERO);
    let counted = allocation_counter::measure(|| proxied(&exchange, &route, &instruments));
    assert_eq!(counted.count_total, 0);
    assert_eq!(exchange.record().calls.len(), 1);
}

#[test]
fn a_failure_is_kept_and_the_slowest_stay() {
    let instruments = Arc::new(Instruments::new(Arc::new(Registry::new(1))));
    let generation = instruments.generation(1, std::iter::empty(), std::iter::empty());
    let info = RouteInfo { unit: "shop".into(), name: "shop/a".into(), ..RouteInfo::default() };
    let route = instruments.route(info, &generation);
    for seconds in [3, 1, 9, 7, 2, 8, 4, 6, 5, 10] {
        proxied(&exchange(Duration::from_secs(seconds)), &route, &instruments);
    }
    let failed = exchange(Duration::ZERO);
    failed.record().route = Some(Arc::clone(&route));
    let finish = Finish::new(Arc::clone(&failed), Arc::clone(&instruments), None);
    finish.answered(StatusCode::BAD_GATEWAY);
    drop(finish);
    let kept = instruments.sinks.load().keep.all();
    let seconds: Vec<u64> = kept[0].slowest.iter().map(|one| one.us / 1_000_000).collect();
    assert_eq!(seconds, [10, 9, 8, 7, 6, 5, 4, 3]);
    // The client left before the end of the answer: that is no failure of the route.
    assert_eq!(kept[0].failed.len(), 0);
}

#[test]
fn the_parts_of_the_critical_path_are_all_of_the_time() {
    let calls = |needs: &[u16], service| step("x", needs, Does::Calls(service));
    let inner: Box<[StepInfo]> = [calls(&[], 5), calls(&[0], 6)].into();
    let generation =
        Generation { compositions: [("shop/inner".into(), inner)].into(), ..Generation::default() };
    let route = RouteInfo {
        steps: [calls(&[], 1), calls(&[0], 2), calls(&[0], 3), step("y", &[1], Does::Runs(0))].into(),
        ..RouteInfo::default()
    };
    let mut record = Record { answered_us: 950, ..Record::default() };
    let run = |item| Scope { outer: 0, step: 3, item: Some(item), composition: 0 };
    assert_eq!((record.enter(run(0)), record.enter(run(1))), (1, 2));
    // The first step until 100, the second until 400 decides; then two items, one after the other.
    for one in [
        settled(0, 0, 10, 100),
        settled(0, 2, 100, 300),
        settled(0, 1, 100, 400),
        settled(1, 0, 410, 500),
        settled(1, 1, 500, 600),
        settled(2, 0, 610, 700),
        settled(2, 1, 700, 900),
        settled(0, 3, 400, 900),
    ] {
        record.began(one.scope, one.step, one.started_us);
        record.settled(one);
    }
    let mut found = Vec::new();
    parts(&record, 1000, &route, &generation, &mut |part| found.push(part));
    let step = |step, service, us| Part { what: What::Step { step, service }, us };
    assert_eq!(
        found,
        [
            Part { what: What::Transfer, us: 50 },
            step(3, 6, 200),
            step(3, 5, 90),
            step(3, 6, 100),
            step(3, 5, 90),
            step(1, 2, 300),
            step(0, 1, 90),
        ]
    );
    assert_eq!(record.own_step(2), Some(3));
}
