//! One test, played: a gateway of its own on a paused clock, so that no test sees what another left.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::{HeaderValue, Method, Request, header};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    Answered, caller, compare,
    names::Names,
    script::Script,
    seen::Seen,
    stage::{KeyFiles, Placeholders, Stage},
};
use crate::{
    body::Body,
    compose::{Custody, Runner},
    config::suite::{EarlierTemplate, RequestTemplate, SuiteTemplate, TestTemplate},
    descriptors::Descriptors,
    diagnostic::{Code, Diagnostic, Diagnostics, Place},
    gateway::{Gateway, Handle, Surroundings, upgrade::Tunnels},
    headers::Peer,
    identity::Store,
    plan::Plan,
    telemetry::{Instruments, Record, StepRecord, registry::Registry},
    upstream::{Egress, Network, Resolver, Upstreams},
};

/// No test takes longer on its own clock.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// How many executions may outlive their answer.
const CUSTODY: usize = 64;

/// What happened.
#[derive(Debug, Default)]
pub(super) struct Played {
    /// The answer, unless the client left.
    pub(super) answer: Option<Answered>,
    /// Every call, in the order in which they came.
    pub(super) calls: Vec<Seen>,
    /// Those for which there was no mock.
    pub(super) unanswered: Vec<Seen>,
    /// Answers of the test itself that no call was given.
    pub(super) unused: Vec<Place>,
    /// `unit/name` of the route; empty when there was none.
    pub(super) route: String,
    /// How each step ended, those inside of Compositions too.
    pub(super) steps: Vec<Settled>,
    /// Names of degraded steps.
    pub(super) degraded: Vec<String>,
    /// Which of the route's `errors` answered.
    pub(super) rule: Option<usize>,
    /// Why it could not be played.
    pub(super) broken: Diagnostics,
}

/// How a step ended.
#[derive(Debug)]
pub(super) struct Settled {
    /// The Composition that it is of, unless it is the route's own.
    pub(super) composition: Option<usize>,
    /// Its index.
    pub(super) step: usize,
    pub(super) outcome: &'static str,
    /// Some of its items failed.
    pub(super) failed_items: bool,
}

impl Settled {
    fn of(step: &StepRecord, record: &Record) -> Self {
        let scope = step.scope.checked_sub(1).and_then(|scope| record.scopes.get(usize::from(scope)));
        Self {
            composition: scope.map(|scope| scope.composition as usize),
            step: step.step.into(),
            outcome: step.outcome.as_str(),
            failed_items: step.failed_items > 0,
        }
    }
}

/// Plays a test.
pub(super) fn play(
    (plan, keys): (&Arc<Plan>, &KeyFiles),
    names: &Arc<Names>,
    suite: &SuiteTemplate,
    test: &TestTemplate,
) -> Played {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let played = match runtime {
        Ok(runtime) => runtime.block_on(perform((plan, keys), names, suite, test)),
        Err(error) => Err(broken(test, format!("there is no clock to run it on: {error}"))),
    };
    played.unwrap_or_else(|broken| Played { broken, ..Played::default() })
}

fn broken(test: &TestTemplate, why: impl Into<String>) -> Diagnostics {
    let mut findings = Diagnostics::default();
    findings.push(Diagnostic::new(Code::TestFailed, test.name.place.clone(), why));
    findings
}

