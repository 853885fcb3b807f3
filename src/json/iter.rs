//! Walking the elements of a list and the members of a map.

use std::borrow::Cow;

use super::{Ref, tape::Tag};

/// The elements of a list in order.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    list: Ref<'a>,
    node: u32,
    left: usize,
}

/// The members of a map in order.
#[derive(Clone, Debug)]
pub struct Members<'a>(MemberRefs<'a>);

/// The members of a map in order, keys not decoded.
#[derive(Clone, Debug)]
pub(crate) struct MemberRefs<'a> {
    map: Ref<'a>,
    node: u32,
    left: usize,
}

impl<'a> Items<'a> {
    pub(super) fn new(list: Ref<'a>) -> Self {
        let left = if list.tag() == Tag::List { list.len() } else { 0 };
        Self { list, node: list.node + 2, left }
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Ref<'a>;

    fn next(&mut self) -> Option<Ref<'a>> {
        self.left = self.left.checked_sub(1)?;
        let item = Ref { document: self.list.document, node: self.node };
        self.node = self.list.document.tape.next(self.node);
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Items<'_> {}

impl<'a> MemberRefs<'a> {
    fn new(map: Ref<'a>) -> Self {
        let left = if map.tag() == Tag::Map { map.len() } else { 0 };
        Self { map, node: map.node + 2, left }
    }
}

impl<'a> Iterator for MemberRefs<'a> {
    type Item = (Ref<'a>, Ref<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let document = self.map.document;
        let (key, value) = (Ref { document, node: self.node }, Ref { document, node: self.node + 1 });
        self.node = document.tape.next(value.node);
        Some((key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'a> Members<'a> {
    pub(super) fn new(map: Ref<'a>) -> Self {
        Self(MemberRefs::new(map))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, Ref<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, value)| (key.as_str().unwrap_or_default(), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Members<'_> {}

impl<'a> Ref<'a> {
    /// Members with their keys as values, for callers that compare keys without decoding them.
    pub(crate) fn member_refs(self) -> MemberRefs<'a> {
        MemberRefs::new(self)
    }
}
