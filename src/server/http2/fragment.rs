//! Sees a `#` in a request's path (RFC 9113 §8.3.1: `:path` has none), which the codec would cut off with what
//! follows it, without a word: a path that nobody has sent would be matched and authorized.
//!
//! It is turned into a `>` before the codec reads it, which no path may have either and which the codec refuses.
//! In the Huffman code the two differ in the last bit, so each can be changed where it stands. The value
//! changes in the codec's dynamic table too, so later requests that refer to it fare the same.
//!
//! For that header blocks are followed as RFC 7541 §6 says, byte by byte, with a table that knows of each entry how
//! large it is and whether its name is `:path`. A block that does not parse is left to the codec, which ends
//! the connection for it.

use std::collections::VecDeque;

use super::huffman::Bits;

const PATH: &[u8] = b":path";

/// Lengths of the names in the static table (RFC 7541 appendix A).
const STATIC: [u8; 61] = [
    10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16, 14, 16, 13,
    12, 6, 4, 4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6, 10, 25, 17, 10, 4, 3,
    16,
];

/// What the size of an entry is beyond its name and value (RFC 7541 §4.1).
const ENTRY: usize = 32;
/// The table's size at first, and at most: we allow no larger one.
const TABLE: usize = 4096;

/// See the module.
#[derive(Debug)]
pub(super) struct Fragments {
    state: State,
    field: Field,
    table: VecDeque<Name>,
    sizes: VecDeque<usize>,
    size: usize,
    most: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name {
    path: bool,
    length: usize,
}

/// The field that is being read.
#[derive(Clone, Copy, Debug)]
struct Field {
    name: Name,
    /// It enters the table.
    indexed: bool,
    value: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Begin,
    /// In a number that began in another byte.
    Number {
        of: Of,
        value: usize,
        shift: u32,
    },
    /// Before a string.
    Length {
        of: Part,
    },
    Text {
        of: Part,
        left: usize,
        bits: Option<Bits>,
        path: usize,
    },
    /// The codec is going to refuse the block, or has.
    Lost,
}

/// What a number is.
#[derive(Clone, Copy, Debug)]
enum Of {
    /// A field of the table.
    Field,
    /// A name of the table.
    Name,
    /// The table's size.
    Size,
    Length {
        of: Part,
        huffman: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Name,
    Value,
}

// === impl Fragments ===

impl Default for Fragments {
    fn default() -> Self {
        Self {
            state: State::Begin,
            field: Field { name: Name { path: false, length: 0 }, indexed: false, value: 0 },
            table: VecDeque::new(),
            sizes: VecDeque::new(),
            size: 0,
            most: TABLE,
        }
    }
}

impl Fragments {
    /// A header block begins.
    pub(super) fn begin(&mut self) {
        if !matches!(self.state, State::Begin) {
            self.state = State::Lost;
        }
    }

    /// Follows bytes of a header block. Gives where one must be another to the mending function.
    pub(super) fn read(&mut self, bytes: &[u8], mut mend: impl FnMut(usize, u8)) {
        for (at, byte) in bytes.iter().enumerate() {
            if let Some(other) = self.step(*byte) {
                mend(at, other);
            }
        }
    }

    fn step(&mut self, byte: u8) -> Option<u8> {
        match self.state {
            State::Lost => {}
            State::Begin => {
                let (of, prefix) = match byte {
                    0x80.. => (Of::Field, 7),
                    0x40.. => (Of::Name, 6),
                    0x20.. => (Of::Size, 5),
                    _ => (Of::Name, 4),
                };
                self.field.indexed = byte & 0xc0 == 0x40;
                self.field.value = 0;
                self.number(of, byte, prefix);
            }
            State::Number { of, value, shift } => {
                let value = value + (usize::from(byte & 0x7f) << shift);
                if shift > 21 {
                    self.state = State::Lost;
                } else if byte & 0x80 == 0 {
                    self.known(of, value);
                } else {
                    self.state = State::Number { of, value, shift: shift + 7 };
                }
            }
            State::Length { of } => self.number(Of::Length { of, huffman: byte & 0x80 != 0 }, byte, 7),
            State::Text { of, left, mut bits, mut path } => {
                let mut other = None;
                match &mut bits {
                    None => {
                        if self.character(of, byte, &mut path) {
                            other = Some(b'>');
                        }
                    }
                    Some(bits) => {
                        for at in (0..8).rev() {
                            if let Some(symbol) = bits.push(byte >> at & 1 == 1)
                                && self.character(of, symbol, &mut path)
                            {
                                other = Some(other.unwrap_or(byte) | 1 << at);
                            }
                        }
                    }
                }
                self.state = State::Text { of, left: left - 1, bits, path };
                if left == 1 {
                    self.text_ends(of, path);
                }
                return other;
            }
        }
        None
    }

    /// One more character of a string. Whether it is one that must not be.
    fn character(&mut self, of: Part, character: u8, path: &mut usize) -> bool {
        match of {
            Part::Name => {
                // How much of it is as in `:path`.
                if PATH.get(self.field.name.length) == Some(&character) {
                    *path += 1;
                }
                self.field.name.length += 1;
                false
            }
            Part::Value => {
                self.field.value += 1;
                self.field.name.path && character == b'#'
            }
        }
    }

