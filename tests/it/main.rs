//! The one integration binary: linked once, however many modules it has.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail as tests do")]

mod admin;
mod composed;
mod corpus;
mod crowded;
mod defaults;
mod edge;
mod faults;
mod held;
mod hostile;
mod http1;
mod http2;
mod identity;
mod injection;
mod layering;
mod paths;
mod policies;
mod process;
mod proxied;
mod reload;
mod resends;
mod sentences;
mod shed;
mod shipped;
mod size;
mod slow;
mod sources;
mod specs;
mod spoof;
mod support;
mod telemetry;
mod tenants;
mod tls;
mod tls_clients;
mod tls_files;
