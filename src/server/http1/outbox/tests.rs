use http::HeaderValue;

use super::*;

async fn written(outbox: &mut Outbox) -> String {
    let mut out = Vec::new();
    std::future::poll_fn(|cx| outbox.poll_write(cx, &mut out)).await.unwrap();
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn chunks_and_announced_trailers_are_written_in_their_order() {
    for size in [1, SMALL, SMALL + 1, 20_000] {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("7"));
        trailers.insert("x-other", HeaderValue::from_static("8"));
        let (mut outbox, mut framing) = (Outbox::default(), Framing::Chunked);
        let data = "a".repeat(size);
        outbox.add(Bytes::from(data.clone()), &mut framing).unwrap();
        outbox.end(&mut framing, Some((&trailers, &[HeaderName::from_static("x-sum")]))).unwrap();
        assert_eq!(written(&mut outbox).await, format!("{size:x}\r\n{data}\r\n0\r\nx-sum: 7\r\n\r\n"));
        let mut framing = Framing::Chunked;
        outbox.add(Bytes::from(data.clone()), &mut framing).unwrap();
        outbox.end(&mut framing, None).unwrap();
        assert_eq!(written(&mut outbox).await, format!("{size:x}\r\n{data}\r\n0\r\n\r\n"));
        assert!(outbox.is_empty() && outbox.has_room());
    }
}

#[test]
fn a_body_is_as_long_as_it_said() {
    let mut outbox = Outbox::default();
    let mut framing = Framing::Length(3);
    outbox.add(Bytes::from("ab"), &mut framing).unwrap();
    assert!(outbox.add(Bytes::from("cd"), &mut framing).is_err());
    assert!(outbox.end(&mut Framing::Length(1), None).is_err());
    assert!(outbox.end(&mut Framing::Length(0), None).is_ok());
}
