//! The server: listeners that elements share, connections, streams by name.
//!
//! | module | what |
//! | --- | --- |
//! | `mounts` | streams by name: who takes one in, who hands it out |
//! | `recorder` | what is published, into a file |
//! | `recordings` | where recordings are, by application |
//! | `templates` | who takes in what nothing takes in by name |
//! | `feed` | what players of a stream share: messages that were chunked once |
//! | `limits` | what a listener takes from its clients, and who is let in |
//! | `settings` | settings of elements that share a listener |
//! | `admission` | whether a client may publish or play |
//! | `connection` | one client: its session, its socket, what its message streams publish and play |
//! | `tags` | FLV tags on a pad and messages of a session |
//!
//! A listener belongs to a runtime and an address. It is there as long as an element is mounted on it; any number of elements and
//! pipelines share it.

mod admission;
mod connection;
pub(crate) mod feed;
pub(crate) mod limits;
pub(crate) mod mounts;
pub(crate) mod recorder;
pub(crate) mod recordings;
pub(crate) mod settings;
pub(crate) mod tags;
pub(crate) mod templates;

use std::net::SocketAddr;
use std::sync::Arc;

use millstream_core::env::TaskHandle;
use millstream_core::net::NetStream;
use millstream_core::trace::Side;
use millstream_core::{Env, Error, Result, TimeDelta};
use millstream_server::doors::Doors;
use millstream_server::listen::{Shared, accept, url};

use self::connection::Connection;
use self::limits::Gate;
use self::mounts::Mounts;
use self::recordings::Recordings;
use crate::tls::{Acceptor, ServerFiles};
use crate::trace::traced;

/// How long a client may take to agree on TLS: some packets each way on any link.
const TLS_PATIENCE: TimeDelta = TimeDelta::from_secs(10);

/// What the connections of a listener are served from.
pub(crate) struct Site {
    /// Streams by name.
    pub(crate) mounts: Arc<Mounts>,
    /// Recordings by application.
    pub(crate) recordings: Arc<Recordings>,
    /// Who is let in, and what is taken from whom.
    pub(crate) gate: Arc<Gate>,
}

/// A listener, and what it serves.
pub(crate) struct Server {
    pub(crate) site: Arc<Site>,
    /// The address that it really has.
    pub(crate) local: SocketAddr,
    tls: Option<Arc<Acceptor>>,
    _accept: TaskHandle,
}

impl Site {
    fn new(env: &Env, url: String) -> Self {
        let gate = Arc::new(Gate::new(Doors::add(env, url)));
        Self { mounts: Arc::default(), recordings: Arc::default(), gate }
    }
}

impl Server {
    /// Scheme of its URLs.
    pub(crate) fn scheme(&self) -> &'static str {
        scheme(self.tls.is_some())
    }

    /// Looks whether the files of TLS can be used.
    ///
    /// # Errors
    /// Of the settings, when they cannot.
    pub(crate) async fn ready(&self, env: &Env) -> Result<()> {
        match &self.tls {
            Some(tls) => tls.identity(env).await.map(drop),
            None => Ok(()),
        }
    }
}

fn scheme(is_secure: bool) -> &'static str {
    if is_secure { "rtmps" } else { "rtmp" }
}

/// The server at an address, which begins to listen if it is the first to be asked for. With files, all that it says is inside of TLS;
/// [`Server::ready`] says whether they can be used.
///
/// # Errors
/// When the address is taken by another program or does not exist; when other elements want other files at this address.
pub(crate) fn server_at(env: &Env, address: SocketAddr, files: Option<&ServerFiles>) -> Result<Arc<Server>> {
    let server = Shared::at(env, address, |listener| {
        let local = listener.local();
        let site = Arc::new(Site::new(env, url(scheme(files.is_some()), local, "")));
        let tls = files.map(|files| Arc::new(Acceptor::new(files.clone())));
        let (served, own, secure) = (site.clone(), env.clone(), tls.clone());
        let serve = move |stream| connection(stream, secure.clone(), served.clone(), own.clone());
        Ok(Server { site, local, tls, _accept: accept(listener, env, serve) })
    })?;
    if server.tls.as_ref().map(|tls| tls.files()) == files {
        return Ok(server);
    }
    let error =
        Error::settings(format!("another element at {address} has other files for TLS")).on_property("tls-cert");
    Err(error.hint("give all elements of an address the same `tls-cert` and `tls-key`, or none of them"))
}

async fn connection(stream: Box<dyn NetStream>, tls: Option<Arc<Acceptor>>, site: Arc<Site>, env: Env) {
    let Some(_pass) = site.gate.enter(stream.peer()) else { return };
    let stream = match tls {
        Some(tls) => Box::pin(secured(stream, &tls, &env)).await.or_else(|| {
            site.gate.closed("no TLS");
            None
        }),
        None => Some(stream),
    };
    if let Some(stream) = stream {
        let stream = traced(stream, &env, Side::Server, None, &[]);
        Box::new(Connection::new(stream, site, env)).run().await;
    }
}

async fn secured(stream: Box<dyn NetStream>, tls: &Acceptor, env: &Env) -> Option<Box<dyn NetStream>> {
    let peer = stream.peer();
    let accepted = tokio::select! {
        biased;
        accepted = tls.accept(env, stream) => accepted,
        () = env.clock.sleep_until(env.clock.now() + TLS_PATIENCE) => {
            tracing::debug!(%peer, "closed: it did not agree on TLS in time");
            return None;
        }
    };
    accepted.inspect_err(|error| tracing::info!(%peer, %error, "closed: no TLS")).ok()
}
