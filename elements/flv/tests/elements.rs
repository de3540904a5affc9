//! flvdemux and flvmux over real files: what comes out of one and goes through the other is what went in.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail as loudly as tests")]

mod common;

use bytes::Bytes;
use millstream_core::{Buffer, Item};
use millstream_flv::{demux, mux};
use millstream_testkit::{Harness, manifest, media::media_bytes};

/// A demuxer with these pads.
fn demuxer(pads: &[&str], settings: &str) -> Harness {
    let factory = demux::factory();
    let builder = pads.iter().fold(Harness::builder(&factory).settings(settings), |builder, pad| builder.src(pad));
    builder.build().unwrap()
}

/// What a demuxer makes of a file, pushed in pieces.
fn demux_file(file: &Bytes, pads: &[&str], settings: &str, step: usize) -> Harness {
    let mut harness = demuxer(pads, settings);
    harness.push_start("sink", "").unwrap();
    harness.push_bytes("sink", file, step).unwrap();
    harness.eos().unwrap();
    harness.assert_contract();
    harness
}

/// Muxes what a demuxer made, and gives the file with what was rewritten in place.
fn mux_file(demuxed: &mut Harness, pads: &[&str], settings: &str) -> (Vec<u8>, Harness) {
    let factory = mux::factory();
    let builder = pads.iter().fold(Harness::builder(&factory).settings(settings), |builder, pad| builder.sink(pad));
    let mut muxer = builder.src("src").random_write().build().unwrap();
    let items: Vec<_> = demuxed.items().map(|(pad, item)| (pad.to_owned(), item.clone())).collect();
    for (pad, item) in items {
        muxer.push(&pad, item).unwrap();
    }
    muxer.assert_contract();
    let file = written(&muxer);
    (file, muxer)
}

/// The file that a sink would have written.
fn written(muxer: &Harness) -> Vec<u8> {
    let (mut file, mut at) = (Vec::new(), 0);
    for (_, item) in muxer.items() {
        match item {
            Item::Segment(segment) => at = segment.offset as usize,
            Item::Buffer(buffer) => {
                let bytes = buffer.payload.contiguous();
                let end = at + bytes.len();
                file.resize(file.len().max(end), 0);
                file[at..end].copy_from_slice(&bytes);
                at = end;
            }
            _ => {}
        }
    }
    file
}

type Frame = (Vec<u8>, Option<i64>, Option<i64>, bool);

fn frames(harness: &mut Harness, pad: &str) -> Vec<Frame> {
    let frame = |buffer: Buffer| {
        let nanos = |time: Option<millstream_core::Time>| time.map(millstream_core::Time::nanos);
        (buffer.payload.contiguous().to_vec(), nanos(buffer.dts), nanos(buffer.pts), buffer.is_keyframe())
    };
    harness.take_buffers(pad).into_iter().map(frame).collect()
}

#[test]
fn flv_6_round_trip_keeps_frames_and_times() {
    let mut files = 0;
    for row in manifest().rows().iter().filter(|row| row.file.ends_with(".flv") && !row.file.starts_with("broken/")) {
        if row.lavf.tracks().is_empty() {
            continue;
        }
        let file = media_bytes(&row.file).unwrap();
        let all = ["video", "audio", "audio_1", "script"];
        let mut pads: Vec<&str> = Vec::new();
        let mut probe = demux_file(&file, &all, "", 1 << 20);
        for pad in all {
            if !probe.take_buffers(pad).is_empty() {
                pads.push(pad);
            }
        }
        let mut first = demux_file(&file, &pads, "", 1 << 20);
        let (copy, muxer) = mux_file(&mut first, &pads, "timestamps=keep");
        assert!(muxer.drops.is_empty(), "{}: {:?}", row.file, muxer.drops);
        let mut second = demux_file(&copy.into(), &pads, "", 1 << 20);
        assert!(second.drops.is_empty(), "{}: {:?}", row.file, second.drops);
        for pad in &pads {
            let (a, b) = (frames(&mut first, pad), frames(&mut second, pad));
            assert_eq!(a.len(), b.len(), "{} {pad}", row.file);
            for (at, (a, b)) in a.iter().zip(&b).enumerate() {
                assert!(a == b, "{} {pad} frame {at}: {:?} {:?}", row.file, (a.1, a.2), (b.1, b.2));
            }
        }
        files += 1;
    }
    assert!(files > 25 || manifest().rows().is_empty(), "{files}");
}
