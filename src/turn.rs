//! How much one task moves before the others of its worker have their turn.
//!
//! A peer that sends as fast as it is read, or reads as fast as it is sent to, never makes its connection wait,
//! and the scheduler counts reads and not bytes: a body of 1 MiB would hold everybody up for milliseconds.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll},
};

use tokio::task::yield_now;

/// Bytes: some twenty-five microseconds.
const MOST: usize = 32 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub struct Turn(usize);

impl Turn {
    /// Notes bytes that were moved.
    pub fn moved(&mut self, bytes: usize) {
        self.0 += bytes;
    }

    /// Notes bytes that were moved, and waits until the others have been looked after if it is over.
    pub async fn take(&mut self, bytes: usize) {
        self.moved(bytes);
        if self.0 >= MOST {
            self.0 = 0;
            yield_now().await;
        }
    }

    /// Whether it is over. Then the task is to wait, and is woken once the others have been looked after, those
    /// included whose bytes have come in the meantime.
    pub fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        if self.0 < MOST {
            return false;
        }
        self.0 = 0;
        pin!(yield_now()).poll(cx) == Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, future::poll_fn, rc::Rc};

    use super::*;

    #[tokio::test]
    async fn whoever_moves_much_lets_others_go_first() {
        for polled in [true, false] {
            let order = Rc::new(RefCell::new(Vec::new()));
            let local = tokio::task::LocalSet::new();
            for (name, bytes) in [("much", MOST / 2), ("little", 10)] {
                let order = Rc::clone(&order);
                local.spawn_local(async move {
                    let mut turn = Turn::default();
                    for _ in 0..4 {
                        order.borrow_mut().push(name);
                        if polled {
                            turn.moved(bytes);
                            let mut first = true;
                            poll_fn(|cx| match std::mem::take(&mut first) && turn.is_over(cx) {
                                true => Poll::Pending,
                                false => Poll::Ready(()),
                            })
                            .await;
                        } else {
                            turn.take(bytes).await;
                        }
                    }
                });
            }
            local.await;
            let wanted = ["much", "much", "little", "little", "little", "little", "much", "much"];
            assert_eq!(*order.borrow(), wanted, "{polled}");
        }
    }
}
