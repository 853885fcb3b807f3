//! The mock services' process part: one thread, one runtime, a free loopback port for each.

use std::{
    cell::RefCell,
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    rc::Rc,
    sync::Arc,
    thread,
};

use bytes::Bytes;
use http::{Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::task::{LocalSet, spawn_local};

use super::{
    ledger::{Ledger, Tally},
    services::{MOCKS, Mock, Question},
};

/// Fixed, so that two demos tell the same story.
const SEED: u64 = 20;

/// The mock services, serving until the process ends.
pub(super) struct Mocks {
    addresses: Vec<SocketAddr>,
    ledgers: Arc<[Ledger]>,
}

impl Mocks {
    /// Starts every service of [`MOCKS`].
    pub(super) fn start() -> io::Result<Self> {
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for _ in MOCKS {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            addresses.push(listener.local_addr()?);
            listeners.push(listener);
        }
        let ledgers: Arc<[Ledger]> = MOCKS.iter().map(|_| Ledger::default()).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let theirs = Arc::clone(&ledgers);
        thread::Builder::new().name("mocks".into()).spawn(move || {
            let random = Rc::new(RefCell::new(fastrand::Rng::with_seed(SEED)));
            let services = LocalSet::new();
            for (index, (mock, listener)) in MOCKS.iter().zip(listeners).enumerate() {
                services.spawn_local(accept(listener, mock, index, Arc::clone(&theirs), Rc::clone(&random)));
            }
            runtime.block_on(services);
        })?;
        Ok(Self { addresses, ledgers })
    }

    pub(super) fn count(&self) -> usize {
        self.addresses.len()
    }

    /// The variable of each service and its URL.
    pub(super) fn urls(&self) -> Vec<(&'static str, String)> {
        MOCKS.iter().zip(&self.addresses).map(|(mock, at)| (mock.variable, format!("http://{at}"))).collect()
    }

    /// What each service was asked so far.
    pub(super) fn tallies(&self) -> Vec<(&'static str, Tally)> {
        MOCKS.iter().zip(self.ledgers.iter()).map(|(mock, ledger)| (mock.name, ledger.tally())).collect()
    }
}

async fn accept(
    listener: TcpListener,
    mock: &'static Mock,
    index: usize,
    ledgers: Arc<[Ledger]>,
    random: Rc<RefCell<fastrand::Rng>>,
) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: others must get a chance to close theirs.
            tokio::task::yield_now().await;
            continue;
        };
        // Small answers must not wait for the acknowledgement of the ones before.
        let _ = stream.set_nodelay(true);
        let (ledgers, random) = (Arc::clone(&ledgers), Rc::clone(&random));
        spawn_local(async move {
            let service = service_fn(|request| answer(request, mock, &ledgers[index], &random));
            // A gateway that drops a call closes the connection under it: nothing to report.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    mock: &'static Mock,
    ledger: &Ledger,
    random: &RefCell<fastrand::Rng>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let _call = ledger.call();
    let (takes, fails) = mock.behaviour.draw(&mut random.borrow_mut());
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    tokio::time::sleep(takes).await;
    let mut response = Response::new(Full::default());
    if fails {
        *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        return Ok(response);
    }
    let (status, value) = (mock.answer)(&Question {
        method: &head.method,
        path: head.uri.path().trim_start_matches('/').split('/').collect(),
        query: head.uri.query().unwrap_or_default(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    });
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    *response.body_mut() = Full::from(value.to_string());
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::request::get;

    #[test]
    fn a_mock_answers_json_and_counts_the_call() {
        let mocks = Mocks::start().unwrap();
        let (_, url) = mocks.urls().into_iter().find(|(variable, _)| *variable == "RUNNING_URL").unwrap();
        let address = url.trim_start_matches("http://").parse().unwrap();
        let answer = get(address, "/boards/avonford", Duration::from_secs(5)).unwrap();
        assert_eq!(answer.status, 200);
        let board: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(board["station"], "avonford");
        let asked: u64 = mocks.tallies().iter().map(|(_, tally)| tally.calls).sum();
        assert_eq!(asked, 1);
    }
}
