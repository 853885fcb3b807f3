//! What limits have counted, by the entry that it belongs to: a reload that leaves an entry as it is leaves its
//! counts too.
//!
//! Made when a gateway is built, from what the one before it has, and never changed: nothing is looked up or
//! locked when a request comes.

use std::{collections::HashMap, sync::Arc};

use super::{
    Policies,
    concurrency::{ConcurrencyLayer, Places},
    rate_limit::{
        RateLimitLayer, Window,
        buckets::{Buckets, Room},
    },
};

/// See the module.
#[derive(Debug, Default)]
pub struct Counters {
    room: Arc<Room>,
    buckets: HashMap<String, Arc<Buckets>>,
    places: HashMap<String, Arc<Places>>,
}

// === impl Counters ===

impl Counters {
    /// Those of all policies of a gateway; `previous` keeps on counting.
    #[must_use]
    pub fn new<'a>(policies: impl Iterator<Item = &'a Policies>, previous: Option<&Self>) -> Self {
        let mut counters = Self::default();
        if let Some(previous) = previous {
            counters.room = Arc::clone(&previous.room);
        }
        for policies in policies {
            for entry in &policies.rate_limits {
                let room = &counters.room;
                counters.buckets.entry(entry.identity()).or_insert_with_key(|identity| {
                    let kept = previous.and_then(|previous| previous.buckets.get(identity));
                    kept.map_or_else(|| Arc::new(Buckets::of(entry, Arc::clone(room))), Arc::clone)
                });
            }
            for limit in &policies.concurrency {
                counters.places.entry(limit.identity()).or_insert_with_key(|identity| {
                    let kept = previous.and_then(|previous| previous.places.get(identity));
                    kept.map_or_else(Arc::default, Arc::clone)
                });
            }
        }
        counters
    }

    /// The layer of those entries that are judged before it is known who a request is from, or after.
    #[must_use]
    pub fn rate_limit(&self, policies: &Policies, after: bool) -> Option<RateLimitLayer> {
        let entries = policies.rate_limits.iter().filter(|entry| entry.reads_principal() == after);
        let windows: Vec<_> = entries
            .filter_map(|entry| {
                let buckets = self.buckets.get(&entry.identity())?;
                Some(Window::new(Arc::clone(entry), Arc::clone(buckets)))
            })
            .collect();
        let outer = !after && policies.rate_limits.iter().any(|entry| entry.reads_principal());
        (!windows.is_empty()).then(|| RateLimitLayer::new(windows, outer))
    }

    /// The layer that holds places.
    #[must_use]
    pub fn concurrency(&self, policies: &Policies) -> Option<ConcurrencyLayer> {
        let limits: Vec<_> = policies
            .concurrency
            .iter()
            .filter_map(|limit| Some((Arc::clone(limit), Arc::clone(self.places.get(&limit.identity())?))))
            .collect();
        (!limits.is_empty()).then(|| ConcurrencyLayer::new(limits))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::policy::rate_limit;

    fn policies(limit: u64) -> Policies {
        let entry = rate_limit::Settings {
            policy: "p".into(),
            name: "a".into(),
            limit,
            window: Duration::from_secs(60),
            burst: limit,
            key: None,
            when: None,
        };
        Policies { rate_limits: vec![Arc::new(entry)], ..Policies::default() }
    }

    #[test]
    fn counts_outlive_a_reload_that_leaves_their_entry_as_it_is() {
        let same = |one: &Counters, other: &Counters| {
            let of = |counters: &Counters| counters.buckets.values().next().map(Arc::as_ptr);
            of(one) == of(other)
        };
        let first = Counters::new([&policies(5)].into_iter(), None);
        let second = Counters::new([&policies(5), &policies(5)].into_iter(), Some(&first));
        let third = Counters::new([&policies(6)].into_iter(), Some(&second));
        assert!(same(&first, &second) && second.buckets.len() == 1);
        assert!(!same(&second, &third));
    }
}
