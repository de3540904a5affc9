//! One stream out of two connections that play the same: it goes over where both have the same key frame.

use std::collections::VecDeque;

use bytes::Bytes;
use millstream_flv::live::{Class, classify};
use millstream_flv::wire::TagKind;

use crate::server::feed::Content;

/// Key frames of the old connection that are remembered: some groups of pictures, as the new server may be behind by its cache.
const MAX_REMEMBERED: usize = 8;

/// Bytes of the new connection that wait for the old one to get there: seconds of a very good picture.
const MAX_WAITING: usize = 32 << 20;

/// Sound that stands for key frames where there is no picture is longer than silence is.
const MIN_SOUND: usize = 32;

/// What was given of a stream last: where it can be recognised on another connection, and how far it got.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// Places at which a player can begin, and when they were given, in milliseconds of the timeline.
    keys: VecDeque<(Bytes, i64)>,
    has_video: bool,
    /// Last time that was given of sound and of pictures.
    sound: Option<i64>,
    picture: Option<i64>,
}

impl Past {
    /// Something was given, at a time in milliseconds.
    pub(super) fn note(&mut self, content: &Content, at: i64) {
        let class = classify(content.kind(), content.body());
        match content.kind() {
            TagKind::Video if !matches!(class, Class::Head(_)) => {
                if !self.has_video {
                    self.keys.clear();
                }
                self.has_video = true;
                self.picture = Some(at);
            }
            TagKind::Audio if class == Class::Frame => self.sound = Some(at),
            _ => {}
        }
        if self.is_key(content) {
            if self.keys.len() == MAX_REMEMBERED {
                self.keys.pop_front();
            }
            self.keys.push_back((content.body().clone(), at));
        }
    }

    /// When this key frame was given, the last time.
    pub(super) fn when(&self, key: &Content) -> Option<i64> {
        self.keys.iter().rev().find(|(body, _)| body == key.body()).map(|(_, at)| *at)
    }

    /// What of another connection was given already.
    pub(super) fn overlap(&self) -> Overlap {
        Overlap { sound: self.sound, picture: self.picture }
    }

    fn is_key(&self, content: &Content) -> bool {
        match (content.kind(), classify(content.kind(), content.body())) {
            (TagKind::Video, class) => class == Class::Key,
            (TagKind::Audio, Class::Frame) => !self.has_video && content.body().len() >= MIN_SOUND,
            _ => false,
        }
    }
}

/// Up to where a connection repeats what the one before has played.
#[derive(Debug, Default)]
pub(super) struct Overlap {
    sound: Option<i64>,
    picture: Option<i64>,
}

impl Overlap {
    /// Whether this is new at its time in milliseconds. What is behind it is new too, and so is all from the next key frame on that was
    /// never given, whatever its time.
    pub(super) fn is_over(&mut self, content: &Content, at: i64, past: &Past) -> bool {
        if past.is_key(content) && past.when(content).is_none() {
            *self = Self::default();
        }
        let last = match (content.kind(), classify(content.kind(), content.body())) {
            (_, Class::Head(_)) => return true,
            (TagKind::Video, _) => &mut self.picture,
            (TagKind::Audio, _) => &mut self.sound,
            (TagKind::Script | TagKind::ScriptAmf3, _) => return self.picture.max(self.sound) < Some(at),
        };
        let over = *last < Some(at);
        if over {
            *last = None;
        }
        over
    }
}

/// What the new connection plays, until it takes over.
#[derive(Debug, Default)]
pub(super) struct Future {
    waiting: VecDeque<Content>,
    bytes: usize,
}

impl Future {
    /// It plays this. What cannot wait any more goes first.
    pub(super) fn push(&mut self, content: Content) {
        self.bytes += content.body().len();
        self.waiting.push_back(content);
        while self.bytes > MAX_WAITING
            && let Some(first) = self.waiting.pop_front()
        {
            self.bytes -= first.body().len();
        }
    }

    /// Whether it has a place at which a player can begin.
    pub(super) fn has_key(&self, past: &Past) -> bool {
        self.waiting.iter().any(|content| past.is_key(content))
    }

    /// Whether both connections have met.
    pub(super) fn can_meet(&self, past: &Past) -> bool {
        self.waiting.iter().any(|content| past.is_key(content) && past.when(content).is_some())
    }

