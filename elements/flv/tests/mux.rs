//! flvmux: what it writes, in which order, and that what goes through both elements is what went in.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use bytes::Bytes;
use harness::{copy_of, demux_file, frames, mux_items, muxer, pads_of, small, valid_files, walk, written};
use millstream_amf::Value;
use millstream_core::item::Custom;
use millstream_core::{Buffer, BufferFlags, ErrorKind, Item, Time};
use millstream_flv::wire::{MetaData, TagKind, parse_script};
use millstream_testkit::{Harness, manifest, media::media_bytes};

const AVC: &str = "video/x-h264,stream-format=avc,alignment=au,codec_data=(buffer)0142001eff";
const AAC: &str = "audio/mpeg,mpegversion=4,stream-format=raw,codec_data=(buffer)1190";
const OPUS: &str = "audio/x-opus,rate=48000,channels=2";

/// A frame of these times in milliseconds.
fn at(dts: i64, pts: i64) -> Buffer {
    Buffer::new(&b"frame"[..]).with_times(Some(Time::from_millis(pts)), Some(Time::from_millis(dts)))
}

fn key(dts: i64, pts: i64) -> Buffer {
    at(dts, pts).with_flags(BufferFlags::KEYFRAME)
}

/// A muxer of video and audio, whose streams have started.
fn started(settings: &str, random_write: bool) -> Harness {
    let mut mux = muxer(&["video", "audio"], settings, random_write);
    mux.push_start("video", AVC).unwrap();
    mux.push_start("audio", AAC).unwrap();
    mux
}

fn metadata(file: &[u8]) -> MetaData {
    let first = walk(file)[0];
    assert_eq!((first.0, first.1, first.2), (18, 0, 13), "metadata stands first, at time zero");
    MetaData::from_script(&parse_script(TagKind::Script, first.3).unwrap()).unwrap()
}

/// Tags behind the metadata: kind, time, first two bytes of the body.
fn tags(file: &[u8]) -> Vec<(u8, u32, [u8; 2])> {
    walk(file)[1..].iter().map(|(kind, ms, _, body)| (*kind, *ms, [body[0], body[1]])).collect()
}

#[test]
fn flv_6_round_trip_keeps_frames_and_times() {
    let mut files = 0;
    for (row, file) in valid_files() {
        let pads = pads_of(&file);
        let mut first = demux_file(&file, &pads, "", 1 << 20);
        let muxer = mux_items(&first, &pads, "timestamps=keep", true);
        assert!(muxer.drops.is_empty(), "{}: {:?}", row.file, muxer.drops);
        let mut second = demux_file(&written(&muxer), &pads, "", 1 << 20);
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

#[test]
fn flv_6_copies_of_a_copy_are_byte_equal() {
    for (row, file) in valid_files() {
        let copy = copy_of(&file, "");
        assert!(copy_of(&copy, "") == copy, "{}", row.file);
    }
}

#[test]
fn flv_6_bodies_of_a_plain_file_are_the_same_bytes() {
    // ffmpeg wrote it in the form that we write; the metadata differ.
    for name in ["gen/h264b_aac48s_10s.flv", "gen/h264_mp3_44s.flv", "gen/audio_only_aac.flv"] {
        let Some(file) = media_bytes(name) else { continue };
        let copy = copy_of(&file, "");
        let media = |file: &Bytes| {
            let mut tags: Vec<_> =
                walk(file).into_iter().filter(|tag| tag.0 != 18).map(|t| (t.0, t.3.to_vec())).collect();
            // Which of two tags of the same time comes first is up to the writer.
            tags.sort();
            tags
        };
        assert!(media(&copy) == media(&file), "{name}");
    }
}

#[test]
fn flv_6_e_12_tags_are_in_order_of_time_to_the_last() {
    for (row, file) in valid_files() {
        let pads = pads_of(&file);
        for settings in ["", "batch=0", "nanoseconds=true batch=0"] {
            let mut muxer = mux_items(&demux_file(&file, &pads, "", 1 << 20), &pads, settings, false);
            let bytes = written(&muxer);
            let times: Vec<_> = walk(&bytes).iter().map(|tag| tag.1).collect();
            assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "{} {settings}: {times:?}", row.file);
            let buffers = muxer.take_buffers("src");
            let times: Vec<_> = buffers.iter().filter_map(|buffer| buffer.dts).collect();
            assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "{} {settings}", row.file);
        }
    }
}

