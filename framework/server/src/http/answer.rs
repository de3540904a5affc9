//! A request to a response.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Version};
use millstream_core::{Env, TimeDelta};

use super::body::Body;
use super::path::normalise;
use super::routes::{Answer, Ask, Connection, Route, Routes};

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
const EXPOSED: HeaderValue =
    HeaderValue::from_static("Accept-Patch, Accept-Post, Content-Range, Date, ETag, Link, Location, Retry-After");

/// How long a client may take for the body of a request.
const BODY_TIME: TimeDelta = TimeDelta::from_secs(15);

/// Answers a request.
pub(super) async fn answer(
    routes: &Routes,
    env: &Env,
    request: &Request<()>,
    body: Incoming,
    connection: &Connection,
) -> Response<Body> {
    let answer = match find(routes, request) {
        Ok((route, path, beyond)) => {
            let rest = path.get(beyond..).unwrap_or_default();
            with(&*route, &Ask { request, connection, rest }, body, env).await
        }
        Err(refused) => (*refused).into(),
    };
    let mut response = match answer {
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

/// What is at the path of a request, that path, and where the part begins that is beyond where the route is mounted.
type Found = (Arc<dyn Route>, String, usize);

fn find(routes: &Routes, request: &Request<()>) -> Result<Found, Box<Response<Body>>> {
    let refused = |text: &'static str| Box::new(self::text(StatusCode::BAD_REQUEST, text));
    // RFC 9112, 3.2: exactly one, from HTTP/1.1 on.
    let hosts = request.headers().get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() >= Version::HTTP_11) {
        return Err(refused("A request has one Host.\n"));
    }
    let path = normalise(request.uri().path());
    let found = path.as_ref().and_then(|path| {
        let (route, rest) = routes.find(path)?;
        Some((route, path.len() - rest.len()))
    });
    match (request.method(), found, path) {
        (_, Some((route, beyond)), Some(path)) => Ok((route, path, beyond)),
        (&Method::OPTIONS, ..) => Err(Box::new(options(request, None))),
        (&Method::GET | &Method::HEAD, _, None) => Err(refused("This is no path.\n")),
        (&Method::GET | &Method::HEAD, ..) => Err(Box::new(nothing_here())),
        _ => Err(Box::new(not_allowed(METHODS))),
    }
}

async fn with(route: &dyn Route, ask: &Ask<'_>, body: Incoming, env: &Env) -> Answer {
    let takes = route.takes();
    match *ask.request.method() {
        Method::OPTIONS => {
            let mut response = options(ask.request, takes.map(|takes| HeaderValue::from_static(takes.methods)));
            route.options(ask, response.headers_mut());
            response.into()
        }
        Method::GET | Method::HEAD => route.answer(ask),
        ref method => match takes {
            Some(takes) if takes.allows(method.as_str()) => match whole(body, takes.body, env).await {
                Ok(body) => route.receive(ask, body),
                Err(refused) => (*refused).into(),
            },
            Some(takes) => not_allowed(HeaderValue::from_static(takes.methods)).into(),
            None => not_allowed(METHODS).into(),
        },
    }
}

/// The bytes of a body.
async fn whole(mut body: Incoming, limit: usize, env: &Env) -> Result<Bytes, Box<Response<Body>>> {
    let mut bytes = BytesMut::new();
    let mut late = env.clock.sleep_until(env.clock.now() + BODY_TIME);
    loop {
        let frame = tokio::select! {
            biased;
            frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)) => frame,
            () = &mut late => return Err(Box::new(text(StatusCode::REQUEST_TIMEOUT, "The body took too long.\n"))),
        };
        match frame {
            None => return Ok(bytes.freeze()),
            Some(Ok(frame)) => bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            Some(Err(_)) => return Err(Box::new(text(StatusCode::BAD_REQUEST, "The body ended early.\n"))),
        }
        if bytes.len() > limit {
            return Err(Box::new(text(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large.\n")));
        }
    }
}

fn not_allowed(methods: HeaderValue) -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "This method is not served here.\n");
    response.headers_mut().insert(header::ALLOW, methods);
    response
}

/// The response for a path at which there is nothing.
pub fn nothing_here() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "There is nothing at this path.\n")
}

/// Says what may be asked; to a page that asks before it does (Fetch, 3.3.3), too.
fn options(request: &Request<()>, methods: Option<HeaderValue>) -> Response<Body> {
    let mut response = text(StatusCode::NO_CONTENT, "");
    let headers = response.headers_mut();
    let methods = methods.unwrap_or(METHODS);
    headers.insert(header::ALLOW, methods.clone());
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
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
