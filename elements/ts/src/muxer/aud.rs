//! Access unit delimiters. H.264, 7.3.2.4 (nal_unit_type 9) and H.265, 7.3.2.5 (nal_unit_type 35).

use bytes::Bytes;

use super::source::Source;
use crate::psi::Codec;

/// primary_pic_type 7: any slice types, then the stop bit.
const H264_AUD: [u8; 6] = [0, 0, 0, 1, 0x09, 0xF0];

/// nal_unit_type 35, layer 0, temporal id 1; pic_type 2: any slice types, then the stop bit.
const H265_AUD: [u8; 7] = [0, 0, 0, 1, 0x46, 0x01, 0x50];

/// Longest delimiter.
pub(super) const MAX_AUD: usize = H265_AUD.len();

/// The delimiter that a byte-stream access unit lacks; empty if it has one, is no byte stream, or the codec has none.
pub(super) fn missing_aud(codec: Codec, slices: &[Bytes]) -> &'static [u8] {
    let (aud, is_aud): (&'static [u8], fn(u8) -> bool) = match codec {
        Codec::H264 => (&H264_AUD, |header| header & 0x1F == 9),
        Codec::H265 => (&H265_AUD, |header| header >> 1 & 0x3F == 35),
        _ => return &[],
    };
    let mut head = [0xFF; 5];
    Source::new(slices).copy_to(&mut head);
    match head {
        [0, 0, 1, header, _] | [0, 0, 0, 1, header] if !is_aud(header) => aud,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(codec: Codec, parts: &[&'static [u8]]) -> &'static [u8] {
        let slices: Vec<_> = parts.iter().map(|part| Bytes::from_static(part)).collect();
        missing_aud(codec, &slices)
    }

    #[test]
    fn ts_8_only_units_without_a_delimiter_get_one() {
        assert_eq!(missing(Codec::H264, &[&[0, 0, 0, 1], &[], &[0x65, 1]]), H264_AUD);
        assert_eq!(missing(Codec::H264, &[&[0, 0, 1, 0x67]]), H264_AUD);
        assert!(missing(Codec::H264, &[&[0, 0], &[1], &[9, 0xF0]]).is_empty());
        assert_eq!(missing(Codec::H265, &[&[0, 0, 1, 0x40, 1]]), H265_AUD);
        assert!(missing(Codec::H265, &[&[0, 0, 0, 1, 0x46, 1, 0x50]]).is_empty());
        assert!(missing(Codec::AacAdts, &[&[0, 0, 0, 1, 0x46, 1, 0x50]]).is_empty());
        assert!(missing(Codec::H264, &[]).is_empty());
    }
}
