//! The message header of a chunk (RTMP 1.0, 5.3.1.2) and the extended timestamp behind it (5.3.1.3).
//!
//! ```text
//!            0           3          6        7                      11
//!           +-----------+----------+--------+----------------------+
//!  format 0 | timestamp | length   | type   | stream, little-endian|
//!           +-----------+----------+--------+----------------------+
//!  format 1 | delta     | length   | type   |
//!           +-----------+----------+--------+
//!  format 2 | delta     |
//!           +-----------+
//! ```

use bytes::BufMut;

use super::{EXTENDED, Format};
use crate::message::MessageType;

/// The fields that a header has; none of those that its format leaves to the chunk before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageHeader {
    /// Format 0.
    Full {
        /// Milliseconds.
        timestamp: u32,
        /// Bytes of payload, 24 bits.
        len: u32,
        /// What the payload is.
        kind: MessageType,
        /// The message stream.
        stream_id: u32,
    },
    /// Format 1.
    SameStream {
        /// Milliseconds since the message before.
        delta: u32,
        /// Bytes of payload, 24 bits.
        len: u32,
        /// What the payload is.
        kind: MessageType,
    },
    /// Format 2.
    SameLength {
        /// Milliseconds since the message before.
        delta: u32,
    },
    /// Format 3.
    Same,
}

impl MessageHeader {
    /// The longest header with its extended timestamp.
    pub const MAX_LEN: usize = 15;

    /// Reads a header with its extended timestamp and says how many bytes they took; nothing if they are not all there.
    /// Whether format 3 has an extended timestamp depends on the chunk before, so that the reader looks for it.
    #[inline]
    pub fn parse(format: Format, data: &[u8]) -> Option<(Self, usize)> {
        let len = format.header_len();
        let header = data.get(..len)?;
        let Some(&field) = header.first_chunk::<3>() else { return Some((Self::Same, 0)) };
        let (time, len) = match u24(field) {
            EXTENDED => (u32::from_be_bytes(*data.get(len..)?.first_chunk()?), len + 4),
            time => (time, len),
        };
        let header = match *header {
            [_, _, _, l0, l1, l2, kind, s0, s1, s2, s3] => Self::Full {
                timestamp: time,
                len: u24([l0, l1, l2]),
                kind: kind.into(),
                stream_id: u32::from_le_bytes([s0, s1, s2, s3]),
            },
            [_, _, _, l0, l1, l2, kind] => Self::SameStream { delta: time, len: u24([l0, l1, l2]), kind: kind.into() },
            _ => Self::SameLength { delta: time },
        };
        Some((header, len))
    }

    /// The format that has these fields.
    pub fn format(&self) -> Format {
        match self {
            Self::Full { .. } => Format::Full,
            Self::SameStream { .. } => Format::SameStream,
            Self::SameLength { .. } => Format::SameLength,
            Self::Same => Format::Same,
        }
    }

    /// What goes into the extended timestamp, if there is one.
    pub fn extended(&self) -> Option<u32> {
        match *self {
            Self::Full { timestamp: time, .. }
            | Self::SameStream { delta: time, .. }
            | Self::SameLength { delta: time } => (time >= EXTENDED).then_some(time),
            Self::Same => None,
        }
    }

    /// Appends header and extended timestamp. Of lengths only the low 24 bits exist on the wire.
    pub fn write(&self, out: &mut impl BufMut) {
        match *self {
            Self::Full { timestamp, len, kind, stream_id } => {
                put_u24(timestamp.min(EXTENDED), out);
                put_u24(len, out);
                out.put_u8(kind.into());
                out.put_u32_le(stream_id);
            }
            Self::SameStream { delta, len, kind } => {
                put_u24(delta.min(EXTENDED), out);
                put_u24(len, out);
                out.put_u8(kind.into());
            }
            Self::SameLength { delta } => put_u24(delta.min(EXTENDED), out),
            Self::Same => {}
        }
        if let Some(time) = self.extended() {
            out.put_u32(time);
        }
    }
}

#[inline]
fn u24([a, b, c]: [u8; 3]) -> u32 {
    u32::from_be_bytes([0, a, b, c])
}

fn put_u24(value: u32, out: &mut impl BufMut) {
    out.put_slice(&value.to_be_bytes()[1..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: MessageHeader, wire: &[u8]) {
        let mut out = Vec::new();
        header.write(&mut out);
        assert_eq!(out, wire);
        assert_eq!(MessageHeader::parse(header.format(), wire), Some((header, wire.len())));
        (0..wire.len()).for_each(|cut| assert_eq!(MessageHeader::parse(header.format(), &wire[..cut]), None));
    }

    #[test]
    fn rtmp_c2_stream_id_is_little_endian_and_the_rest_big_endian() {
        let header = MessageHeader::Full { timestamp: 1000, len: 307, kind: MessageType::Video, stream_id: 12346 };
        check(header, &[0, 3, 0xE8, 0, 1, 0x33, 9, 0x3A, 0x30, 0, 0]);
    }

    #[test]
    fn rtmp_c3_formats_1_2_and_3() {
        check(MessageHeader::SameStream { delta: 20, len: 32, kind: MessageType::Audio }, &[0, 0, 20, 0, 0, 32, 8]);
        check(MessageHeader::SameLength { delta: 20 }, &[0, 0, 20]);
        check(MessageHeader::Same, &[]);
    }

    #[test]
    fn rtmp_c4_extended_from_ffffff_on() {
        check(MessageHeader::SameLength { delta: 0xFF_FFFE }, &[0xFF, 0xFF, 0xFE]);
        check(MessageHeader::SameLength { delta: 0xFF_FFFF }, &[0xFF, 0xFF, 0xFF, 0, 0xFF, 0xFF, 0xFF]);
        let full = MessageHeader::Full { timestamp: u32::MAX, len: 1, kind: MessageType::Data, stream_id: 1 };
        check(full, &[0xFF, 0xFF, 0xFF, 0, 0, 1, 18, 1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
    }
}
