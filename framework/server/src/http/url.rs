//! URLs of HTTP servers, and what others mean by theirs (RFC 3986).

use hyper::Uri;
use hyper::header::HeaderValue;
use millstream_core::{Error, ErrorKind, Result};

/// Reads the URL of an HTTP server.
///
/// # Errors
/// When it is no `http` or `https` URL with a host, or has a user and a password.
pub(super) fn parse(url: &str) -> Result<Uri> {
    let wrong =
        |why: &str| Error::settings(format!("this is no URL for HTTP: {why}")).hint("write http://host:port/path");
    let parsed: Uri = url.parse().map_err(|_| wrong("it does not follow RFC 3986"))?;
    match parsed.scheme_str() {
        Some("http" | "https") => {}
        Some(scheme) => return Err(wrong(&format!("its scheme is `{scheme}`"))),
        None => return Err(wrong("it has no scheme")),
    }
    match parsed.authority() {
        Some(authority) if authority.as_str().contains('@') => Err(wrong("it has a user and a password")),
        Some(authority) if !authority.host().is_empty() => Ok(parsed),
        _ => Err(wrong("it has no host")),
    }
}

/// A URL as the server at another one means it: absolute, or relative to that (RFC 3986, 5.2), at the same host.
///
/// # Errors
/// When it is no URL.
pub(super) fn relative(base: &Uri, to: &str) -> Result<Uri> {
    let first = to.split(['/', '?', '#']).next().unwrap_or_default();
    if first.contains(':') || to.starts_with("//") {
        let none = format!("{} leads to what is no URL", place(base));
        return parse(to).map_err(|e| Error::new(ErrorKind::Peer, none).caused_by(e));
    }
    let authority = base.authority().map_or("", |authority| authority.as_str());
    let to = to.split('#').next().unwrap_or_default();
    let target = match to.chars().next() {
        Some('/') => to.to_owned(),
        Some('?') | None => format!("{}{to}", base.path()),
        Some(_) => merged(base.path(), to),
    };
    parse(&format!("{}://{authority}{target}", base.scheme_str().unwrap_or("http")))
}

/// A path beside another one, without `.` and `..` (RFC 3986, 5.2.3 and 5.2.4).
fn merged(base: &str, to: &str) -> String {
    let (path, query) = to.split_at(to.find('?').unwrap_or(to.len()));
    let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').skip(1).collect();
    let mut rest = path.split('/').peekable();
    while let Some(part) = rest.next() {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => {
                parts.push(part);
                continue;
            }
        }
        if rest.peek().is_none() {
            parts.push("");
        }
    }
    format!("/{}{query}", parts.join("/"))
}

/// Host and port, for messages: paths and queries may hold keys.
pub(super) fn place(url: &Uri) -> String {
    url.authority().map_or_else(String::new, |authority| format!("the server at {authority}"))
}

pub(super) fn host_header(url: &Uri) -> Option<HeaderValue> {
    HeaderValue::from_str(url.authority()?.as_str()).ok()
}

/// Host and port that a URL is at.
pub(super) fn host_and_port(url: &Uri) -> (&str, u16) {
    let port = if is_secure(url) { 443 } else { 80 };
    (url.host().unwrap_or_default().trim_matches(['[', ']']), url.port_u16().unwrap_or(port))
}

pub(super) fn is_secure(url: &Uri) -> bool {
    url.scheme_str() == Some("https")
}

pub(super) fn is_same_host(one: &Uri, other: &Uri) -> bool {
    one.host().unwrap_or_default().eq_ignore_ascii_case(other.host().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_name_is_absolute_or_beside_what_was_asked_for() {
        let base = parse("http://a:81/b/c/d?q").unwrap();
        // RFC 3986, 5.4.1, as far as it is about paths.
        for (to, url) in [
            ("/z?q", Some("http://a:81/z?q")),
            ("https://b/", Some("https://b/")),
            ("//c/", None),
            ("g", Some("http://a:81/b/c/g")),
            ("./g", Some("http://a:81/b/c/g")),
            ("g/", Some("http://a:81/b/c/g/")),
            ("?y", Some("http://a:81/b/c/d?y")),
            ("g?y#s", Some("http://a:81/b/c/g?y")),
            (".", Some("http://a:81/b/c/")),
            ("..", Some("http://a:81/b/")),
            ("../g", Some("http://a:81/b/g")),
            ("../../../g", Some("http://a:81/g")),
            ("mailto:x", None),
        ] {
            assert_eq!(relative(&base, to).ok().map(|url| url.to_string()).as_deref(), url, "{to}");
        }
        assert!(relative(&base, "file:///etc/passwd").is_err());
    }
}
