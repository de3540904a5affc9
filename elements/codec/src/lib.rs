//! Codec bitstreams: parameter sets, frame headers and framing, without decoding.
//!
//! Everything here is sans-IO: bytes in, values and shared slices out. Parsers check every length, name the unit and bit
//! in their [`CodecError`], and never panic. Splitters take a stream in arbitrary pieces and copy each byte once; the
//! conversions in [`nal`] copy none.
//!
//! | module | codec | standards |
//! | --- | --- | --- |
//! | [`h264`] | H.264 / AVC | ITU-T H.264; ISO/IEC 14496-15 (`avcC`); RFC 6381 |
//! | [`h265`] | H.265 / HEVC | ITU-T H.265; ISO/IEC 14496-15 (`hvcC`) |
//! | [`h266`] | H.266 / VVC, NAL unit types only | ITU-T H.266 |
//! | [`av1`] | AV1 | AV1 specification; AV1 ISOBMFF binding (`av1C`) |
//! | [`vp9`], [`vp8`] | VP9, VP8 | VP9 specification, VP codec ISOBMFF binding (`vpcC`); RFC 6386 |
//! | [`aac`] | AAC: `AudioSpecificConfig`, ADTS, LATM/LOAS | ISO/IEC 14496-3; RFC 6381 |
//! | [`mpegaudio`] | MPEG audio layers I to III | ISO/IEC 11172-3, 13818-3 |
//! | [`ac3`] | AC-3, Enhanced AC-3 | ETSI TS 102 366 |
//! | [`opus`] | Opus, `OpusHead`, MPEG-TS mapping | RFC 6716, RFC 7845; ETSI TS Opus draft 0.1.3 |
//! | [`flac`] | FLAC STREAMINFO | RFC 9639 |
//!
//! Shared parts: [`bits`] reads and writes bits, [`nal`] frames NAL units, [`access_unit`] groups them, [`frames`] cuts
//! self-framed audio.

pub mod aac;
pub mod ac3;
pub mod access_unit;
pub mod av1;
pub mod bits;
pub mod elements;
pub mod error;
pub mod flac;
pub mod frames;
#[doc(hidden)]
pub mod fuzz;
pub mod h264;
pub mod h265;
pub mod h266;
pub mod mpegaudio;
pub mod nal;
pub mod opus;
mod video;
pub mod vp8;
pub mod vp9;

pub use elements::register;
pub use error::{CodecError, ErrorKind};
pub use video::Change;
