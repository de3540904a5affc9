//! Real files: what libavformat reads in them, this crate must read too.

mod common;

use std::collections::BTreeMap;

use common::{demux, manifest, media, pes_by_pid};
use millstream_codec::opus::ControlHeader;
use millstream_ts::demuxer::{DropReason, Event, TsDemuxerSettings};
use millstream_ts::psi::Codec;

/// Files that are whole: what they hold is known exactly.
fn is_valid(name: &str) -> bool {
    let folder = ["ts/", "gen/", "hls/", "hls_shaka/"].iter().any(|folder| name.starts_with(folder));
    folder && name.ends_with(".ts")
}

/// libavformat's name of a codec.
fn name(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "video:h264",
        Codec::H265 => "video:hevc",
        Codec::Mpeg2Video => "video:mpeg2video",
        Codec::Mpeg1Audio | Codec::Mpeg2Audio => "audio:mp2",
        Codec::AacAdts => "audio:aac",
        Codec::AacLatm => "audio:aac_latm",
        Codec::Ac3 => "audio:ac3",
        Codec::Eac3 => "audio:eac3",
        Codec::Opus(_) => "audio:opus",
        Codec::Scte35 => "data:?",
        other => panic!("no such codec in the corpus: {other:?}"),
    }
}

/// Frames in a row of PES payloads, each header telling where the next is. A first frame without its head and a last one without its
/// end count, as they do with libavformat. 0 if this is not framed.
fn count_frames(codec: Codec, data: &[u8]) -> usize {
    let size_at = |at: usize| frame_size(codec, &data[at..]).filter(|&size| size > 0);
    let chained = |at: usize| size_at(at).is_some_and(|size| size_at((at + size).min(data.len())).is_some());
    let Some(mut at) = (0..data.len()).find(|&at| chained(at)) else { return 0 };
    let mut count = usize::from(at > 0);
    while let Some(size) = size_at(at.min(data.len())) {
        count += 1;
        at += size;
    }
    count
}

