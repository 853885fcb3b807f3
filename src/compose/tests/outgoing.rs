use super::*;

/// Sends a request through one step and gives the target it called, or the failure.
async fn target(http: &str, request: Request<Body>) -> Result<String, Error> {
    let route = format!("steps: {{s: {{http: {http}}}}}\nrespond: {{body: \"${{ steps.s.status }}\"}}");
    let bench = Bench::new(&route, |_, _| json("1"));
    bench.send(request).await?;
    Ok(bench.only().line)
}

#[tokio::test(start_paused = true)]
async fn a_value_in_a_path_stays_one_segment() {
    let http = r#"{service: a, path: "/x/${ request.path.id }/y"}"#;
    for (sent, called) in [
        ("/r/c-1", "/x/c-1/y"),
        ("/r/a%20b", "/x/a%20b/y"),
        ("/r/a%2Fb", "/x/a%2Fb/y"),
        ("/r/%3Fq%3D1%23f", "/x/%3Fq%3D1%23f/y"),
        ("/r/%252e%252e", "/x/%252e%252e/y"),
        ("/r/%2e%2e%2Fadmin", "/x/..%2Fadmin/y"),
        ("/r/caf%C3%A9", "/x/caf%C3%A9/y"),
        ("/r/...", "/x/.../y"),
        ("/r/a%00b", "/x/a%00b/y"),
    ] {
        assert_eq!(target(http, get(sent)).await.unwrap(), format!("GET {called}"), "{sent}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_segment_that_data_makes_empty_or_dots_is_refused() {
    for sent in ["/r/", "/r/.", "/r/..", "/r/%2e%2e"] {
        for path in ["/x/${ request.path.id }", "/x/${ request.path.id }/y"] {
            let http = format!("{{service: a, path: \"{path}\"}}");
            let error = target(&http, get(sent)).await.unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidRequest, "{path} {sent}");
        }
    }
    let http = r#"{service: a, path: "/x/.${ request.path.id }"}"#;
    assert_eq!(target(http, get("/r/.")).await.unwrap_err().kind(), Kind::InvalidRequest);
    assert_eq!(target(http, get("/r/x")).await.unwrap(), "GET /x/.x");
}

#[tokio::test(start_paused = true)]
async fn a_refused_value_is_the_templates_fault_when_other_data_is_in_it() {
    let route = r#"
steps:
  one: {http: {service: a, path: /one}}
  two: {http: {service: b, path: "/two/${ steps.one.body.id + request.path.id }"}}
respond: {body: "${ steps.two.status }"}
"#;
    let bench = Bench::new(route, |_, _| json(r#"{"id": "."}"#));
    assert_eq!(bench.get("/r/.").await.unwrap_err().kind(), Kind::ExpressionError);
    assert_eq!(bench.targets(), ["GET /one"]);
}

#[tokio::test(start_paused = true)]
async fn a_rest_capture_keeps_its_slashes() {
    let route = r#"
match: {path: "/r/{rest...}"}
steps: {s: {http: {service: a, path: "/x/${ request.path.rest }"}}}
respond: {body: "${ steps.s.status }"}
"#;
    for (sent, called) in
        [("/r/", "/x/"), ("/r/a/b", "/x/a/b"), ("/r/a//b/", "/x/a//b/"), ("/r/a%3Fb/c", "/x/a%3Fb/c")]
    {
        let bench = Bench::new(route, |_, _| json("1"));
        bench.get(sent).await.unwrap();
        assert_eq!(bench.only().line, format!("GET {called}"));
    }
    let bench = Bench::new(route, |_, _| json("1"));
    assert_eq!(bench.get("/r/a/../b").await.unwrap_err().kind(), Kind::InvalidRequest);
}

#[tokio::test(start_paused = true)]
async fn a_query_is_encoded_repeated_and_left_out() {
    let http = r#"{service: a, path: /x, query: {q: "${ request.query.?q }", n: "${ request.queryValues('n') }", fixed: "a b", list: [1, "${ request.path.id }"]}}"#;
    let called = target(http, get("/r/9?q=%26x%3D1%23&n=1&n=2")).await.unwrap();
    assert_eq!(called, "GET /x?q=%26x%3D1%23&n=1&n=2&fixed=a%20b&list=1&list=9");
    assert_eq!(target(http, get("/r/9")).await.unwrap(), "GET /x?fixed=a%20b&list=1&list=9");
}

#[tokio::test(start_paused = true)]
async fn a_query_may_be_one_map() {
    let http = r#"{service: a, path: /x, query: "${ {'a': 1, 'b': ['x', 'y'], 'c&d': true} }"}"#;
    assert_eq!(target(http, get("/r/9")).await.unwrap(), "GET /x?a=1&b=x&b=y&c%26d=true");
}

#[tokio::test(start_paused = true)]
async fn a_header_with_a_line_break_or_nul_is_refused() {
    let http = r#"{service: a, path: /x, headers: {x-v: "${ request.query.v }"}}"#;
    for sent in ["a%0D%0Ax-evil:%201", "a%0Ab", "a%00b"] {
        let error = target(http, get(&format!("/r/9?v={sent}"))).await.unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidRequest, "{sent}");
    }
    assert!(target(http, get("/r/9?v=a%20b")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_header_name_out_of_data_may_not_frame_the_message() {
    let http = r#"{service: a, path: /x, headers: "${ {request.query.n: '1'} }"}"#;
    let framing = ["content-length", "Transfer-Encoding", "host", "x_y", "a%20b", "connection"];
    for name in framing.into_iter().chain(["X-Forwarded-For", "x-forwarded-host", "forwarded"]) {
        let error = target(http, get(&format!("/r/9?n={name}"))).await.unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidRequest, "{name}");
    }
    assert!(target(http, get("/r/9?n=X-Fine")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_leaves_is_what_the_template_names_and_the_gateways_own() {
    let route = "steps: {s: {http: {service: a, path: /x, headers: {x-mine: [\"1\", \"2\"]}}}}\nrespond: {body: \"${ steps.s.status }\"}";
    let bench = Bench::new(route, |_, _| json("1"));
    let mut request = get("/r/9");
    for (name, value) in
        [("authorization", "Bearer t"), ("cookie", "a=b"), ("x-any", "1"), ("tracestate", "v=1")]
    {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    bench.send(request).await.unwrap();
    let seen = bench.only();
    let mut names: Vec<_> = seen.headers.keys().map(|name| name.as_str().to_owned()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept",
            "traceparent",
            "tracestate",
            "user-agent",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-mine",
            "x-request-id",
            "x-segue-deadline-ms",
        ]
    );
    assert_eq!(seen.headers.get_all("x-mine").iter().count(), 2);
    assert_eq!(seen.header("user-agent"), concat!("segue/", env!("CARGO_PKG_VERSION")));
    assert_eq!(seen.header("x-request-id"), "req-1");
    assert_eq!(seen.header("x-forwarded-for"), "192.0.2.7");
    assert_eq!(seen.header("x-forwarded-proto"), "https");
    assert_eq!(seen.header("x-forwarded-host"), "shop.example.com:8443");
    let parent = seen.header("traceparent");
    assert!(parent.starts_with("00-00000000000000000000000000000abc-") && parent.len() == 55, "{parent}");
}

#[tokio::test(start_paused = true)]
async fn an_external_service_learns_nothing_of_the_client() {
    let route = "steps: {s: {http: {service: far, path: /x, headers: {user-agent: mine}}}}\nrespond: {body: \"${ steps.s.status }\"}";
    let bench = Bench::new(route, |_, _| json("1"));
    bench.get("/r/9").await.unwrap();
    let seen = bench.only();
    assert!(!seen.headers.keys().any(|name| name.as_str().starts_with("x-forwarded-")));
    assert_eq!(seen.header("user-agent"), "mine");
}

#[tokio::test(start_paused = true)]
async fn a_body_is_encoded_as_its_content_type_says() {
    for (headers, body, content_type, sent) in [
        (
            "{}",
            "{a: [1, \"${ request.path.id }\"], gone: \"${ request.query.?x }\"}",
            "application/json",
            r#"{"a":[1,"9"]}"#,
        ),
        ("{}", "\"${ request.path.id }\"", "application/json", r#""9""#),
        ("{content-type: text/plain}", "\"id ${ request.path.id }\"", "text/plain", "id 9"),
        (
            "{content-type: application/x-www-form-urlencoded}",
            "{a: \"x y&z\", n: [1, true], id: \"${ request.path.id }\"}",
            "application/x-www-form-urlencoded",
            "a=x+y%26z&n=1&n=true&id=9",
        ),
        ("{content-type: application/vnd.x+json}", "{a: 1}", "application/vnd.x+json", r#"{"a":1}"#),
    ] {
        let route = format!(
            "steps: {{s: {{http: {{service: a, method: POST, path: /x, headers: {headers}, body: {body}}}}}}}\nrespond: {{body: \"${{ steps.s.status }}\"}}"
        );
        let bench = Bench::new(&route, |_, _| json("1"));
        bench.get("/r/9").await.unwrap();
        let seen = bench.only();
        assert_eq!((seen.header("content-type"), &*seen.body), (content_type, sent.as_bytes()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_is_forwarded_untouched_with_its_content_type() {
    let route = r#"
steps:
  one: {http: {service: a, path: /one}}
  two: {http: {service: b, method: POST, path: /two, body: "${ steps.one.body }"}}
respond: {body: "${ steps.two.status }"}
"#;
    for (content_type, body) in
        [("application/json", "{ \"a\":1.10 ,"), ("image/png", "\u{0}\u{1}"), ("", "?")]
    {
        let bench = Bench::new(route, move |_, line| match line {
            "GET /one" => reply(200, content_type, body),
            _ => status(200),
        });
        bench.get("/r/9").await.unwrap();
        let seen = &bench.services.seen.lock().unwrap()[1];
        assert_eq!((seen.header("content-type"), &*seen.body), (content_type, body.as_bytes()));
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_reads_may_be_sent_again() {
    let bench = Bench::new(
        r#"
steps:
  a: {http: {service: a, path: /a}, optional: true}
  b: {http: {service: a, method: PUT, path: /b}, unordered: true}
  c: {http: {service: a, method: POST, path: /c}, unordered: true}
  d: {http: {service: a, method: POST, path: /d, safe: true}}
  e: {http: {service: a, method: PATCH, path: /e}, unordered: true}
respond: {body: ["${ steps.a.outcome }", "${ steps.d.outcome }"]}
"#,
        |_, _| json("1"),
    );
    bench.get("/r/1").await.unwrap();
    let seen = bench.repeatable();
    let seen: Vec<_> = seen.iter().map(|(line, again)| (line.as_str(), *again)).collect();
    assert_eq!(
        seen,
        [("GET /a", true), ("PATCH /e", false), ("POST /c", false), ("POST /d", true), ("PUT /b", false)]
    );
}
