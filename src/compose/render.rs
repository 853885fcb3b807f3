//! Values into a path, a query and header fields, so that data cannot become syntax.
//!
//! A value in a path is one encoded segment; in a query it is an encoded component; in a field it has no
//! CR, LF or NUL. Scheme, host and port are never rendered from data.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    expr::{EvalError, Frame, Program, Value},
    plan::{Headers, PathPart, Query, Values},
    policy::facts::scalars,
};

pub(super) use crate::policy::facts::text;

/// Everything but unreserved characters (RFC 3986 §2.3).
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why something was not rendered.
#[derive(Debug)]
pub(super) enum Refusal<'p> {
    /// An expression failed.
    Eval(EvalError),
    /// A value may not stand there: what is wrong, and which expressions it came from.
    Value(&'static str, Vec<&'p Program>),
}

impl From<EvalError> for Refusal<'_> {
    fn from(error: EvalError) -> Self {
        Self::Eval(error)
    }
}

/// Writes a path. A segment that data made empty, `.` or `..` is refused.
pub(super) fn path<'a>(
    parts: &'a [PathPart],
    frame: &Frame<'a, '_>,
    out: &mut String,
) -> Result<(), Refusal<'a>> {
    // Where the segment that is being written starts in `out`, and its first part if data is in it.
    let mut start = out.len();
    let mut data: Option<usize> = None;
    for (index, part) in parts.iter().enumerate() {
        match part {
            PathPart::Literal(literal) => {
                if let Some(slash) = literal.find('/') {
                    out.push_str(&literal[..slash]);
                    segment(&out[start..], data, &parts[..index])?;
                    out.push_str(&literal[slash..]);
                    start = out.len() - (literal.len() - literal.rfind('/').unwrap_or(slash) - 1);
                    data = None;
                } else {
                    out.push_str(literal);
                }
            }
            PathPart::Segment(program) => {
                let value = program.eval(frame)?;
                out.extend(utf8_percent_encode(&text(&value, frame.meter)?, COMPONENT));
                data.get_or_insert(index);
            }
            PathPart::Rest(program) => {
                let value = program.eval(frame)?;
                for (position, piece) in text(&value, frame.meter)?.split('/').enumerate() {
                    if position > 0 {
                        out.push('/');
                        start = out.len();
                    }
                    out.extend(utf8_percent_encode(piece, COMPONENT));
                    if is_dots(&out[start..]) {
                        return Err(Refusal::Value("a path segment may not be `.` or `..`", vec![program]));
                    }
                }
            }
        }
    }
    segment(&out[start..], data, parts)
}

/// With parameters too, encoded though they are: some servers decode, cut them off and then resolve dots.
fn is_dots(written: &str) -> bool {
    let name = written.split("%3B").next().unwrap_or_default();
    matches!(name.split(';').next(), Some("." | ".."))
}

fn segment<'a>(written: &str, data: Option<usize>, parts: &'a [PathPart]) -> Result<(), Refusal<'a>> {
    let Some(first) = data else {
        return Ok(());
    };
    if !written.is_empty() && !is_dots(written) {
        return Ok(());
    }
    let programs = parts[first..].iter().filter_map(|part| match part {
        PathPart::Segment(program) => Some(program),
        _ => None,
    });
    Err(Refusal::Value("a path segment may not be empty, `.` or `..`", programs.collect()))
}

/// Writes a query with its `?`; nothing when it has no parameter.
pub(super) fn query<'a>(
    query: &'a Query,
    frame: &Frame<'a, '_>,
    out: &mut String,
) -> Result<(), Refusal<'a>> {
    let mut separator = '?';
    let mut parameter = |name: &str, value: &Value<'_>| {
        scalars(value, frame.meter, &mut |text| {
            out.push(separator);
            separator = '&';
            out.extend(utf8_percent_encode(name, COMPONENT));
            out.push('=');
            out.extend(utf8_percent_encode(text, COMPONENT));
            Ok::<_, Refusal<'_>>(())
        })
    };
    match query {
        Query::Parameters(parameters) => {
            for (name, Values(values)) in parameters {
                for value in values {
                    parameter(name, &value.eval(frame)?)?;
                }
            }
        }
        Query::Expression(program) => {
            for (name, value) in map(program, frame)? {
                parameter(&name, &value)?;
            }
        }
    }
    Ok(())
}

/// Appends header fields of a call.
pub(super) fn headers<'a>(
    headers: &'a Headers,
    frame: &Frame<'a, '_>,
    out: &mut HeaderMap,
) -> Result<(), Refusal<'a>> {
    match headers {
        Headers::Fields(fields) => {
            for (name, values) in fields {
                header(name, values, frame, out)?;
            }
        }
        Headers::Expression(program) => {
            for (name, value) in map(program, frame)? {
                let name = HeaderName::from_bytes(name.as_bytes())
                    .ok()
                    .filter(|name| !is_reserved(name))
                    .ok_or_else(|| {
                        Refusal::Value("a header has a name that may not be set", vec![program])
                    })?;
                scalars(&value, frame.meter, &mut |text| {
                    append(&name, text, out).map_err(|what| Refusal::Value(what, vec![program]))
                })?;
            }
        }
    }
    Ok(())
}

/// Appends one field; a list repeats it, none leaves it out.
pub(super) fn header<'a>(
    name: &HeaderName,
    Values(values): &'a Values,
    frame: &Frame<'a, '_>,
    out: &mut HeaderMap,
) -> Result<(), Refusal<'a>> {
    for text in values {
        scalars(&text.eval(frame)?, frame.meter, &mut |value| {
            append(name, value, out).map_err(|what| Refusal::Value(what, text.programs().collect()))
        })?;
    }
    Ok(())
}

fn append(name: &HeaderName, value: &str, out: &mut HeaderMap) -> Result<(), &'static str> {
    let value =
        HeaderValue::from_str(value).map_err(|_| "a header value may not have CR, LF, NUL or the like")?;
    // A name that comes too often is the only way to overfill a map.
    out.try_append(name, value).map_err(|_| "there are too many header fields")?;
    Ok(())
}

/// The members of an expression that must give a map; none has none.
fn map<'a>(program: &'a Program, frame: &Frame<'a, '_>) -> Result<Vec<(Cow<'a, str>, Value<'a>)>, EvalError> {
    let Some(value) = program.leaf(frame)? else { return Ok(Vec::new()) };
    value.members().ok_or(EvalError::Failed(Cow::Borrowed("this expression must give a map")))
}

/// Fields that frame or route a message, or say who it is from: a name that comes from data may not be one of
/// them.
fn is_reserved(name: &HeaderName) -> bool {
    [
        header::HOST,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::EXPECT,
        header::FORWARDED,
    ]
    .contains(name)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
        || name.as_str().starts_with("x-segue-")
        || name.as_str().starts_with("x-forwarded-")
        || name.as_str().contains('_')
}
