//! Compositions as templates, run against scripted services on a paused clock. No sockets.

mod answer;
mod custody;
mod deadline;
mod details;
mod errors;
mod estimate;
mod fan_out;
mod hostile;
mod nested;
mod order;
mod outgoing;
mod request;
mod retry;
pub(crate) mod simulation;
mod slices;

mod tolerance;
mod validate;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::time::Instant;

use super::{Call, Custody, Prepared, Runner};
use crate::{
    body::{Body, BodyError},
    compile::compile,
    config::Tree,
    error::Error,
    headers::Peer,
    id::RouteId,
    plan::Plan,
    problem::Kind,
    telemetry::{Exchange, Trace},
    upstream::{Caller, Network, Outgoing, Upstream, secret::Process},
};

const SERVICES: &str = r#"
apiVersion: segue/v1
kind: Service
metadata: {name: a, owner: team}
type: microservice
endpoints: [{url: "http://127.0.0.1:9001"}]
---
apiVersion: segue/v1
kind: Service
metadata: {name: b, owner: team}
type: microservice
endpoints: [{url: "http://127.0.0.1:9002"}]
timeout: 400ms
---
apiVersion: segue/v1
kind: Service
metadata: {name: c, owner: team}
type: microservice
endpoints: [{url: "http://127.0.0.1:9003"}]
---
apiVersion: segue/v1
kind: Service
metadata: {name: far, owner: team}
type: external
endpoints: [{url: "http://127.0.0.1:9004"}]
"#;

const GATEWAY: &str = r#"
apiVersion: segue/v1
kind: Gateway
metadata: {name: edge, owner: platform}
listeners: [{name: http, address: "127.0.0.1:8080"}]
"#;

/// A route from its keys below `metadata`; `match` is `/r/{id}` unless given.
pub(super) fn plan(route: &str) -> Arc<Plan> {
    let matching = if route.contains("match:") { "" } else { "match: {path: \"/r/{id}\"}\n" };
    let route =
        format!("apiVersion: segue/v1\nkind: Route\nmetadata: {{name: r, owner: team}}\n{matching}{route}");
    let files = [
        ("policies/gateway.yaml", GATEWAY),
        ("routes/shop/services.yaml", SERVICES),
        ("routes/shop/r.yaml", &route),
    ];
    let (plan, findings) = compile(&Tree::from_texts(files));
    Arc::new(plan.unwrap_or_else(|| panic!("the template has findings: {findings:#?}\n{route}")))
}

/// What a service does with a call.
pub(super) struct Reply {
    after: Duration,
    outcome: Result<Response<Body>, Kind>,
}

pub(super) fn reply(status: u16, content_type: &str, body: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if !content_type.is_empty() {
        response.headers_mut().insert("content-type", content_type.parse().unwrap());
    }
    Reply { after: Duration::ZERO, outcome: Ok(response) }
}

pub(super) fn json(body: &str) -> Reply {
    reply(200, "application/json", body.to_owned())
}

pub(super) fn status(status: u16) -> Reply {
    reply(status, "", "")
}

pub(super) fn broken(kind: Kind) -> Reply {
    Reply { after: Duration::ZERO, outcome: Err(kind) }
}

/// A body in pieces, each after so many milliseconds; `None` breaks it off.
pub(super) fn pieces(pieces: Vec<(u64, Option<&'static str>)>) -> Body {
    let stream = futures_util::stream::unfold(pieces.into_iter(), |mut pieces| async move {
        let (after, piece) = pieces.next()?;
        tokio::time::sleep(Duration::from_millis(after)).await;
        let frame = piece.map(|piece| http_body::Frame::data(Bytes::from(piece))).ok_or(BodyError::Stalled);
        Some((frame, pieces))
    });
    Body::other(http_body_util::StreamBody::new(stream))
}

impl Reply {
    pub(super) fn after(mut self, millis: u64) -> Self {
        self.after = Duration::from_millis(millis);
        self
    }

    pub(super) fn field(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(response) = &mut self.outcome {
            response.headers_mut().append(name, value.parse().unwrap());
        }
        self
    }

    pub(super) fn body(mut self, body: Body) -> Self {
        if let Ok(response) = &mut self.outcome {
            *response.body_mut() = body;
        }
        self
    }
}

/// A call as a service saw it.
#[derive(Debug)]
pub(super) struct Seen {
    line: String,
    headers: HeaderMap,
    body: Bytes,
    /// Whether it may be sent again on another connection.
    repeatable: bool,
}

type Script = Box<dyn Fn(&str, &str) -> Reply + Send + Sync>;

/// Services that answer from a script and keep a log on the test's clock.
pub(super) struct Services {
    script: Script,
    started: Instant,
    log: Mutex<Vec<String>>,
    seen: Mutex<Vec<Seen>>,
}

impl Services {
    fn note(&self, what: &str, line: &str) {
        self.log.lock().unwrap().push(format!("{} {what} {line}", self.started.elapsed().as_millis()));
    }
}

/// Notes that a call was dropped before its answer.
struct Under<'a>(&'a Services, Option<String>);

impl Drop for Under<'_> {
    fn drop(&mut self) {
        if let Some(line) = self.1.take() {
            self.0.note("cancel", &line);
        }
    }
}

