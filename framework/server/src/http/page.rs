//! Pages of the program: texts that it brings with it, without scripts, styles or anything else of other origins.

use bytes::Bytes;
use hyper::Response;
use hyper::header::{self, HeaderName, HeaderValue};

use super::answer::nothing_here;
use super::body::Body;
use super::routes::{Answer, Ask, Route};

/// Nothing but what the listener itself has. Workers are how hls.js and mpegts.js work.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; media-src 'self' blob:; connect-src 'self'; \
     worker-src 'self' blob:; base-uri 'none'; form-action 'none'",
);

/// A file beside a page: its name, media type and text.
pub type PageFile = (&'static str, &'static str, &'static str);

/// A page and the files beside it: mounted as a folder.
pub struct Page {
    html: Bytes,
    files: &'static [PageFile],
}

impl Page {
    /// One of a whole text in HTML.
    pub fn new(html: impl Into<Bytes>, files: &'static [PageFile]) -> Self {
        Self { html: html.into(), files }
    }
}

impl Route for Page {
    fn answer(&self, ask: &Ask<'_>) -> Answer {
        if ask.rest.is_empty() {
            return fixed("text/html; charset=utf-8", self.html.clone()).into();
        }
        match self.files.iter().find(|(name, ..)| *name == ask.rest) {
            Some((_, media_type, text)) => fixed(media_type, Bytes::from_static(text.as_bytes())).into(),
            None => nothing_here().into(),
        }
    }
}

/// What of a page is made when it is asked for, as strictly kept from other origins as the page itself.
pub(super) fn fixed(media_type: &'static str, content: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::Full(content));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
