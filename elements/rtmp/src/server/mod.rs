//! The server: listeners that elements share, connections, streams by name.
//!
//! | module | what |
//! | --- | --- |
//! | `mounts` | streams by name: who takes one in, who hands it out |
//! | `feed` | what players of a stream share: messages that were chunked once |
//! | `accept` | a listener, and a task for each connection |
//! | `admission` | whether a client may publish or play |
//! | `connection` | one client: its session, its socket, what its message streams publish and play |
//! | `tags` | FLV tags on a pad and messages of a session |
//!
//! A listener belongs to a runtime and an address. It is there as long as an element is mounted on it; any number of elements and
//! pipelines share it.

mod accept;
mod admission;
mod connection;
pub(crate) mod feed;
pub(crate) mod mounts;
pub(crate) mod tags;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use millstream_core::env::TaskHandle;
use millstream_core::{Env, Error, Result};

use self::mounts::Mounts;

/// The servers of a runtime, by the address that was asked for.
#[derive(Default)]
struct Servers(Mutex<HashMap<SocketAddr, Weak<Server>>>);

/// A listener and its streams.
pub(crate) struct Server {
    pub(crate) mounts: Arc<Mounts>,
    /// The address that it really has.
    pub(crate) local: SocketAddr,
    _accept: TaskHandle,
}

/// The server at an address, which begins to listen if it is the first to be asked for.
///
/// # Errors
/// When the address is taken by another program or does not exist.
pub(crate) fn server_at(env: &Env, address: SocketAddr) -> Result<Arc<Server>> {
    let servers = env.shared::<Servers>();
    let mut servers = servers.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(server) = servers.get(&address).and_then(Weak::upgrade) {
        return Ok(server);
    }
    let listener = env.net.listen(address).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => "another program listens there: stop it, or choose another port",
            _ => "is this an address of this machine? 0.0.0.0 stands for all of them",
        };
        Error::io(format!("cannot listen at {address}"), error).hint(hint)
    })?;
    let (mounts, local) = (Arc::<Mounts>::default(), listener.local());
    let accept = env.tasks.spawn(Box::pin(accept::accept(listener, mounts.clone(), env.clone())));
    let server = Arc::new(Server { mounts, local, _accept: accept });
    servers.insert(address, Arc::downgrade(&server));
    Ok(server)
}
