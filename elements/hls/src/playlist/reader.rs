//! Reading a Media Playlist back: enough to go on where an earlier run stopped.
//!
//! Tolerant as RFC 8216, section 6.3.1 wants it: unknown tags and attributes are left out, and so are values that make no
//! sense. What cannot be a Media Playlist at all is refused.

use millstream_core::TimeDelta;

use super::date_time;
use super::media::{ByteRange, MediaPlaylist, MediaSegment, PlaylistType};

/// Segments that a playlist may list: three weeks of one-second segments.
pub const MAX_SEGMENTS: usize = 2_000_000;
/// Bytes of a line. No URI or attribute list that a server accepts is longer.
pub const MAX_LINE: usize = 64 << 10;

/// Why a text is no Media Playlist.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadError {
    /// The first line is not the tag that every playlist begins with (RFC 8216, section 4.3.1.1).
    #[error("line 1: expected #EXTM3U")]
    NotAPlaylist,
    /// It lists renditions, not segments.
    #[error("line {line}: this is a multivariant playlist, expected a media playlist")]
    Multivariant {
        /// Counted from 1.
        line: usize,
    },
    /// A line is longer than [`MAX_LINE`].
    #[error("line {line}: longer than {MAX_LINE} bytes")]
    LineTooLong {
        /// Counted from 1.
        line: usize,
    },
    /// More segments than [`MAX_SEGMENTS`].
    #[error("line {line}: more than {MAX_SEGMENTS} segments")]
    TooManySegments {
        /// Counted from 1.
        line: usize,
    },
}

/// Reads a Media Playlist.
///
/// A missing or senseless `EXT-X-TARGETDURATION` becomes the longest segment's duration, as players take it; a segment
/// without a usable `EXTINF` lasts 0 s. Relative and absolute URIs are kept as they are written.
///
/// # Errors
/// When the text is no playlist, is a multivariant one, or exceeds a limit.
pub fn read_media_playlist(text: &str) -> Result<MediaPlaylist, ReadError> {
    let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate();
    if lines.next().is_none_or(|(_, first)| first.trim_end() != "#EXTM3U") {
        return Err(ReadError::NotAPlaylist);
    }
    let mut reader = Reader::default();
    for (index, line) in lines {
        let number = index + 1;
        if line.len() > MAX_LINE {
            return Err(ReadError::LineTooLong { line: number });
        }
        if reader.segments.len() > MAX_SEGMENTS {
            return Err(ReadError::TooManySegments { line: number });
        }
        reader.line(line.trim()).map_err(|Multivariant| ReadError::Multivariant { line: number })?;
    }
    Ok(reader.finish())
}

struct Multivariant;

#[derive(Default)]
struct Reader {
    target_duration: Option<u64>,
    media_sequence: u64,
    discontinuity_sequence: u64,
    kind: PlaylistType,
    independent_segments: bool,
    ended: bool,
    segments: Vec<MediaSegment>,
    /// What the tags so far say of the segment whose URI follows.
    next: MediaSegment,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), Multivariant> {
        if line.starts_with("#EXT") {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            return self.tag(tag, value.trim());
        }
        if !line.is_empty() && !line.starts_with('#') {
            let map = self.next.map.clone();
            let mut segment = std::mem::take(&mut self.next);
            segment.uri = line.to_owned();
            self.segments.push(segment);
            // A map holds until the next one (section 4.3.2.5).
            self.next.map = map;
        }
        Ok(())
    }

    fn tag(&mut self, tag: &str, value: &str) -> Result<(), Multivariant> {
        match tag {
            "#EXT-X-STREAM-INF" | "#EXT-X-MEDIA" | "#EXT-X-I-FRAME-STREAM-INF" => return Err(Multivariant),
            "#EXT-X-TARGETDURATION" => self.target_duration = value.parse().ok(),
            "#EXT-X-MEDIA-SEQUENCE" => self.media_sequence = value.parse().unwrap_or(self.media_sequence),
            "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                self.discontinuity_sequence = value.parse().unwrap_or(self.discontinuity_sequence);
            }
            "#EXT-X-PLAYLIST-TYPE" => self.kind = playlist_type(value),
            "#EXT-X-INDEPENDENT-SEGMENTS" => self.independent_segments = true,
            "#EXT-X-ENDLIST" => self.ended = true,
            "#EXT-X-DISCONTINUITY" => self.next.discontinuity = true,
            "#EXT-X-PROGRAM-DATE-TIME" => self.next.program_date_time = date_time::parse(value),
            "#EXT-X-BYTERANGE" => self.next.byte_range = byte_range(value),
            "#EXT-X-MAP" => self.next.map = attribute(value, "URI").map(str::to_owned),
            "#EXTINF" => {
                let seconds = value.split(',').next().unwrap_or_default();
                self.next.duration = decimal_seconds(seconds).unwrap_or_default();
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> MediaPlaylist {
        let longest = || self.segments.iter().map(|s| s.duration.ticks(1)).max().and_then(|s| u64::try_from(s).ok());
        let target = self.target_duration.filter(|s| *s > 0).or_else(longest).unwrap_or(1);
        let mut playlist = MediaPlaylist::new(target, self.media_sequence, self.discontinuity_sequence);
        playlist.kind = self.kind;
        playlist.independent_segments = self.independent_segments;
        playlist.ended = self.ended;
        self.segments.into_iter().for_each(|segment| playlist.push(segment));
        playlist
    }
}

fn playlist_type(value: &str) -> PlaylistType {
    match value {
        "VOD" => PlaylistType::Vod,
        "EVENT" => PlaylistType::Event,
        _ => PlaylistType::Live,
    }
}

/// `9.009` as a duration, exact to the nanosecond; further digits are cut off. No sign, no exponent.
fn decimal_seconds(text: &str) -> Option<TimeDelta> {
    const NANO_DIGITS: usize = 9;
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let fraction = fraction.get(..NANO_DIGITS.min(fraction.len()))?;
    let nanos: i64 = format!("{fraction:0<NANO_DIGITS$}").parse().ok()?;
    let seconds: i64 = whole.parse().ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos).map(TimeDelta::from_nanos)
}

