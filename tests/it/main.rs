//! The one integration binary: linked once, however many modules it has.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail as tests do")]

mod composed;
mod layering;
mod proxied;
mod shipped;
mod size;
mod sources;
mod support;
