//! Limits how many requests come in: entries of `rateLimit`.
//!
//! Each entry is a window over a key. All must admit: first all are asked, then all are taken from, so that a
//! refused request takes nothing. Counted per entry of its Policy and key, over all routes that share it and
//! over all workers; the counts outlive a reload that leaves the entry as it is.
//!
//! tower's `RateLimit` makes callers wait in `poll_ready`, so that one noisy client queues everybody; this layer
//! answers 429 at once. Entries that read only the request stand in front of authenticate, where they also slow
//! down whoever guesses credentials, the others behind authorize.
//!
//! Fields are those of draft-ietf-httpapi-ratelimit-headers: `q` per `w` seconds is the limit, `r` is what the
//! bucket holds now, and after `t` seconds it is full again.

pub mod buckets;

use std::{
    fmt::Write as _,
    future::Future,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderName, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::{Layer, Service};

use super::facts::{self, Facts, Given};
use crate::{
    body::Body,
    error::Error,
    expr::{Program, Slot, Text},
    problem::Kind,
    telemetry::Exchange,
};
use buckets::{Buckets, Debt, Key};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// An entry of `rateLimit`.
#[derive(Debug)]
pub struct Settings {
    /// The Policy it stands in: counted per entry of the Policy and key, over all routes that share it.
    pub policy: Arc<str>,
    /// `name`
    pub name: Arc<str>,
    /// Requests per window.
    pub limit: u64,
    /// The window.
    pub window: Duration,
    /// The bucket's depth (`limit`).
    pub burst: u64,
    /// What is counted by; the client's address (IPv6 by /64) when absent.
    pub key: Option<Text>,
    /// Whether it holds for a request; always when absent.
    pub when: Option<Program>,
}

/// An entry and what it has counted.
#[derive(Clone, Debug)]
pub struct Window {
    settings: Arc<Settings>,
    buckets: Arc<Buckets>,
    /// `"partner";q=100;w=10`
    policy: Arc<str>,
    /// How much of it is the name.
    quoted: usize,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct RateLimitLayer {
    windows: Arc<Windows>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct RateLimit<S> {
    inner: S,
    windows: Arc<Windows>,
}

#[derive(Debug)]
struct Windows {
    all: Box<[Window]>,
    /// The value of `ratelimit-policy`, when it is the same for every request.
    policy: Option<HeaderValue>,
    /// Any of them evaluates an expression.
    evaluates: bool,
    /// There is another such layer inside, whose fields stay.
    outer: bool,
}

/// What an answer says of the windows that held for its request.
#[derive(Debug)]
pub struct Fields {
    policy: HeaderValue,
    state: HeaderValue,
}

pin_project! {
    /// The answer, or the refusal.
    #[project = ResponseFutureProj]
    #[derive(Debug)]
    #[allow(missing_docs, reason = "the macro takes no documentation on the fields of a variant")]
    pub enum ResponseFuture<F> {
        /// All windows admitted it.
        Admitted { #[pin] future: F, fields: Option<Fields>, windows: Arc<Windows>, keys: Keys },
        /// One did not, or an expression failed.
        Refused { error: Option<Error> },
    }
}

/// A key per window, and what its bucket owes; none where the window does not hold. Few windows need no
/// allocation.
#[derive(Debug, Default)]
pub struct Keys {
    few: [Option<(Key, Debt)>; 4],
    more: Vec<Option<(Key, Debt)>>,
}

// === impl Settings ===

impl Settings {
    /// Whether it can be judged only once it is known who the request is from.
    #[must_use]
    pub fn reads_principal(&self) -> bool {
        let in_key = self.key.iter().flat_map(Text::references).any(|one| facts::reads_principal(&one));
        in_key || self.when.iter().flat_map(|when| when.references()).any(facts::reads_principal)
    }

    /// What makes its counts those of the same entry after a reload.
    #[must_use]
    pub fn identity(&self) -> String {
        let Self { policy, name, limit, window, burst, key, when } = self;
        format!("{policy}\0{name}\0{limit}/{window:?}/{burst}\0{key:?}\0{when:?}")
    }

    /// Whether the client's address is what is counted by. Written out it means the same as by default.
    fn is_by_address(&self) -> bool {
        match &self.key {
            None => true,
            Some(Text::One(program)) => program.as_slot() == Some(Slot::ClientIp),
            Some(Text::Literal(_) | Text::Parts(_)) => false,
        }
    }
}

// === impl Window ===

impl Window {
    /// An entry and what it has counted so far.
    #[must_use]
    pub fn new(settings: Arc<Settings>, buckets: Arc<Buckets>) -> Self {
        let seconds = seconds(settings.window).max(1);
        let mut policy = String::from("\"");
        // RFC 9651 §3.3.3.
        for char in settings.name.chars() {
            match char {
                '"' | '\\' => policy.extend(['\\', char]),
                ' '..='~' => policy.push(char),
                _ => policy.push('?'),
            }
        }
        policy.push('"');
        let quoted = policy.len();
        let _ = write!(policy, ";q={};w={seconds}", settings.limit);
        Self { settings, buckets, policy: policy.into(), quoted }
    }

    /// The key that a request is counted by; nothing if the window does not hold for it.
    fn key(&self, facts: Option<&Facts<'_>>, client: IpAddr) -> Result<Option<Key>, Error> {
        if let (Some(when), Some(facts)) = (&self.settings.when, facts)
            && !facts.test(when)?
        {
            return Ok(None);
        }
        if let (Some(text), Some(facts), false) = (&self.settings.key, facts, self.settings.is_by_address())
            && let Given::Text(text) = facts.key(text)?
        {
            return Ok(Some(self.buckets.key(1, text.as_bytes())));
        }
        Ok(Some(match client {
            IpAddr::V4(address) => self.buckets.key(4, &address.octets()),
            // Whoever has one address of a /64 has all of them.
            IpAddr::V6(address) => self.buckets.key(6, &address.octets()[..8]),
        }))
    }

    /// `"partner"`
    fn quoted(&self) -> &str {
        self.policy.get(..self.quoted).unwrap_or_default()
    }
}

// === impl RateLimitLayer ===

impl RateLimitLayer {
    /// A layer of these windows; `outer` if there is another one inside of it.
    #[must_use]
    pub fn new(windows: Vec<Window>, outer: bool) -> Self {
        let fixed = windows.iter().all(|window| window.settings.when.is_none());
        let names: Vec<&str> = windows.iter().map(Window::quoted).collect();
        let unique = names.iter().enumerate().all(|(index, name)| !names[..index].contains(name));
        let policies: Vec<&str> = windows.iter().map(|window| &*window.policy).collect();
        let policy = HeaderValue::try_from(policies.join(", ")).ok().filter(|_| fixed && unique);
        let evaluates =
            windows.iter().any(|one| one.settings.when.is_some() || !one.settings.is_by_address());
        Self { windows: Arc::new(Windows { all: windows.into(), policy, evaluates, outer }) }
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        RateLimit { inner, windows: Arc::clone(&self.windows) }
    }
}

// === impl Windows ===

impl Windows {
    /// Takes a request in, or says what to answer.
    fn judge(&self, request: &Request<Body>, now: Instant) -> Result<(Keys, Option<Fields>), Error> {
        let exchange = request.body().cargo::<Exchange>();
        let exchange =
            exchange.ok_or_else(|| Error::new(Kind::Internal).cause("a request without a record"))?;
        let facts = self.evaluates.then(|| Facts::new(request, exchange));
        let mut keys = Keys::default();
        let mut admitted = true;
        // All are asked before any is taken from.
        for (index, window) in self.all.iter().enumerate() {
            let key = window.key(facts.as_ref(), exchange.client)?;
            keys.set(index, key.map(|key| (key, window.buckets.owed(key, now))));
            admitted &= keys.get(index).is_none_or(|(_, debt)| window.buckets.admits(debt));
        }
        if !admitted {
            return Err(self.refusal(&keys));
        }
        for (index, window) in self.all.iter().enumerate() {
            let Some((key, _)) = keys.get(index) else { continue };
            match window.buckets.take(key, now) {
                Ok(debt) => keys.set(index, Some((key, debt))),
                // Another request came in between: what was taken is put back.
                Err(debt) => {
                    self.put_back(&mut keys, index, now);
                    keys.set(index, Some((key, debt)));
                    return Err(self.refusal(&keys));
                }
            }
        }
        let fields = self.fields(&keys);
        Ok((keys, fields))
    }

    /// Puts back what was taken from the first of the windows.
    fn put_back(&self, keys: &mut Keys, count: usize, now: Instant) {
        for (index, window) in self.all.iter().enumerate().take(count) {
            if let Some((key, _)) = keys.get(index) {
                window.buckets.refund(key, now);
                keys.set(index, Some((key, window.buckets.owed(key, now))));
            }
        }
    }

    fn refusal(&self, keys: &Keys) -> Error {
        let owing = self.all.iter().enumerate().filter_map(|(index, one)| Some((one, keys.get(index)?.1)));
        let waits = owing.map(|(window, debt)| (window.buckets.until_next(debt), window));
        // Whoever comes back after the longest is refused by none.
        let Some((wait, window)) = waits.max_by_key(|(wait, _)| *wait) else {
            return Kind::RateLimited.into();
        };
        let detail = format!("the limit `{}` is spent", window.settings.name);
        let error = Error::new(Kind::RateLimited).detail(detail).retry_after(seconds(wait).max(1));
        match self.fields(keys) {
            Some(fields) => error.header(POLICY, fields.policy).header(STATE, fields.state),
            None => error,
        }
    }

    fn fields(&self, keys: &Keys) -> Option<Fields> {
        let owing = |index: usize, window: &Window| {
            let (_, debt) = keys.get(index)?;
            Some((window.buckets.remaining(debt), seconds(window.buckets.until_full(debt))))
        };
        // Room for a window with a name of usual length.
        let mut state = String::with_capacity(48);
        let mut number = itoa::Buffer::new();
        let mut policy = String::new();
        for (index, window) in self.all.iter().enumerate() {
            let Some((remaining, reset)) = owing(index, window) else { continue };
            // Of entries with one name, the tightest speaks for all.
            let tighter = self.all.iter().enumerate().any(|(other, one)| {
                other != index
                    && one.settings.name == window.settings.name
                    && owing(other, one).is_some_and(|(left, _)| (left, other) < (remaining, index))
            });
            if tighter {
                continue;
            }
            if self.policy.is_none() {
                let comma = if policy.is_empty() { "" } else { ", " };
                let _ = write!(policy, "{comma}{}", window.policy);
            }
            if !state.is_empty() {
                state.push_str(", ");
            }
            state.push_str(window.quoted());
            state.push_str(";r=");
            state.push_str(number.format(remaining));
            state.push_str(";t=");
            state.push_str(number.format(reset));
        }
        if state.is_empty() {
            return None;
        }
        let policy = self.policy.clone().or_else(|| HeaderValue::try_from(policy).ok())?;
        Some(Fields { policy, state: HeaderValue::try_from(state).ok()? })
    }
}

// === impl RateLimit ===

impl<S> Service<Request<Body>> for RateLimit<S>
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
        match self.windows.judge(&request, Instant::now()) {
            Ok((keys, fields)) => {
                let windows = Arc::clone(&self.windows);
                ResponseFuture::Admitted { future: self.inner.call(request), fields, windows, keys }
            }
            Err(error) => ResponseFuture::Refused { error: Some(error) },
        }
    }
}

// === impl ResponseFuture ===

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Body>, Error>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (answer, fields, windows, keys) = match self.project() {
            ResponseFutureProj::Admitted { future, fields, windows, keys } => {
                (ready!(future.poll(cx)), fields, windows, keys)
            }
            ResponseFutureProj::Refused { error } => {
                return Poll::Ready(Err(error.take().unwrap_or_else(|| Kind::Internal.into())));
            }
        };
        Poll::Ready(match answer {
            Ok(mut response) => {
                let headers = response.headers_mut();
                if !windows.outer {
                    // What an upstream says of limits of its own is not what this client is held to.
                    headers.remove(POLICY);
                    headers.remove(STATE);
                }
                if let Some(fields) = fields.take() {
                    headers.append(POLICY, fields.policy);
                    headers.append(STATE, fields.state);
                }
                Ok(response)
            }
            Err(error) => {
                // A window inside refused it: it takes nothing from these either.
                if error.kind() == Kind::RateLimited {
                    let now = Instant::now();
                    windows.put_back(keys, windows.all.len(), now);
                    *fields = windows.fields(keys);
                }
                Err(match fields.take() {
                    Some(fields) => error.header(POLICY, fields.policy).header(STATE, fields.state),
                    None => error,
                })
            }
        })
    }
}

// === impl Keys ===

impl Keys {
    fn set(&mut self, index: usize, key: Option<(Key, Debt)>) {
        match self.few.get_mut(index) {
            Some(slot) => *slot = key,
            None => {
                let index = index - self.few.len();
                if index >= self.more.len() {
                    self.more.resize(index + 1, None);
                }
                self.more[index] = key;
            }
        }
    }

    fn get(&self, index: usize) -> Option<(Key, Debt)> {
        match self.few.get(index) {
            Some(key) => *key,
            None => self.more.get(index - self.few.len()).copied().flatten(),
        }
    }
}

/// Whole seconds, rounded up.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests;
