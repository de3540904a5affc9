//! An endpoint of WHIP or WHEP, tried from here: asked with an offer of ours, and its candidates with checks.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Method, StatusCode, Uri};
use millstream_core::meter::Kind;
use millstream_core::{Env, Secret, TimeDelta};
use millstream_server::http::client::{Request, within};
use millstream_server::http::hyper;
use millstream_signaling::shell::remote::RemotePeer;
use serde::Serialize;

use super::server::toward;
use super::signaled;
use super::{Pair, Reason};
use crate::driver::Driver;
use crate::ice::{Found, Reach, Ways};
use crate::offer::MAX_SDP;
use crate::session::{Codec, Event, Session, Setup};

/// How long taking leave may take.
const GOODBYE: TimeDelta = TimeDelta::from_secs(3);

/// Longest text of a server that is told on.
const MAX_SAID: usize = 300;

/// What is tried.
#[derive(Clone, Debug)]
pub struct Try {
    /// The endpoint; or a signaling server, of `ws` or `wss`.
    pub url: String,
    /// The stream at a signaling server.
    pub stream: Option<String>,
    /// Bearer token.
    pub token: Option<Secret>,
    /// It is offered to publish (WHIP), and not to play (WHEP).
    pub publishes: bool,
    /// Codecs that are offered.
    pub codecs: Vec<Codec>,
    /// How this end is reached.
    pub ways: Ways,
    /// How long each step may take: the answer, and the way.
    pub patience: TimeDelta,
}

/// A candidate that the server named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Where.
    pub address: SocketAddr,
    /// `host`, `srflx`, `relay`.
    pub kind: String,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EndpointReport {
    /// Scheme, host and port of the endpoint: its path and query may hold keys.
    pub endpoint: String,
    /// Where it was reached by HTTP.
    pub reached: Option<IpAddr>,
    /// Status of its answer.
    pub status: Option<u16>,
    /// It has answered the offer.
    pub answered: bool,
    /// Candidates of this end.
    pub local: Vec<Told>,
    /// Candidates of the server.
    pub remote: Vec<Told>,
    /// Names of multicast DNS among them.
    pub names: usize,
    /// Servers of STUN and TURN that it tells its clients of.
    pub ice_servers: Vec<String>,
    /// Servers that this end was told of, and that are of no use.
    pub troubles: Vec<String>,
    /// Codecs in common, for each track.
    pub codecs: Vec<Vec<&'static str>>,
    /// Pairs that were tried.
    pub pairs: Vec<Pair>,
    /// There is a connection.
    pub connected: bool,
    /// Why there is none.
    #[serde(skip)]
    pub reason: Option<Reason>,
}

impl EndpointReport {
    /// Looks once more for the reason, when more is known of the pairs.
    pub fn review(&mut self) {
        if !self.connected && self.answered {
            let told: Vec<SocketAddr> = self.remote.iter().map(|told| told.address).collect();
            // A relay is somewhere else by nature.
            let is_relayed = self.remote.iter().any(|told| told.kind == "relay");
            let reached = self.reached.filter(|_| !is_relayed);
            self.reason = Some(Reason::of_pairs(&told, self.names, reached, &self.pairs));
        }
    }
}

/// Tries an endpoint.
pub async fn try_endpoint(env: &Env, wanted: &Try) -> EndpointReport {
    let mut report = EndpointReport::default();
    if let Err(reason) = attempt(env, wanted, &mut report).await {
        report.reason = Some(reason);
    }
    report
}

