//! Codec bitstreams: parameter sets, frame headers and framing of H.264, H.265, AAC, MPEG audio, Opus, AV1.

pub mod aac;
pub mod access_unit;
pub mod bits;
pub mod error;
pub mod frames;
pub mod h264;
pub mod h265;
pub mod nal;
mod video;

pub use error::{CodecError, ErrorKind};
pub use video::Change;
