//! A session's end of a conversation.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
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
    session: String,
    answered: Answered,
}

impl Call {
    /// One for a session of a peer, and where it is asked for something.
    pub(super) fn new(peer: &Arc<Peer>, session: &str) -> (Self, mpsc::Sender<Control>, Answered) {
        let (sender, asked) = mpsc::channel(MAX_WAITING);
        let answered = Answered::default();
        let call = Self { asked, peer: Arc::downgrade(peer), session: session.to_owned(), answered: answered.clone() };
        (call, sender, answered)
    }

    fn say(&self, message: ClientMessage) {
        if let Some(peer) = self.peer.upgrade() {
            peer.say(message);
        }
    }
}

impl Controls for Call {
    fn poll_asked(&mut self, cx: &mut Context<'_>) -> Poll<Option<Control>> {
        self.asked.poll_recv(cx)
    }

    fn connected(&mut self) {
        self.say(ClientMessage::Ready { session: self.session.clone() });
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // Who was refused is told why instead. A session that is over already is none that one can hang up, and that is well.
        if self.answered.load(Ordering::Relaxed) {
            self.say(ClientMessage::Hangup { session: self.session.clone() });
        }
    }
}
