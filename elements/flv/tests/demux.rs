//! flvdemux over real files: what comes out, and what it says of what does not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use bytes::Bytes;
use harness::{Made, PADS, caps_of, demux_file, demuxer, small, valid_files, walk};
use millstream_core::item::SeekTo;
use millstream_core::{Buffer, BufferFlags, Item, MessageKind, Request, Segment, Time};
use millstream_flv::demux::factory;
use millstream_testkit::{Harness, manifest, media::media_bytes};

#[test]
fn flv_4_frames_equal_libavformat() {
    let mut files = 0;
    for row in manifest().rows().iter().filter(|row| row.file.ends_with(".flv") && !row.lavf.tracks().is_empty()) {
        let file = media_bytes(&row.file).unwrap();
        let mut harness = demux_file(&file, &PADS, "", 100_003);
        let mut count = |pad: &str| harness.take_buffers(pad).len() as u64;
        let lavf = |kind: &str| {
            let tracks = row.lavf.tracks().iter().filter(move |track| track.kind == kind);
            tracks.map(|track| track.packets).collect::<Vec<_>>()
        };
        let expected = |kind, nth: usize| lavf(kind).get(nth).copied().unwrap_or(0);
        let counts = [("video", "video", 0), ("audio", "audio", 0), ("audio", "audio_1", 1)];
        // It guesses at what is damaged, and neither of us is right.
        if row.file.contains("bitflips") || row.file.contains("before_headers") {
            continue;
        }
        // It also delivers what is there of a last tag that was cut; we leave that out, and count it.
        let cut = cut_tag(&file);
        for (kind, pad, nth) in counts {
            let expected = expected(kind, nth) - u64::from(cut == Some(kind) && nth == 0);
            assert_eq!(count(pad), expected, "{} {pad}", row.file);
        }
        assert_eq!(harness.drops.iter().any(|dropped| dropped.reason == "tag cut off at the end"), cut.is_some());
        assert!(harness.streams_complete, "{}", row.file);
        files += 1;
    }
    assert!(files > 30 || manifest().rows().is_empty(), "{files}");
}

/// What the last tag of a file holds, if the file ends inside it.
fn cut_tag(file: &[u8]) -> Option<&'static str> {
    let end = walk(file).last().map_or(13, |(_, _, at, body)| at + 11 + body.len() + 4);
    match file.get(end)? {
        8 => Some("audio"),
        9 => Some("video"),
        _ => None,
    }
}

#[test]
fn flv_4_caps_say_what_the_streams_are() {
    // Sizes, rates and channels as ffprobe says them.
    for (file, pad, expected) in [
        (
            "gen/h264b_aac48s_10s.flv",
            "video",
            "video/x-h264, alignment=au, framerate=30/1, height=360, stream-format=avc, width=640",
        ),
        ("gen/h264b_aac48s_10s.flv", "audio", "audio/mpeg, channels=2, mpegversion=4, rate=48000, stream-format=raw"),
        ("gen/h264_aac44m.flv", "audio", "audio/mpeg, channels=1, mpegversion=4, rate=44100, stream-format=raw"),
        (
            "gen/ehevc_aac.flv",
            "video",
            "video/x-h265, alignment=au, framerate=30/1, height=360, stream-format=hvc1, width=640",
        ),
        (
            "gen/eav1_opus.flv",
            "video",
            "video/x-av1, alignment=tu, framerate=25/1, height=180, stream-format=obu-stream, width=320",
        ),
        ("gen/eav1_opus.flv", "audio", "audio/x-opus, channels=2, rate=48000"),
        ("gen/evp9_opus.flv", "video", "video/x-vp9, framerate=25/1, height=180, width=320"),
        ("gen/eh264_ac3.flv", "audio", "audio/x-ac3, channels=2, rate=48000"),
        ("gen/h264_mp3_44s.flv", "audio", "audio/mpeg, channels=2, layer=3, mpegversion=1, rate=44100"),
        ("gen/flv1_mp3_22k.flv", "video", "video/x-flash-video, flvversion=1, framerate=15/1, height=240, width=320"),
        ("gen/h264_speex16.flv", "audio", "audio/x-speex, channels=1, rate=16000"),
        ("gen/h264_nelly.flv", "audio", "audio/x-nellymoser, channels=1, rate=22050"),
        ("flv/ruffle__tone_alaw_mono.flv", "audio", "audio/x-alaw, channels=1, rate=8000"),
        (
            "flv/ruffle__tone_mono_22050hz.flv",
            "audio",
            "audio/mpeg, channels=1, mpegversion=4, rate=22050, stream-format=raw",
        ),
    ] {
        let Some(bytes) = media_bytes(file) else { continue };
        assert_eq!(caps_of(&demux_file(&bytes, &[pad], "", 1 << 20), pad), [expected], "{file}");
    }
}

