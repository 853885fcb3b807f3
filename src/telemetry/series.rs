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
        let mut at = self;
        loop {
            // Another thread may put its own link here first; then ours goes further down.
            let link = at.0.get_or_init(|| Box::new(Link { key, handle: make(), next: Self::default() }));
            if link.key == key {
                return &link.handle;
            }
            at = &link.next;
        }
    }

    /// The same, where a new key finds room only if fewer than so many have been made.
    fn within(&self, key: K, room: impl FnOnce() -> usize, make: impl Fn() -> H) -> Option<&H> {
        let (mut at, mut passed) = (self, 0_usize);
        while let Some(link) = at.0.get() {
            if link.key == key {
                return Some(&link.handle);
            }
            (at, passed) = (&link.next, passed + 1);
        }
        let room = room();
        while passed < room {
            let link = at.0.get_or_init(|| Box::new(Link { key, handle: make(), next: Self::default() }));
            if link.key == key {
                return Some(&link.handle);
            }
            (at, passed) = (&link.next, passed + 1);
        }
        None
    }
}

/// The label sets that a route or an endpoint has had: so many as they are, and what comes after those as a set
/// that tells less and says so.
///
/// Who asks and who answers choose among methods, versions and statuses: one client that tries them all must take
/// neither the room of what is usual nor that of what the gateway itself decides.
#[derive(Debug)]
pub(super) struct Sets<K, H> {
    exact: Chain<K, H>,
    overflow: Chain<K, H>,
}

/// Who may take how much of the room for label sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// An unusual method or version, or an answer that was cut.
    Unusual = 32,
    /// Any other answer.
    Answer = 48,
    /// What the gateway itself decides.
    Own = 64,
}

impl<K, H> Default for Sets<K, H> {
    fn default() -> Self {
        Self { exact: Chain::default(), overflow: Chain::default() }
    }
}

impl<K: Copy + PartialEq, H> Sets<K, H> {
    /// The handle of this key, or of what is `coarse` of it where it finds no room. `make` learns whether it is
    /// made for the latter.
    pub(super) fn get(
        &self,
        key: K,
        room: impl FnOnce() -> Room,
        coarse: impl FnOnce(K) -> K,
        make: impl Fn(K, bool) -> H,
    ) -> &H {
        match self.exact.within(key, || room() as usize, || make(key, false)) {
            Some(handle) => handle,
            None => {
                let key = coarse(key);
                self.overflow.get(key, || make(key, true))
            }
        }
    }
}

/// What `otel.metric.overflow` says.
pub(super) const fn overflowed(overflow: bool) -> &'static str {
    if overflow { "true" } else { "" }
}

/// A status as a label says it: one that is not registered is the first of its class (RFC 9110 §15), since
/// upstreams decide which they send.
pub(super) fn registered(status: StatusCode) -> StatusCode {
    if status.canonical_reason().is_some() { status } else { class(status) }
}

/// The first status of its class; what has none is a 500.
fn class(status: StatusCode) -> StatusCode {
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
    fn what_finds_no_room_counts_as_a_coarse_key_and_takes_none() {
        let sets = Sets::default();
        let get = |key: u32, room| {
            *sets.get(key, || room, |key| key / 1000 * 1000, |key, overflow| (key, overflow))
        };
        for _ in 0..2 {
            for key in 1001..1041 {
                let wanted = if key < 1033 { (key, false) } else { (1000, true) };
                assert_eq!(get(key, Room::Unusual), wanted);
            }
        }
        // Of one that takes all of its room and more there is still some for others.
        for key in 2001..2041 {
            assert_eq!(get(key, Room::Answer), if key < 2017 { (key, false) } else { (2000, true) });
        }
        for key in 3001..3041 {
            assert_eq!(get(key, Room::Own), if key < 3017 { (key, false) } else { (3000, true) });
        }
        // One that is there is found, whoever asks.
        assert_eq!(get(3001, Room::Unusual), (3001, false));
    }

    #[test]
    fn a_status_that_is_not_registered_is_the_first_of_its_class() {
        for (status, label) in [(200, 200), (418, 418), (299, 200), (499, 400), (520, 500), (799, 500)] {
            assert_eq!(registered(StatusCode::from_u16(status).unwrap()).as_u16(), label, "{status}");
        }
    }
}
