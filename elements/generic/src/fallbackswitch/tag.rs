//! What a switch has to know of FLV: tags hold timestamps, and say what they carry (FLV 10.1 E.4.1).

use bytes::{BufMut, Bytes, BytesMut};
use millstream_core::caps::media;
use millstream_core::{Caps, Payload, Time};

/// TagType, DataSize, Timestamp, TimestampExtended, StreamID.
const HEADER: usize = 11;
/// TagType of pictures, in the low five bits.
const VIDEO: u8 = 9;

pub(super) fn is_flv(caps: &Caps) -> bool {
    caps.media() == media::FLV
}

pub(super) fn is_picture(payload: &Payload) -> bool {
    first(payload).is_some_and(|byte| byte & 0x1f == VIDEO)
}

pub(super) fn is_file_header(payload: &Payload) -> bool {
    let mut signature = [0; 3];
    payload.peek(&mut signature) == 3 && signature == *b"FLV"
}

fn first(payload: &Payload) -> Option<u8> {
    let mut byte = [0];
    (payload.peek(&mut byte) == 1).then_some(byte[0])
}

/// The tag with another timestamp; what is shorter than a tag stays as it is. The body is shared.
pub(super) fn retimed(payload: &Payload, time: Time) -> Payload {
    let mut header = [0; HEADER];
    if payload.peek(&mut header) < HEADER {
        return payload.clone();
    }
    // Timestamps are 32 bits, and wrap.
    let [extended, high, middle, low] = (time.millis() as u32).to_be_bytes();
    header[4..8].copy_from_slice(&[high, middle, low, extended]);
    let mut head = BytesMut::with_capacity(HEADER);
    head.put_slice(&header);
    let mut skip = HEADER;
    let rest = payload.slices().iter().filter_map(|slice| {
        let skipped = skip.min(slice.len());
        skip -= skipped;
        (skipped < slice.len()).then(|| slice.slice(skipped..))
    });
    std::iter::once(head.freeze()).chain(rest.collect::<Vec<Bytes>>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_gets_another_timestamp_and_keeps_its_body() {
        let whole: Vec<u8> = (0..20).collect();
        for cut in [1, 5, 11, 12] {
            let payload: Payload = [&whole[..cut], &whole[cut..]].map(Bytes::copy_from_slice).into_iter().collect();
            let bytes = retimed(&payload, Time::from_millis(0x0102_0304)).contiguous();
            assert_eq!(bytes[..4], whole[..4]);
            assert_eq!(bytes[4..8], [2, 3, 4, 1], "24 bits, then the highest 8");
            assert_eq!(bytes[8..], whole[8..]);
        }
        let short = Payload::from(vec![1, 2, 3]);
        assert_eq!(retimed(&short, Time::ZERO), short);
    }
}
