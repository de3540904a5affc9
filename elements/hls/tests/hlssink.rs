//! `hlssink` on real streams, its output read back by the demuxer and the playlist reader.
#![allow(clippy::disallowed_methods, reason = "a test reads its media itself")]

mod common;

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_core::{Buffer, BufferFlags, Item, MessageKind, Result, Time, TimeDelta};
use millstream_hls::playlist::{MediaPlaylist, read_media_playlist};
use millstream_hls::sink::factory;
use millstream_testkit::{Harness, TestEnv, fixture};
use millstream_ts::demuxer::{Event, TsDemuxer, TsDemuxerSettings};
use millstream_ts::psi::{Codec, StreamClass};

const VIDEO: &str = "video/x-h264, stream-format=byte-stream, alignment=au, width=640, height=360";
const AUDIO: &str = "audio/mpeg, mpegversion=4, stream-format=adts, rate=48000, channels=2";

/// H.264 with B-frames and a key frame every second, and AAC; ten seconds.
fn clip() -> Bytes {
    std::fs::read(fixture("h264b_aac48s_10s.ts")).expect("the fixture is in the repository").into()
}

fn corpus(name: &str) -> Option<Bytes> {
    millstream_testkit::media::media_bytes(name)
}

/// The elementary streams of a transport stream: pad and buffer, in the order of the file.
fn demux(ts: &Bytes) -> Vec<(&'static str, Buffer)> {
    let mut demuxer = TsDemuxer::new(TsDemuxerSettings::default());
    demuxer.push(ts.clone());
    demuxer.finish();
    let mut classes = BTreeMap::new();
    let mut found = Vec::new();
    while let Some(event) = demuxer.next_event() {
        match event {
            Event::Program(program) => classes.extend(program.streams.iter().map(|s| (s.pid, s.codec.class()))),
            Event::Pes(pes) => {
                let pad = match classes.get(&pes.pid) {
                    Some(StreamClass::Video) => "video",
                    Some(StreamClass::Audio) => "audio",
                    _ => continue,
                };
                let time = |ticks: Option<i64>| ticks.map(|t| Time::from_ticks(t, 90_000));
                let mut buffer = Buffer::new(pes.data).with_times(time(pes.pts), time(pes.dts.or(pes.pts)));
                buffer.flags.set(BufferFlags::KEYFRAME, pes.random_access);
                found.push((pad, buffer));
            }
            _ => {}
        }
    }
    found
}

/// An `hlssink` with its pads started.
fn sink(env: &TestEnv, settings: &str, pads: &[(&str, &str)]) -> Harness {
    let factory = factory();
    let mut builder = Harness::builder(&factory).settings(&format!("directory=out {settings}")).env(env);
    for (pad, _) in pads {
        builder = builder.sink(pad);
    }
    let mut harness = builder.build().unwrap_or_else(|e| panic!("{settings}: {e}"));
    for (pad, caps) in pads {
        harness.push_start(pad, caps).expect("starts");
    }
    harness
}

