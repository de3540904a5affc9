//! What the muxer writes, judged by a plain reader of bytes and by reading it back.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

mod common;

use bytes::Bytes;
use common::{Plain, demux, pes_by_pid, plain};
use millstream_ts::demuxer::{DropReason, Event, TsDemuxerSettings};
use millstream_ts::muxer::{MuxError, StreamConfig, StreamId, TsMuxer, TsMuxerSettings};
use millstream_ts::packet::Pid;
use millstream_ts::psi::{Codec, Descriptors, tag};
use proptest::prelude::*;

const WRAP: i64 = 1 << 33;

/// Settings under which times come back as they went in.
fn bare() -> TsMuxerSettings {
    TsMuxerSettings { timestamp_offset: 0, pcr_delay: 0, insert_aud: false, ..TsMuxerSettings::default() }
}

fn drain(muxer: &mut TsMuxer) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(block) = muxer.take_ready() {
        out.extend_from_slice(&block);
    }
    out
}

fn finish(mut muxer: TsMuxer) -> Vec<u8> {
    muxer.flush().unwrap();
    drain(&mut muxer)
}

/// Bytes that tell their place: none is a start code or a sync byte run.
fn payload(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|n| (n.wrapping_mul(31) + seed * 7 + n / 251) as u8).collect()
}

/// The bytes in slices of the given sizes, in turn.
fn slices(data: &[u8], sizes: &[usize]) -> Vec<Bytes> {
    let mut rest = Bytes::copy_from_slice(data);
    let mut all = Vec::new();
    for &size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        all.push(rest.split_to(size.min(rest.len())));
    }
    all
}

fn one(codec: Codec, settings: TsMuxerSettings) -> (TsMuxer, StreamId) {
    let mut muxer = TsMuxer::new(settings).unwrap();
    let stream = muxer.add_stream(&StreamConfig::new(codec)).unwrap();
    (muxer, stream)
}

/// A minute of video at `fps` beside AAC frames, in the order of DTS.
fn film(settings: TsMuxerSettings, fps: f64, seconds: f64) -> (Vec<u8>, TsMuxer) {
    let mut muxer = TsMuxer::new(settings).unwrap();
    let video = muxer.add_stream(&StreamConfig::new(Codec::H264)).unwrap();
    let audio = muxer.add_stream(&StreamConfig::new(Codec::AacAdts)).unwrap();
    let mut out = Vec::new();
    let (mut pictures, mut frames) = (0, 0);
    loop {
        let (v, a) = (f64::from(pictures) / fps, f64::from(frames) * 1024.0 / 48_000.0);
        if v.min(a) >= seconds {
            break;
        }
        if v <= a {
            let key = pictures % 50 == 0;
            let data = Bytes::from(payload(if key { 20_000 } else { 3_000 }, pictures as usize));
            let dts = (v * 90_000.0) as i64;
            muxer.write(video, &[data], dts + 6_000, dts, key).unwrap();
            pictures += 1;
        } else {
            let pts = (a * 90_000.0) as i64;
            muxer.write(audio, &[Bytes::from(payload(300, frames as usize))], pts, pts, true).unwrap();
            frames += 1;
        }
        out.extend(drain(&mut muxer));
    }
    muxer.flush().unwrap();
    out.extend(drain(&mut muxer));
    (out, muxer)
}

/// PCRs with the index of their packet; their PID checked.
fn pcrs(packets: &[Plain], pid: u16) -> Vec<(usize, u64)> {
    let all = packets.iter().enumerate().filter_map(|(n, p)| p.pcr().map(|pcr| (n, p.pid, pcr)));
    all.map(|(n, on, pcr)| {
        assert_eq!(on, pid);
        (n, pcr)
    })
    .collect()
}

