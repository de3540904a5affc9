//! The tag header (FLV 10.1 E.4.1) and a tag as the reader hands it out.

use bytes::{BufMut, Bytes};

/// What a tag carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TagKind {
    /// 8: audio data.
    Audio,
    /// 9: video data.
    Video,
    /// 18: script data in AMF0.
    Script,
    /// 15: script data that begins with a zero byte and may switch to AMF3 (Enhanced RTMP v2, "Enabling AMF3 in FLV").
    ScriptAmf3,
}

impl TagKind {
    /// The kind of a `TagType`, or nothing for one that the standards do not define.
    pub fn from_tag_type(tag_type: u8) -> Option<Self> {
        match tag_type {
            8 => Some(Self::Audio),
            9 => Some(Self::Video),
            15 => Some(Self::ScriptAmf3),
            18 => Some(Self::Script),
            _ => None,
        }
    }

    /// The `TagType` on the wire.
    pub fn tag_type(self) -> u8 {
        match self {
            Self::Audio => 8,
            Self::Video => 9,
            Self::ScriptAmf3 => 15,
            Self::Script => 18,
        }
    }
}

/// A whole tag of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// What the body is.
    pub kind: TagKind,
    /// Decoding time in milliseconds, modulo 2^32.
    pub timestamp: u32,
    /// The body: a slice of the pushed bytes wherever it did not straddle two pushes.
    pub body: Bytes,
    /// Offset in bytes of the tag header from the first pushed byte.
    pub offset: u64,
}

/// The eleven bytes ahead of each body.
///
/// ```text
///  0         1            4             7          8          11
/// +---------+------------+-------------+----------+-----------+
/// | 00FTTTTT| DataSize   | time, low 24| time high| StreamID  |
/// +---------+------------+-------------+----------+-----------+
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TagHeader {
    /// The first byte: two reserved bits, the filter bit, five bits of type.
    pub type_byte: u8,
    /// Bytes of body.
    pub size: u32,
    /// Milliseconds; the extension byte is the high one.
    pub timestamp: u32,
    /// Always 0 on write; ignored on read.
    pub stream_id: u32,
}

impl TagHeader {
    /// Bytes of the header.
    pub const LEN: usize = 11;
    /// The largest body that `DataSize` can say.
    pub const MAX_SIZE: u32 = 0x00FF_FFFF;

    /// Filter bit: the body is encrypted (annex F).
    const FILTER: u8 = 0x20;
    /// Reserved bits, zero in every writer.
    const RESERVED: u8 = 0xC0;

    /// A header as a writer needs it. Sizes above [`TagHeader::MAX_SIZE`] cannot be said: see [`TagHeader::write`].
    pub fn new(kind: TagKind, size: u32, timestamp: u32) -> Self {
        Self { type_byte: kind.tag_type(), size, timestamp, stream_id: 0 }
    }

    /// Reads a header. Every pattern of bits is a header; [`TagHeader::is_plausible`] judges it.
    #[inline]
    pub fn parse(bytes: &[u8; Self::LEN]) -> Self {
        let [type_byte, s0, s1, s2, t0, t1, t2, t3, i0, i1, i2] = *bytes;
        Self {
            type_byte,
            size: u32::from_be_bytes([0, s0, s1, s2]),
            timestamp: u32::from_be_bytes([t3, t0, t1, t2]),
            stream_id: u32::from_be_bytes([0, i0, i1, i2]),
        }
    }

    /// Appends the header. Only the low 24 bits of `size` and `stream_id` exist on the wire.
    pub fn write(&self, out: &mut impl BufMut) {
        let [_, s0, s1, s2] = self.size.to_be_bytes();
        let [t3, t0, t1, t2] = self.timestamp.to_be_bytes();
        let [_, i0, i1, i2] = self.stream_id.to_be_bytes();
        out.put_slice(&[self.type_byte, s0, s1, s2, t0, t1, t2, t3, i0, i1, i2]);
    }

    /// What the tag carries, if the standards define its type.
    #[inline]
    pub fn kind(&self) -> Option<TagKind> {
        TagKind::from_tag_type(self.type_byte & 0x1F)
    }

    /// Whether the body is encrypted.
    #[inline]
    pub fn is_filtered(&self) -> bool {
        self.type_byte & Self::FILTER != 0
    }

    /// Whether a sane writer could have written this: a known type, no reserved bit, stream id zero.
    #[inline]
    pub fn is_plausible(&self) -> bool {
        self.type_byte & Self::RESERVED == 0 && self.stream_id == 0 && self.kind().is_some()
    }

    /// Bytes of header and body: what `PreviousTagSize` after the tag must say.
    #[inline]
    pub fn tag_size(&self) -> u32 {
        (self.size & Self::MAX_SIZE) + Self::LEN as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flv_2_extended_timestamp_is_high_byte() {
        let wire = [9, 0, 0, 5, 0x23, 0x45, 0x67, 0x01, 0, 0, 0];
        let header = TagHeader::parse(&wire);
        assert_eq!(header, TagHeader::new(TagKind::Video, 5, 0x0123_4567));
        let mut out = Vec::new();
        header.write(&mut out);
        assert_eq!(out, wire);
    }

    #[test]
    fn flv_2_stream_id_is_written_zero() {
        let mut out = Vec::new();
        TagHeader::new(TagKind::Audio, 1, u32::MAX).write(&mut out);
        assert_eq!(&out[8..], [0, 0, 0]);
    }

    #[test]
    fn flv_3_type_15_is_script_and_filter_bit_is_seen() {
        assert_eq!(TagHeader::parse(&[15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).kind(), Some(TagKind::ScriptAmf3));
        let encrypted = TagHeader::parse(&[0x29, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(encrypted.is_filtered());
        assert_eq!(encrypted.kind(), Some(TagKind::Video));
        assert!(!TagHeader::parse(&[0x49, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_plausible());
    }
}
