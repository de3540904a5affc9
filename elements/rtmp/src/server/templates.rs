//! Streams that nothing takes in by name: a template takes them in, and an instance of it is started for each.
//!
//! What clients say becomes part of paths and URLs, so it is held against rules here, before anything else sees it: application and stream
//! are each one plain segment of a path. With more than one, `live/cam` with stream `index.m3u8` could write into the directory of stream
//! `cam`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use millstream_core::env::BoxFuture;
use millstream_core::template::{Admission, Arrival, Arrivals, Seat, Variable, Variables};
use millstream_core::{Env, Error, Result};
use millstream_server::access::{Access, AccessSettings, pairs};
use millstream_server::listen::url;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::Server;
use super::limits::Limits;
use super::mounts::{Refusal, Second, StreamName};
use crate::Secret;

/// Longest name or value that is taken from a client, in bytes: with what a pipeline adds, a file name of it stays below the 255 bytes
/// of Linux.
const MAX_WORD: usize = 128;

/// What instances are given.
pub(crate) const VARIABLES: &[Variable] = &[
    Variable { name: "stream", doc: "name of the stream" },
    Variable { name: "app", doc: "its application" },
    Variable { name: "query.", doc: "a parameter of the query behind it" },
];

/// What a template wants of a server.
pub(crate) struct Wish {
    /// The application; nothing for any.
    pub(crate) app: Option<String>,
    /// What comes to pass when somebody publishes a stream that has a publisher.
    pub(crate) second: Second,
    /// Streams at a time.
    pub(crate) limit: usize,
    /// Who may publish.
    pub(crate) access: AccessSettings,
    pub(crate) admission: Admission,
    /// In force as long as the template is there.
    pub(crate) _limits: Arc<Limits>,
}

/// The templates of a server.
#[derive(Default)]
pub(crate) struct Templates(Mutex<Vec<Arc<Taker>>>);

/// A template that waits for streams.
pub(crate) struct Taker {
    wish: Wish,
    /// Who may publish, unless everybody. Until it is known nobody is let in.
    access: OnceLock<Option<Arc<Access>>>,
    places: Arc<Semaphore>,
    arrivals: mpsc::UnboundedSender<Arrival>,
}

/// A publisher that fits a template.
pub(crate) struct Fitting {
    taker: Arc<Taker>,
    variables: Variables,
    place: OwnedSemaphorePermit,
}

impl Templates {
    /// Lets a template take in streams, as long as what is given back lives.
    ///
    /// # Errors
    /// When another takes in those of the same application.
    pub(crate) fn add(server: &Arc<Server>, env: &Env, wish: Wish) -> Result<Box<dyn Arrivals>> {
        let mut takers = server.site.mounts.templates.lock();
        if takers.iter().any(|taker| taker.wish.app == wish.app) {
            let app = wish.app.as_deref().unwrap_or("*");
            return Err(Error::settings(format!("another template takes in the streams of `{app}` at this address"))
                .hint("give one of them another `app`"));
        }
        let (arrivals, received) = mpsc::unbounded_channel();
        let places = Arc::new(Semaphore::new(wish.limit.min(Semaphore::MAX_PERMITS)));
        let taker = Arc::new(Taker { wish, access: OnceLock::new(), places, arrivals });
        takers.push(taker.clone());
        drop(takers);
        Ok(Box::new(Waiting { server: server.clone(), env: env.clone(), is_ready: false, taker, received }))
    }

    /// Who says whether a client may publish what nothing takes in by name.
    pub(crate) fn door(&self, name: &StreamName) -> std::result::Result<Option<Arc<Access>>, Refusal> {
        let taker = self.find(name)?;
        taker.access.get().cloned().ok_or(Refusal::Unknown)
    }

    /// Whether a publisher fits its template.
    pub(crate) fn fit(&self, name: &StreamName, query: &Secret) -> std::result::Result<Fitting, Refusal> {
        let taker = self.find(name)?;
        let variables = taker.variables(name, query)?;
        let place = taker.places.clone().try_acquire_owned().map_err(|_| Refusal::Full)?;
        taker.wish.admission.check(&variables).map_err(|error| {
            tracing::info!(stream = %name, %error, "does not fit its template");
            Refusal::Values
        })?;
        Ok(Fitting { taker, variables, place })
    }