#[test]
fn rtmp_v3_offsets_come_of_rounded_times() {
    // 30000/1001 pictures a second with B-frames: pictures are decoded as I P B B and shown as I B B P, one picture later.
    let picture = |n: i64| n * 1_001_000_000 / 30;
    let nearest_ms = |nanos: i64| (nanos + 500_000) / 1_000_000;
    let shown = |n: i64| n + [1, 3, 0, 0][(n % 4) as usize];
    let mut mux = muxer(&["video", "audio"], "timestamps=keep", false);
    mux.push_start("video", AVC).unwrap();
    mux.push("audio", Item::Absent).unwrap();
    for n in 0..400 {
        let times = (Some(Time::from_nanos(picture(shown(n)))), Some(Time::from_nanos(picture(n))));
        mux.push_buffer("video", Buffer::new(&b"frame"[..]).with_times(times.0, times.1)).unwrap();
    }
    mux.push("video", Item::Eos).unwrap();
    let written = written(&mux);
    // AVC NAL units (E.4.3.1): byte 1 is 1, and bytes 2 to 4 are the offset.
    let offsets = walk(&written).into_iter().filter(|tag| tag.0 == 9 && tag.3[1] == 1);
    let offsets: Vec<(i64, i64)> =
        offsets.map(|tag| (tag.1.into(), i64::from(tag.3[3]) << 8 | i64::from(tag.3[4]))).collect();
    let expected: Vec<(i64, i64)> =
        (0..400).map(|n| (nearest_ms(picture(n)), nearest_ms(picture(shown(n))) - nearest_ms(picture(n)))).collect();
    assert_eq!(offsets, expected);
    // Had the difference been rounded, some were another.
    let of_difference = |n: &i64| nearest_ms(picture(shown(*n)) - picture(*n)) == expected[*n as usize].1;
    assert!(!(0..400).all(|n| of_difference(&n)));
}

#[test]
fn flv_6_e_12_tags_that_go_back_say_so() {
    let mut mux = muxer(&["video", "audio"], "batch=1MiB", false);
    mux.push_start("video", AVC).unwrap();
    mux.push("audio", Item::Absent).unwrap();
    for ms in [0, 40, 80] {
        mux.push_buffer("video", at(ms, ms)).unwrap();
    }
    // It comes after all, and late.
    mux.push_start("audio", AAC).unwrap();
    mux.push_buffer("audio", at(20, 20)).unwrap();
    mux.push_buffer("audio", at(90, 90)).unwrap();
    mux.push_buffer("video", at(120, 120)).unwrap();
    mux.eos().unwrap();
    let buffers = mux.take_buffers("src");
    let marks = buffers.iter().filter_map(|b| Some((b.dts?.millis(), b.flags.contains(BufferFlags::DISCONT))));
    assert_eq!(marks.collect::<Vec<_>>(), [(0, false), (20, true)], "two buffers, the second goes back");
}

#[test]
fn flv_6_duration_size_rates_and_index_are_written_at_the_end() {
    for (row, file) in valid_files() {
        let copy = copy_of(&file, "");
        let data = metadata(&copy);
        let tags = walk(&copy);
        assert_eq!(data.file_size, Some(copy.len() as f64), "{}", row.file);
        let end = tags.iter().map(|tag| tag.1).max().unwrap();
        let duration = data.duration.unwrap();
        assert!((0.0..=2.0).contains(&(duration - f64::from(end) / 1000.0)), "{}: {duration} {end}", row.file);
        let index = data.keyframes.unwrap_or_default();
        // Type byte: key frame; second byte of H.264 and HEVC in the old form: neither sequence header nor end.
        let frame = |tag: &&(u8, u32, usize, &[u8])| match tag.3 {
            [first, kind, ..] if first & 0x80 == 0 => first >> 4 == 1 && (first & 15 != 7 || *kind == 1),
            [first, ..] => first >> 4 == 9 && matches!(first & 15, 1 | 3),
            [] => false,
        };
        let keys: Vec<_> = tags.iter().filter(|tag| tag.0 == 9).filter(frame).collect();
        let expected: Vec<_> = keys.iter().map(|tag| (f64::from(tag.1) / 1000.0, tag.2 as f64)).collect();
        let expected = if expected.len() > 1 { expected } else { Vec::new() };
        assert_eq!(index.times.into_iter().zip(index.positions).collect::<Vec<_>>(), expected, "{}", row.file);
    }
}

