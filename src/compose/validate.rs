//! The request against what its route declares: everything that does not fit is in one answer.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header};

use super::{aside::aside, check::violations, execution::Run, receive, request::Request};
use crate::{
    body::Body,
    content::{Content, Media},
    error::{Document as Problem, Error},
    expr::Object,
    json::{self, Document, write_string},
    plan::{
        BodyUse,
        request::{BodyRules, Parameter, ParameterPlace, RequestRules},
    },
    problem::Kind,
    schema::{MOST_VIOLATIONS, Schema},
};

/// What does not fit, as it goes to the client.
#[derive(Default)]
pub(super) struct Faults {
    count: usize,
    /// Members of a JSON list.
    json: Vec<u8>,
}

impl Faults {
    /// Notes one: where, which parameter, which place in it, and what it must be.
    fn add(&mut self, place: &str, name: Option<&str>, pointer: Option<&str>, detail: &str) {
        self.count += 1;
        if self.count > MOST_VIOLATIONS {
            return;
        }
        self.json.push(if self.json.is_empty() { b'[' } else { b',' });
        self.json.push(b'{');
        let members = [("in", Some(place)), ("name", name), ("pointer", pointer), ("detail", Some(detail))];
        let mut first = true;
        for (key, value) in members {
            let Some(value) = value else { continue };
            if !std::mem::take(&mut first) {
                self.json.push(b',');
            }
            write_string(key, &mut self.json);
            self.json.push(b':');
            write_string(value, &mut self.json);
        }
        self.json.push(b'}');
    }

    /// One answer that lists them all, if there are any.
    pub(super) fn answer(mut self) -> Result<(), Error> {
        if self.count == 0 {
            return Ok(());
        }
        self.json.push(b']');
        let detail = match self.count {
            1 => "one place of the request is not as declared".to_owned(),
            count if count >= MOST_VIOLATIONS => {
                format!("{MOST_VIOLATIONS} or more places of the request are not as declared")
            }
            count => format!("{count} places of the request are not as declared"),
        };
        let members = vec![("errors".to_owned(), self.json)];
        let document = Problem { members, ..Problem::default() };
        Err(Error::new(Kind::InvalidRequest).detail(detail).document(document))
    }
}

/// Reads and checks declared parameters; expressions see their values from now on.
pub(super) async fn parameters(run: &Run, rules: &RequestRules, faults: &mut Faults) -> Result<(), Error> {
    let request = &run.request;
    let mut typed = Vec::with_capacity(rules.parameters.len());
    for parameter in &rules.parameters {
        typed.push(match read(request, parameter) {
            Some(json) => {
                for violation in violations(run, &parameter.schema, json.clone()).await? {
                    let pointer = Some(&*violation.pointer).filter(|pointer| !pointer.is_empty());
                    faults.add(parameter.place.word(), Some(&parameter.name), pointer, &violation.message);
                }
                Document::parse(json).ok()
            }
            None if parameter.required && parameter.default.is_none() => {
                faults.add(parameter.place.word(), Some(&parameter.name), None, "is required");
                None
            }
            None => parameter.default.clone().and_then(|json| Document::parse(json).ok()),
        });
    }
    request.declare(&rules.parameters, typed);
    Ok(())
}

/// What the request has for a parameter, as JSON of the declared type where its text allows it.
fn read(request: &Request, parameter: &Parameter) -> Option<Bytes> {
    let name = &parameter.name;
    let values = match &parameter.place {
        ParameterPlace::Path(index) => vec![request.captures.get(usize::from(*index))?.as_str().into()],
        ParameterPlace::Query => request.query.raw.values(name),
        ParameterPlace::Header(_) => request.headers.raw.values(name),
        ParameterPlace::Cookie => request.cookies().raw.values(name),
    };
    let schema = &parameter.schema;
    let mut json = Vec::new();
    if is_list(schema) {
        if values.is_empty() {
            return None;
        }
        json.push(b'[');
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            scalar(value, schema.item_types(), &mut json);
        }
        json.push(b']');
    } else if let ParameterPlace::Header(_) = parameter.place {
        if values.is_empty() {
            return None;
        }
        scalar(&values.join(", "), schema.types(), &mut json);
    } else {
        scalar(values.first()?, schema.types(), &mut json);
    }
    Some(Bytes::from(json))
}

fn is_list(schema: &Schema) -> bool {
    schema.types().iter().any(|name| name == "array")
}

