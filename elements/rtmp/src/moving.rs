//! Servers that ask their clients to move (Enhanced RTMP v2, "Reconnect Request"): the new connection is made while the old one goes on.

use std::future::pending;

use millstream_core::env::BoxFuture;
use millstream_core::{Time, TimeDelta};

use crate::connector::Connector;
use crate::peer::{Failure, FeedUntil, Peer, Turn};
use crate::session::client::ClientSettings;

/// Moves in a row that are followed: servers that send a stream to and fro would keep it from being seen.
const MAX_MOVES: u32 = 5;

/// A stream that stays for so long has arrived: the next move is the first again.
const SETTLED: TimeDelta = TimeDelta::from_secs(60);

/// A connection that is left: it sends the rest and says goodbye.
type Leaving = BoxFuture<'static, Result<(), Failure>>;

/// A connection, the one that comes after it, and the one before.
pub(crate) struct Moving {
    pub(crate) peer: Peer,
    next: Next,
    leaving: Option<Leaving>,
    moves: u32,
    moved: Time,
}

enum Next {
    None,
    /// It is being made.
    Opening(BoxFuture<'static, Result<Peer, Failure>>),
    /// It publishes or plays.
    Ready(Box<Peer>),
}

/// What happens to one of them.
pub(crate) enum Happened {
    /// To the connection.
    Turn(Result<Turn, Failure>),
    /// The next one publishes or plays.
    Opened,
    /// To the next one.
    Next(Turn),
    /// There will be no next one.
    Refused(Failure),
    /// The one before has ended.
    Left(Result<(), Failure>),
}

impl Moving {
    pub(crate) fn new(peer: Peer) -> Self {
        Self { peer, next: Next::None, leaving: None, moves: 0, moved: Time::ZERO }
    }

    /// Whether the next one is there, and this one may be left.
    pub(crate) fn may_go(&self) -> bool {
        // One goodbye at a time.
        matches!(self.next, Next::Ready(_)) && self.leaving.is_none()
    }

    /// Waits for what happens next. Nothing is lost when the future is dropped.
    pub(crate) async fn happened(&mut self, feed: Option<FeedUntil<'_>>) -> Happened {
        let Self { peer, next, leaving, .. } = self;
        let left = async {
            match leaving {
                Some(leaving) => leaving.await,
                None => pending().await,
            }
        };
        let happened = tokio::select! {
            biased;
            happened = next.happened() => happened,
            left = left => Happened::Left(left),
            turn = peer.turn(feed) => Happened::Turn(turn),
        };
        match &happened {
            Happened::Refused(_) => self.next = Next::None,
            Happened::Left(_) => self.leaving = None,
            _ => {}
        }
        happened
    }

    /// The server asks to move to where these settings lead.
    pub(crate) fn asked(&mut self, connector: &Connector, to: ClientSettings) {
        let now = connector.env.clock.now();
        if now.since(self.moved) > SETTLED {
            self.moves = 0;
        }
        // One move at a time: a second request says what the first did.
        if matches!(self.next, Next::None) && self.moves < MAX_MOVES {
            tracing::info!(url = %to.url, "the server asks to move");
            self.next = Next::Opening(Box::pin(connector.clone().establish(to)));
        }
    }

    /// Goes over to the next one, if it is there.
    pub(crate) fn go(&mut self, now: Time) -> bool {
        let next = match std::mem::replace(&mut self.next, Next::None) {
            Next::Ready(next) => *next,
            other => {
                self.next = other;
                return false;
            }
        };
        tracing::info!(url = %next.settings().url, "has moved");
        self.moves += 1;
        self.moved = now;
        let old = std::mem::replace(&mut self.peer, next);
        self.leaving = Some(Box::pin(old.close()));
        true
    }

    /// This one is lost: waits for the next one. False when there is none.
    pub(crate) async fn rescue(&mut self, now: Time) -> bool {
        if let Next::Opening(opening) = &mut self.next {
            let opened = opening.await;
            self.next = opened.map_or(Next::None, |peer| Next::Ready(Box::new(peer)));
        }
        let gone = self.go(now);
        if gone {
            // There is nobody to say goodbye to.
            self.leaving = None;
        }
        gone
    }

    /// Ends all of them in good order: how it went with this one, and with the one before.
    pub(crate) async fn close(self) -> (Result<(), Failure>, Result<(), Failure>) {
        let next = async {
            if let Next::Ready(next) = self.next {
                // It has nothing to lose.
                let _ = next.close().await;
            }
        };
        let leaving = async {
            match self.leaving {
                Some(leaving) => leaving.await,
                None => Ok(()),
            }
        };
        let (closed, left, ()) = tokio::join!(self.peer.close(), leaving, next);
        (closed, left)
    }
}

impl Next {
    async fn happened(&mut self) -> Happened {
        let opened = match self {
            Self::None => pending().await,
            Self::Ready(peer) => return peer.turn(None).await.map_or_else(Happened::Refused, Happened::Next),
            Self::Opening(opening) => opening.await,
        };
        match opened {
            Ok(peer) => {
                *self = Self::Ready(Box::new(peer));
                Happened::Opened
            }
            Err(failure) => Happened::Refused(failure),
        }
    }
}
