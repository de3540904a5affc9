//! RTMP URLs: `rtmp://user:password@host:port/app/instance/key?query`.
//!
//! No standard says where the application ends and the stream's name begins. The rules here, which agree with ffmpeg and librtmp on
//! what people write:
//!
//! - the name is what follows the last slash, and its query belongs to it: `live/cam?k=1` is `live` and `cam?k=1`;
//! - a query behind the first part belongs to the application, up to the last slash: `live?k=1/cam` is `live?k=1` and `cam`;
//! - a name may begin earlier, at a part with a colon: `vod/mp4:films/a.mp4` is `vod` and `mp4:films/a.mp4`;
//! - a slash at the end counts for nothing.

use std::fmt;

use crate::Secret;
use crate::secret::presentable;

/// Whether the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scheme {
    /// `rtmp`, port 1935.
    #[default]
    Rtmp,
    /// `rtmps`, over TLS, port 443.
    Rtmps,
}

impl Scheme {
    /// The word ahead of the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rtmp => "rtmp",
            Self::Rtmps => "rtmps",
        }
    }

    /// The port where a URL says none.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Rtmp => 1935,
            Self::Rtmps => 443,
        }
    }
}

/// A URL that is none. The text does not repeat it, as it may hold a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Neither `rtmp://` nor `rtmps://`.
    #[error("RTMP URL: expected rtmp:// or rtmps:// at the beginning")]
    Scheme,
    /// `rtmpt`, `rtmpe` and the like: tunnelled or encrypted in ways of their own.
    #[error("RTMP URL: rtmpt, rtmpe, rtmpte and rtmpts are not supported")]
    Unsupported,
    /// No host.
    #[error("RTMP URL: expected a host name or address")]
    Host,
    /// A port that is no number from 1 to 65535.
    #[error("RTMP URL: expected a port from 1 to 65535 behind the host")]
    Port,
    /// Control characters or spaces.
    #[error("RTMP URL: expected no spaces and no control characters")]
    Character,
}

/// Where to connect, and what to ask for. Neither `Debug` nor `Display` shows user, password, stream or any query.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct RtmpUrl {
    /// Whether TLS is used.
    pub scheme: Scheme,
    /// User and password, decoded.
    pub user: Option<(String, Secret)>,
    /// Host name or address; an IPv6 address without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The application, perhaps with an instance and a query, decoded but for the query.
    pub app: String,
    /// The stream's name, perhaps with a query; empty if the URL has none. Decoded but for the query.
    pub stream: Secret,
    /// The application as it is written, for `tcUrl`.
    raw_app: String,
}