#[test]
fn flv_1_cut_at_every_byte_gives_all_whole_tags() {
    let Some(file) = small() else { return };
    let mut ends: Vec<u64> = Vec::new();
    let mut whole = demux_file(&file, &["video", "audio"], "", 1 << 20);
    for pad in ["video", "audio"] {
        // Header, the five or two bytes ahead of the payload.
        let head = if pad == "video" { 16 } else { 13 };
        ends.extend(whole.take_buffers(pad).iter().map(|b| b.offset.unwrap() + head + b.payload.len() as u64));
    }
    for cut in (13..file.len()).step_by(7) {
        let mut harness = demux_file(&file.slice(..cut), &["video", "audio"], "", 4096);
        let got = harness.take_buffers("video").len() + harness.take_buffers("audio").len();
        assert_eq!(got, ends.iter().filter(|end| **end <= cut as u64).count(), "cut at {cut}");
    }
}

#[test]
fn flv_1_pieces_of_any_size_give_the_same() {
    let Some(file) = small() else { return };
    let expected = demux_file(&file, &PADS, "", file.len()).timeline();
    for step in [1, 7, 188, 1000, 4096] {
        assert_eq!(demux_file(&file, &PADS, "", step).timeline(), expected, "pieces of {step}");
    }
}

#[test]
fn media_bytes_are_shared_not_copied() {
    let Some(file) = media_bytes("gen/h264_1080p_aac_5s.flv") else { return };
    let mut harness = demux_file(&file, &["video", "audio"], "", file.len());
    let range = file.as_ptr_range();
    for pad in ["video", "audio"] {
        for buffer in harness.take_buffers(pad) {
            assert!(buffer.payload.slices().iter().all(|slice| range.contains(&slice.as_ptr())));
        }
    }
}

#[test]
fn rtmp_v2_changed_sequence_headers_are_new_caps_and_repeated_ones_nothing() {
    let Some(file) = media_bytes("gen/flv_sps_change.flv") else { return };
    let harness = demux_file(&file, &["video", "audio"], "", 1 << 20);
    let sizes: Vec<_> = caps_of(&harness, "video").into_iter().map(|caps| caps.contains("height=180")).collect();
    assert_eq!(sizes, [false, true]);
    assert_eq!(caps_of(&harness, "audio").len(), 2);
    let Some(file) = media_bytes("flv/enhanced-rtmp__testsrc.flv") else { return };
    let harness = demux_file(&file, &["video"], "", 1 << 20);
    assert_eq!(caps_of(&harness, "video").len(), 1, "it repeats its sequence header");
}

fn decoding_times(harness: &mut Harness, pad: &str) -> Vec<i64> {
    harness.take_buffers(pad).iter().map(|buffer| buffer.dts.unwrap().millis()).collect()
}

