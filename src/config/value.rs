//! Checked values that several kinds share: names, header names, methods, URLs, addresses, secrets, paths.

use std::net::SocketAddr;

use http::{HeaderName, Method, StatusCode};

use super::{
    Node, Spanned,
    decode::{Decoder, Fields},
    gateway::AddressTemplate,
    keys::{Object, Shape, optional, required},
    service::{SecretTemplate, UrlTemplate},
    url,
    yaml::Value,
};
use crate::{
    diagnostic::{Code, Place, nearest},
    expr,
};

/// `{env: NAME, default: …}`
pub(super) static ENV_PLACE: Object = Object {
    name: "a value from the environment",
    keys: &[
        required("env", Shape::Text, "The environment variable that holds it."),
        optional("default", Shape::Text, "What holds when the variable is not set."),
    ],
    one_of: &[],
    open: false,
};

/// `{env: NAME, prefix: …}` or `{file: path, prefix: …}`
pub(super) static SECRET: Object = Object {
    name: "a secret",
    keys: &[
        optional("env", Shape::Text, "The environment variable that holds it."),
        optional("file", Shape::Text, "The file that holds it; read again when it changes."),
        optional("prefix", Shape::Text, "Text put before it, such as `Bearer `."),
    ],
    one_of: &["env", "file"],
    open: false,
};

/// Fields that belong to one connection or to the framing of a message, never to a template.
const FRAMING: &[&str] =
    &["connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host"];

/// Fields that hold a credential by their very name.
const CREDENTIALS: &[&str] = &["authorization", "x-api-key"];

/// What a name looks like, for messages.
pub(super) const NAME_FORM: &str = "names are 1 to 63 of lower-case letters, digits and `-`";

/// `[a-z0-9-]{1,63}`
pub(super) fn is_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