async fn attempt(env: &Env, wanted: &Try, report: &mut EndpointReport) -> Result<(), Reason> {
    let unreachable = |error: &dyn std::fmt::Display| Reason::Unreachable { error: error.to_string() };
    let server = reached(env, &wanted.url).await?;
    report.reached = Some(server.ip());
    let ports = toward(env, server).map_err(|error| unreachable(&error))?;
    let reach = Reach::open(env, ports, wanted.ways.clone()).map_err(|error| unreachable(&error))?;
    let troubles = reach.gathered().await;
    report.troubles = troubles.iter().map(|trouble| trouble.error().to_string()).collect();
    let setup = reach.setup(Setup { codecs: wanted.codecs.clone(), ..Setup::default() });
    report.local = ours(&setup, &reach);
    let mut session = Session::new(&setup, env.clock.now());
    let tracks = [Kind::Video, Kind::Audio].map(|kind| (kind, wanted.publishes, !wanted.publishes));
    let tracks: Vec<_> =
        tracks.into_iter().filter(|(kind, ..)| wanted.codecs.iter().any(|one| one.kind() == *kind)).collect();
    let Some(offer) = session.offer(&tracks) else {
        return Err(Reason::NoCodec { said: "nothing is offered".to_owned() });
    };
    let (answer, leave) = match &wanted.stream {
        None => post(env, wanted, offer, report).await?,
        Some(stream) => {
            report.endpoint = format!("the signaling server at {server}");
            let (answer, peer) = signaled::ask(env, wanted, stream, offer).await?;
            (answer, Leave::Signaled(Box::new(peer)))
        }
    };
    let tried = meet(env, wanted, (reach, session), &answer, report).await;
    leave.take(env).await;
    tried
}

/// Whom one takes leave of.
enum Leave {
    /// The address of the session, if it was told.
    Http(Option<Box<Request>>),
    /// A signaling server.
    Signaled(Box<RemotePeer>),
}

impl Leave {
    /// So that the server waits for nobody. Whether it hears of it is its affair.
    async fn take(self, env: &Env) {
        match self {
            Self::Http(Some(delete)) => drop(within(env, GOODBYE, "taking leave", delete.send(env)).await),
            Self::Http(None) => {}
            Self::Signaled(peer) => peer.leave().await,
        }
    }
}

/// Tries the ways that an answer tells of.
async fn meet(
    env: &Env,
    wanted: &Try,
    (reach, mut session): (Arc<Reach>, Session),
    answer: &str,
    report: &mut EndpointReport,
) -> Result<(), Reason> {
    report.answered = true;
    (report.remote, report.names) = candidates(answer);
    session
        .accept(answer)
        .map_err(|error| Reason::Refused { status: StatusCode::CREATED.as_u16(), said: error.to_string() })?;
    report.codecs = codecs(&mut session);
    let line = reach.line(&session.ufrag());
    let mut driver = Driver::new(session, line, env.clone());
    report.connected = connects(env, &mut driver, wanted.patience).await;
    report.pairs = driver.pairs().to_vec();
    report.review();
    Ok(())
}

/// Where the host of a URL is.
async fn reached(env: &Env, url: &str) -> Result<SocketAddr, Reason> {
    let unreachable = |error: &dyn std::fmt::Display| Reason::Unreachable { error: error.to_string() };
    let uri: Uri = url.parse().map_err(|error: hyper::http::uri::InvalidUri| unreachable(&error))?;
    let host = uri.host().ok_or_else(|| unreachable(&"the URL has no host"))?;
    let port = uri.port_u16().unwrap_or(if matches!(uri.scheme_str(), Some("https" | "wss")) { 443 } else { 80 });
    let all = env.net.resolve(host, port).await.map_err(|error| unreachable(&error))?;
    all.into_iter().next().ok_or_else(|| unreachable(&"the host has no address"))
}

