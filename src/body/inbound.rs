//! The body of a client's request, from the connection that receives it to whoever reads it.
//!
//! The connection reads from its socket only what somebody waits for, one piece at a time, so back-pressure
//! reaches the client. Reader and connection are mostly parts of one task; then nobody is woken, because
//! that task looks at the connection after its reader and at its reader after the connection. A task that woke
//! itself would also never wait, however often it offered to let others go first.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::BodyError;

/// The reader's end.
pub struct Inbound(Arc<Shared>);

/// The connection's end. Dropped before the end of the body, the body breaks off.
pub struct Feed(Arc<Shared>);

/// What a reader wants of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// The next piece.
    Next,
    /// Nothing now.
    Later,
    /// Nothing any more.
    Never,
}

type Shared = Mutex<State>;

#[derive(Debug)]
struct State {
    frame: Option<Frame<Bytes>>,
    /// Nothing comes after `frame`.
    ended: bool,
    broken: Option<BodyError>,
    /// How many bytes are to come, if that is known.
    left: Option<u64>,
    wanted: bool,
    unread: bool,
    reader: Option<Waker>,
    connection: Option<Waker>,
}

/// A body of so many bytes, or of as many as come.
#[must_use]
pub fn channel(length: Option<u64>) -> (Feed, Inbound) {
    let shared = Arc::new(Mutex::new(State {
        frame: None,
        ended: false,
        broken: None,
        left: length,
        wanted: false,
        unread: false,
        reader: None,
        connection: None,
    }));
    (Feed(Arc::clone(&shared)), Inbound(shared))
}

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a waker, unless it is that of the last time.
fn keep(place: &mut Option<Waker>, cx: &Context<'_>) {
    if !place.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
        *place = Some(cx.waker().clone());
    }
}

// === impl Feed ===

impl Feed {
    /// What the reader wants. It wakes the task when that changes.
    pub fn demand(&self, cx: &Context<'_>) -> Demand {
        let mut state = lock(&self.0);
        if state.unread {
            return Demand::Never;
        }
        if state.wanted {
            return Demand::Next;
        }
        keep(&mut state.connection, cx);
        Demand::Later
    }

    /// Gives what was wanted. A reader in the same task is looked at next.
    pub fn give(&self, cx: &Context<'_>, frame: Option<Frame<Bytes>>, last: bool) {
        let reader = {
            let mut state = lock(&self.0);
            if let (Some(left), Some(data)) = (&mut state.left, frame.as_ref().and_then(Frame::data_ref)) {
                *left = left.saturating_sub(data.len() as u64);
            }
            state.frame = frame;
            state.ended = last;
            state.wanted = false;
            state.reader.take().filter(|reader| !reader.will_wake(cx.waker()))
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// The client has broken it off.
    pub fn fail(self, why: &'static str) {
        let reader = {
            let mut state = lock(&self.0);
            state.broken = Some(BodyError::Client(why));
            state.wanted = false;
            state.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        if !state.ended && state.broken.is_none() {
            state.broken = Some(BodyError::Client("the connection was closed"));
            if let Some(reader) = state.reader.take() {
                drop(state);
                reader.wake();
            }
        }
    }
}

// === impl Inbound ===

impl Inbound {
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut state = lock(&self.0);
        if let Some(frame) = state.frame.take() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Some(error) = state.broken.take() {
            state.ended = true;
            return Poll::Ready(Some(Err(error)));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.wanted = true;
        keep(&mut state.reader, cx);
        let other = state.connection.take().filter(|waker| !waker.will_wake(cx.waker()));
        drop(state);
        if let Some(connection) = other {
            connection.wake();
        }
        Poll::Pending
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let state = lock(&self.0);
        state.ended && state.frame.is_none()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let state = lock(&self.0);
        let waiting = state.frame.as_ref().and_then(Frame::data_ref).map_or(0, Bytes::len) as u64;
        match (state.left, state.ended) {
            (Some(left), _) => SizeHint::with_exact(left + waiting),
            (None, true) => SizeHint::with_exact(waiting),
            (None, false) => SizeHint::new(),
        }
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.unread = true;
        state.frame = None;
        if let Some(connection) = state.connection.take() {
            drop(state);
            connection.wake();
        }
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Feed")
    }
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inbound")
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn pieces_come_when_they_are_wanted_and_the_last_is_known_as_such() {
        let (feed, mut body) = channel(Some(5));
        poll_fn(|cx| {
            assert_eq!(feed.demand(cx), Demand::Later);
            assert!(body.poll_frame(cx).is_pending());
            assert_eq!(feed.demand(cx), Demand::Next);
            feed.give(cx, Some(Frame::data(Bytes::from("he"))), false);
            assert_eq!(body.size_hint().exact(), Some(5));
            assert!(body.poll_frame(cx).is_ready() && body.poll_frame(cx).is_pending());
            feed.give(cx, Some(Frame::data(Bytes::from("llo"))), true);
            assert!(!body.is_end_stream() && body.poll_frame(cx).is_ready() && body.is_end_stream());
            Poll::Ready(())
        })
        .await;
    }

    #[test]
    fn a_task_does_not_wake_itself_and_a_reader_elsewhere_is_woken() {
        struct Count(std::sync::atomic::AtomicUsize);
        impl std::task::Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
        for (same, wakes) in [(true, 0), (false, 1)] {
            let count = Arc::new(Count(0.into()));
            let (mine, other) = (Waker::from(Arc::clone(&count)), Waker::noop());
            let (feed, mut body) = channel(None);
            assert!(body.poll_frame(&mut Context::from_waker(&mine)).is_pending());
            let giver = Context::from_waker(if same { &mine } else { other });
            feed.give(&giver, Some(Frame::data(Bytes::from("x"))), false);
            assert_eq!(count.0.load(std::sync::atomic::Ordering::Relaxed), wakes);
            assert!(body.poll_frame(&mut Context::from_waker(&mine)).is_ready());
        }
    }

    #[tokio::test]
    async fn a_reader_elsewhere_is_woken_and_sees_that_the_connection_has_gone() {
        let (feed, mut body) = channel(None);
        let reader = tokio::spawn(async move {
            let first = poll_fn(|cx| body.poll_frame(cx)).await.unwrap().unwrap().into_data().unwrap();
            (first, poll_fn(|cx| body.poll_frame(cx)).await.unwrap().is_err())
        });
        for _ in 0..2 {
            poll_fn(|cx| match feed.demand(cx) {
                Demand::Next => Poll::Ready(()),
                Demand::Later | Demand::Never => Poll::Pending,
            })
            .await;
            if lock(&feed.0).frame.is_none() {
                break;
            }
        }
        poll_fn(|cx| {
            feed.give(cx, Some(Frame::data(Bytes::from("x"))), false);
            Poll::Ready(())
        })
        .await;
        drop(feed);
        assert_eq!(reader.await.unwrap(), (Bytes::from("x"), true));
    }

    #[tokio::test]
    async fn a_body_that_nobody_reads_any_more_is_not_wanted() {
        let (feed, body) = channel(None);
        drop(body);
        let demand = poll_fn(|cx| Poll::Ready(feed.demand(cx))).await;
        assert_eq!(demand, Demand::Never);
    }
}
