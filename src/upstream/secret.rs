//! Where environment variables, secrets and certificate files come from when an upstream is built.
//!
//! The trait is the seam: tests need no environment, and `check` never gets here.

#![expect(clippy::result_large_err, reason = "findings of load time travel two calls up")]

use std::{fmt, io, path::PathBuf};

use crate::{
    config::{
        Tree,
        service::{HeaderSource, SecretTemplate, UrlTemplate},
    },
    diagnostic::{Code, Diagnostic, Place},
};

/// Reads what templates only name.
pub trait Sources {
    /// An environment variable.
    fn variable(&self, name: &str) -> Option<String>;
    /// A file; the path is relative to the configuration directory.
    fn file(&self, path: &str) -> io::Result<Vec<u8>>;
    /// A file of public keys, which is no secret.
    fn keys(&self, path: &str) -> io::Result<Vec<u8>> {
        self.file(path)
    }
}

/// The process's environment and the files below a configuration directory.
#[derive(Clone, Debug)]
pub struct Process {
    root: PathBuf,
}

impl Process {
    /// Files are read below `root`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
}

impl Sources for Process {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &str) -> io::Result<Vec<u8>> {
        // Links are followed again at this moment: what was in a unit's folder when it was checked may
        // be a link to another's secret now.
        let unit = Tree::unit_of(path).unwrap_or_default();
        std::fs::read(Tree::locate(&self.root, &unit, path)?)
    }
}

/// A secret's text; a trailing newline of a file is cut.
pub fn read(
    secret: &SecretTemplate,
    key: impl fmt::Display,
    place: &Place,
    sources: &dyn Sources,
) -> Result<String, Diagnostic> {
    let missing = |what: String| Diagnostic::new(Code::MissingSecret, place.clone(), what);
    match secret {
        SecretTemplate::Env { name, prefix } => match sources.variable(name) {
            Some(value) => Ok(format!("{prefix}{value}")),
            None => {
                Err(missing(format!("`{key}` needs the environment variable `{name}`, which is not set")))
            }
        },
        SecretTemplate::File { path, prefix } => {
            let bytes = sources
                .file(path)
                .map_err(|error| missing(format!("`{key}` needs the file `{path}`: {error}")))?;
            let text = String::from_utf8(bytes)
                .map_err(|_| missing(format!("`{key}` needs the file `{path}`, which is not text")))?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            Ok(format!("{prefix}{}", text.strip_suffix('\r').unwrap_or(text)))
        }
    }
}

/// The value of a Service's header, and whether it is secret.
pub(super) fn header(
    source: &HeaderSource,
    key: &str,
    place: &Place,
    sources: &dyn Sources,
) -> Result<(String, bool), Diagnostic> {
    match source {
        HeaderSource::Text(text) => Ok((text.clone(), false)),
        HeaderSource::Secret(secret) => {
            read(secret, format_args!("headers.{key}"), place, sources).map(|text| (text, true))
        }
    }
}

/// A URL's text.
pub fn url(template: &UrlTemplate, place: &Place, sources: &dyn Sources) -> Result<String, Diagnostic> {
    match template {
        UrlTemplate::Text(text) => Ok(text.clone()),
        UrlTemplate::Env { name, default } => {
            sources.variable(name).or_else(|| default.clone()).ok_or_else(|| {
                let message = format!("`url` needs the environment variable `{name}`, which is not set");
                Diagnostic::new(Code::InvalidUrl, place.clone(), message)
                    .help("set it, or give the key a `default`")
            })
        }
    }
}