#[test]
fn flv_ts_restart_goes_on_or_is_passed_on() {
    let Some(file) = media_bytes("gen/flv_ts_restart.flv") else { return };
    let mut harness = demux_file(&file, &["video", "audio"], "", 1 << 20);
    let breaks =
        harness.items().filter(|(_, item)| matches!(item, Item::Buffer(b) if b.flags.contains(BufferFlags::DISCONT)));
    assert_eq!(breaks.count(), 2, "one a track");
    for (pad, frames) in [("video", 600), ("audio", 940)] {
        let times = decoding_times(&mut harness, pad);
        assert_eq!(times.len(), frames);
        assert!(times.windows(2).all(|pair| (1..200).contains(&(pair[1] - pair[0]))), "{pad}");
    }
    let mut harness = demux_file(&file, &["video"], "timestamps=original", 1 << 20);
    let times = decoding_times(&mut harness, "video");
    assert_eq!((times[0], times[300]), (0, 0));
}

#[test]
fn flv_2_timestamps_cross_2_pow_24_and_2_pow_32() {
    for (file, power) in [("gen/flv_ts_wrap24.flv", 24), ("gen/flv_ts_wrap32.flv", 32)] {
        let Some(bytes) = media_bytes(file) else { continue };
        let mut harness = demux_file(&bytes, &["video"], "", 1 << 20);
        let start = harness.items().find_map(|(_, item)| match item {
            Item::Segment(segment) => Some(segment.start.millis()),
            _ => None,
        });
        let times = decoding_times(&mut harness, "video");
        assert_eq!(times.len(), 300, "{file}");
        assert!(times.windows(2).all(|pair| (1..100).contains(&(pair[1] - pair[0]))), "{file}");
        assert!(times[0] < 1 << power && times[299] > 1 << power, "{file}: {} {}", times[0], times[299]);
        assert!(start.unwrap() <= times[0], "running time begins at 0");
    }
}

#[test]
fn flv_1_what_is_not_flv_is_refused_with_a_hint() {
    let error = |bytes: &'static [u8]| {
        let mut harness = demuxer(&["video"], "");
        let pushed = harness.push_buffer("sink", Buffer::new(bytes)).and_then(|()| harness.eos());
        pushed.unwrap_err()
    };
    for (bytes, hint) in [
        (&[0x47; 400][..], "tsdemux"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "MP4"),
        (b"<!DOCTYPE html>", "web page"),
        (b"FL", "begin with the letters FLV"),
        (b"", "empty"),
    ] {
        let error = error(bytes);
        assert_eq!((error.kind(), error.offset()), (millstream_core::ErrorKind::Malformed, Some(0)));
        assert!(error.hint_text().unwrap().contains(hint), "{hint}: {:?}", error.hint_text());
    }
}

#[test]
fn flv_1_header_without_tags_ends_quietly() {
    let Some(file) = media_bytes("broken/flv_header_only.flv") else { return };
    let harness = demux_file(&file, &["video", "audio"], "", 5);
    assert!(harness.streams_complete && harness.items().all(|(_, item)| matches!(item, Item::Eos)));
}

#[test]
fn flv_1_frames_ahead_of_sequence_headers_are_counted() {
    let Some(file) = media_bytes("broken/flv_media_before_headers.flv") else { return };
    let mut harness = demux_file(&file, &["video", "audio"], "", 1 << 20);
    assert!(harness.take_buffers("video").is_empty() && harness.take_buffers("audio").is_empty());
    let ahead = harness.drops.iter().filter(|dropped| dropped.reason == "frame ahead of its sequence header");
    assert_eq!(ahead.count(), 125 + 217);
}

#[test]
fn flv_1_damage_is_counted_and_marked() {
    let Some(file) = small() else { return };
    let mut bytes = file.to_vec();
    bytes[9000..9400].fill(0xFF);
    let mut harness = demux_file(&bytes.into(), &["video", "audio"], "", 4096);
    assert!(harness.drops.iter().any(|dropped| dropped.reason == "damaged bytes"), "{:?}", harness.drops);
    let marked = |buffer: &Buffer| buffer.flags.contains(BufferFlags::DISCONT);
    assert!(harness.take_buffers("video").iter().any(marked));
    assert_eq!(harness.take_buffers("audio").iter().filter(|buffer| marked(buffer)).count(), 1);
}

