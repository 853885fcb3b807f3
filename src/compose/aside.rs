//! Work that would hold up the other requests of a worker: done on a thread of its own, a few pieces at
//! the same time.
//!
//! An evaluation is tried within a slice first (`expr::sliced`), which nearly all are done in: no future of
//! its own, nothing cloned. Only what is cut there is run again here. It is as bounded as ever, so that
//! nobody waits for long behind it.

use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::{error::Error, problem::Kind};

/// How many pieces are worked on at the same time in this process. More would only take the processors
/// from the workers.
static PLACES: Semaphore = Semaphore::const_new(4);

/// Runs a piece of work aside. It runs on if nobody waits for it any more.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let place = PLACES.acquire().await;
    let done = spawn_blocking(move || {
        let _place = place;
        work()
    });
    match done.await {
        Ok(result) => result,
        Err(error) => Err(Error::new(Kind::Internal).cause(error)),
    }
}
