//! Finding the member of a map: what a path through a document costs.
//!
//! Members are compared one after the other, lengths first. Up to some hundred that beats any index,
//! which every document would pay for; an expression pays fuel for the rest.

use super::{
    Ref,
    tape::{Entry, Tag},
};

impl Ref<'_> {
    /// The member of a map.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Self> {
        let (entries, bytes) = (self.document.tape.entries(), self.document.text.as_bytes().as_ref());
        let (map, Entry(_, count)) =
            (entries.get(self.node as usize)?, *entries.get(self.node as usize + 1)?);
        if map.tag() != Tag::Map {
            return None;
        }
        let mut node = self.node as usize + 2;
        for _ in 0..count {
            let name = *entries.get(node)?;
            if name.is_plain() {
                // What is of another length is not looked at.
                if name.len() == key.len() + 2
                    && bytes.get(name.start() + 1..name.1 as usize - 1) == Some(key.as_bytes())
                {
                    return Some(Self { document: self.document, node: node as u32 + 1 });
                }
            } else if self.is_named(node, key) {
                return Some(Self { document: self.document, node: node as u32 + 1 });
            }
            node = if entries.get(node + 1)?.is_container() {
                entries.get(node + 2)?.0 as usize
            } else {
                node + 2
            };
        }
        None
    }

    /// Whether a key that is written with escapes is this one.
    #[cold]
    fn is_named(self, node: usize, key: &str) -> bool {
        Self { document: self.document, node: node as u32 }.as_str().as_deref() == Some(key)
    }
}
