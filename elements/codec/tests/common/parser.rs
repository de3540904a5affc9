//! A parser in a harness.

use bytes::Bytes;
use millstream_core::{Buffer, Caps, Factory, Item, Time};
use millstream_testkit::Harness;

/// What came out: caps and buffers, each in order.
pub(crate) type Parsed = (Vec<Caps>, Vec<Buffer>);

/// A parser in front of something that takes these caps.
pub(crate) fn harness(factory: &Factory, allowed: &str) -> Harness {
    Harness::builder(factory).src_caps("src", allowed).build().unwrap()
}

/// What came out so far.
pub(crate) fn taken(harness: &mut Harness) -> Parsed {
    let (mut caps, mut buffers) = (Vec::new(), Vec::new());
    for item in harness.take("src") {
        match item {
            Item::Caps(new) => caps.push(new),
            Item::Buffer(buffer) => buffers.push(buffer.into_inner()),
            _ => {}
        }
    }
    (caps, buffers)
}

/// A file without caps, in pieces of `step` bytes.
pub(crate) fn parse_file(factory: &Factory, data: &Bytes, allowed: &str, step: usize) -> Parsed {
    let mut harness = harness(factory, allowed);
    harness.push_start("sink", "").unwrap();
    harness.push_bytes("sink", data, step).unwrap();
    harness.eos().unwrap();
    taken(&mut harness)
}

/// Buffers with caps.
pub(crate) fn parse_buffers(factory: &Factory, caps: &str, buffers: &[Buffer], allowed: &str) -> Parsed {
    let mut harness = harness(factory, allowed);
    harness.push_start("sink", caps).unwrap();
    buffers.iter().for_each(|buffer| harness.push_buffer("sink", buffer.clone()).unwrap());
    harness.eos().unwrap();
    taken(&mut harness)
}

/// The bytes of each buffer.
pub(crate) fn bytes(buffers: &[Buffer]) -> Vec<Bytes> {
    buffers.iter().map(|buffer| buffer.payload.contiguous()).collect()
}

/// Video of an FLV file: the configuration, and decoding and presentation time in milliseconds of each frame with its
/// data. Reads AVC tags and Enhanced tags of one codec, undamaged.
pub(crate) fn flv_video(file: &Bytes) -> (Bytes, Vec<(i64, i64, Bytes)>) {
    let (mut config, mut frames, mut at) = (Bytes::new(), Vec::new(), 13);
    while at + 11 <= file.len() {
        let size = u32::from_be_bytes([0, file[at + 1], file[at + 2], file[at + 3]]) as usize;
        let dts = i64::from(u32::from_be_bytes([file[at + 7], file[at + 4], file[at + 5], file[at + 6]]));
        let body = file.slice(at + 11..at + 11 + size);
        let offset = |at: usize| i64::from(i32::from_be_bytes([body[at], body[at + 1], body[at + 2], 0]) >> 8);
        if file[at] == 9 {
            let (enhanced, kind) = if body[0] & 0x80 != 0 { (true, body[0] & 0xf) } else { (false, body[1]) };
            match (enhanced, kind) {
                (_, 0) => config = body.slice(5..),
                (false, 1) => frames.push((dts, dts + offset(2), body.slice(5..))),
                (true, 1) if &body[1..5] == b"hvc1" => frames.push((dts, dts + offset(5), body.slice(8..))),
                (true, 1 | 3) => frames.push((dts, dts, body.slice(5..))),
                _ => {}
            }
        }
        at += 11 + size + 4;
    }
    (config, frames)
}

/// Frames of [`flv_video`] as buffers.
pub(crate) fn flv_buffers(file: &Bytes) -> (Bytes, Vec<Buffer>) {
    let (config, frames) = flv_video(file);
    let time = |ms| Some(Time::from_millis(ms));
    let buffers = frames.into_iter().map(|(dts, pts, data)| Buffer::new(data).with_times(time(pts), time(dts)));
    (config, buffers.collect())
}

/// Caps with this codec data.
pub(crate) fn with_codec_data(caps: &str, config: &Bytes) -> String {
    caps.parse::<Caps>().unwrap().with("codec_data", config.clone()).to_string()
}
