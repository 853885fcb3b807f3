//! A bounded queue towards whoever hands things over: whoever adds never waits, and what finds no room is
//! dropped and counted.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// See the module.
#[derive(Debug)]
pub struct Outbox<T> {
    items: Mutex<Items<T>>,
    most: usize,
    /// It has so many that waiting for more makes no sense.
    filled: Notify,
}

#[derive(Debug)]
struct Items<T> {
    list: Vec<T>,
    dropped: u64,
    /// Nobody takes anything: there is no collector.
    closed: bool,
}

impl<T> Outbox<T> {
    /// A queue for at most so many.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let items = Mutex::new(Items { list: Vec::new(), dropped: 0, closed: true });
        Self { items, most, filled: Notify::new() }
    }

    /// Adds one.
    pub fn push(&self, item: T) {
        let mut items = self.lock();
        if items.closed {
            return;
        }
        if items.list.len() >= self.most {
            items.dropped += 1;
            return;
        }
        items.list.push(item);
        if items.list.len() == self.most / 4 {
            drop(items);
            self.filled.notify_one();
        }
    }

    /// Takes all there is, and how many were dropped since the last time.
    pub fn take(&self) -> (Vec<T>, u64) {
        let mut items = self.lock();
        (std::mem::take(&mut items.list), std::mem::take(&mut items.dropped))
    }

    /// How many were dropped since the last time.
    pub fn take_dropped(&self) -> u64 {
        std::mem::take(&mut self.lock().dropped)
    }

    /// Begins, or ceases, to take items in.
    pub fn open(&self, open: bool) {
        let mut items = self.lock();
        items.closed = !open;
        if !open {
            items.list = Vec::new();
        }
    }

    /// Whether it takes items in.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.lock().closed
    }

    /// Waits until there are many.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Items<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let outbox = Outbox::new(8);
        outbox.push(0);
        assert_eq!(outbox.take(), (vec![], 0), "nobody takes anything");
        outbox.open(true);
        (0..10).for_each(|item| outbox.push(item));
        assert_eq!(outbox.take(), ((0..8).collect(), 2));
        outbox.push(9);
        assert_eq!(outbox.take(), (vec![9], 0));
        (0..11).for_each(|item| outbox.push(item));
        assert_eq!((outbox.take_dropped(), outbox.take_dropped()), (3, 0));
    }
}
