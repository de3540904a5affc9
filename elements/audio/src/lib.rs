//! Sound without a system library: what a browser understands out of what an encoder sends, and the way back.
//!
//! | element | does |
//! | --- | --- |
//! | [`aacdec`] | AAC-LC to samples |
//! | [`opusdec`] | Opus to samples |
//! | [`opusenc`] | samples to Opus |
//! | [`g711`] | samples to G.711 and back: `mulawenc`, `mulawdec`, `alawenc`, `alawdec` |
//! | [`audioconvert`] | sample format and number of channels |
//! | [`audioresample`] | sample rate |
//!
//! Names and properties are GStreamer's (1.22) where they do the same. Samples are interleaved; between the elements they are `F32LE` unless what
//! follows wants others.

pub mod aacdec;
pub mod audioconvert;
pub mod audioresample;
mod backlog;
pub mod g711;
mod mix;
pub mod opusdec;
pub mod opusenc;
mod pcm;

use millstream_core::Registry;

/// Adds all elements of this crate.
pub fn register(registry: &mut Registry) {
    registry.add(aacdec::factory());
    registry.add(audioconvert::factory());
    registry.add(audioresample::factory());
    g711::factories().into_iter().for_each(|factory| registry.add(factory));
    registry.add(opusdec::factory());
    registry.add(opusenc::factory());
}