/// A file with these header flags and `onMetaData` or none, and sound only.
fn sound_only(flags: u8, metadata: bool) -> Bytes {
    let file = Made::new(flags);
    let data = b"\x02\0\x0aonMetaData\x08\0\0\0\x01\0\x0caudiocodecid\0\x40\x24\0\0\0\0\0\0\0\0\x09";
    let file = if metadata { file.tag(18, 0, data) } else { file };
    file.aac().tags(8, (0..500).map(|frame| frame * 21), &[0xAF, 1, 7]).bytes()
}

#[test]
fn tracks_are_complete_when_the_file_says_so_or_after_three_seconds() {
    for (flags, metadata, complete_at) in [(4, false, 0), (5, true, 0), (5, false, 3003), (0, false, 3003)] {
        let mut harness = demuxer(&["video", "audio"], "");
        let mut at = None;
        for byte in sound_only(flags, metadata).chunks(18) {
            harness.push_buffer("sink", Buffer::new(byte.to_vec())).unwrap();
            if at.is_none() && harness.streams_complete {
                at = Some(harness.take_buffers("audio").last().map_or(0, |buffer| buffer.dts.unwrap().millis()));
            }
        }
        assert_eq!(at, Some(complete_at), "flags {flags}, metadata {metadata}");
    }
}

#[test]
fn only_linked_tracks_are_waited_for() {
    let Some(file) = media_bytes("gen/h264b_aac48s_10s.flv") else { return };
    let mut harness = demuxer(&["audio"], "");
    harness.push_bytes("sink", &file.slice(..1200), 100).unwrap();
    assert!(harness.streams_complete);
}

fn tags_of(harness: &Harness) -> Vec<(String, String)> {
    let tags = harness.items().find_map(|(_, item)| match item {
        Item::Tags(tags) => Some(tags.0.clone()),
        _ => None,
    });
    tags.unwrap()
}

#[test]
fn flv_6_duration_and_texts_are_told_once() {
    let Some(file) = media_bytes("gen/h264b_aac48s_10s.flv") else { return };
    let harness = demux_file(&file, &["video", "audio"], "", 1 << 20);
    let tags = tags_of(&harness);
    assert!(tags.contains(&("duration".into(), "10067".into())), "{tags:?}");
    let told = harness.messages.iter().filter_map(|message| match message {
        MessageKind::Progress { duration, .. } => *duration,
        _ => None,
    });
    assert_eq!(told.map(|duration| duration.millis()).collect::<Vec<_>>(), [10_067]);
    let Some(file) = media_bytes("flv/scuffle__avc_aac.flv") else { return };
    let tags = tags_of(&demux_file(&file, &["video"], "", 1 << 20));
    assert!(tags.iter().any(|(name, text)| name == "encoder" && text.starts_with("Lavf")), "{tags:?}");
}

#[test]
fn flv_6_seek_by_time_goes_to_the_key_frame_before() {
    let Some(file) = media_bytes("gen/h264b_aac48s_10s.flv") else { return };
    let file = harness::copy_of(&file, "");
    let mut harness = demuxer(&["video", "audio"], "");
    harness.push_bytes("sink", &file.slice(..200_000), 50_000).unwrap();
    let seek = Request::Seek { to: SeekTo::Time(Time::from_millis(6500)), epoch: 3 };
    harness.request("video", seek).unwrap();
    let Some((_, Request::Seek { to: SeekTo::Byte(offset), epoch: 3 })) = harness.requests.pop() else {
        panic!("no seek")
    };
    harness.take("video");
    harness.take("audio");
    harness.push("sink", Item::Flush(3)).unwrap();
    harness.push("sink", Item::Segment(Segment::bytes(offset).into())).unwrap();
    let rest = file.slice(offset as usize..);
    harness.push_buffer("sink", Buffer { offset: Some(offset), ..Buffer::new(rest) }).unwrap();
    harness.eos().unwrap();
    assert!(harness.drops.is_empty(), "{:?}", harness.drops);
    let items = harness.take("video");
    assert!(matches!(items[..2], [Item::Flush(3), Item::Segment(_)]), "{:?}", &items[..2]);
    let Some(Item::Buffer(first)) = items.iter().find(|item| matches!(item, Item::Buffer(_))) else { panic!() };
    assert_eq!(first.dts, Some(Time::from_millis(6000)), "key frames are a second apart");
    assert!(first.is_keyframe() && first.flags.contains(BufferFlags::DISCONT));
}

