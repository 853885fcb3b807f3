//! Decides who a request is from, by one policy after the other.

use std::{borrow::Cow, sync::Arc};

use http::{HeaderValue, Request, header};
use tokio::sync::futures::OwnedNotified;

use super::{
    Consumers, Method, Settings, Source,
    credential::{self, Found},
    subject::Pattern,
};
use crate::{
    body::Body,
    error::Error,
    policy::jwt::{self, Now, Reject, Verdict, Verifier},
    principal::{Principal, PrincipalKind},
    problem::Kind,
    telemetry::Exchange,
};

/// One policy's `authenticate`, ready to judge.
#[derive(Debug)]
pub struct Authenticator {
    methods: Box<[Prepared]>,
    all: bool,
    anonymous: bool,
    consumers: Arc<Consumers>,
}

#[derive(Debug)]
enum Prepared {
    Jwt { from: Box<[Place]>, verifiers: Box<[Arc<Verifier>]>, scheme: Box<str> },
    ApiKey { from: Box<[Place]>, challenge: HeaderValue },
    Mtls { subjects: Box<[Pattern]> },
}

/// A place of credentials, and the same as what is noted of a request.
#[derive(Debug)]
struct Place {
    source: Source,
    spent: Arc<[Source]>,
    /// The same with the places after it.
    rest: Arc<[Source]>,
}

/// A credential and the places that have one.
type Credential<'a, 'r> = (&'a Arc<[Source]>, Cow<'r, str>);

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Decision {
    /// It goes on.
    Pass,
    /// It is answered with this.
    Refuse(Error),
    /// Once this happens it can be said.
    Wait(OwnedNotified),
}

/// Somebody, and where the credential stood that tells.
struct Somebody<'a> {
    principal: Arc<Principal>,
    spent: Option<&'a Arc<[Source]>>,
}

/// What a method comes to.
enum Outcome<'a> {
    Good(Somebody<'a>),
    /// No credential of this kind.
    Missing,
    Bad(Reject),
    Wait(OwnedNotified),
    Unavailable(u64),
}

/// What a policy comes to.
enum Verdicts<'a> {
    /// In the order of the document; none for anonymous.
    Good(Vec<Somebody<'a>>),
    Refuse(Error),
    Wait(OwnedNotified),
}

/// Judges a request by every policy, and notes who it is from.
pub(super) fn judge(
    all: &[Arc<Authenticator>],
    request: &Request<Body>,
    exchange: &Exchange,
    now: Now,
) -> Decision {
    let mut principal = None;
    let mut spent: Option<Arc<[Source]>> = None;
    for authenticator in all {
        let found = match authenticator.verdict(request, exchange, now) {
            Verdicts::Good(found) => found,
            Verdicts::Refuse(error) => return Decision::Refuse(error),
            Verdicts::Wait(ended) => return Decision::Wait(ended),
        };
        for one in found {
            principal.get_or_insert(one.principal);
            spent = match (spent, one.spent) {
                (spent, None) => spent,
                (None, Some(first)) => Some(Arc::clone(first)),
                (Some(spent), Some(more)) => Some(spent.iter().chain(more.iter()).cloned().collect()),
            };
        }
    }
    let principal = principal.unwrap_or_else(|| Arc::new(Principal::anonymous()));
    let _ = exchange.principal.set(principal);
    if let Some(spent) = spent {
        let _ = exchange.spent.set(spent);
    }
    Decision::Pass
}

// === impl Authenticator ===

