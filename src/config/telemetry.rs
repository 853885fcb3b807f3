//! `telemetry` of a Gateway: what the gateway says of itself, and to whom.

use super::{
    Node, Spanned,
    decode::{Decoder, Fields},
    keys::{Object, Shape, optional, required},
    service::{HeaderSource, UrlTemplate, headers},
};
use crate::{
    diagnostic::nearest,
    telemetry::access_log::{Field, Format},
};

pub(super) static TELEMETRY: Object = Object {
    name: "telemetry",
    keys: &[
        optional("serviceName", Shape::Text, "`service.name` of all signals (segue)."),
        optional("otlp", Shape::Object(&OTLP), "A collector for traces, metrics and logs (off)."),
        optional("sample", Shape::Share, "The share of requests that is traced, 0 to 1 (0.1)."),
        optional("accessLog", Shape::Object(&ACCESS_LOG), "A line per request (off)."),
    ],
    one_of: &[],
    open: false,
};

static OTLP: Object = Object {
    name: "otlp",
    keys: &[
        required(
            "endpoint",
            Shape::Place,
            "Where the collector takes OTLP over HTTP: http://127.0.0.1:4318.",
        ),
        optional("headers", Shape::Map(&Shape::TextOrSecret), "Fields of every request to it."),
    ],
    one_of: &[],
    open: false,
};

static ACCESS_LOG: Object = Object {
    name: "accessLog",
    keys: &[
        optional("format", Shape::Word(&["json", "text"]), "How lines look (json)."),
        optional("path", Shape::Text, "`stdout`, or a file (stdout)."),
        optional("fields", Shape::List(&Shape::Text), "What is in a line, in this order."),
        optional("sample", Shape::Share, "The share of requests that have a line, 0 to 1 (1)."),
        optional("otlp", Shape::Flag, "Lines go to the collector as log records too (false)."),
    ],
    one_of: &[],
    open: false,
};

/// `telemetry`, defaults filled in.
#[derive(Clone, Debug)]
pub struct TelemetryTemplate {
    /// `serviceName` (segue)
    pub service_name: String,
    /// `otlp`
    pub otlp: Option<OtlpTemplate>,
    /// `sample` (0.1)
    pub sample: f64,
    /// `accessLog`
    pub access_log: Option<AccessLogTemplate>,
}

/// `otlp`
#[derive(Clone, Debug)]
pub struct OtlpTemplate {
    /// `endpoint`
    pub endpoint: Spanned<UrlTemplate>,
    /// `headers`
    pub headers: Vec<(Spanned<http::HeaderName>, Spanned<HeaderSource>)>,
}

/// `accessLog`, defaults filled in.
#[derive(Clone, Debug)]
pub struct AccessLogTemplate {
    /// `format` (json)
    pub format: Format,
    /// `path`: a file, relative to the configuration directory; standard output when absent.
    pub file: Option<Spanned<String>>,
    /// `fields`
    pub fields: Vec<Field>,
    /// `sample` (1)
    pub sample: f64,
    /// `otlp` (false)
    pub otlp: bool,
}

impl Default for TelemetryTemplate {
    fn default() -> Self {
        Self { service_name: "segue".to_owned(), otlp: None, sample: 0.1, access_log: None }
    }
}

impl TelemetryTemplate {
    pub(super) fn decode(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Self {
        let default = Self::default();
        let Some(fields) = decoder.object(fields, "telemetry") else { return default };
        let fields = &fields;
        Self {
            service_name: decoder.text(fields, "serviceName").map_or(default.service_name, |name| name.value),
            otlp: otlp(decoder, fields),
            sample: decoder.share(fields, "sample").unwrap_or(default.sample),
            access_log: access_log(decoder, fields),
        }
    }
}

fn otlp(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<OtlpTemplate> {
    let fields = decoder.object(fields, "otlp")?;
    let headers = headers(decoder, &fields);
    Some(OtlpTemplate { endpoint: decoder.url(&fields, "endpoint")?, headers })
}

fn access_log(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<AccessLogTemplate> {
    let fields = &decoder.object(fields, "accessLog")?;
    let format = match decoder.word(fields, "format") {
        Some("text") => Format::Text,
        _ => Format::Json,
    };
    let file = decoder.text(fields, "path").filter(|path| path.value != "stdout");
    let chosen = if fields.get("fields").is_some() {
        let nodes: &[Node] = decoder.list(fields, "fields");
        let mut chosen = Vec::new();
        for node in nodes {
            let Some(name) = decoder.text_of("fields", node) else { continue };
            match Field::named(&name) {
                Some(field) => chosen.push(field),
                None => {
                    let names = Field::ALL.iter().map(|field| field.name());
                    let help = nearest(&name, names.clone()).map_or_else(
                        || format!("one of {}", names.collect::<Vec<_>>().join(", ")),
                        |near| format!("did you mean `{near}`?"),
                    );
                    let message = format!("the access log has no field `{}`", name.value);
                    decoder.invalid(&name.place, message, help);
                }
            }
        }
        chosen
    } else {
        Field::usual()
    };
    Some(AccessLogTemplate {
        format,
        file,
        fields: chosen,
        sample: decoder.share(fields, "sample").unwrap_or(1.0),
        otlp: decoder.flag(fields, "otlp").unwrap_or(false),
    })
}
