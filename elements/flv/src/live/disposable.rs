//! Which pictures no other picture needs.

use bytes::Bytes;

use crate::wire::{PacketKind, TagKind, VideoCodec, parse_video};

/// `FrameType` of a picture that no other needs (FLV 10.1, E.4.3.1; Enhanced RTMP v2, "Enhanced Video").
const DISPOSABLE_INTER: u8 = 3;

/// Parts of an access unit of H.264 that are looked at: what stands before the first slice, mostly one or two.
const MAX_PARTS: usize = 16;

/// Length of the field in front of each part of an access unit. Others than four are allowed and hardly used.
const LENGTH_LEN: usize = 4;

/// Whether a tag with this body is a picture that no other needs, so that a player that is behind can do without. It is, if its header
/// says so, or in H.264 if its slices have `nal_ref_idc` 0 (ITU-T H.264, 7.4.1).
pub fn is_disposable(kind: TagKind, body: &Bytes) -> bool {
    if kind != TagKind::Video {
        return false;
    }
    let Ok(tag) = parse_video(body) else { return false };
    let says_so = body.first().is_some_and(|first| first >> 4 & 0x07 == DISPOSABLE_INTER);
    let mut frames = tag.packets.iter().peekable();
    frames.peek().is_some()
        && frames.all(|packet| match packet.kind {
            PacketKind::Frame { key: false, .. } => {
                says_so || (packet.codec == VideoCodec::H264 && is_never_referred_to(&packet.payload))
            }
            _ => false,
        })
}

/// Looks at the first slice. All slices of a picture agree on it.
fn is_never_referred_to(access_unit: &[u8]) -> bool {
    let mut rest = access_unit;
    for _ in 0..MAX_PARTS {
        let Some((length, parts)) = rest.split_first_chunk::<LENGTH_LEN>() else { return false };
        let length = u32::from_be_bytes(*length) as usize;
        let Some(header) = parts.get(..length).and_then(|part| part.first()) else { return false };
        if matches!(header & 0x1F, 1..=5) {
            return header >> 5 & 0x03 == 0;
        }
        rest = parts.get(length..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtmp_v6_pictures_that_no_other_needs() {
        let is = |bytes: &'static [u8]| is_disposable(TagKind::Video, &Bytes::from_static(bytes));
        // A delimiter, supplemental information, and a slice with nal_ref_idc 0, then one with 2.
        assert!(is(b"\x27\x01\0\0\0\0\0\0\x02\x09\xf0\0\0\0\x02\x06\x05\0\0\0\x02\x01\x9a"));
        assert!(!is(b"\x27\x01\0\0\0\0\0\0\x02\x09\xf0\0\0\0\x02\x06\x05\0\0\0\x02\x41\x9a"));
        assert!(is(b"\xa1avc1\0\0\0\0\0\0\x02\x01\x9a") && !is(b"\xa1avc1\0\0\0\0\0\0\x02\x61\x9a"));
        // The header says it, of any codec.
        assert!(is(b"\x37\x01\0\0\0\0\0\0\x02\x41\x9a") && is(b"\xb3hvc1\x01") && !is(b"\xa3hvc1\x01"));
        // Key frames, headers, damage, other fields of length, sound.
        assert!(!is(b"\x17\x01\0\0\0\0\0\0\x02\x05\x88") && !is(b"\x17\0\0\0\0\x01") && !is(b""));
        assert!(!is(b"\x27\x01\0\0\0\0\0\0\x09\x01") && !is(b"\x27\x01\0\0\0\0\x02\x01\x9a"));
        assert!(!is_disposable(TagKind::Audio, &Bytes::from_static(b"\x37\x01\0\0\0\0\0\0\x02\x01\x9a")));
    }
}
