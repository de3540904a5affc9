//! Responses of an endpoint, and what requests say in their headers.

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use millstream_server::access::Denied;
use millstream_server::http::{Body, hyper};

use crate::session::Refused;

/// A session description.
pub(crate) const SDP: &str = "application/sdp";
/// A fragment of one (RFC 8840).
pub(super) const SDP_FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// Why a request is not served: status and reason, for the client and for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The status of the response.
    pub status: StatusCode,
    /// What is in its body: a sentence.
    pub text: String,
    /// Seconds after which it may be tried again.
    pub retry_after: Option<u32>,
}

impl Rejected {
    /// One without another attempt.
    pub fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), retry_after: None }
    }

    /// Worth another attempt after so many seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    pub(super) fn response(&self) -> Response<Body> {
        let mut response = empty(self.status);
        *response.body_mut() = Body::Full(Bytes::from(format!("{}\n", self.text)));
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<Refused> for Rejected {
    fn from(refused: Refused) -> Self {
        let status = match refused {
            Refused::Malformed(_) => StatusCode::BAD_REQUEST,
            Refused::Unacceptable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Refused::NoCodec(_) => StatusCode::NOT_ACCEPTABLE,
        };
        Self::new(status, refused.to_string())
    }
}

/// A response without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Full(Bytes::new()));
    *response.status_mut() = status;
    response
}

pub(super) fn method_not_allowed(methods: &'static str) -> Response<Body> {
    let mut response = Rejected::new(StatusCode::METHOD_NOT_ALLOWED, "This method is not served here.").response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    response
}

/// 401 to who has shown nothing, 403 to who may not (RFC 6750, 3).
pub(super) fn denied(is_unknown: bool, denied: &Denied) -> Response<Body> {
    let status = if is_unknown { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
    let mut response = Rejected::new(status, denied.to_string()).response();
    if is_unknown {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Whether a body is of a type.
pub(crate) fn has_type(headers: &HeaderMap, wanted: &str) -> bool {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    said.and_then(|said| said.split(';').next()).is_some_and(|said| said.trim().eq_ignore_ascii_case(wanted))
}

/// What `If-Match` says (RFC 9110, 13.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// There is none.
    Missing,
    /// `*`.
    Any,
    /// These tags.
    Tags(Vec<String>),
}

impl Match {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(header::IF_MATCH).iter().filter_map(|value| value.to_str().ok()).peekable();
        if values.peek().is_none() {
            return Self::Missing;
        }
        let tags: Vec<String> = values.flat_map(|value| value.split(',')).map(|tag| tag.trim().to_owned()).collect();
        match tags.iter().any(|tag| tag == "*") {
            true => Self::Any,
            false => Self::Tags(tags),
        }
    }
}
