//! `h264parse` on real streams.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use millstream_codec::elements::h264parse;
use millstream_core::{Buffer, Caps, Item};
use millstream_testkit::{Harness, media::manifest, media::media_bytes};

fn harness(allowed: &str) -> Harness {
    Harness::builder(&h264parse::factory()).src_caps("src", allowed).build().unwrap()
}

fn parse_file(data: &Bytes, allowed: &str, step: usize) -> (Vec<Caps>, Vec<Buffer>) {
    let mut harness = harness(allowed);
    harness.push_start("sink", "").unwrap();
    harness.push_bytes("sink", data, step).unwrap();
    harness.eos().unwrap();
    split(harness.take("src"))
}

fn split(items: Vec<Item>) -> (Vec<Caps>, Vec<Buffer>) {
    let (mut caps, mut buffers) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            Item::Caps(new) => caps.push(new),
            Item::Buffer(buffer) => buffers.push(*buffer),
            _ => {}
        }
    }
    (caps, buffers)
}

fn bytes(buffers: &[Buffer]) -> Vec<Bytes> {
    buffers.iter().map(|buffer| buffer.payload.contiguous()).collect()
}

const AVC: &str = "video/x-h264, stream-format=avc";
const STREAM: &str = "video/x-h264, stream-format=byte-stream";

#[test]
fn ts_8_raw_files_give_as_many_access_units_as_the_manifest_says() {
    for row in manifest().rows() {
        let Some(count) = row.lavf.packets("video").filter(|_| row.lavf.tracks()[0].codec == "h264") else { continue };
        if !row.file.starts_with("es/") {
            continue;
        }
        let data = media_bytes(&row.file).unwrap();
        for (allowed, step) in [(AVC, 4096), (STREAM, 1000), ("ANY", 1 << 20)] {
            let (caps, buffers) = parse_file(&data, allowed, step);
            assert_eq!(buffers.len() as u64, count, "{} as {allowed}", row.file);
            assert!(!caps.is_empty() && caps[0].size().is_some(), "{}: {caps:?}", row.file);
            assert_eq!(caps[0].codec_data().is_some(), allowed == AVC);
            assert!(buffers[0].is_keyframe(), "{}", row.file);
            let dts: Vec<_> = buffers.iter().map(|buffer| buffer.dts.unwrap()).collect();
            assert!(dts.is_sorted_by(|a, b| a < b), "{}", row.file);
        }
    }
}

#[test]
fn avc_to_byte_stream_and_back_keeps_every_byte() {
    let Some(data) = media_bytes("es/membrane_flv_plugin__input.h264") else { return };
    let (caps, avc) = parse_file(&data, AVC, 5000);
    let through = |caps: &Caps, buffers: &[Buffer], allowed: &str| {
        let mut harness = harness(allowed);
        harness.push_start("sink", &caps.to_string()).unwrap();
        buffers.iter().for_each(|buffer| harness.push_buffer("sink", buffer.clone()).unwrap());
        harness.eos().unwrap();
        split(harness.take("src"))
    };
    let (stream_caps, stream) = through(&caps[0], &avc, STREAM);
    assert!(stream.iter().all(|b| b.payload.contiguous().starts_with(&[0, 0, 0, 1, 9])), "TS-8: delimiters");
    for key in stream.iter().filter(|b| b.is_keyframe()) {
        assert_eq!(key.payload.contiguous()[6..11], [0, 0, 0, 1, 0x67], "TS-8: sets before each key frame");
    }
    let (back_caps, back) = through(&stream_caps[0], &stream, AVC);
    assert_eq!(bytes(&back), bytes(&avc));
    assert_eq!(back_caps[0].codec_data(), caps[0].codec_data());
    let (same_caps, same) = through(&caps[0], &avc, "ANY");
    assert_eq!((same_caps[0].codec_data(), &same), (caps[0].codec_data(), &avc));
    let shared = same[0].payload.slices()[0].as_ptr() == avc[0].payload.contiguous().as_ptr();
    assert!(shared || avc[0].payload.slices().len() > 1, "what needs no change is not copied");
}
