//! What a live playlist lists, and when segments that left it may go (RFC 8216, section 6.2.2).
//!
//! ```text
//! sequence  3   4   5   6 | 7   8   9   10  11  12 | 13
//!           deleted ......| retired ...| listed ...| being written
//! ```

use std::collections::VecDeque;

use millstream_core::TimeDelta;

use crate::playlist::{MediaPlaylist, MediaSegment, PlaylistType};

/// A playlist may not become shorter than this many target durations by removing a segment (section 6.2.2).
const SHORTEST_IN_TARGET_DURATIONS: i64 = 3;

/// What a new run finds of an earlier one.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The playlist on disk.
    pub playlist: Option<MediaPlaylist>,
    /// Sequence numbers of the segments on disk, whether listed or not, in any order.
    pub segments: Vec<u64>,
}

/// A playlist with a window over it: new segments come in at the end, old ones leave at the front and are deleted when no
/// player can want them any more. Segments are known by their sequence numbers.
#[derive(Clone, Debug)]
pub struct Window {
    playlist: MediaPlaylist,
    length: Option<TimeDelta>,
    /// Sum of the durations of all segments so far: the clock by which segments retire.
    written: TimeDelta,
    longest: TimeDelta,
    retired: VecDeque<Retired>,
}

#[derive(Clone, Copy, Debug)]
struct Retired {
    sequence: u64,
    /// Reading of `written` from which on it may go.
    due: TimeDelta,
}

impl Window {
    /// A window of `length` (`None` keeps all) over a new playlist.
    pub fn new(playlist: MediaPlaylist, length: Option<TimeDelta>) -> Self {
        let longest = playlist.duration();
        Self { playlist, length, written: TimeDelta::ZERO, longest, retired: VecDeque::new() }
    }

    /// A window that goes on where an earlier run stopped; `fresh` is the playlist to begin with otherwise, and has the
    /// properties that are wanted now.
    ///
    /// A presentation that keeps all and is complete, or is a VOD, is not continued but replaced: the second value has
    /// the sequence numbers of its segments, to be deleted. Otherwise numbering goes on, and the next segment has to be marked
    /// as a discontinuity, which the third value says. A playlist with another target duration is not continued
    /// itself, because that must not change (section 6.2.1).
    pub fn resume(fresh: MediaPlaylist, length: Option<TimeDelta>, found: Found) -> (Self, Vec<u64>, bool) {
        let complete = found.playlist.as_ref().is_some_and(|old| old.ended);
        if fresh.kind == PlaylistType::Vod || (length.is_none() && complete) {
            let old = found.playlist.map_or(0..0, |old| old.media_sequence()..old.next_sequence());
            let obsolete = found.segments.into_iter().filter(|sequence| old.contains(sequence)).collect();
            return (Self::new(fresh, length), obsolete, false);
        }
        let after = found.segments.iter().max().map_or(0, |highest| highest.saturating_add(1));
        let Some(old) = found.playlist else {
            let next = fresh.next_sequence().max(after);
            let playlist = with_properties(MediaPlaylist::new(fresh.target_duration(), next, 0), &fresh, true);
            let mut window = Self::new(playlist, length);
            window.retire_all(found.segments);
            return (window, Vec::new(), after > 0);
        };
        let playlist = if old.target_duration() == fresh.target_duration() {
            let independent = old.independent_segments || old.segments().is_empty();
            with_properties(old, &fresh, independent)
        } else {
            let passed = old.segments().iter().filter(|s| s.discontinuity).count() as u64;
            let discontinuities = old.discontinuity_sequence().saturating_add(passed);
            with_properties(
                MediaPlaylist::new(fresh.target_duration(), old.next_sequence(), discontinuities),
                &fresh,
                true,
            )
        };
        let begun = playlist.next_sequence() > 0;
        let mut window = Self::new(playlist, length);
        window.retire_all(found.segments);
        (window, Vec::new(), begun)
    }

    /// Segments of an earlier run that the playlist does not list.
    fn retire_all(&mut self, mut segments: Vec<u64>) {
        if self.length.is_none() {
            return;
        }
        segments.sort_unstable();
        let due = self.longest.max(self.shortest());
        let unlisted = segments.into_iter().filter(|sequence| *sequence < self.playlist.media_sequence());
        self.retired.extend(unlisted.map(|sequence| Retired { sequence, due }));
    }

    /// Appends a segment. Gives the sequence numbers of those that may be deleted now.
    pub fn push(&mut self, segment: MediaSegment) -> Vec<u64> {
        self.written += segment.duration;
        self.playlist.push(segment);
        while let Some(sequence) = self.leaves() {
            let Some(left) = self.playlist.pop_front() else { break };
            // It stays for its own duration and that of the longest playlist that listed it.
            let due = self.written + left.duration + self.longest.max(self.playlist.duration());
            self.retired.push_back(Retired { sequence, due });
        }
        self.longest = self.longest.max(self.playlist.duration());
        let due = self.retired.iter().take_while(|retired| retired.due <= self.written).count();
        self.retired.drain(..due).map(|retired| retired.sequence).collect()
    }

    /// Nothing will follow.
    pub fn end(&mut self) {
        self.playlist.ended = true;
    }

