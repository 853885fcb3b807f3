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
        streamed_us: None,
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

/// A request of one step, with room made in its record as the executor does.
fn composed(exchange: &Arc<Exchange>, route: &Arc<RouteInstruments>, instruments: &Arc<Instruments>) {
    exchange.record().route = Some(Arc::clone(route));
    let mut finish = Finish::new(Arc::clone(exchange), Arc::clone(instruments), None);
    exchange.record().began(0, 0, 0);
    let mut call = CallRecord::new(0, Verb::Get);
    call.step = Some(0);
    let underway = trail::Underway::new(Trail::begin(exchange, call));
    underway.trail().asks(&"/one".parse().unwrap());
    let sent = Sent { endpoint: Some(0), ..Sent::default() };
    underway.trail().answered(sent, Ok(StatusCode::OK), Instant::now());
    underway.ended(Ok(7), Instant::now());
    exchange.record().settled(settled(0, 0, 0, 5));
    finish.answered(StatusCode::OK);
    finish.complete();
}

#[test]
fn a_composed_request_that_nobody_traces_allocates_nothing_while_others_are_traced() {
    let instruments = Arc::new(Instruments::new(Arc::new(Registry::new(1))));
    let traced = instruments.sinks.load().with(true, None);
    instruments.sinks.store(Arc::new(traced));
    let at = EndpointInfo { host: "a".into(), port: 80, secure: false, url: "http://a".into() };
    let services = [("shop/back".into(), vec![at])];
    let generation = instruments.generation(1, services.into_iter(), std::iter::empty());
    let steps = [step("one", &[], Does::Calls(0))].into();
    let info = RouteInfo { unit: "shop".into(), name: "shop/c".into(), steps, ..RouteInfo::default() };
    let route = instruments.route(info, &generation);
    let fresh = |ago| {
        let exchange = exchange(ago);
        exchange.record().steps.reserve_exact(1);
        exchange
    };
    for _ in 0..20 {
        composed(&fresh(Duration::from_secs(1)), &route, &instruments);
    }
    let mut exchange = fresh(Duration::ZERO);
    let tree = allocation_counter::measure(|| drop(critical::Tree::of(&exchange.record())));
    let counted = allocation_counter::measure(|| composed(&exchange, &route, &instruments));
    // What the critical path is found with, whether anybody traces or not.
    assert!(counted.count_total <= tree.count_total + 4, "{counted:?}, {tree:?}");
    instruments.sinks.store(Arc::new(instruments.sinks.load().with(false, None)));
    exchange = fresh(Duration::ZERO);
    let without = allocation_counter::measure(|| composed(&exchange, &route, &instruments));
    assert_eq!(counted.count_total, without.count_total);
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

/// A request that was answered so many seconds after its head, has lasted so many, and ends now.
fn answered(route: &Arc<RouteInstruments>, instruments: &Arc<Instruments>, after: Option<u64>, lasted: u64) {
    let exchange = exchange(Duration::from_secs(lasted));
    exchange.record().route = Some(Arc::clone(route));
    let mut finish = Finish::new(Arc::clone(&exchange), Arc::clone(instruments), None);
    if let Some(after) = after {
        finish.answered(StatusCode::OK);
        exchange.record().answered_us = after * 1_000_000;
        finish.complete();
    }
}

fn slowest(instruments: &Instruments) -> Vec<u64> {
    let kept = instruments.sinks.load().keep.all();
    let slowest = kept.first().map_or(&[][..], |kept| &kept.slowest);
    slowest.iter().map(|one| one.record.answered_us / 1_000_000).collect()
}

#[test]
fn long_streams_and_clients_that_left_take_no_place_of_the_slowest() {
    let instruments = Arc::new(Instruments::new(Arc::new(Registry::new(1))));
    let generation = instruments.generation(1, std::iter::empty(), std::iter::empty());
    let info = RouteInfo { unit: "shop".into(), name: "shop/a".into(), ..RouteInfo::default() };
    let route = instruments.route(info, &generation);
    for seconds in 1..=8 {
        answered(&route, &instruments, Some(seconds), seconds);
    }
    answered(&route, &instruments, Some(0), 3000);
    answered(&route, &instruments, None, 2000);
    assert_eq!(slowest(&instruments), [8, 7, 6, 5, 4, 3, 2, 1]);
    let kept = instruments.sinks.load().keep.all();
    assert_eq!((kept[0].left.len(), kept[0].left[0].us / 1_000_000), (1, 2000));
}

#[test]
fn the_slowest_of_a_generation_before_make_room_when_they_are_old() {
    let instruments = Arc::new(Instruments::new(Arc::new(Registry::new(1))));
    let route = |number| {
        let generation = instruments.generation(number, std::iter::empty(), std::iter::empty());
        let info = RouteInfo { unit: "shop".into(), name: "shop/a".into(), ..RouteInfo::default() };
        instruments.route(info, &generation)
    };
    let before = route(1);
    for seconds in 21..=28 {
        answered(&before, &instruments, Some(seconds), seconds);
    }
    let after = route(2);
    // One of the new generation finds no place as long as slower ones are there.
    answered(&after, &instruments, Some(2), 2);
    answered(&after, &instruments, Some(30), 30);
    assert_eq!(slowest(&instruments), [30, 28, 27, 26, 25, 24, 23, 22]);
    let later = |seconds| SystemTime::now() + Duration::from_secs(seconds);
    let keep = Arc::clone(&instruments.sinks.load().keep);
    keep.sweep(later(3700), |_| true);
    assert_eq!(slowest(&instruments), [0; 0]);
    answered(&after, &instruments, Some(1), 1);
    assert_eq!(slowest(&instruments), [1]);
    // Nor does a route that is gone for a while come back with what it had to exceed.
    for seconds in 21..=28 {
        answered(&after, &instruments, Some(seconds), seconds);
    }
    keep.sweep(SystemTime::now(), |_| false);
    answered(&route(3), &instruments, Some(1), 1);
    assert_eq!(slowest(&instruments), [1]);
}

#[test]
fn what_a_queue_dropped_is_counted_although_nobody_takes_from_it() {
    let instruments = Instruments::new(Arc::new(Registry::new(1)));
    let traces = Arc::clone(&instruments.sinks.load().traces);
    traces.open(true);
    let exchange = exchange(Duration::ZERO);
    let request = Arc::new(Finished::new(&exchange, Record::default(), 1, None, false));
    (0..2048 + 3).for_each(|_| traces.push(Arc::clone(&request)));
    instruments.process();
    let text = instruments.render();
    assert!(text.contains("segue_telemetry_dropped_total{signal=\"traces\"} 3\n"), "{text}");
}

#[test]
fn what_is_inside_of_a_step_that_found_no_place_belongs_to_the_nearest_around_it() {
    let mut record = Record::default();
    let run = |outer, step| Scope { outer, step, item: None, composition: 0 };
    assert_eq!((record.enter(run(0, 2)), record.enter(run(1, 5))), (1, 2));
    record.began(0, 2, 1);
    // Step 5 of the first run has no place, so that of the second run nobody knows where it is.
    let tree = critical::Tree::of(&record);
    assert_eq!(tree.known(2, 9), Some((0, 2)));
    assert_eq!(tree.known(0, 7), None);
    assert_eq!(tree.known(u16::MAX, 1), None);
}

#[test]
fn a_decision_leaves_what_is_inside_of_a_step_with_it() {
    let mut record = Record::default();
    let run = Scope { outer: 0, step: 1, item: None, composition: 0 };
    assert_eq!(record.enter(run), 1);
    for (scope, step) in [(0, 0), (0, 1), (0, 2), (1, 0)] {
        record.began(scope, step, 10);
    }
    record.settled(StepRecord { outcome: StepOutcome::Failed, ..settled(0, 0, 10, 50) });
    // By the failure: 2 goes on, 1 does not, nor does what it runs.
    record.decided(0, None, None, |step| step == 2);
    let outcomes = |record: &Record| {
        record.steps.iter().map(|one| (one.outcome.as_str(), one.ended_us)).collect::<Vec<_>>()
    };
    let wanted = [("failed", 50), ("cancelled", 50), ("late", 50), ("cancelled", 50)];
    assert_eq!(outcomes(&record), wanted);
    // How the late one ends changes nothing any more.
    record.settled(settled(0, 2, 10, 90));
    record.conclude_steps(100);
    assert_eq!(outcomes(&record), wanted);
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

#[test]
fn an_answer_on_which_nothing_passes_is_told_of_while_it_lasts() {
    let instruments = Arc::new(Instruments::new(Arc::new(Registry::new(1))));
    let folder = tempfile::tempdir().unwrap();
    let target = access_log::Target::File(folder.path().join("log"));
    let settings = access_log::Settings {
        format: access_log::Format::Json,
        target: target.clone(),
        fields: vec![access_log::Field::Outcome, access_log::Field::Code],
        sample: 1.0,
        otlp: false,
    };
    let log = Arc::new(access_log::AccessLog::open(settings, target, 1, |_| {}).unwrap());
    instruments.sinks.store(Arc::new(instruments.sinks.load().with(false, Some(Arc::clone(&log)))));
    let mut finish = Finish::new(exchange(Duration::ZERO), Arc::clone(&instruments), None);
    finish.answered(StatusCode::OK);
    finish.waits();
    finish.next_line.set(0);
    finish.waits();
    finish.waits();
    finish.aborts(Abort::WriteStall);
    drop(finish);
    while !log.is_settled() {
        std::thread::yield_now();
    }
    let wanted = "{\"outcome\":\"streaming\"}\n{\"outcome\":\"aborted\",\"code\":\"write_stall\"}\n";
    assert_eq!(std::fs::read_to_string(folder.path().join("log")).unwrap(), wanted);
}

/// A route of one step, whose body is the answer.
fn streaming(instruments: &Arc<Instruments>) -> Arc<RouteInstruments> {
    let at = EndpointInfo { host: "a".into(), port: 80, secure: false, url: "http://a".into() };
    let services = [("shop/back".into(), vec![at])];
    let generation = instruments.generation(1, services.into_iter(), std::iter::empty());
    let steps = [step("one", &[], Does::Calls(0)), step("two", &[], Does::Calls(0))].into();
    let info = RouteInfo { unit: "shop".into(), name: "shop/s".into(), steps, ..RouteInfo::default() };
    instruments.route(info, &generation)
}

#[test]
fn a_streamed_step_ends_as_its_body_does_and_the_parts_are_all_of_the_time() {
    use crate::problem::Kind;
    let (late, invalid) = (Kind::DeadlineExceeded, Kind::UpstreamInvalid);
    type End = Box<dyn Fn(&Trail, &mut Finish)>;
    let broken = |kind: Kind| -> End {
        Box::new(move |trail, finish| {
            trail.ends_stream(7, Err(kind), Instant::now());
            finish.broke(&kind.into());
        })
    };
    let left: fn(Option<Abort>) -> End = |why| {
        Box::new(move |trail, finish| {
            trail.leaves_stream(7, Instant::now());
            why.into_iter().for_each(|why| finish.aborts(why));
        })
    };
    let ends: [(End, _, Option<&str>, Option<&str>); 6] = [
        (broken(late), StepOutcome::Failed, Some(late.code()), Some(late.code())),
        (broken(invalid), StepOutcome::Failed, Some(invalid.code()), Some(invalid.code())),
        (left(None), StepOutcome::Cancelled, Some("cancelled"), Some("client_gone")),
        (left(Some(Abort::WriteStall)), StepOutcome::Cancelled, Some("cancelled"), Some("write_stall")),
        (left(Some(Abort::IdleTimeout)), StepOutcome::Failed, Some("idle_timeout"), Some("idle_timeout")),
        (
            Box::new(|trail, finish| {
                trail.ends_stream(7, Ok(()), Instant::now());
                finish.complete();
            }),
            StepOutcome::Ok,
            None,
            None,
        ),
    ];
    for (end, outcome, call, code) in ends {
        let instruments = Arc::new(Instruments::new(Arc::new(Registry::new(1))));
        let route = streaming(&instruments);
        let exchange = exchange(Duration::from_secs(1));
        exchange.record().route = Some(Arc::clone(&route));
        let mut finish = Finish::new(Arc::clone(&exchange), Arc::clone(&instruments), None);
        for step in [0, 1] {
            exchange.record().began(0, step, 10);
        }
        let trail = Trail::begin(&exchange, CallRecord { step: Some(0), ..CallRecord::new(0, Verb::Get) });
        trail.answered(Sent::default(), Ok(StatusCode::OK), exchange.started + Duration::from_micros(50));
        trail.begins_stream();
        // The answer waits for the other one, and then for its own last byte.
        exchange.record().settled(StepRecord { streamed_us: Some(0), ..settled(0, 0, 10, 60) });
        exchange.record().settled(settled(0, 1, 10, 900_000));
        finish.answered(StatusCode::OK);
        assert_eq!(exchange.record().steps[0].outcome(), StepOutcome::Running);
        end(&trail, &mut finish);
        drop(finish);
        let record = exchange.record();
        let (step, (_, called)) = (&record.steps[0], record.calls.iter().next().unwrap());
        assert_eq!((step.outcome(), called.bytes), (outcome, 7), "{code:?}");
        assert_eq!(called.error().as_ref().map(record::CallError::as_text), call);
        assert!(step.end_us(0) >= 1_000_000 && step.end_us(0) == called.ended_us);
        let kept = instruments.sinks.load().keep.all();
        let one = kept[0].failed.iter().chain(&kept[0].slowest).next().unwrap();
        assert_eq!(one.code().as_ref().map(RequestError::as_text), code);
        let mut found = Vec::new();
        parts(&record, one.us, &route.info, &route.generation, &mut |part| found.push(part));
        let all: u64 = found.iter().map(|part| part.us).sum();
        assert_eq!(all + route.gateway_time(&record, one.us), one.us);
        assert_eq!(found[1], Part { what: What::Step { step: 1, service: 0 }, us: 899_990 }, "{found:?}");
    }
}

/// A request for this route that is answered like this; `why` is the gateway's own reason.
fn asked(
    route: &Arc<RouteInstruments>,
    instruments: &Arc<Instruments>,
    (method, version): (&str, Version),
    status: u16,
    why: Option<crate::problem::Kind>,
) {
    let mut exchange = Arc::into_inner(exchange(Duration::ZERO)).unwrap();
    exchange.method = Method::from_bytes(method.as_bytes()).unwrap();
    exchange.version = version;
    let exchange = Arc::new(exchange);
    exchange.record().route = Some(Arc::clone(route));
    exchange.record().failure = why;
    let mut finish = Finish::new(Arc::clone(&exchange), Arc::clone(instruments), None);
    finish.answered(StatusCode::from_u16(status).unwrap());
    finish.complete();
}

/// The labels of a route's durations and how many each has.
fn durations(instruments: &Instruments) -> Vec<(String, u64)> {
    let page = instruments.render();
    let lines =
        page.lines().filter_map(|line| line.strip_prefix("http_server_request_duration_seconds_count{"));
    let pairs = lines.filter_map(|line| line.rsplit_once("} "));
    pairs.map(|(labels, count)| (labels.to_owned(), count.parse().unwrap())).collect()
}

#[test]
fn a_client_that_tries_everything_takes_no_room_of_others_and_no_reload_makes_more() {
    use crate::problem::Kind;
    let instruments = Arc::new(Instruments::new(Arc::new(Registry::new(1))));
    let route = |number| {
        let generation = instruments.generation(number, std::iter::empty(), std::iter::empty());
        let info = RouteInfo { unit: "shop".into(), name: "shop/a".into(), ..RouteInfo::default() };
        instruments.route(info, &generation)
    };
    let mut made = Vec::new();
    for number in 0..4 {
        let route = route(number);
        for method in ["OPTIONS", "QUERY", "TRACE", "ZZZ", "PUT", "PATCH", "GET"] {
            for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
                (200..600).for_each(|status| asked(&route, &instruments, (method, version), status, None));
            }
        }
        made.push(durations(&instruments).len());
    }
    // Exact ones but those kept for the gateway's own decisions, and one for each registered status.
    assert!(made[0] < 48 + 64, "{made:?}");
    assert!(made.iter().all(|count| *count == made[0]), "{made:?}");
    let before = durations(&instruments);
    let after = |wanted: &str, by: u64| {
        let now = durations(&instruments);
        let count = |all: &[(String, u64)]| {
            all.iter().find(|(labels, _)| labels == wanted).map_or(0, |(_, count)| *count)
        };
        assert_eq!(count(&now), count(&before) + by, "{wanted}: {now:#?}");
    };
    let route = route(9);
    let plain = ("GET", Version::HTTP_11);
    asked(&route, &instruments, plain, 504, Some(Kind::DeadlineExceeded));
    after(
        "http_request_method=\"GET\",http_response_status_code=\"504\",url_scheme=\"http\",\
         network_protocol_version=\"1.1\",error_type=\"deadline_exceeded\",unit=\"shop\",route=\"shop/a\"",
        1,
    );
    // What finds no room is told in part, and nothing of that is wrong.
    asked(&route, &instruments, ("QUERY", Version::HTTP_10), 504, Some(Kind::DeadlineExceeded));
    after(
        "http_response_status_code=\"504\",error_type=\"deadline_exceeded\",otel_metric_overflow=\"true\",\
         unit=\"shop\",route=\"shop/a\"",
        1,
    );
    asked(&route, &instruments, ("QUERY", Version::HTTP_10), 101, None);
    after(
        "http_response_status_code=\"101\",otel_metric_overflow=\"true\",unit=\"shop\",route=\"shop/a\"",
        1,
    );
}

#[test]
fn what_ends_after_a_reload_has_removed_its_route_brings_no_series_back() {
    let instruments = Arc::new(Instruments::new(Arc::new(Registry::new(1))));
    let route = |number| {
        let at = EndpointInfo { host: "a".into(), port: 80, secure: false, url: "http://a".into() };
        let services = [("shop/back".into(), vec![at])];
        let generation = instruments.generation(number, services.into_iter(), std::iter::empty());
        let steps = [step("one", &[], Does::Calls(0))].into();
        let info = RouteInfo { unit: "shop".into(), name: "shop/c".into(), steps, ..RouteInfo::default() };
        instruments.route(info, &generation)
    };
    let before = route(1);
    let ends = |route| composed(&exchange(Duration::from_secs(1)), route, &instruments);
    ends(&before);
    let all = |page: &str| page.lines().filter(|line| line.contains("shop/")).count();
    let first = instruments.render();
    assert!(first.contains("step=\"one\"") && first.contains("outcome=\"ok\""), "{first}");
    instruments.retain_routes(|_| false);
    // Its service is still there, and so is what that counts.
    ends(&before);
    let page = instruments.render();
    assert!(!page.contains("shop/c"), "{page}");
    let calls = "http_client_request_duration_seconds_count{http_request_method=\"GET\"";
    assert!(page.lines().any(|line| line.starts_with(calls) && line.ends_with(" 2")), "{page}");
    instruments.retain_services(|_| false);
    ends(&before);
    assert_eq!(all(&instruments.render()), 0, "{}", instruments.render());
    // One that comes back begins anew, and what was left of the first still counts nowhere.
    let after = route(3);
    ends(&before);
    ends(&after);
    let page = instruments.render();
    assert!(
        page.contains("segue_requests_total{unit=\"shop\",route=\"shop/c\",outcome=\"ok\"} 1\n"),
        "{page}"
    );
    assert_eq!(all(&page), all(&first));
}
