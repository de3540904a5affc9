//! Frames become packets of RTP, once for all who are sent them.
//!
//! | module | format |
//! | --- | --- |
//! | [`h264`] | RFC 6184, `packetization-mode=1`: single units, STAP-A of parameter sets, FU-A |
//! | [`h265`] | RFC 7798: single units, AP of parameter sets, FU |
//! | [`vp`] | RFC 7741 (VP8), RFC 9628 (VP9) |
//! | [`av1`] | AOM's "RTP Payload Format For AV1" |
//!
//! Sound is a packet as it is (RFC 7587, RFC 3551).

pub mod av1;
pub mod h264;
pub mod h265;
pub mod vp;

use bytes::Bytes;

use crate::session::{Codec, Packet};

/// Longest payload: with the headers of RTP and its extensions, what SRTP adds, UDP and IPv6 it stays below the 1280 bytes that every network
/// of IPv6 carries.
pub const MAX_PAYLOAD: usize = 1120;

/// Makes packets of the frames of one stream.
#[derive(Debug)]
pub enum Packetizer {
    /// H.264.
    H264(h264::Packetizer),
    /// H.265.
    H265(h265::Packetizer),
    /// VP8.
    Vp8,
    /// VP9.
    Vp9(vp::Vp9),
    /// AV1.
    Av1(av1::Packetizer),
    /// Sound.
    Whole,
}

impl Packetizer {
    /// One for a codec.
    pub fn new(codec: Codec) -> Self {
        match codec {
            Codec::H264 => Self::H264(h264::Packetizer::default()),
            Codec::Vp8 => Self::Vp8,
            Codec::Vp9 => Self::Vp9(vp::Vp9::default()),
            Codec::H265 => Self::H265(h265::Packetizer::default()),
            Codec::Av1 => Self::Av1(av1::Packetizer::default()),
            Codec::Opus | Codec::Pcmu | Codec::Pcma => Self::Whole,
        }
    }

    /// What the stream says of its profile: the `profile-level-id` of H.264 (RFC 6184, 8.1), the `profile-id` of VP9 (RFC 9628, 7).
    pub fn profile(&self) -> Option<u32> {
        match self {
            Self::H264(packetizer) => packetizer.profile_level_id(),
            Self::Vp9(vp9) => vp9.profile(),
            _ => None,
        }
    }

    /// The packets of a frame; none when there is nothing in it that could be sent.
    pub fn packets(&mut self, frame: &Bytes, is_key: bool) -> Vec<Packet> {
        let mut payloads = match self {
            Self::H264(packetizer) => packetizer.payloads(frame),
            Self::Vp8 => vp::vp8(frame),
            Self::Vp9(vp9) => vp9.payloads(frame, is_key),
            Self::H265(packetizer) => packetizer.payloads(frame),
            Self::Av1(packetizer) => packetizer.payloads(frame, is_key),
            Self::Whole => vec![frame.to_vec()],
        };
        payloads.retain(|payload| !payload.is_empty());
        let last = payloads.len().saturating_sub(1);
        let is_sound = matches!(self, Self::Whole);
        let packet =
            |(index, payload): (usize, Vec<u8>)| Packet { payload: payload.into(), marker: !is_sound && index == last };
        payloads.into_iter().enumerate().map(packet).collect()
    }
}

/// Pieces of almost equal length, none longer than `most`.
pub(crate) fn pieces(data: &[u8], most: usize) -> impl ExactSizeIterator<Item = &[u8]> {
    let count = data.len().div_ceil(most.max(1)).max(1);
    data.chunks(data.len().div_ceil(count).max(1))
}
