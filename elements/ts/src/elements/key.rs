//! Whether decoding can start at an access unit, found without reading the pictures themselves.

use millstream_codec::{h264, h265};

use crate::psi::{Codec, StreamClass};

/// Bytes at the front of a unit in which its parameter sets and messages are looked for; captions and maker's notes stay below.
const LOOKED_AT: usize = 64 * 1024;

/// Whether a unit is a key frame. Many transport streams lack random_access_indicator, so the front of the unit is read too.
pub(super) fn is_key(codec: Codec, data: &[u8], random_access: bool) -> bool {
    if random_access || codec.class() != StreamClass::Video {
        return true;
    }
    let front = data.get(..LOOKED_AT).unwrap_or(data);
    match codec {
        Codec::H264 => h264_key(front),
        Codec::H265 => first_picture(front, |nal| h265::NalType::of(nal).map(|kind| (kind.is_vcl(), kind.is_irap()))),
        // 7 to 9 are IDR and CRA pictures, 0 to 11 all pictures (H.266 table 5).
        Codec::H266 => first_picture(front, |nal| nal.get(1).map(|b| (b >> 3 < 12, (7..=9).contains(&(b >> 3))))),
        // picture_start_code, then 10 bits of temporal_reference and picture_coding_type 1: I (H.262, 6.3.9).
        Codec::Mpeg1Video | Codec::Mpeg2Video => {
            first_picture(front, |nal| Some((nal.first()? == &0, nal.get(2)? >> 3 & 7 == 1)))
        }
        // vop_start_code, then vop_coding_type 0: I (ISO/IEC 14496-2, 6.3.5).
        Codec::Mpeg4Video => first_picture(front, |nal| Some((nal.first()? == &0xB6, nal.get(1)? >> 6 == 0))),
        // A temporal unit begins with a temporal delimiter; the sequence header (OBU type 1) comes right behind (AV1, 7.5).
        Codec::Av1 => front.get(2).is_some_and(|header| front.starts_with(&[0x12, 0]) && header >> 3 & 15 == 1),
        _ => false,
    }
}

/// An IDR picture, or a recovery point that is exact at once.
fn h264_key(front: &[u8]) -> bool {
    for nal in units(front) {
        match h264::NalType::of(nal) {
            Some(h264::NalType::Idr) => return true,
            Some(h264::NalType::Sei) if h264::recovery_point(whole(nal)) == Some(0) => return true,
            Some(kind) if kind.is_vcl() => return false,
            _ => {}
        }
    }
    false
}

/// Judges the first unit that is a picture; `judge` says whether one is, and whether decoding can start there.
fn first_picture(front: &[u8], judge: impl Fn(&[u8]) -> Option<(bool, bool)>) -> bool {
    units(front).filter_map(judge).find(|(picture, _)| *picture).is_some_and(|(_, key)| key)
}

/// What follows each start code, up to the end of `data`: the ends of units are not looked for.
fn units(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let finder = memchr::memmem::Finder::new(&[0, 0, 1]);
    let mut rest = data;
    std::iter::from_fn(move || {
        rest = rest.get(finder.find(rest)? + 3..)?;
        Some(rest)
    })
}

/// A unit up to the next start code.
fn whole(unit: &[u8]) -> &[u8] {
    let end = memchr::memmem::find(unit, &[0, 0, 1]).unwrap_or(unit.len());
    unit.get(..end).unwrap_or(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ts_8_key_frames_are_found_without_the_indicator() {
        let idr = b"\0\0\0\x01\x09\xF0\0\0\x01\x67\x42\0\0\x01\x68\xCE\0\0\x01\x65\x88";
        let slice = b"\0\0\0\x01\x09\xF0\0\0\x01\x41\x9A\0\0\x01\x65";
        // recovery_point (6), size 1, recovery_frame_cnt ue(0), exact_match 0, broken_link 0, changing_slice_group 0.
        let recovery = b"\0\0\x01\x06\x06\x01\x84\x80\0\0\x01\x41\x9A";
        assert!(is_key(Codec::H264, idr, false) && !is_key(Codec::H264, slice, false));
        assert!(is_key(Codec::H264, recovery, false) && is_key(Codec::H264, slice, true));
        assert!(is_key(Codec::H265, b"\0\0\x01\x40\x01\0\0\x01\x26\x01", false), "IDR_W_RADL");
        assert!(!is_key(Codec::H265, b"\0\0\x01\x02\x01", false), "TRAIL_R");
        assert!(is_key(Codec::Mpeg2Video, b"\0\0\x01\xB3\x14\0\0\x01\0\0\x0F", false));
        assert!(!is_key(Codec::Mpeg2Video, b"\0\0\x01\0\0\x57", false));
        assert!(is_key(Codec::AacAdts, b"", false));
        assert!(!is_key(Codec::H264, b"", false));
    }
}