impl RtmpUrl {
    /// Reads a URL of a stream.
    ///
    /// # Errors
    /// [`UrlError`]
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let (mut parsed, path) = Self::authority(url)?;
        let (app, stream) = split(path);
        parsed.set_app(app);
        parsed.stream = decode(stream).into();
        Ok(parsed)
    }

    /// Reads a URL of an application, such as `tcUrl`, and puts a stream to it.
    ///
    /// # Errors
    /// [`UrlError`]
    pub fn from_tc_url(tc_url: &str, stream: Secret) -> Result<Self, UrlError> {
        let (mut parsed, path) = Self::authority(tc_url)?;
        parsed.set_app(path.trim_end_matches('/'));
        parsed.stream = stream;
        Ok(parsed)
    }

    /// The same server and application, another stream; for keys that are kept apart from the URL.
    pub fn with_stream(mut self, stream: Secret) -> Self {
        self.stream = stream;
        self
    }

    /// The URL of the application, as `connect` says it: without user and password, without a usual port.
    pub fn tc_url(&self) -> String {
        format!("{}/{}", self.origin(), self.raw_app)
    }

    /// Where a server sends its client to: an absolute URL of an application, or one relative to this (RFC 3986, 4.2). The stream
    /// stays; an absolute URL may repeat it at its end.
    ///
    /// # Errors
    /// [`UrlError`]
    pub fn resolve(&self, reference: &str) -> Result<Self, UrlError> {
        let absolute = match reference {
            _ if reference.contains("://") => reference.to_owned(),
            _ if reference.starts_with("//") => format!("{}:{reference}", self.scheme.as_str()),
            _ if reference.starts_with('/') => format!("{}{reference}", self.origin()),
            "" => self.tc_url(),
            _ => {
                let folder = self.raw_app.rsplit_once('/').map_or("", |(folder, _)| folder);
                let slash = if folder.is_empty() { "" } else { "/" };
                format!("{}/{folder}{slash}{reference}", self.origin())
            }
        };
        let name = self.stream.reveal();
        let bare = absolute.strip_suffix(name).and_then(|bare| bare.strip_suffix('/'));
        let tc_url = bare.filter(|bare| !name.is_empty() && !bare.ends_with(['/', ':'])).unwrap_or(&absolute);
        let resolved = Self::from_tc_url(tc_url, self.stream.clone())?;
        Ok(Self { user: resolved.user.or_else(|| self.user.clone()), ..resolved })
    }

    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let scheme = self.scheme.as_str();
        if self.port == self.scheme.default_port() {
            format!("{scheme}://{host}")
        } else {
            format!("{scheme}://{host}:{}", self.port)
        }
    }

    fn set_app(&mut self, app: &str) {
        self.raw_app = app.to_owned();
        self.app = decode(app);
    }

    /// Everything up to the path, and the path with query, without the slash at its beginning.
    fn authority(url: &str) -> Result<(Self, &str), UrlError> {
        if url.chars().any(|c| c.is_control() || c == ' ') {
            return Err(UrlError::Character);
        }
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::Scheme)?;
        let scheme = match &*scheme.to_ascii_lowercase() {
            "rtmp" => Scheme::Rtmp,
            "rtmps" => Scheme::Rtmps,
            "rtmpt" | "rtmpe" | "rtmpte" | "rtmpts" => return Err(UrlError::Unsupported),
            _ => return Err(UrlError::Scheme),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        // A password may hold an @ that somebody forgot to encode.
        let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        let user = user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            (decode(name), decode(password).into())
        });
        let (host, port) = host_and_port(host, scheme)?;
        Ok((Self { scheme, user, host, port, ..Self::default() }, path.trim_start_matches('/')))
    }
}

impl fmt::Display for RtmpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&presentable(&self.tc_url()))
    }
}

impl fmt::Debug for RtmpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RtmpUrl({self})")
    }
}

fn host_and_port(text: &str, scheme: Scheme) -> Result<(String, u16), UrlError> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, behind) = rest.split_once(']').ok_or(UrlError::Host)?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| UrlError::Host)?;
            let port = if behind.is_empty() { None } else { Some(behind.strip_prefix(':').ok_or(UrlError::Port)?) };
            (address, port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        None | Some("") => scheme.default_port(),
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or(UrlError::Port)?,
    };
    if host.is_empty() { Err(UrlError::Host) } else { Ok((host.to_owned(), port)) }
}

/// Application and stream of a path with its query.
fn split(path: &str) -> (&str, &str) {
    let head = path.split('?').next().unwrap_or_default();
    // A slash at the end of the path counts for nothing, unless a query follows.
    let path = if head.len() == path.len() { path.trim_end_matches('/') } else { path };
    let head = &path[..head.len().min(path.len())];
    let at = head.find(':').and_then(|colon| head[..colon].rfind('/')).or_else(|| head.rfind('/'));
    match at.or_else(|| path.rfind('/')) {
        Some(at) => (path[..at].trim_end_matches('/'), path[at..].trim_matches('/')),
        None => (path, ""),
    }
}

