//! An upstream's connection that has left HTTP/1.1, on its way to whoever takes the answer.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Response;

use super::io::Io;
use crate::{duplex::Duplex, switched, upstream::pool::lock};

type Switched = switched::Switched<Io>;

/// An extension must be cloneable, the stream is there once.
#[derive(Clone, Debug)]
struct Offer(Arc<Mutex<Option<Switched>>>);

/// Puts the stream beside an answer with status 101. `first` is what came behind it.
pub(super) fn offer<B>(response: &mut Response<B>, first: Bytes, io: Io) {
    response.extensions_mut().insert(Offer(Arc::new(Mutex::new(Some(Switched::new(first, io))))));
}

/// Takes the upstream's end of an upgrade from an answer with status 101.
pub fn switched<B>(response: &mut Response<B>) -> Option<impl Duplex + use<B>> {
    response.extensions_mut().remove::<Offer>().and_then(|offer| lock(&offer.0).take())
}
