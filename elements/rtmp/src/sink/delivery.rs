//! From the feed to the server, over as many connections as it takes.

use std::sync::Arc;

use millstream_core::Result;
use millstream_server::backoff::Backoff;
use tokio::sync::mpsc;

use super::Notice;
use crate::connector::Connector;
use crate::liveness::Pulse;
use crate::moving::{Happened, Moving};
use crate::peer::{Failure, FeedUntil, Peer, Turn};
use crate::server::feed::{Cursor, Feed};
use crate::session::client::{ClientEvent, ClientSettings};

/// What delivers a feed to a server.
pub(super) struct Delivery {
    /// Where the user wants it.
    pub(super) home: ClientSettings,
    pub(super) connector: Connector,
    pub(super) retries: u32,
    pub(super) live: bool,
    pub(super) feed: Arc<Feed>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) notices: mpsc::UnboundedSender<Notice>,
}

impl Delivery {
    /// Delivers what a cursor gives to the end of the feed, or until that has failed as often as it may; then it says so.
    pub(super) async fn run(self, mut cursor: Cursor) {
        if let Err(error) = self.deliver(&mut cursor).await {
            cursor.give_up();
            self.tell(Notice::Failed(error));
        }
    }

    async fn deliver(&self, cursor: &mut Cursor) -> Result<()> {
        let mut backoff = Backoff::default();
        let (mut place, mut was_there) = (self.home.clone(), false);
        loop {
            let failure = match self.connector.clone().establish(place.clone()).await {
                Ok(peer) => {
                    tracing::info!(url = %peer.settings().url, "publishes");
                    was_there = true;
                    backoff.reset();
                    self.tell(Notice::Connected);
                    match self.publish(peer, cursor, &mut place).await {
                        Ok(()) => return Ok(()),
                        Err(failure) => failure,
                    }
                }
                Err(failure) => {
                    // Where it was moved to is nobody: it may be back where the user wanted it.
                    place = self.home.clone();
                    failure
                }
            };
            // A live stream that has ended meanwhile has nothing that is worth a further attempt.
            let over = self.live && self.feed.is_ended();
            if failure.is_of_stream()
                || (failure.is_final() && !was_there)
                || over
                || backoff.attempts() >= self.retries
            {
                return Err(failure.into_error(&place.url));
            }
            let wait = backoff.next(&self.connector.env);
            let hint = format!("tries again in {:.1} s", wait.to_std().as_secs_f64());
            self.tell(Notice::Lost(failure.into_error(&place.url).hint(hint)));
            let clock = &self.connector.env.clock;
            clock.sleep_until(clock.now() + wait).await;
            cursor.begin_anew(self.live);
        }
    }

    /// Publishes to the end of the feed, from one connection to the next as servers ask. `place` is where it is in the end.
    async fn publish(&self, mut peer: Peer, cursor: &mut Cursor, place: &mut ClientSettings) -> Result<(), Failure> {
        peer.feel(self.pulse.clone());
        let mut moving = Moving::new(peer);
        loop {
            let feed = FeedUntil { cursor: &mut *cursor, key: moving.may_go() };
            match moving.happened(Some(feed)).await {
                Happened::Turn(Ok(Turn::Ended)) => break,
                // A key frame is next: the new connection gets it, and all that follows.
                Happened::Turn(Ok(Turn::AtKey)) => {
                    if moving.go(self.connector.env.clock.now()) {
                        self.moved(&mut moving, place);
                        cursor.begin_anew(false);
                    }
                }
                Happened::Turn(Ok(Turn::Event(event))) => {
                    if let ClientEvent::Reconnect(to) = *event {
                        moving.asked(&self.connector, *to);
                    }
                }
                Happened::Turn(Err(failure)) => {
                    if !moving.rescue(self.connector.env.clock.now()).await {
                        return Err(failure);
                    }
                    self.moved(&mut moving, place);
                    cursor.begin_anew(self.live);
                }
                Happened::Refused(failure) => {
                    let error = failure.into_error(&moving.peer.settings().url);
                    let hint = "the server asks to move, and where it leads the stream is not taken: it stays";
                    self.tell(Notice::Warning(error.hint(hint)));
                }
                Happened::Left(left) => self.left(left),
                Happened::Turn(Ok(Turn::Taken)) | Happened::Opened | Happened::Next(_) => {}
            }
        }
        let (closed, left) = moving.close().await;
        self.left(left);
        closed
    }

    fn moved(&self, moving: &mut Moving, place: &mut ClientSettings) {
        moving.peer.feel(self.pulse.clone());
        // What it came to know of a server on the way there is of no use the next time.
        *place = ClientSettings { attempt: Default::default(), ..moving.peer.settings().clone() };
        self.tell(Notice::Moved);
    }

    /// How it went with a server that was left.
    fn left(&self, left: Result<(), Failure>) {
        if let Err(failure) = left {
            let error = failure.into_error(&self.home.url);
            self.tell(Notice::Warning(
                error.hint("it asked to move, and may have closed before it had taken everything"),
            ));
        }
    }

    fn tell(&self, notice: Notice) {
        let _ = self.notices.send(notice);
    }
}
