//! How clients get to their connections.

use std::io;
use std::net::SocketAddr;

use millstream_core::net::NetStream;
use millstream_core::{Env, Time, TimeDelta};

use crate::Scheme;
use crate::leash::Leash;
use crate::peer::{Failure, Peer, Turn};
use crate::session::SessionError;
use crate::session::client::{ClientEvent, ClientSettings};
use crate::tls::Trust;

/// Servers in a row that may ask to move before they take anything: more send each other what none wants.
const MAX_MOVES: u8 = 5;

/// What connections are made with.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) env: Env,
    pub(crate) trust: Trust,
    /// How long it may take to be connected, TLS included.
    pub(crate) timeout: TimeDelta,
    /// How long a server may take nothing.
    pub(crate) stall: TimeDelta,
    /// How far servers may lead.
    pub(crate) leash: Leash,
}

impl Connector {
    /// Connects, and gets to where the server publishes or plays what the settings say: through challenges, redirects and requests to
    /// move.
    ///
    /// # Errors
    /// [`Failure`]
    pub(crate) async fn establish(self, mut settings: ClientSettings) -> Result<Peer, Failure> {
        let mut moves = 0;
        let mut early = Vec::new();
        loop {
            let mut peer = self.connect(settings).await?;
            settings = loop {
                let Turn::Event(event) = peer.turn(None).await? else { continue };
                match *event {
                    ClientEvent::Publishing { .. } | ClientEvent::Playing { .. } => {
                        early.into_iter().for_each(|event| peer.keep(event));
                        return Ok(peer);
                    }
                    ClientEvent::TryAgain(next) => break *next,
                    ClientEvent::Reconnect(next) if moves < MAX_MOVES => {
                        moves += 1;
                        break *next;
                    }
                    ClientEvent::Reconnect(_) => return Err(SessionError::Redirects(MAX_MOVES).into()),
                    // Metadata may come before the word that it plays.
                    event @ ClientEvent::Data { .. } if early.len() < MAX_EARLY => early.push(Box::new(event)),
                    _ => {}
                }
            };
            early.clear();
        }
    }

    async fn connect(&self, settings: ClientSettings) -> Result<Peer, Failure> {
        let (env, url) = (&self.env, &settings.url);
        let late = |why| Failure::Io(io::Error::new(io::ErrorKind::TimedOut, why));
        let deadline = env.clock.now() + self.timeout;
        let mut stream = within(env, deadline, self.reach(&settings)).await.ok_or_else(|| late("no answer"))??;
        if url.scheme == Scheme::Rtmps {
            let securing = self.trust.connect(env, stream, &url.host);
            let secured = within(env, deadline, securing).await.ok_or_else(|| late("no answer in TLS"))?;
            stream = secured.map_err(Failure::Secure)?;
        }
        let stream = crate::trace::traced_client(stream, env, url);
        let settings = ClientSettings { handshake_timeout: self.timeout, ..settings };
        Peer::new(env, stream, settings, self.stall)
    }

    /// Connects to the first address of a host that answers, of those to which a server may lead.
    async fn reach(&self, settings: &ClientSettings) -> Result<Box<dyn NetStream>, Failure> {
        let url = &settings.url;
        self.leash.check(url)?;
        let addresses: Vec<SocketAddr> = self.env.net.resolve(&url.host, url.port).await?;
        let addresses = self.leash.filter(url, addresses)?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", url.host));
        for address in addresses {
            match self.env.net.connect(address).await {
                Ok(stream) => {
                    self.leash.reached(url, address.ip());
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last.into())
    }
}

/// Data messages that are kept ahead of the word that a server plays: a few describe the stream.
const MAX_EARLY: usize = 16;

/// What a future gives, or nothing when the deadline comes first.
async fn within<T>(env: &Env, deadline: Time, future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        result = future => Some(result),
        () = env.clock.sleep_until(deadline) => None,
    }
}
