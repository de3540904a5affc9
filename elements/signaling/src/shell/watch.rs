//! Whether the other end of a socket is still there.

use std::task::{Context, Poll};

use millstream_core::env::{Clock, Timer};
use millstream_core::{Time, TimeDelta};
use millstream_server::http::websocket::Message;

/// How long the other end may be silent before it is asked whether it is there, and then before it is given up.
const SILENCE: TimeDelta = TimeDelta::from_secs(20);

/// Watches over one socket.
pub(super) struct Watch {
    heard_at: Time,
    /// It has been asked whether it is there.
    is_asked: bool,
    timer: Timer,
}

impl Watch {
    pub(super) fn new(now: Time) -> Self {
        Self { heard_at: now, is_asked: false, timer: Timer::default() }
    }

    /// Something has come.
    pub(super) fn heard(&mut self, now: Time) {
        self.heard_at = now;
        self.is_asked = false;
    }

    /// A question when it is time for one; nothing when the other end is given up.
    pub(super) fn poll(&mut self, clock: &dyn Clock, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let wait = if self.is_asked { SILENCE + SILENCE } else { SILENCE };
        match self.timer.poll_until(Some(self.heard_at + wait), clock, cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) if self.is_asked => Poll::Ready(None),
            Poll::Ready(()) => {
                self.is_asked = true;
                // Asked again for the next deadline once this is sent.
                Poll::Ready(Some(Message::Ping))
            }
        }
    }
}
