//! Tags into the counters of a stream.

use bytes::Bytes;
use millstream_core::meter::{Kind, Meter};

use super::{Class, classify};
use crate::wire::{TagKind, parse_audio, parse_video};

/// Counts a tag; names the codecs where the tag says them anew.
pub fn count(meter: &Meter, kind: TagKind, body: &Bytes, timestamp: u32) {
    let kind = match kind {
        TagKind::Video => Kind::Video,
        TagKind::Audio => Kind::Audio,
        TagKind::Script | TagKind::ScriptAmf3 => return,
    };
    let class = match kind {
        Kind::Video => classify(TagKind::Video, body),
        // Sound has no key frames; its configuration counts as a frame, which nobody counts.
        Kind::Audio => Class::Frame,
    };
    if matches!(class, Class::Head(_)) || class == Class::Key || (kind == Kind::Audio && !meter.knows(Kind::Audio)) {
        name(meter, kind, body);
    }
    if !matches!(class, Class::Head(_)) {
        meter.frame(kind, class == Class::Key, body.len(), timestamp);
    }
}

fn name(meter: &Meter, kind: Kind, body: &Bytes) {
    let name = match kind {
        Kind::Video => parse_video(body).ok().and_then(|tag| Some(tag.packets.first()?.codec.name())),
        Kind::Audio => parse_audio(body).ok().and_then(|tag| Some(tag.packets.first()?.codec.name())),
    };
    if let Some(name) = name {
        meter.codec(kind, name);
    }
}
