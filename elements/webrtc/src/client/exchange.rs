//! Requests of WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep), and what servers say.
//!
//! ```text
//! POST   location  application/sdp   201, Location, ETag, Link, an answer
//!                                    406, Location, an offer of the server (WHEP): PATCH session, 204
//! DELETE session                     200
//! ```

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};
use millstream_core::{Env, Error, ErrorKind, Secret, TimeDelta};
use millstream_server::http::client::{Request, Response, within};
use millstream_server::http::hyper;

use super::failure::{Failure, Problem};
use crate::http::{IceServer, SDP, has_type};
use crate::offer::MAX_SDP;

/// Longest text of a refusal that is read.
const MAX_PROBLEM: usize = 16 << 10;

/// Longest wait for the end of a session: nobody waits longer for a server that is left anyway.
const GOODBYE: TimeDelta = TimeDelta::from_secs(3);

/// Where offers are posted, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(super) request: Request,
    /// `Authorization`.
    pub(super) token: Option<HeaderValue>,
    /// What a server may say, but nobody else.
    pub(super) secrets: Vec<Secret>,
    pub(super) patience: TimeDelta,
    pub(super) lenient: bool,
}

/// What an offer came to.
#[derive(Debug)]
pub(super) enum Reply {
    /// It was answered.
    Answer(Granted),
    /// The server makes an offer of its own.
    Counter(Granted),
}

/// A session that a server has made.
#[derive(Debug)]
pub(super) struct Granted {
    /// What the server has written: an answer, or an offer.
    pub(super) sdp: String,
    /// The session's address.
    pub(super) resource: Option<Resource>,
    /// Why it has none.
    pub(super) lost: Option<Error>,
    /// Servers of STUN and TURN to use.
    pub(super) ice_servers: Vec<IceServer>,
}

/// The address of a session, and how it is asked for something.
#[derive(Debug)]
pub(crate) struct Resource {
    patch: Request,
    delete: Request,
    /// Which state of it is meant (RFC 9725, 4.3.1).
    etag: Option<HeaderValue>,
    endpoint: Endpoint,
}

impl Endpoint {
    /// The server, for messages: paths and queries may hold keys.
    pub(crate) fn place(&self) -> String {
        self.request.place()
    }

    fn signed(&self, request: Request) -> Request {
        match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, token.clone()),
            None => request,
        }
    }

    /// Posts an offer.
    pub(super) async fn post(&self, env: &Env, offer: String) -> Result<Reply, Failure> {
        let request = self.signed(self.request.clone().method(Method::POST).body(SDP, offer).resends());
        let asked = within(env, self.patience, "asking for a session", request.send(env));
        let response = asked.await.map_err(Failure::unanswered)?;
        let status = response.status();
        let is_sdp = has_type(response.headers(), SDP);
        let is_answer = (status == StatusCode::CREATED && is_sdp) || (self.lenient && status.is_success());
        if is_answer || (status == StatusCode::NOT_ACCEPTABLE && is_sdp) {
            let granted = self.granted(env, response).await?;
            return Ok(if is_answer { Reply::Answer(granted) } else { Reply::Counter(granted) });
        }
        if status.is_success() {
            let what = if status == StatusCode::CREATED { "no application/sdp" } else { "no answer to the offer" };
            let error = Error::new(ErrorKind::Peer, format!("{} says {status}, and {what}", response.place()));
            return Err(Failure::lasting(error.hint("`lenient` takes servers that do not keep to RFC 9725")));
        }
        Err(self.refused(env, response).await)
    }

    async fn granted(&self, env: &Env, response: Response) -> Result<Granted, Failure> {
        let (resource, lost) = match self.resource(&response) {
            Ok(resource) => (resource, None),
            Err(error) => (None, Some(error)),
        };
        if resource.is_none() && lost.is_none() && !self.lenient {
            let error = Error::new(ErrorKind::Peer, format!("{} names no address of the session", response.place()));
            return Err(Failure::lasting(error.hint("`lenient` takes servers that do not keep to RFC 9725")));
        }
        let ice_servers = IceServer::of(response.headers());
        let read = within(env, self.patience, "the answer of the server", response.whole(MAX_SDP));
        let body = read.await.map_err(Failure::passing)?;
        let sdp = String::from_utf8(body.into()).map_err(|error| {
            Failure::lasting(
                Error::new(ErrorKind::Peer, "the server's session description is no text").caused_by(error),
            )
        })?;
        Ok(Granted { sdp, resource, lost, ice_servers })
    }

    /// The address of the session; an error where the server may not lead there.
    fn resource(&self, response: &Response) -> Result<Option<Resource>, Error> {
        let Some(location) = response.headers().get(header::LOCATION) else { return Ok(None) };
        let location = location.to_str().unwrap_or("//");
        let [patch, delete] = [Method::PATCH, Method::DELETE].map(|method| response.lead(method, location));
        let etag = response.headers().get(header::ETAG).cloned();
        Ok(Some(Resource { patch: patch?, delete: delete?, etag, endpoint: self.clone() }))
    }

    async fn refused(&self, env: &Env, response: Response) -> Failure {
        let (place, status, headers) = (response.place(), response.status(), response.headers().clone());
        let read = within(env, self.patience, "the reason of the server", response.whole(MAX_PROBLEM));
        let body = read.await.unwrap_or_default();
        let problem = self.problem(&headers, &body);
        Failure::refused(&place, status, &headers, &problem, env.clock.wall())
    }

    fn problem(&self, headers: &HeaderMap, body: &Bytes) -> Problem {
        let secrets: Vec<&str> = self.secrets.iter().map(Secret::reveal).collect();
        Problem::read(headers, body, &secrets)
    }
}

impl Resource {
    /// Answers an offer of the server (draft-ietf-wish-whep, "Server Sends Counter-offer").
    pub(super) async fn answer(&self, env: &Env, sdp: String) -> Result<(), Failure> {
        let mut request = self.endpoint.signed(self.patch.clone().body(SDP, sdp));
        if let Some(etag) = &self.etag {
            request = request.header(header::IF_MATCH, etag.clone());
        }
        let asked = within(env, self.endpoint.patience, "answering the server's offer", request.send(env));
        let response = asked.await.map_err(Failure::unanswered)?;
        match response.status().is_success() {
            true => Ok(()),
            false => Err(self.endpoint.refused(env, response).await),
        }
    }

    /// Ends the session. A server that does not do it will find out by itself.
    pub(crate) async fn delete(self, env: &Env) {
        let request = self.endpoint.signed(self.delete);
        match within(env, GOODBYE, "leaving the session", request.send(env)).await {
            Ok(response) if response.status().is_success() => tracing::debug!("the session is deleted"),
            Ok(response) => tracing::debug!(status = response.status().as_u16(), "the session is not deleted"),
            Err(error) => tracing::debug!(%error, "the session is not deleted"),
        }
    }
}
