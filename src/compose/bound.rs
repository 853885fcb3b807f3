//! A bound in time that costs nothing until something waits.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

pin_project! {
    /// The future's output, or none if it is not there in time.
    ///
    /// Differs from tokio's timeout in what it holds: the timer is made when the future is first found
    /// pending, which what is bounded here seldom is, and it does not make the whole larger.
    pub(super) struct Within<F> {
        #[pin]
        future: F,
        end: Instant,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

/// Bounds a future.
pub(super) const fn within<F: Future>(end: Instant, future: F) -> Within<F> {
    Within { future, end, timer: None }
}

impl<F: Future> Future for Within<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Some(output));
        }
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(*this.end)));
        timer.as_mut().poll(cx).map(|()| None)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_there_at_once_is_taken_after_its_time_and_what_is_not_is_cut() {
        let end = Instant::now();
        assert_eq!(within(end, async { 1 }).await, Some(1));
        let end = end + Duration::from_secs(3);
        assert_eq!(within(end, std::future::pending::<()>()).await, None);
        assert_eq!(Instant::now(), end);
    }
}
