//! `tsmux` as an element: pads, pace, late streams, changes. What it writes is judged in `mux.rs` and `peers.rs`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{clip, demux_file, factory, mux_items};
use millstream_core::{Buffer, BufferFlags, Item, Time};
use millstream_testkit::Harness;
use millstream_ts::demuxer::{Event, TsDemuxer, TsDemuxerSettings};
use millstream_ts::psi::Codec;

const AV: [&str; 2] = ["video", "audio"];
const H264: &str = "video/x-h264, stream-format=byte-stream, alignment=au";
const ADTS: &str = "audio/mpeg, mpegversion=4, stream-format=adts";

fn muxer(pads: &[&str], settings: &str) -> Harness {
    let factory = factory("tsmux");
    let builder = pads.iter().fold(Harness::builder(&factory).settings(settings), |builder, pad| builder.sink(pad));
    builder.src("src").build().unwrap()
}

fn unit(ms: i64) -> Buffer {
    let time = Some(Time::from_millis(ms));
    Buffer::new(vec![7; 500]).with_times(time, time).with_flags(BufferFlags::KEYFRAME)
}

/// Version and codecs of each program map table that differs from the one before.
fn programs(bytes: Vec<u8>) -> Vec<(u8, Vec<Codec>)> {
    let mut demuxer = TsDemuxer::new(TsDemuxerSettings::default());
    demuxer.push(bytes.into());
    demuxer.finish();
    let program = |event| match event {
        Event::Program(program) => Some((program.version, program.streams.iter().map(|s| s.codec).collect())),
        _ => None,
    };
    std::iter::from_fn(|| demuxer.next_event()).filter_map(program).collect()
}

#[test]
fn ts_14_alignment_gives_datagrams_of_seven_packets() {
    let demuxed = demux_file(&clip(), &AV, "", 1 << 20);
    let mut muxer = muxer(&AV, "alignment=7");
    demuxed.items().for_each(|(pad, item)| muxer.push(pad, item.clone()).unwrap());
    let buffers = muxer.take_buffers("src");
    assert!(buffers.len() > 700 && buffers.iter().all(|buffer| buffer.payload.len() == 7 * 188));
    let bytes: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.payload.contiguous()).collect();
    let mut again = demux_file(&bytes.into(), &AV, "", 7 * 188);
    assert!(again.drops.is_empty() && again.take_buffers("video").len() == 300);
}

#[test]
fn e_19_a_pad_that_is_absent_is_not_waited_for() {
    let mut muxer = muxer(&AV, "alignment=0");
    muxer.push_start("video", H264).unwrap();
    muxer.push_buffer("video", unit(0)).unwrap();
    assert!(muxer.take("src").is_empty(), "sound may still come");
    muxer.push("audio", Item::Absent).unwrap();
    muxer.push_buffer("video", unit(40)).unwrap();
    assert!(!muxer.take_buffers("src").is_empty());
}

#[test]
fn e_20_ts_4_a_late_stream_gives_the_tables_a_new_version() {
    let mut muxer = muxer(&AV, "alignment=0");
    muxer.push_start("video", H264).unwrap();
    muxer.push("audio", Item::Absent).unwrap();
    (0..5).for_each(|n| muxer.push_buffer("video", unit(n * 40)).unwrap());
    muxer.push_start("audio", ADTS).unwrap();
    (5..10).for_each(|n| {
        muxer.push_buffer("video", unit(n * 40)).unwrap();
        muxer.push_buffer("audio", unit(n * 40)).unwrap();
    });
    muxer.eos().unwrap();
    let expected = [(0, vec![Codec::H264]), (1, vec![Codec::H264, Codec::AacAdts])];
    assert_eq!(programs(muxer.take_bytes("src")), expected);
}

#[test]
fn ts_4_another_codec_on_a_pad_is_another_stream() {
    let mut muxer = muxer(&["audio"], "alignment=0");
    muxer.push_start("audio", ADTS).unwrap();
    muxer.push_buffer("audio", unit(0)).unwrap();
    // E-17: the same again changes nothing.
    muxer.push_start("audio", ADTS).unwrap();
    muxer.push_buffer("audio", unit(40)).unwrap();
    muxer.push_start("audio", "audio/x-ac3").unwrap();
    muxer.push_buffer("audio", unit(80)).unwrap();
    muxer.eos().unwrap();
    let expected = [(0, vec![Codec::AacAdts]), (1, vec![Codec::Ac3])];
    assert_eq!(programs(muxer.take_bytes("src")), expected);
}

#[test]
fn a_block_waits_no_longer_than_its_latency() {
    let mut muxer = muxer(&["video"], "latency=30ms");
    muxer.push_start("video", H264).unwrap();
    muxer.push_buffer("video", unit(0)).unwrap();
    assert!(muxer.take_buffers("src").is_empty());
    assert_eq!(muxer.wake_time(), Some(Time::from_millis(30)));
    muxer.advance_to(Time::from_millis(30)).unwrap();
    assert!(!muxer.take_buffers("src").is_empty());
}

#[test]
fn e_33_a_flush_forgets_what_is_held_and_counters_go_on() {
    let mut muxer = muxer(&["video"], "");
    muxer.push_start("video", H264).unwrap();
    muxer.push_buffer("video", unit(5_000)).unwrap();
    muxer.push("video", Item::Flush(1)).unwrap();
    muxer.push_start("video", H264).unwrap();
    muxer.push_buffer("video", unit(0)).unwrap();
    muxer.eos().unwrap();
    let bytes = muxer.take_bytes("src");
    assert_eq!((bytes[1] & 0x5F, bytes[2]), (0x40, 0), "it begins with the PAT");
    let mut demuxed = demux_file(&bytes.into(), &["video"], "", 1 << 20);
    assert_eq!(demuxed.take_buffers("video").len(), 1);
}

#[test]
fn what_cannot_be_carried_names_the_repair() {
    let mut muxer = muxer(&["video"], "");
    let error = muxer.push_start("video", "video/x-h264, stream-format=avc").unwrap_err();
    assert!(error.hint_text().unwrap().contains("h264parse"), "{error}");
}

#[test]
fn timestamps_are_running_times() {
    let [early, late] = [0, 7_000].map(|start| {
        let mut muxer = muxer(&["video"], "");
        muxer.push_start("video", H264).unwrap();
        let segment = millstream_core::Segment::time(Time::from_millis(start));
        muxer.push("video", Item::Segment(segment.into())).unwrap();
        (0..5).for_each(|n| muxer.push_buffer("video", unit(start + n * 40)).unwrap());
        muxer.eos().unwrap();
        muxer.take_bytes("src")
    });
    assert!(early == late);
    let copies = [0, 1].map(|_| mux_items(&demux_file(&clip(), &AV, "", 1 << 20), &AV, ""));
    assert!(copies[0] == copies[1], "the same input gives the same bytes");
}