async fn perform(
    (plan, keys): (&Arc<Plan>, &KeyFiles),
    names: &Arc<Names>,
    suite: &SuiteTemplate,
    test: &TestTemplate,
) -> Result<Played, Diagnostics> {
    let stage = Arc::new(Stage::new(names, Script::new(&suite.unit, &test.mocks, &suite.mocks)));
    let around = Surroundings {
        sources: Arc::new(Placeholders { variables: suite.env.clone(), keys: Arc::clone(keys) }),
        network: Arc::new(Network {
            resolver: Arc::new(Resolver::system()),
            egress: Egress::default(),
            descriptors: Descriptors::unbounded(),
            dialer: Some(Arc::clone(&stage) as _),
        }),
        instruments: Arc::new(Instruments::new(Arc::new(Registry::new(1)))),
        keys: Store::offline(),
        listeners: Vec::new(),
    };
    let gateway = Arc::new(Gateway::build(Arc::clone(plan), 1, None, &around)?);
    let custody = Custody::new(CUSTODY);
    let runner = Runner { caller: Arc::new(Upstreams::new()), custody: Arc::clone(&custody) };
    let handle = Handle::new(gateway, runner, Arc::new(Tunnels::default()));
    let peer = Arc::new(Peer::new(SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 50_000))));

    // Under way until the test has its answer: dropped like this, their clients leave.
    let _under_way = before(&handle, plan, &peer, &test.before).await?;
    stage.script().begin();
    let request = request(&test.request)?;
    let head = *request.method() == Method::HEAD;
    let started = Instant::now();
    let principal = test.request.principal.as_ref();
    let principal = principal.map(|who| Arc::new(caller::principal(who, plan, &test.request.place)));
    let begun = handle.take(request, &peer, principal);
    let exchange = Arc::clone(begun.exchange());
    let stay = test.request.leaves_after.unwrap_or(LONGEST);
    let answered = timeout(stay, async {
        let (response, _finish, _upload) = begun.answer().await;
        let (parts, body) = response.into_parts();
        let body = if head { Body::empty() } else { body };
        let body = body.collect(u64::MAX).await.ok();
        Answered {
            status: parts.status,
            headers: parts.headers,
            body,
            elapsed: started.elapsed(),
            request_id: Arc::clone(&exchange.id),
            trace_id: format!("{:032x}", exchange.trace.id),
        }
    })
    .await;
    // What outlives the answer belongs to the test.
    let drained = timeout(LONGEST, custody.drained()).await;
    if drained.is_err() {
        return Err(broken(test, "a call is still under way after an hour"));
    }
    let unused = stage.script().unused(test.mocks.len());
    let (calls, unanswered) = stage.script().take();
    let record: &Record = &exchange.record();
    Ok(Played {
        answer: answered.ok(),
        calls,
        unanswered,
        unused,
        route: record.route.as_ref().map_or_else(String::new, |route| route.name().to_owned()),
        steps: record.steps.iter().map(|step| Settled::of(step, record)).collect(),
        degraded: record.degraded.clone(),
        rule: record.rule,
        broken: Diagnostics::default(),
    })
}

/// Sends what comes before the test's own request. Gives those of it that are still under way.
async fn before(
    handle: &Handle,
    plan: &Plan,
    peer: &Arc<Peer>,
    earlier: &[EarlierTemplate],
) -> Result<JoinSet<()>, Diagnostics> {
    let mut under_way = JoinSet::new();
    for one in earlier {
        let principal = one.request.principal.as_ref();
        let principal = principal.map(|who| Arc::new(caller::principal(who, plan, &one.request.place)));
        for _ in 0..one.times {
            let begun = handle.take(request(&one.request)?, peer, principal.clone());
            let stay = one.request.leaves_after.unwrap_or(LONGEST);
            let answered = async move {
                let answered = timeout(stay, async {
                    let (response, _finish, _upload) = begun.answer().await;
                    response.into_body().collect(u64::MAX).await.is_ok()
                });
                // Whether it had an answer is for its own test.
                let _ = answered.await;
            };
            if one.under_way {
                under_way.spawn(answered);
                // The clock moves when nothing else does: by then it waits for whatever it waits for.
                sleep(Duration::from_millis(1)).await;
            } else {
                answered.await;
            }
        }
        if !one.pause.is_zero() {
            sleep(one.pause).await;
        }
    }
    Ok(under_way)
}

/// The client's request.
fn request(template: &RequestTemplate) -> Result<Request<Body>, Diagnostics> {
    let wrong = |place: &Place, what: &str| {
        let mut findings = Diagnostics::default();
        findings.push(Diagnostic::new(Code::InvalidValue, place.clone(), what.to_owned()));
        findings
    };
    let mut target = template.path.value.clone();
    for (index, (name, value)) in template.query.iter().enumerate() {
        let separator = if index == 0 && !target.contains('?') { '?' } else { '&' };
        target.push(separator);
        for (part, end) in [(name, "="), (value, "")] {
            target.extend(percent_encoding::utf8_percent_encode(part, percent_encoding::NON_ALPHANUMERIC));
            target.push_str(end);
        }
    }
    let (body, media) = compare::encode(template.body.as_ref());
    let mut request = Request::new(Body::full(body));
    *request.method_mut() = template.method.clone();
    *request.uri_mut() =
        target.parse().map_err(|_| wrong(&template.path.place, "the path is not one of a request"))?;
    let headers = request.headers_mut();
    let host = HeaderValue::from_str(&template.host);
    headers.insert(header::HOST, host.map_err(|_| wrong(&template.place, "the host is not valid"))?);
    if let Some(media) = media {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    }
    let mut named = Vec::new();
    for (name, text) in &template.headers {
        let value =
            HeaderValue::from_str(text).map_err(|_| wrong(&text.place, "no field can have this value"))?;
        if named.contains(&name) {
            headers.append(name.clone(), value);
        } else {
            headers.insert(name.clone(), value);
            named.push(name);
        }
    }
    Ok(request)
}