#[test]
fn ts_7_every_payload_size_comes_back_whole() {
    for codec in [Codec::H264, Codec::AacAdts, Codec::PrivatePes] {
        let (mut muxer, stream) = one(codec, TsMuxerSettings { audio_pes_bytes: 0, ..bare() });
        for len in 1..=400 {
            let data = slices(&payload(len, len), &[7, 1, 100, 3]);
            let dts = len as i64 * 3_000;
            muxer.write(stream, &data, dts + (len as i64 % 3) * 3_000, dts, len % 10 == 0).unwrap();
        }
        let out = finish(muxer);
        plain(&out);
        let (events, demuxer) = demux(&out, 1000, TsDemuxerSettings::default());
        let pes = pes_by_pid(&events);
        assert_eq!(pes[&0x100].len(), 400);
        for (len, pes) in (1..).zip(&pes[&0x100]) {
            assert_eq!(pes.data, payload(len, len), "{len} bytes");
            assert_eq!(pes.dts.or(pes.pts), Some(len as i64 * 3_000));
            assert_eq!(pes.pts, Some((len + len % 3) as i64 * 3_000));
            assert_eq!(pes.dts.is_none(), len % 3 == 0, "a DTS only where it differs");
            assert!(!pes.corrupted && !pes.discontinuity && pes.data_alignment);
        }
        assert_eq!(demuxer.stats().dropped.iter().sum::<u64>(), 0);
    }
}

#[test]
fn ts_7_stuffing_of_one_byte_and_of_183() {
    // PES header of 14 bytes: 170 bytes fill one packet, 169 leave one byte, 171 leave one byte for a second packet.
    for (len, fields) in [(170, vec![0]), (169, vec![1]), (168, vec![2]), (171, vec![0, 183]), (170 + 183, vec![0, 1])]
    {
        let (mut muxer, stream) = one(Codec::PrivatePes, bare());
        // The first unit carries the PCR.
        muxer.write(stream, &[Bytes::from_static(b"x")], 0, 0, false).unwrap();
        muxer.write(stream, &[Bytes::from(payload(len, 0))], 900, 900, false).unwrap();
        let out = finish(muxer);
        let media: Vec<_> = out.chunks(188).filter(|p| p[1] & 0x1F == 1).skip(1).collect();
        let found: Vec<_> = media.iter().map(|p| if p[3] & 0x20 != 0 { usize::from(p[4]) + 1 } else { 0 }).collect();
        assert_eq!(found, fields, "{len} bytes");
        let all: Vec<u8> = plain(&out).into_iter().filter(|p| p.pid == 0x100).skip(1).flat_map(|p| p.payload).collect();
        assert!(all.ends_with(&payload(len, 0)));
    }
}

#[test]
fn ts_7_pes_lengths_of_video_and_audio() {
    let length = |codec, bytes: usize, settings| {
        let (mut muxer, stream) = one(codec, settings);
        muxer.write(stream, &[Bytes::from(payload(bytes, 1))], 0, 0, true).unwrap();
        let out = finish(muxer);
        let starts: Vec<_> = plain(&out).into_iter().filter(|p| p.pid == 0x100 && p.start).collect();
        starts.iter().map(|p| u16::from_be_bytes([p.payload[4], p.payload[5]])).collect::<Vec<_>>()
    };
    let stated = TsMuxerSettings { video_pes_length: true, ..bare() };
    assert_eq!(length(Codec::H264, 1000, bare()), [0]);
    assert_eq!(length(Codec::H264, 1000, stated.clone()), [1008]);
    assert_eq!(length(Codec::H264, 70_000, stated), [0]);
    assert_eq!(length(Codec::AacAdts, 1000, bare()), [1008]);
    // 65522 bytes with a time, the rest without one: 3 bytes of header count.
    assert_eq!(length(Codec::AacAdts, 70_000, bare()), [65_530, 4_478 + 3]);
    let (mut muxer, stream) = one(Codec::Id3, bare());
    let too_long = muxer.write(stream, &[Bytes::from(payload(70_000, 1))], 0, 0, true);
    assert_eq!(too_long, Err(MuxError::TooLong { size: 70_000, limit: 65_522 }));
}

