//! The endpoints of WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): an offer is posted, and what is answered has the address of a session,
//! which is patched and deleted.
//!
//! ```text
//! POST   endpoint  application/sdp                  201, Location, ETag, the answer
//! PATCH  session   application/trickle-ice-sdpfrag  204; with new credentials 200, ETag, ours
//! DELETE session                                    200
//! GET, HEAD, OPTIONS                                204
//! ```

mod answers;
mod sessions;

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Response, StatusCode};
use millstream_core::env::BoxFuture;
use millstream_core::{Env, Secret};
use millstream_server::access::{Access, Admitted, Denied, Purpose, Visit};
use millstream_server::http::{Answer, Ask, Body, Route, Takes, hyper};

pub use self::answers::Rejected;
pub(crate) use self::answers::{SDP, has_type};
use self::answers::{SDP_FRAGMENT, empty, method_not_allowed};
use self::sessions::Stranger;
pub(crate) use self::sessions::{Place, Sessions};
use crate::fragment::Fragment;
pub use crate::ice::IceServer;
use crate::offer::{MAX_SDP, Offer};

const ENDPOINT_METHODS: &str = "GET, HEAD, OPTIONS, POST";
const SESSION_METHODS: &str = "DELETE, GET, HEAD, OPTIONS, PATCH";
const METHODS: &str = "DELETE, GET, HEAD, OPTIONS, PATCH, POST";

/// Longest bearer token that is looked at.
const MAX_TOKEN: usize = 4 << 10;

/// Who has posted an offer that may be taken.
pub(crate) struct Visitor {
    /// Its end is told when this goes.
    pub(crate) admitted: Option<Admitted>,
    /// The session has its address as long as this lives, and is told through it what its address was asked for.
    pub(crate) place: Place,
}

/// Who was let in, and the bearer token that it showed.
type Admission = Option<(Admitted, Option<Secret>)>;

/// What is behind an endpoint: whoever makes sessions of offers.
pub(crate) trait Opens: Send + Sync + 'static {
    /// The answer to an offer; the session goes on by itself.
    fn open(&self, offer: &Offer, visitor: Visitor) -> Result<String, Rejected>;

    /// What is waited for before: nothing, or that it is known how sessions are reached.
    fn ready(&self) -> Option<BoxFuture<'static, ()>> {
        None
    }
}

/// An endpoint, and the sessions below it.
pub(crate) struct Endpoint {
    pub(crate) env: Env,
    /// What it is for.
    pub(crate) purpose: Purpose,
    /// The stream, for callbacks: application and name.
    pub(crate) stream: (String, String),
    /// Who may.
    pub(crate) access: Option<Arc<Access>>,
    /// Its path: sessions are below it.
    pub(crate) path: String,
    /// Requests without `If-Match` are taken for such with the present one.
    pub(crate) lenient: bool,
    /// `Link` of each server of STUN and TURN.
    pub(crate) links: Vec<HeaderValue>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) opens: Arc<dyn Opens>,
}

/// The route of an endpoint.
pub(crate) struct EndpointRoute(pub(crate) Arc<Endpoint>);

impl Route for EndpointRoute {
    fn answer(&self, ask: &Ask<'_>) -> Answer {
        match ask.rest {
            "" => empty(StatusCode::NO_CONTENT).into(),
            id if self.0.sessions.has(id) => empty(StatusCode::NO_CONTENT).into(),
            _ => gone().into(),
        }
    }

    fn takes(&self) -> Option<Takes> {
        Some(Takes { methods: METHODS, body: MAX_SDP })
    }

    fn receive(&self, ask: &Ask<'_>, body: Bytes) -> Answer {
        let endpoint = self.0.clone();
        match (ask.request.method(), ask.rest) {
            (&Method::POST, "") => endpoint.post(ask, body),
            (_, "") => method_not_allowed(ENDPOINT_METHODS).into(),
            (&Method::POST, _) => method_not_allowed(SESSION_METHODS).into(),
            (_, id) if !endpoint.sessions.has(id) => gone().into(),
            (method, id) => match (endpoint.stranger(ask, id), method) {
                (Some(refused), _) => refused.into(),
                (None, &Method::DELETE) => {
                    endpoint.sessions.remove(id);
                    empty(StatusCode::OK).into()
                }
                (None, _) => endpoint.patch(ask, id.to_owned(), &body),
            },
        }
    }

    fn options(&self, ask: &Ask<'_>, headers: &mut HeaderMap) {
        let (methods, accepts, kind) = match ask.rest {
            "" => (ENDPOINT_METHODS, header::HeaderName::from_static("accept-post"), SDP),
            _ => (SESSION_METHODS, header::HeaderName::from_static("accept-patch"), SDP_FRAGMENT),
        };
        for allow in [header::ALLOW, header::ACCESS_CONTROL_ALLOW_METHODS] {
            headers.insert(allow, HeaderValue::from_static(methods));
        }
        headers.insert(accepts, HeaderValue::from_static(kind));
    }
}

fn gone() -> Response<Body> {
    Rejected::new(StatusCode::NOT_FOUND, "There is no such session.").response()
}