/// Decodes `%XX` ahead of the query (RFC 3986, 2.1). What is no such sequence stays.
fn decode(text: &str) -> String {
    let (path, query) = text.split_at(text.find('?').unwrap_or(text.len()));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = path.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes.extend_from_slice(query.as_bytes());
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> (String, u16, String, String) {
        let url = RtmpUrl::parse(url).unwrap();
        (url.host, url.port, url.app, url.stream.reveal().to_owned())
    }

    #[test]
    fn rtmp_m13_application_and_key() {
        for (path, app, key) in [
            ("live/cam", "live", "cam"),
            ("live/one/cam", "live/one", "cam"),
            ("live/cam/", "live", "cam"),
            ("live/", "live", ""),
            ("live", "live", ""),
            ("", "", ""),
            ("live/cam?k=1&u=http://x/y", "live", "cam?k=1&u=http://x/y"),
            ("live?token=a=b/cam", "live?token=a=b", "cam"),
            ("live?token=a/b/cam", "live?token=a/b", "cam"),
            ("live?token=a", "live?token=a", ""),
            ("live/?k=1", "live", "?k=1"),
            ("live/a?b=c?d==", "live", "a?b=c?d=="),
            ("vod/mp4:films/a.mp4", "vod", "mp4:films/a.mp4"),
            ("live/a%20b%3Fc?x=%20", "live", "a b?c?x=%20"),
            ("live/100%", "live", "100%"),
            ("live//cam", "live", "cam"),
        ] {
            let expected = ("host".to_owned(), 1935, app.to_owned(), key.to_owned());
            assert_eq!(parts(&format!("rtmp://host/{path}")), expected, "{path}");
        }
    }

    #[test]
    fn rtmp_m13_hosts_ports_and_users() {
        for (authority, host, port) in [
            ("host", "host", 1935),
            ("host:1936", "host", 1936),
            ("host:", "host", 1935),
            ("[::1]", "::1", 1935),
            ("[2001:db8::7]:19350", "2001:db8::7", 19350),
            ("user:pa:ss@host:1", "host", 1),
            ("us%40er:p%2Fw@[::1]:2", "::1", 2),
        ] {
            let (found, found_port, app, _) = parts(&format!("rtmp://{authority}/live/cam"));
            assert_eq!((&*found, found_port, &*app), (host, port, "live"), "{authority}");
        }
        let url = RtmpUrl::parse("rtmps://us%40er:p%2F:w@host/live/cam").unwrap();
        assert_eq!((url.scheme, url.port), (Scheme::Rtmps, 443));
        assert_eq!(url.user, Some(("us@er".into(), "p/:w".into())));
        assert_eq!(url.tc_url(), "rtmps://host/live");
        assert_eq!(RtmpUrl::parse("RTMP://[::1]:7/a/b/c").unwrap().tc_url(), "rtmp://[::1]:7/a/b");
    }

    #[test]
    fn rtmp_m13_what_is_no_url() {
        for (url, error) in [
            ("http://host/live", UrlError::Scheme),
            ("host/live", UrlError::Scheme),
            ("rtmpe://host/live", UrlError::Unsupported),
            ("rtmp:///live", UrlError::Host),
            ("rtmp://[::1/live", UrlError::Host),
            ("rtmp://[host]/live", UrlError::Host),
            ("rtmp://host:0/live", UrlError::Port),
            ("rtmp://host:65536/live", UrlError::Port),
            ("rtmp://[::1]7/live", UrlError::Port),
            ("rtmp://host/li ve", UrlError::Character),
            ("rtmp://host/li\nve", UrlError::Character),
        ] {
            assert_eq!(RtmpUrl::parse(url), Err(error), "{url}");
        }
    }

    #[test]
    fn ert_11_absolute_and_relative_targets() {
        let base = RtmpUrl::parse("rtmp://u:p@host:1936/live/one/cam?k=1").unwrap();
        for (reference, tc_url) in [
            // The forms of the standard.
            ("rtmp://foo.mydomain.com:1935/realtimeapp", "rtmp://foo.mydomain.com/realtimeapp"),
            ("rtmp://127.0.0.1/realtimeapp", "rtmp://127.0.0.1/realtimeapp"),
            ("//192.0.2.0/realtimeapp", "rtmp://192.0.2.0/realtimeapp"),
            ("/realtimeapp", "rtmp://host:1936/realtimeapp"),
            ("two", "rtmp://host:1936/live/two"),
            ("", "rtmp://host:1936/live/one"),
            ("rtmp://other/live/cam?k=1", "rtmp://other/live"),
        ] {
            let resolved = base.resolve(reference).unwrap();
            assert_eq!((&*resolved.tc_url(), resolved.stream.reveal()), (tc_url, "cam?k=1"), "{reference}");
            assert!(resolved.user.is_some());
        }
        assert!(base.resolve("http://host/live").is_err());
    }

    #[test]
    fn nothing_secret_is_shown() {
        let url = RtmpUrl::parse("rtmp://u:s3cret@host/live?t=s3cret/s3cret").unwrap();
        assert_eq!(format!("{url} {url:?}"), "rtmp://host/live RtmpUrl(rtmp://host/live)");
    }
}
