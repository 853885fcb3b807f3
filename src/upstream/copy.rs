//! A request's copy, for one that may have to be sent again: the HTTP/2 codec takes requests for good.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Version};

use crate::body::Body;

/// What sending a request again needs besides its fields.
pub(super) struct Copy {
    method: http::Method,
    uri: http::Uri,
    version: Version,
    body: Body,
}

impl Copy {
    /// None if the body streams. Fields are put into `fields`, which is cheaper than a map of them.
    pub(super) fn of(request: &Request<Body>, fields: &mut Vec<(HeaderName, HeaderValue)>) -> Option<Self> {
        let body = request.body().copy()?;
        fields.clear();
        fields.extend(request.headers().iter().map(|(name, value)| (name.clone(), value.clone())));
        Some(Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            body,
        })
    }

    /// The request as it was.
    pub(super) fn restore(self, fields: &mut Vec<(HeaderName, HeaderValue)>) -> Request<Body> {
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        let mut headers = HeaderMap::with_capacity(fields.len());
        for (name, value) in fields.drain(..) {
            headers.append(name, value);
        }
        *request.headers_mut() = headers;
        request
    }
}
