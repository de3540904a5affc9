//! What another attempt mends, and when.

use bytes::Bytes;
use millstream_core::{Env, Error, ErrorKind, Time, TimeDelta};
use millstream_server::backoff::Backoff;
use millstream_server::http::hyper::StatusCode;
use millstream_server::http::hyper::header::{self, HeaderMap};

/// Longest wait that a server may ask for: one that asks for more is asked again all the same.
const MAX_WAIT: TimeDelta = TimeDelta::from_secs(300);

/// Longest problem that is told, in characters.
const MAX_TEXT: usize = 200;

/// Why there is no session.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(super) error: Error,
    pub(super) remedy: Remedy,
    /// Nothing is at the URL.
    is_missing: bool,
}

/// What helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing.
    None,
    /// Perhaps another attempt: the server has taken us before.
    IfKnown,
    /// Another attempt, after that long at least.
    Again(TimeDelta),
}

impl Failure {
    /// One that another attempt may mend.
    pub(crate) fn passing(error: Error) -> Self {
        Self { error, remedy: Remedy::Again(TimeDelta::ZERO), is_missing: false }
    }

    /// One that another attempt mends only if there was a session before.
    pub(super) fn unless_known(error: Error) -> Self {
        Self { remedy: Remedy::IfKnown, ..Self::passing(error) }
    }

    /// One that nothing mends.
    pub(crate) fn lasting(error: Error) -> Self {
        Self { error, remedy: Remedy::None, is_missing: false }
    }

    /// The same for who waits for a stream that there is not yet (404).
    pub(super) fn or_again_where_nothing_is(self) -> Self {
        match self.is_missing {
            true => Self { remedy: Remedy::Again(TimeDelta::ZERO), ..self },
            false => self,
        }
    }

    /// What a request came to that was not answered.
    pub(super) fn unanswered(error: Error) -> Self {
        match error.kind() {
            // A redirect to what is no URL or where it may not go, or TLS without the feature.
            ErrorKind::Settings | ErrorKind::Unsupported => Self::lasting(error),
            _ => Self::passing(error),
        }
    }

    /// What a server says that does not do it.
    pub(super) fn refused(place: &str, status: StatusCode, headers: &HeaderMap, body: &Problem, wall: Time) -> Self {
        let text = if body.0.is_empty() { String::new() } else { format!(": {}", body.0) };
        let error = Error::new(ErrorKind::Peer, format!("{place} answers {status}{text}"));
        let after = Remedy::Again(retry_after(headers, wall).unwrap_or(TimeDelta::ZERO));
        let (remedy, hint) = match status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::TOO_EARLY => (after, None),
            StatusCode::TOO_MANY_REQUESTS => (after, None),
            _ if status.is_server_error() => (after, None),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                (Remedy::IfKnown, Some("is the `token` right, or the key in the query of `location`?"))
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => (Remedy::IfKnown, Some("is the URL right?")),
            _ if status.is_redirection() => {
                (Remedy::None, Some("only 307 and 308 keep what is posted: write the URL that is meant as `location`"))
            }
            _ => (Remedy::None, None),
        };
        Self { error: hint.into_iter().fold(error, Error::hint), remedy, is_missing: status == StatusCode::NOT_FOUND }
    }
}

/// What the body of a refusal says to people, without what nobody but the server may see.
#[derive(Debug, Default)]
pub(super) struct Problem(String);

impl Problem {
    /// Reads a body: plain text, or JSON with `detail` or `title` (RFC 9457).
    pub(super) fn read(headers: &HeaderMap, body: &Bytes, secrets: &[&str]) -> Self {
        let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let text = match media_type.split(';').next().unwrap_or_default().trim() {
            "application/problem+json" | "application/json" => of_json(body),
            "text/plain" | "" => String::from_utf8_lossy(body).into_owned(),
            _ => String::new(),
        };
        let hidden = |text: String, secret: &&str| match secret.is_empty() {
            true => text,
            false => text.replace(*secret, "…"),
        };
        let text: String = secrets.iter().fold(text, hidden).split_whitespace().collect::<Vec<_>>().join(" ");
        Self(text.chars().filter(|one| !one.is_control()).take(MAX_TEXT).collect())
    }
}

