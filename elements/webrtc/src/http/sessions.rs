//! The sessions below an endpoint, by the last part of their paths, which nobody can guess.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use hyper::StatusCode;
use hyper::header::HeaderValue;
use millstream_core::{Env, Secret};
use millstream_server::http::hyper;
use tokio::sync::{mpsc, oneshot};

use super::Rejected;
use super::answers::Match;
use crate::control::{Control, Controls};
use crate::fragment::Fragment;
use crate::session::Refused;

/// Requests that wait for a session.
const MAX_WAITING: usize = 32;

/// Random bytes of an address: 128 bits.
const ID_LEN: usize = 16;

/// Seconds after which there may be room again.
const RETRY_FULL: u32 = 5;

/// A restart that a session was asked for.
pub(super) struct Restarting {
    pub(super) ufrag: String,
    pub(super) answer: oneshot::Receiver<Result<String, Refused>>,
}

/// Somebody who did not begin the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stranger {
    /// It shows another token.
    Another,
    /// It shows none.
    Nameless,
}

struct Entry {
    control: mpsc::Sender<Control>,
    generation: u32,
    /// Credentials of the other end, once it has restarted.
    ufrag: Option<String>,
    /// The bearer token that it began with, which every further request has to carry (RFC 9725, 4.8).
    token: Option<Secret>,
}

impl Entry {
    fn tag(&self, id: &str) -> HeaderValue {
        tag(id, self.generation)
    }
}

/// Takes as long whatever of the token is right.
fn same(known: &Secret, given: &Secret) -> bool {
    let (known, given) = (known.reveal().as_bytes(), given.reveal().as_bytes());
    known.len() == given.len() && known.iter().zip(given).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// A strong entity tag: another one for each restart of ICE (RFC 9725, 4.3.1).
fn tag(id: &str, generation: u32) -> HeaderValue {
    let start = id.get(..8).unwrap_or(id);
    HeaderValue::try_from(format!("\"{start}-{generation}\"")).unwrap_or(HeaderValue::from_static("\"0\""))
}

/// Every session of an endpoint.
pub(crate) struct Sessions {
    all: Mutex<HashMap<String, Entry>>,
    most: usize,
}

impl Sessions {
    /// Room for so many.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { all: Mutex::default(), most })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.lock().contains_key(id)
    }

    /// Whether a request with this bearer token is one of who began the session: that it is another one, or none, is the error. Without a
    /// token it may be where that is `lenient`: nobody else knows the address.
    pub(super) fn knows(&self, id: &str, token: Option<&Secret>, lenient: bool) -> Result<(), Stranger> {
        let all = self.lock();
        let Some(known) = all.get(id).and_then(|entry| entry.token.as_ref()) else { return Ok(()) };
        match token {
            Some(token) if same(known, token) => Ok(()),
            Some(_) => Err(Stranger::Another),
            None if lenient => Ok(()),
            None => Err(Stranger::Nameless),
        }
    }

    /// A place for one more, which began with this bearer token.
    pub(super) fn place(self: &Arc<Self>, env: &Env, token: Option<Secret>) -> Result<Place, Rejected> {
        let key = env.key().map_err(|_| {
            Rejected::new(StatusCode::SERVICE_UNAVAILABLE, "There are no random numbers.").retry_after(RETRY_FULL)
        })?;
        let id: String = key.iter().take(ID_LEN).map(|byte| format!("{byte:02x}")).collect();
        let (control, asked) = mpsc::channel(MAX_WAITING);
        let mut all = self.lock();
        if all.len() >= self.most {
            let full = Rejected::new(StatusCode::SERVICE_UNAVAILABLE, "There is no room for another session.");
            return Err(full.retry_after(RETRY_FULL));
        }
        all.insert(id.clone(), Entry { control, generation: 0, ufrag: None, token });
        Ok(Place { sessions: self.clone(), id, asked })
    }

    /// Ends a session: its place hears that nobody will ask any more.
    pub(super) fn remove(&self, id: &str) {
        self.lock().remove(id);
    }

    /// Asks a session for what a fragment says; a restart is answered later.
    pub(super) fn patch(
        &self,
        id: &str,
        matches: &Match,
        fragment: Fragment,
        lenient: bool,
    ) -> Result<Option<Restarting>, Rejected> {
        let mut all = self.lock();
        let entry = all.get_mut(id).ok_or_else(|| Rejected::new(StatusCode::NOT_FOUND, "There is no such session."))?;
        let restarts = matches!(matches, Match::Any);
        match matches {
            Match::Missing if !lenient => {
                let text = "Which state of the session is meant is said by If-Match.";
                return Err(Rejected::new(StatusCode::PRECONDITION_REQUIRED, text));
            }
            Match::Tags(tags) if !tags.iter().any(|tag| entry.tag(id) == **tag) => {
                return Err(Rejected::new(StatusCode::PRECONDITION_FAILED, "The session is in another state."));
            }
            _ => {}
        }
        let unanswered = |_| Rejected::new(StatusCode::SERVICE_UNAVAILABLE, "The session is busy.").retry_after(1);
        match (restarts, fragment.ufrag, fragment.password) {
            (true, Some(ufrag), Some(password)) => {
                let (answer, answered) = oneshot::channel();
                let candidates = fragment.candidates;
                let control = Control::Restart { ufrag: ufrag.clone(), password, candidates, answer };
                entry.control.try_send(control).map_err(unanswered)?;
                Ok(Some(Restarting { ufrag, answer: answered }))
            }
            (true, ..) => {
                let text = "ICE begins anew with both ice-ufrag and ice-pwd.";
                Err(Rejected::new(StatusCode::UNPROCESSABLE_ENTITY, text))
            }
            // Candidates of credentials that are not in force any more are none of this session.
            (false, Some(ufrag), _) if entry.ufrag.as_ref().is_some_and(|known| *known != ufrag) => Ok(None),
            (false, ..) => {
                entry.control.try_send(Control::Candidates(fragment.candidates)).map_err(unanswered)?;
                Ok(None)
            }
        }
    }

    /// A session has begun ICE anew: its tag.
    pub(super) fn restarted(&self, id: &str, ufrag: String) -> Option<HeaderValue> {
        let mut all = self.lock();
        let entry = all.get_mut(id)?;
        entry.generation = entry.generation.saturating_add(1);
        entry.ufrag = Some(ufrag);
        Some(entry.tag(id))
    }
}

/// A session has its address as long as this lives.
pub(crate) struct Place {
    sessions: Arc<Sessions>,
    id: String,
    /// Nothing more comes when the address was deleted.
    asked: mpsc::Receiver<Control>,
}

impl Place {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn tag(&self) -> HeaderValue {
        tag(&self.id, 0)
    }
}

impl Controls for Place {
    fn poll_asked(&mut self, cx: &mut Context<'_>) -> Poll<Option<Control>> {
        self.asked.poll_recv(cx)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.sessions.remove(&self.id);
    }
}
