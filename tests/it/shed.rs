//! What clients see of a gateway that is short of memory.

use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::support::{
    client::get,
    gateway::{GATEWAY, Gateway, route, write},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_short_of_memory_answers_503_accepts_nobody_and_recovers() {
    let shape = "errorBody: {why: '${ error.code }'}\nheaders: {response: {set: {x-it: here}}}";
    let policy = format!(
        "{GATEWAY}---\napiVersion: segue/v1\nkind: Policy\nmetadata: {{name: p, owner: it}}\n{shape}\n"
    );
    let one = route("one", "match: {path: /one}\npolicies: [p]\nstatic: {body: 1}");
    let two = route("two", "match: {path: /two}\nstatic: {body: 2}");
    let gateway = Gateway::start_with(&policy, &[one, two]);
    // This one was accepted while there was room.
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut ask = async |path: &str| {
        let request = Request::get(path).header("host", "a").body(Empty::<bytes::Bytes>::new()).unwrap();
        client.ready().await.unwrap();
        let (head, body) = client.send_request(request).await.unwrap().into_parts();
        (head, body.collect().await.unwrap().to_bytes())
    };
    assert_eq!(ask("/one").await.0.status, 200);

    write(
        gateway.folder.path(),
        "policies/gateway.yaml",
        &format!("{}limits: {{memory: 1MiB}}\n---{}", GATEWAY, policy.split_once("---").unwrap().1),
    );
    let _ = gateway.running().reload();
    let (head, body) = loop {
        let got = ask("/one").await;
        if got.0.status != 200 {
            break got;
        }
    };
    assert_eq!((head.status.as_u16(), &head.headers["retry-after"]), (503, &"1".parse().unwrap()));
    assert_eq!(
        (&head.headers["x-it"], &body[..]),
        (&"here".parse().unwrap(), &b"{\"why\":\"overloaded\"}"[..])
    );
    let (head, body) = ask("/two").await;
    assert_eq!(head.headers["content-type"], "application/problem+json");
    assert!(String::from_utf8_lossy(&body).contains("\"code\":\"overloaded\""));
    // What has no route costs nothing, and is no reason to come back later.
    assert_eq!(ask("/none").await.0.status, 404);
    // Somebody who connects now is served when there is room again.
    let waiting = tokio::spawn(get(gateway.address, "/one"));
    let page = get(gateway.admin, "/metrics").await;
    let shed = page
        .text()
        .lines()
        .find(|line| line.starts_with("segue_shed_total{reason=\"memory\",priority=\"normal\"}"));
    assert!(shed.is_some_and(|line| !line.ends_with(" 0")), "{}", page.text());
    assert!(page.text().contains(
        "segue_refusals_total{unit=\"shop\",route=\"shop/one\",policy=\"overload\",code=\"overloaded\"}"
    ));
    assert!(!waiting.is_finished());

    write(gateway.folder.path(), "policies/gateway.yaml", &policy);
    let _ = gateway.running().reload();
    assert_eq!(waiting.await.unwrap().status, 200);
}