#[test]
fn ts_5_pcr_at_least_every_40_ms_and_never_ahead_of_a_dts() {
    for fps in [5.0, 10.0, 23.976, 25.0, 30.0, 50.0, 59.94, 120.0] {
        let (out, muxer) = film(TsMuxerSettings::default(), fps, 8.0);
        let packets = plain(&out);
        let pcrs = pcrs(&packets, 0x100);
        for pair in pcrs.windows(2) {
            assert!(pair[0].1 < pair[1].1, "PCR goes on at {fps}");
            assert!(pair[1].1 - pair[0].1 <= 40 * 27_000, "{} ms at {fps}", (pair[1].1 - pair[0].1) / 27_000);
        }
        let mut now = None;
        for packet in &packets {
            now = packet.pcr().or(now);
            if let (Some(pts), dts) = packet.stamps() {
                let now = now.expect("a PCR before the first unit");
                assert!(now <= dts.unwrap_or(pts) * 300, "PCR ahead of the DTS at {fps}");
            }
        }
        assert_eq!(muxer.stats().late, 0);
        assert_eq!(muxer.stats().discontinuities, 0);
        assert!(packets.iter().all(|p| !p.discontinuity()));
    }
}

#[test]
fn ts_4_tables_every_100_ms_and_before_each_key_frame() {
    let (out, _) = film(TsMuxerSettings::default(), 25.0, 8.0);
    let packets = plain(&out);
    let mut last_tables = None;
    let (mut clock, mut seen) = (0, 0);
    for (n, packet) in packets.iter().enumerate() {
        if packet.pid == 0 {
            assert_eq!(packets[n + 1].pid, 0x1000, "the PMT follows");
            last_tables = Some(n);
            seen += 1;
        }
        if let (Some(pts), dts) = packet.stamps() {
            clock = dts.unwrap_or(pts);
        }
        if packet.pid == 0x100 && packet.random_access() {
            assert_eq!(last_tables, Some(n - 2), "PAT and PMT right before a key frame");
            assert!(packet.pcr().is_some());
        }
    }
    assert!(packets[0].pid == 0 && packets[1].pid == 0x1000);
    // 8 s of a table each 100 ms, at frames of 40 ms: each 120 ms at worst.
    assert!((8_000 / 120..=8_000 / 100).contains(&seen), "{seen} tables until {clock}");
}

#[test]
fn ts_2_counters_run_on_across_segments() {
    let (mut muxer, stream) = one(Codec::H264, bare());
    let mut all = Vec::new();
    for segment in 0..5 {
        muxer.force_psi();
        for frame in 0..7 {
            let dts = (segment * 7 + frame) * 3_600;
            muxer.write(stream, &[Bytes::from(payload(1000, 3))], dts, dts, frame == 0).unwrap();
        }
        muxer.flush().unwrap();
        let out = drain(&mut muxer);
        assert_eq!((out[1..3].to_vec(), out[188 + 1] & 0x1F, out[188 + 2]), (vec![0x40, 0], 0x10, 0));
        all.extend(out);
    }
    plain(&all);
}

#[test]
fn force_psi_works_before_a_frame_that_is_no_key_frame() {
    let (mut muxer, stream) = one(Codec::H264, bare());
    muxer.write(stream, &[Bytes::from_static(b"key")], 0, 0, true).unwrap();
    muxer.write(stream, &[Bytes::from_static(b"more")], 10, 10, false).unwrap();
    muxer.force_psi();
    muxer.write(stream, &[Bytes::from_static(b"more")], 20, 20, false).unwrap();
    let pids: Vec<_> = plain(&finish(muxer)).iter().map(|p| p.pid).collect();
    assert_eq!(pids, [0, 0x1000, 0x100, 0x100, 0, 0x1000, 0x100]);
}

