//! Delivery of one signal: again after a while if the collector has no time, and not for ever.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::client::{Client, Outcome};
use crate::telemetry::{Instruments, Signal, otlp};

/// The first pause; it doubles up to the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// A message is given up after that.
const MOST_TRIES: u32 = 5;

/// See the module.
pub(super) struct Delivery {
    client: Client,
    signal: Signal,
    instruments: Arc<Instruments>,
    stop: watch::Receiver<bool>,
    /// The last message did not arrive, which has been said.
    failing: bool,
}

impl Delivery {
    pub(super) const fn new(
        client: Client,
        signal: Signal,
        instruments: Arc<Instruments>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self { client, signal, instruments, stop, failing: false }
    }

    /// Waits for the time, for `early`, or for the end, which it says.
    pub(super) async fn wait(&mut self, time: Duration, early: impl Future<Output = ()>) -> bool {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = early => {}
            _ = self.stop.wait_for(|stop| *stop) => {}
        }
        *self.stop.borrow()
    }

    /// Counts items that are lost.
    pub(super) fn lost(&self, items: u64) {
        if items > 0 {
            self.instruments.dropped(self.signal, items);
        }
    }

    /// Hands a message over that has so many items.
    pub(super) async fn deliver(&mut self, message: Vec<u8>, items: u64) {
        let message = bytes::Bytes::from(message);
        let mut pause = FIRST;
        for tries in 1..=MOST_TRIES {
            let began = Instant::now();
            let (outcome, why) = match self.client.send(message.clone()).await {
                Ok(Outcome::Taken(answer)) => {
                    self.instruments.exported(self.signal, "ok");
                    self.lost(otlp::refused(&answer).min(items));
                    if std::mem::take(&mut self.failing) {
                        tracing::info!(signal = self.signal.as_str(), "the collector takes it again");
                    }
                    return;
                }
                Ok(Outcome::Refused(status)) => (None, status.to_string()),
                Ok(Outcome::Busy(status, after)) => (Some(after), status.to_string()),
                Err(error) => (Some(None), error.to_string()),
            };
            self.instruments.exported(self.signal, "failed");
            if !std::mem::replace(&mut self.failing, true) {
                let took = began.elapsed();
                tracing::warn!(signal = self.signal.as_str(), why, ?took, "the collector did not take it");
            }
            let again = outcome.filter(|_| tries < MOST_TRIES && !*self.stop.borrow());
            let Some(after) = again else { break };
            let jittered = pause.mul_f64(0.5 + fastrand::f64());
            self.wait(jittered.max(after.unwrap_or_default()).min(LONGEST), std::future::pending()).await;
            pause = (pause * 2).min(LONGEST);
        }
        self.lost(items);
    }
}
