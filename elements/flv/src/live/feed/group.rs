//! A cursor that takes for many players who are at the same place.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::{Cursor, Feed, FeedEntry, Player};

/// Where a player is that a group takes for.
pub(super) const SITS: u64 = u64::MAX;

/// Takes for the players of a herd.
#[derive(Debug)]
pub(in crate::live) struct Group<E>(Cursor<E>);

/// What a [`Group`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::live) enum Batch {
    /// Entries were taken, up to the one with this number.
    Taken(u64),
    /// From here on each player goes by itself: the stream ends or moves, or the group was too slow.
    Over(u64),
}

/// A player's place in the ring.
#[derive(Clone, Copy, Debug)]
pub(in crate::live) struct Slot(usize);

impl<E: FeedEntry> Group<E> {
    /// A group of nobody, at the end of a feed.
    pub(in crate::live) fn new(feed: &Arc<Feed<E>>) -> Self {
        let mut ring = feed.lock();
        let at = ring.end();
        let slot = ring.add(Player { at, is_group: true, waker: None });
        drop(ring);
        let feed = feed.clone();
        Self(Cursor { feed, slot, heads: Vec::new(), needs_key: false, counts: false, asked: false, moves: None })
    }

    pub(in crate::live) fn slot(&self) -> Slot {
        Slot(self.0.slot)
    }

    /// What has come for its players, up to some `budget` of bytes. It stays in the ring until [`Group::commit`].
    pub(in crate::live) fn poll_batch(
        &mut self,
        cx: &mut Context<'_>,
        budget: usize,
        into: &mut Vec<Arc<E>>,
    ) -> Poll<Batch> {
        let mut guard = self.0.feed.lock();
        let ring = &mut *guard;
        let Some(Some(player)) = ring.players.get_mut(self.0.slot) else { return Poll::Ready(Batch::Over(0)) };
        let at = player.at;
        let Some(skipped) = at.checked_sub(ring.first) else { return Poll::Ready(Batch::Over(at)) };
        let mut bytes = 0;
        for entry in ring.entries.range((skipped as usize).min(ring.entries.len())..) {
            if bytes >= budget {
                break;
            }
            bytes += entry.size();
            into.push(entry.clone());
        }
        if !into.is_empty() {
            return Poll::Ready(Batch::Taken(at + into.len() as u64));
        }
        if ring.ended || ring.moving.is_some() {
            return Poll::Ready(Batch::Over(at));
        }
        player.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Its players have what it took, up to `end`. These are on their own from there.
    pub(in crate::live) fn commit(&self, end: u64, released: &[Slot]) {
        let mut guard = self.0.feed.lock();
        let ring = &mut *guard;
        for Slot(slot) in released {
            // One that has gone on meanwhile knows better.
            if let Some(Some(player)) = ring.players.get_mut(*slot)
                && player.at == SITS
            {
                player.at = end;
            }
        }
        if let Some(Some(player)) = ring.players.get_mut(self.0.slot) {
            player.at = end;
        }
        // Only for who waits for room: the next push looks anyway.
        if std::mem::take(&mut ring.room_wanted) {
            ring.prune();
            self.0.feed.taken.notify_one();
        }
    }
}

impl<E: FeedEntry> Cursor<E> {
    /// Whether the player has begun, and needs nothing that others do not.
    pub(in crate::live) fn is_plain(&self) -> bool {
        !self.needs_key && self.heads.is_empty()
    }

    /// A group takes for the player, which is plain, from now on. Nothing if the two are not both at the end. Gives the place where they are, and the player's own.
    pub(in crate::live) fn sit(&mut self, group: Slot) -> Option<(u64, Slot)> {
        let mut ring = self.feed.lock();
        let end = ring.end();
        let is_at_end = |slot: usize| matches!(ring.players.get(slot), Some(Some(player)) if player.at == end);
        if ring.ended || ring.moving.is_some() || !is_at_end(self.slot) || !is_at_end(group.0) {
            return None;
        }
        let Some(Some(player)) = ring.players.get_mut(self.slot) else { return None };
        (player.at, player.waker) = (SITS, None);
        Some((end, Slot(self.slot)))
    }

    /// The player takes for itself again, from here on.
    pub(in crate::live) fn stand(&mut self, at: u64) {
        if let Some(Some(player)) = self.feed.lock().players.get_mut(self.slot) {
            player.at = at;
        }
    }

    /// The feed.
    pub(in crate::live) fn feed(&self) -> &Arc<Feed<E>> {
        &self.feed
    }
}

impl<E> Feed<E> {
    /// Whether there are players enough for a loop of their own.
    pub(in crate::live) fn is_crowded(&self, least: usize) -> bool {
        self.lock().players.len() >= least
    }
}