impl Decoder<'_> {
    /// `[a-z0-9-]{1,63}`
    pub(super) fn check_name(&mut self, name: &Spanned<String>) {
        if !is_name(name) {
            let message = format!("`{}` is not a name", name.value);
            self.report(Code::InvalidName, &name.place, message, NAME_FORM);
        }
    }

    /// `[a-z][A-Za-z0-9_]*`, as steps, vars and loop variables are called.
    pub(super) fn check_identifier(&mut self, what: &str, name: &Spanned<String>) {
        let valid = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !valid {
            let message = format!("`{}` cannot name {what}", name.value);
            let help = "such names start with a lower-case letter, then letters, digits and `_`";
            self.report(Code::InvalidName, &name.place, message, help);
        } else if expr::is_keyword(&name.value) {
            let message =
                format!("`{}` cannot name {what}: it is a word of the expression language", name.value);
            self.report(Code::InvalidName, &name.place, message, "choose another name");
        }
    }

    /// A header's name that a template may set, remove or match.
    pub(super) fn header_name(&mut self, name: &Spanned<String>) -> Option<Spanned<HeaderName>> {
        let Ok(value) = HeaderName::from_bytes(name.as_bytes()) else {
            let message = format!("`{}` cannot be a header's name", name.value);
            self.invalid(&name.place, message, "header names are letters, digits and `-`");
            return None;
        };
        Some(Spanned { value, place: name.place.clone() })
    }

    /// A header's name that is not the gateway's own business.
    pub(super) fn settable_header(&mut self, name: &Spanned<String>) -> Option<Spanned<HeaderName>> {
        let header = self.header_name(name)?;
        if FRAMING.contains(&header.as_str()) || header.as_str().starts_with("proxy-") {
            let message = format!("`{}` belongs to the connection, not to a template", header.value);
            self.invalid(&name.place, message, "remove it: the gateway writes it where it is needed");
            return None;
        }
        Some(header)
    }

    /// Headers with values that may hold expressions: scalars or lists of scalars.
    pub(super) fn headers(&mut self, what: &str, node: &Node) -> Vec<(Spanned<HeaderName>, Node)> {
        let mut headers: Vec<(Spanned<HeaderName>, Node)> = Vec::new();
        for (name, value) in self.map_of(what, node) {
            let found = self.settable_header(name);
            let scalars = match &value.value {
                Value::List(items) => items.as_slice(),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_) => {
                    std::slice::from_ref(value)
                }
            };
            for scalar in scalars {
                if matches!(scalar.value, Value::Null | Value::List(_) | Value::Map(_)) {
                    self.wrong_type(&name.value, "text or a list of texts", scalar);
                }
                self.check_credential(name, scalar);
            }
            let Some(found) = found else { continue };
            if let Some((first, _)) = headers.iter().find(|(first, _)| first.value == found.value) {
                let place = first.place.clone();
                self.same_header(&found, place);
            }
            headers.push((found, value.clone()));
        }
        headers
    }

    /// Header names are the same in any case, so two spellings of one are a duplicate key.
    pub(super) fn same_header(&mut self, name: &Spanned<HeaderName>, first: Place) {
        self.findings.push(
            crate::diagnostic::Diagnostic::new(
                Code::DuplicateKey,
                name.place.clone(),
                format!("the header `{}` stands twice in one map", name.value),
            )
            .help("header names are the same in upper and lower case; a list repeats the field")
            .related(first, "the first one"),
        );
    }

    /// A credential is never written into a template.
    pub(super) fn check_credential(&mut self, name: &Spanned<String>, value: &Node) {
        let inline = matches!(&value.value, Value::Text(text) | Value::Number(text) if !text.contains("${"));
        if inline && CREDENTIALS.contains(&name.to_ascii_lowercase().as_str()) {
            let message = format!("the value of `{}` is a secret and cannot stand in a template", name.value);
            let help = "on the Service, say where it is: {env: NAME, prefix: \"Bearer \"} or {file: path}";
            self.invalid(&value.place, message, help);
        }
    }

    /// A method that a call or a route may have.
    pub(super) fn method(&mut self, text: &Spanned<String>) -> Option<Spanned<Method>> {
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"];
        let method = Method::from_bytes(text.as_bytes()).ok().filter(|method| {
            method != Method::CONNECT
                && method != Method::TRACE
                && !text.bytes().any(|b| b.is_ascii_lowercase())
        });
        let Some(value) = method else {
            let help = nearest(text, known).map_or_else(
                || format!("one of {}", known.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            self.invalid(
                &text.place,
                format!("`{}` is not a method that can be used here", text.value),
                help,
            );
            return None;
        };
        Some(Spanned { value, place: text.place.clone() })
    }

    /// The `method` of a call; GET when absent.
    pub(super) fn call_method(&mut self, fields: &Fields<'_>) -> Method {
        let text = self.text(fields, "method");
        text.and_then(|text| self.method(&text)).map_or(Method::GET, |method| method.value)
    }

    /// A list of statuses within a range.
    pub(super) fn statuses(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        range: std::ops::RangeInclusive<u16>,
    ) -> Vec<Spanned<StatusCode>> {
        let mut statuses = Vec::new();
        for node in self.list(fields, key) {
            let code = match &node.value {
                Value::Number(text) => text.parse().ok().filter(|code| range.contains(code)),
                Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => None,
            };
            match code.and_then(|code| StatusCode::from_u16(code).ok()) {
                Some(value) => statuses.push(Spanned { value, place: node.place.clone() }),
                None => {
                    let help = format!("statuses from {} to {}", range.start(), range.end());
                    self.invalid(&node.place, format!("`{key}` holds what is no status for it"), help);
                }
            }
        }
        statuses
    }

    /// A status written in place must be one that can be answered; an expression is judged later.
    pub(super) fn check_status(&mut self, node: &Node) {
        let valid = match &node.value {
            Value::Number(text) => text.parse::<u16>().is_ok_and(|code| (200..=599).contains(&code)),
            Value::Text(text) => text.contains("${"),
            Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => false,
        };
        if !valid {
            self.invalid(&node.place, "this is no status", "a number from 200 to 599, or an expression");
        }
    }

    // -- places and secrets

    /// A `url`: text, or `{env, default}`.
    pub(super) fn url(&mut self, fields: &Fields<'_>, key: &str) -> Option<Spanned<UrlTemplate>> {
        let node = fields.get(key)?;
        let value = match self.env_place(key, node, fields)? {
            Either::Written(text) => {
                self.check_url(&text, node);
                UrlTemplate::Text(text.value)
            }
            Either::Env(name, default) => {
                if let Some((default, node)) = &default {
                    self.check_url(default, node);
                }
                UrlTemplate::Env { name, default: default.map(|(text, _)| text.value) }
            }
        };
        Some(Spanned { value, place: node.place.clone() })
    }

    fn check_url(&mut self, text: &Spanned<String>, node: &Node) {
        if let Err(fault) = url::check(text) {
            let place = node.place_at(fault.offset, fault.width);
            self.report(
                Code::InvalidUrl,
                &place,
                fault.message,
                "write http://host:port or https://host/prefix",
            );
        }
    }

    /// An `address`: IP and port, or `{env, default}`.
    pub(super) fn address(&mut self, fields: &Fields<'_>, key: &str) -> Option<Spanned<AddressTemplate>> {
        let node = fields.get(key)?;
        let value = match self.env_place(key, node, fields)? {
            Either::Written(text) => AddressTemplate::Socket(self.socket(&text)?),
            Either::Env(name, None) => AddressTemplate::Env { name, default: None },
            Either::Env(name, Some((text, _))) => {
                AddressTemplate::Env { name, default: Some(self.socket(&text)?) }
            }
        };
        Some(Spanned { value, place: node.place.clone() })
    }

    fn socket(&mut self, text: &Spanned<String>) -> Option<SocketAddr> {
        let found = text.parse().ok();
        if found.is_none() {
            let message = format!("`{}` is no address", text.value);
            self.report(
                Code::InvalidUrl,
                &text.place,
                message,
                "an IP and a port: 127.0.0.1:8080 or [::]:8080",
            );
        }
        found
    }

    fn env_place<'n>(&mut self, key: &str, node: &'n Node, fields: &Fields<'n>) -> Option<Either<'n>> {
        if !matches!(node.value, Value::Map(_)) {
            return self.text_of(key, node).map(Either::Written);
        }
        let inner = self.fields(key, &ENV_PLACE, node, fields.key_place(key))?;
        let name = self.env_name(&inner)?;
        let default = match inner.get("default") {
            Some(node) => Some((self.text_of("default", node)?, node)),
            None => None,
        };
        Some(Either::Env(name, default))
    }

    fn env_name(&mut self, fields: &Fields<'_>) -> Option<String> {
        let name = self.text(fields, "env")?;
        let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !valid {
            let message = format!("`{}` cannot be the name of an environment variable", name.value);
            self.report(Code::InvalidName, &name.place, message, "letters, digits and `_`: CRM_TOKEN");
        }
        valid.then_some(name.value)
    }

    /// `{env, prefix}` or `{file, prefix}`; anything else is an inline secret.
    pub(super) fn secret(&mut self, what: &str, node: &Node, at: &Place) -> Option<Spanned<SecretTemplate>> {
        if let Value::Text(_) | Value::Number(_) = node.value {
            let message = format!("`{what}` is a secret and cannot stand in a template");
            self.invalid(&node.place, message, "say where it is: {env: NAME} or {file: path}");
            return None;
        }
        let fields = self.fields(what, &SECRET, node, at)?;
        let prefix = self.text(&fields, "prefix").map_or_else(String::new, |text| text.value);
        let value = if fields.get("env").is_some() {
            SecretTemplate::Env { name: self.env_name(&fields)?, prefix }
        } else {
            let path = self.text(&fields, "file")?;
            SecretTemplate::File { path: self.path(&path, false)?, prefix }
        };
        Some(Spanned { value, place: node.place.clone() })
    }

    /// A path of the file, made relative to the configuration directory. A unit's stays in its folder.
    pub(super) fn path(&mut self, text: &Spanned<String>, must_exist: bool) -> Option<String> {
        let own = if self.unit.is_empty() { String::new() } else { format!("routes/{}/", self.unit) };
        let granted = |path: &str| {
            let under = |folder: &String| {
                path.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/'))
            };
            self.granted.iter().any(under)
        };
        let path = join(self.file, text).filter(|path| path.starts_with(&own) || granted(path));
        let Some(path) = path else {
            let message = format!("`{}` leaves the unit's folder", text.value);
            let help = format!(
                "paths are relative to the file and stay under `{own}`, or under what `grants.files` of the Unit names"
            );
            self.report(Code::OutsideUnit, &text.place, message, help);
            return None;
        };
        self.named.insert(path.clone());
        match self.tree.other(&path) {
            Some(other) if other.outside && !self.unit.is_empty() => {
                let message = format!("`{}` is a link that leaves the unit's folder", text.value);
                self.report(Code::OutsideUnit, &text.place, message, "keep the file itself in the folder");
            }
            None if must_exist && self.tree.lists(&path) => {
                let message = format!("there is no file `{path}`");
                self.report(
                    Code::Unreadable,
                    &text.place,
                    message,
                    "paths are relative to the file that names them",
                );
            }
            Some(_) | None => {}
        }
        Some(path)
    }
}

enum Either<'n> {
    Written(Spanned<String>),
    Env(String, Option<(Spanned<String>, &'n Node)>),
}

/// `path` as seen from `file`, without `.` and `..`. Nothing if it climbs above the directory; an
/// absolute path stays as it is.
pub(super) fn join(file: &str, path: &str) -> Option<String> {
    if path.starts_with('/') {
        return Some(path.to_owned());
    }
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
