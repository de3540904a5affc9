//! A request to another's server: a callback that is asked, a live stream that is fetched.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;

use bytes::{Buf, Bytes, BytesMut};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode, Uri};
use millstream_core::env::TaskHandle;
use millstream_core::net::NetStream;
use millstream_core::{Env, Error, ErrorKind, Result, TimeDelta};

use super::body::Body;
use super::io::Io;
use super::url::{host_and_port, host_header, is_same_host, is_secure, parse, place, relative};
use crate::redirect::{Place, Redirects};

/// Redirects that are followed: more are a loop.
const MAX_REDIRECTS: usize = 5;

const AGENT: HeaderValue = HeaderValue::from_static(concat!("millstream/", env!("CARGO_PKG_VERSION")));

/// What is asked.
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    url: Uri,
    headers: HeaderMap,
    body: Bytes,
    redirects: Redirects,
    resends: bool,
    led: Option<Led>,
}

/// Where somebody comes from whom a server leads.
#[derive(Clone, Debug)]
struct Led {
    /// Where the user wanted it.
    home: Uri,
    /// Address of the server that was asked first.
    reached: Option<IpAddr>,
}

impl Request {
    /// Asks for what is at a URL.
    ///
    /// # Errors
    /// When it is no `http` or `https` URL with a host.
    pub fn get(url: &str) -> Result<Self> {
        Ok(Self::at(Method::GET, parse(url)?))
    }

    fn at(method: Method, url: Uri) -> Self {
        let (headers, body, redirects) = (HeaderMap::new(), Bytes::new(), Redirects::default());
        Self { method, url, headers, body, redirects, resends: false, led: None }
    }

    /// Posts a body of a media type to a URL.
    ///
    /// # Errors
    /// As [`Request::get`].
    pub fn post(url: &str, media_type: &'static str, body: impl Into<Bytes>) -> Result<Self> {
        Ok(Self::at(Method::POST, parse(url)?).body(media_type, body))
    }

    /// By another method.
    #[must_use]
    pub fn method(self, method: Method) -> Self {
        Self { method, ..self }
    }

    /// With a body of a media type.
    #[must_use]
    pub fn body(self, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        let request = Self { body: body.into(), ..self };
        request.header(header::CONTENT_TYPE, HeaderValue::from_static(media_type))
    }

    /// The server that is asked, for messages: paths and queries may hold keys.
    pub fn place(&self) -> String {
        place(&self.url)
    }

    /// With a header in addition.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Where a server may lead it.
    #[must_use]
    pub fn redirects(self, redirects: Redirects) -> Self {
        Self { redirects, ..self }
    }

    /// Sent again, as it is, to where the server leads with 307 or 308 (RFC 9110, 15.4.8), though it is no GET.
    #[must_use]
    pub fn resends(self) -> Self {
        Self { resends: true, ..self }
    }

    /// Addresses of the server that is asked.
    ///
    /// # Errors
    /// When its name is not known.
    pub async fn addresses(&self, env: &Env) -> Result<Vec<SocketAddr>> {
        let (host, port) = host_and_port(&self.url);
        env.net.resolve(host, port).await.map_err(|error| unreached(&self.url, error))
    }

    /// Sends it and waits for the head of the answer. A GET follows redirects, as far as they may lead; others as [`Request::resends`] says. How long it
    /// may take is for the caller to say, with [`within`].
    ///
    /// # Errors
    /// When the server is not reached, is none, redirects too often, or to where it may not, which is [`ErrorKind::Unsupported`].
    pub async fn send(mut self, env: &Env) -> Result<Response> {
        let Led { home, mut reached } = self.led.clone().unwrap_or(Led { home: self.url.clone(), reached: None });
        for _ in 0..=MAX_REDIRECTS {
            let stream = self.connect(env, &home, reached).await?;
            reached = reached.or(Some(stream.peer().ip()));
            let response = self.send_on(env, stream, Led { home: home.clone(), reached }).await?;
            let Some(to) = response.redirect().filter(|_| self.follows(response.status)) else { return Ok(response) };
            let to = relative(&self.url, to)?;
            may_go(self.redirects, &home, &to)?;
            self.url = to;
        }
        Err(peer(format!("{} redirects more than {MAX_REDIRECTS} times", place(&self.url))))
    }

