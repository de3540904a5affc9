//! Bytes and files of known length, whole or in parts (RFC 9110, 14).

use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use millstream_core::Env;
use millstream_core::env::{BoxFuture, ReadFile};

use super::answer::{nothing_here, text};
use super::body::{Body, Live, Slices};
use super::routes::Answer;

/// Bytes of a file that are read at a time. More would be memory that waits for a slow client.
const READ_BLOCK: u64 = 256 << 10;

/// What is said of content beside its bytes.
#[derive(Clone, Debug)]
pub struct About {
    /// Its media type.
    pub media_type: HeaderValue,
    /// How long it may be kept (RFC 9111, 5.2).
    pub cache: HeaderValue,
}

/// Answers with bytes.
pub fn bytes(request: &Request<()>, about: About, mut content: Slices) -> Answer {
    respond(request, &about, content.len() as u64, |part| {
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
        content.cut(at(part.start), at(part.end - part.start));
        Body::Shared(content)
    })
    .into()
}

/// Answers with bytes of which `gzip` makes a smaller representation, for who takes that. Parts are those of the bytes themselves.
pub fn compressible(
    request: &Request<()>,
    about: About,
    content: Bytes,
    gzip: impl FnOnce() -> Option<Bytes>,
) -> Answer {
    let small = (takes_gzip(request) && !request.headers().contains_key(header::RANGE)).then(gzip).flatten();
    let encoded = small.is_some();
    let content = small.unwrap_or(content);
    let len = content.len() as u64;
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
    let mut response = respond(request, &about, len, |part| Body::Full(content.slice(at(part.start)..at(part.end))));
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if encoded {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        // Parts of this are none of what others get.
        headers.remove(header::ACCEPT_RANGES);
    }
    response.into()
}

/// Whether `Accept-Encoding` has gzip with a weight above 0 (RFC 9110, 12.5.3). `*` alone does not ask for it.
fn takes_gzip(request: &Request<()>) -> bool {
    let values = request.headers().get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| ["gzip", "x-gzip"].iter().any(|g| name.eq_ignore_ascii_case(g)));
        let refused = parts.any(|part| {
            let weight = part.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
            weight.is_some_and(|(_, weight)| weight.trim().parse::<f32>().map_or(true, |weight| weight <= 0.0))
        });
        is_gzip && !refused
    })
}

/// Answers with a file, which is read where it keeps no task waiting. What is no file is not there.
pub fn file(request: &Request<()>, about: About, path: PathBuf, env: &Env) -> Answer {
    let (env, fs, head) = (env.clone(), env.fs.clone(), Head::of(request));
    let opened = env.blocking(move || match fs.is_special(&path) {
        true => Err(io::ErrorKind::NotFound.into()),
        false => fs.open(&path),
    });
    Answer::Later(Box::pin(async move {
        match opened.await {
            Some(Ok(file)) => head.respond(&about, file.len().unwrap_or(0), |part| {
                Body::Counted(part.end - part.start, Box::new(Reader { env, at: part.start, state: State::Idle(file) }))
            }),
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => nothing_here(),
            Some(Err(error)) => {
                tracing::warn!(%error, "a file that is served cannot be read");
                text(StatusCode::INTERNAL_SERVER_ERROR, "This cannot be read.\n")
            }
            None => text(StatusCode::SERVICE_UNAVAILABLE, "The server ends.\n"),
        }
    }))
}

fn respond(request: &Request<()>, about: &About, len: u64, body: impl FnOnce(Range<u64>) -> Body) -> Response<Body> {
    Head::of(request).respond(about, len, body)
}

/// What of a request decides about the parts.
struct Head {
    range: Option<String>,
}

impl Head {
    fn of(request: &Request<()>) -> Self {
        // Nothing here has a validator, so no `If-Range` holds (RFC 9110, 13.1.5). Ranges are for GET only (14.2).
        let ranges = request.method() == Method::GET && !request.headers().contains_key(header::IF_RANGE);
        let range = request.headers().get(header::RANGE).filter(|_| ranges);
        Self { range: range.and_then(|value| value.to_str().ok()).map(str::to_owned) }
    }

    fn respond(self, about: &About, len: u64, body: impl FnOnce(Range<u64>) -> Body) -> Response<Body> {
        let part = self.range.as_deref().map_or(Part::Whole, |range| part(range, len));
        let (status, range) = match &part {
            Part::Whole => (StatusCode::OK, 0..len),
            Part::Range(range) => (StatusCode::PARTIAL_CONTENT, range.clone()),
            Part::Nothing => (StatusCode::RANGE_NOT_SATISFIABLE, 0..0),
        };
        let mut response = match part {
            Part::Nothing => text(status, "There is nothing in this range.\n"),
            _ => Response::new(body(range.clone())),
        };
        *response.status_mut() = status;
        about.write(response.headers_mut(), status, &range, len);
        response
    }
}