/// Whatever a server says, little is told of it, on one line, and no secret.
pub(super) fn fuzz(data: &[u8]) {
    use millstream_server::http::hyper::header::HeaderValue;
    let body = Bytes::copy_from_slice(data);
    for media_type in ["text/plain", "application/problem+json", "text/html"] {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(media_type))]);
        let Problem(text) = Problem::read(&headers, &body, &["key"]);
        assert!(text.chars().count() <= MAX_TEXT && !text.chars().any(char::is_control) && !text.contains("key"));
    }
}

fn of_json(body: &Bytes) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let of = |name: &str| value.get(name).and_then(|text| text.as_str()).map(str::to_owned);
    of("detail").or_else(|| of("title")).or_else(|| of("error")).unwrap_or_default()
}

/// `Retry-After`: seconds or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, wall: Time) -> Option<TimeDelta> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse::<u32>() {
        Ok(seconds) => TimeDelta::from_secs(seconds.into()),
        Err(_) => {
            let until = httpdate::parse_http_date(value).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
            TimeDelta::from(until) - wall.since(Time::ZERO)
        }
    };
    Some(wait.clamp(TimeDelta::ZERO, MAX_WAIT))
}

/// Counts attempts in a row.
#[derive(Debug)]
pub(crate) struct Attempts {
    backoff: Backoff,
    retries: u32,
    is_known: bool,
}

impl Attempts {
    /// So many after the first.
    pub(crate) fn new(retries: u32) -> Self {
        Self { backoff: Backoff::default(), retries, is_known: false }
    }

    /// The server is there, and takes us.
    pub(crate) fn connected(&mut self) {
        self.backoff.reset();
        self.is_known = true;
    }

    /// How long to wait for the next attempt, and what to tell meanwhile.
    ///
    /// # Errors
    /// That of the failure, where nothing is mended by another attempt, or there is none left.
    pub(crate) fn next(&mut self, failure: Failure, env: &Env) -> Result<(TimeDelta, Error), Error> {
        let Failure { error, remedy, .. } = failure;
        let least = match remedy {
            Remedy::Again(least) => least,
            Remedy::IfKnown if self.is_known => TimeDelta::ZERO,
            Remedy::None | Remedy::IfKnown => return Err(error),
        };
        if self.backoff.attempts() >= self.retries {
            return Err(error);
        }
        let wait = self.backoff.next(env).max(least);
        Ok((wait, error.hint(format!("tries again in {:.1} s", wait.to_std().as_secs_f64()))))
    }
}

#[cfg(test)]
mod tests {
    use millstream_server::http::hyper::header::HeaderValue;

    use super::*;

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn whip_6_a_server_says_when_to_come_again() {
        // Sun, 06 Nov 1994 08:49:37 GMT is the date of RFC 9110, 5.6.7.
        let wall = Time::from_nanos(784_111_777_000_000_000 - 7_000_000_000);
        for (value, seconds) in [("3", Some(3)), ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)), ("soon", None)] {
            let wait = retry_after(&headers(header::RETRY_AFTER, value), wall);
            assert_eq!(wait, seconds.map(TimeDelta::from_secs), "{value}");
        }
        assert_eq!(retry_after(&headers(header::RETRY_AFTER, "4000000000"), wall), Some(MAX_WAIT));
        let past = Time::from_nanos(784_111_777_000_000_000 + 1);
        let date = headers(header::RETRY_AFTER, "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(retry_after(&date, past), Some(TimeDelta::ZERO));
    }

    #[test]
    fn sec_problems_are_told_without_what_only_the_server_may_see() {
        let of = |kind: &'static str, body: &'static str| {
            Problem::read(&headers(header::CONTENT_TYPE, kind), &Bytes::from_static(body.as_bytes()), &["s3cret", ""]).0
        };
        assert_eq!(of("text/plain; charset=utf-8", "No s3cret\r\n\u{1b}[2Jhere.\n"), "No … [2Jhere.");
        assert_eq!(of("application/problem+json", "{\"title\":\"a\",\"detail\":\"s3cret is none\"}"), "… is none");
        assert_eq!(of("text/html", "<p>s3cret</p>"), "");
        assert_eq!(of("text/plain", ""), "");
        assert_eq!(of("application/json", "[[[["), "");
    }
}
