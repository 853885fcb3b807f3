//! Handles of a metric whose label values are known only when something happens: found without a lock,
//! registered once.
//!
//! A chain rather than a table, because a route sees a handful of combinations, of which the first few make
//! nearly all of its requests.

use std::sync::OnceLock;

/// Handles by key. Keys come from closed tables, so that the chain is short.
#[derive(Debug)]
pub(super) struct Chain<K, H>(OnceLock<Box<Link<K, H>>>);

#[derive(Debug)]
struct Link<K, H> {
    key: K,
    handle: H,
    next: Chain<K, H>,
}

impl<K, H> Default for Chain<K, H> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<K: Copy + PartialEq, H> Chain<K, H> {
    /// The handle of this key, made when it is first asked for.
    pub(super) fn get(&self, key: K, make: impl FnOnce() -> H) -> &H {
        let mut make = Some(make);
        let mut at = self;
        loop {
            let link = match at.0.get() {
                Some(link) => link,
                // Another thread may put its own link here first; then ours goes further down.
                None => at.0.get_or_init(|| {
                    let handle = make.take().map(|make| make());
                    // Taken only here, and this runs at most once per call.
                    match handle {
                        Some(handle) => Box::new(Link { key, handle, next: Self::default() }),
                        None => unreachable!("a link is made once"),
                    }
                }),
            };
            if link.key == key {
                return &link.handle;
            }
            at = &link.next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_one_handle() {
        let chain = Chain::default();
        for round in 0..3 {
            for key in [5, 7, 9] {
                assert_eq!(*chain.get(key, || key * 10 + round), key * 10);
            }
        }
    }
}
