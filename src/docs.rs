//! The long documents, as part of the library's documentation. They are Markdown files beside this one;
//! tests compile the templates that they show.

#[doc = include_str!("docs/architecture.md")]
pub mod architecture {}

#[doc = include_str!("docs/format.md")]
pub mod format {}

#[doc = include_str!("docs/policies.md")]
pub mod policies {}

#[doc = include_str!("docs/testing.md")]
pub mod testing {}

#[doc = include_str!("docs/defaults.md")]
pub mod defaults {}

#[doc = include_str!("docs/governance.md")]
pub mod governance {}

#[doc = include_str!("docs/tls.md")]
pub mod tls {}

#[doc = include_str!("docs/operations.md")]
pub mod operations {}

#[doc = include_str!("docs/telemetry.md")]
pub mod telemetry {}

#[doc = include_str!("docs/identity.md")]
pub mod identity {}

#[doc = include_str!("docs/problems.md")]
pub mod problems {}

#[doc = include_str!("docs/expressions.md")]
pub mod expressions {}

#[doc = include_str!("docs/changelog.md")]
pub mod changelog {}
