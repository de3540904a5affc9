//! Offers of publishers become sessions, which the element takes over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use hyper::StatusCode;
use millstream_core::{Env, Time, TimeDelta};
use millstream_server::http::hyper;
use tokio::sync::mpsc;

use super::{DuplicatePolicy, MAX_SESSIONS, WhipServerSrcSettings};
use crate::http::{Opens, Rejected, Visitor};
use crate::offer::Offer;
use crate::ports::{Line, Ports};
use crate::session::{Codec, Refused, Session, Setup, Track};

/// A publisher that has not been heard for so long gives way. Sound comes 50 times a second; this is an outage that one may wait for.
const SILENT: TimeDelta = TimeDelta::from_secs(3);

/// Seconds after which a publisher that was refused may try again.
const RETRY_TAKEN: u32 = 5;

/// Somebody publishes.
pub(super) struct Publication {
    pub(super) session: Session,
    pub(super) line: Line,
    pub(super) tracks: Vec<Track>,
    pub(super) visitor: Visitor,
}

/// Whether there is a publisher, and when it was heard last.
#[derive(Debug, Default)]
pub(super) struct Presence {
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
pub(super) struct Intake {
    setup: Setup,
    duplicate: DuplicatePolicy,
    ports: Arc<Ports>,
    env: Env,
    presence: Arc<Presence>,
    publications: mpsc::Sender<Publication>,
}

impl Intake {
    pub(super) fn new(
        settings: &WhipServerSrcSettings,
        codecs: Vec<Codec>,
        ports: Arc<Ports>,
        env: Env,
    ) -> (Self, mpsc::Receiver<Publication>) {
        let (publications, receiver) = mpsc::channel(MAX_SESSIONS);
        let (addresses, advertise) = (ports.addresses(), settings.advertise.clone().unwrap_or_default());
        let setup = Setup { codecs, addresses, advertise, lite: true, ..Setup::default() };
        let (duplicate, presence) = (settings.duplicate, Arc::default());
        (Self { setup, duplicate, ports, env, presence, publications }, receiver)
    }

    pub(super) fn presence(&self) -> Arc<Presence> {
        self.presence.clone()
    }

    fn names(&self) -> String {
        self.setup.codecs.iter().map(|codec| codec.name()).collect::<Vec<_>>().join(", ")
    }
}

impl Opens for Intake {
    fn open(&self, offer: &Offer, visitor: Visitor) -> Result<String, Rejected> {
        let now = self.env.clock.now();
        if self.duplicate == DuplicatePolicy::Reject && self.presence.is_heard(now) {
            let taken = Rejected::new(StatusCode::CONFLICT, "The stream has a publisher.");
            return Err(taken.retry_after(RETRY_TAKEN));
        }
        let mut session = Session::new(&self.setup, now);
        let answer = session.answer(offer)?;
        let tracks = session.tracks();
        // RFC 9725, 4.4.1: all of the offer, or nothing.
        if let Some(track) = tracks.iter().find(|track| !session.has_format(track.id)) {
            let kind = format!("{:?}", track.kind).to_lowercase();
            let text =
                format!("There is no codec for the {kind} that both sides have. Here there are {}.", self.names());
            return Err(Refused::NoCodec(text).into());
        }
        let line = self.ports.line(&session.ufrag());
        let publication = Publication { session, line, tracks, visitor };
        self.publications.try_send(publication).map_err(|_| {
            Rejected::new(StatusCode::SERVICE_UNAVAILABLE, "The stream is not taken in now.").retry_after(1)
        })?;
        // Also before the element has looked: of two who come at once one is the first.
        self.presence.heard(now);
        Ok(answer)
    }
}