    /// The template of an application, else one of any.
    fn find(&self, name: &StreamName) -> std::result::Result<Arc<Taker>, Refusal> {
        let taker = {
            let takers = self.lock();
            let of = |app: Option<&str>| takers.iter().find(|taker| taker.wish.app.as_deref() == app).cloned();
            of(Some(name.app())).or_else(|| of(None)).ok_or(Refusal::Unknown)?
        };
        // An application that the template names is the operator's own word.
        let app_fits = taker.wish.app.is_some() || is_plain(name.app());
        if !app_fits || !is_plain(name.stream()) {
            return Err(Refusal::Name);
        }
        Ok(taker)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Taker>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Templates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Templates({})", self.lock().len())
    }
}

impl Taker {
    fn variables(&self, name: &StreamName, query: &Secret) -> std::result::Result<Variables, Refusal> {
        // The first counts: the name's own come before those of the application.
        let mut given = BTreeMap::new();
        for (name, value) in pairs(query.reveal()) {
            given.entry(name).or_insert(value);
        }
        let mut variables = Variables::new();
        for used in self.wish.admission.used() {
            let value = match used.strip_prefix("query.") {
                Some(parameter) => {
                    Some(given.get(parameter).ok_or(Refusal::Query)?).filter(|value| is_plain(value)).cloned()
                }
                None if used == "app" => Some(name.app().to_owned()),
                None => Some(name.stream().to_owned()),
            };
            variables.insert(used.to_owned(), value.ok_or(Refusal::QueryValue)?);
        }
        Ok(variables)
    }
}

impl Fitting {
    /// What is to become of somebody who publishes the same.
    pub(crate) fn second(&self) -> Second {
        self.taker.wish.second
    }

    /// Who says whether those may who continue the stream.
    pub(crate) fn access(&self) -> Option<Arc<Access>> {
        self.taker.access.get().cloned().flatten()
    }

    /// Asks for an instance, whose source is given the seat. False when the template is gone.
    pub(crate) fn arrive(self, name: &StreamName, seat: Seat) -> bool {
        let Self { taker, variables, place } = self;
        taker.arrivals.send(Arrival { name: name.to_string(), variables, seat, place: Box::new(place) }).is_ok()
    }
}

/// A template waits for those who come.
struct Waiting {
    server: Arc<Server>,
    env: Env,
    /// The files of TLS can be used, if there are any, and it is known who may publish.
    is_ready: bool,
    taker: Arc<Taker>,
    /// No more than the template has places.
    received: mpsc::UnboundedReceiver<Arrival>,
}

impl Arrivals for Waiting {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Arrival>>> {
        Box::pin(async move {
            if !self.is_ready {
                self.server.ready(&self.env).await?;
                let access = Access::open(&self.env, &self.taker.wish.access).await?;
                self.is_ready = self.taker.access.set(access).is_ok();
            }
            Ok(self.received.recv().await)
        })
    }

    fn address(&self) -> Option<String> {
        let app = self.taker.wish.app.as_deref().unwrap_or("APP");
        Some(url(self.server.scheme(), self.server.local, &format!("/{app}/STREAM")))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.server.site.mounts.templates.lock().retain(|taker| !Arc::ptr_eq(taker, &self.taker));
    }
}

/// Whether a word of a client may become a part of a path or URL: one segment that names itself and nothing else. No `..` and nothing
/// hidden, no separators, nothing that URLs read otherwise, no standard output (`-`), no characters that cannot be seen.
pub(crate) fn is_plain(word: &str) -> bool {
    let is_odd = |c: char| c.is_control() || matches!(c, '/' | '\\' | '%' | '?' | '#' | char::REPLACEMENT_CHARACTER);
    !word.is_empty() && word.len() <= MAX_WORD && !word.starts_with('.') && word != "-" && !word.contains(is_odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_path_tricks_are_no_names() {
        let long = "x".repeat(MAX_WORD + 1);
        let tricks = [
            "",
            ".",
            "..",
            "...",
            "../x",
            "..\\x",
            "a/../../b",
            "a/b",
            "/etc/passwd",
            "\\\\host\\share",
            "C:\\x",
            ".htaccess",
            "-",
            "x\0",
            "x\0.m3u8",
            "x\n",
            "x\r\ny",
            "\u{7f}",
            "\u{85}",
            "%2e%2e%2fx",
            "x\u{fffd}",
            "..%2fx",
            "x?y",
            "x#y",
            &long,
        ];
        for trick in tricks {
            assert!(!is_plain(trick), "{trick:?}");
        }
        for name in ["cam", "live_1234_aBc", "cam 1", "mp4:cam", "a..b", "Küche", "カメラ", "-x", "a.b"] {
            assert!(is_plain(name), "{name:?}");
        }
    }
}
