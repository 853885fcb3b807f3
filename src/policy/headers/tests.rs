//! What endpoints and clients see of edited fields.

use http_body_util::StreamBody;
use tower::{ServiceBuilder, ServiceExt, service_fn, util::option_layer};

use super::*;
use crate::{
    expr::{Program, Scope},
    policy::{
        respond::RespondLayer,
        testing::{exchange, request},
    },
    principal::Principal,
};

fn text(source: &str) -> Text {
    let scope = Scope { request: true, principal: true, ..Scope::default() };
    match source.strip_prefix('=') {
        Some(source) => Text::One(Program::compile(source, &scope).unwrap()),
        None => Text::Literal(source.to_owned()),
    }
}

fn edits(set: &[(&'static str, &str)], remove: &[&'static str]) -> Edits {
    Edits {
        set: set.iter().map(|(name, value)| (HeaderName::from_static(name), Arc::new(text(value)))).collect(),
        remove: remove.iter().map(|name| HeaderName::from_static(name)).collect(),
        ..Edits::default()
    }
}

/// What the endpoint got, or the answer to whoever did not get there.
async fn sent(edits: Edits, head: &str) -> Result<HeaderMap, Kind> {
    let settings = Arc::new(Settings { request: edits, response: Edits::default() });
    let endpoint = service_fn(|request: Request<Body>| async move {
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = request.headers().clone();
        Ok::<_, Error>(response)
    });
    let service = ServiceBuilder::new()
        .option_layer(StripLayer::new(&settings, |_| false))
        .option_layer(RequestLayer::new(&settings))
        .service(endpoint);
    let mut record = exchange();
    record.principal = Arc::new(Principal { id: Some("ada".into()), ..Principal::anonymous() }).into();
    let answer = service.oneshot(request(head, record)).await;
    answer.map(|answer| answer.headers().clone()).map_err(|error| error.kind())
}

fn fields(headers: &HeaderMap) -> Vec<String> {
    let mut all: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    all.sort();
    all
}

#[tokio::test]
async fn a_request_has_what_the_policy_says_and_not_what_its_client_said() {
    let edits = || {
        edits(
            &[("x-who", "=principal.id"), ("x-plan", "=principal.?plan"), ("x-many", "=['1', '2']")],
            &["cookie"],
        )
    };
    let head = "GET /\nx-who: root\nX-Plan: gold\nx-plan: silver\ncookie: a=b\nx-other: 1";
    let expected = ["x-many: 1", "x-many: 2", "x-other: 1", "x-who: ada"];
    assert_eq!(fields(&sent(edits(), head).await.unwrap()), expected);
}

#[tokio::test]
async fn a_policys_own_expressions_do_not_see_what_the_client_said_either() {
    let edits = edits(&[("x-who", "=request.headers[?'x-who'].orValue('nobody')")], &[]);
    assert_eq!(fields(&sent(edits, "GET /\nx-who: root").await.unwrap()), ["x-who: nobody"]);
}

#[tokio::test]
async fn a_credential_stays_until_it_was_looked_at_and_goes_no_further() {
    for (source, expected) in [("ours", &["authorization: ours"][..]), ("=principal.?plan", &[])] {
        let settings =
            Arc::new(Settings { request: edits(&[("authorization", source)], &[]), ..Settings::default() });
        let looks = |request: Request<Body>| {
            assert_eq!(request.headers()["authorization"], "theirs");
            request
        };
        let endpoint = service_fn(|request: Request<Body>| async move {
            let mut response = Response::new(Body::empty());
            *response.headers_mut() = request.headers().clone();
            Ok::<_, Error>(response)
        });
        let service = ServiceBuilder::new()
            .option_layer(StripLayer::new(&settings, |name| name == "authorization"))
            .map_request(looks)
            .option_layer(RequestLayer::new(&settings))
            .service(endpoint);
        let mut record = exchange();
        record.principal = Arc::new(Principal::anonymous()).into();
        let answer = service.oneshot(request("GET /\nauthorization: theirs", record)).await.unwrap();
        assert_eq!(fields(answer.headers()), expected);
    }
}

#[tokio::test]
async fn a_value_that_is_none_is_refused_by_whose_it_is() {
    let split = |source| edits(&[("x-a", source)], &[]);
    for (source, expected) in [
        ("=request.query.a", Kind::InvalidRequest),
        ("='a\\r\\nx-b: 1'", Kind::InvalidRequest),
        ("=request.query.a + principal.id", Kind::ExpressionError),
        ("=principal.claims.tenant", Kind::ExpressionError),
    ] {
        assert_eq!(sent(split(source), "GET /?a=%0d%0ax-b:1").await.unwrap_err(), expected, "{source}");
    }
}

#[tokio::test]
async fn what_is_set_or_removed_cannot_come_as_a_trailer() {
    let settings = || edits(&[("x-who", "ada")], &["x-old"]);
    let trailing = || {
        let mut trailers = HeaderMap::new();
        for name in ["x-who", "x-old", "x-sum"] {
            trailers.insert(name, HeaderValue::from_static("1"));
        }
        let frames = [Ok(http_body::Frame::trailers(trailers))];
        Body::other(StreamBody::new(futures_util::stream::iter(frames)))
    };
    let left = async |body: Body| {
        let trailers = http_body_util::BodyExt::collect(body).await.unwrap().trailers().cloned().unwrap();
        fields(&trailers)
    };
    let request = Settings { request: settings(), response: Edits::default() };
    let names = Arc::clone(&StripLayer::new(&request, |_| false).unwrap().stripped.trailers);
    assert_eq!(left(trailing().without_trailers(names)).await, ["x-sum: 1"]);
    let response = Arc::new(Settings { request: Edits::default(), response: settings() });
    let endpoint = service_fn(async |_: Request<Body>| Ok::<_, Error>(Response::new(trailing())));
    let service = option_layer(ResponseLayer::new(&response)).layer(endpoint);
    let answer = service.oneshot(super::super::testing::request("GET /", exchange())).await.unwrap();
    assert_eq!(left(answer.into_body()).await, ["x-sum: 1"]);
}

#[test]
fn what_does_not_come_as_a_trailer_is_not_announced() {
    let names = [HeaderName::from_static("x-who"), HeaderName::from_static("server")];
    for (announced, expected) in [
        (&["x-who, server"][..], &[][..]),
        (&["X-Who", "x-sum, , server", "x-b"], &["trailer: x-sum, x-b"]),
        (&["x-sum,x-b"], &["trailer: x-sum,x-b"]),
    ] {
        let mut headers = HeaderMap::new();
        for line in announced {
            headers.append(header::TRAILER, HeaderValue::from_static(line));
        }
        unannounce(&mut headers, &names);
        assert_eq!(fields(&headers), expected);
    }
}

#[tokio::test]
async fn what_is_read_as_a_mandates_field_does_not_stand_beside_it() {
    let mut response = edits(&[("x-frame", "deny")], &["x-powered-by"]);
    response.mandated = vec![HeaderName::from_static("x-frame")];
    response.withheld = vec![HeaderName::from_static("x-powered-by")];
    let settings = Arc::new(Settings { request: Edits::default(), response });
    let endpoint = service_fn(async |_: Request<Body>| {
        let response = Response::builder().header("x_frame", "allow").header("x_powered-by", "y");
        Ok::<_, Error>(response.header("x_other", "1").body(Body::empty()).unwrap())
    });
    let service = option_layer(ResponseLayer::new(&settings)).layer(endpoint);
    let answer = service.oneshot(request("GET /", exchange())).await.unwrap();
    assert_eq!(fields(answer.headers()), ["x-frame: deny", "x_other: 1"]);
}

#[tokio::test]
async fn answers_are_edited_whatever_they_are() {
    let set =
        [("x-frame", "deny"), ("x-path", "=request.query.a"), ("x-id", "=request.id"), ("x-bad", "=1/0")];
    let settings =
        Arc::new(Settings { request: Edits::default(), response: edits(&set, &["server", "x-powered-by"]) });
    for failing in [false, true] {
        let endpoint = service_fn(move |_: Request<Body>| async move {
            if failing {
                return Err(Error::from(Kind::NotFound));
            }
            let response = Response::builder().header("server", "x").header("x-frame", "allow");
            Ok(response.header("x-bad", "theirs").body(Body::empty()).unwrap())
        });
        let service = option_layer(ResponseLayer::new(&settings)).layer(RespondLayer.layer(endpoint));
        let answer = service.oneshot(request("GET /?a=1", exchange())).await.unwrap();
        let mut fields = fields(answer.headers());
        fields.retain(|field| field.starts_with("x-") || field.starts_with("server"));
        assert_eq!(fields, ["x-frame: deny", "x-id: r-1", "x-path: 1"]);
    }
}
