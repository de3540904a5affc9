//! A session's end of a conversation.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll};

use millstream_signaling::message::ClientMessage;
use millstream_signaling::shell::peer::Peer;
use tokio::sync::mpsc;

use crate::control::{Control, Controls};

/// What waits for a session. A browser finds some 20 candidates at once.
const MAX_WAITING: usize = 64;

/// Whether a conversation has come so far that its end is told.
pub(super) type Answered = Arc<AtomicBool>;

/// Has what a session is asked for through signaling. The other end hears of its end when this is dropped.
pub(super) struct Call {
    asked: mpsc::Receiver<Control>,
    peer: Weak<Peer>,
    session: Arc<OnceLock<String>>,
    answered: Answered,
}

/// What the worker has of a conversation.
pub(super) struct Asks {
    /// Where the session is asked for something.
    pub(super) asked: mpsc::Sender<Control>,
    /// Its name, as soon as there is one.
    pub(super) session: Arc<OnceLock<String>>,
    pub(super) answered: Answered,
}

impl Call {
    /// One for a session of a peer.
    pub(super) fn new(peer: &Arc<Peer>) -> (Self, Asks) {
        let (sender, asked) = mpsc::channel(MAX_WAITING);
        let (session, answered) = (Arc::<OnceLock<String>>::default(), Answered::default());
        let asks = Asks { asked: sender, session: session.clone(), answered: answered.clone() };
        (Self { asked, peer: Arc::downgrade(peer), session, answered }, asks)
    }

    fn say(&self, message: impl FnOnce(String) -> ClientMessage) {
        if let (Some(peer), Some(session)) = (self.peer.upgrade(), self.session.get()) {
            peer.say(message(session.clone()));
        }
    }
}

impl Controls for Call {
    fn poll_asked(&mut self, cx: &mut Context<'_>) -> Poll<Option<Control>> {
        self.asked.poll_recv(cx)
    }

    fn connected(&mut self) {
        self.say(|session| ClientMessage::Ready { session });
    }

    fn may_offer(&self) -> bool {
        true
    }

    fn offer(&mut self, sdp: String) {
        self.say(|session| ClientMessage::Offer { session: Some(session), to: None, sdp });
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // Who was refused is told why instead. A session that is over already is none that one can hang up, and that is well.
        if self.answered.load(Ordering::Relaxed) {
            self.say(|session| ClientMessage::Hangup { session });
        }
    }
}
