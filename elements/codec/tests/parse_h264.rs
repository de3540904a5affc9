//! `h264parse` and `h265parse` on real streams and on damaged ones.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::parser::*;
use millstream_codec::elements::{h264parse, h265parse};
use millstream_codec::h265::HevcDecoderConfigurationRecord;
use millstream_core::item::Gap;
use millstream_core::{Buffer, BufferFlags, Factory, Item, MessageKind, Time};
use millstream_testkit::media::media_bytes;
use millstream_testkit::{Harness, manifest};

const AVC: &str = "video/x-h264, stream-format=avc";
const HVC1: &str = "video/x-h265, stream-format=hvc1";
const STREAM: &str = "video/x-h264, stream-format=byte-stream";
const UNITS: &str = "video/x-h264, stream-format=byte-stream, alignment=au";
const HEVC_STREAM: &str = "video/x-h265, stream-format=byte-stream";

fn avc() -> Factory {
    h264parse::factory()
}

#[test]
fn ts_8_raw_files_give_as_many_access_units_as_the_manifest_says() {
    for row in
        manifest().rows().iter().filter(|row| ["264", "h264", "h265", "265"].iter().any(|e| row.file.ends_with(e)))
    {
        let Some(count) = row.lavf.packets("video") else { continue };
        let hevc = row.lavf.tracks()[0].codec == "hevc";
        let (factory, stored, stream) =
            if hevc { (h265parse::factory(), HVC1, HEVC_STREAM) } else { (avc(), AVC, STREAM) };
        let data = media_bytes(&row.file).unwrap();
        for (allowed, step) in [(stored, 4096), (stream, 1000), ("ANY", 1 << 20)] {
            let (caps, buffers) = parse_file(&factory, &data, allowed, step);
            assert_eq!(buffers.len() as u64, count, "{} as {allowed}", row.file);
            assert!(!caps.is_empty() && caps[0].size().is_some(), "{}: {caps:?}", row.file);
            assert_eq!(caps[0].codec_data().is_some(), allowed == stored);
            assert!(buffers[0].is_keyframe(), "{}", row.file);
            let dts: Vec<_> = buffers.iter().map(|buffer| buffer.dts.unwrap()).collect();
            assert!(dts.is_sorted_by(|a, b| a < b), "{}", row.file);
            assert!(buffers.iter().all(|b| b.pts.is_none_or(|pts| pts >= b.dts.unwrap())), "{}", row.file);
            assert!(buffers.iter().all(|b| !b.flags.contains(BufferFlags::DISCONT)));
        }
    }
}

#[test]
fn presentation_times_of_raw_files_are_those_of_ffmpeg() {
    for (raw, flv, factory) in [
        ("gen/h264b_10s.h264", "gen/h264b_aac48s_10s.flv", avc()),
        ("gen/hevc_4s.h265", "gen/ehevc_aac.flv", h265parse::factory()),
    ] {
        let Some((raw, flv)) = media_bytes(raw).zip(media_bytes(flv)) else { return };
        let (_, buffers) = parse_file(&factory, &raw, "ANY", 5000);
        let (_, frames) = flv_video(&flv);
        assert_eq!(buffers.len(), frames.len());
        let first = (buffers[0].pts.unwrap(), frames[0].1);
        for (buffer, (_, pts, _)) in buffers.iter().zip(&frames) {
            let (ours, theirs) = (buffer.pts.unwrap().since(first.0), pts - first.1);
            assert!((ours.millis() - theirs).abs() <= 1, "{ours:?} {theirs} ms");
        }
        assert!(frames.iter().any(|(dts, pts, _)| pts - dts != frames[0].1 - frames[0].0), "reordered");
    }
}