impl About {
    fn write(&self, headers: &mut HeaderMap, status: StatusCode, range: &Range<u64>, len: u64) {
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let content_range = match status {
            StatusCode::PARTIAL_CONTENT => Some(format!("bytes {}-{}/{len}", range.start, range.end.saturating_sub(1))),
            StatusCode::RANGE_NOT_SATISFIABLE => Some(format!("bytes */{len}")),
            _ => None,
        };
        if let Some(value) = content_range.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(header::CONTENT_RANGE, value);
        }
        if status != StatusCode::RANGE_NOT_SATISFIABLE {
            headers.insert(header::CONTENT_TYPE, self.media_type.clone());
            headers.insert(header::CACHE_CONTROL, self.cache.clone());
        }
    }
}

/// What of the content is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Whole,
    Range(Range<u64>),
    Nothing,
}

/// Reads `Range` for content of this length. Several ranges, other units, and what is no range are as if there was none, which is allowed
/// (RFC 9110, 14.2).
fn part(range: &str, len: u64) -> Part {
    let Some((unit, set)) = range.split_once('=') else { return Part::Whole };
    let Some((first, last)) = set.trim().split_once('-').filter(|_| unit.eq_ignore_ascii_case("bytes")) else {
        return Part::Whole;
    };
    let number = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) {
        true => Some(text.parse::<u64>().unwrap_or(u64::MAX)),
        false => None,
    };
    let range = match (first, last) {
        ("", "") => return Part::Whole,
        ("", suffix) => number(suffix).map(|count| len.saturating_sub(count)..len),
        (first, "") => number(first).map(|first| first..len),
        (first, last) => match number(first).zip(number(last)) {
            Some((first, last)) if last < first => None,
            both => both.map(|(first, last)| first..last.saturating_add(1).min(len)),
        },
    };
    match range {
        None => Part::Whole,
        Some(range) if range.is_empty() => Part::Nothing,
        Some(range) => Part::Range(range),
    }
}

type Read = (Box<dyn ReadFile>, io::Result<Vec<u8>>);

/// A file as the body of a response.
struct Reader {
    env: Env,
    at: u64,
    state: State,
}

enum State {
    Idle(Box<dyn ReadFile>),
    Reading(BoxFuture<'static, Option<Read>>),
    Over,
}

impl Live for Reader {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Slices>> {
        loop {
            match std::mem::replace(&mut self.state, State::Over) {
                State::Over => return Poll::Ready(None),
                State::Idle(file) => self.state = State::Reading(Box::pin(read(&self.env, file, self.at))),
                State::Reading(mut reading) => {
                    let Poll::Ready(read) = Pin::new(&mut reading).poll(cx) else {
                        self.state = State::Reading(reading);
                        return Poll::Pending;
                    };
                    // A file that breaks off leaves the response short, which the client sees.
                    let Some((file, Ok(block))) = read else { return Poll::Ready(None) };
                    if block.is_empty() {
                        return Poll::Ready(None);
                    }
                    self.at = self.at.saturating_add(block.len() as u64);
                    self.state = State::Idle(file);
                    return Poll::Ready(Some(Bytes::from(block).into()));
                }
            }
        }
    }
}

fn read(env: &Env, mut file: Box<dyn ReadFile>, at: u64) -> BoxFuture<'static, Option<Read>> {
    env.blocking(move || {
        let mut block = Vec::new();
        let read = file.seek(at).and_then(|()| file.read(&mut block, READ_BLOCK as usize));
        (file, read.map(|_| block))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_taken_as_rfc_9110_says() {
        for (accepts, expected) in [
            (Some("gzip"), true),
            (Some("deflate, GZIP;q=0.5, br"), true),
            (Some("x-gzip"), true),
            (Some("gzip; q=0"), false),
            (Some("gzip;q=0.000"), false),
            (Some("gzip;q=x"), false),
            (Some("identity, *"), false),
            (Some("gzipped"), false),
            (Some(""), false),
            (None, false),
        ] {
            let mut request = Request::new(());
            if let Some(accepts) = accepts {
                request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accepts));
            }
            assert_eq!(takes_gzip(&request), expected, "{accepts:?}");
        }
    }

    #[test]
    fn ranges_are_those_of_rfc_9110() {
        for (range, expected) in [
            ("bytes=0-499", Part::Range(0..499 + 1)),
            ("bytes=500-", Part::Range(500..1000)),
            ("bytes=-300", Part::Range(700..1000)),
            ("BYTES=0-0", Part::Range(0..1)),
            ("bytes=900-5000", Part::Range(900..1000)),
            ("bytes=-5000", Part::Range(0..1000)),
            ("bytes=0-99999999999999999999999", Part::Range(0..1000)),
            ("bytes=1000-", Part::Nothing),
            ("bytes=1000-1001", Part::Nothing),
            ("bytes=-0", Part::Nothing),
            ("bytes=99999999999999999999999-", Part::Nothing),
            ("bytes=5-4", Part::Whole),
            ("bytes=0-1,5-6", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("lines=0-1", Part::Whole),
            ("0-1", Part::Whole),
        ] {
            assert_eq!(part(range, 1000), expected, "{range}");
        }
        assert_eq!(part("bytes=0-", 0), Part::Nothing);
    }
}
