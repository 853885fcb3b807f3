//! Against real sockets on loopback.

mod answers;
mod endpoints;
mod http1;
mod http2;
mod origin;
mod settings;
