//! Limits how many requests are under way: `concurrency`.
//!
//! Counted per Policy and key, over all routes that share it and over all workers. A place is held until the
//! answer's body has ended or was dropped; where a call that may not be cut outlives its client, or the
//! connection was upgraded, until that has ended too: the request's record holds it, and whatever goes on with
//! the request holds the record.
//!
//! tower's `ConcurrencyLimit` queues; this layer answers 503 at once. Place it behind all that may refuse or
//! wait, so that only what uses the endpoint has a place.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use http::{Request, Response};
use tower::{Layer, Service};

use super::{
    facts::{Facts, Given},
    gate::ResponseFuture,
};
use crate::{
    body::Body,
    error::Error,
    expr::Text,
    problem::Kind,
    telemetry::{Exchange, Refuser},
};

/// `concurrency`
#[derive(Debug)]
pub struct Settings {
    /// The Policy it stands in: counted per Policy and key, over all routes that share it.
    pub policy: Arc<str>,
    /// Requests at a time.
    pub max: u32,
    /// What is counted by; all requests together when absent.
    pub key: Option<Text>,
}

/// Requests under way, by key.
pub struct Places {
    all: AtomicU32,
    hasher: RandomState,
    /// Hashes of keys that have a request under way; a lock each, held for a look-up.
    shards: [Mutex<HashMap<u64, u32>>; SHARDS],
}

const SHARDS: usize = 16;

