//! What a policy's expressions read: a request's head, its record, and who it is from.
//!
//! Made on the stack where a layer needs it, everything borrowed. A layer runs on the worker that serves, so
//! one evaluation has a fiftieth of the steps that a template's expression may take. A policy reads heads and
//! claims, never bodies, and needs a fraction of that.

use std::{borrow::Cow, sync::OnceLock};

use http::{HeaderMap, Method, Request, Uri};

use crate::{
    body::Body,
    error::Error,
    expr::{Data, EvalError, Frame, Meter, Program, Reference, Slot, Text, Value, bounded},
    head::{self, Cookies, Fields, Query},
    problem::Kind,
    telemetry::Exchange,
};

/// See the module.
#[derive(Debug)]
pub struct Facts<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: Fields<&'a HeaderMap>,
    query: Query<&'a Uri>,
    cookies: OnceLock<Cookies>,
    exchange: &'a Exchange,
    seed: OnceLock<[u8; 16]>,
    meter: Meter,
}

/// A request's head, kept for what is evaluated when the request itself has gone on.
#[derive(Clone, Debug)]
pub struct Snapshot {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

/// A value that an expression gave for a field of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Given<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// `omit()` or an optional without a value.
    Nothing,
}

// === impl Facts ===

impl<'a> Facts<'a> {
    /// What is known of a request.
    #[must_use]
    pub fn new(request: &'a Request<Body>, exchange: &'a Exchange) -> Self {
        Self::of(request.method(), request.uri(), request.headers(), exchange)
    }

    /// What is known of a request that has gone on.
    #[must_use]
    pub fn later(snapshot: &'a Snapshot, exchange: &'a Exchange) -> Self {
        Self::of(&snapshot.method, &snapshot.uri, &snapshot.headers, exchange)
    }

    fn of(method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap, exchange: &'a Exchange) -> Self {
        Self {
            method,
            uri,
            headers: Fields(headers),
            query: Query(uri),
            cookies: OnceLock::new(),
            exchange,
            seed: OnceLock::new(),
            meter: Meter::default(),
        }
    }

    /// Evaluates a condition.
    pub fn test<'b>(&'b self, condition: &'b Program) -> Result<bool, Error> {
        self.within(self, |frame| condition.test(frame)).map_err(fault)
    }

    /// Evaluates to a text.
    pub fn text<'b>(&'b self, text: &'b Text) -> Result<Given<'b>, Error> {
        // Most are literal.
        if let Text::Literal(text) = text {
            return Ok(Given::Text(Cow::Borrowed(text)));
        }
        self.within(self, |frame| given(text.eval(frame)?, frame.meter)).map_err(fault)
    }

    /// Evaluates to what requests are counted by. Nothing where that cannot be told, because a field is absent for
    /// example: leaving one out is a client's to do, and no failure of the gateway.
    pub fn key<'b>(&'b self, text: &'b Text) -> Result<Given<'b>, Error> {
        match self.text(text) {
            Err(error) if error.kind() == Kind::ExpressionError => Ok(Given::Nothing),
            given => given,
        }
    }

    /// Evaluates and calls `each` with every scalar: the elements of a list, nothing for none.
    pub fn each<'b>(
        &'b self,
        text: &'b Text,
        each: &mut impl FnMut(&str) -> Result<(), EvalError>,
    ) -> Result<(), Error> {
        self.within(self, |frame| scalars(&text.eval(frame)?, frame.meter, each)).map_err(fault)
    }

    /// Runs evaluations over these facts, or over `data` that adds to them.
    pub fn within<'b, T>(
        &'b self,
        data: &'b dyn Data,
        work: impl FnOnce(&Frame<'b, '_>) -> Result<T, EvalError>,
    ) -> Result<T, EvalError> {
        let frame = Frame::new(data, &self.meter, &[]);
        bounded(&self.meter, || work(&frame)).unwrap_or(Err(EvalError::Budget))
    }
}

/// A scalar as text, as concatenation writes it.
pub fn text<'v>(value: &'v Value<'_>, meter: &Meter) -> Result<Cow<'v, str>, EvalError> {
    match value {
        Value::Optional(Some(value)) => text(value, meter),
        value => match value.as_str() {
            Some(text) => Ok(text),
            None => {
                let mut out = String::new();
                value.write_text(&mut out, meter)?;
                Ok(Cow::Owned(out))
            }
        },
    }
}

/// Calls `each` with every scalar of a value: the elements of a list, nothing for none.
pub fn scalars<E: From<EvalError>>(
    value: &Value<'_>,
    meter: &Meter,
    each: &mut impl FnMut(&str) -> Result<(), E>,
) -> Result<(), E> {
    let value = match value {
        Value::Optional(Some(value)) => value,
        value => value,
    };
    if value.is_omitted() {
        return Ok(());
    }
    match value.elements() {
        Some(elements) => {
            for element in elements.iter().filter(|element| !element.is_omitted()) {
                each(&text(element, meter)?)?;
            }
            Ok(())
        }
        None => each(&text(value, meter)?),
    }
}

/// A scalar, or nothing.
fn given<'v>(value: Value<'v>, meter: &Meter) -> Result<Given<'v>, EvalError> {
    if value.is_omitted() {
        return Ok(Given::Nothing);
    }
    Ok(Given::Text(match value {
        Value::Str(text) => text,
        value => Cow::Owned(text(&value, meter)?.into_owned()),
    }))
}

