//! Media Playlists (RFC 8216, sections 4.3.1 to 4.3.3), kept in memory and written as text.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};

use millstream_core::{Time, TimeDelta};

use super::date_time;

/// What may change in a playlist (RFC 8216, section 4.3.3.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PlaylistType {
    /// Segments are added at the end and may leave at the front: no `EXT-X-PLAYLIST-TYPE`.
    #[default]
    Live,
    /// Segments are only added, at the end.
    Event,
    /// Nothing changes any more.
    Vod,
}

/// A part of a resource (RFC 8216, section 4.3.2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ByteRange {
    /// Bytes.
    pub length: u64,
    /// First byte; `None`: right behind the range before it.
    pub offset: Option<u64>,
}

/// A Media Segment as a playlist lists it (RFC 8216, section 4.3.2).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MediaSegment {
    /// Where it is, as a URI reference: already percent-encoded.
    pub uri: String,
    /// How long it lasts; written in whole microseconds.
    pub duration: TimeDelta,
    /// Format, tracks or timestamps do not go on from the segment before: `EXT-X-DISCONTINUITY` (section 4.3.2.3).
    pub discontinuity: bool,
    /// Nanoseconds since 1970-01-01T00:00:00Z at its first sample: `EXT-X-PROGRAM-DATE-TIME` (section 4.3.2.6).
    pub program_date_time: Option<Time>,
    /// The part of the resource that it is: `EXT-X-BYTERANGE` (section 4.3.2.2).
    pub byte_range: Option<ByteRange>,
    /// The initialization section that it needs, as a URI reference: `EXT-X-MAP` (section 4.3.2.5). Written where it changes.
    pub map: Option<String>,
}

/// A Media Playlist that grows at the end and shrinks at the front.
///
/// The text of each segment is made once, when it is pushed. What goes into a file or an HTTP answer is
/// [`MediaPlaylist::header`], [`MediaPlaylist::body`] and [`MediaPlaylist::footer`] behind each other; `Display` gives
/// the same as one text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MediaPlaylist {
    /// What may change.
    pub kind: PlaylistType,
    /// Every segment can be decoded without another one: `EXT-X-INDEPENDENT-SEGMENTS` (section 4.3.5.1).
    pub independent_segments: bool,
    /// Nothing will follow: `EXT-X-ENDLIST` (section 4.3.3.4).
    pub ended: bool,
    target_duration: u64,
    media_sequence: u64,
    discontinuity_sequence: u64,
    version: u8,
    segments: VecDeque<MediaSegment>,
    total: TimeDelta,
    body: String,
    /// Bytes of `body` that each segment fills.
    lengths: VecDeque<usize>,
}

impl MediaPlaylist {
    /// An empty playlist. `target_duration` in seconds (section 4.3.3.1) never changes; 0 is taken as 1.
    pub fn new(target_duration: u64, media_sequence: u64, discontinuity_sequence: u64) -> Self {
        Self {
            kind: PlaylistType::Live,
            independent_segments: false,
            ended: false,
            target_duration: target_duration.max(1),
            media_sequence,
            discontinuity_sequence,
            // Durations are written with decimals (section 7).
            version: 3,
            segments: VecDeque::new(),
            total: TimeDelta::ZERO,
            body: String::new(),
            lengths: VecDeque::new(),
        }
    }

    /// Appends a segment.
    pub fn push(&mut self, segment: MediaSegment) {
        let start = self.body.len();
        let map_changes = segment.map.is_some() && self.segments.back().is_none_or(|last| last.map != segment.map);
        write_segment(&mut self.body, &segment, map_changes);
        self.version = self.version.max(version_of(&segment));
        self.lengths.push_back(self.body.len() - start);
        self.total += segment.duration;
        self.segments.push_back(segment);
    }

    /// Removes the first segment, and with it its `EXT-X-DISCONTINUITY` and a sequence number (section 6.2.2).
    pub fn pop_front(&mut self) -> Option<MediaSegment> {
        let segment = self.segments.pop_front()?;
        let length = self.lengths.pop_front().unwrap_or(0);
        self.body.drain(..length);
        self.media_sequence = self.media_sequence.saturating_add(1);
        self.discontinuity_sequence = self.discontinuity_sequence.saturating_add(segment.discontinuity.into());
        self.total = self.total - segment.duration;
        self.restate_map(segment.map.as_deref());
        Some(segment)
    }

