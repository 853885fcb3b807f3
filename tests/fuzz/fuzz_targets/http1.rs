//! Any bytes in any pieces: what passes is the same whatever the pieces, and the codec reads every head that
//! passes as what it was judged to be.
#![no_main]

use libfuzzer_sys::fuzz_target;
use segue::server::http1::{
    Limits,
    head::{Framing, Head},
    messages::Messages,
};

const LIMITS: Limits = Limits { target: 200, fields: 20, field_bytes: 2000 };

/// All that passes. The first byte of the input says how large the pieces are.
fn pass(bytes: &[u8], piece: usize) -> (Vec<u8>, Messages) {
    let mut messages = Messages::new(LIMITS);
    let mut out = Vec::new();
    for piece in bytes.chunks(piece.max(1)) {
        let good = messages.take(piece);
        out.extend_from_slice(&piece[..good]);
        loop {
            let ready = messages.ready();
            if ready.is_empty() {
                break;
            }
            let count = ready.len().min(7);
            out.extend_from_slice(&ready[..count]);
            messages.passed(count);
        }
    }
    (out, messages)
}

fuzz_target!(|input: &[u8]| {
    let Some((piece, bytes)) = input.split_first() else { return };
    let (whole, judged) = pass(bytes, usize::MAX);
    let (pieces, again) = pass(bytes, usize::from(*piece));
    if judged.refusal() != again.refusal() {
        // In pieces it may take the end of a line to see what is wrong with it.
        assert!(again.refusal().is_none() && again.head_has_begun());
        assert!(whole.starts_with(&pieces));
    } else if judged.fault().is_some() {
        // In pieces more of a body can have passed before it broke.
        assert!(again.fault().is_some() && pieces.starts_with(&whole));
    } else {
        assert!(again.fault().is_none() && whole == pieces);
    }

    let mut head = Head::default();
    let Ok(Some(len)) = head.read(bytes, &LIMITS) else { return };
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    assert_eq!(request.parse(&bytes[..len]), Ok(httparse::Status::Complete(len)));
    let target = request.path.unwrap();
    let uri = http::Uri::try_from(target).unwrap();
    http::Method::from_bytes(request.method.unwrap().as_bytes()).unwrap();
    // Nothing is cut off or changed without a word.
    if target.starts_with('/') {
        assert_eq!(uri.to_string(), target);
    }
    let named = |name: &str| request.headers.iter().filter(|f| f.name.eq_ignore_ascii_case(name)).count();
    match head.framing() {
        Framing::Chunked => assert_eq!((named("transfer-encoding"), named("content-length")), (1, 0)),
        Framing::Length(length) => {
            assert_eq!(named("transfer-encoding"), 0);
            assert!(named("content-length") == 1 || (length == 0 && named("content-length") == 0));
        }
    }
});
