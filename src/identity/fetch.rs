//! Fetches the keys of one issuer, for as long as a gateway verifies its tokens.
//!
//! A fetch that fails changes nothing but the time of the next one. Without a set there are requests that wait,
//! so it is tried again soon; with one, no sooner than unknown keys may ask for it.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header, uri::PathAndQuery};
use tokio::time::{sleep, timeout};

use super::{Origin, discovery, warn_of_skipped};
use crate::{
    body::Body,
    config::service::{AssetType, Balance, Protocol, TlsTemplate, UrlTemplate},
    diagnostic::Place,
    plan,
    policy::{
        authenticate::KeySource,
        jwt::{KeySet, Source},
    },
    telemetry::identity::{FetchResult, IssuerSeries},
    upstream::{Added, Caller, Network, Outgoing, Upstream, Upstreams, secret::Sources},
};

/// An answer's time, from the look-up of its host to its last byte.
const PATIENCE: Duration = Duration::from_secs(2);
/// An answer's size.
const MOST_BYTES: u64 = 1024 * 1024;
/// Between two fetches when nothing is wrong, give or take a tenth.
const REFRESH: Duration = Duration::from_secs(300);
/// After a fetch that failed: the first time without a set, doubled each time.
const FIRST_RETRY: Duration = Duration::from_millis(500);
/// The longest that is doubled to, and the shortest with a set.
const LAST_RETRY: Duration = Duration::from_secs(30);

/// Fetches whenever it is time or somebody lacks a key, until nobody holds the source any more.
pub(super) async fn keep(origin: Origin, source: Weak<Source>, network: Arc<Network>, series: IssuerSeries) {
    let mut last: Option<[u8; 32]> = None;
    let mut retry = FIRST_RETRY;
    loop {
        let Some(held) = source.upgrade() else { return };
        held.begin();
        let fetched = once(&origin, &network).await;
        let next = match fetched {
            Ok((hash, keys)) => {
                series.fetched(FetchResult::Ok);
                series.keys(keys.len());
                retry = FIRST_RETRY;
                let next = REFRESH.mul_f64(0.9 + 0.2 * fastrand::f64());
                // The same keys stay the same set: tokens that they have verified are still good.
                let fresh = last.replace(hash) != Some(hash);
                if fresh {
                    tracing::info!(issuer = origin.issuer, keys = keys.len(), "keys fetched");
                    warn_of_skipped(&origin.issuer, &keys);
                }
                held.end(fresh.then(|| Arc::new(keys)), next);
                next
            }
            Err(failure) => {
                series.fetched(failure.result());
                let next = if last.is_some() { origin.cooldown.max(LAST_RETRY) } else { retry };
                retry = (retry * 2).min(LAST_RETRY);
                tracing::warn!(issuer = origin.issuer, why = %failure, ?next, "keys could not be fetched");
                held.end(None, next);
                next
            }
        };
        tokio::select! {
            () = sleep(next) => {}
            () = held.wanted() => {}
            () = abandoned(&source) => return,
        }
    }
}

/// Ends when only the task itself holds the source.
async fn abandoned(source: &Weak<Source>) {
    while source.strong_count() > 1 {
        sleep(Duration::from_secs(5)).await;
    }
}

/// Why there are no new keys. None of it repeats what an endpoint says.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the URL cannot be used: {0}")]
    Url(String),
    #[error("no answer within 2 s")]
    Late,
    #[error("{0}")]
    Call(String),
    #[error("the status is {0}")]
    Status(StatusCode),
    #[error("the answer broke off, or is larger than 1 MiB")]
    Body,
    #[error("the answer is no JWK Set: {0}")]
    Keys(&'static str),
    #[error("discovery: {0}")]
    Discovery(&'static str),
}

impl Failure {
    const fn result(&self) -> FetchResult {
        match self {
            Self::Url(_) | Self::Call(_) | Self::Late => FetchResult::Unreachable,
            Self::Status(_) | Self::Body | Self::Keys(_) | Self::Discovery(_) => FetchResult::Invalid,
        }
    }
}

async fn once(origin: &Origin, network: &Arc<Network>) -> Result<([u8; 32], KeySet), Failure> {
    let bytes = match &origin.keys {
        KeySource::Uri(url) => get(url, network).await?,
        KeySource::Discover => {
            let document = get(&discovery::url(&origin.issuer), network).await?;
            get(&discovery::keys_url(&document, &origin.issuer)?, network).await?
        }
        KeySource::File(_) => return Err(Failure::Url("it is a file".to_owned())),
    };
    let hash = digest(&SHA256, &bytes).as_ref().try_into().unwrap_or_default();
    Ok((hash, KeySet::parse(bytes, false).map_err(Failure::Keys)?))
}

/// One GET on a connection of its own. Whatever the status is, but 200, is a failure: redirects are not followed.
async fn get(url: &str, network: &Arc<Network>) -> Result<Bytes, Failure> {
    timeout(PATIENCE, exchange(url, network)).await.unwrap_or(Err(Failure::Late))
}

async fn exchange(url: &str, network: &Arc<Network>) -> Result<Bytes, Failure> {
    let wrong = |why: &str| Failure::Url(why.to_owned());
    let uri: Uri = url.parse().map_err(|_| wrong("it is not a URL"))?;
    let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
    let origin = match uri.scheme_str() {
        Some("https") => format!("https://{authority}"),
        Some("http") if is_loopback(authority.host()) => format!("http://{authority}"),
        _ => return Err(wrong("it is not https")),
    };
    let upstream = upstream(origin, network).map_err(Failure::Url)?;
    let mut request = Request::new(Body::empty());
    let target = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(target);
    let headers = request.headers_mut();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/jwk-set+json, application/json"));
    headers
        .insert(header::USER_AGENT, HeaderValue::from_static(concat!("segue/", env!("CARGO_PKG_VERSION"))));
    let call = Outgoing {
        request,
        added: Added::new(),
        safe: true,
        spare: None,
        trail: None,
        timeout: PATIENCE,
        overdue: crate::problem::Kind::UpstreamTimeout,
    };
    // No pool outlives the call, and so no connection does.
    let caller = Upstreams::new();
    let response = caller.send(&Arc::new(upstream), call).await;
    let response = response.map_err(|error| Failure::Call(cause(&error)))?;
    if response.status() != StatusCode::OK {
        return Err(Failure::Status(response.status()));
    }
    response.into_body().collect(MOST_BYTES).await.map_err(|_| Failure::Body)
}

fn cause(error: &crate::error::Error) -> String {
    match error.private_cause() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// The machine itself, as upstreams see it: a name that only resolves to it does not count.
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// Nothing of the environment has a part in it.
struct Nothing;

impl Sources for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

/// The rules of every upstream hold: forbidden addresses, system roots, a strict codec.
fn upstream(url: String, network: &Arc<Network>) -> Result<Upstream, String> {
    let place = Place { file: "keys".into(), line: 1, column: 1, width: 1 };
    let service = plan::Service {
        name: "keys".into(),
        place: place.clone(),
        asset: AssetType::External,
        endpoints: vec![(UrlTemplate::Text(url), 1, 0, place)],
        egress: None,
        protocol: Protocol::Http1,
        timeout: PATIENCE,
        connect_timeout: PATIENCE,
        balance: Balance::LeastRequest,
        in_flight: 1,
        idle_per_endpoint: 0,
        max_age: PATIENCE,
        tls: TlsTemplate::default(),
        headers: Vec::new(),
    };
    Upstream::build(&service, &Nothing, network).map_err(|findings| {
        findings.into_iter().next().map_or_else(|| "it is not valid".to_owned(), |finding| finding.message)
    })
}
