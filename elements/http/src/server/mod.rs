//! The server: a listener that elements share, and paths that they mount on it.
//!
//! | module | what |
//! | --- | --- |
//! | `accept` | a listener, and a task for each connection |
//! | `io` | a stream of the environment as hyper wants it, and its clock |
//! | `answer` | a request to a response: method, host, path, CORS |
//! | `path` | one writing for each path |
//! | `routes` | what is mounted where |
//! | `body` | what a response carries |
//!
//! A listener belongs to a runtime and an address. It is there as long as an element is mounted on it; any number of elements and
//! pipelines share it.

mod accept;
mod answer;
mod body;
mod io;
mod path;
mod routes;

pub use answer::text;
pub use body::{Body, Live, Slices};
pub use path::normalise;
pub use routes::{Connection, Mounted, Route};

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hyper::StatusCode;
use millstream_core::env::TaskHandle;
use millstream_core::{Env, Error, Result};

use self::routes::Routes;

/// Where every server says that it is alive.
pub const HEALTH: &str = "/healthz";

/// The servers of a runtime, by the address that was asked for.
#[derive(Default)]
struct Servers(Mutex<HashMap<SocketAddr, Weak<Server>>>);

/// A listener and what is mounted on it.
pub struct Server {
    routes: Arc<Routes>,
    local: SocketAddr,
    _health: Mounted,
    _accept: TaskHandle,
}

impl Server {
    /// The server at an address, which begins to listen if it is the first to be asked for.
    ///
    /// # Errors
    /// When the address is taken by another program or does not exist.
    pub fn at(env: &Env, address: SocketAddr) -> Result<Arc<Self>> {
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
        let (routes, local) = (Arc::<Routes>::default(), listener.local());
        let health = routes.mount(HEALTH, Arc::new(|_: &_, _: &_| text(StatusCode::OK, "ok\n")))?;
        let accept = env.tasks.spawn(Box::pin(accept::accept(listener, routes.clone(), env.clone())));
        let server = Arc::new(Self { routes, local, _health: health, _accept: accept });
        servers.insert(address, Arc::downgrade(&server));
        Ok(server)
    }

    /// The address that it really has.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Serves a path, written as [`normalise`] writes it, until what this gives is dropped.
    ///
    /// # Errors
    /// When the path is taken, or written otherwise.
    pub fn mount(&self, path: &str, route: Arc<dyn Route>) -> Result<Mounted> {
        self.routes.mount(path, route)
    }
}
