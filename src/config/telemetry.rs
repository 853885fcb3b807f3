//! `telemetry` of a Gateway: what the gateway says of itself, and to whom.

use std::path::{Component, Path, PathBuf};

use super::{
    Node, Spanned,
    decode::{Decoder, Fields},
    keys::{Object, Shape, optional, required},
    service::{HeaderSource, UrlTemplate, headers},
    url,
    yaml::Value,
};
use crate::{
    diagnostic::{Code, nearest},
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
            service_name: service_name(decoder, fields).unwrap_or(default.service_name),
            otlp: otlp(decoder, fields),
            sample: decoder.share(fields, "sample").unwrap_or(default.sample),
            access_log: access_log(decoder, fields),
        }
    }
}

fn service_name(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<String> {
    let name = decoder.text(fields, "serviceName")?;
    if name.value.trim().is_empty() {
        let help = "name what the signals are of, such as `edge`; left out, it is `segue`";
        decoder.invalid(&name.place, "`serviceName` is empty", help);
    }
    Some(name.value)
}

fn otlp(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<OtlpTemplate> {
    let fields = decoder.object(fields, "otlp")?;
    let headers = headers(decoder, &fields);
    let endpoint = decoder.url(&fields, "endpoint")?;
    let (UrlTemplate::Text(text) | UrlTemplate::Env { default: Some(text), .. }) = &endpoint.value else {
        return Some(OtlpTemplate { endpoint, headers });
    };
    if let Some(what) = url::no_collector(text) {
        let message = format!("`{text}` is {what}, where no collector can be");
        decoder.report(Code::InvalidUrl, &endpoint.place, message, COLLECTOR);
    }
    Some(OtlpTemplate { endpoint, headers })
}

/// What to do about an address that is no collector's.
pub const COLLECTOR: &str = "write where the collector takes OTLP over HTTP: http://127.0.0.1:4318";

fn access_log(decoder: &mut Decoder<'_>, telemetry: &Fields<'_>) -> Option<AccessLogTemplate> {
    let fields = &decoder.object(telemetry, "accessLog")?;
    let format = match decoder.word(fields, "format") {
        Some("text") => Format::Text,
        _ => Format::Json,
    };
    let file = decoder.text(fields, "path").filter(|path| path.value != "stdout");
    if let Some(file) = &file {
        judge_path(decoder, file);
    }
    let chosen = if let Some(list) = fields.get("fields") {
        let nodes: &[Node] = decoder.list(fields, "fields");
        let mut chosen = Vec::new();
        if nodes.is_empty() && matches!(list.value, Value::List(_)) {
            let help = "name the fields that lines have, or leave `fields` out for the usual ones";
            decoder.invalid(&list.place, "`fields` is empty, so that lines would be", help);
        }
        for node in nodes {
            let Some(name) = decoder.text_of("fields", node) else { continue };
            match Field::named(&name) {
                Some(field) if chosen.contains(&field) => {
                    let message = format!("`{}` is in `fields` already", name.value);
                    decoder.invalid(&name.place, message, "remove one of them: a line has a field once");
                }
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
    let otlp = decoder.flag(fields, "otlp").unwrap_or(false);
    if otlp && telemetry.get("otlp").is_none() {
        let help = "add `otlp: {endpoint: …}` beside `accessLog`, or remove it here";
        decoder.invalid(fields.key_place("otlp"), "there is no collector that lines could go to", help);
    }
    Some(AccessLogTemplate {
        format,
        file,
        fields: chosen,
        sample: decoder.share(fields, "sample").unwrap_or(1.0),
        otlp,
    })
}

/// A file that lines can be added to without harm, as far as its name tells.
fn judge_path(decoder: &mut Decoder<'_>, path: &Spanned<String>) {
    const HELP: &str = "`stdout`, or a file elsewhere: /var/log/segue/access.log";
    let text = &path.value;
    let message = if text.trim().is_empty() {
        "`path` is empty".to_owned()
    } else if text.contains('\0') {
        "a path has no NUL".to_owned()
    } else if text.ends_with('/') || matches!(text.rsplit('/').next(), Some("." | "..")) {
        format!("`{text}` is a folder")
    } else if let Some(folder) = watched(&decoder.tree.root, text) {
        format!("`{text}` lies in `{folder}/`, which the gateway reads and watches")
    } else {
        return;
    };
    decoder.invalid(&path.place, message, HELP);
}

/// Which of both trees a path lies in, if it does: every line written there would be a change of it.
fn watched(root: &Path, text: &str) -> Option<&'static str> {
    let plain = |path: &Path| {
        path.components().fold(PathBuf::new(), |mut plain, part| {
            match part {
                Component::ParentDir => drop(plain.pop()),
                Component::CurDir => {}
                Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(part),
            }
            plain
        })
    };
    // A tree from texts has no root, and then only a relative path can be told.
    let root = std::path::absolute(root).unwrap_or_default();
    let path = plain(&root.join(text));
    let inside = path.strip_prefix(plain(&root)).ok()?;
    ["policies", "routes"].into_iter().find(|folder| inside.starts_with(folder))
}
