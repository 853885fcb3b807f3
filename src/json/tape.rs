//! The index: one entry per scalar and per key, two per list or map.
//!
//! An entry holds where the value starts and ends. A list or map has a second entry with the index
//! of what follows it, so that a sibling is reached without walking the subtree, and its size.

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Null,
    True,
    False,
    /// A number without fraction and exponent.
    Integer,
    /// A number with either.
    Fraction,
    /// A string without escapes.
    Plain,
    /// A string with escapes.
    Escaped,
    /// This and what is after it has a second entry.
    List,
    Map,
}

/// Bits of an entry's first half that hold the start; the tag is above them.
const START_BITS: u32 = 28;
const START_MASK: u32 = (1 << START_BITS) - 1;
const TAGS: [Tag; 16] = {
    use Tag::{Escaped, False, Fraction, Integer, List, Map, Null, Plain, True};
    [
        Null, True, False, Integer, Fraction, Plain, Escaped, List, Map, Null, Null, Null, Null, Null, Null,
        Null,
    ]
};

/// Two words: tag and start, and the end. The second entry of a list or map: what follows, and its size.
#[derive(Clone, Copy)]
pub(super) struct Entry(pub(super) u32, pub(super) u32);

impl Entry {
    #[inline]
    pub(super) fn tag(self) -> Tag {
        TAGS[(self.0 >> START_BITS) as usize]
    }

    #[inline]
    pub(super) fn start(self) -> usize {
        (self.0 & START_MASK) as usize
    }

    /// Whether a second entry belongs to it.
    #[inline]
    pub(super) fn is_container(self) -> bool {
        self.0 >> START_BITS >= Tag::List as u32
    }

    /// Whether it is a string without escapes.
    #[inline]
    pub(super) fn is_plain(self) -> bool {
        self.0 >> START_BITS == Tag::Plain as u32
    }

    /// How many bytes it covers, quotes included.
    #[inline]
    pub(super) fn len(self) -> usize {
        (self.1 as usize).wrapping_sub(self.start())
    }
}

/// The index of a document.
pub(super) struct Tape(Vec<Entry>);

impl Tape {
    /// Room for what a document of this many bytes usually needs.
    pub(super) fn for_bytes(len: usize) -> Self {
        Self(Vec::with_capacity(len / 5 + 8))
    }

    /// The index that the next entry gets. Offsets below 2^28 keep it within u32.
    pub(super) fn end(&self) -> u32 {
        self.0.len() as u32
    }

    pub(super) fn scalar(&mut self, tag: Tag, start: usize, end: usize) {
        self.0.push(Entry((tag as u32) << START_BITS | start as u32, end as u32));
    }

    /// Opens a list or map; until [`Tape::close`] its second entry keeps what the parser must
    /// remember of the container around it.
    pub(super) fn open(&mut self, tag: Tag, start: usize, parent: u32, parent_count: u32) -> u32 {
        let node = self.end();
        self.scalar(tag, start, 0);
        self.0.push(Entry(parent, parent_count));
        node
    }

    /// Closes it and gives back the parent and the parent's count.
    pub(super) fn close(&mut self, node: u32, end: usize, count: u32) -> (u32, u32) {
        let next = self.end();
        let node = node as usize;
        self.0[node].1 = end as u32;
        let Entry(parent, parent_count) = self.0[node + 1];
        self.0[node + 1] = Entry(next, count);
        (parent, parent_count)
    }

    /// A word that an open container may use as it likes: its end is not known yet.
    pub(super) fn note(&self, node: u32) -> u32 {
        self.0[node as usize].1
    }

    pub(super) fn set_note(&mut self, node: u32, note: u32) {
        self.0[node as usize].1 = note;
    }

    #[inline]
    pub(super) fn entries(&self) -> &[Entry] {
        &self.0
    }

    #[inline]
    pub(super) fn tag(&self, node: u32) -> Tag {
        self.0[node as usize].tag()
    }

    pub(super) fn span(&self, node: u32) -> (usize, usize) {
        let (_, start, end) = self.entry(node);
        (start, end)
    }

    /// What an entry is, where it starts and where it ends, by one look.
    #[inline]
    pub(super) fn entry(&self, node: u32) -> (Tag, usize, usize) {
        let entry = self.0[node as usize];
        (entry.tag(), entry.start(), entry.1 as usize)
    }

    /// The entry after this value and all below it.
    #[inline]
    pub(super) fn next(&self, node: u32) -> u32 {
        let at = node as usize;
        if self.0[at].is_container() { self.0[at + 1].0 } else { node + 1 }
    }

    #[inline]
    pub(super) fn count(&self, node: u32) -> usize {
        self.0[node as usize + 1].1 as usize
    }
}
