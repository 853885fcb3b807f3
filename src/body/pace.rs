//! How fast a client must send its request's body, and whether it was the client that broke it off.
//!
//! Time counts only while somebody reads the body and nothing is there: what a slow upstream holds up
//! is not the client's doing. The answer's head ends the rule, so that both sides of a stream may be
//! quiet for as long as they like. A body that is there when it is read sets no timer.
//!
//! The rule is that of Kestrel's `MinRequestBodyDataRate` (240 bytes per second after 5 seconds), with a
//! bound on one pause added. Kestrel looks once a second; here half a second is left for what is on its way.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::Context,
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// How long a body may take before its rate is looked at.
pub const GRACE: Duration = Duration::from_secs(5);
/// What may be on its way when a client's time is up.
const TRANSIT: Duration = Duration::from_millis(500);
/// The longest pause, whatever came before it: a large first part buys no more.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What became of a request's body, for those who judge why an exchange failed.
#[derive(Debug, Default)]
pub struct Upload {
    state: AtomicU8,
    pieces: AtomicU32,
    bytes: AtomicU64,
}

/// Somebody waits for the client.
const AWAITED: u8 = 1;
/// The answer's head was sent.
const ANSWERED: u8 = 2;
/// The client broke it off, or sent what is no body.
const BROKEN: u8 = 4;
/// The client was too slow.
const TOO_SLOW: u8 = 8;
/// All of it has been read.
const ENDED: u8 = 16;

// === impl Upload ===

impl Upload {
    /// The answer's head is there: from now on the body may come as slowly as it likes.
    pub fn answered(&self) {
        self.set(ANSWERED);
    }

    /// Whether the client broke it off, or sent what is no body.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.has(BROKEN)
    }

    /// Whether the client was cut for being slow.
    #[must_use]
    pub fn is_too_slow(&self) -> bool {
        self.has(TOO_SLOW)
    }

    /// Whether it has been read to its end.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.has(ENDED)
    }

    /// Whether somebody waits for the client right now.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.has(AWAITED)
    }

    /// How many pieces of it have come; wraps around.
    #[must_use]
    pub fn pieces(&self) -> u32 {
        self.pieces.load(Relaxed)
    }

    /// How many bytes of it have come.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    // One task writes these at a time: the one that reads the body.
    fn set(&self, bit: u8) {
        self.state.fetch_or(bit, Relaxed);
    }

    fn clear(&self, bit: u8) {
        self.state.fetch_and(!bit, Relaxed);
    }

    fn has(&self, bit: u8) -> bool {
        self.state.load(Relaxed) & bit != 0
    }
}

/// Times a client that sends a body.
#[derive(Debug)]
pub(super) struct Pace {
    /// Bytes per second, 0 for any; none where nobody waits for the client, as both sides may be quiet.
    rate: Option<u32>,
    received: u64,
    /// In all the waits that are over.
    waited: Duration,
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    pub(super) upload: Arc<Upload>,
}

// === impl Pace ===

impl Pace {
    pub(super) fn new(rate: Option<u32>) -> Self {
        let upload = Arc::default();
        Self { rate, received: 0, waited: Duration::ZERO, since: None, timer: None, upload }
    }

    /// Something came, or the body ended.
    pub(super) fn came(&mut self, bytes: usize) {
        self.received += bytes as u64;
        self.upload.bytes.store(self.received, Relaxed);
        self.upload.pieces.fetch_add(1, Relaxed);
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
            self.upload.clear(AWAITED);
        }
    }

    pub(super) fn ended(&self) {
        self.upload.set(ENDED);
    }

    pub(super) fn broke(&self) {
        self.upload.set(BROKEN);
    }

    /// Nothing is there. Whether the client has been given all the time that it has earned.
    pub(super) fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(rate) = self.rate else { return false };
        if self.upload.has(ANSWERED) {
            return false;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        self.upload.set(AWAITED);
        let earned = self.received.saturating_mul(1000).checked_div(u64::from(rate));
        let Some(earned) = earned.map(Duration::from_millis) else { return false };
        let earned = earned.max(GRACE) + TRANSIT;
        let end = since + earned.saturating_sub(self.waited).min(LONGEST_PAUSE);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if timer.deadline() != end {
            timer.as_mut().reset(end);
        }
        let over = timer.as_mut().poll(cx).is_ready();
        if over {
            self.upload.set(TOO_SLOW);
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Poll};

    use tokio::time::advance;

    use super::*;

    async fn over(pace: &mut Pace) -> bool {
        poll_fn(|cx| Poll::Ready(pace.is_over(cx))).await
    }

    /// Sends so many bytes each second. Gives the second in which the client was cut.
    async fn cut_after(pace: &mut Pace, bytes: usize, most: u64) -> Option<u64> {
        for second in 1..=most {
            if over(pace).await {
                return Some(second - 1);
            }
            advance(Duration::from_secs(1)).await;
            if over(pace).await {
                return Some(second);
            }
            if bytes > 0 {
                pace.came(bytes);
            }
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_below_the_rate_is_cut_after_the_grace_and_one_above_is_not() {
        assert_eq!(cut_after(&mut Pace::new(Some(240)), 0, 60).await, Some(6));
        assert_eq!(cut_after(&mut Pace::new(Some(240)), 200, 60).await, Some(6));
        assert_eq!(cut_after(&mut Pace::new(Some(240)), 320, 600).await, None);
        assert_eq!(cut_after(&mut Pace::new(Some(0)), 0, 6000).await, None);
        assert_eq!(cut_after(&mut Pace::new(None), 0, 6000).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_fast_buys_time_but_no_pause_without_end() {
        let mut pace = Pace::new(Some(240));
        pace.came(2400);
        assert_eq!(cut_after(&mut pace, 0, 60).await, Some(11));
        let mut pace = Pace::new(Some(240));
        pace.came(100 << 20);
        assert_eq!(cut_after(&mut pace, 0, 60).await, Some(30));
    }

    #[tokio::test(start_paused = true)]
    async fn only_time_in_which_the_client_is_waited_for_counts() {
        let mut pace = Pace::new(Some(240));
        for _ in 0..100 {
            assert!(!over(&mut pace).await);
            pace.came(1);
            // The upstream takes its time; nobody reads meanwhile.
            advance(Duration::from_secs(10)).await;
        }
        assert!(!pace.upload.is_awaited() && !pace.upload.is_too_slow());
    }

    #[tokio::test(start_paused = true)]
    async fn the_answers_head_ends_the_rule() {
        let mut pace = Pace::new(Some(240));
        assert!(!over(&mut pace).await);
        assert!(pace.upload.is_awaited());
        pace.upload.answered();
        assert_eq!(cut_after(&mut pace, 0, 60).await, None);
    }
}
