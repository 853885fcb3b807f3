//! File descriptors: how many there may be, and who may take how many.
//!
//! Clients, and connections to services, each have a share that they cannot exceed, so that the rest
//! (listeners, the admin pages, name lookups, the files of a reload) never finds none left.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use tokio::sync::Notify;

/// What is neither a client nor a connection to a service: this many, and so many for each core.
const OWN: (usize, usize) = (64, 8);

/// So few clients are worth a warning even where nobody asked for more.
const FEW: usize = 512;

/// What the process may have, shared out.
#[derive(Debug)]
pub struct Descriptors {
    limit: usize,
    /// Of the limit, what clients and calls may take together.
    free: usize,
    /// Connections of clients.
    pub clients: Arc<Share>,
    /// Connections to services.
    pub calls: Arc<Share>,
}

/// A number of descriptors that may be taken.
#[derive(Debug)]
pub struct Share {
    most: AtomicUsize,
    taken: AtomicUsize,
    /// How often somebody found none left, or had to wait for one.
    refused: AtomicUsize,
    freed: Notify,
}

/// One descriptor of a share, given back when it is dropped.
#[derive(Debug)]
pub struct Taken(Arc<Share>);

// === impl Descriptors ===

impl Descriptors {
    /// Raises the process's soft limit to the hard one, and shares out what that gives.
    #[must_use]
    pub fn raise(cores: usize) -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        // Without the right to do so the limit stays what it is.
        let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
        let limit = if raised { maximum } else { current };
        Self::of(limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX)), cores)
    }

    /// No bound but the kernel's.
    #[must_use]
    pub fn unbounded() -> Self {
        Self::of(usize::MAX, 0)
    }

    fn of(limit: usize, cores: usize) -> Self {
        let free = limit.saturating_sub(OWN.0 + OWN.1 * cores).max(2);
        Self { limit, free, clients: Arc::new(Share::new(0)), calls: Arc::new(Share::new(free)) }
    }

    /// Lets clients have as many as are wanted, if calls keep a quarter, and calls the rest: of the clients
    /// that are connected, most ask nothing at any one time. `asked` is whether somebody wrote that number.
    pub fn share_out(&self, clients: usize, asked: bool) {
        let most = clients.min(self.free - (self.free / 4).max(1));
        if most < clients && self.clients.most.load(SeqCst) != most {
            let limit = self.limit;
            if asked || most < FEW {
                tracing::warn!(
                    "at most {most} clients are served at once instead of {clients} (`limits.maxConnections`): the \
                     process may have {limit} file descriptors; raise the hard limit, `ulimit -Hn`"
                );
            } else {
                tracing::info!("up to {most} clients at once: the process may have {limit} file descriptors");
            }
        }
        self.clients.allow(most);
        self.calls.allow(self.free - most);
    }
}

/// Whether the process, or the whole system, has no descriptor left.
#[must_use]
pub fn ran_out(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

// === impl Share ===

impl Share {
    fn new(most: usize) -> Self {
        Self {
            most: AtomicUsize::new(most),
            taken: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            freed: Notify::new(),
        }
    }

    fn allow(&self, most: usize) {
        self.most.store(most, SeqCst);
        self.freed.notify_waiters();
    }

    fn find(self: &Arc<Self>) -> Option<Taken> {
        let most = self.most.load(SeqCst);
        let found = self.taken.fetch_update(SeqCst, SeqCst, |taken| (taken < most).then_some(taken + 1));
        found.is_ok().then(|| Taken(Arc::clone(self)))
    }

    /// Takes one if there is one.
    pub fn take(self: &Arc<Self>) -> Option<Taken> {
        let found = self.find();
        if found.is_none() {
            self.refused.fetch_add(1, SeqCst);
        }
        found
    }

    /// Waits until there is one.
    pub async fn wait(self: &Arc<Self>) -> Taken {
        if let Some(taken) = self.take() {
            return taken;
        }
        loop {
            let freed = self.freed.notified();
            if let Some(taken) = self.find() {
                return taken;
            }
            freed.await;
        }
    }

    /// Takes one although there may be none left: for what is there already and must be dealt with.
    pub fn exceed(self: &Arc<Self>) -> Taken {
        self.taken.fetch_add(1, SeqCst);
        Taken(Arc::clone(self))
    }

    /// Waits until one has been given back.
    pub async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Whether there is none left.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.taken.load(SeqCst) >= self.most()
    }

    /// How many there may be.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most.load(SeqCst)
    }

    /// How often somebody found none left, so far.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.refused.load(SeqCst)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, SeqCst);
        self.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, task::Poll};

    use super::*;

    fn shares(limit: usize, clients: usize) -> [usize; 2] {
        let descriptors = Descriptors::of(limit, 2);
        descriptors.share_out(clients, true);
        [&descriptors.clients, &descriptors.calls].map(|share| share.most.load(SeqCst))
    }

    #[test]
    fn clients_have_what_is_wanted_as_long_as_calls_keep_a_quarter() {
        assert_eq!(shares(1_000_000, 20_000), [20_000, 979_920]);
        assert_eq!(shares(1024, 20_000), [708, 236]);
        assert_eq!(shares(256, 20_000), [132, 44]);
        assert_eq!(shares(256, 10), [10, 166]);
        assert_eq!(shares(0, 20_000), [1, 1]);
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_the_next_that_leaves_or_by_a_larger_share() {
        let share = Arc::new(Share::new(1));
        let first = share.take().unwrap();
        assert!(share.take().is_none());
        {
            let mut wait = pin!(share.wait());
            assert!(poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx).is_pending())).await);
            drop(first);
            drop(wait.await);
        }
        let _second = share.take().unwrap();
        let mut wait = pin!(share.wait());
        assert!(poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx).is_pending())).await);
        share.allow(2);
        wait.await;
        assert_eq!(share.refused(), 3, "once for each that waits, however often it looks");
    }
}