/// A place that is given back when this is dropped.
struct Held {
    places: Arc<Places>,
    key: Option<u64>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct ConcurrencyLayer {
    limits: Arc<[(Arc<Settings>, Arc<Places>)]>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Concurrency<S> {
    inner: S,
    limits: Arc<[(Arc<Settings>, Arc<Places>)]>,
}

// === impl Settings ===

impl Settings {
    /// What makes its counts those of the same limit after a reload. How many there may be can change.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{}\0{:?}", self.policy, self.key)
    }
}

// === impl Places ===

impl Default for Places {
    fn default() -> Self {
        Self {
            all: AtomicU32::new(0),
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

impl Places {
    fn shard(&self, key: u64) -> std::sync::MutexGuard<'_, HashMap<u64, u32>> {
        self.shards[key as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(self: &Arc<Self>, key: Option<&str>, max: u32) -> Option<Held> {
        let key = key.map(|key| self.hasher.hash_one(key));
        match key {
            None => {
                let one_more = |count| (count < max).then_some(count + 1);
                self.all.fetch_update(Relaxed, Relaxed, one_more).ok()?;
            }
            Some(key) => {
                let mut shard = self.shard(key);
                let count = shard.entry(key).or_default();
                if *count >= max {
                    return None;
                }
                *count += 1;
            }
        }
        Some(Held { places: Arc::clone(self), key })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(key) = self.key else {
            self.places.all.fetch_sub(1, Relaxed);
            return;
        };
        let mut shard = self.places.shard(key);
        // A key without a request takes no memory.
        match shard.get_mut(&key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                shard.remove(&key);
            }
        }
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places").field("all", &self.all).finish_non_exhaustive()
    }
}

// === impl ConcurrencyLayer ===

impl ConcurrencyLayer {
    /// A layer of these limits, which all must have a place.
    #[must_use]
    pub fn new(limits: Vec<(Arc<Settings>, Arc<Places>)>) -> Self {
        Self { limits: limits.into() }
    }
}

impl<S> Layer<S> for ConcurrencyLayer {
    type Service = Concurrency<S>;

    fn layer(&self, inner: S) -> Concurrency<S> {
        Concurrency { inner, limits: Arc::clone(&self.limits) }
    }
}

// === impl Concurrency ===

impl<S> Concurrency<S> {
    fn admit(&self, request: &Request<Body>) -> Result<(), Error> {
        let exchange = request.body().cargo::<Exchange>();
        let exchange =
            exchange.ok_or_else(|| Error::new(Kind::Internal).cause("a request without a record"))?;
        let mut held = Vec::with_capacity(self.limits.len());
        let mut facts = None;
        for (settings, places) in &*self.limits {
            let key = match &settings.key {
                None => None,
                Some(key) => match facts.get_or_insert_with(|| Facts::new(request, exchange)).key(key)? {
                    Given::Text(key) => Some(key),
                    // Somebody is there, whose name is not known.
                    Given::Nothing => Some("".into()),
                },
            };
            let place = places.take(key.as_deref(), settings.max).ok_or_else(|| {
                exchange.record().refuser = Some(Refuser::Concurrency);
                Error::new(Kind::Overloaded)
                    .detail("as many requests are under way as may be")
                    .retry_after(1)
                    .cause(format_args!("`concurrency` of {}: {}", settings.policy, settings.max))
            })?;
            held.push(place);
        }
        for place in held {
            exchange.hold(Box::new(place));
        }
        Ok(())
    }
}

impl<S> Service<Request<Body>> for Concurrency<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Error>,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.admit(&request) {
            Ok(()) => ResponseFuture::admitted(self.inner.call(request)),
            Err(error) => ResponseFuture::refused(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use tower::{ServiceBuilder, ServiceExt, service_fn};

    use super::*;
    use crate::{
        expr::{Program, Scope},
        policy::testing::{exchange, request},
    };

    /// Starts a request; its record is what keeps the place.
    async fn send(layer: &ConcurrencyLayer, head: &str) -> Result<Arc<Exchange>, Kind> {
        let request = request(head, exchange());
        let record = request.body().carried::<Exchange>().unwrap();
        let endpoint = service_fn(|_: Request<Body>| async { Ok::<_, Error>(Response::new(Body::empty())) });
        let sent = ServiceBuilder::new().layer(layer).service(endpoint).oneshot(request).await;
        sent.map(|_| record).map_err(|error| error.kind())
    }

    fn layer(max: u32, key: Option<&str>) -> ConcurrencyLayer {
        let scope = Scope { request: true, ..Scope::default() };
        let key = key.map(|key| Text::One(Program::compile(key, &scope).unwrap()));
        let settings = Settings { policy: "p".into(), max, key };
        ConcurrencyLayer::new(vec![(Arc::new(settings), Arc::default())])
    }

    #[tokio::test]
    async fn a_place_is_held_as_long_as_the_request_lasts() {
        let layer = layer(2, None);
        let first = send(&layer, "GET /").await.unwrap();
        let second = send(&layer, "GET /").await.unwrap();
        assert_eq!(send(&layer, "GET /").await.unwrap_err(), Kind::Overloaded);
        drop(first);
        let third = send(&layer, "GET /").await.unwrap();
        assert_eq!(send(&layer, "GET /").await.unwrap_err(), Kind::Overloaded);
        drop((second, third));
    }

    #[tokio::test]
    async fn keys_count_apart_and_are_forgotten_when_nothing_is_under_way() {
        let layer = layer(1, Some("request.headers['x-a']"));
        let places = Arc::clone(&layer.limits[0].1);
        let held = send(&layer, "GET /\nx-a: 1").await.unwrap();
        assert_eq!(send(&layer, "GET /\nx-a: 1").await.unwrap_err(), Kind::Overloaded);
        let other = send(&layer, "GET /\nx-a: 2").await.unwrap();
        let unnamed = send(&layer, "GET /").await.unwrap();
        assert_eq!(send(&layer, "GET /").await.unwrap_err(), Kind::Overloaded);
        drop((held, other, unnamed));
        assert!(places.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }

    #[tokio::test]
    async fn a_limit_that_has_no_place_leaves_those_of_the_others() {
        let (wide, tight) = (layer(5, None), layer(1, None));
        let both =
            ConcurrencyLayer::new([&wide, &tight].iter().flat_map(|one| one.limits.to_vec()).collect());
        let held = send(&both, "GET /").await.unwrap();
        assert!(send(&both, "GET /").await.is_err());
        assert_eq!(wide.limits[0].1.all.load(Relaxed), 1);
        drop(held);
        assert_eq!(wide.limits[0].1.all.load(Relaxed), 0);
    }
}