impl Authenticator {
    /// Prepares a policy. `verifier` gives that of an issuer.
    #[must_use]
    pub fn new(
        settings: &Settings,
        consumers: &Arc<Consumers>,
        mut verifier: impl FnMut(&Arc<super::Issuer>) -> Arc<Verifier>,
    ) -> Self {
        let methods = settings.methods.iter().map(|method| match method {
            Method::Jwt(jwt) => Prepared::Jwt {
                from: places(&jwt.from),
                verifiers: jwt.issuers.iter().map(&mut verifier).collect(),
                scheme: scheme(&jwt.from).into(),
            },
            Method::ApiKey(key) => {
                Prepared::ApiKey { from: places(&key.from), challenge: challenge(&key.from) }
            }
            Method::Mtls(mtls) => {
                Prepared::Mtls { subjects: mtls.subjects.iter().map(|text| Pattern::new(text)).collect() }
            }
        });
        Self {
            methods: methods.collect(),
            all: settings.all,
            anonymous: settings.anonymous,
            consumers: Arc::clone(consumers),
        }
    }

    fn verdict(&self, request: &Request<Body>, exchange: &Exchange, now: Now) -> Verdicts<'_> {
        let mut good = Vec::new();
        let mut bad = None;
        let mut unavailable = None;
        let mut missing = 0;
        for (index, method) in self.methods.iter().enumerate() {
            match self.outcome(method, request, exchange, now) {
                Outcome::Good(one) if !self.all => return Verdicts::Good(vec![one]),
                Outcome::Good(one) => good.push(one),
                Outcome::Missing => missing += 1,
                Outcome::Bad(why) => bad = bad.or(Some((index, why))),
                Outcome::Wait(ended) => return Verdicts::Wait(ended),
                Outcome::Unavailable(seconds) => unavailable = unavailable.or(Some(seconds)),
            }
        }
        if let Some((index, why)) = bad {
            return Verdicts::Refuse(self.unauthenticated(Some((index, why))));
        }
        if let Some(seconds) = unavailable {
            return Verdicts::Refuse(Error::new(Kind::KeysUnavailable).retry_after(seconds));
        }
        if self.all && missing == 0 && !good.is_empty() {
            return Verdicts::Good(good);
        }
        // Some of what must all be there is no credential at all.
        if self.anonymous && missing == self.methods.len() {
            return Verdicts::Good(Vec::new());
        }
        Verdicts::Refuse(self.unauthenticated(None))
    }

    fn outcome<'a>(
        &'a self,
        method: &'a Prepared,
        request: &Request<Body>,
        exchange: &Exchange,
        now: Now,
    ) -> Outcome<'a> {
        match method {
            Prepared::Jwt { from, verifiers, .. } => match credential(from, request) {
                Ok(None) => Outcome::Missing,
                Err(why) => Outcome::Bad(why),
                Ok(Some((spent, token))) => match jwt::judge(verifiers, &token, now) {
                    Verdict::Principal(principal) => {
                        Outcome::Good(Somebody { principal, spent: Some(spent) })
                    }
                    Verdict::Reject(why) => Outcome::Bad(why),
                    Verdict::Wait(ended) => Outcome::Wait(ended),
                    Verdict::Unavailable(seconds) => Outcome::Unavailable(seconds),
                },
            },
            Prepared::ApiKey { from, .. } => match credential(from, request) {
                Ok(None) => Outcome::Missing,
                Err(why) => Outcome::Bad(why),
                Ok(Some((spent, key))) => match self.consumers.of_key(&key) {
                    Some(consumer) => {
                        let principal = Arc::new(Principal {
                            kind: PrincipalKind::ApiKey,
                            id: Some(Arc::clone(&consumer.name)),
                            claims: None,
                            scopes: Arc::default(),
                            consumer: Some(consumer),
                        });
                        Outcome::Good(Somebody { principal, spent: Some(spent) })
                    }
                    None => Outcome::Bad("the key is unknown"),
                },
            },
            Prepared::Mtls { subjects } => {
                let Some(certificate) = exchange.peer.certificate.as_deref() else { return Outcome::Missing };
                if now.wall > certificate.not_after as f64 {
                    return Outcome::Bad("the certificate has expired");
                }
                let [uri] = &*certificate.uris else {
                    return Outcome::Bad("the certificate has not exactly one URI");
                };
                if !subjects.iter().any(|subject| subject.matches(uri)) {
                    return Outcome::Bad("the certificate's URI is none that is taken");
                }
                let principal = Arc::new(Principal {
                    kind: PrincipalKind::Mtls,
                    id: Some(Arc::from(&**uri)),
                    claims: None,
                    scopes: Arc::default(),
                    consumer: self.consumers.of_certificate(uri),
                });
                Outcome::Good(Somebody { principal, spent: None })
            }
        }
    }

    /// 401, with a challenge for each way there is (RFC 9110 §11.6.1).
    fn unauthenticated(&self, bad: Option<(usize, Reject)>) -> Error {
        let mut error = Error::new(Kind::Unauthenticated);
        error = match bad {
            Some((_, why)) => error.detail(why).cause(why),
            None => error.detail("there are no credentials, or not all that are wanted"),
        };
        for (index, method) in self.methods.iter().enumerate() {
            let value = match method {
                Prepared::Jwt { scheme, .. } => {
                    // RFC 6750 §3: without a token, no word of what is wrong with it.
                    let value = match bad.filter(|(at, _)| *at == index) {
                        Some((_, why)) => {
                            format!("{scheme} error=\"invalid_token\", error_description=\"{why}\"")
                        }
                        None => scheme.to_string(),
                    };
                    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("Bearer"))
                }
                Prepared::ApiKey { challenge, .. } => challenge.clone(),
                Prepared::Mtls { .. } => HeaderValue::from_static("ClientCertificate"),
            };
            error = error.header(header::WWW_AUTHENTICATE, value);
        }
        error
    }
}