#[test]
fn flv_6_data_rates_are_in_kilobits_of_1024() {
    let mut mux = started("", true);
    for frame in 0..250 {
        let payload = Bytes::from(vec![7; 1280]);
        mux.push_buffer("video", Buffer { payload: payload.into(), ..key(frame * 40, frame * 40) }).unwrap();
        mux.push_buffer("audio", at(frame * 40, frame * 40)).unwrap();
    }
    mux.eos().unwrap();
    let data = metadata(&written(&mux));
    assert_eq!((data.duration, data.video_data_rate), (Some(10.0), Some(250.0)));
}

#[test]
fn flv_6_filler_is_no_text() {
    let Some(file) = small() else { return };
    let data = metadata(&copy_of(&file, ""));
    let long = data.other.iter().filter(|(_, value)| matches!(value, Value::String(text) if text.len() > 1000));
    assert_eq!(long.count(), 0, "libavformat gives up on texts of 1024 bytes, mediainfo shows them");
}

#[test]
fn flv_6_output_that_cannot_be_rewritten_is_sane() {
    let Some(file) = media_bytes("gen/h264b_aac48s_10s.flv") else { return };
    let pads = pads_of(&file);
    let demuxed = demux_file(&file, &pads, "", 1 << 20);
    let mux = mux_items(&demuxed, &pads, "", false);
    assert!(!mux.items().any(|(_, item)| matches!(item, Item::Segment(segment) if segment.offset > 0)));
    let data = metadata(&written(&mux));
    assert_eq!((data.duration, data.file_size, data.keyframes), (Some(10.067), None, None), "as the source says");
    let data = metadata(&written(&mux_items(&demuxed, &pads, "streamable=true", true)));
    assert_eq!((data.duration, data.file_size, data.keyframes), (None, None, None));
}

#[test]
fn flv_6_header_flags_tell_which_tracks_came() {
    let mut mux = muxer(&["video", "audio"], "", true);
    mux.push_start("video", AVC).unwrap();
    mux.push("audio", Item::Absent).unwrap();
    mux.push_buffer("video", key(0, 0)).unwrap();
    assert_eq!(written(&mux)[4], 1);
    // E-20: it comes after all.
    mux.push_start("audio", AAC).unwrap();
    for ms in [20, 40, 60] {
        mux.push_buffer("audio", at(ms, ms)).unwrap();
        mux.push_buffer("video", at(ms, ms)).unwrap();
    }
    mux.eos().unwrap();
    let file = written(&mux);
    assert_eq!(file[4], 5);
    let audio: Vec<_> = tags(&file).into_iter().filter(|tag| tag.0 == 8).collect();
    assert_eq!(audio[..2], [(8, 20, [0xAF, 0]), (8, 20, [0xAF, 1])], "sequence header first");
}

#[test]
fn flv_6_sequence_headers_stand_first_and_again_where_they_change() {
    let mut mux = started("", false);
    let both = |mux: &mut Harness, ms| {
        mux.push_buffer("video", key(ms, ms + 40)).unwrap();
        mux.push_buffer("audio", at(ms, ms)).unwrap();
    };
    both(&mut mux, 0);
    mux.push("video", Item::Caps(AVC.parse().unwrap())).unwrap();
    both(&mut mux, 40);
    mux.push("video", Item::Caps(AVC.replace("0142", "0164").parse().unwrap())).unwrap();
    both(&mut mux, 80);
    mux.eos().unwrap();
    let got = tags(&written(&mux));
    let video = [(9, 0, [0x17, 0]), (9, 0, [0x17, 1]), (9, 40, [0x17, 1]), (9, 80, [0x17, 0]), (9, 80, [0x17, 1])];
    let end = (9, 80, [0x17, 2]);
    assert_eq!(got[..2], [(9, 0, [0x17, 0]), (8, 0, [0xAF, 0])]);
    assert_eq!(got.iter().copied().filter(|tag| tag.0 == 9).collect::<Vec<_>>(), [&video[..], &[end]].concat());
    assert_eq!(got.last(), Some(&end), "the end of the sequence is not ahead of what came before");
}