#[test]
fn avc_to_byte_stream_and_back_keeps_every_byte() {
    for (file, caps, factory, stored, stream) in [
        ("gen/h264b_aac48s_10s.flv", AVC, avc(), AVC, STREAM),
        ("gen/ehevc_aac.flv", HVC1, h265parse::factory(), HVC1, HEVC_STREAM),
    ] {
        let Some(data) = media_bytes(file) else { return };
        let (config, frames) = flv_buffers(&data);
        let caps = with_codec_data(caps, &config);
        let (stream_caps, units) = parse_buffers(&factory, &caps, &frames, stream);
        assert_eq!((stream_caps.len(), stream_caps[0].codec_data()), (1, None));
        let (aud, first_set): (&[u8], u8) =
            if factory.name == "h264parse" { (&[0, 0, 0, 1, 9], 0x67) } else { (&[0, 0, 0, 1, 0x46], 0x40) };
        assert!(bytes(&units).iter().all(|b| b.starts_with(aud)), "TS-8: delimiters");
        let keys: Vec<_> = units.iter().filter(|b| b.is_keyframe()).collect();
        assert!(keys.len() > 1);
        for key in keys {
            let unit = key.payload.contiguous();
            let second = unit[4..].windows(4).position(|w| w == [0, 0, 0, 1]).unwrap() + 8;
            assert_eq!(unit[second], first_set, "TS-8: parameter sets before each key frame");
        }
        let (back_caps, back) = parse_buffers(&factory, &stream_caps[0].to_string(), &units, stored);
        assert_eq!(bytes(&back), bytes(&frames));
        let record = back_caps[0].codec_data().unwrap();
        if factory.name == "h264parse" {
            assert_eq!(record, &config, "the record that ffmpeg wrote");
        } else {
            // ffmpeg leaves open whether there are more sets in the stream; hvc1 says that there are none.
            let arrays =
                |data| HevcDecoderConfigurationRecord::parse(data).unwrap().nals().cloned().collect::<Vec<_>>();
            assert_eq!(arrays(record), arrays(&config));
        }
        let times = |buffers: &[Buffer]| buffers.iter().map(|b| (b.pts, b.dts)).collect::<Vec<_>>();
        assert_eq!(times(&back), times(&frames));

        let (same_caps, same) = parse_buffers(&factory, &caps, &frames, "ANY");
        assert_eq!(same_caps[0].codec_data(), Some(&config));
        for (same, frame) in same.iter().zip(&frames) {
            assert_eq!(same.payload.slices()[0].as_ptr(), frame.payload.slices()[0].as_ptr(), "not copied");
        }
        for (unit, frame) in units.iter().zip(&frames) {
            let (last, whole) = (unit.payload.slices().last().unwrap(), &frame.payload.slices()[0]);
            assert_eq!(last.as_ptr_range().end, whole.as_ptr_range().end, "media bytes are shared");
        }
    }
}

#[test]
fn caps_say_what_ffprobe_says() {
    let Some(data) = media_bytes("gen/h264b_aac48s_10s.flv") else { return };
    let (config, frames) = flv_buffers(&data);
    let (caps, _) = parse_buffers(&avc(), &with_codec_data(AVC, &config), &frames[..1], UNITS);
    let text = "video/x-h264, alignment=au, framerate=30/1, height=360, level=\"3\", pixel-aspect-ratio=1/1, \
                profile=high, stream-format=byte-stream, width=640";
    assert_eq!(caps[0].to_string(), text);
}

#[test]
fn new_parameter_sets_in_the_stream_renew_the_caps() {
    let (Some(one), Some(other)) = (media_bytes("gen/h264b_10s.h264"), media_bytes("es/shaka-packager__bear.h264"))
    else {
        return;
    };
    let both = Bytes::from([one, other].concat());
    let (caps, buffers) = parse_file(&avc(), &both, AVC, 4096);
    assert_eq!((caps.len(), buffers.len()), (2, 330));
    assert_eq!((caps[0].size(), caps[1].size()), (Some((640, 360)), Some((320, 180))));
    assert_ne!(caps[0].codec_data(), caps[1].codec_data());
}

/// SPS and PPS of a small stream, its IDR slice and another slice, without start codes.
fn small_units() -> Option<(Bytes, Vec<Buffer>)> {
    let data = media_bytes("gen/video_only_h264.flv").or_else(|| media_bytes("gen/h264b_aac48s_10s.flv"))?;
    let (config, frames) = flv_buffers(&data);
    Some((with_codec_data(AVC, &config).into(), frames))
}

