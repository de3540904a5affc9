//! The server: listeners that elements share, connections, streams by name.
//!
//! | module | what |
//! | --- | --- |
//! | `mounts` | streams by name: who takes one in, who hands it out |
//! | `feed` | what players of a stream share: messages that were chunked once |
//! | `admission` | whether a client may publish or play |
//! | `connection` | one client: its session, its socket, what its message streams publish and play |
//! | `tags` | FLV tags on a pad and messages of a session |
//!
//! A listener belongs to a runtime and an address. It is there as long as an element is mounted on it; any number of elements and
//! pipelines share it.

mod admission;
mod connection;
pub(crate) mod feed;
pub(crate) mod mounts;
pub(crate) mod tags;

use std::net::SocketAddr;
use std::sync::Arc;

use millstream_core::env::TaskHandle;
use millstream_core::trace::Side;
use millstream_core::{Env, Result};
use millstream_server::listen::{Shared, accept};

use self::connection::Connection;
use self::mounts::Mounts;
use crate::trace::traced;

/// What the connections of a listener are served from.
#[derive(Default)]
pub(crate) struct Site {
    /// Streams by name.
    pub(crate) mounts: Arc<Mounts>,
}

/// A listener, and what it serves.
pub(crate) struct Server {
    pub(crate) site: Arc<Site>,
    /// The address that it really has.
    pub(crate) local: SocketAddr,
    _accept: TaskHandle,
}

/// The server at an address, which begins to listen if it is the first to be asked for.
///
/// # Errors
/// When the address is taken by another program or does not exist.
pub(crate) fn server_at(env: &Env, address: SocketAddr) -> Result<Arc<Server>> {
    Shared::at(env, address, |listener| {
        let (site, local) = (Arc::<Site>::default(), listener.local());
        let (served, own) = (site.clone(), env.clone());
        let serve = move |stream| {
            let stream = traced(stream, &own, Side::Server, None, &[]);
            Connection::new(stream, served.clone(), own.clone()).run()
        };
        Ok(Server { site, local, _accept: accept(listener, env, serve) })
    })
}
