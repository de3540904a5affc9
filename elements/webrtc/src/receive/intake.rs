//! Offers of publishers become sessions, which the element takes over; whose turn it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use millstream_core::{Env, Time, TimeDelta};
use millstream_server::access::Admitted;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::control::Controls;
use crate::ice::Reach;
use crate::offer::Offer;
use crate::ports::Line;
use crate::session::{Codec, Refused, Session, Setup, Track};

/// Sessions of one stream at a time: the one that publishes, and those that are about to take its place.
pub(crate) const MAX_SESSIONS: usize = 8;

/// A publisher that has not been heard for so long gives way. Sound comes 50 times a second; this is an outage that one may wait for.
const SILENT: TimeDelta = TimeDelta::from_secs(3);

/// What happens to somebody who publishes a stream that has a publisher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DuplicatePolicy {
    /// It is refused, unless the first has not been heard for 3 s.
    #[default]
    Reject,
    /// It takes the place of the first.
    TakeOver,
}

/// Why a publisher is not taken in. The text is for it, and for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotTaken {
    /// Another one is there.
    #[error("The stream has a publisher.")]
    HasPublisher,
    /// The element ends, or too many come at once.
    #[error("The stream is not taken in now.")]
    Busy,
    /// Its offer cannot be used.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Somebody publishes.
pub(crate) struct Publication {
    pub(super) session: Session,
    pub(super) line: Line,
    pub(super) tracks: Vec<Track>,
    pub(super) controls: Box<dyn Controls>,
    /// Its end is told when this goes.
    pub(super) admitted: Option<Admitted>,
}

impl Publication {
    /// A session that is there already: with a server that this end has called.
    pub(crate) fn new(session: Session, line: Line, tracks: Vec<Track>, controls: Box<dyn Controls>) -> Self {
        Self { session, line, tracks, controls, admitted: None }
    }
}

/// Whether there is a publisher, and when it was heard last.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    is_there: AtomicBool,
    heard: AtomicI64,
}

impl Presence {
    pub(super) fn heard(&self, at: Time) {
        self.heard.store(at.nanos(), Ordering::Relaxed);
        self.is_there.store(true, Ordering::Relaxed);
    }

    pub(super) fn left(&self) {
        self.is_there.store(false, Ordering::Relaxed);
    }

    fn is_heard(&self, now: Time) -> bool {
        let heard = Time::from_nanos(self.heard.load(Ordering::Relaxed));
        self.is_there.load(Ordering::Relaxed) && now - heard < SILENT
    }
}

/// Takes in publishers of one stream.
pub(crate) struct Intake {
    setup: Setup,
    duplicate: DuplicatePolicy,
    reach: Arc<Reach>,
    env: Env,
    presence: Arc<Presence>,
    publications: mpsc::Sender<Publication>,
}

impl Intake {
    pub(crate) fn new(
        duplicate: DuplicatePolicy,
        codecs: Vec<Codec>,
        reach: Arc<Reach>,
        env: Env,
    ) -> (Self, mpsc::Receiver<Publication>) {
        let (publications, receiver) = mpsc::channel(MAX_SESSIONS);
        let setup = Setup { codecs, lite: true, ..Setup::default() };
        (Self { setup, duplicate, reach, env, presence: Arc::default(), publications }, receiver)
    }

    pub(crate) fn presence(&self) -> Arc<Presence> {
        self.presence.clone()
    }

    /// How publishers are reached.
    pub(crate) fn reach(&self) -> &Reach {
        &self.reach
    }

    fn names(&self) -> String {
        self.setup.codecs.iter().map(|codec| codec.name()).collect::<Vec<_>>().join(", ")
    }

    /// Whether a publisher may come now.
    pub(crate) fn admits(&self) -> Result<(), NotTaken> {
        match self.duplicate == DuplicatePolicy::Reject && self.presence.is_heard(self.env.clock.now()) {
            true => Err(NotTaken::HasPublisher),
            false => Ok(()),
        }
    }

    /// The answer to the offer of a publisher, who is taken over by the element.
    pub(crate) fn take(
        &self,
        offer: &Offer,
        controls: Box<dyn Controls>,
        admitted: Option<Admitted>,
    ) -> Result<String, NotTaken> {
        self.admits()?;
        let now = self.env.clock.now();
        let mut session = Session::new(&self.reach.setup(self.setup.clone()), now);
        let answer = session.answer(offer)?;
        let tracks = session.tracks();
        // RFC 9725, 4.4.1: all of the offer, or nothing.
        if let Some(track) = tracks.iter().find(|track| !session.has_format(track.id)) {
            let kind = format!("{:?}", track.kind).to_lowercase();
            let text =
                format!("There is no codec for the {kind} that both sides have. Here there are {}.", self.names());
            return Err(Refused::NoCodec(text).into());
        }
        let line = self.reach.line(&session.ufrag());
        let publication = Publication { session, line, tracks, controls, admitted };
        self.publications.try_send(publication).map_err(|_| NotTaken::Busy)?;
        // Also before the element has looked: of two who come at once one is the first.
        self.presence.heard(now);
        Ok(answer)
    }
}
