//! Templates as written: files read, shapes checked, nothing resolved.
//!
//! [`Tree::read`] finds the files, [`Templates::parse`] turns their text into typed templates and
//! reports every shape finding at once. Names are resolved by `compile`. Values that may hold
//! expressions stay [`yaml::Node`]s, which know the place of every key and scalar.
//!
//! A document with a finding is still there, with a default where a value could not be read, so that
//! `compile` finds what else is wrong with it and does not take its name for unknown. Where there is
//! no default (a route's path, what a step calls) the text is empty, and a finding says so already.

pub mod yaml;
mod keys;
mod decode;
mod document;
pub mod url;
mod value;
pub mod tree;
pub mod binding;
pub mod consumer;
pub mod gateway;
pub mod listener;
pub mod service;
pub mod telemetry;
pub mod route;
pub mod composition;
pub mod parameter;
pub mod policy;
pub mod json_schema;
pub mod request;
pub mod retry;
pub mod step;
pub mod schema;
pub mod suite;
pub mod unit;

#[cfg(test)]
mod tests;

pub use tree::{SourceFile, Tree};
pub use yaml::{Node, Spanned};

use std::sync::Arc;

use crate::diagnostic::{Diagnostics, Place};

/// What every document says of itself.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// `metadata.name`
    pub name: Spanned<String>,
    /// `metadata.owner`
    pub owner: String,
    /// `metadata.version`
    pub version: Option<String>,
    /// `metadata.description`
    pub description: Option<String>,
    /// `metadata.labels`, in file order
    pub labels: Vec<(String, String)>,
    /// The first folder under `routes/`; empty for `policies/`.
    pub unit: Arc<str>,
    /// Where the document's `kind` stands.
    pub place: Place,
}

impl Metadata {
    /// The major version: the first number of `version`, nothing without one.
    #[must_use]
    pub fn major(&self) -> Option<u64> {
        self.version.as_deref()?.split('.').next()?.parse().ok()
    }
}

/// Every document of a tree, by kind, in the order of files (sorted by path) and of documents.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    /// `kind: Gateway`
    pub gateways: Vec<gateway::GatewayTemplate>,
    /// `kind: Unit`
    pub units: Vec<unit::UnitTemplate>,
    /// `kind: Consumer`
    pub consumers: Vec<consumer::ConsumerTemplate>,
    /// `kind: Policy`
    pub policies: Vec<policy::PolicyTemplate>,
    /// `kind: PolicyBinding`
    pub bindings: Vec<binding::BindingTemplate>,
    /// `kind: Service`
    pub services: Vec<service::ServiceTemplate>,
    /// `kind: Composition`
    pub compositions: Vec<composition::CompositionTemplate>,
    /// `kind: Route`
    pub routes: Vec<route::RouteTemplate>,
    /// Files that templates name and that the tree does not list, relative to the configuration directory.
    pub elsewhere: Vec<String>,
    /// Units with a document that could not be read: a name that is missing in them may be in it.
    pub unread: Vec<Arc<str>>,
}

impl Templates {
    /// Decodes every document of the tree and reports every shape finding.
    #[must_use]
    pub fn parse(tree: &Tree, findings: &mut Diagnostics) -> Self {
        document::parse(tree, findings)
    }
}
