//! The one integration binary: linked once, however many modules it has.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail as tests do")]

mod admin;
mod composed;
mod edge;
mod hostile;
mod layering;
mod process;
mod proxied;
mod reload;
mod shipped;
mod size;
mod slow;
mod sources;
mod specs;
mod support;
