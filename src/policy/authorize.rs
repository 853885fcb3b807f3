//! Authorizes: `authorize` of a Policy. Who may not do this is answered 403.
//!
//! Every rule of every layer is looked at, so that the order in which rules are written decides nothing but whose
//! `message` is shown. Place it right inside of authenticate: who may not come spends nothing.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower::{Layer, Service};

use super::{facts::Facts, gate::ResponseFuture};
use crate::{body::Body, diagnostic::Place, error::Error, expr::Program, problem::Kind, telemetry::Exchange};

/// Every rule that holds for a route, of all its layers.
#[derive(Debug, Default)]
pub struct Settings {
    /// One entry per layer (a Policy, in order): with any `allow` in it, one of its must hold; deny wins.
    pub layers: Vec<Arc<[Rule]>>,
}

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// `allow`, or else `deny`.
    pub allow: bool,
    /// The condition; an error denies.
    pub condition: Program,
    /// `message`, which becomes the problem's `detail`.
    pub message: Option<String>,
    /// Where it is written.
    pub place: Place,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct AuthorizeLayer {
    settings: Arc<Settings>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Authorize<S> {
    inner: S,
    settings: Arc<Settings>,
}

// === impl AuthorizeLayer ===

impl AuthorizeLayer {
    /// All of these rules hold.
    #[must_use]
    pub const fn new(settings: Arc<Settings>) -> Self {
        Self { settings }
    }
}

impl<S> Layer<S> for AuthorizeLayer {
    type Service = Authorize<S>;

    fn layer(&self, inner: S) -> Authorize<S> {
        Authorize { inner, settings: Arc::clone(&self.settings) }
    }
}

// === impl Settings ===

impl Settings {
    fn check(&self, request: &Request<Body>) -> Result<(), Error> {
        let Some(exchange) = request.body().cargo::<Exchange>() else {
            return Err(Error::new(Kind::Internal).cause("a request without a record"));
        };
        let facts = Facts::new(request, exchange);
        for rules in &self.layers {
            let mut denied = None;
            let mut allowed = None;
            for rule in rules.iter() {
                match (facts.test(&rule.condition), rule.allow) {
                    (Ok(true), false) => denied = denied.or(Some(rule)),
                    (Ok(holds), true) => allowed = Some(holds || allowed == Some(true)),
                    (Ok(false), false) => {}
                    (Err(error), _) => {
                        exchange.rule_failed();
                        if let Some(left_out) = exchange.line() {
                            let (id, rule) = (&*exchange.id, rule.condition.source());
                            tracing::warn!(id, rule, why = %error, left_out, "a rule of `authorize` could not be evaluated");
                        }
                        denied = denied.or(Some(rule));
                    }
                }
            }
            if let Some(rule) = denied {
                return Err(forbidden(rule.message.as_deref()));
            }
            if allowed == Some(false) {
                let mut messages = rules.iter().filter(|rule| rule.allow);
                return Err(forbidden(messages.find_map(|rule| rule.message.as_deref())));
            }
        }
        Ok(())
    }
}

fn forbidden(message: Option<&str>) -> Error {
    let error = Error::new(Kind::Forbidden);
    match message {
        Some(message) => error.detail(message.to_owned()),
        None => error.detail("the caller may not do this"),
    }
}

// === impl Authorize ===

impl<S> Service<Request<Body>> for Authorize<S>
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
        match self.settings.check(&request) {
            Ok(()) => ResponseFuture::admitted(self.inner.call(request)),
            Err(error) => ResponseFuture::refused(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::{
        expr::Scope,
        policy::testing::{exchange, request},
        principal::Principal,
    };

    /// `allow CONDITION` or `deny CONDITION`, perhaps with ` # MESSAGE`.
    fn rules(texts: &[&str]) -> Arc<[Rule]> {
        let scope = Scope { request: true, principal: true, ..Scope::default() };
        let rule = |text: &&str| {
            let (kind, rest) = text.split_once(' ').unwrap();
            let (condition, message) = match rest.split_once(" # ") {
                Some((condition, message)) => (condition, Some(message.to_owned())),
                None => (rest, None),
            };
            let condition = Program::compile(condition, &scope).unwrap();
            let place = Place { file: "policies/a.yaml".into(), line: 1, column: 1, width: 1 };
            Rule { allow: kind == "allow", condition, message, place }
        };
        texts.iter().map(rule).collect()
    }

    async fn outcome(layers: &[&[&str]]) -> String {
        let settings = Settings { layers: layers.iter().map(|texts| rules(texts)).collect() };
        let endpoint = service_fn(|_: Request<Body>| async { Ok::<_, Error>(Response::new(Body::empty())) });
        let service = AuthorizeLayer::new(Arc::new(settings)).layer(endpoint);
        let mut record = exchange();
        let scopes = [Arc::from("read")].into();
        record.principal = Arc::new(Principal { scopes, ..Principal::anonymous() }).into();
        match service.oneshot(request("GET /", record)).await {
            Ok(_) => "ok".to_owned(),
            Err(error) => {
                format!("{} {}", error.response_status(), error.public_detail().unwrap_or_default())
            }
        }
    }

    #[tokio::test]
    async fn deny_wins_and_with_any_allow_one_must_hold() {
        const NO: &str = "403 Forbidden the caller may not do this";
        for (layers, expected) in [
            (&[][..], "ok"),
            (&[&["deny false"][..]][..], "ok"),
            (&[&["deny true"]], NO),
            (&[&["deny true # away", "deny true # gone"]], "403 Forbidden away"),
            (&[&["allow true"]], "ok"),
            (&[&["allow false"]], NO),
            (&[&["allow false", "allow false # not you"]], "403 Forbidden not you"),
            (&[&["allow false # not you", "allow true"]], "ok"),
            (&[&["allow true", "allow false"]], "ok"),
            (&[&["allow true", "deny true # away"]], "403 Forbidden away"),
            (&[&["deny false", "allow 'read' in principal.scopes"]], "ok"),
            (&[&["allow 'write' in principal.scopes"]], NO),
            // Each layer by itself.
            (&[&["allow true"], &["allow false # own"]], "403 Forbidden own"),
            (&[&["allow false # mandate"], &["allow true"]], "403 Forbidden mandate"),
            (&[&["allow true"], &["deny false"]], "ok"),
        ] {
            assert_eq!(outcome(layers).await, expected, "{layers:?}");
        }
    }

    #[tokio::test]
    async fn an_error_denies_wherever_it_stands() {
        for rules in [
            &["deny principal.claims.suspended # away"][..],
            &["allow principal.claims.admin # away"],
            &["allow true", "allow principal.claims.admin # away"],
            &["allow principal.claims.admin # away", "allow true"],
            &["deny principal.plan == 'gold' # away", "allow true"],
        ] {
            assert_eq!(outcome(&[rules]).await, "403 Forbidden away", "{rules:?}");
        }
        // Absent, but not asked for plainly.
        assert_eq!(outcome(&[&["deny principal.claims.?suspended.orValue(false)"]]).await, "ok");
    }
}