fn frame_size(codec: Codec, d: &[u8]) -> Option<usize> {
    match codec {
        Codec::AacAdts => (d.len() >= 7 && d[0] == 0xFF && d[1] & 0xF0 == 0xF0)
            .then(|| usize::from(d[3] & 3) << 11 | usize::from(d[4]) << 3 | usize::from(d[5] >> 5)),
        // Layer II of MPEG-1.
        Codec::Mpeg1Audio => {
            let rates = [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
            (d.len() >= 4 && d[0] == 0xFF && d[1] & 0xFE == 0xFC).then(|| {
                let hz = [44_100, 48_000, 32_000][usize::from(d[2] >> 2 & 3)];
                144_000 * rates[usize::from(d[2] >> 4)] / hz + usize::from(d[2] >> 1 & 1)
            })
        }
        Codec::AacLatm => (d.len() >= 3 && d[0] == 0x56 && d[1] & 0xE0 == 0xE0)
            .then(|| 3 + (usize::from(d[1] & 0x1F) << 8 | usize::from(d[2]))),
        Codec::Ac3 => {
            let kbit = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
            (d.len() >= 5 && d[..2] == [0x0B, 0x77]).then(|| {
                let code = usize::from(d[4] & 0x3F);
                match d[4] >> 6 {
                    0 => kbit[code / 2] * 4,
                    1 => (kbit[code / 2] * 96_000 / 44_100 + code % 2) * 2,
                    _ => kbit[code / 2] * 6,
                }
            })
        }
        Codec::Eac3 => {
            (d.len() >= 4 && d[..2] == [0x0B, 0x77]).then(|| 2 * ((usize::from(d[2] & 7) << 8 | usize::from(d[3])) + 1))
        }
        Codec::Opus(_) => ControlHeader::parse(d).ok().map(|(header, at)| at + header.size),
        _ => None,
    }
}

/// Packets of each stream as libavformat counts them: `video:h264` and the count.
fn read(input: &[u8], piece: usize) -> (BTreeMap<u16, (Codec, usize)>, Vec<Event>) {
    let (events, demuxer) = demux(input, piece, TsDemuxerSettings::default());
    let mut streams = BTreeMap::new();
    for stream in demuxer.programs().flat_map(|program| &program.streams) {
        streams.insert(stream.pid.get(), (stream.codec, 0));
    }
    for (pid, all) in pes_by_pid(&events) {
        let (codec, count) = streams.get_mut(&pid).expect("a PID of the PMT");
        // Frames may span PES packets: all the payload in a row.
        let payload: Vec<u8> = all.iter().flat_map(|pes| pes.data.to_vec()).collect();
        *count = match count_frames(*codec, &payload) {
            // Video, and the AAC without ADTS of gst__test.ts: a unit in each.
            0 => all.len(),
            frames => frames,
        };
    }
    for event in &events {
        if let Event::Section(section) = event {
            streams.get_mut(&section.pid.get()).expect("a PID of the PMT").1 += 1;
        }
    }
    (streams, events)
}

#[test]
fn ts_9_ts_10_every_valid_file_has_the_streams_and_packets_that_libavformat_reads() {
    let mut wrong = Vec::new();
    for (file, expected) in manifest(is_valid) {
        let input = media(&file).unwrap();
        let (streams, events) = read(&input, 64 * 1024);
        let mut ours: Vec<_> = streams.values().map(|(codec, count)| format!("{}:{count}", name(*codec))).collect();
        ours.sort();
        let (_, expected) = expected.strip_prefix("mpegts ").and_then(|rest| rest.split_once(' ')).unwrap();
        let mut expected: Vec<_> = expected.split("; ").map(str::to_owned).collect();
        expected.sort();
        let dropped: Vec<_> = events.iter().filter(|e| matches!(e, Event::Dropped(_))).take(5).collect();
        if ours != expected {
            wrong.push(format!("{file}: {ours:?}, expected {expected:?}; {dropped:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pieces_of_any_size_give_the_same_events() {
    for (file, _) in manifest(|name| is_valid(name) && name.starts_with("ts/")) {
        let input = media(&file).unwrap();
        let whole = demux(&input, input.len(), TsDemuxerSettings::default()).0;
        for piece in [61, 188, 1316, 4096] {
            let parts = demux(&input, piece, TsDemuxerSettings::default()).0;
            assert!(parts == whole, "{file} in pieces of {piece}");
        }
    }
}

/// PID and number of PES packets.
type PesCounts = Vec<(u16, usize)>;

/// PES packets by PID, and how often and how many bytes were dropped for a reason.
fn damaged(file: &str) -> Option<(PesCounts, impl Fn(DropReason) -> (u64, u64))> {
    let input = media(file)?;
    let (events, demuxer) = demux(&input, 64 * 1024, TsDemuxerSettings::default());
    let pes = pes_by_pid(&events).into_iter().map(|(pid, all)| (pid, all.len())).collect();
    Some((pes, move |reason| demuxer.stats().of(reason)))
}

#[test]
fn ts_2_duplicates_are_read_once() {
    // The source has 100 pictures and 25 PES packets of audio; 1 packet of 50 comes twice.
    let Some((pes, dropped)) = damaged("broken/ts_dup_packets.ts") else { return };
    assert_eq!(pes, [(0x100, 100), (0x101, 25)]);
    assert_eq!(dropped(DropReason::Duplicate), (21, 21 * 188));
    assert_eq!(dropped(DropReason::Lost).0, 0);
}

#[test]
fn ts_1_junk_between_packets_loses_nothing() {
    let Some((pes, dropped)) = damaged("broken/ts_junk_between.ts") else { return };
    assert_eq!(pes, [(0x100, 100), (0x101, 25)]);
    assert_eq!(dropped(DropReason::NoSync), (5, 75), "15 bytes each");
    assert_eq!(dropped(DropReason::Lost).0, 0);
}

#[test]
fn ts_2_lost_packets_are_counted_and_mark_their_units() {
    let Some(input) = media("broken/ts_lost_packets.ts") else { return };
    let (events, demuxer) = demux(&input, 4096, TsDemuxerSettings::default());
    let pes = pes_by_pid(&events);
    let bad = pes.values().flatten().filter(|pes| pes.corrupted || pes.discontinuity).count();
    let (lost, _) = demuxer.stats().of(DropReason::Lost);
    // 1014 packets of which each 97th is missing.
    assert_eq!(lost, 10);
    assert!((10..=20).contains(&bad), "{bad} units are marked");
    assert_eq!(pes[&0x100].len(), 99, "the packet that began one picture is lost");
}

#[test]
fn everything_before_the_cut_is_delivered() {
    let Some((pes, dropped)) = damaged("broken/ts_cut_midpacket.ts") else { return };
    assert_eq!(pes, [(0x100, 55), (0x101, 13)]);
    assert_eq!(dropped(DropReason::CutPacket).0, 1);
}

#[test]
fn ts_4_joined_files_change_codec_with_no_flag() {
    let Some(input) = media("broken/ts_discontinuity_unmarked.ts") else { return };
    let (events, _) = demux(&input, 4096, TsDemuxerSettings::default());
    let programs = events.iter().filter_map(|event| match event {
        Event::Program(program) => Some(program.streams.iter().map(|s| s.codec).collect::<Vec<_>>()),
        _ => None,
    });
    let programs: Vec<_> = programs.collect();
    assert_eq!(programs, [[Codec::H264, Codec::Ac3], [Codec::H264, Codec::Opus(2)]]);
    let pes = pes_by_pid(&events);
    assert_eq!((pes[&0x100].len(), pes[&0x101].len()), (200, 66));
    assert_eq!(pes[&0x100].iter().filter(|pes| pes.discontinuity).count(), 1);
}

#[test]
fn ts_6_stamps_go_on_across_the_wrap() {
    let Some(input) = media("gen/h264_pts_wrap33.ts") else { return };
    let Some(plain) = media("gen/h264b_aac48s_10s.ts") else { return };
    let read = |input: &[u8]| pes_by_pid(&demux(input, 4096, TsDemuxerSettings::default()).0);
    let (wrapped, plain) = (read(&input), read(&plain));
    // The same streams, the one 95438.717 s later than the other.
    let shift = wrapped[&0x100][0].pts.unwrap() - plain[&0x100][0].pts.unwrap();
    for (pid, all) in &plain {
        for (a, b) in all.iter().zip(&wrapped[pid]) {
            assert_eq!((a.pts.map(|t| t + shift), a.dts.map(|t| t + shift)), (b.pts, b.dts));
            assert_eq!(a.data, b.data);
        }
    }
    assert!(wrapped[&0x100].last().unwrap().pts.unwrap() > 1 << 33);
}

#[test]
fn ts_4_one_of_two_programs_can_be_selected() {
    let Some(input) = media("gen/two_programs.ts") else { return };
    let all = demux(&input, 4096, TsDemuxerSettings::default());
    let numbers: Vec<_> = all.1.programs().map(|program| program.number).collect();
    assert_eq!(numbers.len(), 2);
    for number in numbers {
        let settings = TsDemuxerSettings { program: Some(number), ..TsDemuxerSettings::default() };
        let (events, demuxer) = demux(&input, 4096, settings);
        assert_eq!(demuxer.programs().count(), 1);
        let pes = pes_by_pid(&events);
        assert_eq!(pes.len(), 2);
        assert!(pes.values().flatten().all(|pes| pes.program == number));
        let of_all = pes_by_pid(&all.0);
        assert!(pes.iter().all(|(pid, some)| of_all[pid] == *some));
    }
}

#[test]
fn ts_13_sections_of_scte_35_are_delivered() {
    let Some(input) = media("ts/media__sample_scte35.ts") else { return };
    let (events, _) = demux(&input, 4096, TsDemuxerSettings::default());
    let sections: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Section(section) => Some(section),
            _ => None,
        })
        .collect();
    assert_eq!(sections.len(), 3);
    assert!(sections.iter().all(|section| section.data[0] == 0xFC && millstream_ts::psi::crc32(&section.data) == 0));
}

#[test]
fn damaged_and_fuzzed_files_never_panic_and_account_for_every_packet() {
    let folders = ["broken/ts_", "fuzz_mpegts/", "ts_psi/", "ts/"];
    for (file, _) in manifest(|name| folders.iter().any(|folder| name.starts_with(folder))) {
        let input = media(&file).unwrap();
        for piece in [100, 1316, 1 << 20] {
            let (events, demuxer) = demux(&input, piece, TsDemuxerSettings::default());
            let stats = demuxer.stats();
            let outside = stats.of(DropReason::NoSync).1 + stats.of(DropReason::CutPacket).1;
            let stride = if file.ends_with("test-171.1.ts") { 204 } else { 188 };
            assert_eq!(stats.packets * stride + outside, input.len() as u64, "{file}");
            let told = events.iter().filter(|event| matches!(event, Event::Dropped(_))).count() as u64;
            assert_eq!(told, stats.dropped.iter().sum::<u64>(), "{file}");
        }
    }
}
