use super::*;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, l0, l1, l2] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![l0, l1, l2, kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn fresh() -> (Flood, Instant) {
    let now = Instant::now();
    (Flood::new(0, 65_536, now), now)
}

/// How many of these frames pass at once.
fn passed(frame: &[u8]) -> (usize, Refusal) {
    let (mut flood, now) = fresh();
    flood.read(&self::frame(HEADERS, END_HEADERS, 1, b"\x82"), now).unwrap();
    for count in 0..20_000 {
        if let Err(refusal) = flood.read(frame, now) {
            return (count, refusal);
        }
    }
    panic!("no end to it");
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_flood_has_its_limit() {
    assert_eq!(passed(&frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])), (50, Refusal::ResetFlood));
    assert_eq!(passed(&frame(PING, 0, 0, &[0; 8])), (100, Refusal::PingFlood));
    assert_eq!(passed(&frame(PING, 1, 0, &[0; 8])), (100, Refusal::PingFlood));
    assert_eq!(passed(&frame(SETTINGS, 0, 0, &[])), (100, Refusal::SettingsFlood));
    assert_eq!(passed(&frame(SETTINGS, 1, 0, &[])), (100, Refusal::SettingsFlood));
    assert_eq!(passed(&frame(DATA, 0, 1, &[])), (100, Refusal::EmptyDataFlood));
    assert_eq!(passed(&frame(DATA, PADDED, 1, &[3, 0, 0, 0])), (100, Refusal::EmptyDataFlood));
    for kind in [0x2, 0x5, 0x8, 0x42, 0xff] {
        assert_eq!(passed(&frame(kind, 0, 1, &[0; 5])), (504, Refusal::ControlFlood), "{kind:x}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_spread_over_time_passes() {
    let (mut flood, mut now) = fresh();
    let reset = frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]).repeat(50);
    let update = frame(0x8, 0, 0, &[0, 0, 1, 0]).repeat(500);
    for _ in 0..20 {
        flood.read(&reset, now).unwrap();
        flood.read(&update, now).unwrap();
        now += WINDOW;
    }
    assert_eq!(flood.read(&reset.repeat(2), now), Err(Refusal::ResetFlood));
}

#[tokio::test(start_paused = true)]
async fn data_is_no_flood() {
    let (mut flood, now) = fresh();
    for bytes in
        [frame(DATA, 0, 1, &[7]), frame(DATA, PADDED, 1, &[2, 7, 0, 0]), frame(DATA, END_STREAM, 1, &[])]
    {
        for _ in 0..2_000 {
            flood.read(&bytes, now).unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_download_earns_the_updates_of_its_windows_and_the_pings_that_measure_it() {
    let (mut flood, now) = fresh();
    let data = frame(DATA, 0, 1, &[0; 64]);
    let answer = [frame(0x8, 0, 0, &[0, 0, 1, 0]).repeat(2), frame(PING, 0, 0, &[0; 8])].concat();
    for _ in 0..5_000 {
        assert_eq!(flood.written(&data, now), Ok(Blame::Nothing));
        flood.read(&answer, now).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn header_blocks_are_bounded_in_frames_and_bytes() {
    let (mut flood, now) = fresh();
    flood.read(&frame(HEADERS, 0, 1, b"\x82"), now).unwrap();
    let empty = frame(CONTINUATION, 0, 1, &[]);
    flood.read(&empty.repeat(32), now).unwrap();
    assert!(!flood.client_at_boundary());
    assert_eq!(flood.read(&empty, now), Err(Refusal::HeaderFlood));

    let (mut flood, now) = fresh();
    flood.read(&frame(HEADERS, 0, 1, &[0; 16_384]), now).unwrap();
    let large = frame(CONTINUATION, 0, 1, &[0; 16_384]);
    flood.read(&large.repeat(3), now).unwrap();
    assert_eq!(flood.read(&large, now), Err(Refusal::HeaderFlood));

    let (mut flood, now) = fresh();
    flood.read(&frame(HEADERS, 0, 1, b"\x82"), now).unwrap();
    flood.read(&frame(CONTINUATION, END_HEADERS, 1, b"\x84"), now).unwrap();
    assert!(flood.client_at_boundary());
}

#[tokio::test(start_paused = true)]
async fn resets_that_the_client_provokes_count_and_those_of_our_own_do_not() {
    let (mut flood, now) = fresh();
    let provoked = frame(RST_STREAM, 0, 1, &[0, 0, 0, 1]);
    for _ in 0..50 {
        assert_eq!(flood.written(&provoked, now), Ok(Blame::Stream));
    }
    assert_eq!(flood.written(&provoked, now), Err(Refusal::ErrorFlood));

    let (mut flood, now) = fresh();
    for code in [0, 2, 7, 8] {
        assert_eq!(
            flood.written(&frame(RST_STREAM, 0, 1, &[0, 0, 0, code]).repeat(100), now),
            Ok(Blame::Nothing)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn codes_are_found_whatever_the_writes() {
    for (bytes, blame) in [
        (frame(GOAWAY, 0, 0, &[0, 0, 0, 5, 0, 0, 0, 1, b'x']), Blame::Connection),
        (frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]), Blame::Nothing),
        (frame(RST_STREAM, 0, 3, &[0, 0, 0, 5]), Blame::Stream),
    ] {
        for size in [1, 3, 10, 100] {
            let (mut flood, now) = fresh();
            let found = bytes.chunks(size).map(|part| flood.written(part, now).unwrap());
            assert_eq!(
                found.filter(|found| *found != Blame::Nothing).collect::<Vec<_>>(),
                match blame {
                    Blame::Nothing => vec![],
                    blame => vec![blame],
                }
            );
            assert!(flood.own_at_boundary());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_with_a_pseudo_field_are_seen_in_any_shape() {
    let open = frame(HEADERS, END_HEADERS, 1, b"\x82\x86\x84");
    let pseudo = b"\x00\x05x-sum\x017\x83";
    let whole = frame(HEADERS, END_HEADERS | END_STREAM, 1, pseudo);
    let padded = frame(
        HEADERS,
        END_HEADERS | PADDED | PRIORITY,
        1,
        &[&[2, 0, 0, 0, 0, 16][..], pseudo, &[0, 0]].concat(),
    );
    let split =
        [frame(HEADERS, 0, 1, &pseudo[..4]), frame(CONTINUATION, END_HEADERS, 1, &pseudo[4..])].concat();
    let empty = [frame(HEADERS, 0, 1, pseudo), frame(CONTINUATION, END_HEADERS, 1, &[])].concat();
    for trailers in [whole, padded, split, empty] {
        for size in [1, 7, 1000] {
            let (mut flood, now) = fresh();
            flood.read(&open, now).unwrap();
            let found = trailers.chunks(size).try_for_each(|part| flood.read(part, now));
            assert_eq!(found, Err(Refusal::MalformedTrailers), "{size}");
        }
    }
    let (mut flood, now) = fresh();
    flood.read(&open, now).unwrap();
    flood.read(&frame(HEADERS, END_HEADERS, 3, b"\x82\x86\x84"), now).unwrap();
    flood.read(&frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x00\x05x-sum\x017"), now).unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_preface_is_no_frame() {
    let now = Instant::now();
    let mut flood = Flood::new(24, 65_536, now);
    assert!(!flood.client_at_boundary());
    let bytes =
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(HEADERS, END_HEADERS, 7, b"\x82")].concat();
    for part in bytes.chunks(5) {
        flood.read(part, now).unwrap();
    }
    assert!(flood.client_at_boundary());
    assert_eq!(flood.last_stream(), 7);
}
