//! A player that has caught up sits with others, and one loop writes to all of them.

use std::task::Context;

use millstream_flv::live::Stood;

use super::playing::{Player, Source};
use super::{Connection, Role, Stream};
use crate::server::feed::COMMON_STREAM;

impl Connection {
    /// Sits down, if its only stream is a live one of which it wants all, in the form that all get.
    pub(super) fn sit_down(&mut self, cx: &Context<'_>) {
        let is_busy = self.leaving || self.is_selective || self.session.has_output() || self.session.is_closing();
        let [Stream { id: COMMON_STREAM, role: Role::Plays(player) }] = &mut self.streams[..] else { return };
        if is_busy || !self.socket.is_idle() || !player.wants_all() {
            return;
        }
        if let Source::Live(cursor) = &mut player.source {
            player.seat = cursor.sit_down(|| self.socket.direct(), &self.env, cx.waker());
        }
    }

    /// Writes by itself again.
    pub(super) fn stand_up(&mut self) {
        let Some(Stream { role: Role::Plays(player), .. }) = self.streams.first_mut() else { return };
        let Some(Stood { rest, sent, last }) = player.stand_up() else { return };
        let left: usize = rest.iter().map(|rest| rest.len()).sum();
        self.session.note_sent(usize::try_from(sent).unwrap_or(usize::MAX).saturating_add(left));
        if !rest.is_empty() {
            self.socket.queue().extend(rest);
        }
        player.last = last.or(player.last);
    }

    /// Tells the session what was sent meanwhile.
    pub(super) fn note_seat(&mut self) {
        if let Some(Stream { role: Role::Plays(player), .. }) = self.streams.first()
            && let Some(seat) = &player.seat
        {
            self.session.note_sent(usize::try_from(seat.take_sent()).unwrap_or(usize::MAX));
        }
    }
}

impl Player {
    fn stand_up(&mut self) -> Option<Stood> {
        let seat = self.seat.take()?;
        match &mut self.source {
            Source::Live(cursor) => Some(cursor.stand_up(&seat)),
            _ => None,
        }
    }
}
