//! Any bytes as a chunked body: it ends in the same place whatever the pieces, and where a simple reader of
//! RFC 9112 §7.1 ends it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use segue::chunked::{Chunked, Limits};

const LIMITS: Limits = Limits { fields: 20, field_bytes: 2000 };

/// Where a body ends, for one that passed: sizes as they stand, extensions skipped.
fn end(bytes: &[u8]) -> usize {
    let line = |at: usize| at + bytes[at..].windows(2).position(|pair| pair == b"\r\n").unwrap() + 2;
    let mut at = 0;
    loop {
        let digits = bytes[at..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[at..at + digits]).unwrap(), 16).unwrap();
        at = line(at);
        if size == 0 {
            break;
        }
        assert_eq!(&bytes[at + size..at + size + 2], b"\r\n");
        at += size + 2;
    }
    loop {
        let next = line(at);
        if next == at + 2 {
            return next;
        }
        at = next;
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((piece, bytes)) = input.split_first() else { return };
    let mut body = Chunked::default();
    let whole = body.read(bytes, &LIMITS);
    let mut again = Chunked::default();
    let mut read = 0;
    let mut pieces = Ok(0);
    for piece in bytes.chunks(usize::from(*piece).max(1)) {
        match again.read(piece, &LIMITS) {
            Ok(len) => read += len,
            Err(fault) => pieces = Err(fault),
        }
        if pieces.is_err() || again.is_whole() {
            break;
        }
    }
    assert_eq!(whole.is_err(), pieces.is_err());
    if let Ok(len) = whole {
        assert_eq!((len, body.is_whole()), (read, again.is_whole()));
        if body.is_whole() {
            assert_eq!(len, end(bytes));
        }
    }
});
