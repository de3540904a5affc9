//! Parser elements: they find the frames of a codec, name their format in caps, and change the framing to what is
//! accepted downstream.
//!
//! | element | codec | framings |
//! | --- | --- | --- |
//! | [`h264parse`] | H.264 | `avc`, `avc3`, `byte-stream` |
//! | [`h265parse`] | H.265 | `hvc1`, `hev1`, `byte-stream` |
//! | [`av1parse`] | AV1 | `obu-stream`, with or without temporal delimiters |
//! | [`aacparse`] | AAC | `raw`, `adts`; reads `loas` too |
//! | [`mpegaudioparse`, `ac3parse`](frameparse) | MPEG audio, (Enhanced) AC-3 | their own |
//! | [`opusparse`] | Opus | none: a buffer is a packet |
//!
//! Names, properties and caps are GStreamer's (1.22) where they do the same.

pub mod aacparse;
mod audio;
pub mod av1parse;
pub mod frameparse;
pub mod h264parse;
pub mod h265parse;
mod nal;
pub mod opusparse;
pub mod settings;
mod timing;

use millstream_core::{BuildCx, CapsSet, Registry};

/// Adds all parsers.
pub fn register(registry: &mut Registry) {
    registry.add(aacparse::factory());
    registry.add(av1parse::factory());
    registry.add(frameparse::ac3_factory());
    registry.add(frameparse::mpegaudio_factory());
    registry.add(h264parse::factory());
    registry.add(h265parse::factory());
    registry.add(opusparse::factory());
}

/// What the link behind a parser allows.
fn allowed(cx: &BuildCx) -> CapsSet {
    cx.srcs.first().map_or(CapsSet::Any, |pad| pad.allowed.clone())
}
