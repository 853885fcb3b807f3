use std::{future::poll_fn, task::Poll};

use super::*;
use crate::telemetry::registry::Registry;

const STALL: Duration = Duration::from_secs(30);

async fn ends_after(mut poll: impl FnMut(&mut Context<'_>) -> Poll<()> + Send + 'static) -> Duration {
    let instruments = Arc::new(Instruments::new(Arc::new(Registry::new(1))));
    let began = Instant::now();
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    Streams::new(STALL, instruments).execute(async move {
        let _sender = sender;
        poll_fn(|cx| poll(cx)).await;
    });
    assert!(tokio::time::timeout(Duration::from_secs(3600), receiver).await.is_ok_and(|sent| sent.is_err()));
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_last_frame_is_not_taken_ends() {
    let mut first = true;
    let ended = ends_after(move |_| {
        if std::mem::take(&mut first) {
            asked();
            handed_over();
        }
        Poll::Pending
    });
    assert_eq!(ended.await, STALL);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_waits_for_its_upstream_stays_and_so_does_one_that_moves() {
    let mut ticks = tokio::time::interval(Duration::from_secs(20));
    let mut left = 30;
    let ended = ends_after(move |cx| {
        while ticks.poll_tick(cx).is_ready() {
            left -= 1;
            asked();
            // The first half of the time the upstream is slow, then the client is, but moves.
            if left < 15 {
                handed_over();
            }
        }
        if left == 0 { Poll::Ready(()) } else { Poll::Pending }
    });
    assert_eq!(ended.await, Duration::from_secs(29 * 20));
}

#[tokio::test(start_paused = true)]
async fn a_wait_counts_from_its_own_beginning() {
    let mut second = Box::pin(tokio::time::sleep(Duration::from_secs(25)));
    let mut waits = 0;
    let ended = ends_after(move |cx| {
        if waits == 0 || (waits == 1 && second.as_mut().poll(cx).is_ready()) {
            waits += 1;
            asked();
            handed_over();
            if waits == 1 {
                let _ = second.as_mut().poll(cx);
            }
        }
        Poll::Pending
    });
    assert_eq!(ended.await, Duration::from_secs(55));
}
