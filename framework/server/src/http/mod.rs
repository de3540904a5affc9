//! HTTP: a server on listeners that elements share, and a client.
//!
//! | module | what |
//! | --- | --- |
//! | `serve` | one connection |
//! | `io` | a stream of the environment as hyper wants it, and its clock |
//! | `answer` | a request to a response: method, host, path, CORS |
//! | `path` | one writing for each path |
//! | `routes` | what is mounted where |
//! | `body` | what a response carries |
//! | [`client`] | a request to another's server |
//!
//! A listener belongs to a runtime and an address. It is there as long as an element is mounted on it; any number of elements and
//! pipelines share it.

mod answer;
mod body;
pub mod client;
mod io;
mod path;
mod routes;
mod serve;

pub use answer::text;
pub use body::{Body, Live, Slices};
pub use hyper;
pub use path::normalise;
pub use routes::{Connection, Mounted, Route};

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::StatusCode;
use millstream_core::env::TaskHandle;
use millstream_core::{Env, Result};

use self::routes::Routes;
use crate::listen::{Shared, accept};

/// Where every server says that it is alive.
pub const HEALTH: &str = "/healthz";

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
        Shared::at(env, address, |listener| {
            let (routes, local) = (Arc::<Routes>::default(), listener.local());
            let health = routes.mount(HEALTH, Arc::new(|_: &_, _: &_| text(StatusCode::OK, "ok\n")))?;
            let (served, own) = (routes.clone(), env.clone());
            let accept = accept(listener, env, move |stream| serve::serve(stream, served.clone(), own.clone()));
            Ok(Self { routes, local, _health: health, _accept: accept })
        })
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
