//! What the tests of the elements share.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test reads its media itself")]

use std::sync::Arc;

use bytes::Bytes;
use millstream_codec::elements::{aacparse, frameparse, h264parse, h265parse, opusparse};
use millstream_core::{Buffer, Factory, Item, Registry};
use millstream_testkit::{Harness, Row, manifest, media::media_bytes};

/// The factory of one of this crate's elements.
pub(crate) fn factory(name: &str) -> Arc<Factory> {
    let mut registry = Registry::new();
    millstream_ts::elements::register(&mut registry);
    registry.get(name).unwrap()
}

/// A demuxer with these pads.
pub(crate) fn demuxer(pads: &[&str], settings: &str) -> Harness {
    let factory = factory("tsdemux");
    let builder = pads.iter().fold(Harness::builder(&factory).settings(settings), |builder, pad| builder.src(pad));
    let mut harness = builder.build().unwrap();
    harness.push_start("sink", "").unwrap();
    harness
}

/// What a demuxer makes of a file, pushed in pieces.
pub(crate) fn demux_file(file: &Bytes, pads: &[&str], settings: &str, step: usize) -> Harness {
    let mut harness = demuxer(pads, settings);
    harness.push_bytes("sink", file, step).unwrap();
    harness.eos().unwrap();
    harness.assert_contract();
    assert_order(&harness);
    harness
}

/// E-11 and E-12: caps come when they differ, and decoding times do not step back unannounced.
pub(crate) fn assert_order(harness: &Harness) {
    use std::collections::HashMap;
    let (mut caps, mut last): (HashMap<&str, _>, HashMap<&str, _>) = Default::default();
    for (pad, item) in harness.items() {
        match item {
            Item::StreamStart(_) => drop((caps.remove(pad), last.remove(pad))),
            Item::Segment(_) | Item::Flush(_) => drop(last.remove(pad)),
            Item::Caps(new) => {
                let old = caps.insert(pad, new.clone());
                assert!(old.as_ref() != Some(new), "{pad}: {new} twice");
            }
            Item::Buffer(buffer) => {
                let Some(time) = buffer.dts_or_pts() else { continue };
                let before = last.insert(pad, time);
                let marked = buffer.flags.contains(millstream_core::BufferFlags::DISCONT);
                assert!(marked || before.is_none_or(|before| before <= time), "{pad}: {time} behind {before:?}");
            }
            _ => {}
        }
    }
}

/// The frames of a pad as its parser finds them, each with its times; the pad's items are taken.
pub(crate) fn frames(harness: &mut Harness, pad: &str) -> Vec<Buffer> {
    let items = harness.take(pad);
    let media = items.iter().find_map(|item| if let Item::Caps(caps) = item { Some(caps.clone()) } else { None });
    let parser = media.as_ref().and_then(parser_of);
    let Some(parser) = parser else {
        let buffers =
            items.into_iter().filter_map(|item| if let Item::Buffer(b) = item { Some(b.into_inner()) } else { None });
        return buffers.collect();
    };
    let mut parser = Harness::new(&parser, "");
    items.into_iter().for_each(|item| parser.push("sink", item).unwrap());
    parser.take_buffers("src")
}

fn parser_of(caps: &millstream_core::Caps) -> Option<Factory> {
    use millstream_core::caps::media;
    Some(match caps.media() {
        media::H264 => h264parse::factory(),
        media::H265 => h265parse::factory(),
        media::AC3 | media::EAC3 => frameparse::ac3_factory(),
        media::OPUS => opusparse::factory(),
        media::MPEG_AUDIO if caps.int("mpegversion") == Some(1) => frameparse::mpegaudio_factory(),
        media::MPEG_AUDIO => aacparse::factory(),
        _ => return None,
    })
}

/// The TS files that are as they should be, and have media.
pub(crate) fn valid_files() -> impl Iterator<Item = (&'static Row, Bytes)> {
    let folders = ["ts/", "gen/", "hls/", "hls_shaka/"];
    let valid = move |row: &&Row| row.file.ends_with(".ts") && folders.iter().any(|dir| row.file.starts_with(dir));
    manifest().rows().iter().filter(valid).map(|row| (row, media_bytes(&row.file).unwrap()))
}

/// The caps that a pad announced, as text.
pub(crate) fn caps_of(harness: &Harness, pad: &str) -> Vec<String> {
    let of = |(from, item): (&str, &Item)| match item {
        Item::Caps(caps) if from == pad => Some(caps.clone().without("codec_data").to_string()),
        _ => None,
    };
    harness.items().filter_map(of).collect()
}

/// Ten seconds of H.264 with B-frames and AAC, as ffmpeg wrote them; every clone has it.
pub(crate) fn clip() -> Bytes {
    std::fs::read(millstream_testkit::fixture("h264b_aac48s_10s.ts")).unwrap().into()
}

/// What `tsmux` writes of the items of a demuxer.
pub(crate) fn mux_items(demuxed: &Harness, pads: &[&str], settings: &str) -> Bytes {
    let factory = factory("tsmux");
    let builder = pads.iter().fold(Harness::builder(&factory).settings(settings), |builder, pad| builder.sink(pad));
    let mut muxer = builder.src("src").build().unwrap();
    for (pad, item) in demuxed.items() {
        muxer.push(pad, item.clone()).unwrap();
    }
    muxer.assert_contract();
    assert_order(&muxer);
    muxer.take_bytes("src").into()
}
