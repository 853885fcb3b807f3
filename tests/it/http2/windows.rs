//! Clients that leave windows closed: their streams end, and only those.

use crate::support::{
    client,
    frames::{
        DATA, END_STREAM, End, HEADERS, PATIENCE, RST_STREAM, Raw, WHOLE, WINDOW_UPDATE, frame, get, setting,
    },
    gateway::{GATEWAY, Gateway, route, service},
    origin::{Origin, full},
};

const INITIAL_WINDOW_SIZE: u16 = 0x4;
const CANCEL: u32 = 0x8;

const LARGE: usize = 1 << 20;

async fn gateway(limits: &str) -> (Gateway, Origin) {
    let origin = Origin::start(|_| async { http::Response::new(full(vec![b'x'; LARGE])) }).await;
    let document = format!("{GATEWAY}limits: {{{limits}}}\n");
    let gateway = Gateway::start_with(
        &document,
        &[
            service("back", origin.address, ""),
            route("large", "match: {path: '/{rest...}'}\nproxy: {service: back}"),
            route("small", "match: {path: /small}\nstatic: {body: small}"),
        ],
    );
    (gateway, origin)
}

fn request(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, WHOLE, stream, &get(path))
}

fn window(stream: u32, bytes: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
}

/// Reads until so many streams were reset. Gives them with their codes.
async fn resets(raw: &mut Raw, count: usize) -> Vec<(u32, u32)> {
    let mut resets = Vec::new();
    while resets.len() < count {
        let got = raw.next().await.expect("the connection stays");
        if got.kind == RST_STREAM {
            resets.push((got.stream, got.number(0)));
        }
    }
    resets
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_whose_window_stays_closed_are_reset_and_their_neighbours_served() {
    let (gateway, _origin) = gateway("writeStall: 300ms").await;
    let mut raw = Raw::connect(gateway.address, &setting(INITIAL_WINDOW_SIZE, 0)).await;
    let stalled: Vec<u32> = (0..20).map(|n| n * 2 + 1).collect();
    for stream in &stalled {
        // Large and small alike: of a small answer nothing can be sent either.
        raw.send(&request(*stream, if stream % 4 == 1 { "/large" } else { "/small" })).await;
    }
    raw.send(&window(0, 1 << 24)).await;
    raw.send(&[request(101, "/large"), window(101, 1 << 21)].concat()).await;
    assert_eq!(raw.end(101).await, End::Status(200));
    let mut reset = resets(&mut raw, stalled.len()).await;
    reset.sort_unstable();
    assert_eq!(reset, stalled.iter().map(|stream| (*stream, CANCEL)).collect::<Vec<_>>());
    raw.send(&[request(103, "/small"), window(103, 100)].concat()).await;
    assert_eq!(raw.end(103).await, End::Status(200));
    // Small ones were handed over whole.
    let large = stalled.iter().filter(|stream| *stream % 4 == 1).count();
    let page = client::get(gateway.admin, "/metrics").await;
    let told = page.text().lines().find(|line| line.starts_with("segue_aborted_total")).unwrap();
    assert!(
        told.contains("code=\"write_stall\",fault=\"client\"") && told.ends_with(&format!(" {large}")),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_opens_a_crack_at_a_time_is_closed_too() {
    let (gateway, _origin) = gateway("writeStall: 100ms").await;
    let mut raw = Raw::connect(gateway.address, &setting(INITIAL_WINDOW_SIZE, 1)).await;
    raw.send(&request(1, "/large")).await;
    // A byte more for each that comes: the stream moves all the time and is cut all the same.
    let cut = async {
        loop {
            let got = raw.next().await.expect("the connection stays");
            match got.kind {
                RST_STREAM => return got.number(0),
                DATA => assert!(raw.send(&window(1, 1)).await),
                _ => {}
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, cut).await, Ok(CANCEL));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_answer_comes_whole_in_whatever_windows() {
    let (gateway, _origin) = gateway("writeStall: 10s").await;
    for (initial, step) in [(0, 7_000), (1, 1), (65_535, 40_000), (1 << 20, 1)] {
        let mut raw = Raw::connect(gateway.address, &setting(INITIAL_WINDOW_SIZE, initial)).await;
        raw.send(
            &[request(1, if step == 1 && initial == 1 { "/small" } else { "/large" }), window(1, step)]
                .concat(),
        )
        .await;
        raw.send(&window(0, 1 << 20)).await;
        let mut length = 0;
        loop {
            let got = raw.next().await.expect("the connection stays");
            if got.kind == DATA {
                length += got.payload.len();
                if got.flags & END_STREAM != 0 {
                    break;
                }
                raw.send(&window(1, step.max(u32::try_from(got.payload.len()).unwrap()))).await;
            }
        }
        assert_eq!(length, if step == 1 && initial == 1 { "\"small\"".len() } else { LARGE }, "{initial}");
    }
}