    /// The map that the new first segment shares with the removed one has to be written again.
    fn restate_map(&mut self, removed: Option<&str>) {
        let Some(first) = self.segments.front().filter(|s| s.map.is_some() && s.map.as_deref() == removed) else {
            return;
        };
        let mut text = String::new();
        write_segment(&mut text, first, true);
        if let Some(length) = self.lengths.front_mut() {
            self.body.replace_range(..*length, &text);
            *length = text.len();
        }
    }

    /// The segments in order.
    pub fn segments(&self) -> &VecDeque<MediaSegment> {
        &self.segments
    }

    /// Sum of the durations of the segments.
    pub fn duration(&self) -> TimeDelta {
        self.total
    }

    /// The upper bound of a segment's rounded duration, in seconds (section 4.3.3.1).
    pub fn target_duration(&self) -> u64 {
        self.target_duration
    }

    /// Sequence number of the first segment (section 4.3.3.2).
    pub fn media_sequence(&self) -> u64 {
        self.media_sequence
    }

    /// Sequence number that the next segment to be pushed will have.
    pub fn next_sequence(&self) -> u64 {
        self.media_sequence.saturating_add(self.segments.len() as u64)
    }

    /// Discontinuities before the first segment (section 4.3.3.3).
    pub fn discontinuity_sequence(&self) -> u64 {
        self.discontinuity_sequence
    }

    /// The compatibility version that the features in use need (section 7). Never falls during the life of a playlist.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// The tags before the first segment.
    pub fn header(&self) -> String {
        let mut out = format!("#EXTM3U\n#EXT-X-VERSION:{}\n", self.version);
        if self.independent_segments {
            out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        push_tag(&mut out, format_args!("#EXT-X-TARGETDURATION:{}", self.target_duration));
        push_tag(&mut out, format_args!("#EXT-X-MEDIA-SEQUENCE:{}", self.media_sequence));
        if self.discontinuity_sequence > 0 {
            push_tag(&mut out, format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{}", self.discontinuity_sequence));
        }
        match self.kind {
            PlaylistType::Live => {}
            PlaylistType::Event => out.push_str("#EXT-X-PLAYLIST-TYPE:EVENT\n"),
            PlaylistType::Vod => out.push_str("#EXT-X-PLAYLIST-TYPE:VOD\n"),
        }
        out
    }

    /// All segments with their tags.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// What follows the last segment.
    pub fn footer(&self) -> &'static str {
        if self.ended { "#EXT-X-ENDLIST\n" } else { "" }
    }
}

impl fmt::Display for MediaPlaylist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.header())?;
        f.write_str(&self.body)?;
        f.write_str(self.footer())
    }
}

/// RFC 8216, section 7: 4 for byte ranges, 6 for a map outside of I-frame playlists, 3 for decimal durations.
fn version_of(segment: &MediaSegment) -> u8 {
    match segment {
        MediaSegment { map: Some(_), .. } => 6,
        MediaSegment { byte_range: Some(_), .. } => 4,
        _ => 3,
    }
}

fn write_segment(out: &mut String, segment: &MediaSegment, with_map: bool) {
    if segment.discontinuity {
        out.push_str("#EXT-X-DISCONTINUITY\n");
    }
    if let Some(map) = segment.map.as_deref().filter(|_| with_map) {
        push_tag(out, format_args!("#EXT-X-MAP:URI=\"{map}\""));
    }
    if let Some(wall) = segment.program_date_time {
        push_tag(out, format_args!("#EXT-X-PROGRAM-DATE-TIME:{}", date_time::format(wall)));
    }
    let us = segment.duration.ticks(1_000_000).max(0);
    push_tag(out, format_args!("#EXTINF:{}.{:06},", us / 1_000_000, us % 1_000_000));
    if let Some(range) = segment.byte_range {
        match range.offset {
            Some(offset) => push_tag(out, format_args!("#EXT-X-BYTERANGE:{}@{offset}", range.length)),
            None => push_tag(out, format_args!("#EXT-X-BYTERANGE:{}", range.length)),
        }
    }
    push_tag(out, format_args!("{}", segment.uri));
}

