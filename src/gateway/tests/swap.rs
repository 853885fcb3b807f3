//! Reloads among requests, by simulation: the gateway that is swapped, its pools and its permits are those that
//! serve; only the byte stream to a service ends within the process, on a paused clock.
//!
//! Every request is a random composition with random outcomes (see `compose::tests::simulation`), begun, left
//! and reloaded at random moments. A seed that fails is printed, and gives the same again.

use std::{
    convert::Infallible,
    future::ready,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{io::duplex, time::Instant};

use crate::{
    body::{Body, BodyError},
    compile::compile,
    compose::{
        Custody, Runner,
        tests::simulation::{
            model::Model,
            random::{Composition, Outcome},
        },
    },
    config::Tree,
    descriptors::Descriptors,
    gateway::{Gateway, Handle, Surroundings, upgrade::Tunnels},
    headers::Peer,
    identity::Store,
    plan::Plan,
    telemetry::{Instruments, registry::Registry},
    upstream::{
        Egress, Network, Resolver, Upstreams,
        dial::{Dialer, Dialled, Intended},
        secret::Process,
    },
};

/// How many worlds are tried.
const SEEDS: u64 = 250;
/// Requests of one world, which is also how many its Policy lets in at once.
const REQUESTS: usize = 5;

const SHARED: &str = r#"
apiVersion: segue/v1
kind: Gateway
metadata: {name: edge, owner: platform}
listeners: [{name: http, address: "127.0.0.1:8080"}]
---
apiVersion: segue/v1
kind: Policy
metadata: {name: few, owner: platform}
authenticate: {anonymous: true}
concurrency: {max: 5}
---
apiVersion: segue/v1
kind: PolicyBinding
metadata: {name: few, owner: platform}
mode: mandatory
policies: [few]
"#;

/// A call as its service saw it.
#[derive(Clone, Debug)]
struct Called {
    request: String,
    step: usize,
    is_unsafe: bool,
    /// Which Service it was of.
    service: String,
    began: Instant,
    /// Absent if the caller went before the answer.
    ended: Option<Instant>,
}

/// Every service: HTTP/1.1 on a byte stream within the process, connections used again as the pool likes.
struct Services {
    composition: Composition,
    calls: Arc<Mutex<Vec<Called>>>,
    open: Arc<AtomicUsize>,
}

/// Counts a connection.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Dialer for Services {
    fn dial(&self, _: Intended<'_>) -> Dialled {
        let (near, far) = duplex(64 * 1024);
        let (composition, calls) = (self.composition.clone(), Arc::clone(&self.calls));
        self.open.fetch_add(1, SeqCst);
        let open = Open(Arc::clone(&self.open));
        tokio::spawn(async move {
            let _open = open;
            let service = service_fn(move |request: Request<Incoming>| {
                answer(composition.clone(), Arc::clone(&calls), request)
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(far), service).await;
        });
        Ok(near)
    }
}

/// What an outcome looks like on the wire; a fault ends the connection.
async fn answer(
    composition: Composition,
    calls: Arc<Mutex<Vec<Called>>>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let field =
        |name: &str| request.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let mut path = request.uri().path().trim_start_matches("/s").split('/');
    let step: usize = path.next().unwrap().parse().unwrap();
    let item: usize = path.next().map_or(0, |item| item.parse().unwrap());
    let at = {
        let mut calls = calls.lock().unwrap();
        calls.push(Called {
            request: field("x-request-id"),
            step,
            is_unsafe: request.method() == "POST",
            service: field("x-service"),
            began: Instant::now(),
            ended: None,
        });
        calls.len() - 1
    };
    let outcome = composition.outcomes[step][item];
    let delay = if outcome == Outcome::Never { 100_000_000 } else { composition.delays[step][item] };
    tokio::time::sleep(Duration::from_millis(delay)).await;
    calls.lock().unwrap()[at].ended = Some(Instant::now());
    let body = match outcome {
        Outcome::Ok => format!("{{\"v\": \"{}\"}}", request.uri()),
        Outcome::OkWithout => "{\"w\": 1}".to_owned(),
        Outcome::Status => String::new(),
        // With its head: a connection that closes before may be taken for one that was closed all along, whose
        // call is sent again.
        Outcome::Reset | Outcome::Never => "{".to_owned(),
    };
    let body = match outcome {
        Outcome::Reset | Outcome::Never => {
            let start = stream::once(ready(Ok(Frame::data(Bytes::from(body)))));
            let end = stream::once(async {
                tokio::task::yield_now().await;
                Err(BodyError::Stalled)
            });
            Body::other(StreamBody::new(start.chain(end)))
        }
        _ => Body::full(body),
    };
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    if outcome == Outcome::Status {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    Ok(response)
}

/// The plan of one generation. Its Service differs from that of another one if its number does.
fn plan(composition: &Composition, service: u64) -> Plan {
    let services = format!(
        "apiVersion: segue/v1\nkind: Service\nmetadata: {{name: a, owner: team}}\n\
         endpoints: [{{url: \"http://a.test\"}}]\nheaders: {{x-service: \"{service}\"}}\n"
    );
    let route = format!(
        "apiVersion: segue/v1\nkind: Route\nmetadata: {{name: r, owner: team}}\nmatch: {{path: /r}}\n{}",
        composition.route()
    );
    let files = [
        ("policies/all.yaml", SHARED),
        ("routes/shop/services.yaml", services.as_str()),
        ("routes/shop/r.yaml", route.as_str()),
    ];
    let (plan, findings) = compile(&Tree::from_texts(files));
    plan.unwrap_or_else(|| panic!("{findings:#?}"))
}

/// A worker without its sockets.
struct World {
    composition: Composition,
    calls: Arc<Mutex<Vec<Called>>>,
    open: Arc<AtomicUsize>,
    around: Surroundings,
    caller: Arc<Upstreams>,
    custody: Arc<Custody>,
    handle: Mutex<Arc<Handle>>,
    peer: Arc<Peer>,
}

/// What a client got: status, body, and what it says is missing.
type Got = (u16, String, String);

impl World {
    fn new(composition: &Composition) -> Self {
        let (calls, open) = (Arc::default(), Arc::default());
        let dialer =
            Services { composition: composition.clone(), calls: Arc::clone(&calls), open: Arc::clone(&open) };
        let around = Surroundings {
            sources: Arc::new(Process::new(".")),
            network: Arc::new(Network {
                resolver: Arc::new(Resolver::system()),
                egress: Egress::default(),
                descriptors: Descriptors::unbounded(),
                dialer: Some(Arc::new(dialer)),
            }),
            instruments: Arc::new(Instruments::new(Arc::new(Registry::new(1)))),
            keys: Store::offline(),
            listeners: Vec::new(),
        };
        let gateway = Arc::new(Gateway::build(plan(composition, 1), 1, None, &around).expect("it builds"));
        let (caller, custody) = (Arc::new(Upstreams::new()), Custody::new(1 << 16));
        let runner = Runner { caller: Arc::clone(&caller), custody: Arc::clone(&custody) };
        let handle = Mutex::new(Arc::new(Handle::new(gateway, runner, Arc::new(Tunnels::default()))));
        let peer = Arc::new(Peer::new(SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 50_000))));
        let composition = composition.clone();
        Self { composition, calls, open, around, caller, custody, handle, peer }
    }

    fn handle(&self) -> Arc<Handle> {
        Arc::clone(&self.handle.lock().unwrap())
    }

    /// As a worker does it when another generation is there.
    fn reload(&self, service: u64) {
        let old = self.handle();
        let next = old.generation() + 1;
        let built = Gateway::build(plan(&self.composition, service), next, Some(old.gateway()), &self.around);
        let new = Arc::new(old.succeeded_by(Arc::new(built.expect("it builds"))));
        *self.handle.lock().unwrap() = new;
    }

    /// The request's id and what its client got, unless the client left before.
    async fn request(&self, stay: Option<u64>) -> (String, Option<Got>, Duration) {
        let request = Request::get("/r").header("host", "shop.test").body(Body::empty()).unwrap();
        let began = Instant::now();
        let begun = self.handle().take(request, &self.peer, None);
        let id = begun.exchange().id.to_string();
        let stay = Duration::from_millis(stay.unwrap_or(1_000_000_000));
        let got = tokio::time::timeout(stay, async {
            let (response, _finish, _upload) = begun.answer().await;
            let (head, body) = response.into_parts();
            let body = body.collect(u64::MAX).await.expect("it is whole");
            let degraded = head.headers.get("segue-degraded").map_or("", |value| value.to_str().unwrap());
            (head.status.as_u16(), String::from_utf8_lossy(&body).into_owned(), degraded.to_owned())
        });
        let got = got.await.ok();
        (id, got, began.elapsed())
    }

    /// Lets everything happen that needs no time.
    async fn rest(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
}

/// A failure's document without what differs from request to request.
fn steady(id: &str, got: &Got) -> Got {
    let (status, body, degraded) = got;
    let body = match serde_json::from_str::<serde_json::Value>(body) {
        Ok(mut document) if *status >= 400 => {
            document.as_object_mut().unwrap().remove("traceId");
            document.to_string()
        }
        _ => body.clone(),
    };
    (*status, body.replace(id, "ID"), degraded.clone())
}

#[tokio::test(start_paused = true)]
async fn a_reload_changes_no_answer_stops_no_call_and_leaves_nothing_behind() {
    let (mut answers, mut left, mut kept_on) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x5eed);
        let mut composition = Composition::random(seed);
        composition.deadline = 10_000_000;
        let model = Model::of(&composition);
        let alone = World::new(&composition).request(None).await;
        let alone = steady(&alone.0, alone.1.as_ref().expect("nobody left"));

        let world = World::new(&composition);
        // Every second reload leaves the Service as it is: its connections stay.
        let reloads: Vec<(u64, u64)> = (0..3).map(|number| (rng.u64(0..200), 1 + number / 2)).collect();
        let mut reloads = reloads;
        reloads.sort_unstable_by_key(|(at, _)| *at);
        let clients = (0..REQUESTS).map(|_| {
            let (begins, leaves) = (rng.u64(0..200), rng.u8(0..3) == 0);
            let stay = leaves.then(|| rng.u64(0..=model.decided_at));
            let world = &world;
            async move {
                tokio::time::sleep(Duration::from_millis(begins)).await;
                let service = world.handle().gateway().upstreams[0].clone();
                let began = Instant::now();
                let (id, got, elapsed) = world.request(stay).await;
                (id, got, elapsed, began, stay, service)
            }
        });
        let mut service_of = Vec::new();
        let swaps = async {
            for (at, service) in &reloads {
                let now = Instant::now();
                tokio::time::sleep_until(now + Duration::from_millis(*at / 3)).await;
                service_of.push(world.handle().gateway().upstreams[0].clone());
                world.reload(*service);
            }
        };
        let (results, ()) = tokio::join!(futures_util::future::join_all(clients), swaps);
        world.custody.drained().await;
        world.rest().await;
        assert_eq!(world.custody.held(), 0, "seed {seed}");

        let calls = world.calls.lock().unwrap().clone();
        for (id, got, elapsed, began, stay, service) in &results {
            let number = service.name.clone();
            assert_eq!(&*number, "shop/a");
            let mine: Vec<&Called> = calls.iter().filter(|call| call.request == *id).collect();
            let services: std::collections::BTreeSet<&str> =
                mine.iter().map(|call| call.service.as_str()).collect();
            assert!(services.len() <= 1, "seed {seed}: a request of two plans: {services:?}");
            for call in &mine {
                let at = u64::try_from((call.began - *began).as_millis()).unwrap();
                let starts = model.starts[call.step].unwrap_or(u64::MAX);
                assert!(at >= starts, "seed {seed}: step {} before its needs", call.step);
                assert!(
                    at <= model.decided_at,
                    "seed {seed}: step {} after the decision: {at} > {}\n{}",
                    call.step,
                    model.decided_at,
                    composition.route()
                );
                let never = composition.outcomes[call.step].contains(&Outcome::Never);
                assert!(
                    !call.is_unsafe || never || call.ended.is_some(),
                    "seed {seed}: an unsafe call of step {} was cut",
                    call.step
                );
            }
            match got {
                Some(got) => {
                    answers += 1;
                    let elapsed = u64::try_from(elapsed.as_millis()).unwrap();
                    assert_eq!(elapsed, model.decided_at, "seed {seed}\n{}", composition.route());
                    let got = steady(id, got);
                    if model.possible_failures() <= 1 {
                        assert_eq!(got, alone, "seed {seed}\n{}", composition.route());
                    } else {
                        assert_eq!(got.0 >= 400, alone.0 >= 400, "seed {seed}: fails or not by timing");
                    }
                }
                None => {
                    left += 1;
                    let leaves = *began + Duration::from_millis(stay.unwrap());
                    let later = mine.iter().any(|call| call.began > leaves);
                    let sent = mine.iter().any(|call| call.is_unsafe && call.began <= leaves);
                    assert!(sent || !later, "seed {seed}: a call although nobody waits");
                    kept_on += usize::from(later);
                }
            }
        }

        // Nothing is under way, on the old services and the new, and every connection that is open is idle in
        // the pool of the one that serves.
        let current = world.handle().gateway().upstreams[0].clone();
        for service in service_of.iter().chain([&current]) {
            assert_eq!(service.calls_in_flight(), 0, "seed {seed}: a call that has no end");
            if !Arc::ptr_eq(service, &current) {
                assert_eq!(world.caller.idle(service), 0, "seed {seed}: a connection to what is gone");
            }
        }
        assert_eq!(world.open.load(SeqCst), world.caller.idle(&current), "seed {seed}: a lost connection");
        // All permits are back: as many as there are go in at once.
        let again = (0..REQUESTS).map(|_| world.request(None));
        for (id, got, _) in futures_util::future::join_all(again).await {
            let got = steady(&id, &got.unwrap());
            assert_ne!(got.0, 503, "seed {seed}: a permit did not come back");
        }
    }
    assert!(answers > 500 && left > 100 && kept_on > 20, "{answers} {left} {kept_on}");
}
