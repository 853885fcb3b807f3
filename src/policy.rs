//! Policies and the layers every route has, one file each. `gateway::stack` orders them.

pub mod catch_panic;
pub mod respond;