#[test]
fn rtmp_v4_a_lying_length_costs_one_access_unit() {
    let Some((caps, frames)) = small_units() else { return };
    let caps = std::str::from_utf8(&caps).unwrap();
    for allowed in [AVC, STREAM] {
        let mut harness = harness(&avc(), allowed);
        harness.push_start("sink", caps).unwrap();
        let mut lying = frames[1].payload.contiguous().to_vec();
        lying[0] = 0xff;
        let damaged = Buffer { offset: Some(1000), ..Buffer::new(lying.clone()) };
        for buffer in [frames[0].clone(), damaged, frames[2].clone(), frames[3].clone()] {
            harness.push_buffer("sink", buffer).unwrap();
        }
        let discont: Vec<_> = taken(&mut harness).1.iter().map(|b| b.flags.contains(BufferFlags::DISCONT)).collect();
        assert_eq!(discont, [false, true, false]);
        let dropped = &harness.drops[0];
        assert_eq!((dropped.bytes, dropped.offset), (lying.len() as u64, Some(1000)));
    }
}

#[test]
fn rtmp_v4_empty_nal_units_and_empty_buffers_are_harmless() {
    let Some((caps, frames)) = small_units() else { return };
    let caps = std::str::from_utf8(&caps).unwrap();
    let padded = [&[0; 4][..], &frames[0].payload.contiguous(), &[0; 4]].concat();
    for allowed in [AVC, STREAM] {
        let (_, expected) = parse_buffers(&avc(), caps, &frames[..2], allowed);
        let input = [Buffer::new(padded.clone()), Buffer::default(), frames[1].clone()];
        let (_, found) = parse_buffers(&avc(), caps, &input, allowed);
        assert_eq!(bytes(&found), bytes(&expected));
        assert!(!found[1].flags.contains(BufferFlags::DISCONT));
    }
}

#[test]
fn rtmp_v4_pictures_before_the_parameter_sets_are_counted() {
    let Some(data) = media_bytes("gen/h264b_10s.h264") else { return };
    let (_, units) = parse_file(&avc(), &data, UNITS, 4096);
    let mut harness = harness(&avc(), "ANY");
    harness.push_start("sink", UNITS).unwrap();
    harness.push_buffer("sink", units[1].clone()).unwrap();
    assert_eq!((harness.take_buffers("src").len(), harness.drops.len()), (0, 1));
    harness.push_buffer("sink", units[0].clone()).unwrap();
    let first = &harness.take_buffers("src")[0];
    assert!(first.is_keyframe() && first.flags.contains(BufferFlags::DISCONT));
}

#[test]
fn config_interval_says_how_often_sets_are_repeated() {
    let Some((caps, frames)) = small_units() else { return };
    let caps = std::str::from_utf8(&caps).unwrap();
    let with_sets = |setting: &str| {
        let mut harness = Harness::builder(&avc()).settings(setting).src_caps("src", STREAM).build().unwrap();
        harness.push_start("sink", caps).unwrap();
        // Key frames a second apart.
        for second in 0..6 {
            let time = Some(Time::from_millis(second * 1000));
            harness.push_buffer("sink", frames[0].clone().with_times(time, time)).unwrap();
        }
        let units = harness.take_buffers("src");
        units.iter().filter(|unit| unit.payload.contiguous()[10] == 0x67).count()
    };
    let counts = ["config-interval=-1", "config-interval=0", "config-interval=2", ""].map(with_sets);
    assert_eq!(counts, [6, 0, 3, 6]);
}

