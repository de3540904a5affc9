//! The reader over real files: packet counts as libavformat 62 reads them.

mod common;

use std::collections::BTreeMap;

use bytes::Bytes;
use common::{media, read_all};
use millstream_flv::wire::{PacketKind, TagKind, parse_audio, parse_video};

/// Frames per track of a file: `video0:h264 -> 300`.
fn frames(file: &[u8], step: usize) -> BTreeMap<String, usize> {
    let (tags, _) = read_all(file, step);
    let mut frames = BTreeMap::new();
    for tag in tags {
        match tag.kind {
            TagKind::Audio => {
                for packet in parse_audio(&tag.body).map(|tag| tag.packets).unwrap_or_default() {
                    if matches!(packet.kind, PacketKind::Frame { .. }) {
                        *frames.entry(format!("audio{}:{:?}", packet.track_id, packet.codec)).or_default() += 1;
                    }
                }
            }
            TagKind::Video => {
                for packet in parse_video(&tag.body).map(|tag| tag.packets).unwrap_or_default() {
                    if matches!(packet.kind, PacketKind::Frame { .. }) {
                        *frames.entry(format!("video{}:{:?}", packet.track_id, packet.codec)).or_default() += 1;
                    }
                }
            }
            TagKind::Script | TagKind::ScriptAmf3 => {}
        }
    }
    frames
}

#[test]
fn print_all() {
    for dir in ["flv", "gen", "broken"] {
        for (name, file) in common::files(dir, "flv") {
            let (_, reader) = read_all(&file, 1 << 20);
            println!("{name} {:?} {:?}", frames(&file, 1 << 20), reader.stats());
        }
    }
    let _ = (media("gen/h264_vfr.flv"), Bytes::new());
}