#[test]
fn seek_without_an_index_is_a_warning_and_back_to_the_start_works() {
    let Some(file) = small() else { return };
    let mut harness = demuxer(&["video"], "");
    harness.push_bytes("sink", &file, 4096).unwrap();
    let to = |ms| Request::Seek { to: SeekTo::Time(Time::from_millis(ms)), epoch: 1 };
    harness.request("video", to(5000)).unwrap();
    assert_eq!((harness.requests.len(), harness.warnings().len()), (0, 1));
    harness.request("video", to(0)).unwrap();
    assert!(matches!(harness.requests[0].1, Request::Seek { to: SeekTo::Byte(0), .. }));
    harness.take("video");
    harness.push("sink", Item::Flush(1)).unwrap();
    harness.push_bytes("sink", &file, 4096).unwrap();
    assert_eq!(harness.take_buffers("video")[0].dts, Some(Time::ZERO));
}

#[test]
fn a_hole_in_the_input_is_a_discontinuity() {
    let Some(file) = media_bytes("gen/h264b_aac48s_10s.flv") else { return };
    let mut harness = demuxer(&["video"], "");
    harness.push_bytes("sink", &file.slice(..100_000), 10_000).unwrap();
    let behind = Buffer { offset: Some(300_123), ..Buffer::new(file.slice(300_123..)) };
    harness.push_buffer("sink", behind.with_flags(BufferFlags::DISCONT)).unwrap();
    harness.eos().unwrap();
    let buffers = harness.take_buffers("video");
    let marked: Vec<_> = buffers.iter().filter(|buffer| buffer.flags.contains(BufferFlags::DISCONT)).collect();
    assert!(matches!(marked[..], [first] if first.offset > Some(300_123)), "{marked:?}");
}

#[test]
fn flv_3_script_data_comes_out_where_somebody_wants_it() {
    let cue = b"\x02\0\x0aonCuePoint\x05";
    let file = Made::new(4).aac().tags(8, (0..50).map(|frame| frame * 20), &[0xAF, 1, 7]).tag(18, 1000, cue);
    let file = file.tags(8, (50..300).map(|frame| frame * 20), &[0xAF, 1, 7]);
    // AMF3 script data has a zero byte ahead; the second one is late.
    let file = file.tag(15, 5000, &[&[0][..], cue].concat()).tag(8, 6000, &[0xAF, 1, 7]).bytes();
    let mut harness = demux_file(&file, &["audio", "script"], "", 1 << 20);
    let times = harness.items().filter_map(|(pad, item)| match item {
        Item::Gap(gap) if pad == "script" => Some(gap.start.millis()),
        _ => None,
    });
    let expected: Vec<_> = (3..=12).map(|half| half * 500).collect();
    assert_eq!(times.collect::<Vec<_>>(), expected, "a muxer must not wait for the next text");
    let buffers = harness.take_buffers("script");
    let said: Vec<_> =
        buffers.iter().map(|buffer| (buffer.dts.unwrap().millis(), buffer.payload.contiguous())).collect();
    assert_eq!(said, [(1000, Bytes::from_static(cue)), (5500, Bytes::from_static(cue))]);
}

