//! From an offer to a session.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use millstream_core::meter::Kind;
use millstream_core::{Env, Error, ErrorKind};
use millstream_turn::server::Transport;

use super::exchange::{Endpoint, Granted, Reply, Resource};
use super::failure::Failure;
use crate::ice::{IceServer, Reach, Trouble, Ways};
use crate::offer::Offer;
use crate::ports::{Line, Ports};
use crate::session::{Refused, Session, Setup, Track};

/// Calls a server.
pub(crate) struct Caller {
    pub(crate) endpoint: Endpoint,
    /// Where media are sent from and received at.
    udp: Option<SocketAddr>,
    /// How else this side is reached.
    ways: Ways,
    pub(crate) env: Env,
    /// Servers of STUN and TURN that the server told of last.
    learned: Vec<IceServer>,
    /// The ways of the session that there is.
    reach: Option<Arc<Reach>>,
}

/// A session that a server has agreed to.
pub(crate) struct Met {
    pub(crate) session: Session,
    pub(crate) line: Line,
    /// Its tracks, those that the server left out not among them.
    pub(crate) tracks: Vec<Track>,
    /// Where it is ended.
    pub(crate) resource: Option<Resource>,
    /// What people should know of it.
    pub(crate) warnings: Vec<Error>,
}

impl Caller {
    pub(crate) fn new(endpoint: Endpoint, udp: Option<SocketAddr>, ways: Ways, env: Env) -> Self {
        Self { endpoint, udp, ways, env, learned: Vec::new(), reach: None }
    }

    /// Offers tracks, each of them sent or received, and agrees with the server on a session.
    pub(crate) async fn call(&mut self, setup: Setup, kinds: &[Kind], sends: bool) -> Result<Met, Failure> {
        // What a session before had is free for this one.
        self.reach = None;
        let ports = Ports::own(&self.env, &self.addresses().await?).map_err(Failure::unless_known)?;
        let reach = Reach::open(&self.env, ports, self.ways()).map_err(Failure::lasting)?;
        let troubles = reach.gathered().await;
        let setup = reach.setup(setup);
        let mut session = Session::new(&setup, self.env.clock.now());
        let tracks: Vec<_> = kinds.iter().map(|kind| (*kind, sends, !sends)).collect();
        let offer = session.offer(&tracks);
        let offer = offer.ok_or_else(|| Failure::lasting(Error::bug("there is nothing to offer")))?;
        let granted = match self.endpoint.post(&self.env, offer).await? {
            Reply::Answer(granted) => {
                if let Err(refused) = session.accept(&granted.sdp) {
                    return Err(self.regret(granted, refused).await);
                }
                granted
            }
            Reply::Counter(granted) => {
                session = Session::new(&setup, self.env.clock.now());
                self.counter(&mut session, granted).await?
            }
        };
        let Granted { resource, lost, ice_servers, .. } = granted;
        self.learned = ice_servers;
        let goes = |track: &Track| if sends { track.sends } else { track.receives };
        let tracks: Vec<Track> = session.tracks().into_iter().filter(goes).collect();
        let tracks: Vec<Track> = tracks.into_iter().filter(|track| session.has_format(track.id)).collect();
        let warnings = troubles.iter().map(Trouble::error).chain(lost).chain(self.left_out(kinds, &tracks)).collect();
        if tracks.is_empty() {
            leave(resource, &self.env).await;
            return Err(Failure::lasting(self.wrong("agrees to none of the tracks that were offered")));
        }
        let line = reach.line(&session.ufrag());
        self.reach = Some(reach);
        Ok(Met { session, line, tracks, resource, warnings })
    }

    /// Ways beside the addresses of this machine. What the server tells of comes behind the offer, and is for the next session; without TCP, by
    /// which it could make us knock at doors that it does not reach itself.
    fn ways(&self) -> Ways {
        let mut ways = self.ways.clone();
        if ways.servers.is_empty() {
            let is_udp = |server: &IceServer| matches!(server.used(), Ok(Some(uri)) if uri.transport == Transport::Udp);
            ways.servers = self.learned.iter().filter(|server| is_udp(server)).cloned().collect();
        }
        ways
    }

    /// Addresses to be reached at.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, Failure> {
        if let Some(udp) = self.udp {
            return Ok(vec![udp]);
        }
        let server = self.endpoint.request.addresses(&self.env).await.map_err(Failure::passing)?;
        let is_v6 = server.first().is_some_and(SocketAddr::is_ipv6);
        let any: IpAddr = if is_v6 { [0; 16].into() } else { [0; 4].into() };
        // From the loopback nobody but the loopback is reached, by some systems and servers; its server may lead elsewhere.
        let loopback = server.first().map(SocketAddr::ip).filter(IpAddr::is_loopback);
        Ok(loopback.into_iter().chain([any]).map(|ip| SocketAddr::new(ip, 0)).collect())
    }

    /// Answers the offer that a server makes instead of an answer.
    async fn counter(&self, session: &mut Session, granted: Granted) -> Result<Granted, Failure> {
        let answered = Offer::read(&granted.sdp).and_then(|offer| session.answer(&offer));
        match (answered, &granted.resource) {
            (Err(refused), _) => Err(self.regret(granted, refused).await),
            (Ok(_), None) => Err(Failure::lasting(self.wrong("makes an offer, and does not say where it is answered"))),
            (Ok(answer), Some(resource)) => {
                resource.answer(&self.env, answer).await?;
                Ok(granted)
            }
        }
    }

    /// What the server has written cannot be used: its session is left.
    async fn regret(&self, granted: Granted, refused: Refused) -> Failure {
        leave(granted.resource, &self.env).await;
        let error = self.wrong("has written a session description that cannot be used");
        Failure::lasting(error.caused_by(refused))
    }

    fn left_out(&self, wanted: &[Kind], tracks: &[Track]) -> Option<Error> {
        let missing = wanted.iter().find(|kind| !tracks.iter().any(|track| track.kind == **kind))?;
        let kind = if *missing == Kind::Video { "pictures" } else { "sound" };
        Some(self.wrong(&format!("does not agree to the {kind} that were offered, which are left out")))
    }

    fn wrong(&self, what: &str) -> Error {
        Error::new(ErrorKind::Peer, format!("{} {what}", self.endpoint.place()))
    }
}

/// Ends a session where it has an address.
pub(crate) async fn leave(resource: Option<Resource>, env: &Env) {
    if let Some(resource) = resource {
        resource.delete(env).await;
    }
}
