//! Parser elements: they find the frames of a codec, name their format in caps, and change the framing to what is
//! accepted downstream.
//!
//! | element | codec | framings |
//! | --- | --- | --- |
//! | [`h264parse`] | H.264 | `avc`, `avc3`, `byte-stream` |
//! | [`aacparse`] | AAC | `raw`, `adts`; reads `loas` too |
//!
//! Names, properties and caps are GStreamer's (1.22) where they do the same.

pub mod aacparse;
mod audio;
pub mod h264parse;
mod nal;
pub mod settings;
mod timing;

use millstream_core::{BuildCx, CapsSet, Registry};

/// Adds all parsers.
pub fn register(registry: &mut Registry) {
    registry.add(aacparse::factory());
    registry.add(h264parse::factory());
}

/// What the link behind a parser allows.
fn allowed(cx: &BuildCx) -> CapsSet {
    cx.srcs.first().map_or(CapsSet::Any, |pad| pad.allowed.clone())
}
