//! A request to a response.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Version};
use millstream_core::Env;

use super::body::Body;
use super::path::normalise;
use super::routes::{Answer, Ask, Connection, Routes};

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// A response of plain text.
pub fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::Full(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    if !text.is_empty() {
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
    }
    response
}

/// What a page of another origin may read of a response beside its usual headers.
const EXPOSED: HeaderValue = HeaderValue::from_static("Content-Range, Date");

/// Answers a request.
pub(super) async fn answer(
    routes: &Routes,
    env: &Env,
    request: &Request<()>,
    connection: &Connection,
) -> Response<Body> {
    let mut response = match find(routes, request, connection) {
        Answer::Now(response) => response,
        Answer::Later(response) => response.await,
    };
    let headers = response.headers_mut();
    // What is served is for everybody, and needs no cookie: any page may read it.
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if let Some(date) = date(env) {
        headers.insert(header::DATE, date);
    }
    response
}

fn find(routes: &Routes, request: &Request<()>, connection: &Connection) -> Answer {
    // RFC 9112, 3.2: exactly one, from HTTP/1.1 on.
    let hosts = request.headers().get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() >= Version::HTTP_11) {
        return text(StatusCode::BAD_REQUEST, "A request has one Host.\n").into();
    }
    match *request.method() {
        Method::OPTIONS => return options(request).into(),
        Method::GET | Method::HEAD => {}
        _ => {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Only GET, HEAD and OPTIONS are served.\n");
            response.headers_mut().insert(header::ALLOW, METHODS);
            return response.into();
        }
    }
    let Some(path) = normalise(request.uri().path()) else {
        return text(StatusCode::BAD_REQUEST, "This is no path.\n").into();
    };
    match routes.find(&path) {
        Some((route, rest)) => route.answer(&Ask { request, connection, rest }),
        None => nothing_here().into(),
    }
}

/// The response for a path at which there is nothing.
pub fn nothing_here() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "There is nothing at this path.\n")
}

/// Says what may be asked; to a page that asks before it does (Fetch, 3.3.3), too.
fn options(request: &Request<()>) -> Response<Body> {
    let mut response = text(StatusCode::NO_CONTENT, "");
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, METHODS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.unwrap_or(HeaderValue::from_static("*")));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

/// The time as RFC 9110, 5.6.7, writes it.
fn date(env: &Env) -> Option<HeaderValue> {
    let since_1970 = Duration::from_nanos(u64::try_from(env.clock.wall().nanos()).ok()?);
    HeaderValue::from_str(&httpdate::fmt_http_date(SystemTime::UNIX_EPOCH.checked_add(since_1970)?)).ok()
}
