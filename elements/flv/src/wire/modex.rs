//! ModEx: blocks that extend a packet ahead of its type (Enhanced RTMP v2, `ExAudioTagHeader` and `ExVideoTagHeader`).

use bytes::BufMut;

use super::cursor::Cursor;
use super::error::BodyError;

/// Packet type that says "a ModEx block follows", the same number for audio and video.
pub(super) const PACKET_TYPE_MODEX: u8 = 7;
/// `TimestampOffsetNano`.
const TIMESTAMP_OFFSET_NANO: u8 = 0;
/// The largest offset that makes sense: one less than a millisecond.
const MAX_NANO_OFFSET: u32 = 999_999;

/// What the ModEx blocks of a packet said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ModEx {
    /// The packet type behind the last block.
    pub(super) packet_type: u8,
    /// Nanoseconds to add to the presentation time.
    pub(super) nano_offset: u32,
}

/// Reads blocks until a packet type that is not ModEx. Types that the standard does not define are skipped; an offset above
/// 999 999 ns counts as that. Each block takes three bytes and more, so this ends.
pub(super) fn read(mut packet_type: u8, body: &mut Cursor) -> Result<ModEx, BodyError> {
    let mut nano_offset = 0;
    while packet_type == PACKET_TYPE_MODEX {
        let mut size = usize::from(body.u8("modExDataSize")?) + 1;
        if size == 256 {
            size = usize::from(body.u16("modExDataSize")?) + 1;
        }
        let data = body.bytes(size, "modExData")?;
        let next = body.u8("packetModExType")?;
        if next >> 4 == TIMESTAMP_OFFSET_NANO {
            let [a, b, c] = *data.first_chunk().ok_or(BodyError::ModEx { kind: next >> 4, size })?;
            nano_offset = u32::from_be_bytes([0, a, b, c]).min(MAX_NANO_OFFSET);
        }
        packet_type = next & 0x0F;
    }
    Ok(ModEx { packet_type, nano_offset })
}

/// Appends a block with a nanosecond offset and the packet type that follows. The byte ahead must say
/// [`PACKET_TYPE_MODEX`].
pub(super) fn write_nano_offset(nano_offset: u32, packet_type: u8, out: &mut impl BufMut) {
    let [_, a, b, c] = nano_offset.min(MAX_NANO_OFFSET).to_be_bytes();
    out.put_slice(&[2, a, b, c, TIMESTAMP_OFFSET_NANO << 4 | packet_type & 0x0F]);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn parse(bytes: &[u8]) -> Result<(ModEx, usize), BodyError> {
        let mut body = Cursor::new(Bytes::copy_from_slice(bytes));
        Ok((read(PACKET_TYPE_MODEX, &mut body)?, body.left()))
    }

    #[test]
    fn ert_6_nano_offset_then_packet_type() {
        let mut out = Vec::new();
        write_nano_offset(999_999, 1, &mut out);
        assert_eq!(out, [2, 0x0F, 0x42, 0x3F, 0x01]);
        assert_eq!(parse(&out), Ok((ModEx { packet_type: 1, nano_offset: 999_999 }, 0)));
    }

    #[test]
    fn ert_6_long_size_unknown_type_and_repetition() {
        let mut wire = vec![0xFF, 0x01, 0x2B];
        wire.extend([0; 300]);
        wire.push(0x97); // unknown type 9, another ModEx follows
        wire.extend([3, 0, 0, 5, 0xAA, 0x03]);
        assert_eq!(parse(&wire), Ok((ModEx { packet_type: 3, nano_offset: 5 }, 0)));
    }

    #[test]
    fn ert_6_truncated_loop_is_rejected() {
        let wire = [2, 0, 0, 5, 0x07, 2, 0, 0, 6, 0x01];
        for cut in 0..wire.len() {
            assert!(matches!(parse(&wire[..cut]), Err(BodyError::Truncated { .. })), "cut at {cut}");
        }
        assert_eq!(parse(&[1, 0, 0, 0x01]), Err(BodyError::ModEx { kind: 0, size: 2 }));
    }
}