/// Posts the offer; the answer to it, and where one takes leave.
async fn post(env: &Env, wanted: &Try, offer: String, report: &mut EndpointReport) -> Result<(String, Leave), Reason> {
    let unreachable = |error: millstream_core::Error| Reason::Unreachable { error: error.to_string() };
    let mut request = Request::post(&wanted.url, "application/sdp", offer).map_err(unreachable)?;
    report.endpoint = request.place();
    let token = wanted.token.as_ref().map(|token| HeaderValue::try_from(format!("Bearer {}", token.reveal())));
    let token = token.transpose().map_err(|_| Reason::Token { said: "what was given is none".to_owned() })?;
    if let Some(token) = &token {
        request = request.header(header::AUTHORIZATION, token.clone());
    }
    let response = within(env, wanted.patience, "the endpoint", request.send(env)).await.map_err(unreachable)?;
    let status = response.status();
    report.status = Some(status.as_u16());
    let links = response.headers().get_all(header::LINK).iter().filter_map(|link| link.to_str().ok());
    report.ice_servers = links.filter_map(ice_server).collect();
    let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
    let delete = location.and_then(|location| response.lead(Method::DELETE, location).ok()).map(|delete| match token {
        Some(token) => Box::new(delete.header(header::AUTHORIZATION, token)),
        None => Box::new(delete),
    });
    let body = within(env, wanted.patience, "the answer", response.whole(MAX_SDP)).await.map_err(unreachable)?;
    match status {
        StatusCode::CREATED => Ok((String::from_utf8_lossy(&body).into_owned(), Leave::Http(delete))),
        _ => Err(refused(status, &said(&body))),
    }
}

fn refused(status: StatusCode, said: &str) -> Reason {
    let said = said.to_owned();
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Reason::Token { said },
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Reason::NoEndpoint { status: status.as_u16() },
        StatusCode::NOT_ACCEPTABLE => Reason::NoCodec { said },
        StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE => Reason::Busy { said },
        _ => Reason::Refused { status: status.as_u16(), said },
    }
}

/// The text of a refusal, fit for a terminal.
fn said(body: &Bytes) -> String {
    let text = String::from_utf8_lossy(body);
    let plain: String = text.trim().chars().filter(|letter| !letter.is_control()).take(MAX_SAID).collect();
    if plain.is_empty() { "it says nothing of why".to_owned() } else { plain }
}

/// The URL of a link to a server of STUN or TURN (RFC 9725, 4.6).
fn ice_server(link: &str) -> Option<String> {
    let (url, rest) = link.strip_prefix('<')?.split_once('>')?;
    rest.contains("ice-server").then(|| url.to_owned())
}

fn ours(setup: &Setup, reach: &Reach) -> Vec<Told> {
    let host = setup.addresses.iter().map(|address| (*address, "host"));
    let found = reach.found().into_iter().map(|found| match found {
        Found::Reflexive { mapped, .. } => (mapped, "srflx"),
        Found::Relayed(address) => (address, "relay"),
    });
    host.chain(found).map(|(address, kind)| Told { address, kind: kind.to_owned() }).collect()
}

/// The candidates of a session description, and how many of them are names.
pub(crate) fn candidates(sdp: &str) -> (Vec<Told>, usize) {
    let (mut told, mut names) = (Vec::new(), 0);
    for line in sdp.lines().filter_map(|line| line.trim().strip_prefix("a=candidate:")) {
        let words: Vec<&str> = line.split(' ').collect();
        let &[_, _, protocol, _, address, port, _, kind, ..] = &words[..] else { continue };
        if !protocol.eq_ignore_ascii_case("udp") {
            continue;
        }
        match (address.parse::<IpAddr>(), port.parse()) {
            (Ok(ip), Ok(port)) => told.push(Told { address: SocketAddr::new(ip, port), kind: kind.to_owned() }),
            (Err(_), _) => names += 1,
            (Ok(_), Err(_)) => {}
        }
    }
    told.dedup();
    (told, names)
}

fn codecs(session: &mut Session) -> Vec<Vec<&'static str>> {
    let tracks = session.tracks();
    let of = |session: &mut Session, id| {
        let mut names: Vec<_> = session.formats(id).iter().map(|format| format.codec.name()).collect();
        names.dedup();
        names
    };
    tracks.into_iter().map(|track| of(session, track.id)).collect()
}

/// Whether a session is connected in time.
async fn connects(env: &Env, driver: &mut Driver, patience: TimeDelta) -> bool {
    let late = env.clock.now() + patience;
    loop {
        tokio::select! {
            biased;
            event = driver.next() => match event {
                Event::Connected => return true,
                Event::Closed => return false,
                _ => {}
            },
            () = env.clock.sleep_until(late) => return false,
        }
    }
}
