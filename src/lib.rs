//! **Segue is an API gateway that composes services.**
//!
//! A business unit writes one YAML template per service: which calls it chains, what answers when
//! one fails, what it promises. IT writes the policies that every template inherits. Segue compiles
//! both to an immutable plan, serves it, and reloads it without losing a request.
//!
//! A template's life: `config` (shape) → `compile` (names resolved, findings) → `plan` (immutable)
//! → `gateway` (sockets-free runtime). A request's life: `server` → `gateway` (router, stack of
//! `policy` layers) → `compose` or the proxy → `upstream` → answer.
//!
//! The order of the `mod` lines below is a rule: a module imports only from those above it, and a
//! test fails on an upward import.

// -- what people read
pub mod docs;
// -- vocabulary
pub mod background;
pub mod id;
pub mod inbox;
pub mod turn;
pub mod syntax;
pub mod chunked;
pub mod duplex;
pub mod switched;
pub mod body;
pub mod headers;
pub mod form;
pub mod scalar;
pub mod frames;
pub mod problem;
pub mod error;
pub mod diagnostic;
// -- parts
pub mod descriptors;
pub mod memory;
pub mod json;
pub mod principal;
pub mod telemetry;
pub mod schema;
pub mod expr;
pub mod head;
pub mod content;
pub mod policy;
// -- template → plan
pub mod config;
pub mod plan;
pub mod compile;
// -- execution
pub mod upstream;
pub mod identity;
pub mod compose;
// -- gateway
pub mod gateway;
// -- tests of templates
pub mod suite;
// -- process
pub mod server;
pub mod reload;
pub mod admin;
pub mod export;
pub mod serve;
pub mod cli;
