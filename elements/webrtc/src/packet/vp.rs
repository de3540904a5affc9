//! VP8 (RFC 7741) and VP9 (RFC 9628) in RTP.
//!
//! ```text
//! VP8, 4.2 |X R N S R PID|                     S: a partition begins
//! VP9, 4.2 |I P L F B E V Z| M picture ID (15) | P_DIFF N |   the last in pictures that need another, flexible mode
//! ```

use super::{MAX_PAYLOAD, pieces};

const VP8_START: u8 = 0x10;

const PICTURE_ID: u8 = 0x80;
const PREDICTED: u8 = 0x40;
const FLEXIBLE: u8 = 0x10;
const BEGIN: u8 = 0x08;
const END: u8 = 0x04;
/// Bytes of a descriptor of VP9 with a picture number of 15 bits and one reference.
const VP9_HEADER: usize = 4;

/// Payloads of a VP8 frame.
pub fn vp8(frame: &[u8]) -> Vec<Vec<u8>> {
    let with_header = |(index, piece): (usize, &[u8])| {
        let header = if index == 0 { VP8_START } else { 0 };
        [&[header], piece].concat()
    };
    pieces(frame, MAX_PAYLOAD - 1).enumerate().map(with_header).collect()
}

/// Makes packets of VP9 frames. Each is said to need the one before: the least that is always true.
#[derive(Debug, Default)]
pub struct Vp9 {
    picture: u16,
    profile: Option<u32>,
}

impl Vp9 {
    /// The profile of the stream, as `profile-id` has it (RFC 9628, 7).
    pub fn profile(&self) -> Option<u32> {
        self.profile
    }

    /// Payloads of a frame.
    pub fn payloads(&mut self, frame: &[u8], is_key: bool) -> Vec<Vec<u8>> {
        self.picture = (self.picture + 1) & 0x7FFF;
        // `frame_marker`, `profile_low_bit`, `profile_high_bit` (VP9 bitstream specification, 6.2).
        self.profile = frame.first().map(|first| u32::from(first >> 5 & 1 | first >> 3 & 2));
        let number = (self.picture | 0x8000).to_be_bytes();
        let all = pieces(frame, MAX_PAYLOAD - VP9_HEADER);
        let last = all.len().saturating_sub(1);
        let with_header = |(index, piece): (usize, &[u8])| {
            let mut flags = PICTURE_ID | FLEXIBLE;
            flags |= if is_key { 0 } else { PREDICTED };
            flags |= if index == 0 { BEGIN } else { 0 };
            flags |= if index == last { END } else { 0 };
            // P_DIFF 1, and no further one.
            let reference: &[u8] = if is_key { &[] } else { &[1 << 1] };
            [&[flags], &number[..], reference, piece].concat()
        };
        all.enumerate().map(with_header).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_packet_of_a_vp8_frame_begins_its_partition() {
        let frame: Vec<u8> = (0..3000_u32).map(|byte| byte as u8).collect();
        let payloads = vp8(&frame);
        let headers: Vec<u8> = payloads.iter().map(|payload| payload[0]).collect();
        assert_eq!(headers, [0x10, 0, 0]);
        let together: Vec<u8> = payloads.iter().flat_map(|payload| payload[1..].to_vec()).collect();
        assert_eq!(together, frame);
    }

    #[test]
    fn vp9_frames_are_numbered_and_need_the_one_before() {
        let mut vp9 = Vp9::default();
        let key = vp9.payloads(&[7; 2000], true);
        assert_eq!(
            key.iter().map(|payload| payload[..3].to_vec()).collect::<Vec<_>>(),
            [[0x98, 0x80, 1], [0x94, 0x80, 1]]
        );
        assert_eq!(vp9.payloads(&[7; 3], false), [[0xDC, 0x80, 2, 2, 7, 7, 7]]);
    }
}
