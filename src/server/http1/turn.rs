//! How much one connection moves before the other connections of its worker have their turn.
//!
//! A client that sends as fast as it is read, or reads as fast as it is sent to, never makes its connection wait,
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
pub(super) struct Turn(usize);

impl Turn {
    /// Notes bytes that were moved.
    pub(super) fn moved(&mut self, bytes: usize) {
        self.0 += bytes;
    }

    /// Whether it is over. Then the task is to wait, and is woken once the others have been looked after, those
    /// included whose bytes have come in the meantime.
    pub(super) fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
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
        let order = Rc::new(RefCell::new(Vec::new()));
        let local = tokio::task::LocalSet::new();
        for (name, bytes) in [("much", 50_000), ("little", 10)] {
            let order = Rc::clone(&order);
            local.spawn_local(async move {
                let (mut turn, mut left) = (Turn::default(), 4);
                poll_fn(|cx| {
                    while left > 0 {
                        turn.moved(bytes);
                        order.borrow_mut().push(name);
                        left -= 1;
                        if turn.is_over(cx) {
                            return Poll::Pending;
                        }
                    }
                    Poll::Ready(())
                })
                .await;
            });
        }
        local.await;
        let wanted = ["much", "much", "little", "little", "little", "little", "much", "much"];
        assert_eq!(*order.borrow(), wanted);
    }
}
