//! PES packets: an access unit or several with their times. ISO/IEC 13818-1:2023, 2.4.3.6 and 2.4.3.7.
//!
//! ```text
//! | 00 00 01 | stream_id | length(16) | 10 SC(2) PRI ALIGN CR ORIG | PTS_DTS(2) .. EXT | header length(8) | PTS(40)? | DTS(40)? | .. |
//! ```
//!
//! `length` counts what follows it; 0 (for video in a transport stream only) says that the packet lasts until the next one begins.
//! stream_ids 0xBC, 0xBE, 0xBF, 0xF0 to 0xF2, 0xF8 and 0xFF have nothing between length and payload.

use crate::error::{ParseError, take, take_slice};

const WHAT: &str = "PES header";

/// Bytes until the length is known.
pub const PES_PREFIX: usize = 6;

/// Bytes of a header that says how long its optional part is.
pub const PES_FIXED: usize = 9;

/// Bytes that the longest header takes: the fixed part and 255 more.
pub const MAX_PES_HEADER: usize = PES_FIXED + 255;

/// Most bytes behind the length field of a packet that states its length.
pub const MAX_PES_LENGTH: usize = 0xFFFF;

/// stream_id of the first video stream.
pub const STREAM_ID_VIDEO: u8 = 0xE0;

/// stream_id of the first audio stream.
pub const STREAM_ID_AUDIO: u8 = 0xC0;

/// stream_id of AC-3, Opus, subtitles, ID3 and other data with PES times.
pub const STREAM_ID_PRIVATE_1: u8 = 0xBD;

/// stream_id of metadata (ISO/IEC 13818-1, 2.12).
pub const STREAM_ID_METADATA: u8 = 0xFC;

/// stream_id of formats with stream_id_extension, as AV1 and VC-1 use.
pub const STREAM_ID_EXTENDED: u8 = 0xFD;

/// What a PES header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PesHeader {
    /// What kind of stream this is of.
    pub stream_id: u8,
    /// The payload begins with an access unit or the like (data_alignment_indicator).
    pub data_alignment: bool,
    /// Presentation time, 33 bits of 90 kHz.
    pub pts: Option<u64>,
    /// Decoding time, if it differs.
    pub dts: Option<u64>,
    /// Bytes of payload; `None` if the packet lasts until the next.
    pub payload_len: Option<usize>,
}

impl PesHeader {
    /// How many bytes the header takes, once enough of it is there to say so.
    ///
    /// # Errors
    /// If it does not begin with the start code 00 00 01.
    pub fn size(bytes: &[u8]) -> Result<Option<usize>, ParseError> {
        if !bytes.iter().zip([0, 0, 1]).all(|(&a, b)| a == b) {
            return Err(ParseError::Invalid { what: WHAT, at: 0, expected: "start code 00 00 01" });
        }
        match *bytes {
            [_, _, _, id, ..] if is_plain(id) => Ok(Some(PES_PREFIX)),
            [_, _, _, _, _, _, _, _, len, ..] => Ok(Some(PES_FIXED + usize::from(len))),
            _ => Ok(None),
        }
    }

    /// Reads a header; returns it and where the payload begins. Times whose marker bits are wrong are read all the same, as others do.
    ///
    /// # Errors
    /// If it is cut, has no start code, or its parts do not fit the stated length.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), ParseError> {
        let prefix = take::<PES_PREFIX>(bytes, 0, WHAT)?;
        let Some(size) = Self::size(bytes)? else {
            return Err(ParseError::Truncated { what: WHAT, needed: PES_FIXED, available: bytes.len() });
        };
        let length = usize::from(u16::from_be_bytes([prefix[4], prefix[5]]));
        let behind = size - PES_PREFIX;
        let payload_len = if length == 0 { None } else { Some(length.saturating_sub(behind)) };
        let mut this = Self { stream_id: prefix[3], data_alignment: false, pts: None, dts: None, payload_len };
        if behind == 0 {
            return Ok((this, size));
        }
        let header = take_slice(bytes, 0, size, WHAT)?;
        let flags = take::<2>(header, PES_PREFIX, WHAT)?;
        if flags[0] & 0xC0 != 0x80 {
            return Err(ParseError::Invalid { what: WHAT, at: PES_PREFIX, expected: "the bits 10" });
        }
        this.data_alignment = flags[0] & 0x04 != 0;
        if flags[1] & 0x80 != 0 {
            this.pts = Some(parse_stamp(take::<5>(header, PES_FIXED, WHAT)?));
        }
        if flags[1] & 0xC0 == 0xC0 {
            this.dts = Some(parse_stamp(take::<5>(header, PES_FIXED + 5, WHAT)?));
        }
        Ok((this, size))
    }

    /// The wire form, or how many bytes of it there are: [`PES_FIXED`] and five for each time. A payload that is too long for the
    /// length field gets length 0, which only video may have.
    #[must_use]
    pub fn write(&self) -> ([u8; PES_FIXED + 10], usize) {
        let mut out = [0; PES_FIXED + 10];
        let stamps = self.pts.map(|pts| (pts, self.dts));
        let extra = stamps.map_or(0, |(_, dts)| if dts.is_some() { 10 } else { 5 });
        let length = self.payload_len.map_or(0, |len| len.saturating_add(extra + PES_FIXED - PES_PREFIX));
        let length = if length > MAX_PES_LENGTH { 0 } else { length as u16 };
        out[2] = 1;
        out[3] = self.stream_id;
        out[4..6].copy_from_slice(&length.to_be_bytes());
        out[6] = 0x80 | u8::from(self.data_alignment) << 2;
        out[8] = extra as u8;
        match stamps {
            None => {}
            Some((pts, None)) => {
                out[7] = 0x80;
                out[9..14].copy_from_slice(&write_stamp(0x20, pts));
            }
            Some((pts, Some(dts))) => {
                out[7] = 0xC0;
                out[9..14].copy_from_slice(&write_stamp(0x30, pts));
                out[14..19].copy_from_slice(&write_stamp(0x10, dts));
            }
        }
        (out, PES_FIXED + extra)
    }
}