    fn number(&mut self, of: Of, byte: u8, prefix: u32) {
        let most = (1usize << prefix) - 1;
        let value = usize::from(byte) & most;
        if value == most {
            self.state = State::Number { of, value, shift: 0 };
        } else {
            self.known(of, value);
        }
    }

    fn known(&mut self, of: Of, value: usize) {
        self.state = match of {
            Of::Field => State::Begin,
            Of::Size if value <= TABLE => {
                self.most = value;
                self.evict(0);
                State::Begin
            }
            Of::Size => State::Lost,
            Of::Name if value == 0 => State::Length { of: Part::Name },
            Of::Name => match self.name(value) {
                Some(name) => {
                    self.field.name = name;
                    State::Length { of: Part::Value }
                }
                None => State::Lost,
            },
            Of::Length { of, huffman } => {
                if of == Part::Name {
                    self.field.name = Name { path: false, length: 0 };
                }
                if value == 0 {
                    return self.text_ends(of, 0);
                }
                State::Text { of, left: value, bits: huffman.then(Bits::default), path: 0 }
            }
        };
    }

    fn text_ends(&mut self, of: Part, path: usize) {
        if of == Part::Name {
            self.field.name.path = path == PATH.len() && self.field.name.length == PATH.len();
            self.state = State::Length { of: Part::Value };
            return;
        }
        self.state = State::Begin;
        if self.field.indexed {
            let size = self.field.name.length + self.field.value + ENTRY;
            self.evict(size);
            if size <= self.most {
                self.table.push_front(self.field.name);
                self.sizes.push_front(size);
                self.size += size;
            }
        }
    }

    fn name(&self, index: usize) -> Option<Name> {
        match STATIC.get(index.checked_sub(1)?) {
            Some(length) => Some(Name { path: matches!(index, 4 | 5), length: usize::from(*length) }),
            None => self.table.get(index - 1 - STATIC.len()).copied(),
        }
    }

    /// Makes room in the table.
    fn evict(&mut self, size: usize) {
        while self.size + size > self.most {
            let Some(gone) = self.sizes.pop_back() else { return };
            self.table.pop_back();
            self.size -= gone;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::huffman::encoded, *};

    fn mended(fragments: &mut Fragments, block: &[u8]) -> Vec<u8> {
        let mut out = block.to_vec();
        fragments.begin();
        fragments.read(block, |at, other| out[at] = other);
        assert!(matches!(fragments.state, State::Begin), "{block:x?}: {:?}", fragments.state);
        out
    }

    fn string(text: &[u8]) -> Vec<u8> {
        [&[u8::try_from(text.len()).unwrap()], text].concat()
    }

    fn huffman(text: &[u8]) -> Vec<u8> {
        let text = encoded(text);
        [&[0x80 | u8::try_from(text.len()).unwrap()], &text[..]].concat()
    }

    #[test]
    fn a_fragment_is_seen_however_the_path_is_written() {
        for write in [string, huffman] {
            let (path, value) = (write(b":path"), write(b"/a#b?c#d"));
            for (before, name) in
                [(0x04, &[][..]), (0x44, &[]), (0x15 - 1, &[]), (0, &path), (0x40, &path), (0x10, &path)]
            {
                let mut fragments = Fragments::default();
                let block = [&[before], name, &value].concat();
                let wanted = [&[before], name, &write(b"/a>b?c>d")].concat();
                assert_eq!(mended(&mut fragments, &block), wanted, "{block:x?}");
            }
        }
    }

    #[test]
    fn other_fields_keep_theirs_whatever_the_table_holds() {
        let mut fragments = Fragments::default();
        // `x-a: 1` and `:path: /` enter the table.
        mended(
            &mut fragments,
            &[&[0x40][..], &string(b"x-a"), &string(b"1"), &[0x44], &huffman(b"/")].concat(),
        );
        let other = [&[0x0f, 62 - 15 + 1][..], &string(b"a#b")].concat();
        assert_eq!(mended(&mut fragments, &other), other, "the name of `x-a`");
        let path = [&[0x0f, 62 - 15][..], &string(b"/a#b")].concat();
        assert_eq!(mended(&mut fragments, &path)[3..], *b"/a>b", "the name of `:path`");
        // A smaller table forgets both, a larger one begins anew.
        mended(&mut fragments, &[0x20, 0x3f, 0xe1, 0x1f]);
        assert!(fragments.table.is_empty() && fragments.size == 0 && fragments.most == 4096);
    }

    #[test]
    fn the_table_forgets_as_the_codecs_does() {
        let mut fragments = Fragments::default();
        for _ in 0..200 {
            mended(&mut fragments, &[&[0x40][..], &string(b"x-a"), &string(&[b'v'; 61])].concat());
        }
        assert_eq!((fragments.table.len(), fragments.size), (4096 / 96, 4096 / 96 * 96));
    }

    #[test]
    fn what_does_not_parse_is_left_to_the_codec() {
        for broken in [&b"\x7f\xff\xff\xff\xff\xff"[..], b"\x3f\xff\xff\x7f", b"\x7f\x20", b"\x40\x05x"] {
            let mut fragments = Fragments::default();
            fragments.begin();
            fragments.read(broken, |_, _| panic!("{broken:x?}"));
            fragments.begin();
            fragments.read(b"\x04\x02/#", |_, _| panic!("{broken:x?}"));
        }
    }
}