fn byte_range(value: &str) -> Option<ByteRange> {
    let (length, offset) = value.split_once('@').map_or((value, None), |(length, offset)| (length, Some(offset)));
    let offset = offset.map(str::parse).transpose().ok()?;
    Some(ByteRange { length: length.parse().ok()?, offset })
}

/// The value of an attribute (section 4.2), without its quotes.
fn attribute<'a>(mut list: &'a str, name: &str) -> Option<&'a str> {
    while let Some((key, rest)) = list.split_once('=') {
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_at_checked(rest.find(',').unwrap_or(rest.len()))?,
        };
        if key.trim() == name {
            return Some(value);
        }
        list = rest.strip_prefix(',').unwrap_or(rest);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::Time;

    #[test]
    fn reads_back_what_the_writer_wrote() {
        let mut playlist = MediaPlaylist::new(4, 12, 3);
        (playlist.kind, playlist.ended, playlist.independent_segments) = (PlaylistType::Event, true, true);
        for index in 0_i64..5 {
            playlist.push(MediaSegment {
                uri: format!("seg{index}.m4s"),
                duration: TimeDelta::from_nanos(3_003_001_000 + index * 1000),
                discontinuity: index == 2,
                program_date_time: Some(Time::from_millis(1_700_000_000_123 + index * 3003)),
                byte_range: Some(ByteRange { length: 10, offset: (index != 3).then_some(7) }),
                map: Some(if index < 2 { "a,b=.mp4".into() } else { "c.mp4".into() }),
            });
        }
        assert_eq!(read_media_playlist(&playlist.to_string()), Ok(playlist));
    }

    #[test]
    fn senseless_values_are_left_out() {
        let text = "#EXTM3U\r\n#EXT-X-TARGETDURATION:-7\r\n#EXT-X-MEDIA-SEQUENCE:x\r\n#EXTINF:1e9,\r\n a.ts \r\n\
                    #EXTINF:4.6\r\n#EXT-X-BYTERANGE:@\r\n#EXT-X-MAP:X=\"\r\n#EXT-X-UNKNOWN\r\n# comment\r\n\r\nb.ts";
        let playlist = read_media_playlist(text).unwrap();
        assert_eq!((playlist.target_duration(), playlist.media_sequence()), (5, 0));
        let uris: Vec<_> = playlist.segments().iter().map(|s| (s.uri.as_str(), s.duration.millis())).collect();
        assert_eq!(uris, [("a.ts", 0), ("b.ts", 4600)]);
    }

    #[test]
    fn what_is_no_media_playlist_is_refused() {
        assert_eq!(read_media_playlist(""), Err(ReadError::NotAPlaylist));
        assert_eq!(read_media_playlist("#EXTM3U8\n"), Err(ReadError::NotAPlaylist));
        let multivariant = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx.m3u8\n";
        assert_eq!(read_media_playlist(multivariant), Err(ReadError::Multivariant { line: 2 }));
        let long = format!("#EXTM3U\n{}\n", "x".repeat(MAX_LINE + 1));
        assert_eq!(read_media_playlist(&long), Err(ReadError::LineTooLong { line: 2 }));
    }
}
