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
//! | [`content`] | bytes and files of known length, in parts if asked for |
//! | `metrics` | numbers for Prometheus, and whether all streams come |
//! | [`websocket`] | a live stream over a WebSocket (RFC 6455) |
//! | [`page`] | pages of the program |
//! | [`watch`] | the page that lists and plays the streams of a listener |
//! | [`client`] | a request to another's server |
//!
//! A listener belongs to a runtime and an address. It is there as long as an element is mounted on it; any number of elements and
//! pipelines share it.

mod answer;
mod body;
pub mod client;
pub mod content;
mod io;
mod metrics;
pub mod page;
mod path;
mod routes;
mod serve;
mod url;
pub mod watch;
pub mod websocket;

pub use answer::{nothing_here, text};
pub use body::{Body, Live, Slices};
pub use hyper;
pub use metrics::{METRICS, READY};
pub use path::normalise;
pub use routes::{Answer, Ask, Connection, Mounted, Route, Takes};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use hyper::StatusCode;
use millstream_core::env::TaskHandle;
use millstream_core::meter::Meter;
use millstream_core::{Env, Error, Result, TimeDelta};

use self::metrics::{Metrics, Ready};
use self::routes::Routes;
use self::watch::{List, Listing, STREAMS, Shown, WATCH, Watch, Way};
use crate::listen::{Shared, accept};

/// Where every server says that it is alive.
pub const HEALTH: &str = "/healthz";

/// Checks that elements can serve a path.
///
/// # Errors
/// When nobody could ask for it, it is not written as [`normalise`] writes it, or every listener has something there. The hint has
/// `example`.
pub fn check_path(path: &str, example: &str) -> Result<()> {
    if [HEALTH, READY, METRICS, STREAMS, WATCH].contains(&path) || path.starts_with("/watch/") {
        let error = Error::settings(format!("every listener has something of its own at {path}"));
        return Err(error.hint(format!("choose another path: {example}")));
    }
    match normalise(path) {
        Some(plain) if plain == path && plain != "/" => Ok(()),
        Some(plain) if plain != "/" => {
            let error = Error::settings(format!("`{path}` is not written as paths are compared"));
            Err(error.hint(format!("write {plain}")))
        }
        _ => {
            let error = Error::settings(format!("`{path}` is no path of a stream"));
            Err(error.hint(format!("write the path of the URL from its slash on, without a query: {example}")))
        }
    }
}

/// A listener and what is mounted on it.
pub struct Server {
    routes: Arc<Routes>,
    local: SocketAddr,
    shown: Arc<Shown>,
    _own: [Mounted; 5],
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
            let shown = Arc::<Shown>::default();
            let own = [
                routes.mount(HEALTH, Arc::new(|_: &Ask<'_>| text(StatusCode::OK, "ok\n")), false)?,
                routes.mount(STREAMS, Arc::new(List { shown: shown.clone(), env: env.clone() }), false)?,
                routes.mount(READY, Arc::new(Ready(shown.clone())), false)?,
                routes.mount(METRICS, Arc::new(Metrics(env.clone())), false)?,
                routes.mount(WATCH, Arc::new(Watch::new(shown.clone(), env.clone())), true)?,
            ];
            let (served, outside) = (routes.clone(), env.clone());
            let accept = accept(listener, env, move |stream| serve::serve(stream, served.clone(), outside.clone()));
            Ok(Self { routes, local, shown, _own: own, _accept: accept })
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
        self.routes.mount(path, route, false)
    }

    /// The same for a path and all below it, except what is mounted there.
    ///
    /// # Errors
    /// As [`Self::mount`].
    pub fn mount_folder(&self, path: &str, route: Arc<dyn Route>) -> Result<Mounted> {
        self.routes.mount(path, route, true)
    }

    /// Puts a stream on the list that the watch page shows, until what this gives is dropped.
    /// `/readyz` waits for it; one that is not `shown` is not named anywhere.
    pub fn list(&self, way: Way, path: &str, meter: Arc<Meter>, shown: bool) -> Listing {
        self.shown.list(way, path, meter, shown)
    }

    /// Lets the watch page play with `hls.js` and `mpegts.js` of a directory.
    pub fn play_with(&self, scripts: PathBuf) {
        self.shown.play_with(scripts);
    }

    /// Goes on serving for a time what nobody holds any more, unless another one wants the path.
    pub fn linger(self: Arc<Self>, mounted: Mounted, env: &Env, time: TimeDelta) {
        mounted.give_way();
        let clock = env.clock.clone();
        let lingers = async move {
            clock.sleep_until(clock.now() + time).await;
            drop((mounted, self));
        };
        env.tasks.spawn(Box::pin(lingers)).detach();
    }
}