fn places(from: &[Source]) -> Box<[Place]> {
    let place = |(index, source): (usize, &Source)| Place {
        source: source.clone(),
        spent: [source.clone()].into(),
        rest: from[index..].to_vec().into(),
    };
    from.iter().enumerate().map(place).collect()
}

/// The one credential in the first place that has any, and all places that have one: what stands in a later place is
/// a credential too, whoever it would have told, and goes no further either.
fn credential<'a, 'r>(
    from: &'a [Place],
    request: &'r Request<Body>,
) -> Result<Option<Credential<'a, 'r>>, Reject> {
    let find = |place: &Place| credential::find(&place.source, request.headers(), request.uri());
    for (index, place) in from.iter().enumerate() {
        match find(place) {
            Found::Nothing => {}
            Found::One(text) => {
                let alone = from[index + 1..].iter().all(|later| find(later) == Found::Nothing);
                return Ok(Some((if alone { &place.spent } else { &place.rest }, text)));
            }
            Found::Several => return Err("there is more than one credential in one place"),
            Found::Garbled => return Err("the credential is not text"),
        }
    }
    Ok(None)
}

fn scheme(from: &[Source]) -> &str {
    let mut schemes = from.iter().filter_map(|source| match source {
        Source::Header(_, scheme) => scheme.as_deref(),
        Source::Cookie(_) | Source::Query(_) => None,
    });
    schemes.next().unwrap_or("Bearer")
}

/// No scheme for keys is registered; this one says where the first place is.
fn challenge(from: &[Source]) -> HeaderValue {
    let (place, name) = match from.first() {
        Some(Source::Header(_, Some(scheme))) => {
            return HeaderValue::from_str(scheme).unwrap_or(HeaderValue::from_static("ApiKey"));
        }
        Some(Source::Header(name, None)) => ("header", name.as_str()),
        Some(Source::Cookie(name)) => ("cookie", name.as_str()),
        Some(Source::Query(name)) => ("query", name.as_str()),
        None => ("header", "x-api-key"),
    };
    let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
    let value = HeaderValue::try_from(format!("ApiKey in=\"{place}\", name=\"{escaped}\""));
    value.unwrap_or(HeaderValue::from_static("ApiKey"))
}
