//! FLV and Enhanced FLV: tags, reader, writer, flvdemux and flvmux.
//!
//! | standard | what of it | where |
//! | --- | --- | --- |
//! | Adobe Flash Video File Format Specification 10.1, annex E | file header, tags, legacy audio and video headers | [`wire`] |
//! | Enhanced RTMP v2 (Veovera, 2026-01-31-r2) | FourCC codecs, multitrack, ModEx, colour metadata, track maps | [`wire`] |
//! | AMF0 and AMF3 (Adobe) | script data | crate `millstream-amf` |
//!
//! The [`wire`] modules know nothing of the framework: bytes go in, tags come out, and the other way round. On them stand the
//! elements [`demux`] (`flvdemux`), [`mux`] (`flvmux`) and [`parse`] (`flvparse`). [`live`] hands one stream of tags to many players; servers use it.

mod caps;
pub mod demux;
#[doc(hidden)]
pub mod fuzz;
pub mod live;
pub mod mux;
pub mod parse;
pub mod wire;

use millstream_core::Registry;

/// Adds all elements of this crate.
pub fn register(registry: &mut Registry) {
    registry.add(demux::factory());
    registry.add(mux::factory());
    registry.add(parse::factory());
}
