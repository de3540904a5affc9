//! Codec bitstreams: parameter sets, frame headers and framing of H.264, H.265, AAC, MPEG audio, Opus, AV1.

pub mod aac;
pub mod ac3;
pub mod access_unit;
pub mod bits;
pub mod error;
pub mod flac;
pub mod frames;
pub mod h264;
pub mod h265;
pub mod h266;
pub mod mpegaudio;
pub mod nal;
pub mod opus;
mod video;
pub mod vp8;

pub use error::{CodecError, ErrorKind};
pub use video::Change;