#[test]
fn recovery_points_are_key_frames_when_asked_for() {
    let Some((caps, frames)) = small_units() else { return };
    let caps = std::str::from_utf8(&caps).unwrap();
    // A recovery point SEI with recovery_frame_cnt 0 before a P picture.
    let unit = [&[0, 0, 0, 5, 0x06, 6, 1, 0b1100_0100, 0x80][..], &frames[1].payload.contiguous()].concat();
    for (setting, key) in [("", false), ("key-frames=recovery-point", true)] {
        let mut harness = Harness::builder(&avc()).settings(setting).build().unwrap();
        harness.push_start("sink", caps).unwrap();
        harness.push_buffer("sink", Buffer::new(unit.clone()).with_flags(BufferFlags::KEYFRAME)).unwrap();
        assert_eq!(harness.take_buffers("src")[0].is_keyframe(), key);
    }
}

#[test]
fn pieces_with_timestamps_give_them_to_the_first_picture_that_begins_there() {
    let Some(data) = media_bytes("gen/h264b_10s.h264") else { return };
    let (_, units) = parse_file(&avc(), &data, UNITS, 4096);
    let mut harness = harness(&avc(), STREAM);
    harness.push_start("sink", STREAM).unwrap();
    // Each PES packet: an access unit and the beginning of the next one's bytes withheld to the packet after.
    for (index, unit) in units.iter().take(5).enumerate() {
        let time = Some(Time::from_millis(1000 * index as i64));
        harness.push_buffer("sink", Buffer::new(unit.payload.contiguous()).with_times(time, time)).unwrap();
    }
    harness.push("sink", Item::Gap(Gap { start: Time::from_millis(5000), duration: None }.into())).unwrap();
    let (_, found) = taken(&mut harness);
    let dts: Vec<_> = found.iter().map(|unit| unit.dts.unwrap().millis()).collect();
    assert_eq!(dts, [0, 1000, 2000, 3000, 4000], "a gap sends what is held");
    assert_eq!(bytes(&found), bytes(&units[..5]));
}

#[test]
fn a_flush_forgets_what_is_held_and_eos_sends_it() {
    let Some(data) = media_bytes("gen/h264b_10s.h264") else { return };
    let mut harness = harness(&avc(), "ANY");
    harness.push_start("sink", "").unwrap();
    harness.push_bytes("sink", &data.slice(..20_000), 20_000).unwrap();
    harness.take("src");
    harness.push("sink", Item::Flush(3)).unwrap();
    harness.push("sink", Item::Absent).unwrap();
    harness.eos().unwrap();
    let kinds: Vec<_> = harness.take("src").iter().map(Item::name).collect();
    assert_eq!(kinds, ["flush", "absent", "eos"]);
    harness.push_bytes("sink", &data.slice(..20_000), 20_000).unwrap();
    let before = harness.take_buffers("src");
    assert_eq!(before[0].dts, Some(Time::ZERO), "counting starts over");
    harness.eos().unwrap();
    assert!(!harness.take_buffers("src").is_empty());
}

#[test]
fn other_caps_are_refused() {
    let mut harness = harness(&avc(), "ANY");
    assert!(harness.push_start("sink", "video/x-h265").is_err());
    assert!(harness.push_start("sink", "video/x-h264, stream-format=odd").is_err());
    harness.push_start("sink", "video/x-h264, stream-format=avc, codec_data=(buffer)0102").unwrap();
    assert!(matches!(harness.messages[..], [MessageKind::Warning(_)]));
}

#[test]
fn damaged_streams_never_panic_and_lose_nothing_uncounted() {
    for file in ["gen/h264b_10s.h264", "gen/hevc_4s.h265"] {
        let Some(data) = media_bytes(file) else { return };
        let factory = if file.ends_with("h264") { avc() } else { h265parse::factory() };
        for seed in 1..40u64 {
            let mut damaged = data[..60_000.min(data.len())].to_vec();
            for (index, byte) in damaged.iter_mut().enumerate() {
                if (index as u64).wrapping_mul(seed * 0x9E37_79B9).is_multiple_of(997) {
                    *byte ^= 1 << (seed % 8);
                }
            }
            for allowed in [AVC, STREAM, HVC1, HEVC_STREAM] {
                parse_file(&factory, &damaged.clone().into(), allowed, 1 + seed as usize * 97);
            }
        }
    }
}