impl Caller for Services {
    async fn send(&self, to: &Arc<Upstream>, call: Outgoing) -> Result<Response<Body>, Error> {
        let service = to.name.rsplit('/').next().unwrap_or_default().to_owned();
        let (limit, overdue, repeatable) = (call.timeout, call.overdue, call.safe);
        let (head, body) = call.into_request().into_parts();
        let line = format!("{service} {} {}", head.method, head.uri);
        self.note("start", &line);
        let mut under = Under(self, Some(line.clone()));
        let Reply { after, outcome } = (self.script)(&service, &format!("{} {}", head.method, head.uri));
        let body = body.collect(u64::MAX).await.unwrap_or_default();
        self.seen.lock().unwrap().push(Seen {
            line: format!("{} {}", head.method, head.uri),
            headers: head.headers,
            body,
            repeatable,
        });
        let late = tokio::time::timeout(limit, tokio::time::sleep(after)).await.is_err();
        under.1 = None;
        self.note(if late { "late" } else { "end" }, &line);
        if late {
            return Err(overdue.into());
        }
        outcome.map_err(Error::new)
    }
}

/// One test's gateway: a plan, services, custody.
#[derive(Clone)]
pub(super) struct Bench {
    pub(super) plan: Arc<Plan>,
    pub(super) services: Arc<Services>,
    pub(super) custody: Arc<Custody>,
    pub(super) exchange: Arc<Exchange>,
}

impl Bench {
    pub(super) fn new(route: &str, script: impl Fn(&str, &str) -> Reply + Send + Sync + 'static) -> Self {
        Self::of(plan(route), script)
    }

    pub(super) fn of(plan: Arc<Plan>, script: impl Fn(&str, &str) -> Reply + Send + Sync + 'static) -> Self {
        let services = Services {
            script: Box::new(script),
            started: Instant::now(),
            log: Mutex::default(),
            seen: Mutex::default(),
        };
        let peer = Arc::new(Peer::new(SocketAddr::from((Ipv4Addr::new(192, 0, 2, 7), 1234))));
        let state = Some("v=1".parse().unwrap());
        let trace = Trace { id: 0xabc, random: false, state, ..Trace::new() };
        let client = IpAddr::from([192, 0, 2, 7]);
        let mut exchange = Exchange::new("req-1".into(), trace, peer, client, "https");
        // The test's clock.
        exchange.started = Instant::now().into_std();
        Self { plan, services: Arc::new(services), custody: Custody::new(8), exchange: Arc::new(exchange) }
    }

    pub(super) fn call(&self, request: Request<Body>) -> Call {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let id = path.strip_prefix("/r/").unwrap_or_default();
        let id = percent_encoding::percent_decode_str(id).decode_utf8_lossy().into_owned();
        let timeout = self.plan.routes[0].timeout;
        Call {
            plan: Arc::clone(&self.plan),
            route: RouteId(0),
            upstreams: self.plan.services.iter().map(upstream).collect(),
            exchange: Arc::clone(&self.exchange),
            head,
            captures: [id].into(),
            body,
            deadline: Instant::now() + timeout,
            timeout,
        }
    }

    pub(super) fn runner(&self) -> Runner<Services> {
        Runner { caller: Arc::clone(&self.services), custody: Arc::clone(&self.custody) }
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Result<Answer, Error> {
        Ok(Answer::of(super::run(self.runner(), self.call(request)).await?).await)
    }

    pub(super) async fn get(&self, target: &str) -> Result<Answer, Error> {
        self.send(get(target)).await
    }

    pub(super) async fn prepare(&self, request: Request<Body>) -> Result<Prepared, Error> {
        super::prepare(self.runner(), self.call(request)).await
    }

    /// What happened, in order: `MILLISECONDS start|end|cancel|late SERVICE METHOD TARGET`.
    pub(super) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.services.log.lock().unwrap())
    }

    /// The targets that were called, in order.
    pub(super) fn targets(&self) -> Vec<String> {
        self.services.seen.lock().unwrap().iter().map(|seen| seen.line.clone()).collect()
    }

    /// The calls that may be sent again, by their targets.
    pub(super) fn repeatable(&self) -> Vec<(String, bool)> {
        let seen = self.services.seen.lock().unwrap();
        let mut all: Vec<_> = seen.iter().map(|seen| (seen.line.clone(), seen.repeatable)).collect();
        all.sort();
        all
    }

    /// The only call that was made.
    pub(super) fn only(&self) -> Seen {
        let mut seen = std::mem::take(&mut *self.services.seen.lock().unwrap());
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }

    pub(super) fn elapsed(&self) -> u128 {
        self.services.started.elapsed().as_millis()
    }
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    pub(super) async fn of(response: Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect(u64::MAX).await.expect("the answer's body is whole");
        let body = String::from_utf8_lossy(&body).into_owned();
        Self { status: head.status.as_u16(), headers: head.headers, body }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(super) fn get(target: &str) -> Request<Body> {
    Request::get(target).header("host", "shop.example.com:8443").body(Body::empty()).unwrap()
}

pub(super) fn post(content_type: &str, body: &str) -> Request<Body> {
    let request = Request::post("/r/1").header("host", "shop.example.com");
    let request =
        if content_type.is_empty() { request } else { request.header("content-type", content_type) };
    request.body(Body::full(body.to_owned())).unwrap()
}

/// Built as the gateway does it; nothing is connected before a call.
fn upstream(service: &crate::plan::Service) -> Arc<Upstream> {
    static NETWORK: OnceLock<Arc<Network>> = OnceLock::new();
    let network =
        NETWORK.get_or_init(|| Arc::new(Network::system(crate::descriptors::Descriptors::unbounded())));
    Arc::new(Upstream::build(service, &Process::new("."), network).expect("the service can be built"))
}