#[test]
fn ts_6_times_wrap_on_the_wire_and_come_back_unrolled() {
    let start = WRAP - 45_000;
    let (mut muxer, stream) = one(Codec::H264, TsMuxerSettings { pcr_delay: 63_000, ..bare() });
    for n in 0..50 {
        let dts = start + n * 3_600;
        muxer.write(stream, &[Bytes::from(payload(500, 0))], dts + 7_200, dts, n == 0).unwrap();
    }
    let out = finish(muxer);
    let packets = plain(&out);
    assert!(packets.iter().filter_map(|p| p.stamps().0).any(|pts| pts < 90_000));
    let (events, _) = demux(&out, 188, TsDemuxerSettings::default());
    let times: Vec<_> = pes_by_pid(&events)[&0x100].iter().map(|pes| (pes.pts.unwrap(), pes.dts.unwrap())).collect();
    let expected: Vec<_> = (0..50).map(|n| start + n * 3_600).map(|dts| (dts + 7_200, dts)).collect();
    assert_eq!(times, expected);
    let pcrs: Vec<_> =
        events.iter().filter_map(|e| if let Event::Pcr(pcr) = e { Some(pcr.pcr) } else { None }).collect();
    assert!(pcrs.windows(2).all(|w| w[0] < w[1]));
    assert_eq!(pcrs[0], (start - 63_000) * 300);
}

#[test]
fn ts_3_a_jump_of_the_clock_is_marked() {
    for jump in [WRAP / 4, -3_000_000] {
        let (mut muxer, stream) = one(Codec::H264, bare());
        for n in 0..20 {
            let dts = 4_000_000 + n * 3_600 + if n < 10 { 0 } else { jump };
            muxer.write(stream, &[Bytes::from(payload(500, 0))], dts, dts, n == 0).unwrap();
        }
        assert_eq!(muxer.stats().discontinuities, 1);
        let packets = plain(&finish(muxer));
        let marked: Vec<_> = packets.iter().filter(|p| p.discontinuity()).collect();
        assert_eq!(marked.len(), 1);
        assert!(marked[0].pcr().is_some() && marked[0].start);
    }
}

#[test]
fn ts_5_ts_14_constant_rate_has_exact_pcrs_and_null_packets() {
    for rate in [1_000_000, 1_504_000, 4_321_987] {
        let settings = TsMuxerSettings { bitrate: Some(rate), ..TsMuxerSettings::default() };
        let (out, muxer) = film(settings, 25.0, 10.0);
        let packets = plain(&out);
        let pcrs = pcrs(&packets, 0x100);
        let (first_at, first) = pcrs[0];
        for pair in pcrs.windows(2) {
            assert!(pair[1].1 - pair[0].1 <= 40 * 27_000, "{} ms at {rate}", (pair[1].1 - pair[0].1) / 27_000);
        }
        for &(at, pcr) in &pcrs {
            let due = first as f64 + (at - first_at) as f64 * 188.0 * 8.0 * 27e6 / rate as f64;
            // 500 ns are 13.5 ticks.
            assert!((pcr as f64 - due).abs() < 13.5, "{pcr} instead of {due}");
        }
        let nulls = packets.iter().filter(|p| p.pid == 0x1FFF).count() as u64;
        assert!(nulls > 100);
        assert_eq!(muxer.stats().null_packets, nulls);
        assert_eq!(muxer.stats().late, 0);
        assert_eq!(muxer.stats().bytes, out.len() as u64);
        // Ten seconds, but for the delay at the end.
        let bits = out.len() as f64 * 8.0;
        assert!((bits / rate as f64 - 10.0).abs() < 0.8, "{} s", bits / rate as f64);
    }
}

#[test]
fn constant_rate_that_is_too_low_is_counted_as_late() {
    let settings = TsMuxerSettings { bitrate: Some(300_000), ..TsMuxerSettings::default() };
    let (_, muxer) = film(settings, 25.0, 10.0);
    assert!(muxer.stats().late > 50);
}

