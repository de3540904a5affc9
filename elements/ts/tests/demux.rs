//! `tsdemux` over real files: what comes out, and what it says of what does not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use std::collections::HashMap;

use bytes::Bytes;
use harness::{caps_of, clip, demux_file, demuxer, frames, mux_items, valid_files};
use millstream_core::item::SeekTo;
use millstream_core::{Buffer, BufferFlags, ErrorKind, Item, Request, Segment, Time};
use millstream_testkit::{Harness, media::media_bytes};

const AV: [&str; 2] = ["video", "audio"];

/// libavformat counts what is left of a frame whose head is before the first packet, or whose end is behind the last: so many.
const PARTS_OF_FRAMES: [(&str, u64); 2] = [("ts/gst__test.ts", 1), ("ts/media__sample_ac3.ts", 2)];

#[test]
fn ts_9_ts_10_frames_equal_libavformat() {
    let mut wrong = Vec::new();
    for (row, file) in valid_files() {
        let tracks = row.lavf.tracks();
        let programs: &[u16] = if row.file.ends_with("two_programs.ts") { &[1, 2] } else { &[0] };
        let mut numbers = HashMap::new();
        for (n, track) in tracks.iter().enumerate() {
            let program = programs[n * programs.len() / tracks.len()];
            let settings = if program == 0 { String::new() } else { format!("program-number={program}") };
            let class = if track.kind == "data" { "private" } else { &track.kind };
            let number = numbers.entry((program, class)).and_modify(|n| *n += 1).or_insert(0);
            let pad = format!("{class}_{number}");
            let mut harness = demux_file(&file, &[&pad], &settings, 100_003);
            assert!(harness.streams_complete, "{}", row.file);
            let parts = PARTS_OF_FRAMES.iter().find(|(name, _)| *name == row.file && class == "audio");
            let count = frames(&mut harness, &pad).len() as u64 + parts.map_or(0, |(_, parts)| *parts);
            if count != track.packets {
                wrong.push(format!("{} {pad}: {count}, not {}", row.file, track.packets));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn ts_10_caps_say_what_the_streams_are() {
    for (file, pad, expected) in [
        ("gen/h264b_aac48s_10s.ts", "video", "video/x-h264, stream-format=byte-stream"),
        ("gen/h264b_aac48s_10s.ts", "audio", "audio/mpeg, mpegversion=4, stream-format=adts"),
        ("gen/hevc_aac.ts", "video", "video/x-h265, stream-format=byte-stream"),
        ("gen/h264_ac3.ts", "audio", "audio/x-ac3"),
        ("gen/h264_opus.ts", "audio", "audio/x-opus, channels=2, rate=48000"),
        ("gen/mpeg2_mp2.ts", "video", "video/mpeg, mpegversion=2, systemstream=false"),
        ("gen/mpeg2_mp2.ts", "audio", "audio/mpeg, mpegversion=1"),
        ("ts/media__sample_eac3.ts", "audio", "audio/x-eac3"),
        ("ts/media__sample_latm.ts", "audio", "audio/mpeg, mpegversion=4, stream-format=loas"),
        ("ts/media__sample_scte35.ts", "private_0", "application/x-scte-35"),
    ] {
        let Some(bytes) = media_bytes(file) else { continue };
        assert_eq!(caps_of(&demux_file(&bytes, &[pad], "", 1 << 20), pad), [expected], "{file}");
    }
}

#[test]
fn pieces_of_any_size_give_the_same() {
    let file = clip().slice(..188 * 700);
    let expected = demux_file(&file, &AV, "", file.len()).timeline().buffers();
    for step in [1, 7, 188, 1000, 4096] {
        assert_eq!(demux_file(&file, &AV, "", step).timeline().buffers(), expected, "pieces of {step}");
    }
}

/// The packets of a file with more bytes around each: ahead as in M2TS, or behind as error correction.
fn with_stride(file: &[u8], ahead: usize, behind: usize) -> Bytes {
    let around = |packet: &[u8]| [&vec![0x11; ahead], packet, &vec![0x47; behind]].concat();
    file.chunks_exact(188).flat_map(around).collect()
}

#[test]
fn ts_1_packets_of_192_204_and_208_bytes_give_the_same() {
    let file = clip();
    let expected = frames(&mut demux_file(&file, &AV, "", 1 << 20), "video");
    for (ahead, behind) in [(4, 0), (0, 16), (0, 20)] {
        let mut harness = demux_file(&with_stride(&file, ahead, behind), &AV, "", 65_521);
        assert!(harness.drops.is_empty(), "{:?}", harness.drops);
        let found = frames(&mut harness, "video");
        let key = |buffer: &Buffer| (buffer.payload.contiguous(), buffer.pts, buffer.dts, buffer.is_keyframe());
        assert!(found.iter().map(key).eq(expected.iter().map(key)), "{ahead} ahead, {behind} behind");
    }
}

#[test]
fn ts_1_cut_at_every_byte_gives_all_whole_frames() {
    let file = clip().slice(..188 * 300);
    let count = |cut: usize| {
        let mut harness = demux_file(&file.slice(..cut), &AV, "", 1 << 20);
        let cut_off: u64 = harness.drops.iter().filter(|drop| drop.reason == "cut-packet").map(|drop| drop.bytes).sum();
        let whole: usize = AV.iter().map(|pad| harness.take_buffers(pad).len()).sum();
        (whole, cut_off)
    };
    // Tables first, so that a program is known.
    let mut before = 0;
    for cut in (188 * 4..file.len()).step_by(11) {
        let (frames, cut_off) = count(cut);
        assert!(frames >= before, "fewer frames of {cut} bytes than of fewer");
        assert_eq!(cut_off as usize, cut % 188);
        before = frames;
    }
    assert!(before > 20);
}

/// Running times of the buffers of a pad in decoding order, in milliseconds, and the number of buffers flagged DISCONT.
fn running(harness: &Harness, pad: &str) -> (Vec<i64>, usize) {
    let (mut segment, mut times, mut breaks) = (None, Vec::new(), 0);
    for (_, item) in harness.items().filter(|(from, _)| *from == pad) {
        match item {
            Item::Segment(new) => segment = Some(new.clone()),
            Item::Buffer(buffer) => {
                breaks += usize::from(buffer.flags.contains(BufferFlags::DISCONT));
                times.push(segment.as_ref().unwrap().running_time(buffer.dts.unwrap()).millis());
            }
            _ => {}
        }
    }
    (times, breaks)
}

#[test]
fn ts_6_times_cross_2_pow_33_and_stay_together() {
    let Some(file) = media_bytes("gen/h264_pts_wrap33.ts") else { return };
    let harness = demux_file(&file, &AV, "", 1 << 20);
    let (video, breaks) = running(&harness, "video");
    let (audio, _) = running(&harness, "audio");
    assert_eq!((video.len(), breaks), (300, 0));
    assert!(video.windows(2).all(|pair| (30..40).contains(&(pair[1] - pair[0]))), "{video:?}");
    assert!(audio.windows(2).all(|pair| pair[1] > pair[0]));
    assert!(video[0].min(audio[0]) == 0 && video[299].abs_diff(*audio.last().unwrap()) < 200);
    let wrap = Time::from_ticks(1 << 33, 90_000);
    let mut harness = harness;
    let times: Vec<_> = harness.take_buffers("video").iter().map(|buffer| buffer.dts.unwrap()).collect();
    assert!(times[0] < wrap && times[299] > wrap);
}

#[test]
fn ts_3_a_file_that_begins_anew_goes_on_in_running_time() {
    let file = clip();
    let twice: Bytes = [file.clone(), file.clone(), file].concat().into();
    let harness = demux_file(&twice, &AV, "", 1 << 20);
    for (pad, count, longest) in [("video", 900, 40), ("audio", 0, 250)] {
        let (times, breaks) = running(&harness, pad);
        assert!(times.len() >= count);
        assert_eq!(breaks, 2, "{pad}: one where each copy begins");
        let steps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps.iter().all(|step| (0..=longest).contains(step)), "{pad}: {steps:?}");
    }
    let segments = harness.items().filter(|(_, item)| matches!(item, Item::Segment(_))).count();
    assert_eq!(segments, 6);
}

#[test]
fn ts_4_other_tables_are_other_streams_on_the_same_pads() {
    let Some(file) = media_bytes("broken/ts_discontinuity_unmarked.ts") else { return };
    let mut harness = demux_file(&file, &AV, "", 1 << 20);
    let media =
        |caps: Vec<String>| caps.iter().map(|caps| caps.split(',').next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(media(caps_of(&harness, "audio")), ["audio/x-ac3", "audio/x-opus"]);
    assert_eq!(media(caps_of(&harness, "video")), ["video/x-h264"], "the same stream goes on");
    assert_eq!(harness.take_buffers("video").len(), 200);
}

#[test]
fn ts_4_a_program_that_goes_leaves_its_pads_to_the_next() {
    let demuxed = demux_file(&clip(), &AV, "", 1 << 20);
    let [one, two] = ["program-number=1", "program-number=2"].map(|settings| mux_items(&demuxed, &AV, settings));
    let both: Bytes = [one, two].concat().into();
    let mut harness = demux_file(&both, &AV, "", 1 << 20);
    let kinds: Vec<_> = harness.take("video").iter().map(Item::name).filter(|name| *name != "buffer").collect();
    let stream = ["stream-start", "caps", "segment"];
    assert_eq!(kinds, [&stream[..], &["absent"], &stream[..], &["eos"]].concat());
    let mut second = demux_file(&both, &["video"], "program-number=2", 1 << 20);
    assert_eq!(second.take_buffers("video").len(), 300);
}

#[test]
fn a_track_that_never_comes_is_absent_or_sends_gaps() {
    let Some(file) = media_bytes("ts/media__sample_h264.ts") else { return };
    let mut harness = demux_file(&file, &AV, "", 1 << 20);
    assert!(harness.streams_complete);
    assert!(matches!(harness.take("audio")[..], [Item::Eos]), "it is not in the tables");
    let Some(file) = media_bytes("ts/mux.js__test-no-audio-segment.ts") else { return };
    let mut harness = demux_file(&file, &AV, "", 1 << 20);
    let audio = harness.take("audio");
    let gaps = audio.iter().filter(|item| matches!(item, Item::Gap(_))).count();
    assert!(gaps > 10, "it is in the tables, and silent for nine seconds: {gaps} gaps");
}

#[test]
fn ts_2_damage_is_counted_and_marked() {
    let file = clip();
    let mut bytes = file.to_vec();
    // Three packets overwritten, sync bytes included.
    bytes[188 * 1000..188 * 1003].fill(0xFF);
    let mut harness = demux_file(&bytes.into(), &AV, "", 4096);
    let reasons: Vec<_> = harness.drops.iter().map(|drop| (drop.reason, drop.bytes, drop.offset)).collect();
    assert!(reasons.contains(&("no-sync", 3 * 188, Some(188_000))), "{reasons:?}");
    assert!(reasons.iter().any(|(reason, ..)| *reason == "lost"), "{reasons:?}");
    let video = harness.take_buffers("video");
    let flagged = |flag| video.iter().filter(|buffer| buffer.flags.contains(flag)).count();
    assert_eq!((flagged(BufferFlags::CORRUPTED), flagged(BufferFlags::DISCONT)), (1, 1));
    assert_eq!(video.len(), 300);
}

#[test]
fn ts_2_legal_duplicates_change_nothing() {
    let Some(file) = media_bytes("broken/ts_dup_packets.ts") else { return };
    let Some(clean) = media_bytes("gen/h264_ac3.ts") else { return };
    let bytes = |file: &Bytes, pad: &str| demux_file(file, &AV, "", 1 << 20).take_bytes(pad);
    for pad in AV {
        assert!(bytes(&file, pad) == bytes(&clean, pad), "{pad}");
    }
}

#[test]
fn ts_1_junk_between_packets_costs_what_it_hides() {
    let Some(file) = media_bytes("broken/ts_junk_between.ts") else { return };
    let Some(clean) = media_bytes("gen/h264_ac3.ts") else { return };
    let mut harness = demux_file(&file, &AV, "", 1 << 20);
    let junk: u64 = harness.drops.iter().filter(|drop| drop.reason == "no-sync").map(|drop| drop.bytes).sum();
    assert_eq!(junk, (file.len() - clean.len()) as u64);
    assert_eq!(harness.take_buffers("video").len(), 100);
}

#[test]
fn ts_4_two_programs_can_be_chosen_from() {
    let Some(file) = media_bytes("gen/two_programs.ts") else { return };
    let offsets = |settings: &str| {
        let buffers = demux_file(&file, &["video"], settings, 1 << 20).take_buffers("video");
        buffers.iter().map(|buffer| buffer.offset.unwrap()).collect::<Vec<_>>()
    };
    let (one, two) = (offsets("program-number=1"), offsets("program-number=2"));
    assert_eq!((offsets(""), one.len(), two.len()), (one.clone(), 100, 100));
    assert!(one.iter().all(|offset| !two.contains(offset)));
    let mut harness = demuxer(&["video"], "program-number=7");
    harness.push_bytes("sink", &file, 1 << 20).unwrap();
    let error = harness.eos().unwrap_err();
    assert!(error.kind() == ErrorKind::Malformed && error.to_string().contains("no program 7"), "{error}");
}

#[test]
fn pads_by_number_and_by_pid() {
    let pads = ["video", "video_0", "pid_256", "audio_0"];
    let mut harness = demux_file(&clip(), &pads, "", 1 << 20);
    for pad in ["video", "video_0", "pid_256"] {
        assert_eq!(harness.take_buffers(pad).len(), 300, "{pad}");
    }
    assert!(!harness.take_buffers("audio_0").is_empty());
}

#[test]
fn what_is_no_transport_stream_is_refused_with_a_hint() {
    for (bytes, hint) in [
        (&b"FLV\x01\x05\0\0\0\x09\0\0\0\0"[..], Some("flvdemux")),
        (b"\0\0\0\x18ftypisom\0\0\0\0", Some("MP4")),
        (b"#EXTM3U\n#EXT-X-VERSION:3\n", Some("playlist")),
        (b"GG", None),
        (&[0x47; 400], None),
        (&[9; 300_000], None),
    ] {
        let mut harness = demuxer(&["video"], "");
        let pushed = harness.push_buffer("sink", Buffer::new(bytes)).and_then(|()| harness.eos());
        let error = pushed.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
        assert!(hint.is_none_or(|hint| error.hint_text().unwrap().contains(hint)), "{error}");
    }
}

#[test]
fn e_18_streams_are_complete_when_nothing_came() {
    let harness = demux_file(&Bytes::new(), &AV, "", 1);
    assert!(harness.streams_complete && harness.items().all(|(_, item)| matches!(item, Item::Eos)));
}

#[test]
fn a_hole_in_the_input_is_a_discontinuity() {
    let file = clip();
    let mut harness = demuxer(&["video"], "");
    harness.push_bytes("sink", &file.slice(..300_123), 10_000).unwrap();
    let behind = Buffer { offset: Some(500_077), ..Buffer::new(file.slice(500_077..)) };
    harness.push_buffer("sink", behind).unwrap();
    harness.eos().unwrap();
    harness::assert_order(&harness);
    let cut: Vec<_> = harness.drops.iter().map(|drop| (drop.reason, drop.offset)).collect();
    assert!(cut.contains(&("cut-packet", Some(300_123 / 188 * 188))), "{cut:?}");
    let buffers = harness.take_buffers("video");
    let marked: Vec<_> = buffers.iter().filter(|b| b.flags.contains(BufferFlags::DISCONT)).collect();
    assert!(matches!(marked[..], [first] if first.offset > Some(500_077)), "{marked:?}");
    assert_eq!(buffers.iter().filter(|b| b.flags.contains(BufferFlags::CORRUPTED)).count(), 1);
}

#[test]
fn e_31_seek_by_time_goes_to_the_key_frame_before() {
    let file = clip();
    let mut harness = demuxer(&AV, "");
    harness.push_bytes("sink", &file, 50_000).unwrap();
    let to = |ms| Request::Seek { to: SeekTo::Time(Time::from_millis(ms)), epoch: 3 };
    harness.request("video", to(60_000)).unwrap();
    assert_eq!((harness.requests.len(), harness.warnings().len()), (0, 1), "it has not read so far");
    let first = harness.take_buffers("video")[0].dts.unwrap();
    harness.request("video", to(6_500)).unwrap();
    let Some((_, Request::Seek { to: SeekTo::Byte(offset), epoch: 3 })) = harness.requests.pop() else {
        panic!("no seek")
    };
    harness.take("audio");
    harness.push("sink", Item::Flush(3)).unwrap();
    harness.push("sink", Item::Segment(Segment::bytes(offset).into())).unwrap();
    let rest = file.slice(offset as usize..);
    harness.push_buffer("sink", Buffer { offset: Some(offset), ..Buffer::new(rest) }).unwrap();
    harness.eos().unwrap();
    let items = harness.take("video");
    assert!(matches!(items[..2], [Item::Flush(3), Item::Segment(_)]), "{:?}", &items[..2]);
    let Some(Item::Buffer(key)) = items.iter().find(|item| matches!(item, Item::Buffer(_))) else { panic!() };
    assert_eq!(key.dts.unwrap().since(first).nanos(), 6_000_000_000, "key frames are a second apart");
    assert!(key.is_keyframe() && key.flags.contains(BufferFlags::DISCONT));
}

#[test]
fn ts_11_opus_comes_in_packets() {
    let Some(file) = media_bytes("gen/h264_opus.ts") else { return };
    let mut harness = demux_file(&file, &["audio"], "", 1 << 20);
    let packets = harness.take_buffers("audio");
    // 201 packets of 20 ms, as libavformat reads them.
    assert_eq!(packets.len(), 201);
    assert!(packets.iter().all(|packet| packet.duration.unwrap().nanos() == 20_000_000));
    // Hybrid and CELT stereo packets of ffmpeg's libopus have the configuration 31 (RFC 6716, 3.1), or are short silence.
    assert!(
        packets
            .windows(2)
            .all(|pair| pair[1].dts.unwrap().since(pair[0].dts.unwrap()).nanos().abs_diff(20_000_000) < 20_000)
    );
}

#[test]
fn ts_13_cues_come_whole_and_in_time() {
    let Some(file) = media_bytes("ts/media__sample_scte35.ts") else { return };
    let mut harness = demux_file(&file, &["private_0", "video"], "", 1 << 20);
    for cue in harness.take_buffers("private_0") {
        let info = millstream_ts::scte35::SpliceInfo::parse(&cue.payload.contiguous());
        assert!(info.is_ok() && cue.pts.is_some(), "{info:?}");
    }
    // Without pictures there is the clock.
    let mut alone = demux_file(&file, &["private_0"], "", 1 << 20);
    assert_eq!(alone.take_buffers("private_0").iter().filter(|cue| cue.pts > Some(Time::ZERO)).count(), 3);
}

#[test]
fn valid_files_have_nothing_to_complain_about() {
    // Cut out of a recording: they begin or end within a unit, or lack packets.
    let cut_out = ["media__", "hls-", "tsduck", "gst__test", "bear-640x360", "mux.js", "media-server", "videotestsrc"];
    for (row, file) in valid_files().filter(|(row, _)| !cut_out.iter().any(|part| row.file.contains(part))) {
        let harness = demux_file(&file, &AV, "", 1 << 20);
        assert_eq!((harness.drops.len(), harness.warnings().len()), (0, 0), "{}: {:?}", row.file, harness.drops);
    }
}
