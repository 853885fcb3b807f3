//! What the tests share.

pub(crate) mod client;
pub(crate) mod frames;
pub(crate) mod gateway;
pub(crate) mod origin;
pub(crate) mod secure;
pub(crate) mod strict;
