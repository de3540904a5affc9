//! What a session is asked for beside media, by whoever signals for it: an address of WHIP or WHEP, or a conversation through our signaling.

use std::future::poll_fn;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::offer::Offer;
use crate::session::Refused;

/// What a session is asked for.
#[derive(Debug)]
pub(crate) enum Control {
    /// Candidates of the other end, `candidate:…`.
    Candidates(Vec<String>),
    /// ICE begins anew.
    Restart {
        ufrag: String,
        password: String,
        candidates: Vec<String>,
        answer: oneshot::Sender<Result<String, Refused>>,
    },
    /// The other end offers once more: ICE may begin anew, tracks and codecs may be others.
    Offer { offer: Offer, answer: oneshot::Sender<Result<String, Refused>> },
    /// The other end has answered what this one offered.
    Answer(String),
}

/// Who signals for a session. The session is over for it when this is dropped.
pub(crate) trait Controls: Send {
    /// What is asked for next; nothing when the session is over.
    fn poll_asked(&mut self, cx: &mut Context<'_>) -> Poll<Option<Control>>;

    /// The other end was reached.
    fn connected(&mut self) {}

    /// Whether this end may offer, too.
    fn may_offer(&self) -> bool {
        false
    }

    /// Takes an offer of this end to the other.
    fn offer(&mut self, _sdp: String) {}

    /// The session is over, and `well` says whether the other end took leave.
    fn ended(&mut self, _well: bool) {}

    /// What is asked for next; nothing when the session is over. Nothing is lost when the future is dropped.
    fn asked(&mut self) -> impl Future<Output = Option<Control>> + Send
    where
        Self: Sized,
    {
        poll_fn(|cx| self.poll_asked(cx))
    }
}

impl<C: Controls + ?Sized> Controls for Box<C> {
    fn poll_asked(&mut self, cx: &mut Context<'_>) -> Poll<Option<Control>> {
        (**self).poll_asked(cx)
    }

    fn connected(&mut self) {
        (**self).connected();
    }

    fn may_offer(&self) -> bool {
        (**self).may_offer()
    }

    fn offer(&mut self, sdp: String) {
        (**self).offer(sdp);
    }

    fn ended(&mut self, well: bool) {
        (**self).ended(well);
    }
}