#[test]
fn ts_8_access_units_without_a_delimiter_get_one_and_key_frames_are_marked() {
    let units: [&'static [u8]; 3] = [b"\0\0\0\x01\x65abc", b"\0\0\x01\x41def", b"\0\0\0\x01\x09\xF0\0\0\x01\x41g"];
    for insert_aud in [true, false] {
        let (mut muxer, stream) = one(Codec::H264, TsMuxerSettings { insert_aud, ..bare() });
        for (n, unit) in (0..).zip(units) {
            let parts = [Bytes::from_static(&unit[..2]), Bytes::from_static(&unit[2..])];
            muxer.write(stream, &parts, n * 3_600, n * 3_600, n == 0).unwrap();
        }
        let (events, _) = demux(&finish(muxer), 4096, TsDemuxerSettings::default());
        let pes = &pes_by_pid(&events)[&0x100];
        let aud: &[u8] = if insert_aud { b"\0\0\0\x01\x09\xF0" } else { b"" };
        assert_eq!(pes[0].data, [aud, units[0]].concat());
        assert_eq!(pes[1].data, [aud, units[1]].concat());
        assert_eq!(pes[2].data, units[2]);
        assert_eq!(pes.iter().map(|pes| pes.random_access).collect::<Vec<_>>(), [true, false, false]);
    }
}

#[test]
fn ts_9_audio_frames_share_a_pes_packet_and_keep_its_time() {
    let (mut muxer, stream) = one(Codec::AacAdts, bare());
    for n in 0..20 {
        muxer.write(stream, &[Bytes::from(payload(400, n))], n as i64 * 1_920, n as i64 * 1_920, true).unwrap();
    }
    let out = finish(muxer);
    let (events, _) = demux(&out, 4096, TsDemuxerSettings::default());
    let pes = &pes_by_pid(&events)[&0x100];
    // 100 ms are 4.7 frames: the fifth begins 85 ms behind the first.
    let found: Vec<_> = pes.iter().map(|pes| (pes.pts.unwrap(), pes.data.len())).collect();
    assert_eq!(found, [(0, 2000), (5 * 1_920, 2000), (10 * 1_920, 2000), (15 * 1_920, 2000)]);
    assert_eq!(pes[1].data[..400], payload(400, 5));
}

#[test]
fn held_audio_goes_out_when_the_other_stream_has_gone_on() {
    let mut muxer = TsMuxer::new(bare()).unwrap();
    let video = muxer.add_stream(&StreamConfig::new(Codec::H264)).unwrap();
    let audio = muxer.add_stream(&StreamConfig::new(Codec::AacAdts)).unwrap();
    muxer.write(audio, &[Bytes::from_static(b"frame")], 0, 0, true).unwrap();
    muxer.write(video, &[Bytes::from_static(b"picture")], 9_000, 9_000, true).unwrap();
    assert_eq!(muxer.stats().pes_packets, 1);
    muxer.write(video, &[Bytes::from_static(b"picture")], 9_001, 9_001, true).unwrap();
    assert_eq!(muxer.stats().pes_packets, 3);
}

#[test]
fn ts_10_descriptors_let_a_reader_know_every_codec() {
    let mut own = Descriptors::new();
    own.push(tag::DVB_SUBTITLING, b"deu\x10\0\x01\0\x01").unwrap();
    let streams = [
        (Codec::H264, 0x1B),
        (Codec::H265, 0x24),
        (Codec::Mpeg2Video, 0x02),
        (Codec::Av1, 0x06),
        (Codec::AacAdts, 0x0F),
        (Codec::Mpeg1Audio, 0x03),
        (Codec::Ac3, 0x81),
        (Codec::Eac3, 0x87),
        (Codec::Opus(6), 0x06),
        (Codec::Id3, 0x15),
        (Codec::Klv, 0x06),
        (Codec::Scte35, 0x86),
        (Codec::DvbSubtitle, 0x06),
    ];
    let mut muxer = TsMuxer::new(bare()).unwrap();
    let ids: Vec<_> = streams
        .iter()
        .map(|&(codec, _)| {
            let descriptors = if codec == Codec::DvbSubtitle { own.clone() } else { Descriptors::new() };
            let config = StreamConfig { language: Some(*b"eng"), descriptors, ..StreamConfig::new(codec) };
            muxer.add_stream(&config).unwrap()
        })
        .collect();
    muxer.write(ids[0], &[Bytes::from_static(b"x")], 0, 0, true).unwrap();
    let (events, _) = demux(&finish(muxer), 4096, TsDemuxerSettings::default());
    let Event::Program(program) = &events[0] else { panic!("{:?}", events[0]) };
    let found: Vec<_> = program.streams.iter().map(|s| (s.codec, s.stream_type)).collect();
    assert_eq!(found, streams);
    assert!(program.streams.iter().all(|s| s.language == Some(*b"eng")));
    // TS-12: the pointer in the program, as Apple's players want it.
    assert_eq!(program.descriptors.metadata_format(tag::METADATA_POINTER), Some(*b"ID3 "));
    assert_eq!(program.pcr_pid, Pid::from_bits(0x100));
}

#[test]
fn ts_11_opus_packets_get_control_headers() {
    let (mut muxer, stream) = one(Codec::Opus(2), bare());
    for n in 0..3 {
        muxer.write(stream, &[Bytes::from(payload(300, n))], n as i64 * 1_800, n as i64 * 1_800, true).unwrap();
    }
    let (events, _) = demux(&finish(muxer), 4096, TsDemuxerSettings::default());
    let pes = &pes_by_pid(&events)[&0x100];
    assert_eq!((pes.len(), pes[0].stream_id), (1, 0xBD));
    let unit = |n| [&[0x7F, 0xE0, 0xFF, 45][..], &payload(300, n)].concat();
    assert_eq!(pes[0].data, [unit(0), unit(1), unit(2)].concat());
}

#[test]
fn ts_13_sections_go_through() {
    let mut muxer = TsMuxer::new(bare()).unwrap();
    let video = muxer.add_stream(&StreamConfig::new(Codec::H264)).unwrap();
    let cues = muxer.add_stream(&StreamConfig::new(Codec::Scte35)).unwrap();
    let sections: Vec<Vec<u8>> = [20, 180, 400]
        .map(|len: usize| [&[0xFC, 0x30 | (len >> 8) as u8, len as u8][..], &payload(len, 9)].concat())
        .to_vec();
    for (n, section) in sections.iter().enumerate() {
        let dts = n as i64 * 3_600;
        muxer.write(video, &[Bytes::from_static(b"x")], dts, dts, n == 0).unwrap();
        muxer.write_section(cues, section, dts).unwrap();
    }
    let out = finish(muxer);
    plain(&out);
    let (events, demuxer) = demux(&out, 4096, TsDemuxerSettings::default());
    let found: Vec<_> =
        events.iter().filter_map(|e| if let Event::Section(s) = e { Some(s.data.to_vec()) } else { None }).collect();
    assert_eq!(found, sections);
    assert_eq!(demuxer.stats().of(DropReason::BadSection).0, 0);
}

#[test]
fn ts_4_a_stream_added_later_gives_a_new_version() {
    let (mut muxer, video) = one(Codec::H264, bare());
    muxer.write(video, &[Bytes::from_static(b"x")], 0, 0, true).unwrap();
    let audio = muxer.add_stream(&StreamConfig::new(Codec::AacAdts)).unwrap();
    muxer.write(audio, &[Bytes::from_static(b"y")], 100, 100, true).unwrap();
    let (events, _) = demux(&finish(muxer), 4096, TsDemuxerSettings::default());
    let programs: Vec<_> = events
        .iter()
        .filter_map(|event| if let Event::Program(p) = event { Some((p.version, p.streams.len())) } else { None })
        .collect();
    assert_eq!(programs, [(0, 1), (1, 2)]);
    assert_eq!(pes_by_pid(&events).len(), 2);
}

#[test]
fn settings_and_pids_that_make_no_sense_are_refused() {
    let wrong = [
        TsMuxerSettings { pcr_interval: 0, ..bare() },
        TsMuxerSettings { bitrate: Some(100), ..bare() },
        TsMuxerSettings { program_number: 0, ..bare() },
        TsMuxerSettings { pmt_pid: Pid::PAT, ..bare() },
    ];
    for settings in wrong {
        assert!(matches!(TsMuxer::new(settings), Err(MuxError::Setting { .. })));
    }
    let mut muxer = TsMuxer::new(bare()).unwrap();
    for pid in [Pid::PAT, Pid::NULL, Pid::from_bits(0x1000)] {
        let config = StreamConfig { pid: Some(pid), ..StreamConfig::new(Codec::H264) };
        assert_eq!(muxer.add_stream(&config), Err(MuxError::PidTaken(pid)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_units_in_any_slices_come_back(
        units in prop::collection::vec((1usize..30_000, 0i64..20_000, 0i64..20_000, any::<bool>(), any::<bool>()), 1..40),
        sizes in prop::collection::vec(1usize..5_000, 1..6),
        block in 188usize..40_000,
        bitrate in prop::option::of(2_000_000u64..50_000_000),
        start in -WRAP..2 * WRAP,
        piece in 1usize..5_000,
    ) {
        let settings = TsMuxerSettings { block_size: block, bitrate, audio_pes_bytes: 0, ..bare() };
        let mut muxer = TsMuxer::new(settings).unwrap();
        let video = muxer.add_stream(&StreamConfig::new(Codec::H264)).unwrap();
        let audio = muxer.add_stream(&StreamConfig::new(Codec::Ac3)).unwrap();
        let (mut out, mut expected, mut dts) = (Vec::new(), [Vec::new(), Vec::new()], start);
        for (n, &(len, step, lag, is_video, key)) in units.iter().enumerate() {
            dts += step;
            let stream = if is_video { video } else { audio };
            let data = payload(len, n);
            muxer.write(stream, &slices(&data, &sizes), dts + lag, dts, key).unwrap();
            expected[usize::from(!is_video)].push((data, dts + lag, dts, key && is_video));
            out.extend(drain(&mut muxer));
        }
        muxer.flush().unwrap();
        out.extend(drain(&mut muxer));
        prop_assert_eq!(muxer.stats().bytes, out.len() as u64);
        plain(&out);

        let (events, demuxer) = demux(&out, piece, TsDemuxerSettings::default());
        prop_assert_eq!(demuxer.stats().dropped.iter().sum::<u64>(), 0);
        let pes = pes_by_pid(&events);
        // Times come back modulo 2^33: the demuxer cannot know how often they had wrapped before.
        let all = pes.values().flatten();
        let shift = all.map(|pes| (pes.offset, pes.dts.or(pes.pts).unwrap())).min().map_or(0, |(_, first)| {
            let (_, sent) = (0, expected.iter().flatten().map(|unit| unit.2).min().unwrap());
            (first - sent).div_euclid(WRAP) * WRAP + if (first - sent).rem_euclid(WRAP) > WRAP / 2 { WRAP } else { 0 }
        });
        for (pid, expected) in [0x100, 0x101].into_iter().zip(&expected) {
            let found: &[_] = pes.get(&pid).map_or(&[], Vec::as_slice);
            prop_assert_eq!(found.len(), expected.len());
            for (pes, (data, pts, dts, key)) in found.iter().zip(expected) {
                prop_assert!(pes.data == data[..]);
                prop_assert_eq!(pes.pts, Some(pts + shift));
                prop_assert_eq!(pes.dts.unwrap_or(pts + shift), dts + shift);
                prop_assert!(pes.random_access == *key || pid == 0x101);
            }
        }
    }

    #[test]
    fn any_bytes_never_panic(input in prop::collection::vec(any::<u8>(), 0..4_000), piece in 1usize..500) {
        demux(&input, piece, TsDemuxerSettings::default());
    }

    #[test]
    fn any_damage_never_panics_and_is_accounted_for(
        flips in prop::collection::vec((0usize..60_000, any::<u8>()), 0..60),
        cut in 0usize..60_000,
        piece in 1usize..3_000,
    ) {
        let (mut out, _) = film(TsMuxerSettings::default(), 25.0, 0.6);
        for (at, byte) in flips {
            let len = out.len();
            out[at % len] = byte;
        }
        let at = cut % out.len();
        out.drain(at..(at + cut % 300).min(out.len()));
        let (events, demuxer) = demux(&out, piece, TsDemuxerSettings { max_pes_bytes: 50_000, ..Default::default() });
        let stats = demuxer.stats();
        let outside = stats.of(DropReason::NoSync).1 + stats.of(DropReason::CutPacket).1;
        prop_assert_eq!(stats.packets * 188 + outside, out.len() as u64);
        let bytes: usize = pes_by_pid(&events).values().flatten().map(|pes| pes.data.len()).sum();
        prop_assert!(bytes <= out.len());
    }
}