    fn follows(&self, status: StatusCode) -> bool {
        let is_same = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        self.method == Method::GET || (self.resends && is_same)
    }

    /// `reached` is the address of the server that was asked first. Where the user wants it is the user's business.
    async fn connect(&self, env: &Env, home: &Uri, reached: Option<IpAddr>) -> Result<Box<dyn NetStream>> {
        let (url, host) = (&self.url, host_and_port(&self.url).0);
        let mut addresses = self.addresses(env).await?;
        if !is_same_host(home, url) {
            addresses = self.allowed(addresses, reached)?;
        }
        let stream = env.net.connect_any(host, &addresses).await.map_err(|error| unreached(url, error))?;
        if is_secure(url) { secured(env, stream, host).await } else { Ok(stream) }
    }

    /// The addresses that a server at `reached` may lead to.
    fn allowed(&self, addresses: Vec<SocketAddr>, reached: Option<IpAddr>) -> Result<Vec<SocketAddr>> {
        let refused = |address: &SocketAddr| !self.redirects.allows(reached, address.ip());
        match addresses.iter().find(|address| refused(address)) {
            Some(address) if addresses.iter().all(refused) => {
                Err(astray(self.redirects, &self.url, Place::of(address.ip()).as_str()))
            }
            _ => Ok(addresses.into_iter().filter(|address| !refused(address)).collect()),
        }
    }

    async fn send_on(&self, env: &Env, stream: Box<dyn NetStream>, led: Led) -> Result<Response> {
        let (answered, task) = self.exchange_on(env, stream).await?;
        let (head, body) = answered.into_parts();
        let (url, redirects) = (self.url.clone(), self.redirects);
        Ok(Response { status: head.status, headers: head.headers, url, led, redirects, body, _task: task })
    }

    /// Sends it, wherever redirects would lead, and waits for the head of the answer, which may go on as another protocol as long as the task lives.
    pub(super) async fn exchange(&self, env: &Env) -> Result<(hyper::Response<Incoming>, TaskHandle)> {
        let stream = self.connect(env, &self.url, None).await?;
        self.exchange_on(env, stream).await
    }

    async fn exchange_on(
        &self,
        env: &Env,
        stream: Box<dyn NetStream>,
    ) -> Result<(hyper::Response<Incoming>, TaskHandle)> {
        let (mut sender, connection) =
            http1::handshake(Io::new(stream, env.clone())).await.map_err(|e| self.lost(e))?;
        // The answer says how its body ended; what the connection says besides concerns nobody.
        let task = env.tasks.spawn(Box::pin(async move { drop(connection.with_upgrades().await) }));
        let answered = sender.send_request(self.on_wire()?).await.map_err(|e| self.lost(e))?;
        Ok((answered, task))
    }

    /// RFC 9112, 3.2.1: the target is path and query; the host is a header.
    fn on_wire(&self) -> Result<hyper::Request<Body>> {
        let mut request = hyper::Request::new(Body::Full(self.body.clone()));
        *request.method_mut() = self.method.clone();
        let target = self.url.path_and_query().map_or("/", |target| target.as_str());
        *request.uri_mut() = target.parse().map_err(|_| Error::settings("this URL has no path"))?;
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, AGENT);
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        if let Some(host) = host_header(&self.url) {
            headers.insert(header::HOST, host);
        }
        headers.extend(self.headers.clone());
        Ok(request)
    }

    fn lost(&self, error: hyper::Error) -> Error {
        peer(format!("{} gave no answer", place(&self.url))).caused_by(error)
    }
}

/// What a server answers.
pub struct Response {
    status: StatusCode,
    headers: HeaderMap,
    /// Who has answered in the end.
    url: Uri,
    led: Led,
    redirects: Redirects,
    body: Incoming,
    _task: TaskHandle,
}

impl Response {
    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The server that has answered in the end, for messages.
    pub fn place(&self) -> String {
        place(&self.url)
    }