/// Text as JSON: a number or a boolean if one is declared and it is one, else a string, which the schema
/// then judges.
fn scalar(text: &str, types: &[String], out: &mut Vec<u8>) {
    let declared = |name: &str| types.iter().any(|one| one == name);
    let is_number = || {
        let document = Document::parse(Bytes::copy_from_slice(text.trim().as_bytes()));
        document.is_ok_and(|document| document.root().kind() == json::Kind::Number)
    };
    let literal = (declared("boolean") && matches!(text, "true" | "false"))
        || (declared("null") && text == "null")
        || ((declared("integer") || declared("number")) && text.trim() == text && is_number());
    if literal {
        out.extend_from_slice(text.as_bytes());
    } else {
        write_string(text, out);
    }
}

/// Reads the body as far as it is used or checked.
pub(super) async fn body(
    run: &Arc<Run>,
    how: BodyUse,
    rules: Option<&BodyRules>,
    body: Body,
    faults: &mut Faults,
) -> Result<(), Error> {
    // What a policy says is held to while the body streams in; it also replaces the default.
    let limit = run.route().policies.max_bytes.or_else(|| rules.and_then(|rules| rules.max_bytes));
    let bytes = match tokio::time::timeout_at(run.deadline, receive::request(body, limit)).await {
        Ok(bytes) => bytes?,
        Err(_) => return Err(Error::new(Kind::RequestTimeout)),
    };
    if bytes.is_empty() && rules.is_some_and(|rules| rules.required) {
        faults.add("body", None, None, "is required");
        return Ok(());
    }
    let schema = rules.and_then(|rules| rules.schema.as_ref()).filter(|_| !bytes.is_empty());
    let how = if schema.is_some() { BodyUse::Parsed } else { how };
    let packed = how == BodyUse::Parsed && !bytes.is_empty() && is_packed(&run.request.headers.raw.0)?;
    let bytes = if packed {
        // What a few bytes become may be a thousand times as much.
        Box::pin(aside(run, move || receive::unpack(&bytes, limit))).await?
    } else {
        bytes
    };
    let read = if Content::is_long(&bytes, how) {
        let (of, schema) = (Arc::clone(run), schema.cloned());
        Box::pin(aside(run, move || content(&of, how, bytes, schema.as_ref()))).await
    } else {
        content(run, how, bytes, schema)
    };
    let mut content = match read? {
        Ok(content) => content,
        Err(words) if schema.is_some() => {
            faults.add("body", None, Some(""), &words);
            return Ok(());
        }
        Err(words) => return Err(Error::new(Kind::InvalidRequest).detail(words)),
    };
    if packed {
        // Whoever forwards it forwards what came out.
        content.content_encoding = None;
    }
    if let Some(schema) = schema {
        for violation in violations(run, schema, content.json()).await? {
            faults.add("body", None, Some(&violation.pointer), &violation.message);
        }
    }
    let _ = run.request_body.set(content);
    Ok(())
}

/// Whether a body that is read is coded by gzip; any other coding is refused.
fn is_packed(headers: &HeaderMap) -> Result<bool, Error> {
    let lines = headers.get_all(header::CONTENT_ENCODING).iter();
    let codings = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let mut codings = codings.filter(|one| !one.is_empty() && !one.eq_ignore_ascii_case(b"identity"));
    let Some(coding) = codings.next() else { return Ok(false) };
    let known = coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip");
    if known && codings.next().is_none() {
        return Ok(true);
    }
    Err(Error::new(Kind::UnsupportedMediaType).detail("the request's content encoding is not taken"))
}

/// Reads a body by its content type, whose faults are the client's: the inner error says what is wrong
/// with its bytes.
fn content(
    run: &Run,
    how: BodyUse,
    bytes: Bytes,
    schema: Option<&Schema>,
) -> Result<Result<Content, String>, Error> {
    let headers = &run.request.headers.raw.0;
    let mut what = "text";
    if how == BodyUse::Parsed && !bytes.is_empty() {
        let refused = |words| Err(Error::new(Kind::UnsupportedMediaType).detail(words));
        let Some(content_type) = headers.get(header::CONTENT_TYPE) else {
            return refused("the request has a body and no content type");
        };
        let media = Media::of(content_type);
        if media == Media::Json {
            what = "JSON";
        }
        let fits = schema.is_none_or(|schema| match media {
            Media::Json => true,
            Media::Form => schema.allows("object"),
            Media::Text => schema.allows("string"),
            Media::Other => false,
        });
        if !fits {
            return refused("the request's content type is not one that this route takes");
        }
    }
    Ok(Content::read(bytes, headers, how).map_err(|error| {
        format!("the request's body is not valid {what}: {} (byte {})", error.reason, error.offset)
    }))
}
