//! What is mounted where.

use std::any::Any;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hyper::{HeaderMap, Request, Response, StatusCode};
use millstream_core::env::BoxFuture;
use millstream_core::{Error, Result};

use super::body::Body;
use super::path::normalise;

/// What is served at a path.
pub trait Route: Send + Sync {
    /// Answers GET, and HEAD, of whose answer only the head is sent.
    fn answer(&self, ask: &Ask<'_>) -> Answer;

    /// What it takes beside GET, HEAD and OPTIONS. Default: nothing.
    fn takes(&self) -> Option<Takes> {
        None
    }

    /// Answers a request with one of the methods that it [`takes`](Self::takes). The body is whole, and not larger than it said.
    fn receive(&self, ask: &Ask<'_>, body: Bytes) -> Answer {
        let _ = (ask, body);
        super::text(StatusCode::METHOD_NOT_ALLOWED, "").into()
    }

    /// Adds to the answer to OPTIONS. Default: nothing.
    fn options(&self, ask: &Ask<'_>, headers: &mut HeaderMap) {
        let _ = (ask, headers);
    }
}

/// What a route takes beside GET, HEAD and OPTIONS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Takes {
    /// All methods of the path, as `Allow` lists them (RFC 9110, 10.2.1).
    pub methods: &'static str,
    /// Most bytes of a body; one that is larger is answered with 413.
    pub body: usize,
}

impl Takes {
    /// Whether a method is among them.
    pub(super) fn allows(&self, method: &str) -> bool {
        self.methods.split(", ").any(|one| one == method)
    }
}

impl<F: Fn(&Ask<'_>) -> Response<Body> + Send + Sync> Route for F {
    fn answer(&self, ask: &Ask<'_>) -> Answer {
        self(ask).into()
    }
}

/// A request for a path that is served.
pub struct Ask<'a> {
    /// The request.
    pub request: &'a Request<()>,
    /// The connection that it came on.
    pub connection: &'a Connection,
    /// What the path has beyond where it is mounted, written as `normalise` writes it, without a slash in front. Only what is mounted
    /// as a folder is asked for more than nothing.
    pub rest: &'a str,
}

/// A response, or the promise of one that waits for something.
pub enum Answer {
    /// It is there.
    Now(Response<Body>),
    /// It comes when this is done.
    Later(BoxFuture<'static, Response<Body>>),
}

impl From<Response<Body>> for Answer {
    fn from(response: Response<Body>) -> Self {
        Self::Now(response)
    }
}

/// The connection that a request came on.
#[derive(Clone)]
pub struct Connection {
    peer: SocketAddr,
    kept: Arc<Mutex<Vec<Box<dyn Any + Send>>>>,
    next: Arc<Mutex<Option<BoxFuture<'static, ()>>>>,
}

impl Connection {
    pub(super) fn new(peer: SocketAddr) -> Self {
        Self { peer, kept: Arc::default(), next: Arc::default() }
    }

    /// What the connection is used for when HTTP has given it away.
    pub(super) fn go_on_with(&self, next: BoxFuture<'static, ()>) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
    }

    pub(super) fn next(&self) -> Option<BoxFuture<'static, ()>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Address of the other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Keeps something until the connection is over and everything on it has been sent.
    pub fn keep(&self, kept: impl Any + Send) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(kept));
    }
}

/// What is mounted at a path.
struct Entry {
    route: Arc<dyn Route>,
    /// Everything below the path is its, too.
    folder: bool,
    /// Another one may take its place.
    yields: bool,
    /// Tells it from what was at the path before.
    id: u64,
}

/// The paths of a server.
#[derive(Default)]
pub(super) struct Routes {
    entries: Mutex<HashMap<String, Entry>>,
    next: AtomicU64,
}