#[test]
fn flv_6_a_file_begins_at_zero_or_where_its_source_did() {
    let Some(file) = media_bytes("gen/flv_ts_wrap32.flv") else { return };
    let first = |settings| tags(&copy_of(&file, settings))[0].1;
    assert_eq!(first(""), 0);
    // 2^32 - 5000, as the manifest says.
    assert_eq!(first("timestamps=keep"), u32::MAX - 4999);
}

#[test]
fn flv_2_times_wrap_and_negative_ones_are_lifted() {
    let mut mux = started("timestamps=keep", false);
    for ms in [(1_i64 << 32) - 20, (1 << 32) + 20] {
        mux.push_buffer("video", key(ms, ms)).unwrap();
        mux.push_buffer("audio", at(ms, ms)).unwrap();
    }
    mux.eos().unwrap();
    let times: Vec<_> = tags(&written(&mux)).into_iter().filter(|tag| tag.2 == [0x17, 1]).map(|tag| tag.1).collect();
    assert_eq!(times, [u32::MAX - 19, 20]);
    let mut mux = started("", false);
    for ms in [-80, -40, 0] {
        mux.push_buffer("video", key(ms, ms)).unwrap();
        mux.push_buffer("audio", at(ms, ms)).unwrap();
    }
    mux.eos().unwrap();
    let times: Vec<_> = tags(&written(&mux)).into_iter().filter(|tag| tag.2 == [0xAF, 1]).map(|tag| tag.1).collect();
    assert_eq!(times, [0, 40, 80]);
}

#[test]
fn flv_4_media_ahead_of_caps_and_wrong_framing_are_refused_with_a_repair() {
    let mut mux = muxer(&["video"], "", false);
    mux.push_start("video", "").unwrap();
    let error = mux.push_buffer("video", key(0, 0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.hint_text().unwrap().contains("parser"));
    let mut mux = muxer(&["video"], "", false);
    let error = mux.push_start("video", "video/x-h264,stream-format=byte-stream").unwrap_err();
    assert!(error.hint_text().unwrap().contains("h264parse"), "{error}");
}

#[test]
fn ert_13_a_codec_without_fourcc_is_no_further_track() {
    let mut mux = muxer(&["audio_1"], "", false);
    let error = mux.push_start("audio_1", "audio/x-alaw,rate=8000,channels=1").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.hint_text().unwrap().contains("Opus"), "{error}");
}

/// What a muxer of one pad writes for a key frame, behind the metadata.
fn bodies(pad: &str, caps: &str, settings: &str, frame: Buffer) -> Vec<Vec<u8>> {
    let mut mux = muxer(&[pad], settings, false);
    mux.push_start(pad, caps).unwrap();
    mux.push_buffer(pad, frame).unwrap();
    mux.eos().unwrap();
    walk(&written(&mux))[1..].iter().map(|tag| tag.3.to_vec()).collect()
}

#[test]
fn ert_1_new_sound_is_enhanced_and_old_sound_is_not() {
    let frame = || key(0, 0);
    let opus = bodies("audio", OPUS, "", frame());
    assert_eq!(opus.last().unwrap()[..], b"\x91Opusframe"[..]);
    assert_eq!(bodies("audio", AAC, "", frame())[1], b"\xAF\x01frame");
    let enhanced = bodies("audio", AAC, "headers=enhanced", frame());
    assert_eq!(enhanced, [&b"\x90mp4a\x11\x90"[..], &b"\x91mp4aframe"[..]]);
}

#[test]
fn ert_4_composition_time_is_left_out_where_it_is_zero_or_unknown() {
    let hevc = "video/x-h265,stream-format=hvc1,alignment=au,codec_data=(buffer)01";
    assert_eq!(bodies("video", hevc, "", key(0, 40))[..2], [&b"\x90hvc1\x01"[..], &b"\x91hvc1\0\0\x28frame"[..]]);
    assert_eq!(bodies("video", hevc, "", key(0, 0))[1], b"\x93hvc1frame");
    let vp9 = bodies("video", "video/x-vp9,width=320,height=180", "", key(0, 0));
    assert!(vp9.last().unwrap().starts_with(b"\x91vp09frame") || vp9.last().unwrap().starts_with(b"\x93vp09frame"));
}