impl Endpoint {
    fn post(self: Arc<Self>, ask: &Ask<'_>, body: Bytes) -> Answer {
        if !has_type(ask.request.headers(), SDP) {
            return Rejected::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "An offer is application/sdp.").response().into();
        }
        let Some(access) = self.access.clone() else { return self.post_to_all(body) };
        let (visit, peer, token) = (self.visit(ask), ask.connection.peer(), bearer_of(ask));
        let is_named = !visit.query.reveal().is_empty();
        let admit = access.admit(self.env.clone(), visit);
        Answer::Later(Box::pin(async move {
            match admit.await {
                Ok(admitted) => {
                    self.wait().await;
                    self.open(&body, Some((admitted, token)))
                }
                Err(denied) => {
                    tracing::warn!(%peer, "refused: {denied}");
                    answers::denied(matches!(denied, Denied::Key) && !is_named, &denied)
                }
            }
        }))
    }

    fn post_to_all(self: Arc<Self>, body: Bytes) -> Answer {
        let Some(ready) = self.opens.ready() else { return self.open(&body, None).into() };
        Answer::Later(Box::pin(async move {
            ready.await;
            self.open(&body, None)
        }))
    }

    async fn wait(&self) {
        if let Some(ready) = self.opens.ready() {
            ready.await;
        }
    }

    /// What is answered to a request of somebody who did not begin a session.
    fn stranger(&self, ask: &Ask<'_>, id: &str) -> Option<Response<Body>> {
        let stranger = self.sessions.knows(id, bearer_of(ask).as_ref(), self.lenient).err()?;
        tracing::warn!(peer = %ask.connection.peer(), "refused: a request of another than who began the session");
        Some(answers::denied(stranger == Stranger::Nameless, &Denied::Key))
    }

    fn visit(&self, ask: &Ask<'_>) -> Visit {
        let token = ask.request.headers().get(header::AUTHORIZATION).and_then(bearer);
        let query = token.unwrap_or_else(|| ask.request.uri().query().unwrap_or_default().to_owned());
        Visit {
            purpose: self.purpose,
            peer: ask.connection.peer(),
            client: self.env.random(),
            app: self.stream.0.clone(),
            stream: self.stream.1.clone(),
            query: query.into(),
            hello: Arc::default(),
        }
    }

    fn open(&self, body: &[u8], admitted: Admission) -> Response<Body> {
        match self.try_open(body, admitted) {
            Ok(response) => response,
            Err(rejected) => {
                tracing::info!(path = self.path, status = rejected.status.as_u16(), "refused: {}", rejected.text);
                rejected.response()
            }
        }
    }

    fn try_open(&self, body: &[u8], admitted: Admission) -> Result<Response<Body>, Rejected> {
        let text = std::str::from_utf8(body)
            .map_err(|_| Rejected::new(StatusCode::BAD_REQUEST, "This is no session description: it is no text."))?;
        let offer = Offer::read(text)?;
        match self.purpose {
            Purpose::Publish => offer.check_publishes()?,
            Purpose::Play | Purpose::Connect => offer.check_plays()?,
        }
        let (admitted, token) = admitted.unzip();
        let place = self.sessions.place(&self.env, token.flatten())?;
        let (id, tag) = (place.id().to_owned(), place.tag());
        let answer = self.opens.open(&offer, Visitor { admitted, place })?;
        let mut response = Response::new(Body::Full(answer.into()));
        *response.status_mut() = StatusCode::CREATED;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(SDP));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert("accept-patch", HeaderValue::from_static(SDP_FRAGMENT));
        let location = HeaderValue::try_from(format!("{}/{id}", self.path));
        headers.insert(header::LOCATION, location.unwrap_or(HeaderValue::from_static("/")));
        headers.insert(header::ETAG, tag);
        for link in &self.links {
            headers.append(header::LINK, link.clone());
        }
        Ok(response)
    }

    fn patch(self: Arc<Self>, ask: &Ask<'_>, id: String, body: &[u8]) -> Answer {
        if !has_type(ask.request.headers(), SDP_FRAGMENT) {
            let text = "A session is patched with application/trickle-ice-sdpfrag.";
            return Rejected::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text).response().into();
        }
        let matches = answers::Match::of(ask.request.headers());
        let fragment = std::str::from_utf8(body)
            .map_err(|_| Rejected::new(StatusCode::BAD_REQUEST, "This is no fragment: it is no text."))
            .and_then(|text| Fragment::read(text).map_err(Rejected::from));
        let fragment = match fragment {
            Ok(fragment) => fragment,
            Err(rejected) => return rejected.response().into(),
        };
        match self.sessions.patch(&id, &matches, fragment, self.lenient) {
            Err(rejected) => rejected.response().into(),
            Ok(None) => empty(StatusCode::NO_CONTENT).into(),
            Ok(Some(restarted)) => Answer::Later(self.restart(id, restarted)),
        }
    }

    fn restart(self: Arc<Self>, id: String, restarted: sessions::Restarting) -> BoxFuture<'static, Response<Body>> {
        Box::pin(async move {
            let answer = match restarted.answer.await {
                Ok(Ok(answer)) => answer,
                Ok(Err(refused)) => return Rejected::from(refused).response(),
                Err(_) => return gone(),
            };
            let Some(tag) = self.sessions.restarted(&id, restarted.ufrag) else { return gone() };
            let mut response = Response::new(Body::Full(Fragment::of_answer(&answer).into()));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(SDP_FRAGMENT));
            response.headers_mut().insert(header::ETAG, tag);
            response
        })
    }
}

fn bearer_of(ask: &Ask<'_>) -> Option<Secret> {
    ask.request.headers().get(header::AUTHORIZATION).and_then(bearer).map(Secret::from)
}

/// The token of `Authorization: Bearer TOKEN` (RFC 6750, 2.1), as a query that has it as key.
fn bearer(value: &HeaderValue) -> Option<String> {
    use std::fmt::Write as _;
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.len() > MAX_TOKEN {
        return None;
    }
    let mut query = "key=".to_owned();
    for byte in token.trim().bytes() {
        let _ = write!(query, "%{byte:02X}");
    }
    Some(query)
}