#[test]
fn flv_3_script_timeline_starts_over_behind_a_flush() {
    let cue = b"\x02\0\x0aonCuePoint\x05";
    let mut harness = demuxer(&["audio", "script"], "");
    let file = Made::new(4).aac().tag(8, 9000, &[0xAF, 1, 7]).tag(18, 9000, cue).bytes();
    harness.push_bytes("sink", &file, 4096).unwrap();
    harness.take("script");
    harness.push("sink", Item::Flush(1)).unwrap();
    let back = Made::new(4).aac().tag(8, 40, &[0xAF, 1, 7]).bytes();
    harness.push_bytes("sink", &back, 4096).unwrap();
    let items = harness.take("script");
    assert!(
        matches!(&items[..], [Item::Flush(1), Item::Segment(segment), Item::Gap(gap)]
            if segment.start.millis() == 40 && gap.start.millis() == 40),
        "{items:?}"
    );
}

#[test]
fn flv_1_e_12_steps_back_of_a_careless_writer_stand_still() {
    let file = Made::new(4).aac().tags(8, [100, 120, 110, 115, 130], &[0xAF, 1, 7]).bytes();
    let mut harness = demux_file(&file, &["audio"], "", 1 << 20);
    let buffers = harness.take_buffers("audio");
    let times: Vec<_> = buffers.iter().map(|b| (b.dts.unwrap().millis(), b.pts.unwrap().millis())).collect();
    assert_eq!(times, [(100, 100), (120, 120), (120, 120), (120, 120), (130, 130)]);
    assert!(buffers.iter().all(|buffer| !buffer.flags.contains(BufferFlags::DISCONT)));
    let mut harness = demux_file(&file, &["audio"], "timestamps=original", 1 << 20);
    let flags =
        harness.take_buffers("audio").iter().map(|b| b.flags.contains(BufferFlags::DISCONT)).collect::<Vec<_>>();
    assert_eq!(flags, [false, false, true, false, false]);
}

#[test]
fn flv_1_e_11_one_damaged_tag_header_costs_one_frame() {
    // The codec of one AAC frame is damaged: not at all, MP3, device-specific, Enhanced FLV, unknown.
    for (nibble, lost, caps) in [(0xA, 0, 1), (0x2, 0, 3), (0xF, 1, 1), (0x9, 1, 1), (0xC, 1, 1)] {
        let file = Made::new(4).aac().tags(8, (0..10).map(|frame| frame * 20), &[0xAF, 1, 7]);
        let file = file.tag(8, 200, &[nibble << 4 | 0xF, 1, 7]);
        let file = file.tags(8, (11..20).map(|frame| frame * 20), &[0xAF, 1, 7]).bytes();
        let mut harness = demux_file(&file, &["audio"], "", 1 << 20);
        let all = caps_of(&harness, "audio");
        assert_eq!(all.len(), caps, "{nibble:x}: {all:?}");
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "E-11 {nibble:x}: {all:?}");
        let buffers = harness.take_buffers("audio");
        assert_eq!((buffers.len(), harness.drops.len()), (20 - lost, lost), "{nibble:x}: {:?}", harness.drops);
        let marked = buffers.iter().position(|buffer| buffer.flags.contains(BufferFlags::DISCONT));
        assert_eq!(marked, (lost == 1).then_some(10), "E-13: the frame behind the lost one");
    }
}

#[test]
fn flv_1_e_18_empty_input_has_all_its_streams() {
    let mut harness = demuxer(&["video"], "");
    assert!(harness.eos().is_err());
    assert!(harness.streams_complete);
}

#[test]
fn one_track_on_two_pads_is_refused() {
    let factory = factory();
    let built = Harness::builder(&factory).src("audio").src("audio_0").build();
    assert!(built.err().unwrap().to_string().contains("linked twice"));
    let built = Harness::builder(&factory).src("audio_300").build();
    assert!(built.err().unwrap().to_string().contains("0 to 255"));
}

