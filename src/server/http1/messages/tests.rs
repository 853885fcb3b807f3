use super::*;

const LIMITS: Limits = Limits { target: 100, fields: 10, field_bytes: 1000 };

/// All that passes of bytes that come in pieces of this size.
fn pass(messages: &mut Messages, bytes: &[u8], piece: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in bytes.chunks(piece) {
        let good = messages.take(piece);
        out.extend_from_slice(&piece[..good]);
        drain(messages, &mut out);
    }
    out
}

fn drain(messages: &mut Messages, out: &mut Vec<u8>) {
    while let Some(first) = messages.ready().first() {
        // One at a time, as a codec with little room would.
        out.push(*first);
        messages.passed(1);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const MANY: &str = "GET /1 HTTP/1.1\r\nhost: a\r\n\r\n\
    \r\nPOST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello\
    POST /3 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\nx: y\r\n\r\n\r\n\
    GET /4 HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn good_messages_pass_unchanged_in_any_pieces() {
    for piece in 1..=MANY.len() {
        let mut messages = Messages::new(LIMITS);
        assert_eq!(text(&pass(&mut messages, MANY.as_bytes(), piece)), MANY, "{piece}");
        assert!(messages.between() && !messages.head_has_begun());
    }
}

#[test]
fn the_codec_never_sees_part_of_a_head() {
    let mut messages = Messages::new(LIMITS);
    let head = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    for end in 0..head.len() {
        assert_eq!(messages.take(&head[end..end + 1]), 0);
        assert_eq!(messages.ready().is_empty(), end + 1 < head.len());
        assert_eq!(messages.head_has_begun(), end + 1 < head.len());
    }
    assert_eq!(messages.ready(), head);
}

#[test]
fn after_a_refused_head_nothing_passes_but_what_stands_for_it() {
    let bytes = format!("{MANY}GET /5 HTTP/1.1\r\nhost : a\r\n\r\nGET /6 HTTP/1.1\r\nhost: a\r\n\r\n");
    for piece in 1..=bytes.len() {
        let mut messages = Messages::new(LIMITS);
        let passed = text(&pass(&mut messages, bytes.as_bytes(), piece));
        assert_eq!(passed, format!("{MANY}{}", text(INSTEAD)), "{piece}");
        assert!(messages.refusal().is_some());
        assert_eq!(messages.take(b"GET / HTTP/1.1\r\n\r\n"), 0);
        assert!(messages.ready().is_empty());
    }
}

#[test]
fn what_stands_for_a_refused_head_is_itself_refused() {
    let mut messages = Messages::new(LIMITS);
    messages.take(INSTEAD);
    assert!(matches!(messages.refusal(), Some(Refusal::Malformed(_))));
}

#[test]
fn after_a_broken_body_nothing_passes() {
    let good = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let bytes = format!("{good}5;\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n");
    for piece in 1..=bytes.len() {
        let mut messages = Messages::new(LIMITS);
        let passed = text(&pass(&mut messages, bytes.as_bytes(), piece));
        assert!(format!("{good}5;").starts_with(&passed), "{piece}: {passed:?}");
        assert!(messages.fault().is_some() && !messages.between());
    }
}

#[test]
fn bytes_that_come_back_pass_again_first() {
    let mut messages = Messages::new(LIMITS);
    assert_eq!(messages.take(b"GET / HTTP/1.1\r\nho"), 0);
    messages.give_back(b"\r\n");
    assert_eq!(messages.ready(), b"\r\n");
    let mut out = Vec::new();
    drain(&mut messages, &mut out);
    messages.take(b"st: a\r\n\r\n");
    drain(&mut messages, &mut out);
    assert_eq!(text(&out), "\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n");
}

#[test]
fn a_late_head_is_refused_behind_what_passed() {
    let mut messages = Messages::new(LIMITS);
    assert_eq!(messages.take(b"GET / HTTP/1.1\r\nho"), 0);
    messages.refuse(Refusal::Slow);
    let mut out = Vec::new();
    drain(&mut messages, &mut out);
    assert_eq!(out, INSTEAD);
    assert_eq!(messages.refusal(), Some(Refusal::Slow));
}

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";

#[test]
fn what_follows_an_upgrade_waits_for_its_answer() {
    let after = "GET /1 HTTP/1.1\r\nhost: a\r\n\r\n";
    let bytes = format!("{UPGRADE}{after}");
    for piece in 1..=bytes.len() {
        let mut messages = Messages::new(LIMITS);
        assert_eq!(text(&pass(&mut messages, bytes.as_bytes(), piece)), UPGRADE, "{piece}");
        assert!(messages.is_open() && !messages.head_has_begun());
        let mut out = Vec::new();
        messages.resume();
        drain(&mut messages, &mut out);
        assert_eq!(text(&out), after);
    }
    let mut messages = Messages::new(LIMITS);
    pass(&mut messages, format!("{UPGRADE}\0\0").as_bytes(), 7);
    messages.step_aside();
    assert_eq!(messages.ready(), b"\0\0");
    messages.passed(2);
    assert!(messages.is_aside());
    assert_eq!(messages.take(b"\0\n"), 2);
}
