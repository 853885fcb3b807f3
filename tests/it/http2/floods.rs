//! Clients that make the gateway work for nothing: cut after a bounded number of frames, while others
//! are served.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http_body_util::BodyExt;

use crate::support::{
    client::get as get_http1,
    frames::{
        CONTINUATION, DATA, END_HEADERS, ENHANCE_YOUR_CALM, End, HEADERS, PADDED, PING, PRIORITY, RST_STREAM,
        Raw, SETTINGS, WHOLE, WINDOW_UPDATE, block, frame, get, literal,
    },
    gateway::{Gateway, route, service},
    origin::{Origin, json},
};

/// Frames after which a flood is over.
const MOST: u32 = 1_000;

async fn gateway() -> (Gateway, Origin) {
    // Answers nothing before the body is there: an answer in between would end the stream of a request that is
    // sent in two parts, and the second part would then be an error of the connection.
    let origin = Origin::start(|request| async move {
        drop(request.into_body().collect().await);
        json("{}")
    })
    .await;
    let gateway = Gateway::start(&[
        service("back", origin.address, ""),
        route("pass", "match: {path: '/{rest...}'}\nproxy: {service: back}"),
    ]);
    (gateway, origin)
}

/// Sends these frames again and again, `MOST` at the most, while another client asks on its own
/// connection. Gives what the flooding client was told at the end.
async fn flood(first: Vec<u8>, mut again: impl FnMut(u32) -> Vec<Vec<u8>>) -> Option<u32> {
    let (gateway, _origin) = gateway().await;
    let over = Arc::new(AtomicBool::new(false));
    let (address, ends) = (gateway.address, Arc::clone(&over));
    let probe = tokio::spawn(async move {
        let mut raw = Raw::connect(address, &[]).await;
        let mut stream = 1;
        while !ends.load(Ordering::SeqCst) || stream < 9 {
            raw.send(&frame(HEADERS, WHOLE, stream, &get("/probe"))).await;
            assert_eq!(raw.end(stream).await, End::Status(200));
            stream += 2;
        }
    });
    let mut raw = Raw::connect(gateway.address, &[]).await;
    raw.send(&first).await;
    let mut sent = 0;
    for round in 0.. {
        let frames = again(round);
        sent += u32::try_from(frames.len()).unwrap();
        if sent > MOST || !raw.send(&frames.concat()).await {
            break;
        }
    }
    let told = raw.goes_away().await;
    over.store(true, Ordering::SeqCst);
    probe.await.unwrap();
    let metrics = get_http1(gateway.admin, "/metrics").await;
    let cut: Vec<&str> =
        metrics.text().lines().filter(|line| line.starts_with("segue_http2_refusals_total")).collect();
    assert!(cut.iter().any(|line| !line.ends_with(" 0") && line.contains("fault=\"client\"")), "{cut:?}");
    told
}

fn stream(round: u32) -> u32 {
    round * 2 + 1
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_reset_at_once() {
    let told = flood(Vec::new(), |round| {
        vec![
            frame(HEADERS, WHOLE, stream(round), &get("/flood")),
            frame(RST_STREAM, 0, stream(round), &[0, 0, 0, 8]),
        ]
    });
    assert_eq!(told.await, Some(ENHANCE_YOUR_CALM));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_the_gateway_is_made_to_reset() {
    let errors: [fn(u32) -> Vec<u8>; 3] = [
        // A window that overflows.
        |stream| frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]),
        // A stream that depends on itself.
        |stream| frame(PRIORITY, 0, stream, &[&stream.to_be_bytes()[..], &[16]].concat()),
        // Trailers that end nothing.
        |stream| frame(HEADERS, END_HEADERS, stream, &literal(b"x-sum", b"1")),
    ];
    for error in errors {
        let told = flood(Vec::new(), |round| {
            let head =
                block(&[(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/flood")]);
            vec![frame(HEADERS, END_HEADERS, stream(round), &head), error(stream(round))]
        });
        assert_eq!(told.await, Some(ENHANCE_YOUR_CALM));
    }
    let told = flood(Vec::new(), |round| {
        let malformed = [get("/flood"), literal(b"connection", b"close")].concat();
        vec![frame(HEADERS, WHOLE, stream(round), &malformed)]
    });
    assert_eq!(told.await, Some(ENHANCE_YOUR_CALM));
}

#[tokio::test(flavor = "multi_thread")]
async fn header_blocks_without_an_end() {
    for part in [Vec::new(), literal(b"x-test", b"1")] {
        let told = flood(frame(HEADERS, 0, 1, &get("/flood")), |_| vec![frame(CONTINUATION, 0, 1, &part)]);
        assert_eq!(told.await, Some(ENHANCE_YOUR_CALM));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_large_field_named_again_and_again() {
    // A literal with incremental indexing, which later requests name by its index.
    let mut large = literal(b"x-large", &[b'a'; 3_900]);
    large[0] = 0x40;
    let first = frame(HEADERS, WHOLE, 1, &[get("/flood"), large].concat());
    let told = flood(first, |round| {
        vec![frame(HEADERS, WHOLE, stream(round + 1), &[get("/flood"), vec![0xbe; 4_000]].concat())]
    });
    assert_eq!(told.await, Some(ENHANCE_YOUR_CALM));
}

#[tokio::test(flavor = "multi_thread")]
async fn data_without_data() {
    let head = block(&[(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/flood")]);
    for empty in [frame(DATA, 0, 1, &[]), frame(DATA, PADDED, 1, &[2, 0, 0])] {
        let told = flood(frame(HEADERS, END_HEADERS, 1, &head), |_| vec![empty.clone()]);
        assert_eq!(told.await, Some(ENHANCE_YOUR_CALM));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_want_an_answer_and_frames_that_say_nothing() {
    for useless in [
        frame(PING, 0, 0, &[7; 8]),
        frame(SETTINGS, 0, 0, &[]),
        frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 16]),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        frame(0x42, 0, 0, &[]),
    ] {
        let told = flood(Vec::new(), |_| vec![useless.clone()]);
        assert_eq!(told.await, Some(ENHANCE_YOUR_CALM), "{useless:?}");
    }
}