/// An evaluation's failure as a failure of the request.
#[must_use]
pub fn fault(error: EvalError) -> Error {
    match error {
        // Our own words, which the log has even if the route says others to its client.
        EvalError::Failed(words) => Error::new(Kind::ExpressionError).cause(&words).detail(words),
        EvalError::Budget => Error::new(Kind::ExpressionBudget),
        EvalError::Data(error) => error,
    }
}

impl Data for Facts<'_> {
    fn seed(&self) -> [u8; 16] {
        *self.seed.get_or_init(|| fastrand::u128(..).to_be_bytes())
    }

    fn read(&self, slot: Slot) -> Result<Option<Value<'_>>, EvalError> {
        let text = |text| Some(Value::Str(Cow::Borrowed(text)));
        Ok(match slot {
            Slot::Method => text(self.method.as_str()),
            Slot::Host => head::host(self.uri, self.headers.0).and_then(text),
            Slot::Headers => Some(Value::Object(&self.headers)),
            Slot::Query => Some(Value::Object(&self.query)),
            Slot::Cookies => Some(Value::Object(self.cookies.get_or_init(|| Cookies::parse(self.headers.0)))),
            Slot::Path(index) => {
                let range = self.exchange.captures.get(usize::from(index));
                range.and_then(|range| head::captured(self.uri.path(), *range)).map(Value::Str)
            }
            Slot::Degraded => {
                let record = self.exchange.record();
                Some(Value::List(
                    record.degraded.iter().map(|name| Value::Str(Cow::Owned(name.clone()))).collect(),
                ))
            }
            Slot::DeadlineMs => {
                let left = self.exchange.remaining().as_millis();
                Some(Value::Int(i64::try_from(left).unwrap_or(i64::MAX)))
            }
            // What no policy can read is absent; `compile` has refused it.
            _ => head::known(self.exchange, slot),
        })
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// Keeps a request's head, if any of these reads it.
    #[must_use]
    pub fn of(request: &Request<Body>) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
        }
    }

    /// The head of no request in particular, for what reads none.
    #[must_use]
    pub fn empty() -> Self {
        Self { method: Method::GET, uri: Uri::default(), headers: HeaderMap::new() }
    }
}

/// Whether this reads the request's head, and not only its record.
#[must_use]
pub fn reads_head(reference: &Reference) -> bool {
    matches!(
        reference.slot,
        Slot::Method | Slot::Host | Slot::Headers | Slot::Query | Slot::Cookies | Slot::Path(_)
    )
}

/// Whether this reads who the request is from, so that it can be evaluated only once that is known.
#[must_use]
pub fn reads_principal(reference: &Reference) -> bool {
    matches!(reference.slot, Slot::Principal(_))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        expr::Scope,
        policy::testing::{exchange, request},
        principal::Principal,
    };

    fn program(source: &str) -> Program {
        let scope = Scope { request: true, principal: true, ..Scope::default() };
        Program::compile(source, &scope).unwrap()
    }

    #[test]
    fn a_policy_reads_the_head_the_record_and_the_principal() {
        let mut record = exchange();
        record.principal = Arc::new(Principal { id: Some("ada".into()), ..Principal::anonymous() }).into();
        let request =
            request("GET /a?x=1&x=2\nhost: api.example.com:80\nx-a: 1\nx-a: 2\ncookie: c=3", record);
        let exchange = request.body().carried::<Exchange>().unwrap();
        let facts = Facts::new(&request, &exchange);
        for condition in [
            "request.method == 'GET' && request.host == 'api.example.com' && request.scheme == 'http'",
            "request.query.x == '1' && request.headers['x-a'] == '1, 2' && request.cookies.c == '3'",
            "request.queryValues('x') == ['1', '2'] && request.clientIp == '192.0.2.1' && request.id == 'r-1'",
            "principal.id == 'ada' && principal.kind == 'anonymous' && !has(principal.plan)",
            "execution.now == execution.now && execution.traceId.size() == 32",
        ] {
            assert!(facts.test(&program(condition)).unwrap(), "{condition}");
        }
    }

    #[test]
    fn a_text_is_a_scalar_or_left_out() {
        let request = request("GET /", exchange());
        let exchange = request.body().carried::<Exchange>().unwrap();
        let facts = Facts::new(&request, &exchange);
        for (source, expected) in [
            ("1 + 1", Ok(Given::Text("2".into()))),
            ("request.headers[?'x-a']", Ok(Given::Nothing)),
            ("optional.of('a')", Ok(Given::Text("a".into()))),
            ("request.headers['x-a']", Err(Kind::ExpressionError)),
            ("[1]", Err(Kind::ExpressionError)),
        ] {
            let text = Text::One(program(source));
            assert_eq!(facts.text(&text).map_err(|error| error.kind()), expected, "{source}");
        }
    }

    #[test]
    fn an_expression_that_takes_too_long_is_refused_and_the_next_one_is_not() {
        let request = request("GET /", exchange());
        let exchange = request.body().carried::<Exchange>().unwrap();
        let facts = Facts::new(&request, &exchange);
        let list = "[1,2,3,4,5,6,7,8,9,10]";
        let long = format!("{list}.all(a, {list}.all(b, {list}.all(c, {list}.all(d, a + b + c + d > 0))))");
        assert_eq!(facts.test(&program(&long)).unwrap_err().kind(), Kind::ExpressionBudget);
        assert!(facts.test(&program("1 < 2")).unwrap());
    }
}
