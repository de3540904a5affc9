//! When it is known which tracks the input has.

use super::track::{Medium, Tracks};
use crate::wire::{FileHeader, MetaData};

/// Media time after which no further track is waited for. A muxer holds everything back meanwhile, so a live one wants it
/// short; encoders that start sound and picture apart do so by less than two seconds. Later tracks are let in all the same.
const MAX_WAIT_MS: i64 = 3000;
/// Bytes of tags after which no further track is waited for: a second or so of the highest rates in use, and far less
/// than a muxer's inbox holds.
const MAX_WAIT_BYTES: u64 = 4 << 20;

/// Finds out when every track has started that will.
#[derive(Debug, Default)]
pub(super) struct Streams {
    complete: bool,
    first_ms: Option<i64>,
    bytes: u64,
}

impl Streams {
    /// True once it was said.
    #[inline]
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Counts a frame that went by while tracks are missing; true when that was long enough.
    pub(super) fn waited(&mut self, now_ms: i64, bytes: usize) -> bool {
        let first = *self.first_ms.get_or_insert(now_ms);
        self.bytes = self.bytes.saturating_add(bytes as u64);
        self.bytes > MAX_WAIT_BYTES || now_ms.saturating_sub(first) > MAX_WAIT_MS
    }

    /// Says that it is so.
    pub(super) fn complete(&mut self) {
        self.complete = true;
    }
}

/// True when all tracks have started that the input announced. Metadata that names codecs is believed before the flags
/// of the file header, which live servers set without knowing.
pub(super) fn all_started(tracks: &Tracks, header: Option<FileHeader>, metadata: Option<&MetaData>) -> bool {
    if tracks.all_linked_started() {
        return true;
    }
    let named = metadata.filter(|data| data.video_codec.is_some() || data.audio_codec.is_some());
    let (video, audio) = match (named, header) {
        (Some(data), _) => (data.video_codec.is_some(), data.audio_codec.is_some()),
        (None, Some(header)) => (header.has_video, header.has_audio),
        (None, None) => return false,
    };
    if !video && !audio {
        return false;
    }
    let unlisted = metadata.is_none_or(|data| data.video_tracks.is_empty() && data.audio_tracks.is_empty());
    if unlisted && tracks.0.iter().any(|track| track.id > 0 && track.pad.is_some() && track.caps.is_none()) {
        // Somebody wants a further track, of which such a file says nothing.
        return false;
    }
    let started = |wanted: bool, medium| !wanted || tracks.has(medium, 0);
    let listed = |medium, list: &[(u8, _)]| list.iter().all(|(id, _)| tracks.has(medium, *id));
    started(video, Medium::Video)
        && started(audio, Medium::Audio)
        && metadata
            .is_none_or(|data| listed(Medium::Video, &data.video_tracks) && listed(Medium::Audio, &data.audio_tracks))
}
