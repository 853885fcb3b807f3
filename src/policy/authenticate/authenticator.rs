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
    /// Where a credential of any of them may stand.
    places: Box<[Place]>,
    /// The same, as what is noted of a request.
    everywhere: Arc<[Source]>,
    all: bool,
    anonymous: bool,
    consumers: Arc<Consumers>,
}

#[derive(Debug)]
enum Prepared {
    /// `from` are indexes of the places.
    Jwt {
        from: Box<[usize]>,
        verifiers: Box<[Arc<Verifier>]>,
        scheme: Box<str>,
    },
    ApiKey {
        from: Box<[usize]>,
        challenge: HeaderValue,
    },
    Mtls {
        subjects: Box<[Pattern]>,
    },
}

/// A place of credentials, and the same as what is noted of a request.
#[derive(Debug)]
struct Place {
    source: Source,
    alone: Arc<[Source]>,
}

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

/// Somebody, and the place of the credential that tells, unless that is the connection's.
struct Somebody {
    principal: Arc<Principal>,
    place: Option<usize>,
}

/// Which places were read, a bit each.
#[derive(Clone, Copy, Default)]
struct Read(u64);

/// What a method comes to.
enum Outcome {
    Good(Somebody),
    /// No credential of this kind.
    Missing,
    Bad(Reject),
    Wait(OwnedNotified),
    Unavailable(u64),
}

/// What a policy comes to.
enum Verdicts<'a> {
    /// Somebody, or nobody where that is allowed; and the places that have a credential, which goes no further.
    Good(Option<Arc<Principal>>, Option<&'a Arc<[Source]>>),
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
        let (found, places) = match authenticator.verdict(request, exchange, now) {
            Verdicts::Good(found, places) => (found, places),
            Verdicts::Refuse(error) => return Decision::Refuse(error),
            Verdicts::Wait(ended) => return Decision::Wait(ended),
        };
        principal = principal.or(found);
        spent = match (spent, places) {
            (spent, None) => spent,
            (None, Some(first)) => Some(Arc::clone(first)),
            (Some(spent), Some(more)) => Some(spent.iter().chain(more.iter()).cloned().collect()),
        };
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
        let mut everywhere: Vec<Source> = Vec::new();
        let mut places = |from: &[Source]| {
            let place = |source: &Source| {
                everywhere.iter().position(|known| known == source).unwrap_or_else(|| {
                    everywhere.push(source.clone());
                    everywhere.len() - 1
                })
            };
            from.iter().map(place).collect()
        };
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
        let methods = methods.collect();
        let place = |source: &Source| Place { source: source.clone(), alone: [source.clone()].into() };
        Self {
            methods,
            places: everywhere.iter().map(place).collect(),
            everywhere: everywhere.into(),
            all: settings.all,
            anonymous: settings.anonymous,
            consumers: Arc::clone(consumers),
        }
    }

    fn verdict(&self, request: &Request<Body>, exchange: &Exchange, now: Now) -> Verdicts<'_> {
        let mut principal = None;
        let mut read = Read::default();
        let mut bad = None;
        let mut unavailable = None;
        let mut missing = 0;
        for (index, method) in self.methods.iter().enumerate() {
            match self.outcome(method, request, exchange, now) {
                Outcome::Good(one) => {
                    read.add(one.place);
                    if !self.all {
                        return Verdicts::Good(Some(one.principal), self.held(read, request));
                    }
                    principal.get_or_insert(one.principal);
                }
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
        if self.all && missing == 0 && principal.is_some() {
            return Verdicts::Good(principal, self.held(read, request));
        }
        // Some of what must all be there is no credential at all.
        if self.anonymous && missing == self.methods.len() {
            return Verdicts::Good(None, None);
        }
        Verdicts::Refuse(self.unauthenticated(None))
    }

    /// The places that have a credential: those that were read, and what stands in any other place of any method.
    /// That is a credential too, whoever it would have told, and goes no further either.
    fn held(&self, read: Read, request: &Request<Body>) -> Option<&Arc<[Source]>> {
        let mut held = self
            .places
            .iter()
            .enumerate()
            .filter(|(index, place)| read.has(*index) || find(&place.source, request) != Found::Nothing);
        match (held.next(), held.next()) {
            (None, _) => None,
            (Some((_, place)), None) => Some(&place.alone),
            (Some(_), Some(_)) => Some(&self.everywhere),
        }
    }

    fn outcome(&self, method: &Prepared, request: &Request<Body>, exchange: &Exchange, now: Now) -> Outcome {
        match method {
            Prepared::Jwt { from, verifiers, .. } => match self.credential(from, request) {
                Ok(None) => Outcome::Missing,
                Err(why) => Outcome::Bad(why),
                Ok(Some((place, token))) => match jwt::judge(verifiers, &token, now) {
                    Verdict::Principal(principal) => {
                        Outcome::Good(Somebody { principal, place: Some(place) })
                    }
                    Verdict::Reject(why) => Outcome::Bad(why),
                    Verdict::Wait(ended) => Outcome::Wait(ended),
                    Verdict::Unavailable(seconds) => Outcome::Unavailable(seconds),
                },
            },
            Prepared::ApiKey { from, .. } => match self.credential(from, request) {
                Ok(None) => Outcome::Missing,
                Err(why) => Outcome::Bad(why),
                Ok(Some((place, key))) => match self.consumers.of_key(&key) {
                    Some(consumer) => {
                        let principal = Arc::new(Principal {
                            kind: PrincipalKind::ApiKey,
                            id: Some(Arc::clone(&consumer.name)),
                            claims: None,
                            scopes: Arc::default(),
                            consumer: Some(consumer),
                        });
                        Outcome::Good(Somebody { principal, place: Some(place) })
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
                Outcome::Good(Somebody { principal, place: None })
            }
        }
    }

    /// The one credential in the first of these places that has any.
    fn credential<'r>(
        &self,
        from: &[usize],
        request: &'r Request<Body>,
    ) -> Result<Option<(usize, Cow<'r, str>)>, Reject> {
        for index in from {
            match find(&self.places[*index].source, request) {
                Found::Nothing => {}
                Found::One(text) => return Ok(Some((*index, text))),
                Found::Several => return Err("there is more than one credential in one place"),
                Found::Garbled => return Err("the credential is not text"),
            }
        }
        Ok(None)
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

// === impl Read ===

impl Read {
    fn add(&mut self, place: Option<usize>) {
        // What finds no room here is looked for again.
        self.0 |= place.and_then(|place| 1u64.checked_shl(u32::try_from(place).ok()?)).unwrap_or_default();
    }

    fn has(self, place: usize) -> bool {
        u32::try_from(place)
            .ok()
            .and_then(|place| self.0.checked_shr(place))
            .is_some_and(|rest| rest & 1 == 1)
    }
}

fn find<'r>(source: &Source, request: &'r Request<Body>) -> Found<'r> {
    credential::find(source, request.headers(), request.uri())
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
