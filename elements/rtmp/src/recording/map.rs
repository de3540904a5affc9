//! What is known of a file: where its key frames are, and which headers are in force there.

use millstream_flv::live::{Class, Head, classify};
use millstream_flv::wire::{MetaData, Tag, TagHeader, TagKind, parse_script};

/// Headers of one file that are kept. Files have three; one that changes its configuration a few more.
const MAX_HEADS: usize = 256;
/// Places to begin at that are kept of one file: ten hours of a key frame every second.
const MAX_KEYS: usize = 36_000;
/// Milliseconds between places to begin at where there is no video.
const AUDIO_STEP_MS: u32 = 1000;

/// A place where playing can begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Key {
    /// Milliseconds from the start.
    pub(super) position: u32,
    /// Offset of the tag in bytes.
    pub(super) offset: u64,
}

/// What has been read of a file, and what the file says of itself.
#[derive(Debug, Default)]
pub(super) struct Map {
    /// Timestamp of the first frame: the position 0.
    base: Option<u32>,
    heads: Vec<(Head, Tag)>,
    keys: Vec<Key>,
    has_video: bool,
    /// Everything before this offset has been seen.
    pub(super) seen: u64,
    /// The last position that was seen.
    pub(super) last: u32,
    /// Everything has been seen.
    pub(super) complete: bool,
    /// Index of the file: absolute milliseconds, and offsets.
    told: Vec<(f64, u64)>,
    told_length: Option<u32>,
}

impl Map {
    /// Milliseconds from the start. What lies before the first frame counts as at it.
    pub(super) fn position(&self, timestamp: u32) -> u32 {
        let since = timestamp.wrapping_sub(self.base.unwrap_or(timestamp));
        if since < 1 << 31 { since } else { 0 }
    }

    pub(super) fn has_video(&self) -> bool {
        self.has_video
    }

    /// A tag was read, by somebody who has read everything from `from` on.
    pub(super) fn learn(&mut self, from: u64, tag: &Tag) {
        let class = classify(tag.kind, &tag.body);
        self.has_video |= tag.kind == TagKind::Video;
        if from > self.seen || tag.offset < self.seen {
            return;
        }
        // Header, body, and the size again.
        self.seen = tag.offset + (TagHeader::LEN + tag.body.len() + 4) as u64;
        match class {
            Class::Head(head) => self.learn_head(head, tag),
            Class::Key | Class::Frame if matches!(tag.kind, TagKind::Audio | TagKind::Video) => {
                self.base.get_or_insert(tag.timestamp);
                self.learn_frame(class == Class::Key, tag);
            }
            Class::Key | Class::Frame => {}
        }
    }

    fn learn_head(&mut self, head: Head, tag: &Tag) {
        if head == Head::MetaData && self.told.is_empty() {
            self.learn_metadata(tag);
        }
        let last = self.heads.iter().rev().find(|(other, _)| *other == head);
        if last.is_none_or(|(_, last)| last.body != tag.body) && self.heads.len() < MAX_HEADS {
            self.heads.push((head, tag.clone()));
        }
    }

    fn learn_metadata(&mut self, tag: &Tag) {
        let metadata = parse_script(tag.kind, &tag.body).ok().and_then(|script| MetaData::from_script(&script));
        let Some(metadata) = metadata else { return };
        // `as` saturates, and takes what is no number for 0.
        self.told_length = metadata.duration.map(|seconds| (seconds * 1000.0) as u32).filter(|length| *length > 0);
        if let Some(keyframes) = metadata.keyframes {
            let entries = keyframes.times.iter().zip(&keyframes.positions);
            self.told = entries.map(|(seconds, offset)| (seconds * 1000.0, *offset as u64)).take(MAX_KEYS).collect();
        }
        // An index that goes back and forth says nothing.
        if !self.told.is_sorted() || !self.told.is_sorted_by_key(|(_, offset)| *offset) {
            self.told.clear();
        }
    }

    fn learn_frame(&mut self, is_key: bool, tag: &Tag) {
        let position = self.position(tag.timestamp);
        self.last = self.last.max(position);
        let begins = match tag.kind {
            TagKind::Video => is_key,
            _ => !self.has_video && self.keys.last().is_none_or(|key| key.position + AUDIO_STEP_MS <= position),
        };
        if begins {
            if self.keys.len() >= MAX_KEYS {
                let mut keeps = false;
                self.keys.retain(|_| {
                    keeps = !keeps;
                    keeps
                });
            }
            self.keys.push(Key { position, offset: tag.offset });
        }
    }

    /// Where the file itself says to begin for a position; nothing without an index, and behind what it says is its end.
    pub(super) fn told(&self, position: u32) -> Option<Key> {
        let base = f64::from(self.base.filter(|_| self.told_length.is_none_or(|length| position <= length))?);
        let before = self.told.partition_point(|(time, _)| time - base <= f64::from(position));
        let (time, offset) = self.told.get(before.checked_sub(1)?)?;
        Some(Key { position: (time - base).max(0.0) as u32, offset: *offset })
    }

    /// The index of the file is wrong.
    pub(super) fn distrust(&mut self) {
        self.told.clear();
    }

    /// Where to begin for a position, if that far has been read: the start if nothing lies before it.
    pub(super) fn found(&self, position: u32) -> Option<Key> {
        if self.last <= position && !self.complete {
            return None;
        }
        let before = self.keys.partition_point(|key| key.position <= position);
        let key = before.checked_sub(1).and_then(|at| self.keys.get(at)).copied();
        Some(key.unwrap_or_default())
    }

    /// Headers that are in force at an offset.
    pub(super) fn heads_at(&self, offset: u64) -> Vec<Tag> {
        let mut heads: Vec<&(Head, Tag)> = Vec::new();
        for entry in self.heads.iter().filter(|(_, tag)| tag.offset < offset) {
            heads.retain(|(head, _)| *head != entry.0);
            heads.push(entry);
        }
        heads.into_iter().map(|(_, tag)| tag.clone()).collect()
    }
}
