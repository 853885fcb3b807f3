//! What clients see of limits.

use http::HeaderMap;
use tower::{ServiceBuilder, ServiceExt, service_fn};

use super::*;
use crate::{
    expr::Scope,
    policy::testing::{exchange, from, request},
};

fn program(source: &str) -> Program {
    let scope = Scope { request: true, principal: true, ..Scope::default() };
    Program::compile(source, &scope).unwrap()
}

fn entry(name: &str, limit: u64, seconds: u64) -> Settings {
    let window = Duration::from_secs(seconds);
    Settings { policy: "p".into(), name: name.into(), limit, window, burst: limit, key: None, when: None }
}

fn windows(entries: impl IntoIterator<Item = Settings>) -> Vec<Window> {
    let window = |entry: Settings| {
        let buckets = Buckets::new(entry.limit, entry.window, entry.burst, Arc::default());
        Window::new(Arc::new(entry), Arc::new(buckets))
    };
    entries.into_iter().map(window).collect()
}

/// Sends a request through layers, the outermost first. Gives the fields of the answer, or of the error.
async fn send(layers: &[RateLimitLayer], request: Request<Body>) -> Result<HeaderMap, (Error, HeaderMap)> {
    let endpoint = service_fn(|_: Request<Body>| async {
        Ok::<_, Error>(Response::builder().header("ratelimit", "\"theirs\";r=1").body(Body::empty()).unwrap())
    });
    let outcome = match layers {
        [one] => ServiceBuilder::new().layer(one).service(endpoint).oneshot(request).await,
        [outer, inner] => {
            ServiceBuilder::new().layer(outer).layer(inner).service(endpoint).oneshot(request).await
        }
        _ => panic!("one layer or two"),
    };
    outcome.map(|response| response.headers().clone()).map_err(|error| {
        let headers = error.response_headers().iter().cloned().collect();
        (error, headers)
    })
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join(" + ")
}