fn events_of(harness: &Harness) -> Vec<(String, Bytes)> {
    let events = harness.items().filter_map(|(_, item)| match item {
        Item::Custom(event) => Some((event.name.clone(), Bytes::clone(&event.data))),
        _ => None,
    });
    events.collect()
}

#[test]
fn ert_8_metadata_packets_are_events() {
    let Some(file) = media_bytes("flv/scuffle__hevc_aac.flv") else { return };
    let events = events_of(&demux_file(&file, &["video"], "", 1 << 20));
    assert!(!events.is_empty() && events.iter().all(|(name, _)| name == "flv/video-metadata"));
    assert!(events[0].1.starts_with(b"\x02\0\x09colorInfo"));
}

#[test]
fn ert_8_metadata_ahead_of_the_sequence_header_waits_for_it() {
    let color = b"\x02\0\x09colorInfo\x03\0\0\x09";
    let file = Made::new(1).tag(9, 0, &[b"\x94hvc1", &color[..]].concat());
    let file = file.tag(9, 0, b"\x90hvc1\x01").tag(9, 0, b"\x91hvc1\0\0\0x").bytes();
    let mut harness = demux_file(&file, &["video"], "", 1 << 20);
    assert_eq!(events_of(&harness), [("flv/video-metadata".to_owned(), Bytes::from_static(color))]);
    let names: Vec<_> = harness.take("video").iter().map(Item::name).collect();
    assert_eq!(names, ["stream-start", "caps", "custom", "segment", "tags", "buffer", "eos"]);
}

#[test]
fn ert_6_nanosecond_offset_adds_to_the_presentation_time() {
    // ModEx: 3 bytes of data, nanosecond offset, then CodedFramesX.
    let frame = |nanos: u32| {
        let [_, data @ ..] = nanos.to_be_bytes();
        [&[0x97, 2][..], &data, &[0x03], b"hvc1x"].concat()
    };
    let file = Made::new(1).tag(9, 0, b"\x90hvc1\x01").tag(9, 10, &frame(250_000)).tag(9, 43, &frame(999_999)).bytes();
    let mut harness = demux_file(&file, &["video"], "", 1 << 20);
    let buffers = harness.take_buffers("video");
    let times: Vec<_> = buffers.iter().map(|b| (b.dts.unwrap().nanos(), b.pts.unwrap().nanos())).collect();
    assert_eq!(times, [(10_000_000, 10_250_000), (43_000_000, 43_999_999)]);
}

#[test]
fn ert_7_tracks_come_out_of_pads_of_their_number() {
    let Some(file) = media_bytes("gen/emulti_2a.flv") else { return };
    let mut harness = demux_file(&file, &["video", "audio_0", "audio_1"], "", 1 << 20);
    let counts = ["video", "audio_0", "audio_1"].map(|pad| harness.take_buffers(pad).len());
    assert_eq!(counts, [122, 189, 189], "as libavformat 62 counts them");
}

#[test]
fn ert_12_codec_id_12_is_hevc() {
    let file = Made::new(1).tag(9, 0, b"\x1c\0\0\0\0\x01").tag(9, 0, b"\x1c\x01\0\0\x28x").bytes();
    let mut harness = demux_file(&file, &["video"], "", 1 << 20);
    assert!(caps_of(&harness, "video")[0].starts_with("video/x-h265"));
    let frame = &harness.take_buffers("video")[0];
    assert_eq!((frame.pts.unwrap().millis(), frame.is_keyframe()), (40, true));
}

#[test]
fn valid_files_have_nothing_to_complain_about() {
    for (row, file) in valid_files() {
        let harness = demux_file(&file, &PADS, "", 1 << 20);
        assert_eq!((harness.drops.len(), harness.warnings().len()), (0, 0), "{}: {:?}", row.file, harness.drops);
    }
}
