//! `aacparse` on real streams.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::parser::*;
use millstream_codec::aac::{AdtsHeader, AudioSpecificConfig};
use millstream_codec::bits::BitWriter;
use millstream_codec::elements::aacparse;
use millstream_core::{Buffer, BufferFlags, Time};
use millstream_testkit::manifest;
use millstream_testkit::media::media_bytes;

const RAW: &str = "audio/mpeg, mpegversion=4, stream-format=raw";
const ADTS: &str = "audio/mpeg, mpegversion=4, stream-format=adts";

#[test]
fn ts_9_raw_files_give_as_many_frames_as_the_manifest_says() {
    for row in manifest().rows().iter().filter(|row| row.file.ends_with(".aac") || row.file.ends_with("adts")) {
        let Some(count) = row.lavf.packets("audio") else { continue };
        let data = media_bytes(&row.file).unwrap();
        for (allowed, step) in [(RAW, 700), (ADTS, 4096), ("ANY", 1 << 20)] {
            let (caps, buffers) = parse_file(&aacparse::factory(), &data, allowed, step);
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
    let (_, adts) = parse_file(&aacparse::factory(), &data, ADTS, 1000);
    let (caps, raw) = parse_file(&aacparse::factory(), &data, RAW, 1000);
    assert_eq!(caps[0].codec_data().unwrap()[..], [0x11, 0x90], "LC, 48 kHz, stereo");
    let mut harness = harness(&aacparse::factory(), ADTS);
    harness.push_start("sink", &caps[0].to_string()).unwrap();
    raw.iter().for_each(|buffer| harness.push_buffer("sink", buffer.clone()).unwrap());
    let (_, back) = taken(&mut harness);
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
    let (_, frames) = parse_file(&aacparse::factory(), &data, ADTS, 1000);
    let mut harness = harness(&aacparse::factory(), RAW);
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

/// An ADTS frame of `payload` bytes.
fn adts_frame(config: &AudioSpecificConfig, payload: usize) -> Vec<u8> {
    [&AdtsHeader::new(config, payload).unwrap().write()[..], &vec![0x21; payload]].concat()
}

#[test]
fn ts_9_a_new_configuration_renews_the_caps() {
    let (one, other) = (AudioSpecificConfig::lc(48_000, 2), AudioSpecificConfig::lc(44_100, 1));
    let stream = [&one, &one, &other, &other].map(|config| adts_frame(config, 100)).concat();
    let (caps, buffers) = parse_file(&aacparse::factory(), &stream.into(), RAW, 50);
    let facts: Vec<_> =
        caps.iter().map(|caps| (caps.rate(), caps.channels(), caps.codec_data().unwrap()[..].to_vec())).collect();
    assert_eq!(facts, [(Some(48_000), Some(2), vec![0x11, 0x90]), (Some(44_100), Some(1), vec![0x12, 0x08])]);
    assert_eq!(buffers.len(), 4);
    let second = Time::from_ticks(2048, 48_000);
    assert_eq!(buffers[3].pts, Some(second + Time::from_ticks(1024, 44_100).since(Time::ZERO)));
}

#[test]
fn damage_between_frames_is_counted_and_marked() {
    let frame = adts_frame(&AudioSpecificConfig::lc(48_000, 2), 100);
    let stream = [&frame[..], &frame, &[0x55; 33], &frame, &frame[..40]].concat();
    let mut harness = harness(&aacparse::factory(), ADTS);
    harness.push_start("sink", "").unwrap();
    harness.push_bytes("sink", &stream.into(), 64).unwrap();
    harness.eos().unwrap();
    let (_, buffers) = taken(&mut harness);
    let discont: Vec<_> = buffers.iter().map(|b| b.flags.contains(BufferFlags::DISCONT)).collect();
    assert_eq!(discont, [false, false, true]);
    let drops: Vec<_> = harness.drops.iter().map(|drop| (drop.bytes, drop.offset)).collect();
    assert_eq!(drops, [(33, Some(214)), (40, None)]);
}

#[test]
fn rtmp_v4_empty_frames_and_frames_before_the_configuration_are_counted() {
    for (caps, frames) in [("audio/mpeg, mpegversion=4, stream-format=raw, codec_data=(buffer)1190", 1), (RAW, 0)] {
        let mut harness = harness(&aacparse::factory(), ADTS);
        harness.push_start("sink", caps).unwrap();
        harness.push_buffer("sink", Buffer::default()).unwrap();
        harness.push_buffer("sink", Buffer::new(vec![0x21; 10])).unwrap();
        assert_eq!((harness.take_buffers("src").len(), harness.drops.len()), (frames, 2 - frames));
    }
}

#[test]
fn ts_9_latm_becomes_raw_with_its_configuration() {
    // StreamMuxConfig of RFC 6416 7.3 (AAC LC, 24 kHz, stereo), then one payload of 45 bytes; LOAS header before it.
    let mux = u64::from_be_bytes([0, 0, 0x40, 0x00, 0x26, 0x20, 0x3f, 0xc0]);
    let frame: Vec<u8> = (0..45).collect();
    let mut writer = BitWriter::new();
    writer.flag(false);
    writer.u(mux >> 4, 44);
    writer.bytes(&[45]);
    writer.bytes(&frame);
    let element = writer.finish();
    let loas = [&[0x56, 0xe0, element.len() as u8][..], &element].concat();
    let caps = "audio/mpeg, mpegversion=4, stream-format=loas";
    for (allowed, header) in [(RAW, 0), (ADTS, 7)] {
        let (caps, buffers) = parse_buffers(&aacparse::factory(), caps, &[Buffer::new(loas.repeat(3))], allowed);
        assert_eq!((caps[0].rate(), caps[0].channels(), buffers.len()), (Some(24_000), Some(2), 3));
        assert_eq!(buffers[2].payload.contiguous()[header..], frame);
        assert_eq!(buffers[2].pts, Some(Time::from_ticks(2048, 24_000)));
    }
}

#[test]
fn adts_refuses_what_it_cannot_say() {
    // Object type 42, USAC.
    let caps = "audio/mpeg, mpegversion=4, stream-format=raw, codec_data=(buffer)f94640";
    let mut adts = harness(&aacparse::factory(), ADTS);
    assert!(adts.push_start("sink", caps).unwrap_err().message().contains("mp4a.40.42"));
    harness(&aacparse::factory(), RAW).push_start("sink", caps).unwrap();
}
