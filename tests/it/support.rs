//! What the tests share.

pub mod client;
pub mod gateway;
pub mod origin;
