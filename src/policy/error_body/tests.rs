use std::sync::Arc;

use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::{
    body::Body,
    expr::{Program, Scope, Text},
    policy::{
        respond::RespondWithLayer,
        testing::{exchange, request},
    },
    problem::Kind,
};

fn settings(members: &[(&str, &str)]) -> Settings {
    let scope = Scope { request: true, error: true, ..Scope::default() };
    let member = |(name, source): &(&str, &str)| {
        let program = Program::compile(source, &scope).unwrap();
        ((*name).to_owned(), Shape::Text(Text::One(program)))
    };
    let shape = Shape::Map(members.iter().map(member).collect());
    Settings { shape, content_type: HeaderValue::from_static("application/vnd.example+json") }
}

async fn answer(settings: Settings, head: &str) -> (Response<()>, String) {
    let endpoint = service_fn(|_: Request<Body>| async {
        let upstream = UpstreamAnswer {
            status: StatusCode::CONFLICT,
            body: "{\"why\":\"full\"}".into(),
            content_type: Some(HeaderValue::from_static("application/json")),
        };
        let error = Error::new(Kind::RateLimited).detail("the limit `a` is spent").retry_after(3);
        Err::<Response<Body>, _>(error.upstream(upstream))
    });
    let layer = RespondWithLayer::new(Some(&Arc::new(settings)));
    let answer = layer.layer(endpoint).oneshot(request(head, exchange())).await.unwrap();
    let (head, body) = answer.into_parts();
    let body = body.collect(65_536).await.unwrap();
    (Response::from_parts(head, ()), String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn every_error_has_the_shape_and_keeps_its_status_and_fields() {
    let (head, body) = answer(
        settings(&[
            ("error", "error.code"),
            ("text", "error.message"),
            ("status", "error.status"),
            ("path", "request.query.p"),
            ("why", "error.upstream.body.why"),
            ("step", "error.?step"),
        ]),
        "GET /a?p=x",
    )
    .await;
    assert_eq!(head.status(), 429);
    assert_eq!(head.headers()["retry-after"], "3");
    assert_eq!(head.headers()["content-type"], "application/vnd.example+json");
    let expected =
        r#"{"error":"rate_limited","text":"the limit `a` is spent","status":429,"path":"x","why":"full"}"#;
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_shape_that_fails_leaves_the_default_document_and_grpc_is_untouched() {
    let (head, body) = answer(settings(&[("path", "request.query.p")]), "GET /a").await;
    assert_eq!(head.headers()["content-type"], "application/problem+json");
    assert!(body.contains("\"code\":\"rate_limited\""), "{body}");
    let (head, body) = answer(settings(&[]), "POST /a\ncontent-type: application/grpc").await;
    assert_eq!((&*body, head.status().as_u16()), ("", 200));
}
