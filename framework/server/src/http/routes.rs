//! What is mounted where.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::{Request, Response};
use millstream_core::{Error, Result};

use super::body::Body;
use super::path::normalise;

/// What is served at a path.
pub trait Route: Send + Sync {
    /// Answers GET, and HEAD, of whose answer only the head is sent.
    fn answer(&self, request: &Request<()>, connection: &Connection) -> Response<Body>;
}

impl<F: Fn(&Request<()>, &Connection) -> Response<Body> + Send + Sync> Route for F {
    fn answer(&self, request: &Request<()>, connection: &Connection) -> Response<Body> {
        self(request, connection)
    }
}

/// The connection that a request came on.
#[derive(Clone, Default)]
pub struct Connection(Arc<Mutex<Vec<Box<dyn Any + Send>>>>);

impl Connection {
    /// Keeps something until the connection is over and everything on it has been sent.
    pub fn keep(&self, kept: impl Any + Send) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(kept));
    }
}

/// The paths of a server.
#[derive(Default)]
pub(super) struct Routes(Mutex<HashMap<String, Arc<dyn Route>>>);

impl Routes {
    pub(super) fn mount(self: &Arc<Self>, path: &str, route: Arc<dyn Route>) -> Result<Mounted> {
        if normalise(path).as_deref() != Some(path) {
            return Err(Error::settings(format!("`{path}` is no plain path")));
        }
        let mut routes = self.lock();
        if routes.contains_key(path) {
            return Err(Error::settings(format!("{path} is served already at this address"))
                .hint("give one of the elements another path"));
        }
        routes.insert(path.to_owned(), route);
        Ok(Mounted { routes: self.clone(), path: path.to_owned() })
    }

    /// What is at a path.
    pub(super) fn find(&self, path: &str) -> Option<Arc<dyn Route>> {
        self.lock().get(path).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<dyn Route>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A path is served, as long as this lives.
pub struct Mounted {
    routes: Arc<Routes>,
    path: String,
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.routes.lock().remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::*;
    use crate::http::text;

    #[test]
    fn a_path_is_taken_once_and_free_again() {
        let routes = Arc::<Routes>::default();
        let route = || Arc::new(|_: &_, _: &_| text(StatusCode::OK, "")) as Arc<dyn Route>;
        let mounted = routes.mount("/a/b", route()).unwrap();
        assert!(routes.mount("/a/b", route()).is_err());
        assert!(routes.find("/a/b").is_some() && routes.find("/a").is_none());
        drop(mounted);
        assert!(routes.find("/a/b").is_none());
        for wrong in ["a", "/a/../b", "/a?b", "/%61", ""] {
            assert!(routes.mount(wrong, route()).is_err(), "{wrong}");
        }
    }
}