impl Routes {
    pub(super) fn mount(self: &Arc<Self>, path: &str, route: Arc<dyn Route>, folder: bool) -> Result<Mounted> {
        if normalise(path).as_deref() != Some(path) {
            return Err(Error::settings(format!("`{path}` is no plain path")));
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut entries = self.lock();
        if entries.get(path).is_some_and(|entry| !entry.yields) {
            return Err(Error::settings(format!("{path} is served already at this address"))
                .hint("give one of the elements another path"));
        }
        entries.insert(path.to_owned(), Entry { route, folder, yields: false, id });
        Ok(Mounted { routes: self.clone(), path: path.to_owned(), id })
    }

    /// What is at a path or, as a folder, nearest above it; and what the path has beyond.
    pub(super) fn find<'a>(&self, path: &'a str) -> Option<(Arc<dyn Route>, &'a str)> {
        let entries = self.lock();
        if let Some(entry) = entries.get(path) {
            return Some((entry.route.clone(), ""));
        }
        let mut above = path;
        while let Some((shorter, _)) = above.rsplit_once('/').filter(|(shorter, _)| !shorter.is_empty()) {
            above = shorter;
            if let Some(entry) = entries.get(above).filter(|entry| entry.folder) {
                return Some((entry.route.clone(), path.get(above.len() + 1..)?));
            }
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A path is served, as long as this lives.
pub struct Mounted {
    routes: Arc<Routes>,
    path: String,
    id: u64,
}

impl Mounted {
    /// From now on another one may take its place.
    pub(super) fn give_way(&self) {
        if let Some(entry) = self.routes.lock().get_mut(&self.path).filter(|entry| entry.id == self.id) {
            entry.yields = true;
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let mut entries = self.routes.lock();
        if entries.get(&self.path).is_some_and(|entry| entry.id == self.id) {
            entries.remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::*;
    use crate::http::text;

    fn route() -> Arc<dyn Route> {
        Arc::new(|_: &Ask<'_>| text(StatusCode::OK, ""))
    }

    #[test]
    fn a_path_is_taken_once_and_free_again() {
        let routes = Arc::<Routes>::default();
        let mounted = routes.mount("/a/b", route(), false).unwrap();
        assert!(routes.mount("/a/b", route(), false).is_err());
        assert!(routes.find("/a/b").is_some() && routes.find("/a").is_none() && routes.find("/a/b/c").is_none());
        drop(mounted);
        assert!(routes.find("/a/b").is_none());
        for wrong in ["a", "/a/../b", "/a?b", "/%61", ""] {
            assert!(routes.mount(wrong, route(), false).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_nearest_folder_has_what_is_below() {
        let routes = Arc::<Routes>::default();
        let [outer, inner, file] = [route(), route(), route()];
        let mounts = [("/a", &outer, true), ("/a/b", &inner, true), ("/a/b/x.flv", &file, false)];
        let _mounted = mounts.map(|(path, route, folder)| routes.mount(path, route.clone(), folder).unwrap());
        for (path, found, rest) in [
            ("/a", &outer, ""),
            ("/a/c", &outer, "c"),
            ("/a/bc/d", &outer, "bc/d"),
            ("/a/b", &inner, ""),
            ("/a/b/c/d", &inner, "c/d"),
            ("/a/b/x.flv", &file, ""),
            ("/a/b/x.flv/y", &inner, "x.flv/y"),
        ] {
            let (route, beyond) = routes.find(path).unwrap();
            assert!(Arc::ptr_eq(&route, found) && beyond == rest, "{path}: {beyond}");
        }
        assert!(["/", "/ab", "/b"].iter().all(|path| routes.find(path).is_none()));
    }

    #[test]
    fn what_gave_way_does_not_take_its_successor_along() {
        let routes = Arc::<Routes>::default();
        let first = routes.mount("/a", route(), true).unwrap();
        first.give_way();
        assert!(routes.find("/a/x").is_some(), "it is there until another comes");
        let second = routes.mount("/a", route(), true).unwrap();
        first.give_way();
        assert!(routes.mount("/a", route(), true).is_err(), "that one does not give way");
        drop(first);
        assert!(routes.find("/a/x").is_some());
        drop(second);
        assert!(routes.find("/a/x").is_none());
    }
}