fn push_tag(out: &mut String, tag: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(tag);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(uri: &str, ms: i64) -> MediaSegment {
        MediaSegment { uri: uri.into(), duration: TimeDelta::from_millis(ms), ..MediaSegment::default() }
    }

    #[test]
    fn hls_9_a_vod_playlist_as_section_8_1_shows_it() {
        let mut playlist = MediaPlaylist::new(10, 0, 0);
        playlist.kind = PlaylistType::Vod;
        for (uri, ms) in [("first.ts", 9009), ("second.ts", 9009), ("third.ts", 3003)] {
            playlist.push(segment(uri, ms));
        }
        playlist.ended = true;
        let text = playlist.to_string();
        assert_eq!(
            text,
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n\
             #EXTINF:9.009000,\nfirst.ts\n#EXTINF:9.009000,\nsecond.ts\n#EXTINF:3.003000,\nthird.ts\n#EXT-X-ENDLIST\n"
        );
    }

    #[test]
    fn hls_2_sequence_numbers_grow_by_what_was_removed() {
        let mut playlist = MediaPlaylist::new(2, 7, 1);
        playlist.push(segment("7.ts", 2000));
        playlist.push(MediaSegment { discontinuity: true, ..segment("8.ts", 1500) });
        playlist.push(segment("9.ts", 2000));
        assert_eq!(playlist.pop_front().map(|s| s.uri).as_deref(), Some("7.ts"));
        assert_eq!((playlist.media_sequence(), playlist.discontinuity_sequence()), (8, 1), "the tag is still listed");
        assert!(playlist.body().starts_with("#EXT-X-DISCONTINUITY\n#EXTINF:1.500000,\n8.ts\n"));
        playlist.pop_front();
        assert_eq!((playlist.media_sequence(), playlist.discontinuity_sequence()), (9, 2), "the tag fell off");
        assert_eq!((playlist.next_sequence(), playlist.duration()), (10, TimeDelta::from_millis(2000)));
        let header = playlist.header();
        let (media, discontinuity) = (header.find("#EXT-X-MEDIA-SEQUENCE:9\n"), header.find("-SEQUENCE:2\n"));
        assert!(media.is_some() && media < discontinuity, "{header}");
        assert_eq!(playlist.body(), "#EXTINF:2.000000,\n9.ts\n");
    }

    #[test]
    fn hls_4_version_follows_the_features_in_use() {
        let mut playlist = MediaPlaylist::new(2, 0, 0);
        playlist.push(segment("a", 2000));
        assert_eq!(playlist.version(), 3);
        playlist
            .push(MediaSegment { byte_range: Some(ByteRange { length: 5, offset: Some(3) }), ..segment("b", 2000) });
        assert_eq!(playlist.version(), 4);
        assert!(playlist.body().ends_with("#EXTINF:2.000000,\n#EXT-X-BYTERANGE:5@3\nb\n"));
        playlist.push(MediaSegment { map: Some("init.mp4".into()), ..segment("c", 2000) });
        assert_eq!(playlist.version(), 6);
    }

    #[test]
    fn hls_3_a_map_is_written_where_it_changes_and_stays_with_the_first_segment() {
        let with_map = |uri: &str, map: &str| MediaSegment { map: Some(map.into()), ..segment(uri, 1000) };
        let mut playlist = MediaPlaylist::new(1, 0, 0);
        playlist.push(with_map("1", "a"));
        playlist.push(with_map("2", "a"));
        playlist.push(with_map("3", "b"));
        assert_eq!(playlist.body().matches("#EXT-X-MAP").count(), 2);
        playlist.pop_front();
        assert_eq!(
            playlist.body(),
            "#EXT-X-MAP:URI=\"a\"\n#EXTINF:1.000000,\n2\n#EXT-X-MAP:URI=\"b\"\n#EXTINF:1.000000,\n3\n"
        );
        playlist.pop_front();
        assert_eq!(playlist.body(), "#EXT-X-MAP:URI=\"b\"\n#EXTINF:1.000000,\n3\n");
    }

    #[test]
    fn hls_5_and_6_independence_and_dates_are_written_when_set() {
        let mut playlist = MediaPlaylist::new(0, 0, 0);
        playlist.independent_segments = true;
        playlist.push(MediaSegment { program_date_time: Some(Time::from_millis(1_500)), ..segment("a", 1000) });
        let text = playlist.to_string();
        assert!(text.contains("#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-TARGETDURATION:1\n"), "{text}");
        assert!(text.contains("#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:01.500Z\n#EXTINF:1.000000,\na\n"), "{text}");
    }
}