#[tokio::test(start_paused = true)]
async fn answers_say_what_is_left_and_a_refusal_when_to_come_back() {
    let layer = [RateLimitLayer::new(windows([Settings { burst: 20, ..entry("partner", 100, 10) }]), false)];
    for _ in 0..2 {
        send(&layer, request("GET /", exchange())).await.unwrap();
    }
    let answer = send(&layer, request("GET /", exchange())).await.unwrap();
    assert_eq!(text(&answer, "ratelimit-policy"), "\"partner\";q=100;w=10");
    assert_eq!(text(&answer, "ratelimit"), "\"partner\";r=17;t=1");
    for _ in 0..17 {
        send(&layer, request("GET /", exchange())).await.unwrap();
    }
    let (error, headers) = send(&layer, request("GET /", exchange())).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after_seconds()), (Kind::RateLimited, Some(1)));
    assert_eq!(text(&headers, "ratelimit"), "\"partner\";r=0;t=2");
    tokio::time::advance(Duration::from_millis(100)).await;
    assert!(send(&layer, request("GET /", exchange())).await.is_ok());
    assert!(send(&layer, request("GET /", exchange())).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_takes_nothing_from_other_windows_in_this_layer_or_around_it() {
    let second = || entry("second", 2, 1);
    let hour = || entry("hour", 10, 3600);
    for layers in [
        vec![RateLimitLayer::new(windows([hour(), second()]), false)],
        vec![RateLimitLayer::new(windows([second(), hour()]), false)],
        vec![RateLimitLayer::new(windows([hour()]), true), RateLimitLayer::new(windows([second()]), false)],
    ] {
        for _ in 0..5 {
            for round in 0..20 {
                let sent = send(&layers, request("GET /", exchange())).await;
                assert_eq!(sent.is_ok(), round < 2);
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        // Five times two were served, and only those were counted in the hour.
        let (error, headers) = send(&layers, request("GET /", exchange())).await.unwrap_err();
        assert!(error.public_detail().unwrap().contains("`hour`"));
        let state = text(&headers, "ratelimit");
        assert!(state.contains("\"hour\";r=0;t=35"), "{state}");
        assert_eq!(state.contains("\"second\";r=2;t=0"), layers.len() == 1, "{state}");
        assert!(error.retry_after_seconds().unwrap() > 300);
    }
}

#[tokio::test(start_paused = true)]
async fn an_ipv6_client_is_counted_by_its_network_however_the_address_is_asked_for() {
    for key in [None, Some(Text::One(program("request.clientIp")))] {
        let layer = [RateLimitLayer::new(windows([Settings { key, ..entry("a", 3, 60) }]), false)];
        let mut served = 0;
        for host in 1..=20 {
            let one = from(&format!("2001:db8:1:2::{host:x}"));
            served += u32::from(send(&layer, request("GET /", one)).await.is_ok());
        }
        assert_eq!(served, 3);
        assert!(send(&layer, request("GET /", from("2001:db8:1:3::1"))).await.is_ok());
        assert!(send(&layer, request("GET /", from("192.0.2.1"))).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn keys_and_conditions_are_expressions_and_a_condition_that_fails_refuses() {
    let by_tenant = || Text::One(program("request.headers['x-tenant']"));
    let gold = || program("request.headers[?'x-plan'].orValue('') == 'gold'");
    let layer = [RateLimitLayer::new(
        windows([
            Settings { key: Some(by_tenant()), ..entry("tenant", 2, 60) },
            Settings { when: Some(gold()), ..entry("gold", 1, 60) },
        ]),
        false,
    )];
    let answer = send(&layer, request("GET /\nx-tenant: a", exchange())).await.unwrap();
    assert_eq!(text(&answer, "ratelimit-policy"), "\"tenant\";q=2;w=60");
    let answer = send(&layer, request("GET /\nx-tenant: a\nx-plan: gold", exchange())).await.unwrap();
    assert_eq!(text(&answer, "ratelimit-policy"), "\"tenant\";q=2;w=60, \"gold\";q=1;w=60");
    assert!(send(&layer, request("GET /\nx-tenant: a", exchange())).await.is_err());
    assert!(send(&layer, request("GET /\nx-tenant: b", exchange())).await.is_ok());
    let fails =
        Settings { when: Some(program("request.headers['x-plan'] == 'gold'")), ..entry("gold", 1, 60) };
    let layer = [RateLimitLayer::new(windows([fails]), false)];
    let (error, _) = send(&layer, request("GET /", exchange())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::ExpressionError);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_none_or_reads_what_is_absent_is_the_clients_address() {
    for source in ["request.headers[?'x-tenant']", "request.headers['x-tenant']"] {
        let key = Some(Text::One(program(source)));
        let layer = [RateLimitLayer::new(windows([Settings { key, ..entry("a", 1, 60) }]), false)];
        assert!(send(&layer, request("GET /", exchange())).await.is_ok());
        let (error, _) = send(&layer, request("GET /", exchange())).await.unwrap_err();
        assert_eq!(error.kind(), Kind::RateLimited, "{source}");
        assert!(send(&layer, request("GET /", from("192.0.2.7"))).await.is_ok());
        assert!(send(&layer, request("GET /\nx-tenant: b", exchange())).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn of_entries_with_one_name_the_tightest_holds_and_speaks() {
    let layer = [RateLimitLayer::new(windows([entry("a", 10, 60), entry("a", 3, 60)]), false)];
    let answer = send(&layer, request("GET /", exchange())).await.unwrap();
    assert_eq!(text(&answer, "ratelimit-policy"), "\"a\";q=3;w=60");
    assert_eq!(text(&answer, "ratelimit"), "\"a\";r=2;t=20");
}

#[tokio::test(start_paused = true)]
async fn more_windows_than_usual_hold_as_well() {
    let many = (0..9).map(|index| entry(&format!("w{index}"), 20 - index, 60));
    let layer = [RateLimitLayer::new(windows(many), false)];
    let mut served = 0;
    while send(&layer, request("GET /", exchange())).await.is_ok() {
        served += 1;
    }
    assert_eq!(served, 12);
}
