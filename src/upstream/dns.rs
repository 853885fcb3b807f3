//! Names to addresses: cached by TTL for the whole process, asked by one caller at a time.
//!
//! A lookup runs in a task of its own, so that it outlives the call that wanted it. When a name cannot
//! be refreshed, the last good answer stays in use.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use hickory_resolver::{TokioResolver, config::LookupIpStrategy};
use tokio::sync::watch;

use super::pool::lock;

/// What the system's own lookup does not say.
const SYSTEM_TTL: Duration = Duration::from_secs(30);
const SHORTEST_TTL: Duration = Duration::from_secs(1);
const LONGEST_TTL: Duration = Duration::from_secs(24 * 3600);
/// How long a failed lookup is not repeated.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a new connection waits for a refresh before it takes the last good answer.
const PATIENCE: Duration = Duration::from_millis(250);

/// A resolver with its cache.
pub struct Resolver {
    /// None where the system's configuration cannot be read; its own lookup is used then.
    hickory: Option<TokioResolver>,
    names: Mutex<HashMap<Arc<str>, Arc<Name>>>,
}

struct Name {
    known: watch::Sender<Known>,
    asking: AtomicBool,
}

#[derive(Clone)]
struct Known {
    addresses: Option<Arc<[IpAddr]>>,
    until: Instant,
    error: Option<Arc<str>>,
}

impl Resolver {
    /// By the system's configuration, else by the system's own lookup.
    #[must_use]
    pub fn system() -> Self {
        let hickory = TokioResolver::builder_tokio().and_then(|mut builder| {
            builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
            builder.build()
        });
        Self { hickory: hickory.ok(), names: Mutex::default() }
    }

    /// The name's addresses, IPv4 first; at least one.
    pub(super) async fn resolve(self: &Arc<Self>, name: &Arc<str>) -> Result<Arc<[IpAddr]>, Arc<str>> {
        let entry = Arc::clone(lock(&self.names).entry(Arc::clone(name)).or_default());
        let mut changes = entry.known.subscribe();
        let known = changes.borrow_and_update().clone();
        if Instant::now() < known.until {
            return known.answer();
        }
        if !entry.asking.swap(true, SeqCst) {
            let asking = Asking(Arc::clone(&entry));
            let (resolver, name) = (Arc::clone(self), Arc::clone(name));
            tokio::spawn(async move {
                let answer = resolver.look_up(&name).await;
                asking.0.learn(answer);
            });
        }
        if known.addresses.is_some() {
            let _ = tokio::time::timeout(PATIENCE, changes.changed()).await;
        } else {
            let _ = changes.changed().await;
        }
        let known = changes.borrow().clone();
        known.answer()
    }

    async fn look_up(&self, name: &str) -> Result<(Vec<IpAddr>, Duration), String> {
        let Some(hickory) = &self.hickory else {
            let found = tokio::net::lookup_host((name, 0)).await.map_err(|error| error.to_string())?;
            return Ok((found.map(|address| address.ip()).collect(), SYSTEM_TTL));
        };
        let found = hickory.lookup_ip(name).await.map_err(|error| error.to_string())?;
        let ttl = found.valid_until().saturating_duration_since(Instant::now());
        Ok((found.iter().collect(), ttl.clamp(SHORTEST_TTL, LONGEST_TTL)))
    }
}

/// Ends a lookup however its task ends.
struct Asking(Arc<Name>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.asking.store(false, SeqCst);
        // Wakes those who wait if the task was dropped before it learnt anything.
        self.0.known.send_modify(|known| {
            if known.addresses.is_none() && known.error.is_none() {
                known.error = Some("the lookup was given up".into());
            }
        });
    }
}

impl Name {
    fn learn(&self, answer: Result<(Vec<IpAddr>, Duration), String>) {
        let now = Instant::now();
        self.known.send_modify(|known| match answer {
            Ok((mut addresses, ttl)) if !addresses.is_empty() => {
                addresses.sort_by_key(IpAddr::is_ipv6);
                *known = Known { addresses: Some(addresses.into()), until: now + ttl, error: None };
            }
            failed => {
                let error = failed.err().unwrap_or_else(|| "the name has no address".to_owned());
                known.until = now + PAUSE;
                known.error = Some(error.into());
            }
        });
    }
}

impl Default for Name {
    fn default() -> Self {
        let known = Known { addresses: None, until: Instant::now(), error: None };
        Self { known: watch::Sender::new(known), asking: AtomicBool::new(false) }
    }
}

impl Known {
    fn answer(self) -> Result<Arc<[IpAddr]>, Arc<str>> {
        match (self.addresses, self.error) {
            (Some(addresses), _) => Ok(addresses),
            (None, Some(error)) => Err(error),
            (None, None) => Err("the lookup was given up".into()),
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("own", &self.hickory.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_good_answer_stays_when_a_refresh_fails() {
        let name = Name::default();
        name.learn(Err("no server".to_owned()));
        assert_eq!(name.known.borrow().clone().answer().unwrap_err().as_ref(), "no server");
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        name.learn(Ok((vec![address], Duration::ZERO)));
        name.learn(Err("no server".to_owned()));
        name.learn(Ok((Vec::new(), SYSTEM_TTL)));
        assert_eq!(name.known.borrow().clone().answer().unwrap().as_ref(), [address]);
    }

    #[tokio::test]
    async fn one_lookup_serves_all_who_wait() {
        let resolver = Arc::new(Resolver { hickory: None, names: Mutex::default() });
        let name: Arc<str> = "localhost".into();
        let (one, two) = tokio::join!(resolver.resolve(&name), resolver.resolve(&name));
        let (one, two) = (one.unwrap(), two.unwrap());
        assert!(Arc::ptr_eq(&one, &two));
        assert!(one.iter().all(IpAddr::is_loopback));
    }
}