/// Stream ids whose payload follows the length at once (ISO/IEC 13818-1, table 2-21).
const fn is_plain(stream_id: u8) -> bool {
    matches!(stream_id, 0xBC | 0xBE | 0xBF | 0xF0..=0xF2 | 0xF8 | 0xFF)
}

/// A time of 33 bits in 3 + 15 + 15, each part ended by a marker bit.
const fn parse_stamp(b: [u8; 5]) -> u64 {
    ((b[0] >> 1 & 7) as u64) << 30
        | (u16::from_be_bytes([b[1], b[2]]) as u64 >> 1) << 15
        | u16::from_be_bytes([b[3], b[4]]) as u64 >> 1
}

const fn write_stamp(marker: u8, stamp: u64) -> [u8; 5] {
    let mid = ((stamp >> 15) as u16) << 1 | 1;
    let low = (stamp as u16) << 1 | 1;
    [
        marker | ((stamp >> 30) as u8 & 7) << 1 | 1,
        mid.to_be_bytes()[0],
        mid.to_be_bytes()[1],
        low.to_be_bytes()[0],
        low.to_be_bytes()[1],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamp_of_ffmpeg_first_video_packet() {
        // 126000 ticks (1.4 s) as ffmpeg writes it in the first PES of a file.
        assert_eq!(write_stamp(0x20, 126_000), [0x21, 0x00, 0x07, 0xD8, 0x61]);
        assert_eq!(parse_stamp([0x21, 0x00, 0x07, 0xD8, 0x61]), 126_000);
        let top = (1 << 33) - 1;
        assert_eq!(write_stamp(0x10, top), [0x1F, 0xFF, 0xFF, 0xFF, 0xFF]);
        assert_eq!(parse_stamp([0x1F, 0xFF, 0xFF, 0xFF, 0xFF]), top);
    }

    #[test]
    fn ts_7_lengths_of_video_and_audio() {
        let header = PesHeader {
            stream_id: STREAM_ID_AUDIO,
            data_alignment: true,
            pts: Some(1),
            dts: None,
            payload_len: Some(100),
        };
        let (bytes, size) = header.write();
        assert_eq!(size, 14);
        assert_eq!(bytes[..9], [0, 0, 1, 0xC0, 0, 108, 0x84, 0x80, 5]);
        assert_eq!(PesHeader::parse(&bytes[..size]).unwrap(), (header, 14));
        let long = PesHeader { payload_len: Some(70_000), dts: Some(2), ..header };
        let (bytes, size) = long.write();
        assert_eq!((size, &bytes[4..6]), (19, &[0, 0][..]));
        assert_eq!(PesHeader::parse(&bytes).unwrap().0.payload_len, None);
    }

    #[test]
    fn ts_7_header_size_is_known_as_soon_as_possible() {
        assert_eq!(PesHeader::size(&[0, 0]).unwrap(), None);
        assert_eq!(PesHeader::size(&[0, 0, 1, 0xE0, 0, 0, 0x80, 0x80]).unwrap(), None);
        assert_eq!(PesHeader::size(&[0, 0, 1, 0xE0, 0, 0, 0x80, 0x80, 5]).unwrap(), Some(14));
        assert_eq!(PesHeader::size(&[0, 0, 1, 0xBE]).unwrap(), Some(6));
        assert!(PesHeader::size(&[0, 1]).is_err());
    }

    #[test]
    fn times_past_the_header_are_an_error() {
        assert!(PesHeader::parse(&[0, 0, 1, 0xE0, 0, 0, 0x80, 0xC0, 5, 1, 2, 3, 4, 5]).is_err());
        assert!(PesHeader::parse(&[0, 0, 1, 0xE0, 0, 0, 0x00, 0x80, 5, 1, 2, 3, 4, 5]).is_err());
    }

    #[test]
    fn length_shorter_than_the_header_leaves_no_payload() {
        let (header, _) = PesHeader::parse(&[0, 0, 1, 0xE0, 0, 3, 0x80, 0x80, 5, 1, 2, 3, 4, 5]).unwrap();
        assert_eq!(header.payload_len, Some(0));
    }
}