    /// What it plays from a key frame on where the old connection has been too, metadata and configurations in front. Nothing until both
    /// have met.
    pub(super) fn meets(&mut self, past: &Past) -> Option<VecDeque<Content>> {
        let known = |content: &Content| past.is_key(content) && past.when(content).is_some();
        let place = self.waiting.iter().rposition(known)?;
        Some(self.take_from(place))
    }

    /// The same from the last key frame on, or of what there is: both will never meet.
    pub(super) fn latest(&mut self, past: &Past) -> VecDeque<Content> {
        let place = self.waiting.iter().rposition(|content| past.is_key(content)).unwrap_or(0);
        self.take_from(place)
    }

    fn take_from(&mut self, place: usize) -> VecDeque<Content> {
        self.bytes = 0;
        let mut before = std::mem::take(&mut self.waiting);
        let rest = before.split_off(place);
        before.into_iter().filter(is_head).chain(rest).collect()
    }
}

/// Whether it describes what follows.
pub(super) fn is_head(content: &Content) -> bool {
    matches!(classify(content.kind(), content.body()), Class::Head(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Media, MediaKind};

    fn media(kind: MediaKind, timestamp: u32, body: &[u8]) -> Content {
        Content::Media(Media { kind, timestamp, payload: Bytes::copy_from_slice(body) })
    }

    /// A key frame that is like no other.
    fn key(timestamp: u32, which: u8) -> Content {
        media(MediaKind::Video, timestamp, &[0x17, 1, 0, 0, 0, which])
    }

    fn inter(timestamp: u32) -> Content {
        media(MediaKind::Video, timestamp, &[0x27, 1, 0, 0, 0, 9])
    }

    fn sound(timestamp: u32) -> Content {
        media(MediaKind::Audio, timestamp, &[0xAF, 1, 2])
    }

    #[test]
    fn ert_11_two_connections_meet_at_a_key_frame_that_both_have() {
        let (mut past, mut future) = (Past::default(), Future::default());
        for (at, content) in
            [(0, key(0, 1)), (40, inter(40)), (1000, key(1000, 2)), (1010, sound(1010)), (1040, inter(1040))]
        {
            past.note(&content, at);
        }
        let config = media(MediaKind::Video, 0, &[0x17, 0, 0, 0, 0, 1]);
        [config.clone(), key(50_000, 3)].into_iter().for_each(|content| future.push(content));
        assert!(future.meets(&past).is_none() && future.has_key(&past), "the new one is ahead");
        past.note(&key(2000, 3), 2000);
        assert_eq!(future.meets(&past), Some([config, key(50_000, 3)].into()));
        assert_eq!(past.when(&key(50_000, 3)), Some(2000));
    }

    #[test]
    fn what_was_given_is_left_out_until_something_is_new() {
        let mut past = Past::default();
        for (at, content) in [(1000, key(1000, 2)), (1010, sound(1010)), (1040, inter(1040))] {
            past.note(&content, at);
        }
        let mut overlap = past.overlap();
        let config = media(MediaKind::Video, 0, &[0x17, 0, 0, 0, 0, 1]);
        assert!(overlap.is_over(&config, 0, &past));
        assert!(!overlap.is_over(&inter(1040), 1040, &past) && !overlap.is_over(&sound(1010), 1010, &past));
        assert!(
            overlap.is_over(&sound(1031), 1031, &past) && overlap.is_over(&sound(5), 5, &past),
            "a clock that was set back"
        );
        assert!(overlap.is_over(&inter(1080), 1080, &past));
        let mut overlap = past.overlap();
        assert!(!overlap.is_over(&inter(20), 20, &past));
        assert!(overlap.is_over(&key(30, 7), 30, &past) && overlap.is_over(&inter(40), 40, &past));
    }

    #[test]
    fn a_new_connection_that_cannot_be_followed_does_not_fill_the_memory() {
        let mut future = Future::default();
        for at in 0..100 {
            future.push(media(MediaKind::Video, at, &vec![0x27; 1 << 20]));
        }
        assert!(future.bytes <= MAX_WAITING && future.waiting.len() == 32);
    }
}