fn feed(harness: &mut Harness, buffers: &[(&'static str, Buffer)]) -> Result<()> {
    for (pad, buffer) in buffers {
        harness.push_buffer(pad, buffer.clone())?;
        check_listed(&harness.env);
    }
    harness.eos()?;
    check_listed(&harness.env);
    Ok(())
}

/// Runs `pads` of a transport stream through the sink.
fn run(env: &TestEnv, settings: &str, ts: &Bytes, pads: &[(&str, &str)]) -> Harness {
    let mut harness = sink(env, settings, pads);
    let mut buffers = demux(ts);
    buffers.retain(|(pad, _)| pads.iter().any(|(wanted, _)| wanted == pad));
    feed(&mut harness, &buffers).expect("runs");
    harness
}

fn both() -> [(&'static str, &'static str); 2] {
    [("video", VIDEO), ("audio", AUDIO)]
}

fn playlist(env: &TestEnv) -> Option<MediaPlaylist> {
    let text = env.fs.get("out/index.m3u8")?;
    Some(read_media_playlist(std::str::from_utf8(&text).expect("UTF-8")).expect("a playlist"))
}

fn read(env: &TestEnv, uri: &str) -> Bytes {
    env.fs.get(format!("out/{uri}")).unwrap_or_else(|| panic!("{uri} is not there")).into()
}

/// Whatever the playlist lists is there and whole.
fn check_listed(env: &TestEnv) {
    for segment in playlist(env).iter().flat_map(MediaPlaylist::segments) {
        let bytes = read(env, &segment.uri);
        assert!(!bytes.is_empty() && bytes.len().is_multiple_of(188), "{}", segment.uri);
    }
}

/// All segments behind each other, and each one's durations in milliseconds.
fn joined(env: &TestEnv) -> (Bytes, Vec<i64>) {
    let playlist = playlist(env).expect("a playlist");
    let bytes: Vec<u8> = playlist.segments().iter().flat_map(|s| read(env, &s.uri)).collect();
    (bytes.into(), playlist.segments().iter().map(|s| s.duration.millis()).collect())
}

/// Payload bytes of a pad's buffers.
fn payload(buffers: &[(&'static str, Buffer)], pad: &str) -> Vec<u8> {
    buffers.iter().filter(|(p, _)| *p == pad).flat_map(|(_, b)| b.payload.contiguous()).collect()
}

/// Reads the counters of ISO/IEC 13818-1, 2.4.3.3 straight from the packets.
fn assert_counters_run_on(ts: &[u8]) {
    let mut last = BTreeMap::new();
    for (index, packet) in ts.chunks(188).enumerate() {
        assert_eq!(packet[0], 0x47, "packet {index}");
        let pid = u16::from_be_bytes([packet[1] & 0x1F, packet[2]]);
        let (has_payload, counter) = (packet[3] & 0x10 != 0, packet[3] & 0x0F);
        if let Some(before) = last.insert(pid, counter)
            && pid != 0x1FFF
        {
            let expected = if has_payload { (before + 1) & 0x0F } else { before };
            assert_eq!(counter, expected, "PID {pid:#x}, packet {index}");
        }
    }
}

/// PAT, PMT, then a key frame of the video.
fn assert_begins_with_tables_and_key_frame(segment: &Bytes, uri: &str) {
    let pid = |n: usize| u16::from_be_bytes([segment[188 * n + 1] & 0x1F, segment[188 * n + 2]]);
    assert_eq!((segment[0], pid(0)), (0x47, 0), "{uri} begins with the PAT");
    assert!(segment[188 + 1] & 0x40 != 0 && segment[188 + 5] == 0x02, "{uri}: table 2 is the PMT");
    let (pad, first) = demux(segment).into_iter().find(|(pad, _)| *pad == "video").expect("video");
    assert!(first.is_keyframe(), "{uri}: {pad} begins with {first:?}");
}

#[test]
fn hls_5_segments_begin_with_tables_and_a_key_frame() {
    let env = TestEnv::new();
    let harness = run(&env, "segment-duration=2s", &clip(), &both());
    let (bytes, durations) = joined(&env);
    assert_eq!(durations, [2000; 5]);
    for segment in playlist(&env).expect("a playlist").segments() {
        assert_begins_with_tables_and_key_frame(&read(&env, &segment.uri), &segment.uri);
    }
    assert_counters_run_on(&bytes);
    assert_eq!(harness.warnings(), Vec::<String>::new());
    let told: Vec<_> =
        harness.messages.iter().filter(|m| matches!(m, MessageKind::Element { name: "hls-segment", .. })).collect();
    assert_eq!(told.len(), 5);
}

#[test]
fn segments_hold_every_byte_of_the_streams() {
    let env = TestEnv::new();
    run(&env, "segment-duration=2s", &clip(), &both());
    let (input, output) = (demux(&clip()), demux(&joined(&env).0));
    for pad in ["video", "audio"] {
        assert!(payload(&input, pad) == payload(&output, pad), "{pad}");
    }
    let times = |buffers: &[(&str, Buffer)]| -> Vec<_> {
        let video = buffers.iter().filter(|(pad, _)| *pad == "video");
        let times: Vec<_> = video.map(|(_, b)| (b.pts.expect("pts"), b.dts.expect("dts"), b.is_keyframe())).collect();
        times
            .iter()
            .map(|(pts, dts, key)| (pts.since(times[0].0).ticks(90_000), dts.since(times[0].0).ticks(90_000), *key))
            .collect()
    };
    assert_eq!(times(&input), times(&output));
}

#[test]
fn hls_9_the_playlist_of_a_file_is_complete_and_ends() {
    for (kind, tag) in [("vod", "#EXT-X-PLAYLIST-TYPE:VOD\n"), ("event", "#EXT-X-PLAYLIST-TYPE:EVENT\n")] {
        let env = TestEnv::new();
        run(&env, &format!("segment-duration=4s playlist-type={kind} independent-segments=true"), &clip(), &both());
        let text = String::from_utf8(env.fs.get("out/index.m3u8").expect("a playlist")).expect("UTF-8");
        let head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:0\n";
        let body = "#EXTINF:4.000000,\nseg00000.ts\n#EXTINF:4.000000,\nseg00001.ts\n#EXTINF:2.000000,\nseg00002.ts\n#EXT-X-ENDLIST\n";
        assert_eq!(text, format!("{head}{tag}{body}"));
        let replaced =
            env.fs.log().iter().filter(|line| line.starts_with("rename") && line.ends_with("index.m3u8")).count();
        assert!(kind == "event" || replaced == 1, "a VOD playlist never changes");
    }
}

#[test]
fn hls_10_a_window_lists_and_keeps_what_players_may_want() {
    let env = TestEnv::new();
    // Three target durations of 1 s are the least; segments are 2 s.
    let mut buffers = demux(&clip());
    let shifted = |by: i64| {
        let shift = move |t: Option<Time>| t.map(|t| t + TimeDelta::from_secs(by));
        demux(&clip()).into_iter().map(move |(pad, b)| (pad, Buffer { pts: shift(b.pts), dts: shift(b.dts), ..b }))
    };
    buffers.extend((1..6).flat_map(|n| shifted(n * 10)));
    let mut harness = sink(&env, "segment-duration=2s target-duration=2s window=6s", &both());
    feed(&mut harness, &buffers).expect("runs");
    let playlist = playlist(&env).expect("a playlist");
    assert_eq!((playlist.media_sequence(), playlist.segments().len()), (27, 3));
    // The last removal was of segment 26, when 29 was written: 8 s later than its own end, one playlist and itself.
    let kept = env.fs.paths().iter().filter(|p| p.extension().is_some_and(|e| e == "ts")).count();
    assert_eq!(kept, 3 + 4, "{:?}", env.fs.paths());
    assert!(env.fs.get("out/seg00022.ts").is_none() && env.fs.get("out/seg00023.ts").is_some());
    assert_eq!(playlist.discontinuity_sequence(), 0);
}

#[test]
fn hls_10_nothing_is_visible_before_it_is_whole() {
    let env = TestEnv::new();
    run(&env, "segment-duration=2s window=60s", &clip(), &both());
    let log = env.fs.log();
    let created: Vec<_> = log.iter().filter(|line| line.starts_with("create ")).collect();
    assert!(created.len() >= 10 && created.iter().all(|line| line.ends_with(".part")), "{created:?}");
    let listed = log.iter().position(|line| line.ends_with("index.m3u8"));
    let named = log.iter().position(|line| line.starts_with("rename") && line.ends_with("seg00000.ts"));
    assert!(named < listed && named.is_some(), "{log:?}");
    assert!(env.fs.paths().iter().all(|path| path.extension().is_none_or(|e| e != "part")));
}

#[test]
fn hls_3_a_restart_goes_on_with_a_discontinuity() {
    let env = TestEnv::new();
    for run_number in 0..3 {
        run(&env, "segment-duration=2s window=60s", &clip(), &both());
        let playlist = playlist(&env).expect("a playlist");
        assert_eq!(playlist.next_sequence(), 5 * (run_number + 1));
        let marked = playlist.segments().iter().enumerate().filter(|(_, s)| s.discontinuity).map(|(n, _)| n as u64);
        assert!(marked.eq((1..=run_number).map(|n| n * 5)), "only where a run began");
    }
    run(&env, "segment-duration=2s", &clip(), &both());
    let playlist = playlist(&env).expect("a playlist");
    assert_eq!((playlist.segments().len(), playlist.next_sequence()), (5, 5), "a complete presentation is replaced");
    assert!(env.fs.get("out/seg00005.ts").is_none());
}

#[test]
fn hls_11_one_stream_alone() {
    for (pads, millis) in [([both()[0]], 10_000), ([both()[1]], 10_020)] {
        let env = TestEnv::new();
        let harness = run(&env, "segment-duration=2s", &clip(), &pads);
        let (bytes, durations) = joined(&env);
        assert_counters_run_on(&bytes);
        assert!((5..=6).contains(&durations.len()) && durations.iter().all(|ms| *ms < 3500), "{durations:?}");
        assert!((durations.iter().sum::<i64>() - millis).abs() <= 30, "{pads:?}: {durations:?}");
        assert_eq!(harness.warnings(), Vec::<String>::new());
    }
}

#[test]
fn hls_11_a_pad_without_a_stream_is_not_waited_for() {
    let env = TestEnv::new();
    let mut harness = sink(&env, "segment-duration=2s", &[("video", VIDEO), ("audio", "")]);
    harness.push("audio", Item::Absent).expect("takes it");
    let mut buffers = demux(&clip());
    buffers.retain(|(pad, _)| *pad == "video");
    let half = buffers.len() / 2;
    for (pad, buffer) in &buffers[..half] {
        harness.push_buffer(pad, buffer.clone()).expect("runs");
    }
    assert_eq!(playlist(&env).map(|p| p.segments().len()), Some(1), "throttled, but the first is listed at once");
    harness.advance_to(Time::from_millis(600)).expect("runs");
    assert_eq!(playlist(&env).map(|p| p.segments().len()), Some(2), "and the others soon");
}

#[test]
fn hls_3_a_change_of_format_is_a_discontinuity_and_a_repeat_is_none() {
    for (caps, expected) in
        [(VIDEO, vec![]), ("video/x-h264, stream-format=byte-stream, alignment=au, width=1280, height=720", vec![2])]
    {
        let env = TestEnv::new();
        let mut harness = sink(&env, "segment-duration=2s", &both());
        let buffers = demux(&clip());
        let change = buffers
            .iter()
            .enumerate()
            .filter(|(_, (pad, b))| *pad == "video" && b.is_keyframe())
            .nth(3)
            .expect("a fourth")
            .0;
        for (index, (pad, buffer)) in buffers.iter().enumerate() {
            if index == change {
                harness.push("video", Item::Caps(caps.parse().expect("caps"))).expect("takes them");
            }
            harness.push_buffer(pad, buffer.clone()).expect("runs");
        }
        harness.eos().expect("ends");
        let playlist = playlist(&env).expect("a playlist");
        let marked: Vec<_> =
            playlist.segments().iter().enumerate().filter(|(_, s)| s.discontinuity).map(|(n, _)| n).collect();
        assert_eq!(marked, expected);
        assert_eq!(playlist.duration().millis(), 10_000);
        let input = payload(&buffers, "audio");
        assert!(payload(&demux(&joined(&env).0), "audio") == input);
    }
}

#[test]
fn hls_3_pictures_and_sound_that_change_together_are_one_discontinuity() {
    let env = TestEnv::new();
    let mut harness = sink(&env, "segment-duration=2s", &both());
    let wide = "video/x-h264, stream-format=byte-stream, alignment=au, width=1280, height=720";
    let mono = "audio/mpeg, mpegversion=4, stream-format=adts, rate=44100, channels=1";
    let mut keys = 0;
    for (pad, buffer) in demux(&clip()) {
        keys += usize::from(pad == "video" && buffer.is_keyframe());
        // The sound changes some frames after the picture, as it does behind an encoder that starts anew.
        if keys == 4 && pad == "video" && buffer.is_keyframe() {
            harness.push("video", Item::Caps(wide.parse().expect("caps"))).expect("takes them");
            harness.push("audio", Item::Caps(mono.parse().expect("caps"))).expect("takes them");
        }
        harness.push_buffer(pad, buffer).expect("runs");
    }
    harness.eos().expect("ends");
    let playlist = playlist(&env).expect("a playlist");
    let marked: Vec<bool> = playlist.segments().iter().map(|s| s.discontinuity).collect();
    assert_eq!(marked, [false, false, true, false, false, false]);
    let lengths: Vec<i64> = playlist.segments().iter().map(|s| s.duration.millis()).collect();
    assert_eq!(lengths, [2000, 1000, 2000, 2000, 2000, 1000], "each begins with a key frame");
}

#[test]
fn hls_3_a_publisher_that_returns_with_old_timestamps_is_a_discontinuity() {
    let env = TestEnv::new();
    let mut harness = sink(&env, "segment-duration=2s", &both());
    let once = demux(&clip());
    let twice: Vec<_> = once.iter().chain(&once).cloned().collect();
    feed(&mut harness, &twice).expect("runs");
    let playlist = playlist(&env).expect("a playlist");
    let marked: Vec<_> =
        playlist.segments().iter().enumerate().filter(|(_, s)| s.discontinuity).map(|(n, _)| n).collect();
    assert_eq!((playlist.segments().len(), marked), (10, vec![5]));
    assert!((playlist.duration().millis() - 20_000).abs() < 100, "{:?}", playlist.duration());
    let output = demux(&joined(&env).0);
    for pad in ["video", "audio"] {
        assert!(payload(&twice, pad) == payload(&output, pad), "{pad}");
    }
}

#[test]
fn hls_6_dates_follow_the_timeline() {
    let env = TestEnv::new();
    run(&env, "segment-duration=2s window=60s program-date-time=true", &clip(), &both());
    let playlist = playlist(&env).expect("a playlist");
    let dates: Vec<_> = playlist.segments().iter().map(|s| s.program_date_time.expect("a date").millis()).collect();
    // The virtual clock begins at 2024-01-01T00:00:00Z and stands still.
    let start = 1_704_067_200_000;
    assert_eq!(dates, [start, start + 2000, start + 4000, start + 6000, start + 8000]);
}

/// The clip with only every fourth key frame marked as one: groups of four seconds.
fn long_groups() -> Vec<(&'static str, Buffer)> {
    let mut buffers = demux(&clip());
    let keys = buffers.iter_mut().filter(|(pad, b)| *pad == "video" && b.is_keyframe());
    for (index, (_, buffer)) in keys.enumerate() {
        buffer.flags.set(BufferFlags::KEYFRAME, index % 4 == 0);
    }
    buffers
}

#[test]
fn hls_1_a_long_group_is_cut_with_one_warning() {
    let env = TestEnv::new();
    let mut harness = sink(&env, "segment-duration=2s", &both());
    feed(&mut harness, &long_groups()).expect("runs");
    let (bytes, durations) = joined(&env);
    assert_eq!(playlist(&env).map(|p| p.target_duration()), Some(3));
    assert!(durations.len() > 3 && durations.iter().all(|ms| *ms < 3500), "{durations:?}");
    assert_eq!(durations.iter().sum::<i64>(), 10_000);
    assert_counters_run_on(&bytes);
    let warnings = harness.warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("key frame"), "{warnings:?}");
}

#[test]
fn hls_5_independent_segments_refuse_a_long_group() {
    let env = TestEnv::new();
    let mut harness = sink(&env, "segment-duration=2s independent-segments=true", &both());
    let error = feed(&mut harness, &long_groups()).expect_err("groups of 4 s do not fit into 3 s");
    assert!(error.hint_text().is_some_and(|hint| hint.contains("target-duration")), "{error}");
}

#[test]
fn a_full_disk_leaves_a_valid_presentation() {
    for room in [0, 1000, 300_000, 500_000, 900_000] {
        let env = TestEnv::new();
        env.fs.full_after(room);
        let mut harness = sink(&env, "segment-duration=2s window=60s", &both());
        let error = feed(&mut harness, &demux(&clip())).expect_err("the disk is full");
        assert!(error.to_string().starts_with("cannot write out/seg"), "{error}");
        check_listed(&env);
        let whole = env.fs.paths().iter().filter(|p| p.extension().is_some_and(|e| e == "ts")).count();
        assert_eq!(playlist(&env).map_or(0, |p| p.segments().len()), whole);
        assert!(env.fs.paths().iter().all(|path| path.extension().is_none_or(|e| e != "part")), "{:?}", env.fs.paths());
        harness.eos().expect("the failure is told once");
    }
    let env = TestEnv::new();
    env.fs.make_unwritable("out");
    let factory = factory();
    let refused = Harness::builder(&factory).settings("directory=out").env(&env).sink("video").build();
    assert!(refused.is_err_and(|e| e.to_string().contains("cannot make the directory out")));
}

#[test]
fn ts_6_timestamps_cross_2_33_within_a_presentation() {
    let Some(ts) = corpus("gen/h264_pts_wrap33.ts") else { return };
    for pads in [both().to_vec(), vec![("sink", "video/mpegts, packetsize=188")]] {
        let env = TestEnv::new();
        let mut harness = sink(&env, "segment-duration=2s", &pads);
        if pads.len() == 1 {
            harness.push_bytes("sink", &ts, 10_000).expect("runs");
            harness.eos().expect("ends");
        } else {
            feed(&mut harness, &demux(&ts)).expect("runs");
        }
        let playlist = playlist(&env).expect("a playlist");
        let durations: Vec<_> = playlist.segments().iter().map(|s| s.duration.millis()).collect();
        assert_eq!(durations, [2000; 5]);
        assert!(playlist.segments().iter().all(|s| !s.discontinuity));
    }
}

#[test]
fn hls_5_a_transport_stream_is_cut_at_its_random_access_points() {
    for (name, segments) in [
        ("", 5),
        ("gen/h264_noaud_cbr.ts", 2),
        ("gen/hevc_aac.ts", 2),
        ("gen/mpeg2_mp2.ts", 2),
        ("gen/h264_opus.ts", 2),
    ] {
        let Some(ts) = (if name.is_empty() { Some(clip()) } else { corpus(name) }) else { continue };
        for step in [188 * 7, 1000, 1 << 20] {
            let env = TestEnv::new();
            let mut harness = sink(&env, "segment-duration=2s", &[("sink", "video/mpegts")]);
            harness.push_bytes("sink", &ts, step).expect("runs");
            harness.eos().expect("ends");
            assert!(harness.wake_time().is_none_or(|due| due <= Time::ZERO), "the end waits for nothing");
            let (bytes, durations) = joined(&env);
            assert_eq!(durations.len(), segments, "{name}: {durations:?}");
            for segment in playlist(&env).expect("a playlist").segments() {
                assert_begins_with_tables_and_key_frame(&read(&env, &segment.uri), &segment.uri);
            }
            assert_counters_run_on(&bytes);
            let (input, output) = (demux(&ts), demux(&bytes));
            for pad in ["video", "audio"] {
                assert!(payload(&input, pad) == payload(&output, pad), "{name} {pad}");
            }
        }
    }
}

#[test]
fn ts_1_packets_with_time_stamps_or_error_correction_become_plain_ones() {
    let plain = TestEnv::new();
    let mut harness = sink(&plain, "segment-duration=2s", &[("sink", "video/mpegts")]);
    harness.push_bytes("sink", &clip(), 1 << 20).expect("runs");
    harness.eos().expect("ends");
    for (ahead, behind) in [(4, 0), (0, 16), (0, 20)] {
        let around = |packet: &[u8]| [&vec![0x11; ahead], packet, &vec![0x47; behind]].concat();
        let wide: Bytes = clip().chunks(188).flat_map(around).collect();
        let env = TestEnv::new();
        let caps = format!("video/mpegts, packetsize={}", 188 + ahead + behind);
        let mut harness = sink(&env, "segment-duration=2s", &[("sink", &caps)]);
        harness.push_bytes("sink", &wide, 100_003).expect("runs");
        harness.eos().expect("ends");
        // The service description comes ahead of the tables.
        assert!(matches!(&harness.drops[..], [sdt] if sdt.bytes == 188), "{:?}", harness.drops);
        assert!(joined(&env) == joined(&plain), "{ahead} ahead, {behind} behind");
    }
}

#[test]
fn a_transport_stream_with_garbage_keeps_its_packets() {
    let mut bytes = vec![1, 2, 0x47, 3];
    bytes.extend_from_slice(&clip());
    bytes.splice(4 + 188 * 1000..4 + 188 * 1000, [0x47; 50]);
    bytes.extend_from_slice(&[0x47; 20]);
    let env = TestEnv::new();
    let mut harness = sink(&env, "segment-duration=2s", &[("sink", "video/mpegts")]);
    harness.push_bytes("sink", &bytes.into(), 4096).expect("runs");
    harness.eos().expect("ends");
    assert_eq!(joined(&env).1.len(), 5);
    let told: Vec<_> = harness.drops.iter().map(|drop| (drop.bytes, drop.offset)).collect();
    assert!(told.contains(&(4, Some(0))) && told.contains(&(50, Some(4 + 188 * 1000))), "{told:?}");
    assert_eq!(told.iter().map(|(bytes, _)| bytes).sum::<u64>(), 4 + 50 + 20 + 188, "and the service description");
}

#[test]
fn every_codec_of_the_corpus_that_transport_streams_carry() {
    let hevc = "video/x-h265, stream-format=byte-stream, alignment=au";
    for (name, video, audio, codec) in [
        ("gen/hevc_aac.ts", hevc, AUDIO, Codec::AacAdts),
        ("gen/h264_ac3.ts", VIDEO, "audio/x-ac3, rate=48000", Codec::Ac3),
        ("gen/h264_2997_bpyr.ts", VIDEO, AUDIO, Codec::AacAdts),
    ] {
        let Some(ts) = corpus(name) else { return };
        let env = TestEnv::new();
        run(&env, "segment-duration=2s", &ts, &[("video", video), ("audio", audio)]);
        let bytes = joined(&env).0;
        let (input, output) = (demux(&ts), demux(&bytes));
        for pad in ["video", "audio"] {
            assert!(payload(&input, pad) == payload(&output, pad), "{name} {pad}");
        }
        let mut demuxer = TsDemuxer::new(TsDemuxerSettings::default());
        demuxer.push(bytes);
        demuxer.finish();
        while demuxer.next_event().is_some() {}
        assert!(demuxer.programs().flat_map(|p| &p.streams).any(|stream| stream.codec == codec), "{name}");
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let env = TestEnv::new();
    for settings in [
        "segment-name=../%05d.ts",
        "segment-name=a/%05d.ts",
        "segment-name=seg.ts",
        "playlist-name=../index.m3u8",
        "playlist-name=seg00001.ts",
        "target-duration=1s segment-duration=4s",
        "target-duration=1500ms segment-duration=1s",
        "playlist-type=vod window=12s",
    ] {
        let factory = factory();
        let builder = Harness::builder(&factory).settings(&format!("directory=out {settings}")).env(&env).sink("video");
        assert!(builder.build().is_err(), "{settings}");
    }
    let factory = factory();
    let mixed = Harness::builder(&factory).settings("directory=out").env(&env).sink("video").sink("sink").build();
    assert!(mixed.is_err());
    assert!(Harness::builder(&factory).settings("directory=out").env(&env).build().is_err());
}

#[test]
fn damaged_transport_streams_never_panic_and_lists_stay_whole() {
    let mut random = common::Random(7);
    for _ in 0..30 {
        let mut bytes = clip().to_vec();
        for _ in 0..random.below(400) {
            let at = random.below(bytes.len());
            bytes[at] = random.below(256) as u8;
        }
        for _ in 0..random.below(4) {
            let at = random.below(bytes.len());
            bytes.drain(at..(at + random.below(1000)).min(bytes.len()));
        }
        let env = TestEnv::new();
        let mut harness = sink(&env, "segment-duration=2s window=6s target-duration=2s", &[("sink", "video/mpegts")]);
        harness.push_bytes("sink", &bytes.into(), 10_000).expect("runs");
        harness.eos().expect("ends");
        check_listed(&env);
        let playlist = playlist(&env).expect("a playlist");
        assert!(playlist.segments().iter().all(|s| s.duration.nanos() < 2_500_000_000), "{playlist}");
    }
}
