//! The fuzz bodies: each takes any bytes and asserts what must hold for all of them.
//!
//! They use public interfaces only. The fuzz targets call them by name; the replay on the stable toolchain
//! (`tests/xtask/tests/fuzz_replay.rs`) takes this very file in and runs [`BODIES`] over all the seeds there are.
//! A crate that needs its insides fuzzed offers `#[doc(hidden)] pub mod fuzz`, whose bodies are listed here too.

pub mod codec;
pub mod flv;
pub mod text;
pub mod values;

/// A body and the name of its fuzz target.
pub type Body = (&'static str, fn(&[u8]));

/// Every body.
pub const BODIES: &[Body] = &[
    ("amf0", values::amf0),
    ("amf0_round_trip", values::amf0_round_trip),
    ("amf3", values::amf3),
    ("caps_round_trip", text::caps_round_trip),
    ("codec_aac", codec::aac),
    ("codec_h264", codec::h264),
    ("flv_demux", flv::demux),
    ("hls_playlist", text::hls_playlist),
    ("launch", text::launch),
    ("yaml", text::yaml),
];