    /// The playlist as it is to be published.
    pub fn playlist(&self) -> &MediaPlaylist {
        &self.playlist
    }

    /// The first segment, if the playlist is long enough without it.
    fn leaves(&self) -> Option<u64> {
        let length = self.length?;
        let first = self.playlist.segments().front()?;
        let rest = self.playlist.duration() - first.duration;
        (rest >= length.max(self.shortest())).then(|| self.playlist.media_sequence())
    }

    fn shortest(&self) -> TimeDelta {
        let target = i64::try_from(self.playlist.target_duration()).unwrap_or(i64::MAX);
        TimeDelta::from_secs(target.saturating_mul(SHORTEST_IN_TARGET_DURATIONS))
    }
}

fn with_properties(mut playlist: MediaPlaylist, wanted: &MediaPlaylist, independent: bool) -> MediaPlaylist {
    playlist.kind = wanted.kind;
    playlist.independent_segments = wanted.independent_segments && independent;
    playlist.ended = false;
    playlist
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(seconds: i64) -> MediaSegment {
        MediaSegment { uri: "x".into(), duration: TimeDelta::from_secs(seconds), ..MediaSegment::default() }
    }

    fn listed(window: &Window) -> std::ops::Range<u64> {
        window.playlist().media_sequence()..window.playlist().next_sequence()
    }

    fn live(seconds: i64) -> Window {
        Window::new(MediaPlaylist::new(2, 0, 0), Some(TimeDelta::from_secs(seconds)))
    }

    #[test]
    fn hls_10_removed_segments_stay_for_one_playlist_longer() {
        let mut window = live(12);
        let mut gone = Vec::new();
        for n in 0..40 {
            gone.extend(window.push(segment(2)));
            let range = listed(&window);
            assert_eq!(range.end, n + 1);
            assert!(range.end - range.start <= 6 && (n < 5 || range.end - range.start == 6), "{range:?}");
            // Segment s left when segment s + 6 was written, and has to stay for 2 s and 12 s from then.
            assert!(gone.len() as u64 == (n + 1).saturating_sub(6 + 7), "after {n}: {gone:?}");
        }
        assert!(gone.iter().copied().eq(0..27), "each one once, in order");
    }

    #[test]
    fn hls_10_a_live_playlist_never_falls_below_three_target_durations() {
        let mut window = live(1);
        (0..9).for_each(|_| drop(window.push(segment(2))));
        assert_eq!(listed(&window), 6..9);
    }

    #[test]
    fn window_of_nothing_keeps_all() {
        let mut window = Window::new(MediaPlaylist::new(2, 0, 0), None);
        assert!((0..1000).all(|_| window.push(segment(2)).is_empty()));
        assert_eq!(listed(&window), 0..1000);
    }

    #[test]
    fn hls_3_numbering_goes_on_after_a_restart() {
        let mut first = live(12);
        (0..10).for_each(|_| drop(first.push(segment(2))));
        let found = Found { playlist: Some(first.playlist().clone()), segments: (0..11).collect() };
        let length = Some(TimeDelta::from_secs(12));
        let (mut window, obsolete, discontinuity) = Window::resume(MediaPlaylist::new(2, 0, 0), length, found.clone());
        assert_eq!((listed(&window), obsolete.len(), discontinuity), (4..10, 0, true));
        let gone: Vec<_> = (0..20).flat_map(|_| window.push(segment(2))).collect();
        assert!(gone.starts_with(&[0, 1, 2, 3, 4]), "what the first run left behind goes too: {gone:?}");
        let (window, _, discontinuity) = Window::resume(MediaPlaylist::new(9, 0, 0), length, found);
        assert_eq!((listed(&window), discontinuity), (10..10, true), "another target duration is another playlist");
    }

    #[test]
    fn a_complete_presentation_is_replaced_and_an_interrupted_one_continued() {
        let mut old = MediaPlaylist::new(2, 0, 0);
        (0..3).for_each(|_| old.push(segment(2)));
        let found = |ended| {
            let mut playlist = old.clone();
            playlist.ended = ended;
            Found { playlist: Some(playlist), segments: vec![0, 1, 2, 9] }
        };
        let (window, obsolete, discontinuity) = Window::resume(MediaPlaylist::new(2, 0, 0), None, found(true));
        assert_eq!(
            (listed(&window), obsolete, discontinuity),
            (0..0, vec![0, 1, 2], false),
            "9 is not of this playlist"
        );
        let (window, obsolete, discontinuity) = Window::resume(MediaPlaylist::new(2, 0, 0), None, found(false));
        assert_eq!((listed(&window), obsolete, discontinuity), (0..3, vec![], true));
        let no_playlist = Found { playlist: None, segments: vec![4, 7] };
        let (window, _, discontinuity) = Window::resume(MediaPlaylist::new(2, 0, 0), None, no_playlist);
        assert_eq!((listed(&window), discontinuity), (8..8, true));
        let (window, _, discontinuity) = Window::resume(MediaPlaylist::new(2, 0, 0), None, Found::default());
        assert_eq!((listed(&window), discontinuity), (0..0, false));
    }
}