#[test]
fn ert_6_nanoseconds_ride_in_a_modex() {
    let frame = Buffer::new(&b"frame"[..]).with_flags(BufferFlags::KEYFRAME);
    let time = |nanos| Some(Time::from_nanos(nanos));
    // The first frame is at 0, so the second shows the offset.
    let mut mux = muxer(&["audio"], "nanoseconds=true", false);
    mux.push_start("audio", OPUS).unwrap();
    for nanos in [0, 20_500_001] {
        mux.push_buffer("audio", frame.clone().with_times(time(nanos), time(nanos))).unwrap();
    }
    mux.eos().unwrap();
    let file = written(&mux);
    let (_, ms, _, body) = *walk(&file).last().unwrap();
    // 500001 = 0x07A121
    assert_eq!((ms, body), (20, &b"\x97\x02\x07\xA1\x21\x01Opusframe"[..]));
}

#[test]
fn ert_7_further_tracks_are_multitrack_bodies() {
    let opus = bodies("audio_2", OPUS, "", key(0, 0));
    // Multitrack, one track of coded frames, track id 2.
    assert_eq!(opus.last().unwrap()[..], b"\x95\x01Opus\x02frame"[..]);
    let Some(file) = media_bytes("gen/emulti_2a.flv") else { return };
    let data = metadata(&copy_of(&file, ""));
    assert!(matches!(&data.audio_tracks[..], [(1, _)]), "ERT-9: {:?}", data.audio_tracks);
}

#[test]
fn ert_8_metadata_packets_survive_the_round_trip() {
    let Some(file) = media_bytes("flv/scuffle__hevc_aac.flv") else { return };
    let count = |file: &[u8]| walk(file).iter().filter(|tag| tag.0 == 9 && tag.3[0] == 0xD4).count();
    assert!(count(&file) > 0);
    assert_eq!(count(&copy_of(&file, "")), count(&file));
    // Ahead of the first frame it is kept for behind the sequence header.
    let mut mux = muxer(&["video"], "", false);
    mux.push_start("video", "video/x-h265,stream-format=hvc1,alignment=au,codec_data=(buffer)01").unwrap();
    let color = Custom { name: "flv/video-metadata".into(), data: Bytes::from_static(b"color") };
    mux.push("video", Item::Custom(color.into())).unwrap();
    mux.push_buffer("video", key(0, 0)).unwrap();
    mux.eos().unwrap();
    let file = written(&mux);
    let bodies: Vec<_> = walk(&file)[1..].iter().map(|tag| tag.3).collect();
    assert_eq!(bodies, [&b"\x90hvc1\x01"[..], b"\xD4hvc1color", b"\x93hvc1frame"]);
}

#[test]
fn ert_12_hevc_as_id_12_is_written_on_request() {
    let hevc = "video/x-h265,stream-format=hvc1,alignment=au,codec_data=(buffer)01";
    let bodies = bodies("video", hevc, "headers=hevc-id12", key(0, 40));
    assert_eq!(bodies[..2], [&b"\x1C\0\0\0\0\x01"[..], &b"\x1C\x01\0\0\x28frame"[..]]);
}

#[test]
fn e_31_e_33_a_flush_starts_the_input_over_and_goes_on_behind_what_is_written() {
    let mut mux = started("", true);
    for ms in [0, 40, 80] {
        mux.push_buffer("video", key(ms, ms)).unwrap();
        mux.push_buffer("audio", at(ms, ms)).unwrap();
    }
    for pad in ["video", "audio"] {
        mux.push(pad, Item::Flush(1)).unwrap();
    }
    for ms in [9000, 9040] {
        mux.push_buffer("video", key(ms, ms)).unwrap();
        mux.push_buffer("audio", at(ms, ms)).unwrap();
    }
    mux.eos().unwrap();
    let file = written(&mux);
    let times: Vec<_> = tags(&file).into_iter().filter(|tag| tag.2 == [0x17, 1]).map(|tag| tag.1).collect();
    assert!(
        matches!(times[..], [0, 40, .., gone_on, last] if (80..=120).contains(&gone_on) && last == gone_on + 40),
        "{times:?}"
    );
    assert_eq!(metadata(&file).file_size, Some(file.len() as f64));
}

#[test]
fn pads_that_cannot_be_are_refused() {
    let factory = millstream_flv::mux::factory();
    let built = Harness::builder(&factory).sink("audio").sink("audio_0").src("src").build();
    assert!(built.err().unwrap().to_string().contains("linked twice"));
}
