//! The Huffman code of HPACK (RFC 7541 §5.2, appendix B), read bit by bit.
//!
//! The code is canonical: within a length, codes count up in the order of their symbols. So the lengths are
//! all of the table.

/// Of each symbol's code, in bits.
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

const LONGEST: usize = 30;

/// Symbols in the order of their codes, and for each length the first code and where its symbols begin.
struct Table {
    symbols: [u8; 256],
    first: [u32; LONGEST + 2],
    begin: [usize; LONGEST + 2],
}

static TABLE: Table = table();

const fn table() -> Table {
    let mut table = Table { symbols: [0; 256], first: [0; LONGEST + 2], begin: [0; LONGEST + 2] };
    let (mut length, mut code, mut at) = (1, 0u32, 0);
    while length <= LONGEST + 1 {
        table.first[length] = code;
        table.begin[length] = at;
        let mut symbol = 0;
        while symbol < 256 {
            if LENGTHS[symbol] as usize == length {
                table.symbols[at] = symbol as u8;
                at += 1;
                code += 1;
            }
            symbol += 1;
        }
        code <<= 1;
        length += 1;
    }
    table
}

/// A code of which some bits have come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bits {
    code: u32,
    length: usize,
}

impl Bits {
    /// One more bit. Gives the symbol that it ends.
    pub(super) fn push(&mut self, bit: bool) -> Option<u8> {
        if self.length >= LONGEST {
            return None;
        }
        self.code = self.code << 1 | u32::from(bit);
        self.length += 1;
        let (first, begin) = (TABLE.first[self.length], TABLE.begin[self.length]);
        let index = self.code.checked_sub(first)? as usize;
        if index >= TABLE.begin[self.length + 1] - begin {
            return None;
        }
        *self = Self::default();
        Some(TABLE.symbols[begin + index])
    }
}

#[cfg(test)]
pub(super) fn encoded(text: &[u8]) -> Vec<u8> {
    let mut bits = Vec::new();
    for byte in text {
        let length = usize::from(LENGTHS[usize::from(*byte)]);
        let begin = TABLE.begin[length];
        let within = TABLE.symbols[begin..].iter().position(|symbol| symbol == byte).unwrap();
        let code = TABLE.first[length] + u32::try_from(within).unwrap();
        bits.extend((0..length).rev().map(|at| code >> at & 1));
    }
    while !bits.len().is_multiple_of(8) {
        bits.push(1);
    }
    bits.chunks(8).map(|byte| byte.iter().fold(0, |all, bit| all << 1 | *bit as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        // RFC 7541 appendix C.4 and C.6.
        for (text, hex) in [
            ("www.example.com", "f1e3c2e5f23a6ba0ab90f4ff"),
            ("no-cache", "a8eb10649cbf"),
            ("custom-value", "25a849e95bb8e8b4bf"),
            ("Mon, 21 Oct 2013 20:13:21 GMT", "d07abe941054d444a8200595040b8166e082a62d1bff"),
            ("https://www.example.com", "9d29ad171863c78f0b97c8e9ae82ae43d3"),
        ] {
            let bytes = encoded(text.as_bytes());
            let written: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(written, hex, "{text}");
            let mut bits = Bits::default();
            let read: Vec<u8> = bytes
                .iter()
                .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1 == 1))
                .filter_map(|bit| bits.push(bit))
                .collect();
            assert_eq!(read, text.as_bytes());
        }
    }
}
