//! What the tests of the elements share.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use millstream_core::item::SegmentFormat;
use millstream_core::{Buffer, Item, Time};
use millstream_flv::{demux, mux};
use millstream_testkit::{Harness, Row, manifest, media::media_bytes};

/// Pads that any of the files has.
pub(crate) const PADS: [&str; 4] = ["video", "audio", "audio_1", "script"];

/// An FLV file made tag by tag, as FLV 10.1 annex E has it.
pub(crate) struct Made(Vec<u8>);

impl Made {
    /// The header with these flags: 1 video, 4 audio.
    pub(crate) fn new(flags: u8) -> Self {
        Self(vec![b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0])
    }

    /// A tag: 8 audio, 9 video, 18 script.
    pub(crate) fn tag(mut self, kind: u8, ms: u32, body: &[u8]) -> Self {
        let [high, time @ ..] = ms.to_be_bytes();
        let [_, size @ ..] = (body.len() as u32).to_be_bytes();
        self.0.extend([kind].into_iter().chain(size).chain(time).chain([high, 0, 0, 0]).chain(body.iter().copied()));
        self.0.extend((body.len() as u32 + 11).to_be_bytes());
        self
    }

    /// A tag for each of these times.
    pub(crate) fn tags(self, kind: u8, times: impl IntoIterator<Item = u32>, body: &[u8]) -> Self {
        times.into_iter().fold(self, |file, ms| file.tag(kind, ms, body))
    }

    /// The sequence header of AAC-LC, 48 kHz, stereo.
    pub(crate) fn aac(self) -> Self {
        self.tag(8, 0, &[0xAF, 0, 0x11, 0x90])
    }

    pub(crate) fn bytes(self) -> Bytes {
        self.0.into()
    }
}

/// Kind, time, offset and body of the tags of a sound file, found by their sizes alone.
pub(crate) fn walk(file: &[u8]) -> Vec<(u8, u32, usize, &[u8])> {
    let (mut tags, mut at) = (Vec::new(), 13);
    while let Some(&[kind, a, b, c, x, y, z, high, ..]) = file.get(at..) {
        let end = at + 11 + u32::from_be_bytes([0, a, b, c]) as usize;
        let Some(body) = file.get(at + 11..end) else { break };
        tags.push((kind, u32::from_be_bytes([high, x, y, z]), at, body));
        at = end + 4;
    }
    tags
}

/// Small enough for thousands of runs.
pub(crate) fn small() -> Option<Bytes> {
    Some(media_bytes("gen/h264b_aac48s_10s.flv")?.slice(..24_000))
}

/// The FLV files that are as they should be, and have media.
pub(crate) fn valid_files() -> impl Iterator<Item = (&'static Row, Bytes)> {
    let rows = manifest().rows().iter();
    let valid = |row: &&Row| row.file.ends_with(".flv") && !row.file.starts_with("broken/");
    rows.filter(valid).filter(|row| !row.lavf.tracks().is_empty()).map(|row| (row, media_bytes(&row.file).unwrap()))
}

/// A demuxer with these pads.
pub(crate) fn demuxer(pads: &[&str], settings: &str) -> Harness {
    let factory = demux::factory();
    let builder = pads.iter().fold(Harness::builder(&factory).settings(settings), |builder, pad| builder.src(pad));
    let mut harness = builder.build().unwrap();
    harness.push_start("sink", "").unwrap();
    harness
}

/// What a demuxer makes of a file, pushed in pieces.
pub(crate) fn demux_file(file: &Bytes, pads: &[&str], settings: &str, step: usize) -> Harness {
    let mut harness = demuxer(pads, settings);
    harness.push_bytes("sink", file, step).unwrap();
    harness.eos().unwrap();
    harness.assert_contract();
    harness
}

/// The pads that a file has media for.
pub(crate) fn pads_of(file: &Bytes) -> Vec<&'static str> {
    let mut probe = demux_file(file, &PADS, "", 1 << 20);
    PADS.into_iter().filter(|pad| !probe.take_buffers(pad).is_empty()).collect()
}

/// A muxer with these pads, whose output can be rewritten or not.
pub(crate) fn muxer(pads: &[&str], settings: &str, random_write: bool) -> Harness {
    let factory = mux::factory();
    let builder = pads.iter().fold(Harness::builder(&factory).settings(settings), |builder, pad| builder.sink(pad));
    let builder = builder.src("src");
    if random_write { builder.random_write() } else { builder }.build().unwrap()
}

/// Muxes what a demuxer made.
pub(crate) fn mux_items(demuxed: &Harness, pads: &[&str], settings: &str, random_write: bool) -> Harness {
    let mut muxer = muxer(pads, settings, random_write);
    for (pad, item) in demuxed.items() {
        muxer.push(pad, item.clone()).unwrap();
    }
    muxer.assert_contract();
    muxer
}

/// The file that a sink would have written.
pub(crate) fn written(muxer: &Harness) -> Bytes {
    let (mut file, mut at) = (Vec::new(), 0);
    for (_, item) in muxer.items() {
        match item {
            Item::Segment(segment) if segment.format == SegmentFormat::Bytes => at = segment.offset as usize,
            Item::Buffer(buffer) => {
                let bytes = buffer.payload.contiguous();
                let end = at + bytes.len();
                file.resize(file.len().max(end), 0);
                file[at..end].copy_from_slice(&bytes);
                at = end;
            }
            _ => {}
        }
    }
    file.into()
}

/// Demuxes and muxes a file.
pub(crate) fn copy_of(file: &Bytes, settings: &str) -> Bytes {
    let pads = pads_of(file);
    written(&mux_items(&demux_file(file, &pads, "", 1 << 20), &pads, settings, true))
}

/// Bytes, decoding and presentation time in nanoseconds, key flag.
pub(crate) type Frame = (Vec<u8>, Option<i64>, Option<i64>, bool);

/// The frames of a pad, which are taken.
pub(crate) fn frames(harness: &mut Harness, pad: &str) -> Vec<Frame> {
    let nanos = |time: Option<Time>| time.map(Time::nanos);
    let frame = |buffer: Buffer| {
        (buffer.payload.contiguous().to_vec(), nanos(buffer.dts), nanos(buffer.pts), buffer.is_keyframe())
    };
    harness.take_buffers(pad).into_iter().map(frame).collect()
}

/// The caps that a pad announced, as text.
pub(crate) fn caps_of(harness: &Harness, pad: &str) -> Vec<String> {
    let of = |(from, item): (&str, &Item)| match item {
        Item::Caps(caps) if from == pad => Some(caps.clone().without("codec_data").to_string()),
        _ => None,
    };
    harness.items().filter_map(of).collect()
}
