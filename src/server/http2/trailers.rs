//! Whether trailers name a pseudo-field (RFC 9113 §8.1: then the request is malformed).
//!
//! The codec drops such fields without a word, so a look at the HPACK representations (RFC 7541 §6)
//! comes before it. It needs no table: pseudo-fields have fixed places in the static one, and a name
//! that is spelt out begins with a colon. A reference to the dynamic table is taken for an ordinary
//! field; should it be a pseudo-field, the codec drops it.

/// Pseudo-fields are the first so many entries of the static table (RFC 7541 appendix A).
const PSEUDO: u64 = 14;
/// The first seven bits of a string that begins with a colon, in the Huffman code.
const COLON: u8 = 0b101_1100;

/// Whether a field of this block is a pseudo-field. A block that does not parse has none: the codec
/// refuses it.
pub(super) fn names_pseudo(mut block: &[u8]) -> bool {
    loop {
        match field(&mut block) {
            Some(false) => {}
            Some(true) => return true,
            None => return false,
        }
    }
}

fn field(block: &mut &[u8]) -> Option<bool> {
    let first = *block.first()?;
    if first & 0x80 != 0 {
        // Name and value both from the table.
        let index = integer(block, 7)?;
        return Some((1..=PSEUDO).contains(&index));
    }
    if first & 0xe0 == 0x20 {
        // A new size of the table.
        integer(block, 5)?;
        return Some(false);
    }
    let index = integer(block, if first & 0x40 != 0 { 6 } else { 4 })?;
    let pseudo = if index == 0 {
        let (huffman, name) = string(block)?;
        match name.first() {
            Some(first) if huffman => first >> 1 == COLON,
            first => first == Some(&b':'),
        }
    } else {
        index <= PSEUDO
    };
    string(block)?;
    Some(pseudo)
}

/// RFC 7541 §5.1.
fn integer(block: &mut &[u8], prefix: u32) -> Option<u64> {
    let most = (1u64 << prefix) - 1;
    let (first, mut rest) = block.split_first()?;
    let mut value = u64::from(*first) & most;
    if value == most {
        let mut shift = 0;
        loop {
            let (byte, after) = rest.split_first()?;
            rest = after;
            value = value.checked_add(u64::from(byte & 0x7f) << shift)?;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
            if shift > 28 {
                return None;
            }
        }
    }
    *block = rest;
    Some(value)
}

/// RFC 7541 §5.2: whether it is in the Huffman code, and its bytes.
fn string<'a>(block: &mut &'a [u8]) -> Option<(bool, &'a [u8])> {
    let huffman = block.first()? & 0x80 != 0;
    let len = usize::try_from(integer(block, 7)?).ok()?;
    let (string, rest) = block.split_at_checked(len)?;
    *block = rest;
    Some((huffman, string))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudo_fields_are_seen_however_they_are_written() {
        let plain: &[u8] = b"\x00\x05x-sum\x017";
        assert!(!names_pseudo(plain));
        for pseudo in [
            b"\x83".as_slice(),
            b"\x88",
            b"\x44\x02/x",
            b"\x04\x02/x",
            b"\x14\x02/x",
            b"\x00\x05:path\x02/x",
            b"\x40\x04:new\x00",
            // `:path` in the Huffman code.
            b"\x00\x84\xb9\x58\xd3\x3f\x02/x",
            b"\x20\x83",
        ] {
            assert!(names_pseudo(pseudo), "{pseudo:x?}");
            assert!(names_pseudo(&[plain, pseudo].concat()), "{pseudo:x?}");
        }
    }

    #[test]
    fn what_does_not_parse_is_left_to_the_codec() {
        for broken in
            [b"\x7f".as_slice(), b"\x00\x05x", b"\xff\xff\xff\xff\xff\xff\xff", b"\x00\xff\x80\x80", b""]
        {
            assert!(!names_pseudo(broken), "{broken:x?}");
        }
    }
}
