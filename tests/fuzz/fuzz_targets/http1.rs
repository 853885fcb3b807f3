//! Any bytes in any pieces: what is read is the same whatever the pieces, and every head is read as another
//! reader reads it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use segue::{
    inbox::Inbox,
    server::http1::{
        Limits,
        head::{Framing, Head},
        messages::{Messages, Piece},
    },
};

const LIMITS: Limits = Limits { target: 200, fields: 20, field_bytes: 2000 };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Refused,
    Broken,
}

/// All that is read. The first byte of the input says how large the pieces are.
fn read(bytes: &[u8], piece: usize) -> (String, End) {
    let (mut messages, mut inbox, mut out) = (Messages::new(LIMITS), Inbox::new(), String::new());
    let mut in_body = false;
    for piece in bytes.chunks(piece.max(1)) {
        inbox.extend(piece);
        loop {
            if in_body {
                match messages.body(&mut inbox) {
                    Ok(Some(Piece::Data(data, last))) => {
                        out.extend(data.iter().map(|byte| char::from(*byte)));
                        in_body = !last;
                    }
                    Ok(Some(Piece::Trailers(trailers))) => {
                        out += &format!("{trailers:?}");
                        in_body = false;
                    }
                    Ok(Some(Piece::End)) => in_body = false,
                    Ok(None) => break,
                    Err(_) => return (out, End::Broken),
                }
            } else {
                match messages.head(&mut inbox) {
                    Ok(Some(request)) => {
                        out += &format!("\n{request:?}\n");
                        in_body = messages.length() != Some(0);
                        messages.next();
                    }
                    Ok(None) => break,
                    Err(_) => return (out, End::Refused),
                }
            }
        }
    }
    (out, End::Open)
}

fuzz_target!(|input: &[u8]| {
    let Some((piece, bytes)) = input.split_first() else { return };
    let (whole, end) = read(bytes, usize::MAX);
    let (pieces, again) = read(bytes, usize::from(*piece));
    if end == again {
        assert_eq!(whole, pieces);
    } else {
        // In pieces it may take the end of a line to see what is wrong with it.
        assert!(end == End::Refused && again == End::Open && whole == pieces);
    }

    let mut head = Head::default();
    let Ok(Some(len)) = head.read(bytes, &LIMITS) else { return };
    let ours = head.request(&bytes::Bytes::copy_from_slice(&bytes[..len])).unwrap();
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    assert_eq!(request.parse(&bytes[..len]), Ok(httparse::Status::Complete(len)));
    let target = request.path.unwrap();
    assert_eq!(ours.method().as_str(), request.method.unwrap());
    // Nothing is cut off or changed without a word.
    if target.starts_with('/') {
        assert_eq!(ours.uri().to_string(), target);
    }
    assert_eq!(ours.headers().len(), request.headers.len());
    for field in request.headers.iter() {
        assert!(ours.headers().get_all(field.name).iter().any(|value| value.as_bytes() == field.value));
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
