//! What the gateway answers by itself, and what it does with bytes that are no request.

use http::{HeaderValue, Request};
use http_body_util::Full;
use tokio::io::AsyncReadExt;

use crate::support::{
    client::{get, raw, send, send_http2},
    gateway::{GATEWAY, Gateway, route, service},
    origin::Origin,
};

async fn gateway() -> (Gateway, Origin) {
    let origin = Origin::json("{}").await;
    let gateway = Gateway::start(&[
        service("back", origin.address, ""),
        route("pass", "match: {path: '/p/{rest...}'}\nproxy: {service: back}"),
        route(
            "get",
            "match: {methods: [GET], path: '/only/{id}'}\nstatic: {status: 200, headers: {x-a: b}, body: {fixed: true}}",
        ),
        route("literal", "match: {path: /only/me}\nstatic: {body: literal}"),
        route("host", "match: {hosts: ['*.example.com'], path: /only/me}\nstatic: {body: host}"),
        route("beta", "match: {path: /only/me, query: {beta: 'true'}}\nstatic: {body: beta}"),
    ]);
    (gateway, origin)
}

#[tokio::test(flavor = "multi_thread")]
async fn matching_prefers_the_more_specific() {
    let (gateway, _origin) = gateway().await;
    assert_eq!(get(gateway.address, "/only/me").await.text(), r#""literal""#);
    assert_eq!(get(gateway.address, "/only/me?beta=true").await.text(), r#""beta""#);
    assert_eq!(get(gateway.address, "/only/me?beta=false").await.text(), r#""literal""#);
    let other = get(gateway.address, "/only/you").await;
    assert_eq!(other.text(), r#"{"fixed":true}"#);
    assert_eq!(other.header("x-a"), Some("b"));
    let request =
        Request::get("/only/me").header("host", "API.example.com:80").body(Full::default()).unwrap();
    assert_eq!(send(gateway.address, request).await.text(), r#""host""#);
    assert_eq!(get(gateway.address, "/only/").await.status, 404);
    assert_eq!(get(gateway.address, "/only/me/").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_path_with_another_method_says_which_are_allowed() {
    let (gateway, _origin) = gateway().await;
    let got = send(gateway.address, Request::delete("/only/x").body(Full::default()).unwrap()).await;
    assert_eq!(got.status, 405);
    assert_eq!(got.header("allow"), Some("GET, HEAD"));
    assert_eq!(got.json()["code"], "method_not_allowed");
    let got = get(gateway.address, "/nowhere").await;
    assert_eq!((got.status.as_u16(), got.json()["code"].as_str()), (404, Some("not_found")));
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_served_on_the_same_port() {
    let (gateway, origin) = gateway().await;
    let request = Request::get("http://a.example.com/p/x?y=1").body(Full::default()).unwrap();
    let got = send_http2(gateway.address, request).await;
    assert_eq!((got.status.as_u16(), got.text()), (200, "{}"));
    let seen = &origin.seen()[0];
    assert_eq!(seen.target, "/p/x?y=1");
    assert_eq!(seen.headers["x-forwarded-host"], "a.example.com");
    assert_eq!(seen.headers["via"], "2 segue");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_servers_read_differently_do_not_pass() {
    let (gateway, origin) = gateway().await;
    let host = "host: a\r\nconnection: close\r\n";
    for head in [
        "GET /p/a HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned(),
        format!("GET /p/a HTTP/1.1\r\nhost: a\r\n{host}\r\n"),
        "GET /p/a HTTP/1.1\r\nhost: a/b@c\r\nconnection: close\r\n\r\n".to_owned(),
        format!("GET http://b/p/a HTTP/1.1\r\n{host}\r\n"),
        format!("POST /p/a HTTP/1.1\r\n{host}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        format!(
            "POST /p/a HTTP/1.1\r\n{host}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        format!("POST /p/a HTTP/1.1\r\n{host}content-length: 1\r\ncontent-length: 2\r\n\r\nab"),
        format!("GET /p/%2fa HTTP/1.1\r\n{host}\r\n"),
        format!("GET /p/%00 HTTP/1.1\r\n{host}\r\n"),
        format!("GET /p/a\\b HTTP/1.1\r\n{host}\r\n"),
        format!("GET /p/%zz HTTP/1.1\r\n{host}\r\n"),
        format!("GET /p/a HTTP/1.1\r\n{host}x: a\0b\r\n\r\n"),
        "\0\0\0\0\r\n\r\n".to_owned(),
    ] {
        let answer = raw(gateway.address, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{head:?} gave {answer:?}");
    }
    for (head, status) in [
        (format!("TRACE /p/a HTTP/1.1\r\n{host}\r\n"), "405"),
        (format!("CONNECT a:80 HTTP/1.1\r\n{host}\r\n"), "405"),
        (format!("OPTIONS * HTTP/1.1\r\n{host}\r\n"), "204"),
        (format!("OPTIONS /p/a HTTP/1.1\r\n{host}max-forwards: 0\r\n\r\n"), "204"),
        (format!("GET /p/{} HTTP/1.1\r\n{host}\r\n", "a".repeat(9000)), "414"),
        (format!("GET /p/a HTTP/1.1\r\n{host}{}\r\n", "x: y\r\n".repeat(120)), "431"),
        (format!("GET /p/a HTTP/1.1\r\n{host}x: {}\r\n\r\n", "y".repeat(33_000)), "431"),
    ] {
        let answer = raw(gateway.address, head.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{:?} gave {answer:?}", &head[..20]);
    }
    assert_eq!(origin.calls(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_trusted_proxy_speaks_for_its_clients() {
    let origin = Origin::json("{}").await;
    let documents = [
        service("back", origin.address, ""),
        route("pass", "match: {path: /p}\nproxy: {service: back}"),
        route(
            "step",
            "match: {path: /s}\nsteps: {one: {http: {service: back, path: /s}}}\nrespond: {status: 204}",
        ),
        route(
            "who",
            "match: {path: /who}\nrespond: {body: {ip: '${ request.clientIp }', scheme: '${ request.scheme }', id: '${ request.id }'}}",
        ),
    ];
    let gateway = GATEWAY;
    let trusting = gateway.replace("workers: 2", "workers: 1\ntrustedProxies: [127.0.0.0/8, 10.0.0.0/8]");
    let ask = |path: &str| {
        Request::get(path)
            .header("x-forwarded-for", "6.6.6.6, 7.7.7.7, 10.1.1.1")
            .header("x-forwarded-proto", "https")
            .header("x-request-id", "given-1")
            .header("x-segue-deadline-ms", "5000")
            .body(Full::default())
            .unwrap()
    };

    let strict = Gateway::start_with(gateway, &documents);
    let who = send(strict.address, ask("/who")).await.json();
    assert_eq!((&who["ip"], &who["scheme"]), (&"127.0.0.1".into(), &"http".into()));
    assert_ne!(who["id"], "given-1");
    send(strict.address, ask("/p")).await;

    let open = Gateway::start_with(&trusting, &documents);
    let who = send(open.address, ask("/who")).await.json();
    assert_eq!(who, serde_json::json!({"ip": "7.7.7.7", "scheme": "https", "id": "given-1"}));
    send(open.address, ask("/p")).await;

    // What a client wrote in front of what the proxy says may be any bytes.
    for (list, client) in [
        (&b"\xff, 7.7.7.7"[..], "7.7.7.7"),
        (b"\xff, 7.7.7.7, 10.1.1.1", "7.7.7.7"),
        (b"1.1.1.1,\t7.7.7.7", "7.7.7.7"),
        (b"7.7.7.7, \xff", "127.0.0.1"),
        (b"7.7.7.7, ,", "7.7.7.7"),
    ] {
        let mut request = ask("/who");
        request.headers_mut().insert("x-forwarded-for", HeaderValue::from_bytes(list).unwrap());
        assert_eq!(send(open.address, request).await.json()["ip"], client, "{list:?}");
        for path in ["/p", "/s"] {
            let mut request = ask(path);
            request.headers_mut().insert("x-forwarded-for", HeaderValue::from_bytes(list).unwrap());
            request.headers_mut().insert("x-segue-deadline-ms", "+5".parse().unwrap());
            for (name, last) in [("x-forwarded-proto", "http"), ("x-forwarded-host", "shop.example:8443")] {
                request.headers_mut().insert(name, "client's".parse().unwrap());
                request.headers_mut().append(name, last.parse().unwrap());
            }
            send(open.address, request).await;
            let seen = &origin.seen().pop().unwrap().headers;
            assert_eq!(seen["x-forwarded-for"].as_bytes(), [list, b", 127.0.0.1"].concat());
            assert_eq!(
                (&seen["x-forwarded-proto"], &seen["x-forwarded-host"]),
                (&"http".parse().unwrap(), &"shop.example:8443".parse().unwrap())
            );
            // Steps are told what is left, the proxied call all of it.
            let left: u64 = seen["x-segue-deadline-ms"].to_str().unwrap().parse().unwrap();
            assert!((1_000..=30_000).contains(&left) && (path == "/s" || left == 30_000), "{left}");
        }
    }

    let seen = origin.seen();
    assert_eq!(seen[0].headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(seen[0].headers["x-segue-deadline-ms"], "30000");
    assert_eq!(seen[1].headers["x-forwarded-for"], "6.6.6.6, 7.7.7.7, 10.1.1.1, 127.0.0.1");
    assert_eq!(seen[1].headers["x-forwarded-proto"], "https");
    assert_eq!(seen[1].headers["x-request-id"], "given-1");
    assert_eq!(seen[1].headers["x-segue-deadline-ms"], "5000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_asked_nothing_does_not_hold_up_the_drain() {
    let gateway = Gateway::start(&[route("here", "match: {path: /here}\nstatic: {status: 204}")]);
    let mut silent = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    while !get(gateway.admin, "/metrics").await.text().contains("segue_connections 1") {
        tokio::task::yield_now().await;
    }
    // `drain.timeout` is 10 s.
    let began = std::time::Instant::now();
    let (running, _folder) = gateway.into_running();
    running.drain();
    tokio::task::spawn_blocking(move || running.wait()).await.unwrap().unwrap();
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_stops_after_its_first_bytes_has_the_time_of_a_head() {
    let document = GATEWAY.to_owned() + "limits: {headerTimeout: 200ms, idleTimeout: 60s}\n";
    let gateway =
        Gateway::start_with(&document, &[route("here", "match: {path: /here}\nstatic: {status: 204}")]);
    let head = raw(gateway.address, b"GET /here HTTP/1.1\r\nho");
    let answer = tokio::time::timeout(std::time::Duration::from_secs(20), head).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}