    /// Another request to a URL that the response names, such as that of what was made: absolute, or relative to where it came from.
    ///
    /// # Errors
    /// When it is none, or is where the server may not lead: what holds for a redirect holds for it, but that what a server has at its own
    /// host is no redirect.
    pub fn lead(&self, method: Method, to: &str) -> Result<Request> {
        let (url, home) = (relative(&self.url, to)?, &self.led.home);
        let is_its = is_same_host(home, &url) && (is_secure(&url) || !is_secure(home));
        if !is_its {
            may_go(self.redirects, home, &url)?;
            // Where a name leads is seen when it is asked; what is an address is known now.
            let address = host_and_port(&url).0.parse::<IpAddr>().ok();
            if let Some(address) = address.filter(|address| !self.redirects.allows(self.led.reached, *address)) {
                return Err(astray(self.redirects, &url, Place::of(address).as_str()));
            }
        }
        Ok(Request { redirects: self.redirects, led: Some(self.led.clone()), ..Request::at(method, url) })
    }

    /// The next bytes of its body, as they come; nothing at the end.
    ///
    /// # Errors
    /// When the connection is lost ahead of the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let frame = poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx)).await;
            match frame.transpose().map_err(|e| peer(format!("{} broke off", self.place())).caused_by(e))? {
                None => return Ok(None),
                Some(frame) => match frame.into_data() {
                    Ok(data) if data.has_remaining() => return Ok(Some(data)),
                    _ => {}
                },
            }
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// Those of [`Response::next`], and when it has more than `limit` bytes.
    pub async fn whole(mut self, limit: usize) -> Result<Bytes> {
        let mut all = BytesMut::new();
        while let Some(data) = self.next().await? {
            if all.len() + data.len() > limit {
                return Err(Error::limit(format!("{} answers with more than {limit} bytes", self.place())));
            }
            all.extend_from_slice(&data);
        }
        Ok(all.freeze())
    }

    fn redirect(&self) -> Option<&str> {
        let moved = matches!(self.status.as_u16(), 301 | 302 | 303 | 307 | 308);
        self.headers.get(header::LOCATION).filter(|_| moved)?.to_str().ok()
    }
}

/// What a future gives, if it does in time.
///
/// # Errors
/// An error of the peer that says what was not done, when `limit` is over.
pub async fn within<T>(env: &Env, limit: TimeDelta, doing: &str, future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        biased;
        result = future => result,
        () = env.clock.sleep_until(env.clock.now() + limit) => Err(peer(format!("{doing} took longer than {limit}"))),
    }
}

/// Whether a server may lead there at all, whatever its address.
fn may_go(redirects: Redirects, home: &Uri, to: &Uri) -> Result<()> {
    let why = match redirects {
        Redirects::Any => return Ok(()),
        Redirects::None => "elsewhere",
        _ if is_secure(home) && !is_secure(to) => "without TLS",
        Redirects::SameHost if !is_same_host(home, to) => "another host",
        _ => return Ok(()),
    };
    Err(astray(redirects, to, why))
}

fn astray(redirects: Redirects, to: &Uri, why: &str) -> Error {
    let to = to.authority().map_or("", |authority| authority.as_str());
    let allowed = redirects.as_str();
    Error::unsupported(format!("the server leads to {to}, {why}, which `redirect: {allowed}` does not allow"))
        .on_property("redirect")
        .hint("write the URL that is meant as `location`, or `redirect: any` if the server may lead anywhere")
}

fn peer(message: String) -> Error {
    Error::new(ErrorKind::Peer, message)
}

fn unreached(url: &Uri, error: io::Error) -> Error {
    Error::io(format!("cannot reach {}", place(url)), error)
}

#[cfg(feature = "tls")]
async fn secured(env: &Env, stream: Box<dyn NetStream>, host: &str) -> Result<Box<dyn NetStream>> {
    crate::tls::Roots::public().connect(env, stream, host).await
}

#[cfg(not(feature = "tls"))]
async fn secured(_: &Env, _: Box<dyn NetStream>, _: &str) -> Result<Box<dyn NetStream>> {
    Err(Error::unsupported("this build has no TLS").hint("build it with the feature `tls`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_are_none_are_refused_with_a_reason() {
        for (url, why) in [
            ("/path", "no scheme"),
            ("host/path", "RFC 3986"),
            ("rtmp://host/path", "`rtmp`"),
            ("http://user:secret@host/", "a password"),
            ("http:///path", "RFC 3986"),
        ] {
            let error = Request::get(url).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("secret"), "{url}: {error}");
        }
        assert!(Request::get("http://[::1]:8080/a?b=c").is_ok());
    }
}
