//! Handles of a metric whose label values are known only when something happens: found without a lock,
//! registered once.
//!
//! A chain rather than a table, because a route sees a handful of combinations, of which the first few make
//! nearly all of its requests.

use std::sync::OnceLock;

use http::StatusCode;

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
    pub(super) fn get(&self, key: K, make: impl Fn() -> H) -> &H {
        self.bounded(key, usize::MAX, |key| key, |_| make())
    }

    /// The same where there are so many keys at most: what comes after those counts under a coarse one, of which
    /// there are few.
    pub(super) fn bounded(
        &self,
        mut key: K,
        most: usize,
        coarse: impl FnOnce(K) -> K,
        make: impl Fn(K) -> H,
    ) -> &H {
        let mut coarse = Some(coarse);
        let (mut at, mut passed) = (self, 0);
        loop {
            let link = match at.0.get() {
                Some(link) => link,
                None if passed >= most && coarse.is_some() => {
                    key = coarse.take().map_or(key, |coarse| coarse(key));
                    at = self;
                    continue;
                }
                // Another thread may put its own link here first; then ours goes further down.
                None => at.0.get_or_init(|| Box::new(Link { key, handle: make(key), next: Self::default() })),
            };
            if link.key == key {
                return &link.handle;
            }
            at = &link.next;
            passed += 1;
        }
    }
}

/// Series of durations that a route has, and a service per endpoint, before what else comes counts under the
/// method `_OTHER` and the class of its status.
pub(super) const MOST_SERIES: usize = 64;

/// A status as a label says it: one that is not registered is the first of its class (RFC 9110 §15), since
/// upstreams decide which they send.
pub(super) fn registered(status: StatusCode) -> StatusCode {
    if status.canonical_reason().is_some() { status } else { class(status) }
}

/// The first status of its class; what has none is a 500.
pub(super) fn class(status: StatusCode) -> StatusCode {
    let hundreds = status.as_u16() / 100 * 100;
    StatusCode::from_u16(hundreds)
        .ok()
        .filter(|_| hundreds < 600)
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
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

    #[test]
    fn past_the_bound_a_key_counts_under_a_coarse_one() {
        let chain = Chain::default();
        let coarse = |key: u32| key / 100 * 100;
        for _ in 0..2 {
            for key in 100..104 {
                assert_eq!(*chain.bounded(key, 3, coarse, |key| key), if key < 103 { key } else { 100 });
            }
        }
        assert_eq!(*chain.bounded(250, 3, coarse, |key| key), 200);
    }

    #[test]
    fn a_status_that_is_not_registered_is_the_first_of_its_class() {
        for (status, label) in [(200, 200), (418, 418), (299, 200), (499, 400), (520, 500), (799, 500)] {
            assert_eq!(registered(StatusCode::from_u16(status).unwrap()).as_u16(), label, "{status}");
        }
    }
}
