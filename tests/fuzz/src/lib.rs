//! The fuzz bodies: each takes any bytes and asserts what must hold for all of them.
//!
//! They use public interfaces only. The fuzz targets call them by name; the replay on the stable toolchain
//! (`tests/xtask/tests/fuzz_replay.rs`) takes this very file in and runs [`BODIES`] over all the seeds there are.
//! A crate that needs its insides fuzzed offers `#[doc(hidden)] pub mod fuzz`, whose bodies are listed here too.

pub mod codec;
pub mod flv;
pub mod recording;
pub mod rtmp;
pub mod signaling;
pub mod sound;
pub mod text;
pub mod ts;
pub mod turn;
pub mod values;
pub mod webrtc;

/// A body and the name of its fuzz target.
pub type Body = (&'static str, fn(&[u8]));

/// Every body.
pub const BODIES: &[Body] = &[
    ("aacdec", sound::aacdec),
    ("aacparse", millstream_codec::fuzz::aacparse),
    ("ac3parse", millstream_codec::fuzz::ac3parse),
    ("amf0", values::amf0),
    ("amf0_round_trip", values::amf0_round_trip),
    ("amf3", values::amf3),
    ("av1parse", millstream_codec::fuzz::av1parse),
    ("caps_round_trip", text::caps_round_trip),
    ("codec_aac", codec::aac),
    ("codec_h264", codec::h264),
    ("flv_demux", flv::demux),
    ("flv_round_trip", millstream_flv::fuzz::flv_round_trip),
    ("flvdemux", millstream_flv::fuzz::flv_demux),
    ("h264parse", millstream_codec::fuzz::h264parse),
    ("h265parse", millstream_codec::fuzz::h265parse),
    ("hls_playlist", text::hls_playlist),
    ("hlssink", ts::hlssink),
    ("launch", text::launch),
    ("mp4demux", millstream_mp4::fuzz::mp4_demux),
    ("mpegaudioparse", millstream_codec::fuzz::mpegaudioparse),
    ("opusdec", sound::opusdec),
    ("opusparse", millstream_codec::fuzz::opusparse),
    ("rtmp_chunk_round_trip", rtmp::chunk_round_trip),
    ("rtmp_chunks", rtmp::chunks),
    ("rtmp_client", rtmp::client),
    ("rtmp_command", rtmp::command),
    ("rtmp_handshake", rtmp::handshake),
    ("rtmp_messages", rtmp::messages),
    ("rtmp_playback", recording::playback),
    ("rtmp_server", rtmp::server),
    ("rtmp_tape", recording::tape),
    ("rtmp_trace", rtmp::trace),
    ("signaling", signaling::board),
    ("ts_demux", ts::demux),
    ("ts_pes", ts::pes),
    ("ts_psi", ts::psi),
    ("tsdemux", ts::tsdemux),
    ("turn", turn::server),
    ("turn_client", turn::client),
    ("webrtc_datagram", webrtc::datagram),
    ("webrtc_fragment", webrtc::fragment),
    ("webrtc_offer", webrtc::offer),
    ("webrtc_packets", webrtc::packets),
    ("webrtc_reply", webrtc::reply),
    ("yaml", text::yaml),
];
