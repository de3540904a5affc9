//! `aacparse` on real streams.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use millstream_codec::elements::aacparse;
use millstream_core::{Buffer, Caps, Item, Time};
use millstream_testkit::media::media_bytes;
use millstream_testkit::{Harness, manifest};

const RAW: &str = "audio/mpeg, mpegversion=4, stream-format=raw";
const ADTS: &str = "audio/mpeg, mpegversion=4, stream-format=adts";

fn harness(allowed: &str) -> Harness {
    Harness::builder(&aacparse::factory()).src_caps("src", allowed).build().unwrap()
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

fn parse_file(data: &Bytes, allowed: &str, step: usize) -> (Vec<Caps>, Vec<Buffer>) {
    let mut harness = harness(allowed);
    harness.push_start("sink", "").unwrap();
    harness.push_bytes("sink", data, step).unwrap();
    harness.eos().unwrap();
    split(harness.take("src"))
}

#[test]
fn ts_9_raw_files_give_as_many_frames_as_the_manifest_says() {
    for row in manifest().rows().iter().filter(|row| row.file.ends_with(".aac") || row.file.ends_with("adts")) {
        let Some(count) = row.lavf.packets("audio") else { continue };
        let data = media_bytes(&row.file).unwrap();
        for (allowed, step) in [(RAW, 700), (ADTS, 4096), ("ANY", 1 << 20)] {
            let (caps, buffers) = parse_file(&data, allowed, step);
            assert_eq!(buffers.len() as u64, count, "{} as {allowed}", row.file);
            assert_eq!((caps.len(), caps[0].codec_data().is_some()), (1, allowed == RAW), "{caps:?}");
            assert!(buffers.iter().all(Buffer::is_keyframe));
            let rate = caps[0].rate().unwrap();
            for (index, buffer) in buffers.iter().enumerate() {
                assert_eq!(buffer.pts, Some(Time::from_ticks(1024 * index as i64, rate)), "no rounding adds up");
            }
        }
    }
}

#[test]
fn adts_to_raw_and_back_keeps_every_byte() {
    let Some(data) = media_bytes("gen/aac48s_10s.aac") else { return };
    let (_, adts) = parse_file(&data, ADTS, 1000);
    let (caps, raw) = parse_file(&data, RAW, 1000);
    assert_eq!(caps[0].codec_data().unwrap()[..], [0x11, 0x90], "LC, 48 kHz, stereo");
    let mut harness = harness(ADTS);
    harness.push_start("sink", &caps[0].to_string()).unwrap();
    raw.iter().for_each(|buffer| harness.push_buffer("sink", buffer.clone()).unwrap());
    let (_, back) = split(harness.take("src"));
    for ((back, adts), raw) in back.iter().zip(&adts).zip(&raw) {
        // The encoder wrote its buffer fullness, we write "variable": bytes 5 and 6 differ.
        let (back_bytes, adts_bytes) = (back.payload.contiguous(), adts.payload.contiguous());
        assert_eq!((&back_bytes[..5], &back_bytes[7..]), (&adts_bytes[..5], &adts_bytes[7..]));
        assert_eq!(back.payload.slices()[1].as_ptr(), raw.payload.slices()[0].as_ptr(), "audio is shared");
    }
    assert_eq!(back.len(), adts.len());
}

#[test]
fn ts_9_several_frames_in_a_pes_packet_get_their_times() {
    let Some(data) = media_bytes("gen/aac48s_10s.aac") else { return };
    let (_, frames) = parse_file(&data, ADTS, 1000);
    let mut harness = harness(RAW);
    harness.push_start("sink", ADTS).unwrap();
    // Packets of two and a half frames: the time is that of the first frame that begins in the packet.
    let lengths: Vec<usize> = frames.iter().map(|frame| frame.payload.len()).collect();
    let cut = lengths[0] + lengths[1] + lengths[2] / 2;
    let end = lengths[..6].iter().sum();
    let packet = |range: std::ops::Range<usize>, ms| {
        let time = Some(Time::from_millis(ms));
        Buffer::new(data.slice(range)).with_times(time, time)
    };
    harness.push_buffer("sink", packet(0..cut, 5000)).unwrap();
    harness.push_buffer("sink", packet(cut..end, 6000)).unwrap();
    let times: Vec<_> = harness.take_buffers("src").iter().map(|buffer| buffer.pts.unwrap()).collect();
    let at = |ms: i64, frame: i64| Time::from_millis(ms) + Time::from_ticks(1024 * frame, 48_000).since(Time::ZERO);
    assert_eq!(times, [at(5000, 0), at(5000, 1), at(5000, 2), at(6000, 0), at(6000, 1), at(6000, 2)]);
}
