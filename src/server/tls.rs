//! TLS of clients: certificates by the name that is asked for, HTTP by ALPN, client certificates.
//!
//! Every rustls type of the server's side stays in this module. `load` reads what a tree names and keeps
//! what was good when a file has become bad; `certificate` chooses by name; `handshake` bounds what
//! strangers can make a worker compute; `stream` is what is left of all that once a connection is up.
//!
//! **Resumption** is by tickets that the process alone can open: they hold the whole state, so that workers
//! share them without sharing anything, and their key is new every six hours. It is a listener's as long as
//! the process lives, whatever is reloaded. A listener that asks for client certificates gives no tickets
//! and takes none: who resumes is not verified again. Absent: early data, which can be replayed.

use std::sync::Arc;

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier},
    version::{TLS12, TLS13},
};

mod certificate;
pub(super) mod handshake;
mod load;
mod stream;

pub use load::Listeners;
pub(super) use stream::Stream;

use certificate::{ByName, Pair};

/// What is spoken after the handshake, by preference.
const PROTOCOLS: [&[u8]; 3] = [b"h2", b"http/1.1", b"http/1.0"];
/// What a connection may hold that its socket does not take; on top of that come the limits of HTTP.
const UNSENT: usize = 32 * 1024;

/// What the connections of a listener are accepted with.
#[derive(Debug)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
}

/// Whom a listener asks for a certificate.
struct Asked {
    roots: Arc<rustls::RootCertStore>,
    required: bool,
}

// === impl Acceptor ===

impl Acceptor {
    fn new(
        pairs: &[Arc<Pair>],
        only_tls13: bool,
        asked: Option<Asked>,
        tickets: &Arc<dyn ProducesTickets>,
    ) -> Result<Self, String> {
        let versions: &[_] = if only_tls13 { &[&TLS13] } else { &[&TLS13, &TLS12] };
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .map_err(|error| error.to_string())?;
        let asks = asked.is_some();
        let builder = match asked {
            None => builder.with_no_client_auth(),
            Some(Asked { roots, required }) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                let verifier = if required { verifier } else { verifier.allow_unauthenticated() };
                builder.with_client_cert_verifier(verifier.build().map_err(|error| error.to_string())?)
            }
        };
        let names = ByName::new(pairs).ok_or_else(|| "there is no certificate".to_owned())?;
        let mut config = builder.with_cert_resolver(Arc::new(names));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        // With tickets there is nothing to store.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        if asks {
            config.send_tls13_tickets = 0;
        } else {
            config.ticketer = Arc::clone(tickets);
        }
        Ok(Self { config: Arc::new(config) })
    }
}

/// Named, because a dependency that enables another one would make the default panic.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
